"""Which address a node tells the others on the networks that ECS makes: a Fargate task's, an EC2 instance's, a
container's behind docker0. Namespaces mimic them; HAProxy has a machine of its own and must reach the worker."""
import json
import os
import re

from harness import HERE, POOL, PYTHON, Worker, check, hold_true, test, wait_until
from test_seeds import name_servers
from test_network import (Hosts, answers, haproxy_on, inside, member_on, no_namespaces, run, shoal_on, sidecar_on,
                          task_on)

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
