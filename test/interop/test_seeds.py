"""How a member finds its cluster: seeds by name and by SRV record that change, seeds that go and come back."""
import json
import os

from harness import HERE, PYTHON, Say, check, free_port, own_network, test, wait_until


def name_servers():
    with open("/etc/resolv.conf", encoding="utf-8") as f:
        found = [line.split()[1].split("%")[0] for line in f if line.startswith("nameserver")]
    return found or ["127.0.0.1"]


class Names:
    """The name server of a namespace, at the addresses where /etc/resolv.conf says that one is."""

    def __init__(self, scene):
        self._path = scene.path("zone.json")
        self.set({})
        servers = name_servers()
        self.program = scene.run("dns", [PYTHON, os.path.join(HERE, "dns_server.py"), self._path, *servers])
        for server in servers:
            self.program.log.wait_for(f"serving on {server}", 5)

    def set(self, zone):
        with open(self._path + ".new", "w", encoding="ascii") as f:
            json.dump(zone, f)
        os.rename(self._path + ".new", self._path)

    def asked(self, pattern, timeout=10):
        return self.program.log.wait_for(pattern, timeout)


def network_with_names(scene):
    """Names, or None where nobody may make a namespace."""
    lo = [f"{a}/{128 if ':' in a else 32}" for a in name_servers() if not a.startswith("127.") and a != "::1"]
    if not own_network(lo):
        scene.say("not done: this machine lets nobody make network namespaces")
        return None
    return Names(scene)


def at(address, profile="lan"):
    return {"gossip": {"bind": address, "profile": profile}}


@test(seconds=60)
def test_a_seed_that_is_not_there_yet_is_named_once_with_what_to_look_at_and_joined_when_it_comes(scene):
    seed = f"127.0.0.1:{free_port()}"
    early = scene.member("early", join=[seed], profile="local")
    said = json.loads(early.log.wait_for('"level":"warn","event":"cannot reach a seed yet', 10))
    check(said["seed"] == seed and "refused" in said["reason"] and "TCP" in said["hint"], f"it says {said}")
    scene.member("late", profile="local", more=at(seed, "local"))
    early.log.wait_for(f'"event":"joined","seed":"{seed}"', 30)
    check(early.log.count("cannot reach a seed yet") == 1, "it is said more than once")


@test(seconds=60)
def test_a_seed_that_is_a_name_is_looked_up_again_until_it_leads_somewhere(scene):
    names = network_with_names(scene)
    if names is None:
        return
    first = scene.member("first", more=at("127.0.0.1:7946"))
    late = scene.member("late", more={"gossip": {"bind": "127.0.0.2:7946", "join": ["seeds.shoal.test"]}})
    names.asked(r"^A seeds\.shoal\.test: 0")
    late.log.wait_for('"level":"warn".*cannot resolve a seed', 10)
    nobody = "127.0.0.99"
    names.set({"seeds.shoal.test": {"A": [nobody]}})
    late.log.wait_for(f"push/pull failed.*{nobody}|cannot reach a seed.*{nobody}", 10)
    names.set({"seeds.shoal.test": {"A": [nobody, "127.0.0.1"]}})
    first.log.wait_for(Say.of(Say.MEMBER_JOINED, "late"), 15)
    late.log.wait_for(Say.of(Say.MEMBER_JOINED, "first"), 5)
    warnings = late.log.count('"level":"warn".*seed')
    check(warnings <= 2, f"{warnings} warnings about one seed")


@test(seconds=60)
def test_seeds_of_an_srv_record_have_ports_and_change_over_time(scene):
    names = network_with_names(scene)
    if names is None:
        return
    ports = [free_port(), free_port()]
    old, new = (scene.member(f"seed-{i}", more=at(f"127.0.0.{i + 1}:{port}")) for i, port in enumerate(ports))
    zone = {"one.shoal.test": {"A": ["127.0.0.1"]}, "two.shoal.test": {"A": ["127.0.0.2"]}}
    names.set({**zone, "_gossip._udp.shoal.test": {"SRV": [["one.shoal.test", ports[0]]]}})
    task = scene.task(["srv:_gossip._udp.shoal.test"], "task")
    old.log.wait_for(Say.of(Say.MEMBER_JOINED, "task"), 10)
    # The record moves on, and then the old seed goes: the task has to find the new one by itself.
    names.set({**zone, "_gossip._udp.shoal.test": {"SRV": [["two.shoal.test", ports[1]]]}})
    check(old.stop(30) == 0, "not 0")
    new.log.wait_for(Say.of(Say.MEMBER_JOINED, "task"), 20)
    check(task.running(), "the task has died")


