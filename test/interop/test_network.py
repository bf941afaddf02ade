"""Several hosts: network namespaces on one bridge, made and taken away by the test. What loopback cannot show: which
address a node tells the others, and what a firewall or a cut cable does."""
import os
import subprocess

from harness import HERE, POOL, PYTHON, SHOAL, HAProxy, Shoal, Worker, check, hold_true, test, wait_until


class Hosts:
    """h1 is 10.77.0.1 and so on, without a default route."""

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
            run(*inside(name), "ip", "link", "set", "eth0", "up")
            run(*inside(name), "ip", "link", "set", "lo", "up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in [*self.names, self._switch]:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def on(self, host, *words):
        return [*inside(self.names[host - 1]), *words]

    def drop(self, host, what):
        """Drops what comes in and goes out; `what` is an nft match, empty for everything."""
        run(*self.on(host, "nft", "add table inet cut; "
                                  "add chain inet cut in { type filter hook input priority 0; }; "
                                  "add chain inet cut out { type filter hook output priority 0; }; "
                                  f"add rule inet cut in iifname eth0 {what} drop; "
                                  f"add rule inet cut out oifname eth0 {what} drop"))

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


class HostShoal(Shoal):
    """Shoal on one of the hosts."""

    def __init__(self, scene, hosts, host, name, settings):
        super().__init__(scene, name, {"log": {"level": "debug", "format": "json"}, **settings})
        self._hosts, self._host = hosts, host

    def start(self):
        words = self._hosts.on(self._host, SHOAL, "-c", self.config)
        self.program = self.scene.run(self.name, words, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        return self


def haproxy_on(scene, hosts, host):
    haproxy = HAProxy(scene)
    with open(haproxy.config, encoding="ascii") as f:
        text = f.read().replace(f"127.0.0.1:{haproxy.http_port}", "0.0.0.0:8080")
    with open(haproxy.config, "w", encoding="ascii") as f:
        f.write(text)
    haproxy.program = scene.run("haproxy", hosts.on(host, "haproxy", "-db", "-f", haproxy.config))
    wait_until(lambda: haproxy.servers() is not None, 10, "HAProxy's runtime socket")
    return haproxy


def sidecar_on(scene, hosts, host, haproxy):
    return HostShoal(scene, hosts, host, "proxy", {
        "role": "sidecar", "node": {"name": "proxy"}, "gossip": {"profile": "local"},
        "haproxy": {"socket": haproxy.socket, "backend": POOL, "grace": "10s"}}).start()


def task_on(scene, hosts, host, name):
    log = scene.path(f"{name}.worker")
    task = HostShoal(scene, hosts, host, name, {
        "role": "task", "node": {"name": name}, "gossip": {"profile": "local", "join": "10.77.0.1"},
        "task": {"backend": POOL},
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
