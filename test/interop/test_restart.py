"""HAProxy, the sidecar, or a seed goes away and comes back."""
import signal
import threading
import time

from harness import (POOL, Failure, HAProxy, Log, RotationWatch, Say, accepts_tcp, check, hold_true, http_get, test,
                     wait_until)
from load import Load
from test_rotation import row_of


def milliseconds_until_back(haproxy, names):
    """From the moment at which a new HAProxy takes connections."""
    wait_until(lambda: accepts_tcp(f"127.0.0.1:{haproxy.http_port}"), 10, "HAProxy's port", every=0.001)
    begun = time.monotonic()
    haproxy.wait_in_rotation(*names, timeout=10)
    return (time.monotonic() - begun) * 1000


@test(seconds=60, alone=True)
def test_the_pool_is_back_right_after_haproxy_was_killed(scene):
    haproxy = scene.haproxy()
    # Not by the interval.
    proxy = scene.sidecar(haproxy, more={"haproxy": {"reconcile_interval": "30s"}})
    names = [f"t{i}" for i in range(5)]
    for name in names:
        scene.task(proxy, name)
    haproxy.wait_in_rotation(*names)
    took = []
    for _ in range(5):
        haproxy.kill()
        haproxy.start(wait=False)
        took.append(milliseconds_until_back(haproxy, names))
        # The hold: whoever asks at once has an answer.
        status, headers, _ = http_get(haproxy.http_port)
        check(status == 200 and headers["x-worker"] in names, f"answered by {status} {headers}")
    scene.say(f"{len(names)} servers back {', '.join(f'{ms:.0f}' for ms in took)} ms after a killed HAProxy "
              f"{haproxy.version()} listened again")
    check(max(took) < 3000, f"the pool was back only after {max(took):.0f} ms")
    check(proxy.running(), "the sidecar has died")


@test(seconds=60)
def test_a_request_right_after_haproxys_restart_is_held_until_its_pool_is_back(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    scene.task(proxy, "task")
    haproxy.wait_in_rotation("task")
    proxy.signal(signal.SIGSTOP)  # So that the pool is empty for as long as the test wants.
    haproxy.kill()
    haproxy.start()
    check(haproxy.servers() == [], f"not empty: {haproxy.servers()}")
    answer = []
    asker = threading.Thread(target=lambda: answer.append(http_get(haproxy.http_port, timeout=15)))
    asker.start()
    hold_true(lambda: not answer, 0.7, "the request is held")
    proxy.signal(signal.SIGCONT)
    asker.join(20)
    check(answer and answer[0][0] == 200, f"answered by {answer}")


@test(seconds=60)
def test_a_pool_that_stays_empty_holds_a_request_for_five_seconds_and_no_longer(scene):
    haproxy = HAProxy(scene, tcp_pools=["raw"])
    with open(haproxy.config, encoding="utf-8") as f:
        text = f.read().replace("    default_backend", "    monitor-uri /alive\n    default_backend")
    with open(haproxy.config, "w", encoding="utf-8") as f:
        f.write(text)
    haproxy.start()
    begun = time.monotonic()
    check(http_get(haproxy.http_port, "/alive")[0] == 200, "the health page was not answered")
    check(time.monotonic() - begun < 3, "the health page was held")
    begun = time.monotonic()
    status, _, _ = http_get(haproxy.http_port, timeout=15)
    took = time.monotonic() - begun
    check(status == 503 and 4.5 < took < 8, f"answered by {status} after {took:.1f} s")
    begun = time.monotonic()
    try:
        http_get(haproxy.tcp_ports["raw"], timeout=15)
        check(False, "an empty TCP pool has answered")
    except OSError:
        pass
    took = time.monotonic() - begun
    check(4.5 < took < 8, f"a TCP pool hung up after {took:.1f} s")


@test(seconds=120, alone=True)
def test_no_server_leaves_rotation_when_the_sidecar_is_killed_and_started_again(scene):
    haproxy = scene.haproxy()
    # Without a name of its own: each start is another member, as in real life.
    proxy = scene.sidecar(haproxy, more={"node": {"name": None}})
    names = [f"t{i}" for i in range(3)]
    tasks = [scene.task(proxy, name) for name in names]
    haproxy.wait_in_rotation(*names)
    before = {s.name for s in haproxy.servers()}
    watch, load = RotationWatch(haproxy), Load(haproxy.http_port, seconds=60)
    for _ in range(2):
        wait_until(load.running, 1, "the load")
        proxy.kill()
        mark = proxy.log.mark()
        proxy.start()
        check(all(task.running() for task in tasks), "a task has died")
        # Twelve seconds: longer than the detector needs to find the old sidecar dead, and the tasks' word must have
        # come.
        proxy.log.wait_for(Say.HAPROXY_UP, 10, since=mark)
        end = time.monotonic() + 12
        while time.monotonic() < end:
            check({s.name for s in haproxy.servers() if s.in_rotation} == before,
                  f"rotation changed: {haproxy.servers()}")
            time.sleep(0.05)
    result, history = load.result(stop_now=True), watch.stop()
    check(all(names_then == before for _, names_then in history), f"rotation changed: {history}")
    check(result["failed"] == 0 and result["ok"] > 1000,
          f"{result['failed']} of {result['ok']} failed: {result['errors']}")
    check({s.name for s in haproxy.servers()} == before, f"the table changed: {haproxy.servers()}")


@test(seconds=90)
def test_a_task_that_departs_while_the_sidecar_is_away_is_still_drained(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy, more={"node": {"name": None}})
    stay = scene.task(proxy, "stay")
    go = scene.task(proxy, "go", worker=["--ask-on-term", haproxy.socket, POOL])
    haproxy.wait_in_rotation("stay", "go")
    load = Load(haproxy.http_port, seconds=40)
    proxy.kill()
    go.signal(15)
    proxy.start()
    check(go.wait(30) == 0, "not 0")
    row = row_of(go.worker.wait_for("sigterm")["table"], "go")
    check(row is None or int(row[6]) & 1, f"at the worker's SIGTERM HAProxy still had: {row}")
    check(go.worker.first("end")["after_term"] == 0, "requests came to the worker after its SIGTERM")
    haproxy.wait_deleted("go", 40)
    result = load.result(stop_now=True)
    check(result["failed"] == 0 and result["ok"] > 100,
          f"{result['failed']} of {result['ok']} failed: {result['errors']}")
    check(haproxy.in_rotation("stay") and stay.running(), "the other task suffered")


@test(seconds=60)
def test_a_task_that_was_killed_while_the_sidecar_was_away_leaves_the_table(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy, more={"node": {"name": None}})
    stay, victim = scene.task(proxy, "stay"), scene.task(proxy, "victim")
    haproxy.wait_in_rotation("stay", "victim")
    proxy.kill()
    victim.kill()
    proxy.start()
    # HAProxy's own check keeps requests from it at once; the sidecar, who knows nothing of it any more, may take the
    # minute that an adopted server is held before it counts as failed.
    haproxy.wait_out_of_rotation("victim", timeout=15)
    check(haproxy.in_rotation("stay") and stay.running(), "the other task suffered")


@test(seconds=60)
def test_a_seed_that_appears_later_is_found(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy, start=False)
    task = scene.task(proxy, "early")
    task.worker.wait_for("start")
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > 5, 6, "five seconds without a seed")  # The case under test.
    check(task.running(), "the task has given up")
    proxy.start()
    haproxy.wait_in_rotation("early", timeout=30)
    scene.say(f"in rotation {time.monotonic() - begun - 5:.1f} s after its seed appeared")