@test(seconds=60)
def test_a_seed_that_left_and_comes_back_alone_is_found_again(scene):
    """The only seed leaves, properly, and knows nobody when it returns: those who know its address come to it."""
    seed = scene.member("seed", profile="local")
    task = scene.task(seed, "task")
    agent = scene.agent("agent", join=[seed.gossip])
    seed.log.wait_for(Say.of(Say.MEMBER_JOINED, "task"), 10)
    agent.wait_status("task", "alive", 10)
    check(seed.stop(30) == 0, "not 0")
    agent.wait_status("seed", "left", 10)
    mark = seed.log.mark()
    seed.start()
    seed.log.wait_for(Say.of(Say.MEMBER_JOINED, "task"), 15, since=mark)
    seed.log.wait_for(Say.of(Say.MEMBER_JOINED, "agent"), 5, since=mark)
    agent.wait_status("seed", "alive", 10)
    check(task.running(), "the task has died")


@test(seconds=60)
def test_two_sidecars_that_start_as_islands_become_one_cluster(scene):
    """Each has a task and is the other's seed; neither was there when the other started."""
    ports = [free_port(), free_port()]
    there = [f"127.0.0.1:{port}" for port in ports]
    west = scene.member("west", join=[there[1]], more=at(there[0], "local"))
    west_task = scene.task([there[0]], "west-task")
    west.log.wait_for(Say.of(Say.MEMBER_JOINED, "west-task"), 10)
    east_task = scene.task([there[1]], "east-task")
    east = scene.member("east", join=[there[0]], more=at(there[1], "local"))
    for member in (west, east):
        for name in ("west-task", "east-task"):
            member.log.wait_for(Say.of(Say.MEMBER_JOINED, name), 15)
    check(west_task.running() and east_task.running(), "a task has died")


@test(seconds=60, agents_may_say="fallback ping: EOF")
def test_a_member_at_the_address_of_a_dead_one_is_not_taken_for_it(scene):
    seed = scene.member("seed", profile="local")
    agent = scene.agent("agent", join=[seed.gossip])
    old = scene.member("old", join=[seed], profile="local")
    agent.wait_status("old", "alive", 10)
    old.kill()
    new = scene.member("new", join=[seed], profile="local", more=at(old.gossip, "local"))
    # Most of the few copies may go to the one that is dead; then a push/pull tells the agent, 15 s later.
    agent.wait_status("new", "alive", 25)
    agent.wait_status("old", "failed", 20)
    seed.log.wait_for(Say.of(Say.MEMBER_FAILED, "old"), 10)
    members = agent.members()
    check(members["new"]["status"] == "alive" and members["new"]["addr"] == members["old"]["addr"] == old.gossip,
          f"the agent sees {members}")
    check(not seed.log.find(Say.of(Say.MEMBER_FAILED, "new")) and new.running(), "the new one was called dead")


@test(seconds=60, also_encrypted=True)
def test_a_member_that_left_and_returns_at_once_is_alive_everywhere(scene):
    """With its old name and address: the others hold it as left, and its first word is not news to them."""
    seed = scene.member("seed")
    agent = scene.agent("agent", join=[seed.gossip], profile="lan")
    back = scene.member("back", join=[seed])
    for _ in range(2):
        agent.wait_status("back", "alive", 10)
        seed.log.wait_for(Say.of(Say.MEMBER_JOINED, "back"), 5)
        check(back.stop(30) == 0, "not 0")
        agent.wait_status("back", "left", 5)
        back.start()
    agent.wait_status("back", "alive", 5)
    mark = seed.log.mark()
    agent.command("leave")
    seed.log.wait_for(Say.of(Say.MEMBER_LEFT, "agent"), 10, since=mark)
    agent.program.wait(10)
    mark = seed.log.mark()
    agent.start()
    seed.log.wait_for(Say.of(Say.MEMBER_JOINED, "agent"), 5, since=mark)
    wait_until(lambda: {m["status"] for m in agent.members().values()} == {"alive"}, 5, "all alive to the agent")


@test(seconds=60)
def test_an_outsider_is_refused_by_gossip_allow(scene):
    inside = {"gossip": {"allow": ["127.0.0.1/32"]}}
    one = scene.member("one", more=inside)
    two = scene.member("two", join=[one], more=inside)
    agent = scene.agent("agent", join=[one.gossip], profile="lan")
    for shoal in (one, two):
        shoal.log.wait_for(Say.of(Say.MEMBER_JOINED, "agent"), 10)
    outsider = scene.member("outsider", join=[one], more=at(f"127.0.0.7:{free_port()}"))
    outside_agent = scene.agent("outside-agent", join=[two.gossip], profile="lan", address="127.0.0.8")
    # The agent takes anybody in and tells it on; the two may not believe it.
    outsider.log.wait_for("joined", 10)
    outside_agent.wait_status("agent", "alive", 10)
    agent.command("join", outsider.gossip)
    agent.command("join", outside_agent.gossip)
    agent.wait_status("outsider", "alive", 10)
    marks = [shoal.log.mark() for shoal in (one, two)]
    late = scene.member("late", join=[agent], more=inside)  # What comes after it would have come too.
    for shoal, mark in zip((one, two), marks):
        shoal.log.wait_for(Say.of(Say.MEMBER_JOINED, "late"), 10, since=mark)
    for shoal in (one, two, late):
        took = shoal.log.find(r'"event":"member joined".*"node":"outside')
        check(not took, f"{shoal.name} took an outsider in: {took}")
