"""User events, force-leave, and what each program's own commands show of the other."""
import contextlib
import json
import os
import re

from both import event
from gossip_peer import Peer, view_of
from gossip_wire import SERF_EVENT, USER, compound
from harness import Failure, Say, check, free_port, hold_true, test, wait_until


class Handler:
    """An agent's event handler that writes down each event's name, time and payload."""

    def __init__(self, scene, name):
        self.path = scene.path(f"{name}.events")
        script = scene.path(f"{name}.handler")
        with open(script, "w", encoding="ascii") as f:
            f.write(f'#!/bin/sh\necho "$SERF_USER_EVENT $SERF_USER_LTIME $(cat)" >> {self.path}\n')
        os.chmod(script, 0o755)
        self.option = f"-event-handler=user={script}"

    def lines(self):
        try:
            with open(self.path, encoding="utf-8") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []


@test(seconds=60, also_encrypted=True)
def test_user_events_go_both_ways_once_and_in_time(scene):
    handler = Handler(scene, "agent")
    agent = scene.agent("agent", profile="lan", extra=[handler.option])
    first = scene.member("first", join=[agent])
    second = scene.member("second", join=[agent])
    for shoal in (first, second):
        agent.wait_status(shoal.name, "alive", 10)
        shoal.wait_status("agent", "alive", 10)
    agent.command("event", "-coalesce=false", "from-agent", "one two")
    for shoal in (first, second):
        said = json.loads(shoal.log.wait_for('"event":"user event".*from-agent', 10))
        check(said["name"] == "from-agent" and said["payload"] == "one two", f"{shoal.name} says {said}")
    first.command("event", "from-shoal", "three four")
    wait_until(lambda: any(line.startswith("from-shoal ") for line in handler.lines()), 10, "the event at the agent")
    second.log.wait_for('"event":"user event".*from-shoal', 5)
    lines = [line.split(" ", 2) for line in handler.lines()]
    times = {name: int(time) for name, time, _ in lines}
    check(lines[-1][2] == "three four" and times["from-shoal"] == times["from-agent"] + 1, f"the handler got {lines}")
    hold_true(lambda: len(handler.lines()) == 2, 1, "each event once at the agent")
    for shoal in (first, second):
        check(shoal.log.count('"event":"user event"') == 2, f"{shoal.name} has {shoal.log.count('user event')} events")


@test(seconds=60)
def test_of_events_that_may_be_coalesced_the_newest_alone_is_told(scene):
    member = scene.member("member")
    with contextlib.closing(Peer("peer", free_port())) as peer:
        peer.exchange(member.port, timeout=10)
        peer.send(compound(*[event(n, "roll", f"v{n}".encode(), cc=True) for n in (3, 5, 4)],
                           event(6, "each", b"x"), event(7, "each", b"y")), member.port)
        said = json.loads(member.log.wait_for('"event":"user event","name":"roll"', 10))
        check(said["payload"] == "v5" and said["ltime"] == 5, f"it says {said}")
        check(member.log.count('"event":"user event","name":"roll"') == 1, "the others were told as well")
        check(member.log.count('"event":"user event","name":"each"') == 2, "some may not be coalesced, and were")
        for words, wanted in ((["a"], False), (["b", "payload", "--coalesce"], True)):
            member.command("event", *words)
            heard = peer.wait_for(USER, SERF_EVENT, where=lambda h, w=words: h.body["Name"] == w[0].encode())
            check(heard and heard.body["CC"] is wanted, f"shoal event {words} says {heard and heard.body}")


