"""Ten stock agents and ten shoals in one cluster, on the loopback of a network of their own: what happens to any of
them is seen alike by all. Whoever lives is asked for all that it knows, by a push/pull that tells it nothing."""
import base64
import json
import os
import re
import subprocess

from gossip_peer import events_of, view_of
from harness import (HERE, KEY, KEY_TEXT, POOL, PYTHON, Failure, SerfAgent, Shoal, check, hold_true, merged,
                     own_network, test, wait_until)


def side_of(number):
    """Words before a command that put it on one of two sides, for `cut`: the sides are groups, because a stream from
    one address of a loopback to another does not tell where it came from."""
    return ["setpriv", "--regid", str(_GROUPS[number % 2]), "--clear-groups", "--pdeathsig", "KILL"]


_GROUPS = (60001, 60002)


class Cluster:
    """agent-0..n at 127.0.1.1.. and shoal-0..n at 127.0.2.1..; of the shoals, every second is a task with a worker,
    the others are sidecars whose HAProxy has not come."""

    def __init__(self, scene, agents, shoals, key=None):
        self.scene, self.key = scene, key
        self.keys = [KEY] if key else []
        self.members, self.wanted = {}, {}
        self.gone = set()
        self.pruned = set()  # serf has forgotten them; memberlist keeps the record for a while.
        self.before = {}  # name -> who was gone already when it started: no newcomer is told of those.
        for number in range(max(agents, shoals)):
            for kind, count in (("agent", agents), ("shoal", shoals)):
                if number < count:
                    self.start(kind, number)

    def start(self, kind, number):
        name = f"{kind}-{number}"
        seeds = [m.gossip for m in list(self.members.values())[:2]]
        host = f"127.0.{1 if kind == 'agent' else 2}.{number + 1}"
        if kind == "agent":
            member = SerfAgent(self.scene, name, address=host, port=7946, profile="lan", key=self.key, join=seeds[:1],
                               inside=side_of(number), tags={"role": "agent", "number": str(number)})
            tags = {"role": "agent", "number": str(number)}
        else:
            member, tags = self._shoal(name, number, host, seeds)
        self.members[name] = member
        self.wanted[name] = ("alive", tags, member.gossip)

    def _shoal(self, name, number, host, seeds):
        task = number % 2 == 1
        settings = {"role": "task" if task else "sidecar", "node": {"name": name},
                    "node.tags": {"number": str(number)},
                    "gossip": {"bind": f"{host}:7946", "join": seeds, "profile": "lan",
                               **({"key": self.key} if self.key else {})},
                    "log": {"level": "debug", "format": "json"}}
        if task:
            command = [PYTHON, os.path.join(HERE, "worker.py"), "--name", name]
            settings = merged(settings, {"task": {"backend": POOL, "listen": f"{host}:0", "drain_timeout": "5s"},
                                         "worker": {"command": command}})
        else:
            settings = merged(settings, {"haproxy": {"socket": self.scene.path("no-haproxy.sock")}})
        member = Shoal(self.scene, name, settings, inside=side_of(number)).start()
        member.gossip, member.is_task = f"{host}:7946", task
        tags = {"role": settings["role"], "number": str(number), "state": "ready" if task else None, "shoal": "1"}
        return member, tags

    def stopped(self, name, status):
        self.gone.add(name)
        self.set_wanted(name, status)

    def restart(self, name):
        self.gone.discard(name)
        self.before[name] = {other for other, wanted in self.wanted.items() if wanted[0] != "alive"} - {name}
        self.members[name].start()
        self.set_wanted(name, "alive")

    def living(self):
        return [name for name in self.members if name not in self.gone]

    def agents(self):
        return [self.members[name] for name in self.living() if name.startswith("agent")]

    def shoals(self):
        return [self.members[name] for name in self.living() if name.startswith("shoal")]

    def view(self, name):
        return view_of(self.members[name].gossip, self.keys)

    def differences(self):
        """Where a view is not what is wanted, in words; empty when all agree."""
        out = []
        for name in self.living():
            try:
                view = self.view(name)
            except (OSError, IndexError, ValueError) as problem:
                out.append(f"{name} does not answer: {problem}")
                continue
            for other in sorted(set(view) | set(self.wanted)):
                seen, wanted = view.get(other), self.wanted.get(other)
                if other in self.pruned and seen and seen[0] != "alive":
                    continue
                if seen is None and other in self.before.get(name, ()):
                    continue
                if seen is None or wanted is None:
                    out.append(f"{name} {'does not know' if seen is None else 'still knows'} {other}")
                    continue
                tags = {k: v for k, v in wanted[1].items() if v is not None}
                if seen[0] != wanted[0] or seen[2] != wanted[2] or not tags.items() <= seen[1].items():
                    out.append(f"{name} sees {other} as {seen}, not {wanted}")
        return out

    # Gossip misses somebody at times; then the next push/pull, every 30 s from each member to another, makes up for it.
    def wait_events(self, events, timeout=100):
        """Until each living member keeps these (name, payload) among the events that it tells newcomers of."""
        missing = []

        def known():
            missing[:] = [name for name in self.living()
                          if not events <= events_of(self.members[name].gossip, self.keys)]
            return not missing
        try:
            wait_until(known, timeout, f"{events} at every member", every=0.1)
        except Failure as failure:
            raise Failure(f"{failure}; not at {missing}") from None

    def wait_agreed(self, what, timeout=100):
        last = []

        def agreed():
            last[:] = self.differences()
            return not last
        try:
            wait_until(agreed, timeout, what, every=0.2)
        except Failure as failure:
            raise Failure(f"{failure}: {len(last)} differences: " + "; ".join(last[:6])) from None

    def set_wanted(self, name, status=None, **tags):
        old = self.wanted[name]
        self.wanted[name] = (status or old[0], {**old[1], **tags}, old[2])

    def check_logs(self):
        for name, member in self.members.items():
            check(name in self.gone or member.running(), f"{name} has died")
            if name.startswith("shoal"):  # The agents' logs are looked at after every test.
                bad = [line for line in member.log.text().splitlines() if '"level":"error"' in line]
                check(not bad, f"errors in the log of {name}: " + "\n".join(bad[:5]))


