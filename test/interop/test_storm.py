"""A thousand tasks announce themselves at the same moment, and half of them go at the same moment."""
import time

from gossip_swarm import Swarm
from harness import GRACE_SECONDS, Relay, Say, check, test, unexpected_lines, wait_until

TASKS, LEAVING = 1000, 500


def in_rotation(haproxy):
    return sum(1 for row in haproxy.servers() or [] if row.in_rotation)


class Sent:
    """What reached HAProxy's socket since a moment."""

    def __init__(self, relay, since):
        self.lines = [(when, line) for when, line in relay.lines if when >= since]
        seconds = {}
        for when, _ in self.lines:
            seconds[int(when)] = seconds.get(int(when), 0) + 1
        self.most_in_a_second = max(seconds.values(), default=0)
        self.looks = self.count(b"show servers state")
        self.changes = sum(1 for _, line in self.lines if not line.startswith((b"show", b"prompt")))

    def count(self, start):
        return sum(1 for _, line in self.lines if line.startswith(start))

    def __str__(self):
        return (f"{self.changes} commands in {self.looks} looks at the table, {len(self.lines)} lines in all, at most "
                f"{self.most_in_a_second} in a second")


@test(seconds=240)
def test_a_storm_of_announcements_and_leaves_loses_none_and_costs_each_command_once(scene):
    haproxy = scene.haproxy()
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path)
    proxy.log.wait_for(Say.HAPROXY_UP, 10)
    swarm = Swarm(proxy.port, TASKS)
    swarm.join()
    begun = time.monotonic()
    swarm.announce(swarm.members)
    wait_until(lambda: in_rotation(haproxy) == TASKS, 120, f"{TASKS} in rotation", every=0.05)
    stood = time.monotonic() - begun
    wait_until(lambda: not swarm.not_accepted(swarm.members), 60, f"{TASKS} accepted", every=0.05)
    sent = Sent(relay, begun)
    scene.say(f"{TASKS} announced at once: all in rotation after {stood:.1f} s, all told so after "
              f"{max(m.answered for m in swarm.members) - begun:.1f} s; {sent}")
    check(sent.count(b"add server") == TASKS, f"{sent.count(b'add server')} adds of {TASKS} servers")
    check(sent.changes == 4 * TASKS, f"an add takes four commands: {sent}")
    check(sent.looks < TASKS / 4, f"a storm is batched: {sent}")

    begun, going = time.monotonic(), swarm.members[:LEAVING]
    swarm.depart(going[::2])  # As a task that is told to stop ...
    swarm.leave(going[1::2])  # ... and as an agent whose tasks never depart.
    wait_until(lambda: in_rotation(haproxy) == TASKS - LEAVING, 60, f"{LEAVING} out of rotation", every=0.05)
    out = time.monotonic() - begun
    wait_until(lambda: not swarm.not_accepted(going[::2]), 60, "all told that they are out", every=0.05)
    swarm.leave(going[::2])
    wait_until(lambda: len(haproxy.servers() or []) == TASKS - LEAVING, GRACE_SECONDS + 60, f"{LEAVING} deleted",
               every=0.1)
    sent = Sent(relay, begun)
    scene.say(f"{LEAVING} left at once: out of rotation after {out:.1f} s, deleted after "
              f"{time.monotonic() - begun:.1f} s; {sent}")
    check(sent.count(b"del server") == LEAVING, f"{sent.count(b'del server')} deletes of {LEAVING} servers")
    check(sent.changes == 3 * LEAVING, f"a way out takes three commands: {sent}")
    names = {m.name for m in swarm.members[LEAVING:]}
    left = {row.name.split("-")[1] for row in haproxy.servers() if row.in_rotation}
    check(left == names, f"others than those who stayed are in rotation: {sorted(left ^ names)[:5]}")
    check(not unexpected_lines(relay), f"what reached the socket: {unexpected_lines(relay)[:3]}")
    check(not swarm.unreadable, f"{swarm.unreadable[:3]}")
