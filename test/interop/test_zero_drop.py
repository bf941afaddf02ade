"""No request fails because tasks come and go."""
import time

from harness import check, test, wait_until
from load import Load


@test(seconds=120, alone=True)
def test_no_request_fails_while_tasks_are_stopped_and_started(scene):
    # HAProxy without redispatch and retry-on: nothing but the right order may hide a task's going.
    haproxy = scene.haproxy(bare=True)
    proxy = scene.sidecar(haproxy)
    tasks = [scene.task(proxy, f"t{i}", worker=["--slow", "3"]) for i in range(3)]
    haproxy.wait_in_rotation(*(t.name for t in tasks))
    load = Load(haproxy.http_port, seconds=90, clients=16)
    begun, number, swaps = time.monotonic(), len(tasks), 0
    while time.monotonic() - begun < 9 or swaps < 3:
        fresh = scene.task(proxy, f"t{number}", worker=["--slow", "3"])
        number += 1
        haproxy.wait_in_rotation(fresh.name)
        oldest = tasks.pop(0)
        tasks.append(fresh)
        check(oldest.stop(timeout=25) == 0, f"{oldest.name} did not stop with 0")
        check(oldest.worker.first("end")["after_term"] == 0, f"{oldest.name}'s worker got requests after its SIGTERM")
        swaps += 1
    check(load.running(), "the tasks took longer than the load")
    result = load.result(stop_now=True)
    scene.say(f"{swaps} tasks replaced under {result['ok']} requests, {result['failed']} failed, "
              f"slowest {result['slowest_ms']} ms, {len(result['by_worker'])} tasks answered")
    check(result["failed"] == 0, f"{result['failed']} of {result['ok'] + result['failed']} failed: {result['errors']}")
    check(result["ok"] > 1000, f"only {result['ok']} requests: the load was no load")
    check(len(result["by_worker"]) >= 3 + swaps - 1, f"answers came from {sorted(result['by_worker'])} only")


@test(seconds=120, alone=True)
def test_no_request_fails_when_most_of_a_pool_goes_at_once(scene):
    haproxy = scene.haproxy(bare=True)
    proxy = scene.sidecar(haproxy)
    tasks = [scene.task(proxy, f"t{i}", worker=["--slow", "20"]) for i in range(4)]
    haproxy.wait_in_rotation(*(t.name for t in tasks))
    load = Load(haproxy.http_port, seconds=8, clients=12)
    wait_until(lambda: all(haproxy.in_rotation(t.name) for t in tasks) and load.running(), 2, "the load")
    for task in tasks[1:]:
        task.signal(15)
    for task in tasks[1:]:
        check(task.wait(25) == 0, f"{task.name} did not stop with 0")
    result = load.result()
    check(result["failed"] == 0 and result["ok"] > 300,
          f"{result['failed']} of {result['ok']} failed: {result['errors']}")