@test(seconds=60)
def test_seeds_that_are_garbage_do_not_keep_a_task_from_a_good_one(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    seeds = ["no-such-host.invalid:7946", "127.0.0.1:1", "192.0.2.1:7946", proxy.gossip]
    scene.task(seeds, "stubborn")
    haproxy.wait_in_rotation("stubborn", timeout=30)


@test(seconds=90)
def test_sidecar_and_haproxy_restarted_together_serve_before_gossip_has_found_anybody(scene):
    haproxy = scene.haproxy()
    kept = {"haproxy": {"state_file": scene.path("pool.json")}}
    proxy = scene.sidecar(haproxy, more=kept)
    names = ["t0", "t1"]
    tasks = [scene.task(proxy, name) for name in names]
    haproxy.wait_in_rotation(*names)
    wait_until(lambda: all(f'"{n}"' in Log(scene.path("pool.json")).text() for n in names), 15, "the file")
    proxy.kill()
    haproxy.kill()
    haproxy.start()
    # On another port and without a seed: nobody finds it.
    lonely = scene.sidecar(haproxy, name="lonely", more=kept)
    begun = time.monotonic()
    haproxy.wait_in_rotation(*names, timeout=10)
    scene.say(f"back {(time.monotonic() - begun) * 1000:.0f} ms after the start of a sidecar that knows nobody")
    check(len(lonely.members()) == 1, f"the sidecar knows {lonely.members()}")
    lonely.kill()
    # Whoever gossip does not find, and who does not answer, is not kept for ever; who is found stays.
    tasks[1].kill()
    haproxy.kill()
    haproxy.start()
    proxy.start()
    haproxy.wait_in_rotation("t0", timeout=20)
    check(not haproxy.in_rotation("t1"), "a place that does not answer is in rotation")
    check(tasks[0].running(), "the task suffered")


@test(seconds=90)
def test_a_task_is_drained_put_into_maintenance_and_readied_from_any_member(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy, more={"node": {"name": None}})
    names = ["t0", "t1"]
    tasks = [scene.task(proxy, name) for name in names]
    haproxy.wait_in_rotation(*names)
    server = haproxy.server_of("t0").name
    tasks[1].command("drain", "t0")
    wait_until(lambda: haproxy.server_of("t0").admin & 8 and haproxy.server_of("t0").weight == 0, 10, "t0 in drain")
    tasks[0].command("maint", server)  # By the server's name, at the task itself.
    wait_until(lambda: haproxy.server_of("t0").admin & 1, 10, "t0 in maintenance")
    proxy.kill()  # The wish is the task's: a sidecar that knows nothing keeps to it.
    haproxy.kill()
    haproxy.start()
    proxy.start()
    haproxy.wait_in_rotation("t1", timeout=20)
    hold_true(lambda: not haproxy.in_rotation("t0"), 3, "t0 out of rotation")
    proxy.command("ready", "t0")
    haproxy.wait_in_rotation("t0")
    for words, reason in ((("drain", "nobody"), "no member has this name"),
                          (("ready", "t0", "--stop"), "--stop")):
        try:
            proxy.command(*words)
            raise AssertionError(f"{words} was done")
        except Failure as failure:
            check(reason in str(failure), str(failure))
    proxy.command("drain", "t0", "--stop")
    check(tasks[0].wait(30) == 0, "the task that was told to stop did not end with 0")
    check(haproxy.in_rotation("t1"), "the other task suffered")
