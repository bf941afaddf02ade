"""HAProxy reloaded, by each of the ways in which people do it."""
import os
import signal
import socket

from harness import HAProxy, check, is_running, wait_until

BY_HAND = ("-sf", "-sf with -x")
BY_MASTER = ("SIGUSR2 to the master", "reload on the master CLI")


class ReloadedHAProxy(HAProxy):
    """By hand: a new process takes over. By a master: HAProxy runs as master and worker."""

    def __init__(self, scene, way, **options):
        super().__init__(scene, **options)
        self.way, self.master_socket, self.processes = way, scene.path(f"{self.name}-master.sock"), 1

    def start(self):
        if self.way in BY_HAND:
            return super().start()
        self.program = self.scene.run(self.name, ["haproxy", "-W", "-db", "-f", self.config, "-S", self.master_socket])
        wait_until(lambda: self.servers() is not None or not self.program.running(), 10, "HAProxy's runtime socket")
        check(self.program.running(), "HAProxy did not start:\n" + self.program.log.tail())
        return self

    def serving_pid(self):
        return int(self.info().get("Pid", 0))

    def reload(self):
        """Done when a new process answers on the socket; the old one's pid."""
        old = self.serving_pid()
        if self.way in BY_HAND:
            self.processes += 1
            take_over = ["-x", self.socket] if "-x" in self.way else []
            self.program = self.scene.run(f"{self.name}-{self.processes}",
                                          ["haproxy", "-db", "-f", self.config, *take_over, "-sf", str(old)])
        elif "USR2" in self.way:
            os.kill(self.program.pid, signal.SIGUSR2)
        else:
            self._ask_the_master("reload")
        wait_until(lambda: self.serving_pid() not in (0, old), 20, f"another process after {self.way}")
        return old

    def _ask_the_master(self, command):
        """The master answers a reload by hanging up (2.6) or by its result (3.x)."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.master_socket)
            s.sendall(command.encode() + b"\n")
            try:
                while s.recv(65536):
                    pass
            except OSError:
                pass

    def wait_gone(self, pid, timeout):
        wait_until(lambda: not is_running(pid), timeout, f"the end of the old process {pid}", every=0.05)
