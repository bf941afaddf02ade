"""SIGHUP: a new generation of the worker takes over on the same listener."""
import os
import shutil
import signal
import time

from harness import HERE, PYTHON, Say, check, hold_true, http_get, is_running, test, wait_until
from load import Load


def generations(task):
    """The pids of all that were started, oldest first."""
    return [line["pid"] for line in task.worker.lines("start")]


def first_of(task):
    return wait_until(lambda: generations(task), 10, "a worker")[0]


def renew(task, timeout=10):
    """One renewal to its end: the old generation is gone. Gives the new pid."""
    old = generations(task)
    task.signal(signal.SIGHUP)
    wait_until(lambda: len(generations(task)) > len(old) and not is_running(old[-1]), timeout,
               "the old generation's end")
    return generations(task)[-1]


def answers_from(haproxy):
    """The pid of the worker that answers a request."""
    status, _, body = http_get(haproxy.http_port)
    check(status == 200, f"status {status}")
    return int(body.split()[1])


@test(seconds=120, alone=True)
def test_twenty_hot_upgrades_under_load_lose_no_request(scene):
    # HAProxy without redispatch and retry-on: nothing but the right order may hide a change of generations.
    haproxy = scene.haproxy(bare=True)
    proxy = scene.sidecar(haproxy)
    tasks = [scene.task(proxy, f"t{i}") for i in range(2)]
    haproxy.wait_in_rotation(*(t.name for t in tasks))
    load = Load(haproxy.http_port, seconds=60, clients=10, pause_ms=1)
    begun = time.monotonic()
    for number in range(20):
        renew(tasks[number % 2])
        haproxy.wait_in_rotation(tasks[number % 2].name, timeout=3)
    took = time.monotonic() - begun
    result = load.result(stop_now=True)
    scene.say(f"20 renewals in {took:.1f} s under {result['ok']} requests, {result['failed']} failed, slowest "
              f"{result['slowest_ms']} ms")
    check(result["failed"] == 0, f"{result['failed']} of {result['ok'] + result['failed']} failed: {result['errors']}")
    check(result["ok"] > 2000, f"only {result['ok']} requests: the load was no load")
    for task in tasks:
        check(len(generations(task)) == 11, f"{len(generations(task))} generations, not 11")
        ends = task.worker.lines("end")
        check(len(ends) == 10 and all(e["why"] == "sigterm" for e in ends), f"ends of old generations: {ends}")
        check(sum(e["after_term"] for e in ends) == 0, "an old generation got requests after its SIGTERM")
        check(task.stop() == 0, "not 0")


@test(seconds=60, alone=True)
def test_a_task_that_is_alone_in_its_pool_is_renewed_in_rotation(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "alone", worker=["--slow", "3"])
    haproxy.wait_in_rotation("alone")
    load = Load(haproxy.http_port, seconds=40, clients=6, kind="close", pause_ms=5)
    before = generations(task)
    task.signal(signal.SIGHUP)
    while is_running(before[0]):
        check(haproxy.in_rotation("alone"), "the only server of its pool was taken out of rotation")
        time.sleep(0.005)
    check(len(generations(task)) == 2, "no new generation")
    for _ in range(3):
        renew(task)
    result = load.result(stop_now=True)
    scene.say(f"4 renewals under {result['ok']} requests on fresh connections, {result['failed']} failed")
    # What HAProxy sends on a connection that the old generation is about to close is lost: see docs/workers.md.
    check(result["failed"] <= 4 and result["ok"] > 500, f"{result['failed']} of {result['ok']}: {result['errors']}")
    check(task.stop() == 0, "not 0")


