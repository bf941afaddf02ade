"""HAProxy is reloaded under load while a task is replaced, and the hold of packaging/haproxy.cfg makes it invisible."""
import os
import time

from harness import check, hold_true, test
from load import Load
from reloads import BY_HAND, BY_MASTER, ReloadedHAProxy

RELOADS = int(os.environ.get("SHOAL_TEST_RELOADS", "1"))  # 5 for docs/measurements.md.
TASKS = 4


def loss_through_reloads(scene, way, hold):
    """(answered, failed, errors, longest time until the whole pool was back) of so many reloads."""
    haproxy = ReloadedHAProxy(scene, way, name="held" if hold else "bare", hold=hold).start()
    proxy = scene.sidecar(haproxy, name=f"{haproxy.name}-proxy", more={"haproxy": {"reconcile_interval": "30s"}})
    tasks = [scene.task(proxy, f"{haproxy.name}{i}", worker=["--slow", "3"]) for i in range(TASKS)]
    haproxy.wait_in_rotation(*(t.name for t in tasks))
    load, longest = Load(haproxy.http_port, seconds=120, clients=16), 0
    for number in range(RELOADS):
        hold_true(lambda: all(haproxy.in_rotation(t.name) for t in tasks), 1.0, "the pool under load")
        tasks.append(scene.task(proxy, f"{haproxy.name}-new{number}", worker=["--slow", "3"]))
        haproxy.wait_in_rotation(tasks[-1].name)
        old = haproxy.reload()
        begun, oldest = time.monotonic(), tasks.pop(0)
        oldest.signal(15)  # It goes while both processes may have requests for it.
        haproxy.wait_in_rotation(*(t.name for t in tasks), timeout=20)
        longest = max(longest, time.monotonic() - begun)
        check(oldest.wait(40) == 0, f"{oldest.name} did not stop with 0")
        check(oldest.worker.first("end")["after_term"] == 0, f"{oldest.name} got requests after its SIGTERM")
        haproxy.wait_gone(old, 60)
    hold_true(lambda: all(haproxy.in_rotation(t.name) for t in tasks), 0.5, "the pool under load")
    result = load.result(stop_now=True)
    for program in (proxy, *tasks, haproxy.program):
        program.kill()
    return result, longest


def taken(result):
    """The failures without those of HAProxy's own making: without -x the old process closes its listening sockets, and
    the connections that wait in their queues are reset, whoever the servers are."""
    return [e for e in result["errors"] if " close: [Errno 104]" not in e]


def check_a_reload(scene, way):
    bare, _ = loss_through_reloads(scene, way, hold=False)
    held, longest = loss_through_reloads(scene, way, hold=True)
    scene.say(f"{way}, {RELOADS} times: with the hold {held['failed']} of {held['ok'] + held['failed']} failed, "
              f"slowest {held['slowest_ms']} ms; without it {bare['failed']} of {bare['ok'] + bare['failed']}; the "
              f"pool was back at most {longest * 1000:.0f} ms after the new process answered")
    failed = taken(held) if way == "-sf" else held["errors"]
    check(not failed, f"{way}: {held['failed']} failed: {failed}")
    check(held["slowest_ms"] < 4500, f"a request was held until the cap: {held['slowest_ms']} ms")
    check(held["ok"] > 500, f"no load: {held}")


@test(seconds=180)
def test_no_request_that_haproxy_has_taken_fails_when_a_new_one_takes_over_with_sf(scene):
    check_a_reload(scene, BY_HAND[0])


@test(seconds=180)
def test_no_request_fails_when_a_new_haproxy_takes_over_with_sf_and_x(scene):
    check_a_reload(scene, BY_HAND[1])


@test(seconds=180)
def test_no_request_fails_when_the_master_is_told_to_reload_by_a_signal(scene):
    check_a_reload(scene, BY_MASTER[0])


@test(seconds=180)
def test_no_request_fails_when_the_master_is_told_to_reload_by_its_cli(scene):
    check_a_reload(scene, BY_MASTER[1])
