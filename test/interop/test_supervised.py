"""`shoal sidecar -- haproxy …`: one parent for HAProxy and the sidecar, and neither ever takes the other along."""
import csv
import os
import random
import re
import signal
import subprocess
import threading
import time

from harness import HAProxy, POOL, SHOAL, check, children_of, free_port, http_get, is_running, merged, runtime
from harness import test, wait_until
from load import Load

KEY = "T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s="
MASTER_WORKER = ("-W", "-db")


def command_name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return ""


def tree_of(pid):
    """All that runs below a process, zombies too, and itself."""
    return [pid] + [p for child in children_of(pid) for p in tree_of(child)]


class Supervised:
    """A shoal that supervises HAProxy. What the HAProxy of the harness asks works; its process is the parent's
    child."""

    def __init__(self, scene, words=MASTER_WORKER, more=None, start=True, haproxy=None, name="parent"):
        self.haproxy = haproxy or HAProxy(scene)
        self.scene = scene
        # No node name: each start of the sidecar is another member, as in real life.
        self.shoal = scene.sidecar(self.haproxy, name=name, start=False, more=merged({
            "node": {"name": None},
            "haproxy": {"command": ["haproxy", *words, "-f", self.haproxy.config]}}, more))
        if start:
            self.shoal.start()
            self.wait_up()

    def wait_up(self, timeout=15):
        wait_until(lambda: self.haproxy.servers() is not None and self.sidecar, timeout, "HAProxy and the sidecar")
        return self

    def child(self, name):
        return next((pid for pid in children_of(self.shoal.pid) if command_name(pid) == name and is_running(pid)), None)

    @property
    def leader(self):
        """The HAProxy that was started: the master, or without -W HAProxy itself."""
        return self.child("haproxy")

    @property
    def sidecar(self):
        return self.child("shoal")

    def answering(self):
        """The process behind the runtime socket; None while none answers."""
        try:
            found = re.search(r"(?m)^Pid: (\d+)", runtime(self.haproxy.socket, "show info"))
        except OSError:
            return None
        return int(found.group(1)) if found else None

    def count(self, pattern):
        return self.shoal.log.count(pattern)

    def load(self, seconds):
        """A load whose requests have begun to flow."""
        def requests():
            return int(re.search(r"(?m)^CumReq: (\d+)", runtime(self.haproxy.socket, "show info")).group(1))
        before, load = requests(), Load(self.haproxy.http_port, seconds)
        wait_until(lambda: requests() > before + 100, 10, "requests")
        return load


def no_process_left(scene, pids):
    """Also none that was started in between: whatever outlives the parent comes to this process."""
    wait_until(lambda: not any(is_running(pid) for pid in pids), 2, f"the end of {pids}")
    left = [pid for pid in children_of(os.getpid()) if is_running(pid) and command_name(pid) in ("haproxy", "shoal")]
    running = [p.pid for p in scene.programs if p.running()]
    check(not set(left) - set(running), f"processes left behind: {left}")


class SlowRequest(threading.Thread):
    """One request that takes so long; `result` is its status, or why there is none."""

    def __init__(self, port, seconds):
        super().__init__(daemon=True)
        self.port, self.seconds, self.result = port, seconds, None
        self.start()

    def run(self):
        try:
            self.result = http_get(self.port, f"/slow?ms={int(self.seconds * 1000)}", timeout=self.seconds + 10)[0]
        except OSError as error:
            self.result = str(error) or type(error).__name__


def in_flight(haproxy):
    """Requests that the pool's servers have, as HAProxy counts them."""
    rows = csv.DictReader(runtime(haproxy.socket, f"show stat {POOL} 4 -1").lstrip("# ").splitlines())
    return sum(int(row["scur"]) for row in rows if row["svname"] != "BACKEND")


