"""One budget for the whole stop: what is given its time, what is cut, and that the log says so."""
import json
import os
import signal
import socket
import threading
import time

from harness import POOL, check, free_port, http_get, test, wait_until
from load import Load
from websocket import CLOSE, TEXT, frame, new_key, read_frame


def connections_of(haproxy, node, pool=POOL):
    """Of clients, in HAProxy's own words."""
    for line in haproxy.tell(f"show stat {pool} 4 -1").splitlines():
        words = line.split(",")
        if len(words) > 4 and words[1].startswith(f"shoal-{node}-"):
            return int(words[4])
    return 0


def open_websocket(port, pool):
    s = socket.create_connection(("127.0.0.1", port), 20)
    s.sendall(f"GET / HTTP/1.1\r\nHost: {pool}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {new_key()}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += s.recv(1)
    check(b" 101 " in head.split(b"\r\n")[0], f"no websocket: {head}")
    return s


def phases(task):
    """event -> elapsed_ms, of the lines that have one."""
    entries = [json.loads(line) for line in task.log.text().splitlines() if '"elapsed_ms"' in line]
    return {e["event"]: e["elapsed_ms"] for e in entries}, {e["event"]: e for e in entries}


@test(seconds=60)
def test_a_long_request_completes_and_a_websocket_is_cut_at_the_end_of_the_drain_and_counted(scene):
    haproxy = scene.haproxy(pools=(POOL, "ws"))
    proxy = scene.sidecar(haproxy)
    slow = scene.task(proxy, "slow")
    talk = scene.task(proxy, "talk", more={"task": {"backend": "ws", "drain_timeout": "4s"}})
    haproxy.wait_in_rotation("slow")
    haproxy.wait_in_rotation("talk", pool="ws")
    answer = []
    asking = threading.Thread(target=lambda: answer.append(http_get(haproxy.http_port, "/slow?ms=5000", timeout=20)))
    asking.start()
    sockets = [open_websocket(haproxy.http_port, "ws") for _ in range(2)]
    wait_until(lambda: connections_of(haproxy, "slow") == 1 and connections_of(haproxy, "talk", "ws") == 2, 5,
               "the request and the websockets to be in flight")
    begun = time.monotonic()
    for task in (slow, talk):
        task.signal(signal.SIGTERM)
    haproxy.wait_out_of_rotation("talk", pool="ws")
    sockets[0].sendall(frame(TEXT, b"still there?", masked=True))  # It goes on as if nothing were.
    check(read_frame(lambda: sockets[0].recv(4096), b"")[1] == b"still there?", "the websocket is dead")
    kind, _, _ = read_frame(lambda: sockets[1].recv(4096), b"")
    cut_after = time.monotonic() - begun
    check(kind == CLOSE and 2.3 < cut_after < 4, f"frame {kind}, {cut_after:.1f} s after SIGTERM; the drain has 2.4 s")
    for s in sockets:
        s.close()
    check(talk.wait(10) == 0, "not 0")
    check(time.monotonic() - begun < 4.5, f"{time.monotonic() - begun:.1f} s of 4 s")
    times, lines = phases(talk)
    cut = lines["drain cut short; requests may still be in flight"]
    check(cut["in_flight"] == 2 and cut["sidecars_silent"] == 0, f"{cut}")
    order = ["drain cut short; requests may still be in flight", "worker told to stop", "worker exited"]
    check(sorted(order, key=lambda e: times[e]) == order, f"{times}")
    check(2300 < times[order[0]] <= times["left the cluster"] < 4000, f"{times}")
    asking.join(20)
    check(answer and answer[0][0] == 200, f"the request in flight ended with {answer}")
    check(slow.wait(20) == 0, "not 0")
    times, _ = phases(slow)
    check("drain cut short; requests may still be in flight" not in times, f"{times}")
    check(4000 < times["drained"] <= times["worker told to stop"] <= times["worker exited"], f"{times}")
    scene.say(f"a request of 5 s: drained after {times['drained']} ms, worker exited after {times['worker exited']} "
              f"ms; a websocket cut after {cut_after:.1f} s of a budget of 4 s")


@test(seconds=60)
def test_sigterm_in_every_state_ends_inside_the_budget(scene):
    haproxy = scene.haproxy()
    proxy, frozen, waiting = (scene.sidecar(haproxy if name == "proxy" else None, name=name,
                                            socket_path=None if name == "proxy" else scene.path("nobody.sock"))
                              for name in ("proxy", "frozen", "waiting"))
    loner = scene.agent("loner", tags={"role": "observer"})
    most = 4.0
    budget = {"task": {"drain_timeout": f"{most:.0f}s"}}
    nobody = [f"127.0.0.1:{free_port()}"]
    states = {
        "resolving": ([f"no-such-host.invalid:{free_port()}"], [], None),
        "unready": (proxy, ["--never-accept"], "worker started"),
        "joining": (nobody, [], "worker ready"),
        "unannounced": ([loner.gossip], [], "no sidecar is known"),
        "announcing": (waiting, [], "worker ready"),
        "ready": (proxy, [], "accepted"),
        "unheard": (frozen, [], "worker ready"),
        "draining": (proxy, [], "accepted"),
    }
    tasks = {name: scene.task(seeds, name, worker=words, more=budget) for name, (seeds, words, _) in states.items()}
    for name, (_, _, event) in states.items():
        if event:
            tasks[name].log.wait_for(f'"event":"{event}', 15)
    held = threading.Thread(target=lambda: http_get(haproxy.http_port, "/slow?ms=2500", timeout=20))
    frozen.signal(signal.SIGSTOP)
    begun = {}
    for name, task in tasks.items():
        if name != "draining":
            task.signal(signal.SIGTERM)
            begun[name] = time.monotonic()
    haproxy.wait_out_of_rotation("ready")
    held.start()
    wait_until(lambda: connections_of(haproxy, "draining") == 1, 5, "a request that keeps the drain going")
    tasks["draining"].signal(signal.SIGTERM)
    haproxy.wait_out_of_rotation("draining")
    tasks["draining"].signal(signal.SIGTERM)
    begun["draining"] = time.monotonic()
    took = {}
    while len(took) < len(tasks):
        for name, task in tasks.items():
            if name not in took and not task.running():
                took[name] = time.monotonic() - begun[name]
        check(time.monotonic() - max(begun.values()) < most + 1, f"{set(tasks) - set(took)} run on")
        time.sleep(0.01)
    for name, task in tasks.items():
        check(task.wait(1) == 0, f"{name} did not end with 0")
        check(took[name] < most, f"{name}: {took[name]:.1f} s of {most:.0f} s")
        check(not any(os.path.exists(f"/proc/{line['pid']}") for line in task.worker.lines()), f"{name} left a worker")
    held.join(20)
    scene.say("; ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items()) + f", of a budget of {most:.0f} s")


@test(seconds=90)
def test_a_task_that_stops_while_its_only_sidecar_is_replaced_loses_no_request(scene):
    haproxy = scene.haproxy(bare=True)
    old = scene.sidecar(haproxy, name="old")
    stay, go = (scene.task(old, name, worker=["--slow", "3"]) for name in ("stay", "go"))
    haproxy.wait_in_rotation("stay", "go")
    load = Load(haproxy.http_port, seconds=60, clients=8)
    wait_until(lambda: connections_of(haproxy, "go") > 0, 5, "the load")
    for _ in range(2):  # The second one: not even while HAProxy lives.
        old.signal(signal.SIGTERM)
        old.log.wait_for(r'"event":"stop', 5)
    check(old.wait(10) == 0, "old: not 0")
    begun = time.monotonic()
    go.signal(signal.SIGTERM)
    go.log.wait_for(r'"event":"stop requested"', 5)
    # As an orchestrator does it: another name, another start, the address that everybody has as a seed.
    new = scene.sidecar(haproxy, name="new", more={"gossip": {"bind": old.gossip}})
    haproxy.wait_out_of_rotation("go", timeout=12)
    check(go.wait(20) == 0, "not 0")
    took = time.monotonic() - begun
    result = load.result(stop_now=True)
    check(go.worker.first("end")["after_term"] == 0, "the worker got requests after its SIGTERM")
    check(result["failed"] == 0, f"{result['failed']} of {result['ok'] + result['failed']} failed: {result['errors']}")
    check(result["ok"] > 200 and set(result["by_worker"]) == {"stay", "go"}, f"no load: {result}")
    check(haproxy.in_rotation("stay") and new.running(), "stay was lost")
    scene.say(f"gone after {took:.1f} s, {result['ok']} requests, none failed")
