"""What goes wrong on a first evening with HAProxy's socket: said in words that name the fix, and served once it is
mended, without a restart of anybody."""
import os
import re
import socket
import subprocess

from harness import POOL, HAProxy, Say, Shoal, check, free_port, http_get, is_running, test, wait_until


def edited(haproxy, pattern, text):
    """One line of the packaged configuration, changed."""
    with open(haproxy.config, encoding="utf-8") as f:
        config, found = re.subn(pattern, text, f.read())
    check(found == 1, f"/{pattern}/ is {found} times in the configuration")
    with open(haproxy.config, "w", encoding="utf-8") as f:
        f.write(config)
    return haproxy


@test(seconds=60)
def test_a_socket_that_the_user_may_not_open_is_named_with_its_cure(scene):
    haproxy = scene.haproxy()
    os.chmod(haproxy.socket, 0o600)
    os.chmod(scene.dir, 0o755)
    own = scene.path("nobodys")
    os.mkdir(own)
    os.chown(own, 65534, 65534)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*nobody, "true"], capture_output=True, check=False).returncode != 0:
        return scene.say("not done: this machine lets nobody become another user")
    proxy = Shoal(scene, "proxy", {
        "role": "sidecar", "node": {"name": "proxy"},
        "gossip": {"bind": f"127.0.0.1:{free_port()}", "profile": "local", "snapshot_dir": own},
        "haproxy": {"socket": [haproxy.socket], "backend": POOL}, "control": {"socket": f"{own}/control"},
        "log": {"level": "debug", "format": "json"}}, inside=nobody)
    proxy.gossip = proxy.settings["gossip"]["bind"]
    task = scene.task(proxy.start(), "task")
    for program in (proxy, task):
        line = program.log.wait_for(rf"{haproxy.socket}.*Permission denied", 15)
        check("mode or owner" in line, f"the cure is not named: {line}")
    os.chmod(haproxy.socket, 0o666)
    haproxy.wait_in_rotation("task")
    task.log.wait_for(Say.ACCEPTED, 15)


@test(seconds=60)
def test_a_socket_below_admin_is_named_with_its_cure_and_enough_once_it_is_mended(scene):
    haproxy = edited(HAProxy(scene), "level admin", "level operator").start()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "task")
    for program in (proxy, task):
        line = program.log.wait_for("below level admin", 15)
        check("stats socket" in line and "level admin" in line and haproxy.socket in line, f"no cure: {line}")
    check(haproxy.servers() == [], f"HAProxy has {haproxy.servers()}")
    haproxy.kill()
    edited(haproxy, "level operator", "level admin").start()
    haproxy.wait_in_rotation("task")


@test(seconds=60)
def test_a_haproxy_whose_command_line_connections_are_all_in_use_is_named_and_served_when_one_is_free(scene):
    haproxy = edited(HAProxy(scene), r"\n *stats maxconn 20.*", "").start()
    others = []
    for _ in range(10):  # HAProxy's default.
        other = socket.socket(socket.AF_UNIX)
        other.connect(haproxy.socket)
        other.sendall(b"prompt\n")
        check(other.recv(100), "HAProxy does not answer")
        others.append(other)
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "task")
    for program in (proxy, task):
        line = program.log.wait_for("stats maxconn", 20)
        check(haproxy.socket in line, f"the socket is not named: {line}")
    check(not task.log.find(Say.ACCEPTED), "accepted by a HAProxy that nobody can reach")
    for _ in range(3):  # The sidecar's own, its probe, and this test's look.
        others.pop().close()
    haproxy.wait_in_rotation("task")
    task.log.wait_for(Say.ACCEPTED, 15)
    for other in others:
        other.close()


@test(seconds=60)
def test_another_haproxy_that_takes_the_sockets_place_gets_the_pool(scene):
    """Not a reload: the first one lives on and still answers on the old connection."""
    first = scene.haproxy(name="first")
    proxy = scene.sidecar(first)
    scene.task(proxy, "task")
    first.wait_in_rotation("task")
    second = HAProxy(scene, "second")
    edited(second, re.escape(second.socket), first.socket)
    second.socket = first.socket
    second.program = scene.run("second", ["haproxy", "-db", "-f", second.config])
    wait_until(lambda: second.info().get("Pid") == str(second.pid), 10, "the second HAProxy on the socket")
    second.wait_in_rotation("task")
    check(is_running(first.pid), "the first one has ended: that was another test")
    check(http_get(second.http_port)[1]["x-worker"] == "task", "the second one does not serve")


@test(seconds=60)
def test_a_path_that_is_no_socket_is_said_to_be_none(scene):
    plain = scene.path("plain")
    with open(plain, "w", encoding="ascii"):
        pass
    for number, path in enumerate((plain, scene.dir)):
        proxy = scene.sidecar(name=f"proxy{number}", socket_path=path)
        line = proxy.log.wait_for(Say.HAPROXY_AWAY, 10)
        check("no socket" in line and path in line, f"what is wrong with {path} is not said: {line}")


@test(seconds=60)
def test_a_pool_with_a_fixed_balance_and_a_pool_that_does_not_exist_leave_the_others_alone(scene):
    haproxy = scene.haproxy(extra_backends="backend fixed\n    balance static-rr\n")
    proxy = scene.sidecar(haproxy)
    for name, pool in (("static", "fixed"), ("lost", "nosuch"), ("good", POOL)):
        scene.task(proxy, name, more={"task": {"backend": pool}})
    haproxy.wait_in_rotation("good")
    proxy.log.wait_for('"node":"static".*balance', 10)
    proxy.log.wait_for('"node":"lost".*nosuch', 10)
    check(not haproxy.servers("fixed") and len(haproxy.servers()) == 1, f"HAProxy has {haproxy.servers()}")
