"""`shoal health`: latched, so that nobody kills a task because HAProxy or a sidecar is redeployed; with --ready strict.
It answers at once, says why, and has the last word within its deadline whatever the asked process does."""
import json
import os
import signal
import subprocess
import time

from harness import (POOL, PYTHON, SHOAL, HAProxy, check, children_of, free_port, hold_true, own_network, test,
                     toml_text, unshare_mounts, wait_until)
from test_supervised import in_flight


class Answer:
    def __init__(self, done, seconds):
        self.code, self.said, self.why, self.seconds = done.returncode, done.stdout, done.stderr, seconds

    def __repr__(self):
        return f"{self.code} {self.said!r} {self.why!r} after {self.seconds * 1000:.0f} ms"


def run_health(argv, env=None):
    begun = time.monotonic()
    done = subprocess.run(argv, capture_output=True, timeout=20, check=False, text=True,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})})
    return Answer(done, time.monotonic() - begun)


def health(shoal, *words):
    return run_health([SHOAL, "health", *words, "--control-socket", shoal.settings["control"]["socket"]])


def is_green(shoal, *words):
    return health(shoal, *words).code == 0


def wait_green(shoal, *words, timeout=15):
    wait_until(lambda: is_green(shoal, *words), timeout, f"health {' '.join(words)} of {shoal.name} green")


def wait_red(shoal, *words, timeout=15, because=""):
    def question():
        answer = health(shoal, *words)
        return answer if answer.code == 1 and because in answer.why else None
    return wait_until(question, timeout, f"health {' '.join(words)} of {shoal.name} red, {because!r}")


@test(seconds=60)
def test_health_is_red_before_the_first_rotation_and_green_through_the_loss_of_sidecar_and_haproxy(scene):
    haproxy = scene.haproxy()
    task = scene.task([f"127.0.0.1:{free_port()}"], "task", worker=["--accept-after", "0.7"], start=False)
    proxy = scene.sidecar(haproxy, more={"gossip": {"bind": task.settings["gossip"]["join"][0]}}, start=False)
    task.start()
    wait_red(task, because="the worker is not ready yet")
    wait_red(task, because="wanted are 1; no sidecar is known")
    proxy.start()
    wait_green(task)
    check(haproxy.in_rotation("task"), f"green, and HAProxy has {haproxy.servers()}")
    answer = health(task, "--ready")
    check(answer.code == 0 and answer.said == "ready: in rotation in 1 HAProxy\n", answer)

    haproxy.kill()
    wait_red(task, "--ready", because="HAProxy is away")
    check(is_green(task), "HAProxy's restart made the task red")
    haproxy.start()
    wait_green(task, "--ready")
    check(haproxy.in_rotation("task"), "--ready is green too early")
    proxy.kill()
    wait_red(task, "--ready")
    check(is_green(task), "the loss of the sidecar made the task red")
    proxy.start()
    wait_green(task, "--ready")


@test(seconds=60)
def test_ready_follows_what_haproxy_has_and_says_why_not(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy, more={"haproxy": {"reconcile_interval": "200ms"}})
    task = scene.task(proxy, "task")
    wait_green(task, "--ready")
    server = haproxy.server_of("task").name
    haproxy.tell(f"set server {POOL}/{server} state maint")
    answer = wait_red(task, "--ready", because="an operator has put the server into maintenance")
    check(answer.why.startswith("shoal: not ready: in rotation in 0 HAProxies, wanted are 1; sidecar proxy: "), answer)
    check(is_green(task), "an operator's maintenance made the task red")
    haproxy.tell(f"set server {POOL}/{server} state ready")
    wait_green(task, "--ready")
    check(haproxy.in_rotation("task"), "--ready is green too early")
    # It was the task that found out, because it was asked: the sidecar had told it nothing by itself.
    proxy.command("drain", "task")
    wait_red(task, "--ready", because="an operator wants it out of rotation")
    proxy.command("ready", "task")
    wait_green(task, "--ready")


