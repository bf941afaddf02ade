"""HAProxy's old process after a reload: its requests count, and shoal does not keep it alive."""
import signal
import threading
import time

from harness import HAProxy, Say, check, children_of, http_get, is_running, runtime, test, wait_until

SLOW_SECONDS = 5
OLD_PROCESS = r'"event":"an old HAProxy process goes on'
OLD_DONE = r'"event":"old HAProxy process done"'


class Reloadable(HAProxy):
    """Reloads by one of the two ways: "master" (-W and SIGUSR2) or "sf" (a new process with -sf)."""

    def __init__(self, scene, way):
        super().__init__(scene)
        self.way = way
        self.master_socket = scene.path("master.sock")

    def start(self):
        words = ["-W", "-S", self.master_socket] if self.way == "master" else ["-db"]
        self.program = self.scene.run("haproxy", ["haproxy", *words, "-f", self.config])
        wait_until(lambda: self.servers() is not None, 10, "HAProxy's runtime socket")
        return self

    def serving_pid(self):
        try:
            lines = runtime(self.socket, "show info").splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) for line in lines if line.startswith("Pid:")), None)

    def reload(self):
        """Gives the old process once another one answers."""
        old = self.serving_pid()
        if self.way == "sf":
            self.scene.run(f"haproxy-after-{old}", ["haproxy", "-db", "-f", self.config, "-sf", str(old)])
        asked = 0.0

        def is_new():
            nonlocal asked
            # A master that is just starting itself anew misses the signal.
            if self.way == "master" and time.monotonic() > asked + 2:
                asked = time.monotonic()
                self.program.signal(signal.SIGUSR2)
            return self.serving_pid() not in (old, None)

        wait_until(is_new, 10, "the new process")
        return old


class Slow(threading.Thread):
    """One long request."""

    def __init__(self, port, seconds):
        super().__init__(daemon=True)
        self.port, self.seconds, self.worker, self.error, self.ended = port, seconds, None, None, None
        self.start()

    def run(self):
        try:
            status, headers, _ = http_get(self.port, f"/slow?ms={int(self.seconds * 1000)}", self.seconds + 10)
            self.worker, self.error = headers.get("x-worker"), None if status == 200 else f"status {status}"
        except (OSError, ValueError) as error:
            self.error = str(error) or type(error).__name__
        self.ended = time.time()


def requests_in_flight(haproxy):
    rows = [line.split(",") for line in runtime(haproxy.socket, "show stat web 4 -1").splitlines()[1:] if line]
    return sum(int(row[4]) for row in rows)


def depart_after_a_reload(scene, haproxy, proxy):
    stay, go = scene.task(proxy, "stay"), scene.task(proxy, "go")
    haproxy.wait_in_rotation("stay", "go")
    slow = [Slow(haproxy.http_port, SLOW_SECONDS) for _ in range(4)]  # Round robin: both have some.
    wait_until(lambda: requests_in_flight(haproxy) == len(slow), 3, "the requests in flight")
    old = haproxy.reload()
    proxy.log.wait_for(OLD_PROCESS, 3)
    haproxy.wait_in_rotation("stay", "go")
    go.signal(signal.SIGTERM)
    check(go.wait(30) == 0, "the task did not end well")
    for one in slow:
        one.join(20)
    check(all(one.error is None for one in slow), f"a request failed: {[one.error for one in slow]}")
    ended = [one.ended for one in slow if one.worker == "go"]
    check(ended, "no request went to the departing task")
    told = go.worker.wait_for("sigterm")["t"]
    scene.say(f"the worker was told to end {told - max(ended):.3f} s after its last request in the old process")
    check(told > max(ended) - 0.05, f"drained was told {max(ended) - told:.3f} s before the last request had ended")
    check(go.worker.wait_for("end")["after_term"] == 0, "requests came after the worker's SIGTERM")
    begun = time.monotonic()
    wait_until(lambda: not is_running(old), 5, f"the old process {old} to end")
    scene.say(f"the old process was gone {time.monotonic() - begun:.3f} s later")
    proxy.log.wait_for(OLD_DONE, 3)
    check(stay.running() and haproxy.in_rotation("stay"), "the other task suffered")


@test(seconds=60)
def test_a_request_in_the_old_worker_is_waited_for_after_a_master_worker_reload(scene):
    haproxy = Reloadable(scene, "master").start()
    depart_after_a_reload(scene, haproxy, scene.sidecar(haproxy))


@test(seconds=60)
def test_a_request_in_the_old_process_is_waited_for_after_a_reload_with_sf(scene):
    haproxy = Reloadable(scene, "sf").start()
    depart_after_a_reload(scene, haproxy, scene.sidecar(haproxy))


@test(seconds=60)
def test_the_masters_socket_reaches_the_new_worker_and_the_old_one(scene):
    haproxy = Reloadable(scene, "master").start()
    depart_after_a_reload(scene, haproxy, scene.sidecar(haproxy, socket_path=f"master@{haproxy.master_socket}"))


@test(seconds=60)
def test_reloads_without_requests_leave_no_old_process(scene):
    haproxy = Reloadable(scene, "master").start()
    proxy = scene.sidecar(haproxy)
    scene.task(proxy, "t")
    haproxy.wait_in_rotation("t")
    for _ in range(5):
        old = haproxy.reload()
        wait_until(lambda pid=old: not is_running(pid), 5, "the old worker to end")
        haproxy.wait_in_rotation("t")
    wait_until(lambda: len(children_of(haproxy.pid)) == 1, 5, "one worker alone")
    check(proxy.running(), "the sidecar has died")


@test(seconds=60)
def test_a_soft_stop_for_good_ends_when_the_last_request_has(scene):
    haproxy = Reloadable(scene, "sf").start()
    proxy = scene.sidecar(haproxy)
    scene.task(proxy, "t")
    haproxy.wait_in_rotation("t")
    slow = Slow(haproxy.http_port, 2)
    time.sleep(0.3)
    haproxy.program.signal(signal.SIGUSR1)
    proxy.log.wait_for(OLD_PROCESS, 3)
    slow.join(10)
    check(slow.error is None, f"the request failed: {slow.error}")
    wait_until(lambda: not haproxy.program.running(), 3, "HAProxy to end")
    scene.say(f"HAProxy ended {time.time() - slow.ended:.3f} s after its last request")
    proxy.log.wait_for(Say.HAPROXY_AWAY, 3)
    haproxy.start()
    haproxy.wait_in_rotation("t")
