"""`shoal status`: what it says of a task and of a sidecar is what HAProxy's own table and the processes say."""
import json
import os
import re
import signal
import socket
import subprocess

from harness import POOL, SHOAL, HAProxy, check, test, wait_until
from test_supervised import in_flight


def status(shoal):
    """Waits for its control socket, right after its start."""
    socket_path = shoal.settings["control"]["socket"]
    wait_until(lambda: os.path.exists(socket_path), 10, f"{socket_path}")
    return json.loads(shoal.command("status", "-o", "json"))


def proxy_of(sidecar, haproxy):
    return next(row for row in status(sidecar)["sidecar"]["proxies"] if row["socket"] == haproxy.socket)


def row_of(haproxy):
    """What the sidecar's row must say, by HAProxy's own word."""
    rows, info = haproxy.servers(), haproxy.info()
    serving = sum(row.in_rotation for row in rows)
    return {"connected": True, "version": info["Version"], "pid": int(info["Pid"]), "in_rotation": serving,
            "out": len(rows) - serving}


def agrees(sidecar, haproxy):
    said, true = proxy_of(sidecar, haproxy), row_of(haproxy)
    return all(said[key] == value for key, value in true.items())


@test(seconds=60)
def test_the_status_of_a_task_is_what_its_processes_and_haproxy_say(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "task", more={"task": {"weight": 42}})
    haproxy.wait_in_rotation("task")
    wait_until(lambda: status(task)["ready"]["healthy"], 10, "ready")
    server = haproxy.server_of("task")
    told = status(task)
    check((told["name"], told["role"], told["pid"]) == ("task", "task", task.pid), told)
    check(told["members"] == told["alive"] == 2 and told["failed"] == 0 and told["address"] == task.gossip, told)
    check(told["version"] in subprocess.check_output([SHOAL, "version"], text=True).splitlines()[0].split(), told)
    check(0 < told["uptime_ms"] < 60000 and told["health"]["healthy"], told)
    of = told["task"]
    check([w["pid"] for w in of["workers"]] == [task.worker.pid], of)
    check(of["state"] == "ready" and of["port"] == server.port and of["listen"] == f"127.0.0.1:{server.port}", of)
    check((of["pool"], of["weight"], of["wish"], of["proxies_in_rotation"]) == (POOL, 42, "", 1), of)
    check(server.weight == 42, server)
    check(len(of["sidecars"]) == 1 and of["sidecars_left_out"] == 0, of)
    row = of["sidecars"][0]
    check((row["name"], row["address"]) == ("proxy", proxy.gossip), row)
    check((row["member"], row["state"]) == ("alive", "accepted"), row)
    check(row["server"] == server.name and row["answered_ms"] < 5000, row)
    check((row["proxies_up"], row["proxies_total"], row["proxies_in_rotation"]) == (1, 1, 1), row)

    text = task.command("status")
    check(len(text.splitlines()) <= 24 and all(len(line) < 140 for line in text.splitlines()), text)
    for word in ("task, task, shoal", str(task.pid), str(task.worker.pid), f"pool {POOL}", server.name, "accepted"):
        check(word in text, f"{word} is missing in:\n{text}")

    haproxy.kill()
    wait_until(lambda: status(task)["task"]["sidecars"][0]["state"] == "refused", 10, "what the sidecar says now")
    row = status(task)["task"]["sidecars"][0]
    check(haproxy.socket in row["reason"] and row["proxies_in_rotation"] == 0, row)
    check("HAProxy is away" in task.command("status"), task.command("status"))


