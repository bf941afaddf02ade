"""`haproxy.verify = "check"`: HAProxy's own check passes before a server gets its first request."""
import time

from harness import POOL, Relay, check, hold_true, runtime, test, unexpected_lines, wait_until
from load import Load


def checked_haproxy(scene):
    """With an HTTP check: a connection alone is taken by the kernel, whether the worker accepts or not."""
    haproxy = scene.haproxy()
    haproxy.kill()
    with open(haproxy.config, encoding="ascii") as f:
        text = f.read()
    with open(haproxy.config, "w", encoding="ascii") as f:
        f.write(text.replace(f"\nbackend {POOL}\n", f"\nbackend {POOL}\n    option httpchk GET /check\n"))
    return haproxy.start()


def weights_of(haproxy, node):
    """What HAProxy makes of the weight (`show stat`), and the weight."""
    for line in runtime(haproxy.socket, "show stat").splitlines():
        words = line.split(",")
        if len(words) > 18 and words[1].startswith(f"shoal-{node}-"):
            return int(words[18]), haproxy.server_of(node).weight
    return None


@test(seconds=60)
def test_slowstart_ramps_and_the_weight_stays_shoals(scene):
    haproxy = scene.haproxy()
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path,
                          more={"haproxy": {"server_options": "check inter 2s downinter 200 slowstart 4s"}})
    task = scene.task(proxy, "slow")
    task.log.wait_for('"event":"accepted"', 10)
    ramped, weight = weights_of(haproxy, "slow")
    check(ramped < 50 and weight == 100, f"at the beginning of its ramp it has {ramped} of {weight}")
    load = Load(haproxy.http_port, seconds=3, clients=4)
    wait_until(lambda: weights_of(haproxy, "slow") == (100, 100), 10, "the end of the ramp")
    result = load.result()
    check(result["failed"] == 0 and result["ok"] > 0, f"{result}")
    check(len(relay.when("weight 100")) == 1, "the weight was set more than once: something fights over it")


CHECKED = {"haproxy": {"verify": "check"}}


@test(seconds=60)
def test_a_worker_that_accepts_late_gets_no_request_before_its_check_has_passed(scene):
    haproxy = checked_haproxy(scene)
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path, more=CHECKED)
    scene.task(proxy, "early")
    haproxy.wait_in_rotation("early")
    load = Load(haproxy.http_port, seconds=30)
    # Announces itself at once; accepts two seconds later.
    late = scene.task(proxy, "late", worker=["--notify", "--accept-after", "2"], more={"worker": {"ready": "notify"}})
    row = wait_until(lambda: haproxy.server_of("late"), 10, "its server in the table")
    begun = time.monotonic()
    wait_until(lambda: haproxy.server_of("late").weight == 100, 2, "its weight")
    row = haproxy.server_of("late")
    check(row.admin == 0 and not row.in_rotation, f"enabled, weighted, and not up: {row}")
    hold_true(lambda: not haproxy.in_rotation("late"), 1, "not in rotation while its check cannot pass")
    check(not late.log.find('"event":"accepted"'), "it was told that it is in rotation")
    haproxy.wait_in_rotation("late", timeout=10)
    up = time.monotonic() - begun
    late.log.wait_for('"event":"accepted"', 6)
    told = time.monotonic() - begun
    wait_until(lambda: late.worker.log.text() and runtime(haproxy.socket, "show stat").count("late"), 2, "its row")
    time_to_serve = time.monotonic()
    hold_true(lambda: time.monotonic() - time_to_serve < 1, 0.9, "a second of requests")
    result = load.result(stop_now=True)
    check(result["failed"] == 0 and result["by_worker"].get("late", 0) > 10, f"{result}")
    check(result["slowest_ms"] < 900, f"one waited {result['slowest_ms']} ms: it went to a worker that did not accept")
    check(not unexpected_lines(relay), f"{unexpected_lines(relay)}")
    scene.say(f"up {up:.1f} s after its add (it accepts after 2 s), its task was told {told - up:.1f} s later; "
              f"{result['ok']} requests, 0 failed")


@test(seconds=60)
def test_a_server_whose_check_never_passes_never_gets_a_request_and_its_task_is_told_why(scene):
    haproxy = checked_haproxy(scene)
    proxy = scene.sidecar(haproxy, more=CHECKED)
    scene.task(proxy, "good")
    haproxy.wait_in_rotation("good")
    load = Load(haproxy.http_port, seconds=30, clients=4)
    bad = scene.task(proxy, "bad", worker=["--notify", "--never-accept"], more={"worker": {"ready": "notify"}})
    bad.log.wait_for("own check of .* has not passed yet", 15)
    hold_true(lambda: not haproxy.in_rotation("bad"), 3, "not in rotation")
    result = load.result(stop_now=True)
    check(result["failed"] == 0 and set(result["by_worker"]) == {"good"}, f"{result}")
    check(result["slowest_ms"] < 900, f"a request waited {result['slowest_ms']} ms")


@test(seconds=60)
def test_a_restarted_haproxy_gets_the_checked_servers_back_at_once(scene):
    haproxy = checked_haproxy(scene)
    # Its check of a new server comes after a long downinter: who waited for it would be seen.
    options = "check inter 5s downinter 5s rise 1 fall 3"
    proxy = scene.sidecar(haproxy, more={"haproxy": {"verify": "check", "server_options": options}})
    names = ["a", "b"]
    for task in [scene.task(proxy, name) for name in names]:
        task.log.wait_for('"event":"accepted"', 20)
    haproxy.kill()
    haproxy.start()
    begun = time.monotonic()
    haproxy.wait_in_rotation(*names, timeout=3)
    scene.say(f"back {(time.monotonic() - begun) * 1000:.0f} ms after HAProxy's socket")