@test(seconds=60)
def test_one_command_starts_haproxy_and_the_sidecar_and_serves(scene):
    haproxy = HAProxy(scene)
    port = free_port()
    command = [SHOAL, "sidecar", "--bind", f"127.0.0.1:{port}", "--haproxy-socket", haproxy.socket,
               "--haproxy-backend", POOL, "--snapshot-dir", scene.path("snapshots"), "--log-format", "json",
               "--control-socket", scene.path("control"), "--", "haproxy", *MASTER_WORKER, "-f", haproxy.config]
    parent = scene.run("parent", command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SHOAL_GOSSIP_KEY": KEY,
                                               "SHOAL_LOG_LEVEL": "debug", "NOTIFY_SOCKET": "@nobody", "MINE": "1"})
    scene.task([f"127.0.0.1:{port}"], "one", more={"gossip": {"key": KEY}})
    haproxy.wait_in_rotation("one")
    check(http_get(haproxy.http_port)[0] == 200, "HAProxy does not serve")
    children = {command_name(pid): pid for pid in children_of(parent.pid)}
    check(sorted(children) == ["haproxy", "shoal"], f"children: {children}")
    for name, pid in children.items():
        check(os.getpgid(pid) == pid, f"{name} is not the leader of a group of its own")
        with open(f"/proc/{pid}/environ", encoding="utf-8") as f:
            environment = f.read().split("\0")
        secret = any(KEY in entry for entry in environment)
        check(secret == (name == "shoal"), f"{name} has the key in its environment: {secret}")
        if name == "haproxy":
            ours = [entry for entry in environment if entry.startswith(("SHOAL_", "NOTIFY_"))]
            check(ours == [f"SHOAL_SUPERVISED={haproxy.socket}"], f"HAProxy's environment has {ours}")
            check("MINE=1" in environment, "the rest of the environment did not come through")
    with open(f"/proc/{children['haproxy']}/cmdline", encoding="utf-8") as f:
        check(f.read().split("\0")[:-1] == ["haproxy", *MASTER_WORKER, "-f", haproxy.config], "HAProxy's words")
    # What a program is given beside 0, 1 and 2 shows in one that opens nothing itself.
    check(parent.log.find('"event":"HAProxy is up"'), "not said")
    parent.signal(signal.SIGTERM)
    check(parent.wait(15) == 0, "not 0")
    no_process_left(scene, list(children.values()))


@test(seconds=60)
def test_haproxy_is_given_three_descriptors_and_a_clean_signal_state(scene):
    haproxy = HAProxy(scene)
    script = scene.path("looks-like-haproxy")
    with open(script, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\nls -l /proc/self/fd >{scene.path('fds')}\n"
                f"grep ^Sig /proc/self/status >{scene.path('signals')}\n"
                'exec haproxy "$@"\n')
    os.chmod(script, 0o755)
    Supervised(scene, haproxy=haproxy, more={"haproxy": {"command": [script, *MASTER_WORKER, "-f", haproxy.config]}})
    with open(scene.path("fds"), encoding="utf-8") as f:
        fds = [line.split()[8:] for line in f.read().splitlines()[1:]]
    kept = [fd for fd in fds if fd[0] not in ("0", "1", "2") and not fd[2].startswith("/proc/")]  # ls reads that one.
    check(not kept, f"further descriptors: {kept}")
    with open(scene.path("signals"), encoding="utf-8") as f:
        masks = dict(line.split() for line in f.read().splitlines())
    check(int(masks["SigBlk:"], 16) == 0 and int(masks["SigIgn:"], 16) == 0, f"signals: {masks}")


@test(seconds=120, alone=True)
def test_a_sidecar_that_is_killed_never_takes_haproxy_along(scene):
    s = Supervised(scene)
    names = [f"t{i}" for i in range(3)]
    for name in names:
        scene.task(s.shoal, name)
    s.haproxy.wait_in_rotation(*names)
    before, leader, worker = {r.name for r in s.haproxy.servers()}, s.leader, s.answering()
    load, deaths = s.load(90), 4
    for i in range(deaths):
        sidecar, mark = s.sidecar, s.shoal.log.mark()
        os.kill(sidecar, signal.SIGKILL)
        s.shoal.log.wait_for(r'"event":"HAProxy connected"', 20, since=mark)
        check(s.sidecar not in (None, sidecar), "no new sidecar")
        check({r.name for r in s.haproxy.servers() if r.in_rotation} == before, f"the table: {s.haproxy.servers()}")
        if i < 2:
            time.sleep(random.uniform(0, 1))  # At no particular moment of its life.
    scene.task(s.shoal, "late")
    s.haproxy.wait_in_rotation("late", *names, timeout=20)
    result = load.result(stop_now=True)
    check(result["failed"] == 0 and result["ok"] > 1000,
          f"{result['failed']} of {result['ok']} failed: {result['errors']}")
    check((s.leader, s.answering()) == (leader, worker), "HAProxy is not the same process")
    scene.say(f"{deaths} sidecars killed: 0 of {result['ok']} requests failed, HAProxy's pid unchanged")
    check(s.count(r'"level":"error","event":"the sidecar ended","status":137') == deaths, "not said")


