"""Tasks come into rotation, leave it in the right order, and their servers leave HAProxy's table."""
import signal
import threading
import time

from harness import GRACE_SECONDS, POOL, check, http_get, is_running, runtime, test, wait_until
from load import Load


def row_of(table, node):
    """The words of a node's row in a `show servers state` that a worker has written down."""
    for line in table.splitlines():
        words = line.split()
        if len(words) >= 19 and words[3].startswith(f"shoal-{node}-"):
            return words
    return None


def in_flight(haproxy, node):
    server = haproxy.server_of(node)
    for line in runtime(haproxy.socket, "show stat").splitlines():
        words = line.split(",")
        if len(words) > 5 and server and words[1] == server.name:
            return int(words[4])  # scur
    return 0


@test(seconds=60)
def test_three_tasks_answer_through_haproxy(scene):
    haproxy = scene.haproxy(balance="roundrobin")  # leastconn looks at weights under load alone.
    proxy = scene.sidecar(haproxy)
    names = ["one", "two", "three"]
    begun = time.monotonic()
    tasks = [scene.task(proxy, name, more={"task": {"weight": 50 if name == "two" else 100}}) for name in names]
    haproxy.wait_in_rotation(*names)
    scene.say(f"three tasks in rotation {time.monotonic() - begun:.2f} s after their start")
    for task in tasks:
        server = haproxy.server_of(task.name)
        check(server.address == "127.0.0.1" and server.port == task.worker.first("start")["port"],
              f"{server} is not where {task.name}'s worker listens")
    check(haproxy.server_of("one").weight == 100 and haproxy.server_of("two").weight == 50,
          f"weights are not the tasks': {haproxy.servers()}")
    answers = [http_get(haproxy.http_port)[1].get("x-worker") for _ in range(50)]
    check(set(answers) == set(names), f"answers came from {sorted(set(answers))}")
    check(answers.count("one") > answers.count("two"), "the task of half the weight got as much as the others")


@test(seconds=60)
def test_haproxy_has_nothing_to_say_about_the_packaged_configuration(scene):
    haproxy = scene.haproxy(pools=["shoal"])
    check(haproxy.program.log.text() == "", f"HAProxy has something to say about it: {haproxy.program.log.text()}")
    proxy = scene.sidecar(haproxy, more={"haproxy": {"backend": None}})
    scene.task(proxy, "task", more={"task": {"backend": None}})
    haproxy.wait_in_rotation("task", pool="shoal")
    check(http_get(haproxy.http_port)[1].get("x-worker") == "task", "no answer from the task")


@test(seconds=60)
def test_a_stopped_task_is_out_of_rotation_before_its_worker_gets_the_signal(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    stay = scene.task(proxy, "stay")
    go = scene.task(proxy, "go", worker=["--ask-on-term", haproxy.socket, POOL])
    haproxy.wait_in_rotation("stay", "go")
    load = Load(haproxy.http_port, 20)
    wait_until(lambda: http_get(haproxy.http_port)[1].get("x-worker") == "go", 5, "an answer of the task that will go")
    begun = time.monotonic()
    status = go.stop(timeout=25)
    took = time.monotonic() - begun
    check(status == 0, f"a stop that was asked for ended with status {status}")
    told = go.worker.wait_for("sigterm")
    row = row_of(told["table"], "go")
    check(row is not None, "its server was deleted before the worker had been told to stop")
    check(int(row[6]) & 1 and int(row[7]) == 0, f"at the worker's SIGTERM HAProxy still had: {' '.join(row)}")
    check(go.worker.first("end")["after_term"] == 0, "requests came to the worker after its SIGTERM")
    check(took < 10, f"the stop of an idle task took {took:.1f} s")
    haproxy.wait_deleted("go", GRACE_SECONDS + 20)
    result = load.result(stop_now=True)
    check(result["failed"] == 0 and result["ok"] > 100, f"{result['failed']} requests failed: {result['errors']}")
    check(haproxy.in_rotation("stay") and stay.running(), "the other task suffered")
    scene.say(f"stop of a task with traffic took {took:.2f} s; {result['ok']} requests, {result['failed']} failed")


@test(seconds=60)
def test_a_request_in_flight_ends_well_when_its_task_is_stopped(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "slow", worker=["--ask-on-term", haproxy.socket, POOL])
    haproxy.wait_in_rotation("slow")
    answer = []
    asking = threading.Thread(target=lambda: answer.append(http_get(haproxy.http_port, "/slow?ms=3000", timeout=20)))
    asking.start()
    wait_until(lambda: in_flight(haproxy, "slow"), 5, "the request to be in flight")
    begun = time.monotonic()
    task.signal(signal.SIGTERM)
    haproxy.wait_out_of_rotation("slow", timeout=3)
    out_after = time.monotonic() - begun
    check(not task.worker.first("sigterm"), "the worker was told to stop while a request was in flight")
    asking.join(20)
    check(answer and answer[0][0] == 200, f"the request in flight ended with {answer}")
    check(task.wait(20) == 0, "not 0")
    scene.say(f"out of rotation {out_after * 1000:.0f} ms after SIGTERM")


@test(seconds=90)
def test_a_killed_task_leaves_rotation_in_time_and_is_deleted_after_the_grace(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    stay = scene.task(proxy, "stay")
    victim = scene.task(proxy, "victim")
    haproxy.wait_in_rotation("stay", "victim")
    worker = victim.worker.pid
    killed = time.monotonic()
    victim.kill()
    wait_until(lambda: not is_running(worker), 3, "the worker's death after its parent's")
    # HAProxy's own check may mark it down before; what counts is that shoal puts it into maintenance.
    wait_until(lambda: (haproxy.server_of("victim") or stay) is stay or haproxy.server_of("victim").admin & 1, 20,
               "the killed task's server in maintenance")
    out = time.monotonic()
    check(haproxy.server_of("victim") is not None, "the server was deleted without its time in maintenance")
    check(out - killed < 12, f"that took {out - killed:.1f} s with the local profile")
    haproxy.wait_deleted("victim", GRACE_SECONDS + 15)
    deleted = time.monotonic()
    check(deleted - out > GRACE_SECONDS - 1, f"deleted {deleted - out:.1f} s after maintenance")
    check(haproxy.in_rotation("stay"), "the other task left rotation too")
    check(haproxy.running(), "HAProxy has died")
    scene.say(f"killed task in maintenance after {out - killed:.1f} s, deleted {deleted - out:.1f} s later")


@test(seconds=60)
def test_a_task_that_comes_back_gets_a_server_of_its_own_at_once(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    first = scene.task(proxy, "again")
    haproxy.wait_in_rotation("again")
    before = haproxy.server_of("again").name
    check(first.stop() == 0, "not 0")
    second = scene.task(proxy, "again", worker=[], more={"gossip": {"bind": first.gossip}}, start=False)
    second.start()
    wait_until(lambda: any(s.in_rotation and s.name != before for s in haproxy.servers() if s.belongs_to("again")), 10,
               "the second start's own server in rotation")
