"""shoal as a process: flags, settings, exit codes, what the worker gets, signals."""
import json
import os
import signal
import socket
import stat
import time

from harness import Say, check, children_of, free_port, http_get, is_running, test, wait_until
from harness import SHOAL


def run_to_end(scene, name, argv, timeout=10, env=None):
    """(exit status, everything it wrote)."""
    program = scene.run(name, argv, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})})
    return program.wait(timeout), program.log.text()


def expect(scene, name, argv, status, *words, env=None):
    got, text = run_to_end(scene, name, argv, env=env)
    check(got == status, f"{name}: exit status {got}, not {status}:\n{text}")
    for word in words:
        check(word in text, f"{name}: no {word!r} in:\n{text}")


@test(seconds=60)
def test_a_wrong_command_line_ends_with_64_and_names_the_argument(scene):
    for name, argv, words in (("flag", ["task", "--bogus"], ["--bogus"]),
                              ("near", ["task", "--weigth", "5"], ["--weigth", "--weight"]),
                              ("word", ["sidecra"], ["sidecra", "sidecar"])):
        expect(scene, name, [SHOAL, *argv], 64, *words)


@test(seconds=60)
def test_a_bad_setting_ends_with_78_and_names_setting_value_and_fix(scene):
    def one(name, text, *words):
        path = scene.path(f"{name}.toml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        expect(scene, name, [SHOAL, "-c", path], 78, *words)
    one("weight", 'role = "task"\n[task]\nweight = 300\n[worker]\ncommand = ["true"]\n', "task.weight", "300", "256")
    one("duration", 'role = "sidecar"\n[haproxy]\ngrace = "soon"\n', "haproxy.grace", "soon", "30s")
    one("grace", 'role = "sidecar"\n[haproxy]\ngrace = "1s"\n', "haproxy.grace", "10s")
    one("key", 'role = "sidecar"\n[haproxy]\nsoket = ["/x"]\n', "soket", "haproxy.socket")
    one("syntax", 'role = "sidecar\n', "syntax.toml")
    one("pool", 'role = "task"\n[task]\nbackend = "web;x"\n[worker]\ncommand = ["true"]\n', "task.backend")
    one("nothing", 'role = "task"\n', "worker.command")
    one("norole", '[node]\nname = "x"\n', "role")
    one("tags", f'role = "sidecar"\n[node]\ntags = {{ a = "{"x" * 240}", b = "{"y" * 240}" }}\n',
        "tags.toml:3: node.tags", "512")
    one("nul", 'role = "sidecar"\n  [\0', "nul.toml")
    expect(scene, "missing", [SHOAL, "-c", scene.path("not-there.toml")], 78, "not-there.toml")


@test(seconds=60)
def test_a_port_that_is_taken_ends_with_69_and_is_named(scene):
    with socket.socket() as taken, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as also:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        also.bind(("127.0.0.1", port))
        taken.listen(1)
        haproxy = scene.haproxy()
        proxy = scene.sidecar(haproxy, more={"gossip": {"bind": f"127.0.0.1:{port}"}})
        check(proxy.wait(10) == 69, "not 69")
        check(str(port) in proxy.log.text(), f"the log does not name the port: {proxy.log.text()}")


@test(seconds=60)
def test_a_worker_that_cannot_be_run_ends_with_126_or_127(scene):
    plain = scene.path("plain-file")
    with open(plain, "w", encoding="ascii") as f:
        f.write("not a program\n")
    os.chmod(plain, stat.S_IRUSR | stat.S_IWUSR)
    missing = scene.task([f"127.0.0.1:{free_port()}"], "missing", more={"worker": {"command": ["/no/such/worker"]}})
    check(missing.wait(10) == 127 and missing.log.find("/no/such/worker"), f"missing: {missing.log.tail()}")
    unfit = scene.task([f"127.0.0.1:{free_port()}"], "unfit", more={"worker": {"command": [plain]}})
    check(unfit.wait(10) == 126 and unfit.log.find(plain), f"not executable: {unfit.log.tail()}")


@test(seconds=60)
def test_a_workers_exit_status_is_the_tasks(scene):
    nobody = [f"127.0.0.1:{free_port()}"]  # No cluster is needed to pass a status on.
    for status in (0, 3):
        task = scene.task(nobody, f"exit{status}", worker=["--exit-after", "0.3", "--status", status])
        check(task.wait(15) == status, f"a worker that ended with {status}")
    task = scene.task(nobody, "signalled")
    os.kill(task.worker.pid, signal.SIGKILL)
    check(task.wait(15) == 128 + signal.SIGKILL, "a worker that was killed")


@test(seconds=60)
def test_a_worker_that_ends_by_itself_leaves_rotation_at_once(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "brief", worker=["--exit-after", "3", "--status", "5"])
    haproxy.wait_in_rotation("brief", timeout=3)
    worker = task.worker.pid
    wait_until(lambda: not is_running(worker), 5, "the worker's end")
    begun = time.monotonic()
    haproxy.wait_out_of_rotation("brief", timeout=3)
    scene.say(f"out of rotation {(time.monotonic() - begun) * 1000:.0f} ms after the worker's end")
    check(task.wait(15) == 5, "not the worker's status")


@test(seconds=60)
def test_sigterm_while_no_seed_answers_ends_inside_the_budget(scene):
    nobody = [f"127.0.0.1:{free_port()}", "192.0.2.1:7946"]
    task = scene.task(nobody, "lonely", more={"task": {"drain_timeout": "8s"}})
    task.worker.wait_for("start")
    begun = time.monotonic()
    check(task.stop(10) == 0, "not 0")
    took = time.monotonic() - begun
    check(took < 8, f"it took {took:.1f} s of 8 s")
    check(task.worker.first("end")["why"] == "sigterm", "the worker was not asked to stop")
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy, more={"gossip": {"join": nobody}})
    proxy.log.wait_for(Say.SIDECAR_STARTED, 5)
    haproxy.kill()
    check(proxy.stop(10) == 0, "the sidecar: not 0")