@test(seconds=60, also_encrypted=True)
def test_events_have_serfs_limits_and_old_ones_are_not_heard_by_newcomers(scene):
    agent = scene.agent("agent", profile="lan")
    first = scene.member("first", join=[agent])
    first.wait_status("agent", "alive", 10)
    # 512 bytes with the field names and the type byte: 477 of payload behind a name of five letters.
    for sender in (first, agent):
        sender.command("event", "limit", "x" * 477)
        try:
            sender.command("event", "limit", "x" * 478)
            raise AssertionError(f"{sender.name} has sent an event of 513 bytes")
        except Failure as failure:
            check("512" in str(failure), str(failure))
    wait_until(lambda: agent.log.find("user-event: limit"), 10, "the event at the agent")
    late = scene.member("late", join=[first])
    late.wait_status("first", "alive", 10)
    first.wait_status("late", "alive", 10)
    first.command("event", "after", "y")
    late.log.wait_for('"event":"user event".*after', 10)
    check(not late.log.find('"event":"user event".*limit'), "a newcomer has heard an event from before its time")


@test(seconds=90, also_encrypted=True)
def test_a_failed_member_is_forced_out_and_forgotten_from_either_side(scene):
    agent = scene.agent("agent", profile="local")
    member = scene.member("member", join=[agent], profile="local")
    dead = {name: scene.member(name, join=[agent], profile="local") for name in ("a", "b")}
    for name in dead:
        agent.wait_status(name, "alive", 10)
        member.wait_status(name, "alive", 10)
    for shoal in dead.values():
        shoal.kill()
    for watcher in (agent, member):
        for name in dead:
            watcher.wait_status(name, "failed", 30)
    member.command("force-leave", "a")
    for watcher in (agent, member):
        watcher.wait_status("a", "left", 10)
    member.command("force-leave", "a", "--prune")

    def forget_b():  # An agent gossips to the dead as well, and of the few copies none may reach a living one.
        agent.command("force-leave", "-prune", "b")
        return "b" not in member.members()
    wait_until(forget_b, 15, "b forgotten by our member", every=0.5)
    for watcher in (agent, member):
        wait_until(lambda w=watcher: not {"a", "b"} & set(w.members()), 10, f"a and b forgotten by {watcher.name}")
    try:
        member.command("force-leave", "nobody")
        raise AssertionError("an unknown name was forced out")
    except Failure as failure:
        check("nobody" in str(failure) or "no member" in str(failure), str(failure))
    check(not agent.errors() or all("refused" in line for line in agent.errors()), f"{agent.errors()}")


@test(seconds=120)
def test_a_living_member_cannot_be_forced_out(scene):
    agent = scene.agent("agent", profile="lan")
    member = scene.member("member", join=[agent])
    other = scene.member("other", join=[agent])
    for name in ("agent", "other"):
        member.wait_status(name, "alive", 10)
    agent.command("force-leave", "member")
    member.command("force-leave", "agent")
    member.command("force-leave", "other")
    names = {"agent": "alive", "member": "alive", "other": "alive"}
    wait_until(lambda: {n: m["status"] for n, m in agent.members().items()} == names, 45, "all alive to the agent")
    # A lost datagram is made good by the next push/pull, 30 s later at most.
    for shoal in (member, other):
        wait_until(lambda s=shoal: {n: m["status"] for n, m in s.members().items()} == names, 45,
                   f"all alive to {shoal.name}")


@test(seconds=60)
def test_both_programs_list_the_same_members(scene):
    agent = scene.agent("agent", profile="lan", tags={"role": "x", "zone": "b"})
    member = scene.member("member", join=[agent], more={"node.tags": {"rack": "r1", "empty": ""}})
    gone = scene.member("gone", join=[agent])
    for name in ("member", "gone"):
        agent.wait_status(name, "alive", 10)
    for name in ("agent", "gone"):
        member.wait_status(name, "alive", 10)
    check(gone.stop(30) == 0, "not 0")
    agent.wait_status("gone", "left", 10)
    member.wait_status("gone", "left", 10)
    agent.command("tags", "-set", "zone=c")
    wait_until(lambda: member.members()["agent"]["tags"] == {"role": "x", "zone": "c"}, 10, "the changed tag")
    keys = ("status", "tags", "addr", "name")
    seen = [{n: {k: m[k] for k in keys} for n, m in who.members().items()} for who in (agent, member)]
    check(seen[0] == seen[1], f"the agent lists {seen[0]}, shoal {seen[1]}")
    view = view_of(member.gossip)
    check({n: v[0] for n, v in view.items()} == {n: m["status"] for n, m in seen[1].items()}, f"its push/pull: {view}")


