"""Several hosts: network namespaces on one bridge, made and taken away by the test. What loopback cannot show: which
address a node tells the others, and what a firewall or a cut cable does."""
import os
import re
import subprocess

from harness import (HERE, POOL, PYTHON, HAProxy, Say, SerfAgent, Shoal, Worker, check, hold_true, merged, test,
                     wait_until)


class Hosts:
    """h1 is 10.77.0.1 and fd77::1 and so on, without a default route."""

    def __init__(self, count):
        self._tag = f"shoal{os.getpid()}"
        self.names = [f"{self._tag}h{i}" for i in range(1, count + 1)]
        self._switch = f"{self._tag}sw"
        run("ip", "netns", "add", self._switch)
        run(*inside(self._switch), "ip", "link", "add", "br0", "type", "bridge")
        run(*inside(self._switch), "ip", "link", "set", "br0", "up")
        for i, name in enumerate(self.names, 1):
            run("ip", "netns", "add", name)
            run("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", f"p{i}", "netns",
                self._switch)
            run(*inside(self._switch), "ip", "link", "set", f"p{i}", "master", "br0", "up")
            run(*inside(name), "ip", "addr", "add", f"10.77.0.{i}/24", "dev", "eth0")
            run(*inside(name), "ip", "addr", "add", f"fd77::{i}/64", "dev", "eth0", "nodad")
            run(*inside(name), "ip", "link", "set", "eth0", "up")
            run(*inside(name), "ip", "link", "set", "lo", "up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in [*self.names, self._switch]:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def on(self, host, *words):
        return [*inside(self.names[host - 1]), *words]

    def second_interface(self, host):
        """eth1, 10.88.0.N, on the same wire."""
        run("ip", "link", "add", "eth1", "netns", self.names[host - 1], "type", "veth", "peer", "name", f"q{host}",
            "netns", self._switch)
        run(*inside(self._switch), "ip", "link", "set", f"q{host}", "master", "br0", "up")
        run(*self.on(host, "ip", "addr", "add", f"10.88.0.{host}/24", "dev", "eth1"))
        run(*self.on(host, "ip", "link", "set", "eth1", "up"))

    def drop(self, host, *whats):
        """Drops what comes in and goes out; `whats` are nft matches, an empty one is everything."""
        run(*self.on(host, "nft", "add table inet cut; "
                                  "add chain inet cut in { type filter hook input priority 0; }; "
                                  "add chain inet cut out { type filter hook output priority 0; }; "
                     + "".join(f"add rule inet cut in iifname eth0 {what} drop; "
                               f"add rule inet cut out oifname eth0 {what} drop; " for what in whats)))

    def heal(self, host):
        run(*self.on(host, "nft", "delete", "table", "inet", "cut"))


def inside(namespace):
    """Not `ip -n` or `ip netns exec`: those also want `/` to be a mount, which it is not in a chroot."""
    return ["nsenter", f"--net=/run/netns/{namespace}"]


def run(*words):
    subprocess.run(words, check=True)


def no_namespaces(scene):
    """Where root may not make any (a container without privileges) there is nothing that these tests could do."""
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode == 0:
        return False
    scene.say("not done: this machine lets nobody make network namespaces")
    return True


def shoal_on(scene, hosts, host, name, settings):
    own = {"log": {"level": "debug", "format": "json"}, "gossip": scene.gossip()}
    return Shoal(scene, name, merged(own, settings), inside=hosts.on(host))


def agent_on(scene, hosts, host, name, address=None, join=(), **options):
    return SerfAgent(scene, name, address=address or f"10.77.0.{host}", port=7946, inside=hosts.on(host), join=join,
                     **options)


def member_on(scene, hosts, host, name, **gossip):
    """A shoal that is nothing but a member, on its default port unless `bind` says another."""
    return shoal_on(scene, hosts, host, name, {
        "role": "sidecar", "node": {"name": name}, "gossip": {"profile": "lan", **gossip},
        "haproxy": {"socket": scene.path("no-haproxy.sock"), "backend": POOL}}).start()


def haproxy_on(scene, hosts, host, address="0.0.0.0"):
    haproxy = HAProxy(scene)
    with open(haproxy.config, encoding="ascii") as f:
        text = f.read().replace(f"127.0.0.1:{haproxy.http_port}", f"{address}:8080")
    with open(haproxy.config, "w", encoding="ascii") as f:
        f.write(text)
    haproxy.program = scene.run("haproxy", hosts.on(host, "haproxy", "-db", "-f", haproxy.config))
    wait_until(lambda: haproxy.servers() is not None, 10, "HAProxy's runtime socket")
    return haproxy


def sidecar_on(scene, hosts, host, haproxy, **gossip):
    return shoal_on(scene, hosts, host, "proxy", {
        "role": "sidecar", "node": {"name": "proxy"}, "gossip": {"profile": "local", **gossip},
        "haproxy": {"socket": haproxy.socket, "backend": POOL, "grace": "10s"}}).start()


def task_on(scene, hosts, host, name, join="10.77.0.1", **gossip):
    log = scene.path(f"{name}.worker")
    task = shoal_on(scene, hosts, host, name, {
        "role": "task", "node": {"name": name}, "gossip": {"profile": "local", "join": join, **gossip},
        "task": {"backend": POOL, "listen": "[::]:0" if "fd77" in join else "0.0.0.0:0"},
        "worker": {"command": [PYTHON, os.path.join(HERE, "worker.py"), "--name", name, "--log", log]}})
    task.worker = Worker(log)
    return task.start()


def answers(hosts, host, count):
    """Who answered `count` requests from that host."""
    names = set()
    for _ in range(count):
        out = subprocess.run(hosts.on(host, PYTHON, "-c",
                                      "import urllib.request as u; print(u.urlopen('http://10.77.0.1:8080/', "
                                      "timeout=5).headers['x-worker'])"), capture_output=True, text=True, check=False)
        check(out.returncode == 0, out.stderr)
        names.add(out.stdout.strip())
    return names


@test(seconds=60)
def test_hosts_find_each_other_with_nothing_set_but_the_seed(scene):
    if no_namespaces(scene):
        return
    with Hosts(3) as hosts:
        haproxy = haproxy_on(scene, hosts, 1)
        sidecar_on(scene, hosts, 1, haproxy)
        tasks = [task_on(scene, hosts, 2, "a"), task_on(scene, hosts, 2, "b"), task_on(scene, hosts, 3, "c")]
        haproxy.wait_in_rotation("a", "b", "c")
        where = {name: haproxy.server_of(name).address for name in ("a", "b", "c")}
        check(where == {"a": "10.77.0.2", "b": "10.77.0.2", "c": "10.77.0.3"}, f"servers are at {where}")
        check(len(answers(hosts, 3, 6)) == 3, "not all three answered")
        for task in tasks:
            check(task.stop(timeout=15) == 0, f"{task.name} did not stop with 0")


@test(seconds=90)
def test_with_udp_blocked_a_task_stays_a_member_and_departs_in_order(scene):
    if no_namespaces(scene):
        return
    with Hosts(2) as hosts:
        haproxy = haproxy_on(scene, hosts, 1)
        sidecar_on(scene, hosts, 1, haproxy)
        task = task_on(scene, hosts, 2, "a")
        haproxy.wait_in_rotation("a")
        hosts.drop(2, "meta l4proto udp")
        hold_true(lambda: haproxy.in_rotation("a"), 10, "a in rotation by TCP pings alone")
        check(task.stop(timeout=25) == 0, "the task did not stop with 0")
        check(not haproxy.in_rotation("a"), "the stopped task is still in rotation")
        check("drained" in task.log.text(), "the drain was not confirmed")


@test(seconds=120)
def test_a_host_that_is_cut_off_leaves_and_returns(scene):
    if no_namespaces(scene):
        return
    with Hosts(3) as hosts:
        haproxy = haproxy_on(scene, hosts, 1)
        sidecar_on(scene, hosts, 1, haproxy)
        task_on(scene, hosts, 2, "a")
        task_on(scene, hosts, 3, "b")
        haproxy.wait_in_rotation("a", "b")
        hosts.drop(3, "")
        # HAProxy's own check is quicker; the point is shoal's maintenance, which lasts until shoal takes it back.
        wait_until(lambda: haproxy.server_of("b").admin != 0, 25, "b in maintenance")
        check(haproxy.in_rotation("a"), "the other task was taken out as well")
        hosts.heal(3)
        haproxy.wait_in_rotation("b", timeout=40)
        check(haproxy.in_rotation("a"), "the other task was taken out as well")


@test(seconds=90, also_encrypted=True)
def test_a_member_whose_udp_is_blocked_stays_one_to_agents_and_to_us(scene):
    """Everybody reaches it by stream alone. The others may not lose their own health over it."""
    if no_namespaces(scene):
        return
    with Hosts(4) as hosts:
        agents = [agent_on(scene, hosts, 1, "agent-1", profile="lan")]
        members = [member_on(scene, hosts, 3, "shoal-3", join="10.77.0.1"),
                   member_on(scene, hosts, 4, "blocked", join="10.77.0.1")]
        wait_until(lambda: len(agents[0].members()) == 3, 10, "three members")
        agents.append(agent_on(scene, hosts, 2, "agent-2", profile="lan", join=["10.77.0.1:7946"]))
        wait_until(lambda: all(len(a.members()) == 4 for a in agents), 10, "four members")
        members[0].log.wait_for(Say.of(Say.MEMBER_JOINED, "agent-2"), 10)
        marks = [m.log.mark() for m in members]
        hosts.drop(4, "meta l4proto udp")
        scores = []

        def all_well():
            scores.extend(int(a.stats()["health_score"]) for a in agents)
            return all(m["status"] == "alive" for a in agents for m in a.members().values())
        hold_true(all_well, 15, "all four alive to the agents", every=0.5)
        for member, mark in zip(members, marks):
            failed = member.log.find(r'"event":"member failed"', mark)
            check(not failed, f"{member.name} saw a failure: {failed}")
        # Said once for each peer, with what an operator needs.
        blocked = "TCP but not over UDP"
        for member, other in (members, members[::-1]):
            said = member.log.wait_for(f'"level":"warn".*{blocked}', 5)
            check(re.search(r'"addr":"10\.77\.0\.\d:7946"', said) and "firewall" in said, f"{member.name}: {said}")
            check(member.log.count(f'{blocked}.*"node":"{other.name}"') <= 1, f"{member.name} repeats itself")
        check('"node":"blocked","addr":"10.77.0.4:7946"' in members[0].log.find(blocked), "the wrong peer")
        check(members[0].log.count(blocked) == 1, "more than one is said to be blocked")
        # A health score of 1 comes and goes: with the profile's timings a helper's nack lands right at its deadline.
        check(max(scores) <= 2, f"the agents' health scores were {scores}")
        hosts.heal(4)
        hold_true(all_well, 3, "all four alive to the agents", every=0.5)


@test(seconds=60, also_encrypted=True)
def test_an_answer_whose_straight_way_is_blocked_comes_by_a_relay(scene):
    """Of four; the asker hears no datagram of the third, which hears the question from the others."""
    if no_namespaces(scene):
        return
    with Hosts(4) as hosts:
        asker = agent_on(scene, hosts, 1, "asker", profile="lan")
        relays = [agent_on(scene, hosts, 2, "agent-2", profile="lan", join=["10.77.0.1:7946"])]
        for host in (3, 4):
            relays.append(member_on(scene, hosts, host, f"shoal-{host}", join="10.77.0.1"))
        wait_until(lambda: len(asker.members()) == 4, 10, "four members")
        for shoal in relays[1:]:
            wait_until(lambda s=shoal: len(s.members()) == 4, 10, f"four members to {shoal.name}")
        hosts.drop(1, "ip saddr 10.77.0.3 meta l4proto udp")

        def acked(*words):
            told = asker.command("query", "-timeout=2s", *words, "nobody-answers", raw=True, timeout=30).decode()
            return set(re.findall(r"Ack from '([^']+)'", told))
        others = {"asker", "agent-2", "shoal-4"}
        check("shoal-3" not in acked(), "the straight way is open")
        # Two of three others: whichever they are, one can reach the asker.
        wait_until(lambda: acked("-relay-factor=2") >= others | {"shoal-3"}, 15, "an ack of the third by a relay")


@test(seconds=90)
def test_a_cluster_can_be_of_ipv6_alone(scene):
    if no_namespaces(scene):
        return
    with Hosts(4) as hosts:
        for host in (1, 2, 3, 4):
            run(*hosts.on(host, "ip", "-4", "addr", "flush", "dev", "eth0"))
        haproxy = haproxy_on(scene, hosts, 1, address="[fd77::1]")
        sidecar_on(scene, hosts, 1, haproxy, bind="[fd77::1]:7946")
        task = task_on(scene, hosts, 2, "task", join="[fd77::1]:7946", bind="[::]:7950")
        agent = agent_on(scene, hosts, 3, "agent", address="fd77::3", join=["[fd77::1]:7946"])
        haproxy.wait_in_rotation("task")
        check(haproxy.server_of("task").address == "fd77::2", f"the server is {haproxy.server_of('task')}")
        for name in ("proxy", "task"):
            agent.wait_status(name, "alive", 10)
        check(agent.members()["task"]["addr"] == "[fd77::2]:7950", f"the agent sees {agent.members()['task']}")
        # From the agent to us: it is the seed of a fourth.
        member = member_on(scene, hosts, 4, "member", join="[fd77::3]:7946", bind="[::]:7946")
        for name in ("proxy", "task", "agent"):
            member.log.wait_for(Say.of(Say.MEMBER_JOINED, name), 20)
        agent.wait_status("member", "alive", 5)
        check(task.stop(timeout=25) == 0, "the task did not stop with 0")
        agent.wait_status("task", "left", 10)
        check(not agent.errors(), f"errors in the agent's log: {agent.errors()}")


@test(seconds=90)
def test_a_member_bound_to_both_families_talks_to_either(scene):
    if no_namespaces(scene):
        return
    with Hosts(3) as hosts:
        old = agent_on(scene, hosts, 1, "old")
        both = member_on(scene, hosts, 2, "both", bind="[::]:7946", advertise="10.77.0.2", join="10.77.0.1:7946")
        old.wait_status("both", "alive", 10)
        # A socket for each family, as an agent has them: `*:7946` would be one for both.
        for kind in "ut":
            listed = subprocess.run(hosts.on(2, "ss", "-Hln", f"-{kind}", "sport = :7946"), capture_output=True,
                                    text=True, check=True).stdout
            bound = sorted(line.split()[3] for line in listed.splitlines())
            check(bound == ["0.0.0.0:7946", "[::]:7946"], f"ss -{kind}: {bound}")
        # A member that has v4 and v6: what it says of itself is v4, and it is joined by its v6 address.
        new = member_on(scene, hosts, 3, "new", bind="[::]:7946", advertise="10.77.0.3", join="[fd77::2]:7946")
        for name in ("old", "both"):
            new.log.wait_for(Say.of(Say.MEMBER_JOINED, name), 10)
        old.wait_status("new", "alive", 10)
        mark = [m.log.mark() for m in (both, new)]
        hold_true(lambda: {m["status"] for m in old.members().values()} == {"alive"}, 8, "all alive", every=0.5)
        for member, since in zip((both, new), mark):
            check(not member.log.find("failed", since), f"{member.name} saw a failure")


@test(seconds=60)
def test_a_node_tells_the_address_that_it_is_set_to_tell(scene):
    """By address, interface, network, or, with nothing set, that of the route to the seed."""
    if no_namespaces(scene):
        return
    with Hosts(2) as hosts:
        for host in (1, 2):
            hosts.second_interface(host)
        agent = agent_on(scene, hosts, 1, "agent", address="0.0.0.0", extra=["-advertise=10.77.0.1"])
        cases = {"address": ("10.77.0.1", "10.88.0.2", "10.88.0.2"), "interface": ("10.77.0.1", "eth1", "10.88.0.2"),
                 "network": ("10.88.0.1", "10.77.0.0/24", "10.77.0.2"), "route": ("10.77.0.1", None, "10.77.0.2"),
                 "other-route": ("10.88.0.1", "auto", "10.88.0.2")}
        for port, (name, (seed, advertise, _)) in enumerate(cases.items(), 8000):
            own = {"advertise": advertise} if advertise else {}
            member_on(scene, hosts, 2, name, bind=f"0.0.0.0:{port}", join=f"{seed}:7946", **own)
        for name, (_, _, wanted) in cases.items():
            agent.wait_status(name, "alive", 10)
            check(agent.members()[name]["addr"].rsplit(":", 1)[0] == wanted,
                  f"set by {name}: {agent.members()[name]['addr']}, not {wanted}")
        hold_true(lambda: {m["status"] for m in agent.members().values()} == {"alive"}, 4, "all alive", every=0.5)