@test(seconds=60)
def test_health_is_red_while_the_worker_is_unhealthy_or_waits_to_be_started_again(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    ill = scene.path("answer")
    def answer(code):
        with open(ill + ".new", "w", encoding="ascii") as f:
            f.write(str(code))
        os.replace(ill + ".new", ill)
    answer(200)
    task = scene.task(proxy, "task", worker=["--status-file", ill], more={"worker": {
        "health": "http:/status", "health_interval": "200ms", "restart": "always"}})
    scene.task(proxy, "other")  # Else the floor would keep the ill one in rotation.
    haproxy.wait_in_rotation("task", "other")
    wait_green(task, "--ready")
    answer(503)
    for words in ((), ("--ready",)):
        wait_red(task, *words, because="the worker is unhealthy")
    status = json.loads(task.command("status", "-o", "json"))
    check(status["task"]["state"] == "unhealthy" and not status["health"]["healthy"], status)
    answer(200)
    wait_green(task, "--ready")
    check(haproxy.in_rotation("task"), "--ready is green too early")
    def kill_worker():
        pid = task.worker.lines("start")[-1]["pid"]
        os.kill(pid, signal.SIGKILL)
        return pid
    first = kill_worker()
    wait_until(lambda: task.worker.lines("start")[-1]["pid"] != first, 5, "a new worker, at once")
    wait_green(task, "--ready")
    kill_worker()
    wait_red(task, because="the worker has ended")  # For a second.
    wait_green(task)
    check(json.loads(task.command("status", "-o", "json"))["task"]["restarts"] >= 2, "no restart was counted")


@test(seconds=60)
def test_health_counts_haproxy_processes_and_asks_again_until_there_are_enough(scene):
    first, second = scene.haproxy(name="first"), HAProxy(scene, name="second")
    proxy = scene.sidecar(first, more={"haproxy": {"socket": [first.socket, second.socket]}})
    two, none = ({"health": {"min_proxies": count}} for count in (2, 0))
    task, alone = scene.task(proxy, "task", more=two), scene.task([], "alone", more=none)
    wait_green(alone)
    check("wanted are 1" in health(alone, "--ready").why, "ready without any HAProxy")
    first.wait_in_rotation("task")
    wait_red(task, because="in rotation in 1 HAProxy, wanted are 2")
    wait_red(task, "--ready", because="in rotation in 1 HAProxy, wanted are 2")
    check(health(proxy, "--ready").code == 1 and is_green(proxy), "a sidecar with half of its HAProxies")
    second.start()
    wait_green(task)
    wait_green(task, "--ready")
    check(first.in_rotation("task") and second.in_rotation("task"), "green too early")
    second.kill()
    wait_red(task, "--ready", because="in rotation in 1 HAProxy, wanted are 2")
    check(is_green(task), "not latched")


@test(seconds=60)
def test_health_of_a_stopping_task_is_green_and_of_a_stopped_one_is_that_nobody_answers(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "task", worker=["--slow", "1500"])
    wait_green(task, "--ready")
    request = subprocess.Popen(["curl", "-s", f"http://127.0.0.1:{haproxy.http_port}/"], stdout=subprocess.DEVNULL)
    wait_until(lambda: in_flight(haproxy) == 1, 5, "the request in flight")
    task.signal(signal.SIGTERM)
    wait_red(task, "--ready", because="the task is stopping")
    check(health(task).said == "healthy: stopping\n", health(task))
    check(request.wait(20) == 0 and task.wait(20) == 0, "the stop failed")
    answer = health(task)
    check(answer.code == 1 and task.settings["control"]["socket"] in answer.why, answer)


@test(seconds=60, alone=True)
def test_health_answers_at_once_and_within_its_deadline_when_shoal_hangs(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "task")
    wait_green(task, "--ready")
    for shoal, words in ((task, ()), (task, ("--ready",)), (proxy, ()), (proxy, ("--ready",))):
        times = sorted(health(shoal, *words).seconds for _ in range(9))
        scene.say(f"health {' '.join(words)} of a {shoal.settings['role']}: {times[4] * 1000:.1f} ms, the program's "
                  "start among it")
        check(times[4] < 0.2, f"half of the answers take {times[4]} s and more")
    for shoal in (task, proxy):
        shoal.signal(signal.SIGSTOP)
        answer = health(shoal)
        check(answer.code == 1 and "no answer in 1s" in answer.why and 0.9 < answer.seconds < 2.5, answer)
        answer = health(shoal, "--timeout", "200ms")
        check(answer.code == 1 and "no answer in 200ms" in answer.why and answer.seconds < 1, answer)
        shoal.signal(signal.SIGCONT)
        wait_green(shoal)
    # A sidecar that hangs is not waited for longer than the task's own half second.
    proxy.signal(signal.SIGSTOP)
    answer = health(task, "--ready")
    check(answer.code == 1 and "sidecar proxy: it has not answered" in answer.why and answer.seconds < 1.2, answer)
    check(is_green(task), "a sidecar that hangs made the task red")
    proxy.signal(signal.SIGCONT)
    wait_green(task, "--ready")


@test(seconds=60)
def test_health_of_a_sidecar_is_green_without_haproxy_and_ready_is_not(scene):
    haproxy = HAProxy(scene)
    proxy = scene.sidecar(haproxy, more={"haproxy": {"reconcile_interval": "200ms"}})
    wait_green(proxy)
    wait_red(proxy, "--ready", because=f"HAProxy is away: {haproxy.socket}")
    haproxy.start()
    wait_green(proxy, "--ready")
    check(health(proxy, "--ready").said == "ready: connected to 1 HAProxy\n", health(proxy, "--ready"))
    haproxy.kill()
    wait_red(proxy, "--ready", because="HAProxy is away")
    hold_true(lambda: is_green(proxy), 0.5, "the sidecar without HAProxy")


@test(seconds=60)
def test_health_of_a_container_that_runs_haproxy_is_red_until_haproxy_has_answered(scene):
    haproxy = HAProxy(scene)
    command = ["haproxy", "-W", "-db", "-f", haproxy.config]
    parent = scene.sidecar(haproxy, more={"haproxy": {"command": command}})
    wait_green(parent)
    wait_green(parent, "--ready")
    check("HAProxy is started and ended by shoal" in parent.command("status"), parent.command("status"))
    os.kill(int(haproxy.info()["Pid"]), signal.SIGKILL)  # The worker; the master follows, the parent starts both anew.
    wait_red(parent, "--ready", because="HAProxy is away")
    check(is_green(parent), "a crash of HAProxy, which is started again, made the container red")
    wait_green(parent, "--ready")
    worker = int(haproxy.info()["Pid"])
    os.kill(worker, signal.SIGSTOP)
    sidecar = next(pid for pid in children_of(parent.pid) if comm_of(pid) == "shoal")
    os.kill(sidecar, signal.SIGKILL)  # The next one finds no HAProxy that answers.
    wait_red(parent, because=f"HAProxy has not answered on {haproxy.socket} since the sidecar's start")
    os.kill(worker, signal.SIGCONT)
    wait_green(parent)


def comm_of(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as f:
        return f.read().strip()


def own_run_directory():
    """/run and the abstract names for this test alone. False where root may not make such namespaces."""
    if not own_network():
        return False
    words = ["mount --make-rprivate /", "mount -t tmpfs tmpfs /run"]
    return unshare_mounts() and all(subprocess.run(w.split(), check=False).returncode == 0 for w in words)


def bare(*inside, env=None):
    """As a container's health check is run: nothing but the program and one word."""
    return run_health([*inside, SHOAL, "health"], env)


@test(seconds=60)
def test_health_finds_its_shoal_by_itself_and_names_all_when_there_are_several(scene):
    if not own_run_directory():
        return scene.say("not done: this machine lets nobody make a mount namespace")
    def at_the_default_place(name, inside=()):
        task = scene.task([], name, more={"health": {"min_proxies": 0}}, start=False)
        del task.settings["control"]
        with open(task.config, "w", encoding="utf-8") as f:
            f.write(toml_text(task.settings))
        task.inside = inside
        return task.start()
    answer = bare()
    check(answer.code == 1 and "no shoal runs here" in answer.why, answer)
    one = at_the_default_place("one")
    wait_until(lambda: bare().code == 0, 15, "the only shoal is found, by its file")
    check(os.stat(f"/run/shoal/task-{one.port}.sock").st_mode & 0o777 == 0o600, "not 0600")
    subprocess.run(["mount", "-o", "remount,ro", "/run"], check=True)
    two = at_the_default_place("two")
    two.log.wait_for(f'"socket":"@shoal/task-{two.port}"', 15)
    answer = bare()
    check(answer.code == 1 and f"/run/shoal/task-{one.port}.sock" in answer.why
          and f"@shoal/task-{two.port}" in answer.why and "--control-socket" in answer.why, answer)
    wait_until(lambda: bare(env={"SHOAL_GOSSIP_BIND": two.gossip}).code == 0, 15, "the settings name one, by its port")
    check(bare(env={"SHOAL_ROLE": "sidecar"}).code == 1, "a task was taken for a sidecar")
    one.kill()  # Its file stays behind.
    check(os.path.exists(f"/run/shoal/task-{one.port}.sock"), "the file is gone: nothing is shown")
    wait_until(lambda: bare().code == 0, 5, "a dead shoal's file counts for nothing, and the other is found")
    # Another container on the same network sees its abstract name too.
    three = at_the_default_place("three", ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"])
    three.worker.wait_for("start", 15)
    inner = children_of(three.pid)[0]
    inside = ["nsenter", "-t", str(inner), "--pid", "--mount"]
    wait_until(lambda: bare(*inside).code == 0, 15, "inside, its own shoal is found")
    check(bare().code == 1, "outside there are two")
    three.kill()


@test(seconds=60)
def test_another_user_is_not_answered(scene):
    if os.geteuid() != 0:
        return scene.say("not done: this needs root")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    os.chmod(scene.dir, 0o755)
    name = f"@shoal-test/{free_port()}"
    by_file = scene.task([], "file", more={"health": {"min_proxies": 0}})
    by_name = scene.task([], "name", more={"health": {"min_proxies": 0}, "control": {"socket": name}})
    for task in (by_file, by_name):
        wait_green(task)
        stranger = run_health([*nobody, SHOAL, "health", "--control-socket", task.settings["control"]["socket"]])
        check(stranger.code == 1 and stranger.why, stranger)
    raw = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect('\\0'+sys.argv[1])\n"
           "s.sendall(b'GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\nprint(s.recv(100))")
    for who, is_answered in ((nobody, False), ([], True)):
        done = subprocess.run([*who, PYTHON, "-c", raw, name[1:]], capture_output=True, text=True, check=False,
                              timeout=10)
        check(("200 OK" in done.stdout) == is_answered, f"{who} are answered: {done}")
