"""worker.restart: the listener outlives the worker. And nothing below a task outlives it."""
import os
import signal
import time

from harness import HERE, PYTHON, check, children_of, free_port, hold_true, is_running, test, wait_until
from load import Load


def starts(task):
    return task.worker.lines("start")


def kill_worker(task):
    """SIGKILL to the last worker that was started; when it was gone."""
    pid = starts(task)[-1]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pid), 5, "the worker's death", every=0.001)
    return time.monotonic()


@test(seconds=60)
def test_a_crashed_worker_is_out_of_rotation_and_back_when_the_next_is_ready(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    port = free_port()
    task = scene.task(proxy, "again", worker=["--accept-after", "0.7"],
                      more={"task": {"listen": f"127.0.0.1:{port}"}, "worker": {"restart": "on-failure"}})
    haproxy.wait_in_rotation("again")
    crashed = kill_worker(task)
    haproxy.wait_out_of_rotation("again", timeout=5)
    out = time.monotonic()
    scene.say(f"out of rotation {(out - crashed) * 1000:.0f} ms after the crash")
    check(out - crashed < 0.7, "not before the new worker was ready")
    haproxy.wait_in_rotation("again", timeout=10)
    scene.say(f"back {time.monotonic() - crashed:.2f} s after the crash, of a worker that takes 0.7 s to start")
    check(len(starts(task)) == 2 and starts(task)[1]["port"] == port, f"starts: {starts(task)}")
    check(haproxy.server_of("again").port == port, "another server")
    # An exit with 0 is no failure: then the task ends.
    os.kill(starts(task)[-1]["pid"], signal.SIGTERM)
    check(task.wait(15) == 0, "not 0")


@test(seconds=60, alone=True)
def test_a_crash_inside_backlog_wait_fails_no_new_request(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "patient", more={"worker": {"restart": "always", "backlog_wait": "8s"}})
    haproxy.wait_in_rotation("patient")
    # The worker finishes what is in flight and exits of its own accord: the next requests wait for the new one.
    load = Load(haproxy.http_port, seconds=20, clients=4, kind="close", pause_ms=20)
    wait_until(lambda: load.running(), 2, "the load")
    for number in range(3):
        time.sleep(0.3)
        os.kill(starts(task)[-1]["pid"], signal.SIGTERM)
        wait_until(lambda n=number: len(starts(task)) == n + 2, 10, "the next worker")
        check(haproxy.in_rotation("patient"), "out of rotation")
        task.log.wait_for(r'"worker ready"', 10)
    time.sleep(0.5)
    result = load.result(stop_now=True)
    scene.say(f"three exits with 0 under {result['ok']} requests, {result['failed']} failed, slowest "
              f"{result['slowest_ms']} ms")
    check(result["failed"] == 0 and result["ok"] > 50,
          f"{result['failed']} of {result['ok']} failed: {result['errors']}")
    check(not task.log.find("withdrawn"), "it was withdrawn")
    check(task.stop() == 0, "not 0")


@test(seconds=60)
def test_a_crash_loop_backs_off_and_a_stop_is_honoured_while_it_waits(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    counter = scene.path("starts")
    task = scene.task(proxy, "loop", more={"worker": {
        "command": ["/bin/sh", "-c", f"date +%s.%N >> {counter}; exit 3"], "restart": "on-failure"}})

    def times():
        try:
            with open(counter, encoding="ascii") as f:
                return [float(line) for line in f]
        except FileNotFoundError:
            return []
    wait_until(lambda: len(times()) >= 4, 20, "four starts")
    waits = [b - a for a, b in zip(times(), times()[1:])]
    scene.say("starts after " + ", ".join(f"{w:.2f} s" for w in waits))
    check(waits[0] < 0.7 and 0.7 < waits[1] < 2.2 and 1.4 < waits[2] < 4, f"waits between starts: {waits}")
    check(haproxy.servers() == [], "a server for a worker that never was ready")
    begun = time.monotonic()
    check(task.stop() == 0, "stopped as asked: not 0")
    scene.say(f"a stop while a restart is waited for took {time.monotonic() - begun:.2f} s")
    check(time.monotonic() - begun < 5, "a stop waited for the restart")


@test(seconds=60)
def test_a_stop_is_honoured_in_each_state_of_a_restart(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    for name, words, expected in (("starting", ["--accept-after", "30"], 0),
                                  ("deaf", ["--accept-after", "30", "--ignore-term"], 128 + signal.SIGKILL)):
        flag = scene.path(f"{name}.flag")
        quick = [PYTHON, os.path.join(HERE, "worker.py"), "--name", name, "--log", scene.path(f"{name}.worker")]
        script = f'if [ -e {flag} ]; then exec "$@" {" ".join(words)}; fi; touch {flag}; exec "$@"'
        task = scene.task(proxy, name, more={"worker": {"command": ["/bin/sh", "-c", script, "sh", *quick],
                                                        "restart": "always"}, "task": {"drain_timeout": "5s"}})
        haproxy.wait_in_rotation(name)
        kill_worker(task)
        wait_until(lambda t=task: len(starts(t)) == 2, 10, "the second worker")
        begun = time.monotonic()
        check(task.stop() == expected, f"{name}: not {expected}")
        took = time.monotonic() - begun
        check(took < 6, f"{name}: it took {took:.1f} s of 5 s")
        check(not is_running(starts(task)[-1]["pid"]), f"{name}: the worker lives on")
        check(not haproxy.in_rotation(name), f"{name}: in rotation still")


# A leader with a child in its group, and one that has left it by a double fork and setsid.
FAMILY = """
import os, signal, socket, sys, time
def child(out, daemon):
    if os.fork() == 0:
        if daemon:
            os.setsid()
            if os.fork() > 0:
                os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open(out, "w") as f:
            f.write(f"{os.getpid()}\\n")
        time.sleep(600)
        os._exit(0)
child(sys.argv[1], False)
child(sys.argv[2], True)
listener = socket.socket(fileno=3)
while True:
    connection, _ = listener.accept()
    connection.close()
"""


def family(scene, name, seeds, more):
    """A task whose worker has a child and a daemon; (task, leader, child, daemon)."""
    files = [scene.path(f"{name}.child"), scene.path(f"{name}.daemon")]
    script = scene.path(f"{name}.py")
    with open(script, "w", encoding="ascii") as f:
        f.write(FAMILY)
    task = scene.task(seeds, name, more={**more, "worker": {"command": [PYTHON, script, *files],
                                                            **more.get("worker", {})}})

    def pids():
        try:
            return [int(open(path, encoding="ascii").read()) for path in files]
        except (FileNotFoundError, ValueError):
            return None
    task.log.wait_for(r'"worker ready"', 10)
    child, daemon = wait_until(pids, 10, "the family")
    leader = os.getpgid(child)
    return task, leader, child, daemon


@test(seconds=60)
def test_the_whole_tree_is_gone_when_the_leader_has_died(scene):
    nobody = [f"127.0.0.1:{free_port()}"]
    task, leader, child, daemon = family(scene, "orphans", nobody, {})
    os.kill(leader, signal.SIGKILL)
    check(task.wait(15) == 128 + signal.SIGKILL, "not the leader's status")
    for pid, what in ((child, "the child"), (daemon, "the daemon")):
        check(not is_running(pid), f"{what} lives on")


@test(seconds=60)
def test_what_ignores_the_stop_after_its_leader_has_gone_is_killed_inside_the_budget(scene):
    nobody = [f"127.0.0.1:{free_port()}"]
    task, leader, child, daemon = family(scene, "stubborn", nobody, {"task": {"drain_timeout": "3s"}})
    begun = time.monotonic()
    task.signal(signal.SIGTERM)
    wait_until(lambda: not is_running(leader), 3, "the leader's end")
    check(is_running(child), "the child had no time of its own")
    check(task.wait(10) == 0, "not 0")
    took = time.monotonic() - begun
    check(2 < took < 4, f"it took {took:.1f} s, not 2.4 s of 3 s")
    check(not is_running(child) and not is_running(daemon), "somebody lives on")


@test(seconds=60)
def test_a_restart_leaves_nobody_of_the_old_group(scene):
    nobody = [f"127.0.0.1:{free_port()}"]
    task, leader, child, _ = family(scene, "heirs", nobody, {"worker": {"restart": "always"},
                                                             "task": {"drain_timeout": "2s"}})
    mark = task.log.mark()
    os.kill(leader, signal.SIGKILL)
    task.log.wait_for(r'"worker ready"', 10, since=mark)
    check(not is_running(child), "the old child lives on beside the new worker")
    new = [pid for pid in children_of(task.pid) if os.getpgid(pid) == pid and pid != leader]
    check(new, "no new worker")
    task.signal(signal.SIGQUIT)
    task.wait(30)


@test(seconds=60)
def test_signals_go_to_the_leader_alone_where_that_is_wanted(scene):
    nobody = [f"127.0.0.1:{free_port()}"]
    for scope, told in (("group", True), ("leader", False)):
        out = scene.path(f"{scope}.told")
        script = (f"trap 'exit 0' TERM; (trap 'echo told > {out}; exit 0' USR1; while :; do sleep 0.1; done) & "
                  "trap : USR1; while :; do sleep 0.1; done")
        task = scene.task(nobody, f"scope-{scope}", more={
            "worker": {"command": ["/bin/sh", "-c", script], "ready": "delay:100ms", "signal_scope": scope},
            "task": {"drain_timeout": "2s"}})
        task.log.wait_for(r'"worker ready"', 10)
        task.signal(signal.SIGUSR1)
        if told:
            wait_until(lambda path=out: os.path.exists(path), 5, "SIGUSR1 at the child")
        else:
            hold_true(lambda path=out: not os.path.exists(path), 0.5, "no SIGUSR1 at the child")
        task.signal(signal.SIGQUIT)
        task.wait(30)


@test(seconds=60)
def test_a_task_that_stood_still_past_its_budget_still_asks_its_worker_to_stop(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "frozen", more={"task": {"drain_timeout": "1s"}})
    haproxy.wait_in_rotation("frozen")
    proxy.kill()  # Nobody says `drained`: the stop is still in its first phase when the machine stands still.
    task.signal(signal.SIGTERM)
    task.log.wait_for("stop requested", 5)
    task.signal(signal.SIGSTOP)
    time.sleep(2.5)
    task.signal(signal.SIGCONT)
    begun = time.monotonic()
    check(task.wait(10) == 0, "the worker was killed, or abandoned")
    took = time.monotonic() - begun
    check(took < 4, f"it took {took:.1f} s after it")
    check(task.worker.first("end")["why"] == "sigterm", "the worker was not asked to stop")