def nft(*rules):
    subprocess.run(["nft", "; ".join(rules)], check=True)


def lose_a_fifth():
    nft("add table inet loss", "add chain inet loss in { type filter hook input priority 0; }",
        "add rule inet loss in meta l4proto udp numgen random mod 100 < 20 drop")


def cut():
    """Between members of even and of odd numbers."""
    even, odd = ("{ " + ", ".join(f"127.0.{kind}.{n + 1}" for kind in (1, 2) for n in range(parity, 20, 2)) + " }"
                 for parity in (0, 1))
    nft("add table inet cut", "add chain inet cut out { type filter hook output priority 0; }",
        f"add rule inet cut out meta skgid {_GROUPS[0]} ip daddr {odd} drop",
        f"add rule inet cut out meta skgid {_GROUPS[1]} ip daddr {even} drop")


def heal():
    nft("delete table inet cut")


def until_all_answer(command):
    """As an operator has to: a question that by chance is gossiped past somebody (one in some hundred, with this many
    members) is asked again before the next step."""
    for attempt in (1, 2, 3):
        try:
            return command()
        except Failure as failure:
            if attempt == 3 or not re.search("[0-9]+/[0-9]+ nodes reported success|did not answer", str(failure)):
                raise


def no_network(scene):
    if own_network():
        return False
    scene.say("not done: this machine lets nobody make network namespaces")
    return True


@test(seconds=400, alone=True)
def test_ten_agents_and_ten_shoals_see_alike_who_joins_fails_leaves_and_is_forced_out(scene):
    if no_network(scene):
        return
    cluster = Cluster(scene, agents=10, shoals=10)
    cluster.wait_agreed("all twenty know all twenty")

    agents, shoals = cluster.agents(), cluster.shoals()
    agents[6].command("event", "from-agent", "v1")
    shoals[5].command("event", "from-task", "v2")
    cluster.wait_events({(b"from-agent", b"v1"), (b"from-task", b"v2")})

    agents[3].command("tags", "-set", "zone=b", "-delete", "number")
    cluster.set_wanted("agent-3", zone="b", number=None)
    cluster.wait_agreed("the new tags known to all")
    check("number" not in cluster.view("shoal-4")["agent-3"][1], "a deleted tag is still there")

    told = agents[4].command("query", "-timeout=6s", "-relay-factor=3", "solicit", "", raw=True, timeout=30).decode(
        "utf-8", "replace")
    check("Total Acks: 20" in told and "Total Responses: 5" in told, f"a query of all: {told[-300:]}")
    for attempt in range(3):  # An answer is one datagram, which may be lost.
        try:
            reached = agents[5].command("reachability", timeout=30)
            break
        except Failure as failure:
            reached = str(failure)
    check("Successfully contacted all live nodes" in reached, f"serf reachability: {reached}")

    for name in ("agent-8", "agent-9", "shoal-8", "shoal-9"):
        cluster.members[name].kill()
        cluster.stopped(name, "failed")
    cluster.wait_agreed("the four that were killed failed to all")

    agents[0].command("force-leave", "shoal-8")
    shoals[0].command("force-leave", "agent-8")
    for name in ("agent-8", "shoal-8"):
        cluster.set_wanted(name, "left")
    cluster.wait_agreed("two of them forced out")
    agents[1].command("force-leave", "-prune", "shoal-9")
    shoals[1].command("force-leave", "agent-9", "--prune")
    for name in ("agent-9", "shoal-9"):
        cluster.pruned.add(name)
        del cluster.wanted[name]
    cluster.wait_agreed("two of them forgotten")

    agents[2].command("leave", timeout=30)
    for name in ("agent-2", "shoal-2", "shoal-3"):
        cluster.stopped(name, "left")
    check(shoals[2].stop(30) == 0 and shoals[3].stop(30) == 0, "a shoal did not stop with 0")
    # Gossip reaches all at once as a rule; whom it misses (agents send some of a message's few copies to the dead)
    # learns it from the next push/pull, within half a minute.
    cluster.wait_agreed("the three that left")
    for name in ("shoal-2", "shoal-3"):
        cluster.restart(name)
    cluster.wait_agreed("two of those back")
    cluster.check_logs()