@test(seconds=120, alone=True)
def test_a_haproxy_that_is_killed_is_started_again_and_refilled(scene):
    s = Supervised(scene)
    names = [f"t{i}" for i in range(3)]
    for name in names:
        scene.task(s.shoal, name)
    s.haproxy.wait_in_rotation(*names)
    sidecar = s.sidecar
    for what, victim in (("master", lambda: s.leader), ("worker", s.answering), ("master", lambda: s.leader)):
        before, old = s.leader, s.answering()
        os.kill(victim(), signal.SIGKILL)
        begun = time.monotonic()
        wait_until(lambda was=old: s.answering() not in (None, was), 20, "a new HAProxy")
        up = time.monotonic() - begun
        s.haproxy.wait_in_rotation(*names, timeout=10)
        took = time.monotonic() - begun
        scene.say(f"{what} killed: HAProxy answers after {up * 1000:.0f} ms, "
                  f"the pool is whole after {took * 1000:.0f} ms")
        check(http_get(s.haproxy.http_port)[0] == 200, "does not serve")
        check(s.leader != before and not is_running(before) and not is_running(old), "the old one is still there")
    check(s.sidecar == sidecar, "the sidecar was restarted too")
    haproxies = [pid for pid in tree_of(s.shoal.pid) if command_name(pid) == "haproxy"]
    check(len(haproxies) == 2, f"more than a master and a worker: {haproxies}")


@test(seconds=120, alone=True)
def test_whatever_is_killed_at_whatever_moment_there_is_one_of_each_again_and_the_table_is_true(scene):
    seed = random.randrange(1 << 32)
    scene.say(f"seed {seed}")
    chance, s = random.Random(seed), Supervised(scene)
    names = ["t0", "t1"]
    for name in names:
        scene.task(s.shoal, name)
    s.haproxy.wait_in_rotation(*names)

    def kill(pid):
        if pid:
            os.kill(pid, signal.SIGKILL)
    deeds = {"sidecar": lambda: kill(s.sidecar), "master": lambda: kill(s.leader),
             "worker": lambda: kill(s.answering()), "reload": lambda: s.shoal.signal(signal.SIGHUP),
             "both": lambda: (kill(s.sidecar), kill(s.leader))}
    done = []
    for name in chance.sample(sorted(deeds), k=4):
        done.append(name)
        deeds[name]()
        time.sleep(chance.uniform(0, 0.6))  # In the middle of what follows from it.
    scene.say(", then ".join(done))
    s.haproxy.wait_in_rotation(*names, timeout=40)
    wait_until(lambda: s.sidecar and s.leader, 10, "one of each")

    def haproxies():
        return [pid for pid in tree_of(s.shoal.pid) if command_name(pid) == "haproxy"]
    # An old worker may still have a connection of the sidecar that was killed, for a moment.
    wait_until(lambda: len(haproxies()) == 2, 10, "one master and one worker")
    check(http_get(s.haproxy.http_port)[0] == 200, "does not serve")
    scene.task(s.shoal, "late")
    s.haproxy.wait_in_rotation("late", *names, timeout=20)
    everybody = tree_of(s.shoal.pid)
    check(s.shoal.stop(28) == 0, "not 0")
    check(s.count('"event":"bug') == 0, "a bug is in the log")
    no_process_left(scene, everybody)


