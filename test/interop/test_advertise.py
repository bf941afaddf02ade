"""Which address a node tells the others on the networks that ECS makes: a Fargate task's, an EC2 instance's, a
container's behind docker0. Namespaces mimic them; HAProxy has a machine of its own and must reach the worker."""
import json
import os
import subprocess

from harness import HERE, PYTHON, SHOAL, HAProxy, check, hold_true, test
from test_ecs import ECS, definition, environment, metadata_file, runs_shoal
from test_network import Hosts, answers, haproxy_on, inside, member_on, no_namespaces, run, sidecar_on, task_on
from test_seeds import name_servers

PROXY = "10.77.0.1"
GATEWAY = "10.77.0.254"  # Nobody is there; a route to it is what counts.


class Vpc(Hosts):
    """Machine 1 is HAProxy's. The others get the interfaces of what they mimic, in its order."""

    def __init__(self):
        super().__init__(1)
        self._links = 0

    def machine(self):
        self.names.append(f"{self._tag}h{len(self.names) + 1}")
        run("ip", "netns", "add", self.names[-1])
        number = len(self.names)
        self.ip(number, "link", "set", "lo", "up")
        return number

    def ip(self, number, *words):
        run(*self.on(number, "ip", *words))

    def interface(self, number, name, address, wire=True):
        """One on the VPC's wire, or on a wire with nobody else."""
        self._links += 1
        peer = f"x{self._links}"
        run("ip", "link", "add", name, "netns", self.names[number - 1], "type", "veth", "peer", "name", peer, "netns",
            self._switch)
        run(*inside(self._switch), "ip", "link", "set", peer, *(["master", "br0"] if wire else []), "up")
        self._up(number, name, address)

    def bridge(self, number, name, address):
        self.ip(number, "link", "add", name, "type", "bridge")
        self._up(number, name, address)

    def _up(self, number, name, address):
        self.ip(number, "addr", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
        self.ip(number, "link", "set", name, "up")

    def fargate(self):
        """awsvpc on Fargate: eth0 leads to the metadata endpoint alone, eth1 is the task's own in the VPC."""
        number = self.machine()
        self.interface(number, "eth0", "169.254.172.2/22", wire=False)
        self.interface(number, "eth1", f"10.77.0.{number}/24")
        self.ip(number, "route", "add", "169.254.170.2", "dev", "eth0")
        self.ip(number, "route", "add", "default", "via", GATEWAY, "dev", "eth1")
        return number

    def instance(self):
        """An EC2 instance: Docker's and the agent's bridges, and an interface in a second subnet."""
        number = self.machine()
        self.bridge(number, "docker0", "172.17.0.1/16")
        self.bridge(number, "ecs-bridge", "169.254.172.1/22")
        self.interface(number, "eth0", f"10.77.0.{number}/24")
        self.bridge(number, "br-0a1b2c3d4e5f", "172.18.0.1/16")
        self.interface(number, "eth1", f"10.77.1.{number}/24")
        self.ip(number, "route", "add", "default", "via", GATEWAY, "dev", "eth0")
        return number


def told(shoal):
    """What the node says that it tells the others."""
    line = shoal.log.wait_for('"event":"gossip address"', 5)
    return json.loads(line)["advertise"].rsplit(":", 1)[0]


@test(seconds=60)
def test_a_fargate_task_announces_the_interface_that_is_in_the_vpc(scene):
    if no_namespaces(scene):
        return
    with Vpc() as vpc:
        haproxy = haproxy_on(scene, vpc, 1)
        sidecar_on(scene, vpc, 1, haproxy)
        where = vpc.fargate()
        task_on(scene, vpc, where, "task")
        haproxy.wait_in_rotation("task")
        check(haproxy.server_of("task").address == f"10.77.0.{where}", f"the server is {haproxy.server_of('task')}")
        check(answers(vpc, 1, 3) == {"task"}, "another worker answered")
        for name, join in (("no-seed", []), ("unknown-seed", ["seeds.shoal.invalid"])):
            member = member_on(scene, vpc, where, name, join=join, bind="0.0.0.0:0")
            check(told(member) == f"10.77.0.{where}", f"{name} tells {told(member)}")


@test(seconds=60)
def test_a_seed_with_addresses_of_both_families_leaves_the_address_in_the_family_that_is_bound(scene):
    if no_namespaces(scene):
        return
    with Vpc() as vpc:
        haproxy = haproxy_on(scene, vpc, 1)
        sidecar_on(scene, vpc, 1, haproxy)
        where = vpc.fargate()
        vpc.ip(where, "addr", "add", f"2001:db8:77::{where}/64", "dev", "eth1", "nodad")
        zone = scene.path("zone.json")
        with open(zone, "w", encoding="ascii") as f:
            json.dump({"seeds.shoal.test": {"A": [PROXY], "AAAA": ["2001:db8:77::1"]}}, f)
        for server in name_servers():
            vpc.ip(where, "addr", "add", server, "dev", "lo")
        names = scene.run("dns", vpc.on(where, PYTHON, os.path.join(HERE, "dns_server.py"), zone, *name_servers()))
        for server in name_servers():
            names.log.wait_for(f"serving on {server}", 5)
        task = task_on(scene, vpc, where, "task", join="seeds.shoal.test")
        check(told(task) == f"10.77.0.{where}", f"it tells {told(task)}")
        haproxy.wait_in_rotation("task")
        check(haproxy.server_of("task").address == f"10.77.0.{where}", f"the server is {haproxy.server_of('task')}")
        # Gossip takes both families, the service socket v4 alone: a proxy has to reach the latter.
        both = task_on(scene, vpc, where, "both", join="seeds.shoal.test", bind="[::]:8000")
        check(told(both) == f"10.77.0.{where}", f"it tells {told(both)}")
        haproxy.wait_in_rotation("task", "both")


@test(seconds=60)
def test_a_task_on_an_ec2_instance_never_announces_a_bridge(scene):
    if no_namespaces(scene):
        return
    with Vpc() as vpc:
        haproxy = haproxy_on(scene, vpc, 1)
        sidecar_on(scene, vpc, 1, haproxy)
        where = vpc.instance()
        names = [f"task-{i}" for i in range(2)]
        for name in names:
            task_on(scene, vpc, where, name)
        second = task_on(scene, vpc, where, "second", advertise="10.77.1.0/24")
        check(told(second) == f"10.77.1.{where}", f"set to the second subnet it tells {told(second)}")
        haproxy.wait_in_rotation(*names)
        for name in names:
            check(haproxy.server_of(name).address == f"10.77.0.{where}", f"the server is {haproxy.server_of(name)}")
        check(answers(vpc, 1, 4) == set(names), "not both answered")
        member = member_on(scene, vpc, where, "no-seed", bind="0.0.0.0:0")
        check(told(member) == f"10.77.0.{where}", f"it tells {told(member)}")
        vpc.ip(where, "route", "del", "default")
        member = member_on(scene, vpc, where, "no-route", bind="0.0.0.0:0")
        check(told(member) == f"10.77.0.{where}", f"without a default route it tells {told(member)}")


# ---- bridge: a container's address means nothing outside of its host

HOST_PORT, GOSSIP_PORT, WORKER_PORT = 32768, 7950, 8080


def container_behind_nat(vpc):
    """(the instance, its container): docker0's NAT as Docker sets it up, one gossip port (the same outside and inside)
    and one service port (another outside than inside) published."""
    host = vpc.instance()
    inner = vpc.machine()
    run("ip", "link", "add", "eth0", "netns", vpc.names[inner - 1], "type", "veth", "peer", "name", "veth7",
        "netns", vpc.names[host - 1])
    vpc.ip(host, "link", "set", "veth7", "master", "docker0", "up")
    vpc.ip(inner, "addr", "add", "172.17.0.2/16", "dev", "eth0")
    vpc.ip(inner, "link", "set", "eth0", "up")
    vpc.ip(inner, "route", "add", "default", "via", "172.17.0.1")
    run(*vpc.on(host, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"))
    published = [f"meta l4proto {{ tcp, udp }} th dport {GOSSIP_PORT} dnat to 172.17.0.2:{GOSSIP_PORT}",
                 f"tcp dport {HOST_PORT} dnat to 172.17.0.2:{WORKER_PORT}"]
    run(*vpc.on(host, "nft", "add table ip nat; "
                "add chain ip nat in { type nat hook prerouting priority -100; }; "
                "add chain ip nat out { type nat hook postrouting priority 100; }; "
                "add rule ip nat out ip saddr 172.17.0.0/16 oifname != docker0 masquerade; "
                + "".join(f"add rule ip nat in iifname != docker0 {rule}; " for rule in published)))
    return host, inner


@test(seconds=60)
def test_a_task_behind_nat_that_is_told_nothing_is_not_routed_to_and_says_what_to_set(scene):
    if no_namespaces(scene):
        return
    with Vpc() as vpc:
        haproxy = haproxy_on(scene, vpc, 1)
        proxy = sidecar_on(scene, vpc, 1, haproxy)
        _, inner = container_behind_nat(vpc)
        task = task_on(scene, vpc, inner, "task")
        check(told(task) == "172.17.0.2", f"it tells {told(task)}")
        for event in ("answers over TCP but not over UDP", "a sidecar does not answer"):
            said = json.loads(task.log.wait_for(f'"level":"warn","event":".*{event}.*gossip.advertise', 30))
            check(said["own_addr"].startswith("172.17.0.2:"), f"it does not say which address nobody reaches: {said}")
        proxy.log.wait_for('"event":"member failed","node":"task","addr":"172.17.0.2:', 30)
        check(not haproxy.in_rotation("task"), "HAProxy routes to an address that it cannot reach")


# ---- the task definitions of packaging/ecs, in the networks that they are for

def started(scene, vpc, number, file, name, **env):
    """The file's container that runs shoal, with its command and environment. Only paths and names are the test's."""
    task = definition(file, seed=PROXY, worker_program=scene.path("server"))
    container = next(c for c in task["containerDefinitions"] if runs_shoal(c))
    command = [{"/usr/bin/shoal": SHOAL, "/usr/bin/shoal-bridge-address": os.path.join(ECS, "bridge-address"),
                "/etc/haproxy/haproxy.cfg": scene.path("haproxy.cfg")}.get(word, word)
               for word in container["entryPoint"] + container["command"]]
    return scene.run(name, vpc.on(number, *command), env=environment(
        container, SHOAL_NODE_NAME=name, SHOAL_GOSSIP_PROFILE="local", SHOAL_LOG_FORMAT="json", TEST_NAME=name,
        SHOAL_CONTROL_SOCKET=scene.path(f"{name}.control"), **env))


@test(seconds=90)
def test_the_task_definitions_run_as_they_stand_in_the_networks_they_are_for(scene):
    """HAProxy on Fargate, a worker on Fargate, two on an EC2 instance's network and one behind its docker0."""
    if no_namespaces(scene):
        return
    with open(scene.path("server"), "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\nexec {PYTHON} {HERE}/worker.py --name $TEST_NAME --log {scene.path('workers')}\n")
    os.chmod(scene.path("server"), 0o755)
    with Vpc() as vpc:
        haproxy = HAProxy(scene)
        with open(haproxy.config, encoding="utf-8") as f:
            text = f.read().replace(f"127.0.0.1:{haproxy.http_port}", "0.0.0.0:8080")
        with open(haproxy.config, "w", encoding="utf-8") as f:
            f.write(text)
        vpc.ip(1, "route", "add", "default", "via", GATEWAY, "dev", "eth0")
        proxy = started(scene, vpc, 1, "haproxy-task.json", "proxy", SHOAL_HAPROXY_SOCKET=haproxy.socket,
                        SHOAL_GOSSIP_SNAPSHOT_DIR=scene.path("state"), SHOAL_GOSSIP_JOIN=f"{PROXY},10.77.0.99")
        fargate, instance = vpc.fargate(), vpc.instance()
        host, inner = container_behind_nat(vpc)
        tasks = {"fargate": started(scene, vpc, fargate, "worker-task.json", "fargate")}
        for name in ("host-1", "host-2"):
            tasks[name] = started(scene, vpc, instance, "worker-task-ec2-host.json", name)
        mapping = [{"ContainerPort": WORKER_PORT, "HostPort": HOST_PORT, "BindIp": "0.0.0.0", "Protocol": "tcp"}]
        tasks["bridge"] = started(
            scene, vpc, inner, "worker-task-ec2-bridge.json", "bridge", ECS_CONTAINER_METADATA_FILE=metadata_file(
                scene, HostPrivateIPv4Address=f"10.77.0.{host}", PortMappings=mapping))
        haproxy.wait_in_rotation(*tasks, timeout=25)
        where = {name: haproxy.server_of(name) for name in tasks}
        check((where["fargate"].address, where["fargate"].port) == (f"10.77.0.{fargate}", 8080), f"{where}")
        check({where[name].address for name in ("host-1", "host-2")} == {f"10.77.0.{instance}"}, f"{where}")
        check((where["bridge"].address, where["bridge"].port) == (f"10.77.0.{host}", HOST_PORT), f"{where}")
        check(answers(vpc, fargate, 12) == set(tasks), "not all of them answered")
        # Gossip goes both ways everywhere, through the NAT too: nobody is suspected, nobody is reached by TCP alone.
        hold_true(lambda: all(haproxy.in_rotation(name) for name in tasks), 4, "all in rotation")
        for name, program in {"proxy": proxy, **tasks}.items():
            said = program.log.find("but not over UDP|member failed|does not answer")
            check(not said, f"{name}: {said}")
            health = subprocess.run([SHOAL, "health", "--control-socket", scene.path(f"{name}.control")], check=False,
                                    capture_output=True, text=True)
            check(health.returncode == 0, f"{name}: {health.stderr}")
        for name, program in tasks.items():
            check(program.stop(timeout=20) == 0 and "drained" in program.log.text(), f"{name} was not drained")
        check(proxy.stop(timeout=20) == 0, "HAProxy's task did not stop with 0")