@test(seconds=300, alone=True)
def test_a_cluster_with_a_fifth_of_all_datagrams_lost_loses_nobody_and_heals_when_it_was_cut_in_two(scene):
    if no_network(scene):
        return
    cluster = Cluster(scene, agents=10, shoals=10, key=KEY_TEXT)
    cluster.wait_agreed("all twenty know all twenty")
    lose_a_fifth()
    hold_true(lambda: not any("failed" in d for d in cluster.differences()), 12, "nobody failed to anybody", every=0.5)

    cut()
    sides = [[f"{kind}-{i}" for kind in ("agent", "shoal") for i in range(parity, 10, 2)] for parity in (0, 1)]

    def parted():
        for near, far in (sides, sides[::-1]):
            for name in near:
                try:
                    view = cluster.view(name)
                except (OSError, IndexError, ValueError):
                    return False
                # Of the far ones memberlist forgets the first half a minute after their death, as it should.
                if any(view[other][0] != "alive" for other in near) or \
                        any(view[other][0] != "failed" for other in far if other in view):
                    return False
        return True
    wait_until(parted, 100, "each side whole, and the other failed to it", every=0.5)
    heal()
    cluster.wait_agreed("one cluster again, under loss")
    cluster.check_logs()


@test(seconds=300, alone=True, agents_may_say="decrypt")
def test_the_keys_of_twenty_members_are_changed_from_either_side_and_nobody_is_lost(scene):
    if no_network(scene):
        return
    cluster = Cluster(scene, agents=10, shoals=10, key=KEY_TEXT)
    cluster.wait_agreed("all twenty know all twenty")
    agent, shoal = cluster.agents()[1], cluster.shoals()[2]

    def by_agent(what, key):
        agent.command("keys", f"-{what}={key}", timeout=30)

    def by_shoal(what, key):
        shoal.command("keys", what, key)
    ring = [KEY, bytes(range(100, 116)), bytes(range(200, 224))]
    for change, old, new in ((by_agent, ring[0], ring[1]), (by_shoal, ring[1], ring[2])):
        for what, key in (("install", new), ("use", new), ("remove", old)):
            until_all_answer(lambda c=change, w=what, k=base64.b64encode(key).decode(): c(w, k))
            cluster.keys = [old, new] if what == "install" else [new, old] if what == "use" else [new]
            hold_true(lambda: not cluster.differences(), 1.5, f"agreement after {change.__name__} {what}", every=0.3)
        listed = json.loads(until_all_answer(lambda: shoal.command("keys", "list", "-o", "json")))
        check([(k["key"], k["nodes"], k["primary_nodes"]) for k in listed["keys"]]
              == [(base64.b64encode(new).decode(), 20, 20)], f"the keys are {listed}")
        told = until_all_answer(lambda: agent.command("keys", "-list", timeout=30))
        check("[20/20]" in told and base64.b64encode(old).decode() not in told, f"serf keys -list: {told}")
    # The old key opens nothing any more, and newcomers come in by the new one.
    refused = cluster.scene.agent("late", key=KEY_TEXT, profile="lan", address="127.0.3.1", port=7946)
    try:
        refused.command("join", shoal.gossip, timeout=30)
        raise AssertionError("an agent with the removed key could join")
    except Failure:
        pass
    cluster.key = base64.b64encode(ring[2]).decode()
    for kind in ("agent", "shoal"):
        cluster.start(kind, 10)
    cluster.wait_agreed("two newcomers known to all")
    for name, member in cluster.members.items():
        failed = member.log.find(r'member-failed|EventMemberFailed|"event":"member failed"')
        check(not failed, f"{name} saw a failure: {failed}")
    cluster.check_logs()
