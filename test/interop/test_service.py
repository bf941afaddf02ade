"""shoal as a service of systemd's kind: what it says on NOTIFY_SOCKET, over a path and an abstract name, and that none
of it is the worker's."""
import os
import signal
import socket
import struct
import threading
import time

from harness import HAProxy, check, free_port, hold_true, test, wait_until


class Manager:
    """Listens as a service manager does: (monotonic time, sender's process, lines) of each datagram."""

    def __init__(self, name, listens=True):
        self.name, self.heard, self._lock = name, [], threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        if listens:
            self.listen()

    def listen(self):
        self._socket.bind(self.name.replace("@", "\0", 1))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            data, ancillary, _, _ = self._socket.recvmsg(4096, 256)
            pid = next(struct.unpack("iII", d)[0] for _, kind, d in ancillary if kind == socket.SCM_CREDENTIALS)
            with self._lock:
                self.heard.append((time.monotonic(), pid, data.decode().splitlines()))

    def lines(self):
        """All of them, in order, the watchdog's left out."""
        with self._lock:
            return [line for _, _, lines in self.heard for line in lines if line != "WATCHDOG=1"]

    def datagrams(self, line):
        with self._lock:
            return [(when, lines) for when, _, lines in self.heard if line in lines]

    def senders(self):
        with self._lock:
            return {pid for _, pid, _ in self.heard}

    def status(self):
        return next((line for line in reversed(self.lines()) if line.startswith("STATUS=")), None)

    def wait_for(self, line, count=1, timeout=15):
        return wait_until(lambda: self.datagrams(line) if len(self.datagrams(line)) >= count else None, timeout,
                          f"{line} from the service; it has said {self.lines()}")

    def wait_status(self, text, timeout=15):
        wait_until(lambda: self.status() == f"STATUS={text}", timeout, f"STATUS={text}; heard {self.lines()}")

    def of(self, watchdog=None, pid=None):
        """The environment that a manager gives a service."""
        out = {"NOTIFY_SOCKET": self.name, "LISTEN_FDS": "7", "LISTEN_PID": "1", "LISTEN_FDNAMES": "others"}
        out.update({"WATCHDOG_USEC": str(watchdog)} if watchdog else {})
        out.update({"WATCHDOG_PID": str(pid)} if pid else {})
        return out