@test(seconds=60)
def test_the_program_on_disk_is_what_a_renewal_starts(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    program = scene.path("server")
    shutil.copy(os.path.join(HERE, "worker.py"), scene.path("worker.py"))
    shutil.copy(os.path.join(HERE, "websocket.py"), scene.path("websocket.py"))

    def install(version):
        text = f"#!/bin/sh\nexec {PYTHON} {scene.path('worker.py')} --name {version} --log {scene.path('up.worker')}\n"
        with open(program + ".new", "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(program + ".new", 0o755)
        os.rename(program + ".new", program)
    install("one")
    task = scene.task(proxy, "up", more={"worker": {"command": [program]}})
    haproxy.wait_in_rotation("up")
    check(http_get(haproxy.http_port)[2].startswith("one "), "not the first version")
    install("two")
    renew(task)
    check(http_get(haproxy.http_port)[2].startswith("two "), "not the second version")
    # A third that is broken changes nothing. One that does not get ready: see below.
    serving = generations(task)[-1]
    for text, words in (("#!/bin/sh\nexit 3\n", "exited before it served"),
                        ("#!/no/such/interpreter\n", "cannot be started")):
        with open(program, "w", encoding="ascii") as f:
            f.write(text)
        mark = task.log.mark()
        task.signal(signal.SIGHUP)
        task.log.wait_for(words, 10, since=mark)
        hold_true(lambda: haproxy.in_rotation("up") and is_running(serving), 0.3, "the old generation serves")
        check(task.log.count(r'"level":"error"', since=mark) == 1, "not one error line")
        check(answers_from(haproxy) == serving, "another worker answers")
    install("three")
    renew(task)
    check(http_get(haproxy.http_port)[2].startswith("three "), "not the third version")
    check(task.stop() == 0, "not 0")


@test(seconds=60)
def test_a_new_generation_that_does_not_get_ready_changes_nothing(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    # The first accepts; the others, which find the file, never do: the old one takes each connection of the probe.
    flag = scene.path("flag")
    script = (f"if [ -e {flag} ]; then exec sleep 60; fi; touch {flag}; "
              f"exec {PYTHON} {os.path.join(HERE, 'worker.py')} --name hold --log {scene.path('hold.worker')}")
    task = scene.task(proxy, "hold", more={"worker": {"command": ["/bin/sh", "-c", script], "ready_timeout": "2s"}})
    haproxy.wait_in_rotation("hold")
    serving = first_of(task)
    task.signal(signal.SIGHUP)
    line = task.log.wait_for("renewal given up", 10)
    check("worker.ready to notify" in line and '"level":"error"' in line, f"the fix is not named: {line}")
    check(task.log.count('"level":"error"') == 1, "not one error line")
    check(haproxy.in_rotation("hold") and answers_from(haproxy) == serving, "the old generation does not serve")
    check(task.stop() == 0, "not 0")


@test(seconds=60)
def test_each_way_of_being_ready_works_in_a_renewal(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    ways = {"auto": ["--notify"], "notify": ["--notify-after", "0.2"], "http:/status": [], "delay:200ms": []}
    tasks = {ready: scene.task(proxy, "by-" + ready.split(":", 1)[0], worker=options, more={"worker": {"ready": ready}})
             for ready, options in ways.items()}
    haproxy.wait_in_rotation(*(task.name for task in tasks.values()))
    for ready, task in tasks.items():
        first = first_of(task)
        check(renew(task) != first, f"{ready}: no new generation")
    haproxy.wait_in_rotation(*(task.name for task in tasks.values()))
    for task in tasks.values():
        task.signal(signal.SIGTERM)
    check([task.wait(15) for task in tasks.values()] == [0] * 4, "not 0")


@test(seconds=60)
def test_a_second_request_is_remembered_and_a_stop_ends_both_generations(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    # Each generation needs a second until it accepts.
    task = scene.task(proxy, "twice", worker=["--accept-after", "1"])
    haproxy.wait_in_rotation("twice")
    for _ in range(3):
        task.signal(signal.SIGHUP)
        time.sleep(0.1)
    alive = [False, False, True]
    wait_until(lambda: [is_running(p) for p in generations(task)] == alive, 10,
               "two renewals after three requests")
    hold_true(lambda: len(generations(task)) == 3, 0.5, "no further renewal")
    task.signal(signal.SIGHUP)
    wait_until(lambda: len(generations(task)) == 4, 5, "a fourth generation")
    begun = time.monotonic()
    check(task.stop() == 0, "not 0")
    check(not any(is_running(pid) for pid in generations(task)), "some generation lives on")
    scene.say(f"a stop during a renewal took {time.monotonic() - begun:.2f} s")


@test(seconds=60)
def test_a_forwarded_sighup_renews_nothing(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "own", more={"worker": {"on_hup": "forward"}})
    haproxy.wait_in_rotation("own")
    task.signal(signal.SIGHUP)
    wait_until(lambda: any(e["number"] == signal.SIGHUP for e in task.worker.lines("signal")), 5,
               "SIGHUP at the worker")
    hold_true(lambda: len(generations(task)) == 1, 0.3, "no new generation")