@test(seconds=60)
def test_a_worker_that_ignores_its_stop_is_killed_inside_the_budget(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "deaf", worker=["--ignore-term"], more={"task": {"drain_timeout": "8s"}})
    haproxy.wait_in_rotation("deaf")
    worker, begun = task.worker.pid, time.monotonic()
    status = task.stop(12)
    took = time.monotonic() - begun
    check(took < 8, f"it took {took:.1f} s of 8 s")
    check(status in (0, 128 + signal.SIGKILL), f"status {status}")
    check(not is_running(worker), "the worker lives on")
    check(not haproxy.in_rotation("deaf"), "it is still in rotation")


@test(seconds=60)
def test_a_second_signal_ends_the_drain(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "hasty")
    haproxy.wait_in_rotation("hasty")
    proxy.kill()  # Nobody will say `drained`: the whole share of the drain would be waited for.
    task.signal(signal.SIGTERM)
    begun = time.monotonic()
    while task.running() and time.monotonic() - begun < 10:
        task.signal(signal.SIGINT)
        time.sleep(0.2)
    check(task.wait(10) == 0, "not 0")
    check(time.monotonic() - begun < 6, f"it took {time.monotonic() - begun:.1f} s")


@test(seconds=60)
def test_a_worker_that_never_gets_ready_ends_the_task_with_75(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "mute", worker=["--never-accept"], more={"worker": {"ready_timeout": "2s"}})
    worker = task.worker.pid
    check(task.wait(20) == 75, "not 75")
    check(not is_running(worker), "the worker lives on")
    check(task.log.find(Say.NOT_READY), "the log does not say why")
    check(haproxy.servers() == [], f"a server for a worker that never was ready: {haproxy.servers()}")


