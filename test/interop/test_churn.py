"""Tasks come and go without end, under every kind of client at once."""
import os
import time

from harness import check, test, wait_until
from load import Load

SECONDS = float(os.environ.get("SHOAL_TEST_CHURN_SECONDS", "8"))  # 60 for docs/measurements.md.
# task.drain_timeout. Three fifths of it are for the drain: more than the longest request needs, and what a websocket
# has left.
BUDGET_SECONDS, DRAIN_SHARE = {"web": 12, "raw": 12, "ws": 5}, 0.6
LEAVING_MOST = 12  # Processes at once, on a small machine.


class Churn:
    """Per pool: a new task, and when it is in rotation the oldest is told to stop."""

    def __init__(self, scene, proxy, haproxy, pools):
        self.scene, self.proxy, self.haproxy = scene, proxy, haproxy
        self.number, self.living, self.leaving, self.stopped = 0, {pool: [] for pool in pools}, [], 0
        for pool, count in pools.items():
            for _ in range(count):
                self.start(pool)
        self.wait_all_in_rotation()

    def start(self, pool):
        self.number += 1
        task = self.scene.task(self.proxy, f"{pool}{self.number}", worker=["--slow", "2"],
                               more={"task": {"backend": pool, "drain_timeout": f"{BUDGET_SECONDS[pool]}s"}})
        self.living[pool].append(task)
        return task

    def wait_all_in_rotation(self):
        for pool, tasks in self.living.items():
            self.haproxy.wait_in_rotation(*(t.name for t in tasks), pool=pool, timeout=30)

    def swap(self, pool):
        fresh = self.start(pool)
        self.haproxy.wait_in_rotation(fresh.name, pool=pool, timeout=30)
        oldest = self.living[pool].pop(0)
        oldest.signal(15)
        oldest.told = time.time()
        self.leaving.append((pool, oldest))
        self.collect(LEAVING_MOST)

    def collect(self, most=0):
        """Waits until no more than `most` are on their way out; each has to end well."""
        while len(self.leaving) > most:
            pool, task = self.leaving.pop(0)
            check(task.wait(30) == 0, f"{task.name} did not stop with 0")
            end, told = task.worker.first("end"), task.worker.first("sigterm")
            check(end["after_term"] == 0, f"{task.name}'s worker got requests after its SIGTERM")
            if pool == "ws" and told["websockets"]:
                given = told["t"] - task.told
                check(given > DRAIN_SHARE * BUDGET_SECONDS[pool] - 0.5,
                      f"{task.name}: {told['websockets']} websockets cut {given:.1f} s after its SIGTERM")
            self.stopped += 1

    def wait_only_the_living_stand(self, timeout):
        for pool, tasks in self.living.items():
            wait_until(lambda p=pool, n=len(tasks): len(self.haproxy.servers(p) or []) == n, timeout,
                       f"the deletion of all but {len(tasks)} servers in {pool}", every=0.05)
            for task in tasks:
                check(self.haproxy.in_rotation(task.name, pool), f"{task.name} is not in rotation")


@test(seconds=120 + 3 * SECONDS, alone=True)
def test_no_client_of_any_kind_notices_that_tasks_come_and_go(scene):
    haproxy = scene.haproxy(pools=["web", "ws"], tcp_pools=["raw"])
    proxy = scene.sidecar(haproxy)
    pid = haproxy.pid
    churn = Churn(scene, proxy, haproxy, {"web": 3, "raw": 2, "ws": 2})
    most = 100 + 3 * SECONDS  # They are stopped below.
    loads = [Load(haproxy.http_port, most, clients=6, kind="keep"),
             Load(haproxy.http_port, most, clients=6, kind="close"),
             Load(haproxy.tcp_ports["raw"], most, clients=4, kind="some"),
             Load(haproxy.http_port, most, clients=6, kind="websocket", host="ws", pause_ms=50),
             Load(haproxy.http_port, most, clients=6, kind="slow", pause_ms=100)]
    begun = time.monotonic()
    while time.monotonic() < begun + SECONDS or churn.number < 7 + 2 * 3:
        for pool in ("web", "raw", "ws"):
            churn.swap(pool)
    churn.collect()
    lasted = time.monotonic() - begun
    results = {load.kind: load.result(stop_now=True) for load in loads}
    for kind, r in results.items():
        scene.say(f"{kind}: {r['ok']} answered by {len(r['by_worker'])} tasks, {r['failed']} failed"
                  + (f", {r['cut']} cut at the end of their task's budget" if kind == "websocket" else ""))
    failed = {kind: r["errors"] for kind, r in results.items() if r["failed"]}
    check(not failed, f"failed: {failed}")
    # Not the slow ones alone: theirs are few.
    check(all(r["ok"] > (5 if kind == "slow" else 50) for kind, r in results.items()), f"no load: {results}")
    check(results["websocket"]["cut"] > 0, "no websocket was cut: none lived to the end of its task's budget")
    check(churn.stopped >= 6, f"only {churn.stopped} tasks were replaced")
    check(haproxy.running() and haproxy.pid == pid and haproxy.info()["Pid"] == str(pid), "HAProxy is another process")
    begun = time.monotonic()
    churn.wait_only_the_living_stand(40)
    scene.say(f"{churn.stopped} tasks replaced in {lasted:.0f} s; every server of theirs gone "
              f"{time.monotonic() - begun:.1f} s after the last had ended; HAProxy {haproxy.version()} "
              f"is still process {pid}")