@test(seconds=120, alone=True)
def test_sighup_and_sigusr2_reload_haproxy_under_load(scene):
    s = Supervised(scene)
    names = [f"t{i}" for i in range(3)]
    for name in names:
        scene.task(s.shoal, name)
    s.haproxy.wait_in_rotation(*names)
    leader, sidecar = s.leader, s.sidecar
    for number in (signal.SIGHUP, signal.SIGUSR2):
        load, old = s.load(60), s.answering()
        s.shoal.signal(number)
        begun = time.monotonic()
        wait_until(lambda was=old: s.answering() not in (None, was), 20, "a new worker")
        s.haproxy.wait_in_rotation(*names, timeout=10)
        took = time.monotonic() - begun
        during = load.result(stop_now=True)
        check((s.leader, s.sidecar) == (leader, sidecar), "the master or the sidecar was restarted")
        # The new worker starts with an empty pool: its configuration holds requests back until it is full.
        check(during["failed"] == 0 and during["ok"] > 100, f"during the reload: {during}")
        # Those on kept connections that reach the old worker are served there and then, not held.
        check(during["slowest_ms"] < 2000, f"a request waited: {during}")
        after = Load(s.haproxy.http_port, seconds=2).result()
        check(after["failed"] == 0 and after["ok"] > 100, f"after the reload: {after}")
        scene.say(f"signal {int(number)}: new worker and pool whole after {took * 1000:.0f} ms; 0 of {during['ok']} "
                  f"requests failed, the slowest took {during['slowest_ms']} ms")
        wait_until(lambda was=old: not is_running(was), 30, "the old worker's end")
        scene.say(f"the old worker ended {time.monotonic() - begun:.1f} s after the signal")


@test(seconds=60)
def test_a_reload_without_a_master_is_refused_and_harms_nobody(scene):
    s = Supervised(scene, words=("-db",))
    before = s.leader
    check(s.answering() == before, "this HAProxy has a master")
    s.shoal.signal(signal.SIGHUP)
    s.shoal.log.wait_for(r'"level":"warn","event":"HAProxy is not reloaded.*-W', 5)
    s.shoal.log.wait_for(r'"event":"SIGHUP', 5)  # The sidecar's part was done.
    check((s.leader, s.answering()) == (before, before), "HAProxy was harmed")
    check(s.shoal.stop(15) == 0, "not 0")
    no_process_left(scene, [before])


@test(seconds=60, alone=True)
def test_sigterm_lets_a_request_of_three_seconds_end_and_leaves_nothing_behind(scene):
    for words, number in ((MASTER_WORKER, signal.SIGTERM), (("-db",), signal.SIGUSR1)):
        s = Supervised(scene, words=words, name=f"parent{int(number)}")
        scene.task(s.shoal, f"one{int(number)}")
        s.haproxy.wait_in_rotation(f"one{int(number)}")
        slow = SlowRequest(s.haproxy.http_port, 3)
        wait_until(lambda: in_flight(s.haproxy) >= 1, 5, "the request in flight")
        load = s.load(30)
        everybody = tree_of(s.shoal.pid)
        sidecar, begun = s.sidecar, time.monotonic()
        s.shoal.signal(number)
        time.sleep(1)  # In the middle of it.
        check(is_running(sidecar), "the sidecar left while HAProxy still had a request")
        check(s.shoal.wait(28) == 0, "not 0")
        took = time.monotonic() - begun
        slow.join(5)
        check(slow.result == 200, f"the request in flight: {slow.result}")
        result = load.result(stop_now=True)
        # New connections are refused from then on (one that had just come in is reset), and a kept one is closed behind
        # an answer: nothing else may happen.
        fine = ("refused", "before the answer's head", "reset by peer after 0 ms")
        broken = [e for e in result["errors"] if not any(words in e for words in fine)]
        check(not broken, f"cut: {broken}")
        scene.say(f"{words[0]}: stopped {took:.1f} s after the signal, behind a request of 3 s")
        check(took < 8, "too long")
        no_process_left(scene, everybody)
        check(s.count('"level":"(warn|error)".*(cut|killed|bug)') == 0, "something was cut")


