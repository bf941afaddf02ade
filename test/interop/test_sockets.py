"""Several HAProxies and every form of their sockets; one sidecar at a time drives a socket."""
import time

from harness import HAProxy, Say, check, free_port, test

WAITING = r'"event":"waiting for the socket"'


def with_sockets(scene, name, *lines):
    """A HAProxy whose `global` has more lines."""
    haproxy = HAProxy(scene, name)
    with open(haproxy.config, encoding="ascii") as f:
        text = f.read()
    with open(haproxy.config, "w", encoding="ascii") as f:
        f.write(text.replace("global\n", "global\n" + "".join(f"    {line}\n" for line in lines), 1))
    return haproxy.start()


@test(seconds=60)
def test_a_sidecar_drives_several_haproxies_by_path_tcp_and_abstract_name(scene):
    v4, v6, name = free_port(), free_port(), f"shoal-test-{free_port()}"
    by_path = scene.haproxy(name="one")
    by_v4 = with_sockets(scene, "two", f"stats socket ipv4@127.0.0.1:{v4} level admin")
    by_v6 = with_sockets(scene, "three", f"stats socket ipv6@[::1]:{v6} level admin")
    by_name = with_sockets(scene, "four", f"stats socket abns@{name} level admin")
    every = [by_path, by_v4, by_v6, by_name]
    sockets = [by_path.socket, f"ipv4@127.0.0.1:{v4}", f"ipv6@[::1]:{v6}", f"abns@{name}"]
    proxy = scene.sidecar(more={"haproxy": {"socket": sockets}}, socket_path=by_path.socket)
    one = scene.task(proxy, "one-task")
    for haproxy in every:
        haproxy.wait_in_rotation("one-task")
    for socket in sockets:
        proxy.log.wait_for(r'"event":"HAProxy connected","socket":"' + socket.replace("[", r"\["), 3)
    # One of them away does not hold back the others.
    by_v4.kill()
    proxy.log.wait_for(Say.HAPROXY_AWAY + rf'.*"socket":"ipv4@127.0.0.1:{v4}"', 5)
    two = scene.task(proxy, "two-task")
    for haproxy in (by_path, by_v6, by_name):
        haproxy.wait_in_rotation("two-task")
    by_v4.start()
    by_v4.wait_in_rotation("one-task", "two-task")
    check(one.stop(30) == 0 and two.running(), "a task suffered")
    for haproxy in every:
        haproxy.wait_out_of_rotation("one-task")
        check(haproxy.in_rotation("two-task"), "the other task left rotation")


@test(seconds=60)
def test_a_second_sidecar_waits_for_the_socket_and_takes_over(scene):
    haproxy = scene.haproxy()
    first = scene.sidecar(haproxy, name="first")
    scene.task(first, "t")
    haproxy.wait_in_rotation("t")
    second = scene.sidecar(haproxy, name="second", more={"gossip": {"join": [first.gossip]}})
    second.log.wait_for(WAITING + r".*shoal sidecar first", 5)
    second.wait_status("t", "alive", 10)  # It gossips all the same.
    time.sleep(3)
    check(second.log.count(WAITING) == 1, "said more than once")
    check(second.log.count(Say.HAPROXY_UP) == 0, "two sidecars drive one socket")
    first.kill()
    begun = time.monotonic()
    second.log.wait_for(Say.HAPROXY_UP, 10)
    scene.say(f"the second sidecar drove the socket {time.monotonic() - begun:.2f} s after the first was killed")
    check(haproxy.in_rotation("t"), "the server left rotation")
    late = scene.task(second, "late")
    haproxy.wait_in_rotation("t", "late")
    check(late.running(), "the late task has died")


@test(seconds=40)
def test_a_wrong_socket_is_told_for_what_it_is(scene):
    low = with_sockets(scene, "low", f"stats socket {scene.path('low-operator.sock')} level operator")
    proxy = scene.sidecar(socket_path=scene.path("low-operator.sock"))
    proxy.log.wait_for(r'"level":"error","event":"HAProxy\'s socket is below level admin', 5)
    check(proxy.log.count("below level admin; give") == 1, "not said once")
    other = scene.sidecar(name="other", socket_path=f"master@{low.socket}")
    other.log.wait_for(Say.HAPROXY_AWAY + ".*leave out master@", 5)
    check(proxy.running() and other.running(), "a sidecar has died")
