"""`accepted` is true when it is said, and a refusal names what to change."""
import socket
import time

from gossip_peer import Peer
from gossip_wire import announce
from harness import Relay, Say, check, free_port, hold_true, test


class Service:
    """Something that listens; HAProxy's and the sidecar's connections are enough for it."""

    def __init__(self):
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(64)
        self.port = self._socket.getsockname()[1]


def refusal(task, timeout=15):
    """The first line in which a task says that it was refused."""
    return task.log.wait_for(Say.REFUSED, timeout)


@test(seconds=60)
def test_accepted_is_said_only_when_haproxy_has_the_server_in_rotation(scene):
    haproxy = scene.haproxy()
    relay = Relay(scene, haproxy, hold=0.25)  # So slow that an answer given too early would be seen.
    proxy = scene.sidecar(haproxy, socket_path=relay.path)
    port = int(proxy.gossip.rsplit(":", 1)[1])
    service = Service()
    peer = Peer("asker", free_port(), {"role": "task", "state": "ready"})
    peer.join(port)
    answer, end = None, time.monotonic() + 20
    while time.monotonic() < end:
        answer = peer.announce(port, announce(service.port, "web", start_id=1000, seq=1), timeout=6)
        at_answer = haproxy.in_rotation("asker")
        check(answer, "no answer to an announce")
        if answer.get(1):
            check(at_answer, "accepted, but HAProxy had no such server in rotation")
            break
        # Still at work, or not connected to HAProxy yet. Whatever needs a fix is wrong here.
        check(answer.get(10) or answer.get(11) == 1, f"refused: {answer}")
        time.sleep(0.1)
    check(answer.get(1), f"never accepted: {answer}")
    check(answer.get(12, b"").decode() == haproxy.server_of("asker").name, f"the answer names {answer.get(12)}")
    again = peer.announce(port, announce(service.port, "web", start_id=1000, seq=99), timeout=6)
    check(again.get(1), f"announced again: {again}")
    check(len(relay.when("^add server")) == 1, "the server was added more than once")
    peer.close()


@test(seconds=60)
def test_a_task_says_accepted_only_when_it_is_in_rotation(scene):
    haproxy = scene.haproxy()
    relay = Relay(scene, haproxy, hold=0.1)
    proxy = scene.sidecar(haproxy, socket_path=relay.path)
    task = scene.task(proxy, "task", worker=["--accept-after", "1.5"])
    hold_true(lambda: not haproxy.server_of("task"), 1.2, "no server before the worker is ready")
    task.log.wait_for(Say.ACCEPTED, 15)
    check(haproxy.in_rotation("task"), "the task's log says accepted, HAProxy does not")


@test(seconds=60)
def test_an_unknown_pool_is_refused_by_name_and_served_once_it_is_there(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "stray", more={"task": {"backend": "nosuchpool"}})
    line = refusal(task)
    check("nosuchpool" in line and "backend" in line, f"the refusal does not name the pool: {line}")
    check("nosuchpool" in proxy.log.wait_for(r"nosuchpool", 5), "the sidecar's log does not name the pool")
    check(haproxy.servers() == [], f"the task was put elsewhere: {haproxy.servers()}")
    haproxy.kill()
    haproxy.configure(("web", "nosuchpool"))
    haproxy.start()
    haproxy.wait_in_rotation("stray", pool="nosuchpool", timeout=40)
    check(haproxy.servers() == [], "it went into the default pool as well")


@test(seconds=60)
def test_a_pool_that_cannot_take_servers_is_refused_with_the_reason(scene):
    haproxy = scene.haproxy(extra_backends="backend fixed\n    balance static-rr\n")
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "stray", more={"task": {"backend": "fixed"}})
    line = refusal(task)
    check("fixed" in line and "balance" in line, f"the refusal does not name what to change: {line}")
    check(haproxy.running(), "HAProxy has died")


@test(seconds=60)
def test_a_haproxy_that_is_away_is_named_and_the_task_served_when_it_comes(scene):
    haproxy = scene.haproxy()
    haproxy.kill()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "early")
    line = task.log.wait_for(f"({Say.REFUSED}.*haproxy|haproxy.*{Say.REFUSED})|{haproxy.socket}", 20)
    check("early" not in str(haproxy.servers()), "impossible")
    proxy.log.wait_for(Say.HAPROXY_AWAY, 5)
    check(proxy.log.find(haproxy.socket), "the sidecar's log does not name the socket")
    check(not task.log.find(Say.ACCEPTED), f"accepted without a HAProxy: {line}")
    check(proxy.running() and task.running(), "one of them has given up")
    begun = time.monotonic()
    haproxy.start()
    haproxy.wait_in_rotation("early", timeout=15)
    scene.say(f"served {time.monotonic() - begun:.2f} s after HAProxy's start")
    task.log.wait_for(Say.ACCEPTED, 35)


@test(seconds=60)
def test_a_port_that_cannot_be_reached_is_refused_with_its_address(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    closed = free_port()
    task = scene.task(proxy, "walled", more={"task": {"advertise_port": closed}})
    line = refusal(task)
    check(f"127.0.0.1:{closed}" in line and Say.UNREACHABLE in line, f"the refusal does not name the address: {line}")
    proxy.log.wait_for(f"127.0.0.1:{closed}", 5)
    hold_true(lambda: not haproxy.in_rotation("walled"), 2, "a server that cannot be reached stays out")
    check(task.running(), "the task has given up")
    door = socket.socket()
    door.bind(("127.0.0.1", closed))
    door.listen(16)
    haproxy.wait_in_rotation("walled", timeout=40)
    door.close()


@test(seconds=60)
def test_a_socket_that_may_not_be_opened_is_named(scene):
    """As a user who is not root meets a socket of another group. Root may open anything, so a directory stands in."""
    haproxy = scene.haproxy()
    path = scene.path("not-a-socket")
    with open(path, "w", encoding="ascii"):
        pass
    proxy = scene.sidecar(haproxy, socket_path=path)
    line = proxy.log.wait_for(Say.HAPROXY_AWAY, 10)
    check(proxy.log.find("not-a-socket"), f"the log does not name the socket: {line}")
    check(proxy.running(), "the sidecar has given up")