@test(seconds=60)
def test_a_stop_right_behind_a_reload_is_not_lost_in_it(scene):
    took = []
    for ms in (0, 1, 4, 12):
        s = Supervised(scene, name=f"after{ms}")
        everybody = tree_of(s.shoal.pid)
        s.shoal.signal(signal.SIGHUP)
        time.sleep(ms / 1000)
        begun = time.monotonic()
        s.shoal.signal(signal.SIGTERM)
        check(s.shoal.wait(20) == 0, "not 0")
        took.append(time.monotonic() - begun)
        no_process_left(scene, everybody)
        check(took[-1] < 15, f"{ms} ms after the reload the stop took {took[-1]:.1f} s: it was lost")
    scene.say("stopped after " + ", ".join(f"{t:.1f}" for t in took) + " s")


@test(seconds=60)
def test_the_stop_has_one_budget_and_a_second_signal_ends_it(scene):
    s = Supervised(scene, more={"task": {"drain_timeout": "6s"}}, name="budget")
    scene.task(s.shoal, "one")
    s.haproxy.wait_in_rotation("one")
    slow = SlowRequest(s.haproxy.http_port, 25)
    wait_until(lambda: in_flight(s.haproxy) >= 1, 5, "the request in flight")
    everybody, begun = tree_of(s.shoal.pid), time.monotonic()
    check(s.shoal.stop(8) == 0, "not 0")
    took = time.monotonic() - begun
    check(3 <= took <= 6.3, f"stopped after {took:.1f} s of 6 s")
    check(s.count("requests at the end of the stop's budget") == 1, "not said")
    no_process_left(scene, everybody)
    s = Supervised(scene, name="second")
    scene.task(s.shoal, "two")
    s.haproxy.wait_in_rotation("two")
    SlowRequest(s.haproxy.http_port, 25)
    wait_until(lambda: in_flight(s.haproxy) >= 1, 5, "the request in flight")
    everybody = tree_of(s.shoal.pid)
    s.shoal.signal(signal.SIGTERM)
    s.shoal.log.wait_for("stop of HAProxy requested", 3)
    begun = time.monotonic()
    check(s.shoal.stop(5) == 0, "not 0")
    took = time.monotonic() - begun
    scene.say(f"a second SIGTERM: gone after {took * 1000:.0f} ms")
    check(took < 3.3, "too long")
    no_process_left(scene, everybody)
    del slow


@test(seconds=60)
def test_a_first_start_that_fails_ends_with_haproxys_status(scene):
    def ends(name, command, status, *words):
        s = Supervised(scene, start=False, name=name, more={"haproxy": {"command": command}})
        s.shoal.start()
        got = s.shoal.wait(15)
        check(got == status, f"{name}: {got}, not {status}: {s.shoal.log.tail()}")
        for word in words:
            check(word in s.shoal.log.text(), f"{name}: no {word!r} in {s.shoal.log.tail()}")
        check("sidecar process started" not in s.shoal.log.text(), "the sidecar had been started")
    broken, plain = scene.path("broken.cfg"), scene.path("plain")
    for path in (broken, plain):
        with open(path, "w", encoding="ascii") as f:
            f.write("garbage\n")
    ends("broken", ["haproxy", "-W", "-db", "-f", broken], 1, "unknown keyword 'garbage'", '"status":1')
    ends("missing", ["/no/such/haproxy", "-db"], 127, "/no/such/haproxy")
    ends("unfit", [plain], 126, plain)
    ends("nothing", ["true"], 78, "-db")
    ends("background", ["haproxy", "-D"], 78, "-D")


@test(seconds=60)
def test_a_later_start_that_fails_is_tried_again_until_the_file_is_mended(scene):
    s = Supervised(scene)
    scene.task(s.shoal, "one")
    s.haproxy.wait_in_rotation("one")
    sidecar = s.sidecar
    with open(s.haproxy.config, encoding="ascii") as f:
        good = f.read()
    with open(s.haproxy.config, "a", encoding="ascii") as f:
        f.write("garbage\n")
    # A reload keeps the old worker; a crash does not.
    old = s.answering()
    s.shoal.signal(signal.SIGHUP)
    s.shoal.log.wait_for("Loading failure", 10)
    check(s.answering() == old and http_get(s.haproxy.http_port)[0] == 200, "the old worker is gone")
    os.kill(s.leader, signal.SIGKILL)
    wait_until(lambda: s.count('"event":"HAProxy ended","status":1,') >= 2, 20, "two starts in vain")
    check(s.shoal.running() and s.sidecar == sidecar, "shoal or the sidecar has gone too")
    with open(s.haproxy.config, "w", encoding="ascii") as f:
        f.write(good)
    s.haproxy.wait_in_rotation("one", timeout=20)
    waits = [int(w) for w in re.findall(r'"HAProxy is started again","in_ms":(\d+)', s.shoal.log.text())]
    check(waits[0] < 100 and 700 <= waits[1] <= 1300 and 1400 <= waits[2] <= 2600, f"the waits: {waits}")
    check(s.sidecar == sidecar, "the sidecar was restarted")