@test(seconds=60)
def test_a_task_as_a_service_is_ready_when_its_worker_is_and_tells_each_change(scene):
    manager = Manager(scene.path("manager"))
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "task", worker=["--accept-after", "0.7"], env=manager.of(watchdog=400000))
    manager.wait_status("the worker starts; in rotation in 0 HAProxies")
    check(not manager.datagrams("READY=1"), "ready before its worker")
    manager.wait_for("READY=1")
    check(task.log.find('"event":"worker ready"'), "ready before its worker")
    manager.wait_status("the worker is ready; in rotation in 1 HAProxies")
    env = task.worker.wait_for("start")["env"]
    check(env["NOTIFY_SOCKET"] not in ("", manager.name) and "WATCHDOG_USEC" not in env and "WATCHDOG_PID" not in env
          and (env["LISTEN_FDS"], env["LISTEN_FDNAMES"]) == ("1", "shoal")
          and env["LISTEN_PID"] == str(task.worker.pid), env)

    beats = [when for when, _ in manager.wait_for("WATCHDOG=1", count=6)]
    check((beats[5] - beats[0]) / 5 > 0.15, f"a watchdog of 400 ms is told every 200 ms, not oftener: {beats}")
    task.signal(signal.SIGSTOP)
    silent_from = len(manager.datagrams("WATCHDOG=1"))
    hold_true(lambda: len(manager.datagrams("WATCHDOG=1")) <= silent_from + 1, 0.6, "no word of a process that hangs")
    task.signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG=1", count=silent_from + 3)

    before = time.monotonic_ns() // 1000
    task.signal(signal.SIGHUP)
    _, lines = manager.wait_for("RELOADING=1")[0]
    when = int(next(line for line in lines if line.startswith("MONOTONIC_USEC=")).split("=")[1])
    check(before - 100000 <= when <= time.monotonic_ns() // 1000, f"{when} is not when the reload began")
    ready, _ = manager.wait_for("READY=1", count=2)[1]
    workers = task.worker.lines("start")
    check(len(workers) == 2 and time.time() - (time.monotonic() - ready) - workers[1]["t"] > 0.6,
          "reloaded before the new worker accepts")
    order = [line for line in manager.lines() if line in ("READY=1", "RELOADING=1")]
    check(order == ["READY=1", "RELOADING=1", "READY=1"], order)

    task.signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    check(task.wait(20) == 0, "the stop failed")
    check(manager.senders() == {task.pid}, f"others than the task spoke: {manager.senders()}")
    last = [line for line in manager.lines() if not line.startswith("STATUS=")]
    check(last[-1] == "STOPPING=1" and last.count("STOPPING=1") == 1, last)


@test(seconds=60)
def test_a_sidecar_as_a_service_is_ready_without_haproxy_and_keeps_no_watchdog_of_others(scene):
    manager = Manager(f"@shoal-test-manager/{free_port()}")
    haproxy = HAProxy(scene)
    proxy = scene.sidecar(haproxy, start=False)
    proxy.env = manager.of(watchdog=100000, pid=1)
    proxy.start()
    manager.wait_for("READY=1")
    manager.wait_status("connected to 0 of 1 HAProxies")
    haproxy.start()
    manager.wait_status("connected to 1 of 1 HAProxies")
    haproxy.kill()  # It would be served until it is gone.
    manager.wait_status("connected to 0 of 1 HAProxies")
    check(proxy.stop(20) == 0, "the stop failed")
    check("STOPPING=1" in manager.lines(), manager.lines())
    check(not manager.datagrams("WATCHDOG=1"), "the watchdog of another process was fed")


@test(seconds=60)
def test_the_parent_of_haproxy_speaks_for_its_service_and_its_children_do_not(scene):
    manager = Manager(scene.path("manager"))
    haproxy = HAProxy(scene)
    parent = scene.sidecar(haproxy, start=False,
                           more={"haproxy": {"command": ["haproxy", "-Ws", "-db", "-f", haproxy.config]}})
    parent.env = manager.of(watchdog=400000)
    parent.start()
    manager.wait_for("READY=1")
    check(haproxy.info(), "ready before HAProxy")
    manager.wait_for("WATCHDOG=1", count=3)
    manager.wait_status("HAProxy is up")
    parent.log.wait_for('"event":"HAProxy connected"', 15)
    parent.signal(signal.SIGHUP)
    manager.wait_for("RELOADING=1")
    manager.wait_for("READY=1", count=2)
    parent.log.wait_for('"event":"HAProxy was replaced', 15)
    check(parent.stop(25) == 0, "the stop failed")
    check("STOPPING=1" in manager.lines(), manager.lines())
    check(manager.senders() == {parent.pid}, f"others than the parent spoke: {manager.senders()}")


@test(seconds=60)
def test_a_manager_that_is_away_or_behind_is_told_later_and_ends_nothing(scene):
    away = Manager(scene.path("manager"), listens=False)
    task = scene.task([], "task", env=away.of(), more={"health": {"min_proxies": 0}})
    task.log.wait_for("the service manager cannot be told", 10)
    task.log.wait_for('"event":"worker ready"', 15)
    away.listen()
    away.wait_for("READY=1")
    away.wait_status("the worker is ready; in rotation in 0 HAProxies")
    check(task.stop(20) == 0, "the stop failed")
    check(task.log.count("service manager") == 1, "said more than once")

    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # Bound, and never read.
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    deaf.bind(scene.path("deaf"))
    filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    filler.setblocking(False)
    try:
        while True:
            filler.sendto(b"x", scene.path("deaf"))
    except BlockingIOError:
        pass
    env = {"NOTIFY_SOCKET": scene.path("deaf"), "WATCHDOG_USEC": "20000"}
    other = scene.task([], "other", env=env, more={"health": {"min_proxies": 0}})
    other.log.wait_for('"event":"worker ready"', 15)
    check(other.stop(20) == 0, "a manager that reads nothing held up the stop")
    nonsense = scene.task([], "nonsense", env={"NOTIFY_SOCKET": "vsock:2:1", "WATCHDOG_USEC": "x"})
    nonsense.log.wait_for("is neither a path nor an abstract name", 10)
    nonsense.log.wait_for('"event":"worker ready"', 15)
    os.kill(nonsense.pid, signal.SIGTERM)
    check(nonsense.wait(20) == 0, "the stop failed")
