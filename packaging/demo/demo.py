#!/usr/bin/python3
"""The demo behind packaging/demo/run. It plays on the same stage as the interop tests: test/interop/harness.py
starts and ends the programs, test/interop/worker.py is the HTTP worker on descriptor 3, test/interop/load.py sends
the requests."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "test", "interop"))
from harness import GRACE_SECONDS, Failure, Scene, http_get, wait_until  # noqa: E402
from load import Load  # noqa: E402

BEGUN = time.monotonic()


def tell(text):
    print(f"\n[{time.monotonic() - BEGUN:5.1f} s] {text}", flush=True)


def show_table(haproxy):
    """The columns of `show servers state` that a person reads."""
    print(f"    {'server':<24} {'address':<18} {'weight':>6}  state")
    for server in sorted(haproxy.servers() or [], key=lambda s: s.name):
        state = "in rotation" if server.in_rotation else "maintenance" if server.admin & 1 else "not in rotation"
        print(f"    {server.name:<24} {server.address + ':' + str(server.port):<18} {server.weight:>6}  {state}")
    if not haproxy.servers():
        print("    (no server)")
    sys.stdout.flush()


def show_answers(port, requests):
    answers = {}
    for _ in range(requests):
        status, headers, _ = http_get(port)
        who = headers.get("x-worker", "?") if status == 200 else f"status {status}"
        answers[who] = answers.get(who, 0) + 1
    print("    " + ", ".join(f"{who}: {count}" for who, count in sorted(answers.items())), flush=True)
    return answers


def show_file(shoal):
    with open(shoal.config, encoding="utf-8") as f:
        print("".join(f"    {line}" for line in f), end="", flush=True)


def play(scene):
    tell("HAProxy, with an empty pool, and `shoal -c sidecar.toml` beside it:")
    haproxy = scene.haproxy(repeats_posts=True)
    quiet = {"log": {"level": "info", "format": "text"}}
    sidecar = scene.sidecar(haproxy, more=quiet)
    show_file(sidecar)

    tell("Three tasks, each `shoal -c task.toml` with an HTTP server as its worker. The file of the first:")
    tasks = {name: scene.task(sidecar, name, worker=["--slow", "2"], more=quiet) for name in ("one", "two", "three")}
    show_file(tasks["one"])
    haproxy.wait_in_rotation(*tasks)
    tell("HAProxy's table:")
    show_table(haproxy)
    tell("300 requests through HAProxy; answers came from:")
    answers = show_answers(haproxy.http_port, 300)
    if set(answers) != set(tasks) or min(answers.values()) < 50:
        raise Failure("the answers are not balanced")

    tell("Requests go on without a pause from now on (GET and POST, kept and fresh connections).")
    load = Load(haproxy.http_port, seconds=120)
    time.sleep(2)  # So that a reader sees three workers at work.
    tell("`two` is stopped: SIGTERM to its shoal.")
    begun = time.monotonic()
    status = tasks["two"].stop(timeout=25)
    took = time.monotonic() - begun
    print(f"    it left rotation, its worker was told to stop, and it exited {status}: {took:.2f} s")
    show_table(haproxy)

    tell("`three` is killed: SIGKILL to its shoal, its worker dies with it.")
    begun = time.monotonic()
    tasks["three"].kill()
    wait_until(lambda: not (s := haproxy.server_of("three")) or s.admin & 1, 20,
               "the killed task's server in maintenance")
    print(f"    the cluster found it dead, HAProxy has it in maintenance: {time.monotonic() - begun:.1f} s")
    show_table(haproxy)

    tell("`four` arrives.")
    begun = time.monotonic()
    scene.task(sidecar, "four", worker=["--slow", "2"], more=quiet)
    haproxy.wait_in_rotation("four")
    print(f"    in rotation {time.monotonic() - begun:.2f} s after its start")
    show_table(haproxy)

    tell(f"Servers that have gone are deleted from HAProxy once they have been {GRACE_SECONDS} s in maintenance ...")
    for name in ("two", "three"):
        haproxy.wait_deleted(name, 45)
    show_table(haproxy)
    result = load.result(stop_now=True)
    sent = result["ok"] + result["failed"]
    tell(f"{sent} requests were sent meanwhile, {result['failed']} failed. Answers came from:")
    print("    " + ", ".join(f"{who}: {count}" for who, count in sorted(result["by_worker"].items())))
    for error in result["errors"]:
        print(f"    failed: {error}")
    if result["failed"]:
        raise Failure("requests failed")


def main():
    def stop(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, stop)
    scene = Scene()
    try:
        play(scene)
    except KeyboardInterrupt:
        tell("Stopped.")
        return 130
    except Failure as failure:
        tell(f"This went wrong: {failure}")
        print(scene.logs())
        return 1
    finally:
        scene.close(remove=True)
    tell("Done; everything that was started has been ended.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