@test(seconds=90, alone=True)
def test_a_haproxy_left_by_a_killed_parent_serves_on_and_is_adopted(scene):
    for words in (MASTER_WORKER, ("-db",)):
        s = Supervised(scene, words=words, name=f"parent{len(words)}")
        name = f"one{len(words)}"
        scene.task(s.shoal, name)
        s.haproxy.wait_in_rotation(name)
        load = s.load(60)
        leader, answering, sidecar = s.leader, s.answering(), s.sidecar
        s.shoal.kill()
        wait_until(lambda was=sidecar: not is_running(was), 3, "the sidecar's end with its parent")
        check(is_running(leader) and s.answering() == answering, "HAProxy ended with its parent")
        mark = s.shoal.log.mark()
        s.shoal.start()
        s.shoal.log.wait_for(f'"event":"a HAProxy that an earlier shoal .*"pid":{leader}[,}}]', 10, since=mark)
        s.shoal.log.wait_for(r'"event":"HAProxy connected"', 10, since=mark)
        check(s.leader is None and s.answering() == answering, "another HAProxy was started")
        scene.task(s.shoal, f"{name}-late")
        s.haproxy.wait_in_rotation(name, f"{name}-late", timeout=20)
        result = load.result(stop_now=True)
        check(result["failed"] == 0 and result["ok"] > 200, f"while the parent was away: {result}")
        if words == MASTER_WORKER:
            s.shoal.signal(signal.SIGHUP)
            wait_until(lambda was=answering: s.answering() not in (None, was), 10, "a new worker of the adopted master")
            check(is_running(leader), "the master did not survive")
            s.haproxy.wait_in_rotation(name, timeout=10)
        slow = SlowRequest(s.haproxy.http_port, 2)
        wait_until(lambda: in_flight(s.haproxy) >= 1, 5, "the request in flight")
        check(s.shoal.stop(20) == 0, "not 0")
        slow.join(5)
        check(slow.result == 200, f"the request in flight: {slow.result}")
        check(not is_running(leader), "the adopted HAProxy was left behind")
        no_process_left(scene, [leader, answering])


@test(seconds=60)
def test_an_adopted_haproxy_that_dies_is_followed_by_one_of_our_own(scene):
    s = Supervised(scene)
    scene.task(s.shoal, "one")
    s.haproxy.wait_in_rotation("one")
    leader = s.leader
    s.shoal.kill()
    s.shoal.start()
    s.shoal.log.wait_for('"event":"a HAProxy that an earlier', 10)
    os.kill(leader, signal.SIGKILL)
    wait_until(lambda: s.leader, 10, "a HAProxy of its own")
    s.haproxy.wait_in_rotation("one", timeout=20)


@test(seconds=90)
def test_somebody_elses_haproxy_is_used_and_left_alone(scene):
    haproxy = scene.haproxy()
    # As without a command the sidecar serves on while HAProxy does, to the end of the stop's budget.
    s = Supervised(scene, haproxy=haproxy, more={"task": {"drain_timeout": "5s"}})
    scene.task(s.shoal, "one")
    haproxy.wait_in_rotation("one")
    check(s.leader is None and s.answering() == haproxy.pid, "a second one was started")
    check(s.count("that shoal did not start") == 1, "not said")
    s.shoal.signal(signal.SIGHUP)
    s.shoal.log.wait_for("not reloaded: shoal did not start it", 5)
    check(s.shoal.stop(6) == 0, "not 0")
    check(haproxy.running() and s.answering() == haproxy.pid, "it was stopped with shoal")
    s.shoal.start()
    s.wait_up()
    check(s.leader is None, "a second one was started")
    haproxy.kill()
    begun = time.monotonic()
    haproxy.wait_in_rotation("one", timeout=20)
    scene.say(f"somebody else's HAProxy killed: one of our own has the pool after {time.monotonic() - begun:.1f} s")
    check(s.leader, "not our own")


