"""HAProxy 2.6 crashes when a server whose worker died is deleted while requests still wait for their next try. These
tests run the very set-up in which it does: `retries 3`, no redispatch, load without end, a delete as early as shoal
does it."""
import os
import signal
import time

from harness import Relay, check, is_running, test, wait_until
from load import Load

MAINTENANCE_SECONDS = 10


def delete_times(relay, node):
    """When the node's server went to maintenance and when its first `del server` was sent; None while not yet."""
    maint = relay.when(rf"^set server web/shoal-{node}-\S+ state maint$")
    gone = relay.when(rf"^del server web/shoal-{node}-\S+$")
    return (maint[0] if maint else None), (gone[0] if gone else None)


def watch_deletion(scene, haproxy, relay, node, what):
    haproxy.wait_deleted(node, 45)
    maint, gone = delete_times(relay, node)
    check(maint is not None and gone is not None, f"{what}: maintenance at {maint}, deleted at {gone}")
    check(gone - maint >= MAINTENANCE_SECONDS - 0.5,
          f"{what}: deleted {gone - maint:.1f} s after its maintenance began")
    # The crash comes with the requests' next try: one second, three times.
    end = time.monotonic() + 4
    while time.monotonic() < end:
        check(haproxy.running(), f"{what}: HAProxy has died:\n" + haproxy.program.log.tail())
        time.sleep(0.05)
    scene.say(f"{what}: deleted {gone - maint:.1f} s after maintenance; HAProxy lives")


@test(seconds=120)
def test_haproxy_survives_a_task_that_is_killed_under_load(scene):
    haproxy = scene.haproxy(bare=True)
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path)
    stay = scene.task(proxy, "stay", worker=["--slow", "5"])
    victim = scene.task(proxy, "victim", worker=["--slow", "5"])
    haproxy.wait_in_rotation("stay", "victim")
    load = Load(haproxy.http_port, seconds=90, clients=24)
    wait_until(lambda: victim.worker.first("start") and load.running(), 2, "the load")
    victim.kill()
    watch_deletion(scene, haproxy, relay, "victim", "killed task")
    result = load.result(stop_now=True)
    check(result["ok"] > 500 and stay.running(), f"the other task did not go on: {result}")
    check(haproxy.in_rotation("stay"), "the other task left rotation")


@test(seconds=120)
def test_haproxy_survives_a_worker_that_is_killed_under_load(scene):
    """The task lives on, departs properly and exits with its worker's status."""
    haproxy = scene.haproxy(bare=True)
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path)
    stay = scene.task(proxy, "stay", worker=["--slow", "5"])
    victim = scene.task(proxy, "victim", worker=["--slow", "5"])
    haproxy.wait_in_rotation("stay", "victim")
    load = Load(haproxy.http_port, seconds=90, clients=24)
    worker = victim.worker.pid
    begun = time.monotonic()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not is_running(worker), 3, "the worker's death")
    haproxy.wait_out_of_rotation("victim", timeout=3)
    out = time.monotonic() - begun
    check(victim.wait(30) == 128 + signal.SIGKILL, "the task's status is not its worker's")
    scene.say(f"out of rotation {out * 1000:.0f} ms after the worker's death")
    watch_deletion(scene, haproxy, relay, "victim", "killed worker")
    result = load.result(stop_now=True)
    check(result["ok"] > 500 and stay.running() and haproxy.in_rotation("stay"),
          f"the other task did not go on: {result}")