@test(seconds=60)
def test_what_the_worker_gets(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    port = free_port()
    task = scene.task(proxy, "curious", env={"SHOAL_TASK_WEIGHT": "42", "HOME": "/nowhere", "LISTEN_PID": "1",
                                             "LISTEN_FDS": "7"},
                      more={"task": {"listen": f"127.0.0.1:{port}"}})
    haproxy.wait_in_rotation("curious")
    got = task.worker.first("start")
    env = got["env"]
    check(got["port"] == port and env.get("SHOAL_PORT") == str(port),
          f"port {got['port']}, SHOAL_PORT {env.get('SHOAL_PORT')}")
    check(env.get("SHOAL_ADDR") == "127.0.0.1" and env.get("SHOAL_LISTENER_FD") == "3", f"environment: {env}")
    check(env.get("LISTEN_FDS") == "1" and env.get("LISTEN_PID") == str(got["pid"])
          and env.get("LISTEN_FDNAMES") == "shoal",
          f"socket activation: {env}")
    check(env.get("NOTIFY_SOCKET") and env.get("HOME") == "/nowhere", f"environment: {env}")
    ours = {k for k in env if k.startswith("SHOAL_")} - {"SHOAL_PORT", "SHOAL_ADDR", "SHOAL_LISTENER_FD"}
    check(not ours, f"shoal's own settings came through: {ours}")
    check(got["fds"] == [0, 1, 2, 3], f"descriptors: {got['fds']}")
    check(not got["nonblocking"], "the listener is not blocking")
    check(got["blocked"] == [] and got["ignored"] == [], f"signal mask {got['blocked']}, ignored {got['ignored']}")
    check(got["ppid"] == task.pid and got["pgid"] == got["pid"], f"parent {got['ppid']}, group {got['pgid']}")
    check(haproxy.server_of("curious").weight == 42, "the environment's weight was not used")


@test(seconds=60)
def test_signals_that_belong_to_the_worker_are_passed_on(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "told")
    haproxy.wait_in_rotation("told")
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        task.signal(number)
        wait_until(lambda n=number: any(e["number"] == n for e in task.worker.lines("signal")), 5,
                   f"signal {number} at the worker")
    check(task.running() and haproxy.in_rotation("told"), "the task suffered")


@test(seconds=60)
def test_a_sidecar_that_is_stopped_leaves_the_pool_as_it_is(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    stay, go = scene.task(proxy, "stay"), scene.task(proxy, "go")
    haproxy.wait_in_rotation("stay", "go")
    # While HAProxy lives, a sidecar that is asked to stop still serves: tasks may be leaving at the same time.
    proxy.signal(signal.SIGTERM)
    check(go.stop(10) == 0, "not 0")
    check(not haproxy.in_rotation("go"), "the task that left is in rotation still")
    check(proxy.running(), "the sidecar did not wait for HAProxy")
    begun = time.monotonic()
    check(proxy.stop(5) == 0, "a second signal: not 0")
    scene.say(f"after the second signal the sidecar was gone in {time.monotonic() - begun:.2f} s")
    check(haproxy.in_rotation("stay") and stay.running(), "the pool has changed")


@test(seconds=60)
def test_a_sidecar_that_is_stopped_leaves_when_haproxy_has_gone(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "stay")
    haproxy.wait_in_rotation("stay")
    proxy.signal(signal.SIGTERM)
    haproxy.kill()
    check(proxy.wait(10) == 0 and task.running(), "not 0")


@test(seconds=60)
def test_a_worker_and_its_task_die_together(scene):
    task = scene.task([f"127.0.0.1:{free_port()}"], "parent")
    worker = task.worker.pid
    check(children_of(task.pid) == [worker], f"children {children_of(task.pid)}, worker {worker}")
    task.kill()
    wait_until(lambda: not is_running(worker), 3, "the worker's death after its parent's")


@test(seconds=30)
def test_logs_are_one_json_object_a_line(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "task")
    haproxy.wait_in_rotation("task")
    task.log.wait_for(Say.ACCEPTED, 10)
    check(task.stop() == 0, "not 0")
    haproxy.kill()
    check(proxy.stop() == 0, "not 0")

    def once_each(pairs):
        keys = [key for key, _ in pairs]
        check(len(keys) == len(set(keys)), f"a key stands twice in a line: {keys}")
        return dict(pairs)
    types = {}  # Who counts lines wants one type under one key, whichever role wrote it.
    for shoal in (proxy, task):
        lines = shoal.log.text().splitlines()
        check(lines, f"{shoal.name} logged nothing")
        for line in lines:
            entry = json.loads(line, object_pairs_hook=once_each)
            check({"time", "level", "event"} <= set(entry), f"{shoal.name}: {line}")
            check(entry["level"] in ("debug", "info", "warn", "error"), f"{shoal.name}: {line}")
            for key, value in entry.items():
                check(types.setdefault(key, type(value)) is type(value), f"{key} is no {types[key].__name__}: {line}")
        check(not shoal.log.find(r'"level":"error"'), f"{shoal.name} logged an error: {shoal.log.find('error')}")


@test(seconds=60)
def test_closed_standard_descriptors_do_no_harm(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "bare", start=False)
    # None of the three is open: the first sockets would get their numbers.
    task.program = scene.run("bare", ["/bin/sh", "-c", f"exec {SHOAL} -c {task.config} <&- >&- 2>&-"],
                             env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    haproxy.wait_in_rotation("bare")
    status, _, _ = http_get(haproxy.http_port)
    check(status == 200, f"status {status}")
    check(task.stop(timeout=25) == 0, "the task did not stop with 0")


@test(seconds=30)
def test_an_address_to_advertise_that_this_host_does_not_have_ends_with_69(scene):
    for number, address in enumerate(("10.254.253.0/24", "nosuchif0")):
        proxy = scene.sidecar(socket_path="/nowhere.sock", name=f"proxy{number}",
                              more={"gossip": {"advertise": address, "bind": f"0.0.0.0:{free_port()}"}})
        check(proxy.wait(10) == 69, "not 69")
        check("gossip.advertise" in proxy.log.text(), f"the setting is not named: {proxy.log.text()}")