@test(seconds=60, agents_may_say="Conflicting address|name conflicts")
def test_of_two_nodes_with_one_name_ours_takes_another_and_the_agent_keeps_it(scene):
    agent = scene.agent("same", profile="lan")
    watchers = [scene.agent(f"watcher-{i}", join=[agent.gossip], profile="lan") for i in range(2)]
    for watcher in watchers:
        watcher.wait_status("same", "alive", 10)
    ours = scene.member("same-shoal", join=[watchers[0]], more={"node": {"name": "same"}})
    ours.log.wait_for('"level":"(warn|error)".*same.*name|"level":"(warn|error)".*name.*same', 20)

    def new_name():
        return next((n for n, m in watchers[0].members().items() if m["addr"] == ours.gossip
                     and m["status"] == "alive" and n != "same"), None)
    name = wait_until(new_name, 30, "our node under another name")
    scene.say(f"ours is called {name} now")
    for who in (agent, *watchers):
        who.wait_status(name, "alive", 10)
        members = who.members()
        check((members["same"]["addr"], members["same"]["status"]) == (agent.gossip, "alive"),
              f"{who.name} sees {members['same']}")
        check(who.running(), f"{who.name} has died")
    hold_true(lambda: agent.status_of("same") == "alive" and agent.status_of(name) == "alive", 2, "both alive")
    check(ours.running(), "our node has died")
    check(Say.SIDECAR_STARTED and ours.stop(30) == 0, "not 0")
    agent.wait_status(name, "left", 10)
    check(agent.status_of("same") == "alive", "the agent was taken along")


@test(seconds=60, agents_may_say="Conflicting address|name conflicts")
def test_a_lone_agent_survives_a_shoal_that_comes_with_its_name(scene):
    """Nobody else can vouch for the agent."""
    agent = scene.agent("same", profile="lan")
    ours = scene.member("same-shoal", join=[agent], more={"node": {"name": "same"}})
    name = wait_until(lambda: next((n for n, m in agent.members().items() if n != "same" and m["addr"] == ours.gossip
                                    and m["status"] == "alive"), None), 30, "our node under another name")
    hold_true(lambda: agent.running() and agent.status_of(name) == "alive", 6, "the agent lives")


@test(seconds=60, agents_may_say="Conflicting address|name conflicts")
def test_two_shoals_with_one_name_both_live_and_one_keeps_it(scene):
    watchers = [scene.agent("watcher-0", profile="lan")]
    watchers.append(scene.agent("watcher-1", join=[watchers[0].gossip], profile="lan"))
    name = {"node": {"name": "twin"}}
    first = scene.member("first-twin", join=[watchers[0]], more=name)
    for watcher in watchers:
        watcher.wait_status("twin", "alive", 10)
    second = scene.member("second-twin", join=[watchers[1]], more=name)

    def both():
        alive = {m["addr"]: n for n, m in watchers[0].members().items() if m["status"] == "alive"}
        return alive if {first.gossip, second.gossip} <= set(alive) else None
    alive = wait_until(both, 30, "both alive under two names")
    check(alive[first.gossip] == "twin" and alive[second.gossip] != "twin", f"the names are {alive}")
    for member in (first, second):
        for other in (first, second):
            member.wait_status(alive[other.gossip], "alive", 10)
    hold_true(lambda: both() == alive, 4, "both stay")


@test(seconds=60)
def test_a_member_that_left_may_come_back_under_its_name_elsewhere(scene):
    agent = scene.agent("agent", profile="lan")
    watcher = scene.member("watcher", join=[agent])
    old = scene.member("mover-old", join=[agent], more={"node": {"name": "mover"}})
    for who in (agent, watcher):
        who.wait_status("mover", "alive", 10)
    check(old.stop(30) == 0, "not 0")
    for who in (agent, watcher):
        who.wait_status("mover", "left", 10)
    new = scene.member("mover-new", join=[agent], more={"node": {"name": "mover"}})
    for who in (agent, watcher):
        who.wait_status("mover", "alive", 10)
        check(who.members()["mover"]["addr"] == new.gossip, f"{who.name} sees it at {who.members()['mover']}")