@test(seconds=60)
def test_the_status_of_a_task_shows_its_drain_and_its_accept_queue(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "task", worker=["--slow", "1500"])
    wait_until(lambda: status(task)["ready"]["healthy"], 10, "ready")
    os.kill(task.worker.pid, signal.SIGSTOP)  # It accepts nothing more.
    waiting = [socket.create_connection(("127.0.0.1", status(task)["task"]["port"])) for _ in range(3)]
    queue = status(task)["task"]["accept_queue"]
    check(queue["depth"] >= 3 and queue["limit"] >= 128, queue)
    os.kill(task.worker.pid, signal.SIGCONT)
    for connection in waiting:
        connection.close()
    wait_until(lambda: status(task)["task"]["accept_queue"]["depth"] == 0, 10, "an empty queue")
    request = subprocess.Popen(["curl", "-s", f"http://127.0.0.1:{haproxy.http_port}/"], stdout=subprocess.DEVNULL)
    wait_until(lambda: in_flight(haproxy) == 1, 5, "the request in flight")
    task.signal(signal.SIGTERM)
    draining = wait_until(lambda: next((s for s in [status(task)["task"]] if s["drain"] == "waiting"
                                        and s["sidecars"][0]["in_flight"] == 1), None), 5, "one request in flight")
    check(draining["state"] == "draining" and draining["proxies_in_rotation"] == 0, draining)
    check("1 requests in flight" in task.command("status") or not task.running(), task.command("status"))
    check(request.wait(10) == 0 and task.wait(20) == 0, "the stop failed")


@test(seconds=60)
def test_the_status_of_a_sidecar_is_haproxys_own_table(scene):
    first, second = scene.haproxy(name="first"), HAProxy(scene, name="second")
    proxy = scene.sidecar(first, more={"haproxy": {"socket": [first.socket, second.socket],
                                                   "reconcile_interval": "200ms"}})
    tasks = [scene.task(proxy, name) for name in ("one", "two", "three")]
    first.wait_in_rotation("one", "two", "three")
    second_row = proxy_of(proxy, second)
    check(not second_row["connected"] and second_row["reason"] and second_row["in_rotation"] == 0, second_row)
    check("?" in proxy.command("status") and f"{second.socket} is away" in proxy.command("status"), "no word of it")
    wait_until(lambda: agrees(proxy, first), 5, "the first HAProxy as it is")
    second.start()
    second.wait_in_rotation("one", "two", "three")
    wait_until(lambda: agrees(proxy, second), 5, "the second HAProxy as it is")
    first.tell(f"set server {POOL}/{first.server_of('one').name} state maint")
    first.tell(f"add server {POOL}/shoal-stranger-1 127.0.0.1:9")
    wait_until(lambda: agrees(proxy, first) and proxy_of(proxy, first)["out"] == 2, 5, "one by hand, and a stranger")
    row = proxy_of(proxy, first)
    numbers = [row[name] for name in ("in_rotation", "claimed", "missing", "by_hand", "refused")]
    check(numbers == [2, 3, 0, 2, 0], row)
    check(row["commands"] > 5 and row["compared_ms"] < 2000, row)
    told = status(proxy)
    check(told["sidecar"]["tasks"] == 3 and told["alive"] == 4 and told["sidecar"]["held"] == [], told)
    text = proxy.command("status")
    check(first.version() in text and re.search(rf"{first.socket} .* 2 +2 +3 +0 ", text), text)
    check(f"{first.socket}: 2 taken out by hand" in text, text)
    check(len(text.splitlines()) <= 24, text)

    for task in tasks[1:]:  # Their workers live on: nobody but gossip calls them gone.
        os.kill(task.pid, signal.SIGSTOP)
    held = wait_until(lambda: status(proxy)["sidecar"]["held"], 30, "a server that the floor holds", every=0.1)
    check({row["node"] for row in held} <= {"two", "three"} and {row["pool"] for row in held} == {POOL}, held)
    check(all(row["server"] in {s.name for s in first.servers() if s.in_rotation} for row in held
              if row["socket"] == first.socket), held)
    check("HELD IN ROTATION" in proxy.command("status"), proxy.command("status"))
    for task in tasks[1:]:
        os.kill(task.pid, signal.SIGCONT)


@test(seconds=30)
def test_the_status_of_a_dry_run_says_so(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy, more={"haproxy": {"dry_run": True}})
    task = scene.task(proxy, "task")
    row = wait_until(lambda: next((r for r in status(task)["task"]["sidecars"] if r["reason"]), None), 10, "a reason")
    check("dry run" in row["reason"] and row["state"] == "pending" and not status(task)["ready"]["healthy"], row)
    check(status(proxy)["sidecar"]["dry_run"] and "a dry run" in proxy.command("status"), "no word of it")
    check(proxy_of(proxy, haproxy)["missing"] == 1, proxy_of(proxy, haproxy))