@test(seconds=60)
def test_a_haproxy_that_goes_into_the_background_by_its_file_is_found_there(scene):
    haproxy = HAProxy(scene)
    with open(haproxy.config, encoding="ascii") as f:
        text = f.read().replace("global\n", "global\n    daemon\n")
    with open(haproxy.config, "w", encoding="ascii") as f:
        f.write(text)
    s = Supervised(scene, words=("-W",), haproxy=haproxy)
    scene.task(s.shoal, "one")
    haproxy.wait_in_rotation("one")
    everybody = tree_of(s.shoal.pid) + [s.answering()]
    check(s.shoal.stop(20) == 0, "not 0")
    no_process_left(scene, everybody)


@test(seconds=90)
def test_as_process_1_it_reaps_everything_and_leaves_nothing(scene):
    if subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode != 0:
        scene.say("skipped: no pid namespace may be made here")
        return
    s = Supervised(scene, start=False)
    s.shoal.inside = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"]
    s.shoal.start()
    scene.task(s.shoal, "one")
    s.haproxy.wait_in_rotation("one")
    first = children_of(s.shoal.pid)[0]  # Process 1 of the namespace, as it is called outside.

    def below(name):
        return [pid for pid in children_of(first) if command_name(pid) == name and is_running(pid)]

    def zombies():
        return [pid for pid in tree_of(first) if not is_running(pid)]
    with open(f"/proc/{first}/status", encoding="ascii") as f:
        check(re.search(r"(?m)^NSpid:\s.*\s1$", f.read()), "not process 1")
    haproxy, sidecar = below("haproxy")[0], below("shoal")[0]
    os.kill(sidecar, signal.SIGKILL)
    wait_until(lambda: below("shoal") not in ([], [sidecar]), 10, "a new sidecar")
    check(below("haproxy") == [haproxy], "HAProxy suffered")
    # A master that dies leaves its worker to process 1.
    os.kill(haproxy, signal.SIGKILL)
    wait_until(lambda: below("haproxy") not in ([], [haproxy]), 10, "a new HAProxy")
    s.haproxy.wait_in_rotation("one", timeout=20)
    wait_until(lambda: not zombies(), 3, "no zombie left")
    # A stranger: its parent ends first, and then itself.
    subprocess.run(["nsenter", "-t", str(first), "-p", "sh", "-c", "(sleep 0.3 &) ; exit 0"], check=True, timeout=5)
    time.sleep(0.6)  # Until it has ended.
    wait_until(lambda: not zombies(), 3, "no zombie left")
    everybody = tree_of(first)
    os.kill(first, signal.SIGTERM)
    check(s.shoal.wait(15) == 0, f"not 0: {s.shoal.log.tail()}")
    no_process_left(scene, everybody)


@test(seconds=60, alone=True)
def test_the_parent_is_small_and_its_settings_are_checked_and_shown(scene):
    s = Supervised(scene)
    with open(f"/proc/{s.shoal.pid}/status", encoding="ascii") as f:
        text = f.read()
    resident, threads = (int(re.search(rf"(?m)^{key}:\s+(\d+)", text).group(1)) for key in ("RssAnon", "Threads"))
    scene.say(f"the parent: {resident} KiB of its own, {threads} thread")
    check(resident < 2048 and threads == 1, "not small")
    printed = subprocess.run([SHOAL, "config", "print", "-c", s.shoal.config], capture_output=True, text=True,
                             check=True)
    check('command = ["haproxy", "-W", "-db", "-f"' in printed.stdout, printed.stdout)
    shown = subprocess.run([SHOAL, "sidecar", "--help"], capture_output=True, text=True, check=True)
    check("[-- HAPROXY ARGS...]" in shown.stdout, shown.stdout)