@test(seconds=90, agents_may_say="Conflicting address|name conflicts")
def test_a_member_that_died_and_starts_elsewhere_is_alive_under_some_name(scene):
    """Its old record is in the way: memberlist lets only names that left move. It may not stay outside for that."""
    agent = scene.agent("agent", profile="local")
    watcher = scene.member("watcher", join=[agent], profile="local")
    old = scene.member("mover-old", join=[agent], profile="local", more={"node": {"name": "mover"}})
    for who in (agent, watcher):
        who.wait_status("mover", "alive", 10)
    old.kill()
    new = scene.member("mover-new", join=[agent], profile="local", more={"node": {"name": "mover"}})
    for who in (agent, watcher):
        wait_until(lambda w=who: any(m["addr"] == new.gossip and m["status"] == "alive" for m in w.members().values()),
                   30, f"{who.name} sees the new one alive")
        check(who.running(), f"{who.name} has died")
    name = next(n for n, m in agent.members().items() if m["addr"] == new.gossip)
    scene.say(f"it is called {name} now")


@test(seconds=90, also_encrypted=True)
def test_agents_of_every_protocol_and_without_compression_are_members(scene):
    seed = scene.member("seed")
    agents = [scene.agent(f"agent-{n}", join=[seed.gossip], profile="lan", extra=[f"-protocol={n}", "-role=x"])
              for n in (2, 3, 4, 5)]
    agents.append(scene.agent("agent-raw", join=[seed.gossip], profile="lan", extra=["-disable-compression"]))
    late = scene.member("late", join=[agents[0]])
    names = {a.name for a in agents} | {"seed", "late"}
    # Each tells of a newcomer four times, to anybody: once in some dozens of runs one of the seven is missed by all,
    # and hears of it by a push/pull, half a minute later.
    for who in (seed, late, *agents):
        wait_until(lambda w=who: {n for n, m in w.members().items() if m["status"] == "alive"} == names, 45,
                   f"{who.name} sees all seven", every=0.1)
    for name in ("agent-2", "agent-3", "agent-4", "agent-5"):
        check(seed.members()[name]["tags"] == {"role": "x"}, f"the tags of {name}: {seed.members()[name]['tags']}")
    told = agents[3].command("query", "-timeout=3s", "_nobody_answers", raw=True).decode()
    # Protocol 2 and 3 know no queries of their own, but an agent of today answers them whatever it says that it is.
    check("from 'seed'" in told and "from 'late'" in told, f"acks: {told}")
    for agent in agents:
        check(not agent.errors(), f"errors in the log of {agent.name}: {agent.errors()}")


@test(seconds=60, also_encrypted=True)
def test_an_agent_can_tell_how_far_our_members_are(scene):
    """serf's network coordinates, which our acks carry."""
    agent = scene.agent("agent", profile="local")
    members = [scene.member(f"member-{i}", join=[agent], profile="local") for i in range(2)]
    for member in members:
        agent.wait_status(member.name, "alive", 10)

    def estimate(*nodes):
        try:
            found = re.search(r"rtt: ([0-9.]+) ms", agent.command("rtt", *nodes))
        except Failure:
            return None  # No coordinate yet.
        return found and float(found.group(1))
    for nodes in (["member-0"], ["member-1"], ["member-0", "member-1"]):
        far = wait_until(lambda n=nodes: estimate(*n), 20, f"serf rtt {' '.join(nodes)}", every=0.2)
        check(0 < far < 500, f"{nodes} are {far} ms apart")
    wait_until(lambda: agent.stats()["coordinate_resets"] == "0", 1, "no coordinate was refused")
    check(not agent.log.find("[Rr]ejected|coordinate.*(error|invalid)"), "the agent refuses a coordinate")
