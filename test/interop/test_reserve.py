"""A worker that binds its port itself: worker.socket = "reserve" and "reserve-close"."""
import os
import signal
import socket
import subprocess

from harness import SHOAL, check, free_port, http_get, test, toml_text, wait_until


def can_bind(port, reuse=False):
    with socket.socket() as s:
        if reuse:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@test(seconds=60)
def test_a_worker_that_binds_for_itself_serves_on_a_port_that_nobody_else_gets(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    port = free_port()
    task = scene.task(proxy, "own", worker=["--bind", "reuse"],
                      more={"worker": {"socket": "reserve"}, "task": {"listen": f"127.0.0.1:{port}"}})
    got = task.worker.wait_for("start")
    check(got["port"] == port and got["env"].get("SHOAL_PORT") == str(port), f"port {got['port']}, not {port}")
    check(got["env"].get("SHOAL_ADDR") == "127.0.0.1" and got["env"].get("NOTIFY_SOCKET"), f"{got['env']}")
    check(not [k for k in got["env"] if k.startswith("LISTEN_") or k == "SHOAL_LISTENER_FD"], f"{got['env']}")
    check(got["fds"] == [0, 1, 2], f"descriptors {got['fds']}")
    haproxy.wait_in_rotation("own")
    check(task.log.find(r'"event":"worker accepts","by":"connect"'), "not found ready by a connect")
    check(http_get(haproxy.http_port)[0] == 200, "no answer")
    # Two generations could not listen side by side: SIGHUP is the worker's own.
    task.signal(signal.SIGHUP)
    wait_until(lambda: [e["number"] for e in task.worker.lines("signal")] == [signal.SIGHUP], 5, "SIGHUP at the worker")
    check(haproxy.in_rotation("own") and len(task.worker.lines("start")) == 1, "SIGHUP did more than that")
    check(task.stop(15) == 0 and task.worker.first("end")["why"] == "sigterm", "not stopped as asked")


@test(seconds=60)
def test_a_reserved_port_is_kept_from_everybody_else_to_the_end(scene):
    nobody, ports = [f"127.0.0.1:{free_port()}"], [free_port(), free_port()]
    wait = ["/bin/sh", "-c", "trap 'read _ <>go; exit 0' TERM; mkfifo go; while :; do sleep 0.02; done"]
    tasks = [scene.task(nobody, how, more={"worker": {"socket": how, "command": wait},
                                           "task": {"listen": f"127.0.0.1:{port}"}})
             for how, port in zip(("reserve", "reserve-close"), ports)]
    for task in tasks:
        task.log.wait_for('"event":"worker started"', 10)
    kept, free = ports
    check(not can_bind(kept) and can_bind(kept, reuse=True), "not kept for a worker with SO_REUSEADDR alone")
    check(can_bind(free), "reserve-close did not close")
    tasks[0].signal(signal.SIGTERM)
    tasks[0].log.wait_for('"event":"worker told to stop"', 5)
    check(not can_bind(kept), "somebody else may bind the port while the worker ends")
    wait_until(lambda: os.path.exists(scene.path("go")), 5, "the worker's pipe")
    with open(scene.path("go"), "w", encoding="ascii") as f:
        f.write("\n")
    check(tasks[0].wait(10) == 0 and can_bind(kept), "not free after the task's end")


@test(seconds=60)
def test_a_worker_without_reuseaddr_gets_its_port_with_reserve_close_alone(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    port = free_port()
    listen = {"task": {"listen": f"127.0.0.1:{port}"}}
    task = scene.task(proxy, "plain", worker=["--bind", "plain"],
                      more={"worker": {"socket": "reserve-close"}, **listen})
    haproxy.wait_in_rotation("plain")
    check(http_get(haproxy.http_port)[1].get("x-worker") == "plain", "no answer")
    # Whoever wants the same port is told so at once, and does not stand beside it.
    second = scene.task(proxy, "second", worker=["--bind", "reuse"], more={"worker": {"socket": "reserve"}, **listen})
    check(second.wait(10) == 69 and str(port) in second.log.text(), f"second: {second.log.tail()}")
    check(task.stop(15) == 0, "not 0")
    refused = scene.task(proxy, "refused", worker=["--bind", "plain"], more={"worker": {"socket": "reserve"}})
    check(refused.wait(15) == 1, "a worker that could not bind")
    check(refused.log.find("Address already in use"), f"refused: {refused.log.tail()}")
    # The connections that one has left do not keep its successor from the port. (Those of a worker without SO_REUSEADDR
    # would, for a minute, where it was the first to close them.)
    listen = {"task": {"listen": f"127.0.0.1:{free_port()}"}}
    for name in ("once", "again"):
        task = scene.task(proxy, name, worker=["--bind", "reuse"], more={"worker": {"socket": "reserve"}, **listen})
        haproxy.wait_in_rotation(name)
        check(http_get(haproxy.http_port)[1].get("x-worker") == name, "no answer")
        check(task.stop(15) == 0, "not 0")


@test(seconds=60)
def test_a_worker_that_never_listens_on_its_reserved_port_is_told_what_it_must_do(scene):
    task = scene.task([f"127.0.0.1:{free_port()}"], "silent", worker=["--bind", "reuse", "--never-accept"],
                      more={"worker": {"socket": "reserve", "ready_timeout": "1s"}})
    check(task.wait(15) == 75, "not 75")
    line = task.log.find(r"worker\.ready_timeout")
    for word in ("worker.socket = reserve", "SHOAL_PORT", "SO_REUSEADDR", "reserve-close"):
        check(line and word in line, f"{word!r} is missing in: {line}")


@test(seconds=20)
def test_a_reserved_port_and_a_descriptor_in_the_command_are_an_error(scene):
    path = scene.path("both.toml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(toml_text({"role": "task", "gossip": {"join": ["127.0.0.1"]},
                           "worker": {"socket": "reserve", "command": ["./server", "--fd={fd}"]}}))
    done = subprocess.run([SHOAL, "config", "check", "-c", path], capture_output=True, text=True, check=False)
    check(done.returncode == 78, f"status {done.returncode}: {done.stderr}{done.stdout}")
    for word in ("both.toml", "worker.command", "{fd}", "{port}"):
        check(word in done.stdout + done.stderr, f"{word!r} is missing in: {done.stderr}{done.stdout}")
