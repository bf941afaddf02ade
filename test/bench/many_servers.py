#!/usr/bin/python3
"""What thousands of servers cost: one change, and one full comparison of wanted and observed.

    test/bench/many_servers.py [--servers N,N,...] [--seconds N]      SHOAL_BIN names the program

A real HAProxy, the real sidecar, and that many tasks of gossip_swarm.py, which join and announce themselves. A relay
between sidecar and HAProxy counts commands and bytes; it is no part of the CPU times. For each number of servers:

    build     all announce at once: until HAProxy has all in rotation
    change    a task departs and comes back, one after the other, several times; a way out and a way in each count one
    compare   the look at the whole table that the reconcile interval asks for, when nothing has changed

CPU is the process's own (user and system), less what it needs in the same time with nothing to do. Prints a table.
"""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from gossip_swarm import Swarm  # noqa: E402
from harness import Relay, Say, Scene, resident_kib, wait_until  # noqa: E402

CHANGES = 10
# Checks so seldom that HAProxy's own work for them does not hide what is measured.
OPTIONS = "check inter 60s fall 3 rise 1 pool-max-conn -1 pool-purge-delay 5s"


def cpu_ms(pid):
    """With nanoseconds where the kernel counts them for its scheduler."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e6


def all_cpu_ms(pid):
    return sum(cpu_ms(f"{pid}/task/{thread}") for thread in os.listdir(f"/proc/{pid}/task"))


class Span:
    """Time, CPU of both, and what went through the relay, since it was made."""

    def __init__(self, stage):
        self.stage, self.begun = stage, time.monotonic()
        self.sidecar, self.haproxy = all_cpu_ms(stage.proxy.pid), all_cpu_ms(stage.haproxy.pid)
        self.lines, self.answers = len(stage.relay.lines), len(stage.relay.answers)

    def end(self):
        self.ms = (time.monotonic() - self.begun) * 1000
        self.sidecar = all_cpu_ms(self.stage.proxy.pid) - self.sidecar
        self.haproxy = all_cpu_ms(self.stage.haproxy.pid) - self.haproxy
        lines = [line for _, line in self.stage.relay.lines[self.lines:]]
        self.looks = sum(1 for line in lines if line.startswith(b"show servers state"))
        self.changes = sum(1 for line in lines if not line.startswith((b"show", b"prompt")))
        self.bytes = sum(len(data) for _, data in self.stage.relay.answers[self.answers:]) + sum(map(len, lines))
        return self


class Stage:
    def __init__(self, scene, count, seconds):
        self.scene, self.count, self.seconds = scene, count, seconds
        self.haproxy = scene.haproxy()
        self.relay = Relay(scene, self.haproxy)
        self.proxy = None
        self.start("quiet", "1h")
        self.swarm = Swarm(self.proxy.port, count)

    def start(self, name, interval):
        if self.proxy:
            self.proxy.kill()
        self.proxy = self.scene.sidecar(self.haproxy, name=name, socket_path=self.relay.path, more={
            "gossip": {"members_max": 12000, "profile": "lan"},
            "haproxy": {"reconcile_interval": interval, "server_options": OPTIONS}, "log": {"level": "warn"}})
        wait_until(lambda: self.proxy.log.find(Say.HAPROXY_UP) or self.relay.when("^show servers state"), 10, "HAProxy")

    def rest(self):
        """A span in which nothing changes."""
        wait_until(self.is_quiet, 120, "the end of what was before", every=0.2)
        span = Span(self)
        time.sleep(self.seconds)  # The span that is measured.
        return span.end()

    def is_quiet(self):
        before = all_cpu_ms(self.proxy.pid)
        time.sleep(1)  # The span that is judged.
        return all_cpu_ms(self.proxy.pid) - before < self.limit

    limit = 400

    def in_rotation(self):
        return sum(1 for row in self.haproxy.servers() or [] if row.in_rotation)

    def build(self):
        self.swarm.join()
        span = Span(self)
        self.swarm.announce(self.swarm.members)
        self.swarm.wait_accepted(self.swarm.members, 600)
        span.end()
        assert self.in_rotation() == self.count
        return span

    def change(self):
        span, told = Span(self), 0.0
        for member in self.swarm.members[:CHANGES]:
            for say in (self.swarm.depart, self.swarm.announce):
                if say == self.swarm.announce:  # A new start, as after a redeploy.
                    member.start_id += 1_000_000
                say([member])
                self.swarm.wait_accepted([member], 60)
                told += member.answered - member.asked
        span.end()
        return span, told * 1000 / (2 * CHANGES)


def measured(count, seconds):
    scene = Scene()
    try:
        stage = Stage(scene, count, seconds)
        built = stage.build()
        idle = stage.rest()
        changed, told = stage.change()
        resident = resident_kib(stage.proxy.pid) / 1024
        idle_rate = idle.sidecar / idle.ms
        # The same with comparisons: another sidecar, which adopts what stands.
        stage.start("busy", "500ms")
        adopted = Span(stage)
        stage.swarm.sidecar = ("127.0.0.1", stage.proxy.port)
        stage.swarm.join()
        stage.swarm.announce(stage.swarm.members)
        stage.swarm.wait_accepted(stage.swarm.members, 600)
        adopted.end()
        compared = stage.rest()
        looks, changes = max(compared.looks, 1), 2 * CHANGES
        return {
            "servers": count,
            "build, s": built.ms / 1000,
            "build: sidecar's CPU, ms a server": built.sidecar / count,
            "build: HAProxy's CPU, ms a server": built.haproxy / count,
            "change: told after, ms": told,
            "change: sidecar's CPU, ms": (changed.sidecar - idle_rate * changed.ms) / changes,
            "change: HAProxy's CPU, ms": (changed.haproxy - idle.haproxy / idle.ms * changed.ms) / changes,
            "change: kB on the socket": (changed.bytes - idle.bytes / idle.ms * changed.ms) / changes / 1000,
            "change: looks at the table": changed.looks / changes,
            "compare: sidecar's CPU, ms": (compared.sidecar - idle_rate * compared.ms) / looks,
            "compare: HAProxy's CPU, ms": (compared.haproxy - idle.haproxy / idle.ms * compared.ms) / looks,
            "adopt, s": adopted.ms / 1000,
            "compare: kB on the socket": (compared.bytes - idle.bytes / idle.ms * compared.ms) / looks / 1000,
            "nothing to do: sidecar's CPU, % of a core": idle_rate * 100,
            "sidecar resident, MiB": resident,
        }
    finally:
        scene.close(remove=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--servers", default="100,1000,10000")
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    columns = [measured(int(count), options.seconds) for count in options.servers.split(",")]
    for key in columns[0]:
        print(f"| {key} | " + " | ".join(f"{c[key]:.3g}" if isinstance(c[key], float) else f"{c[key]}" for c in columns)
              + " |")


if __name__ == "__main__":
    main()
