"""shoal as PID 1 of a pid namespace, as in a container. A static shoal also gets a root of its own in which there is
nothing but itself, the worker and the settings; .ci/run does that with the release build."""
import os
import shutil
import signal
import subprocess
import time

from harness import HERE, SHOAL, check, children_of, free_port, http_get, is_running, test, toml_text, wait_until


def is_static(program):
    """No interpreter is asked for in its program headers."""
    with open(program, "rb") as f:
        head = f.read(4096)
    first, size, count = (int.from_bytes(head[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
    return all(int.from_bytes(head[at:at + 4], "little") != 3 for at in range(first, first + size * count, size))


def compiled_worker(scene):
    path = scene.path("worker")
    if not os.path.exists(path):
        subprocess.run(["gcc", "-O1", "-static", "-o", path, os.path.join(HERE, "pid1_worker.c")], check=True)
    return path


class Container:
    """A task as PID 1: `outer` is what a container engine would be, `pid` is shoal's number out here."""

    _ENTER = 'mount --make-rprivate / && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'

    def __init__(self, scene, name, worker=(), command=None, join=(), task=None, more=None, arguments=None):
        """`arguments`: what shoal is started with instead of a file of settings."""
        self.scene, self.name, self.root = scene, name, ""
        if is_static(SHOAL):
            self.root = scene.path(f"{name}.root")
            os.makedirs(os.path.join(self.root, "proc"))
            shutil.copy(SHOAL, os.path.join(self.root, "shoal"))
            shutil.copy(compiled_worker(scene), os.path.join(self.root, "worker"))
        program, its_worker = ("/shoal", "/worker") if self.root else (SHOAL, compiled_worker(scene))
        self.settings = {
            "role": "task", "node": {"name": name},
            "gossip": {"bind": f"127.0.0.1:{free_port()}", "profile": "local",
                       "join": list(join) or [f"127.0.0.1:{free_port()}"]},
            "task": {"backend": "web", "listen": "127.0.0.1:0", "drain_timeout": "4s", **(task or {})},
            "worker": {"command": command or [its_worker, *worker], **(more or {})},
            "control": {"socket": "off"}, "log": {"level": "debug", "format": "json"}}
        file = f"{self.root}/shoal.toml" if self.root else scene.path(f"{name}.toml")
        with open(file, "w", encoding="utf-8") as f:
            f.write(toml_text(self.settings))
        words = arguments or ["-c", "/shoal.toml" if self.root else file]
        inside = ["sh", "-c", self._ENTER, self.root] if self.root else []
        mounts = ["--mount"] if self.root else ["--mount-proc"]
        self.outer = scene.run(name, ["unshare", "--fork", "--pid", *mounts, "--kill-child=SIGKILL", *inside, program,
                                      *words], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        self.log, self.namespace, self._held = self.outer.log, None, None

    @property
    def pid(self):
        return wait_until(lambda: children_of(self.outer.pid), 10, f"{self.name} to be there")[0]

    def started(self):
        """Waits for its worker, whose number out here it gives, and remembers the namespace."""
        self.log.wait_for('"event":"worker started"', 10)
        # Held open: the number of one that is gone is given to the next, which may be another test's.
        self._held = open(f"/proc/{self.pid}/ns/pid", "rb", buffering=0)  # noqa: SIM115
        self.namespace = os.readlink(f"/proc/self/fd/{self._held.fileno()}")
        check("\t1\n" in self.status_line(self.pid, "NSpid"), f"{self.name} is not PID 1")
        return children_of(self.pid)[0]

    @staticmethod
    def status_line(pid, key):
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
            return next(line for line in f if line.startswith(f"{key}:"))

    def processes(self, zombies=False):
        """Everybody in the namespace, seen from out here; or only those that nobody has waited for."""
        found = []
        for word in os.listdir("/proc"):
            try:
                if word.isdigit() and os.readlink(f"/proc/{word}/ns/pid") == self.namespace:
                    found.append(int(word))
            except OSError:
                pass  # Gone meanwhile; or a zombie, which has no namespace to be read.
        if zombies:
            return [pid for pid in children_of(self.pid) if "Z" in self.status_line(pid, "State")]
        return found

    def signal(self, number):
        os.kill(self.pid, number)

    def wait(self, timeout):
        return self.outer.wait(timeout)

    def stop(self, timeout=10):
        self.signal(signal.SIGTERM)
        return self.wait(timeout)


def may_make_namespaces(scene):
    if subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode == 0:
        return True
    scene.say("not run: this machine lets nobody make a pid namespace")
    return False


@test(seconds=60)
def test_pid1_serves_reaps_every_orphan_and_stops_as_asked(scene):
    if not may_make_namespaces(scene):
        return
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = Container(scene, "first", ["orphans=40"], join=[proxy.gossip])
    worker = task.started()
    haproxy.wait_in_rotation("first")
    check(http_get(haproxy.http_port)[0] == 200, "no answer")
    wait_until(lambda: len(task.processes()) == 2, 5, "the orphans' ends")
    wait_until(lambda: not task.processes(zombies=True), 2, "no zombie")
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
        task.signal(number)
        task.log.wait_for(f"^signal {number:02d}$", 5)
    begun = time.monotonic()
    check(task.stop() == 0, "not 0")
    check(task.log.find("^signal 15$") and not is_running(worker), "the worker was not asked to stop")
    check(not haproxy.in_rotation("first") and not task.processes(), "something is left")
    scene.say(f"{'static, in an empty root' if task.root else 'dynamic'}: stopped in {time.monotonic() - begun:.2f} s")


@test(seconds=60)
def test_pid1_ends_a_deaf_worker_and_its_whole_tree_inside_the_budget(scene):
    if not may_make_namespaces(scene):
        return
    deaf, tree, dead = (Container(scene, name, words) for name, words in (
        ("deaf", ["deaf", "tree"]), ("tree", ["tree"]), ("dead", ["tree"])))
    for task in (deaf, tree, dead):
        task.started()
        wait_until(lambda t=task: len(t.processes()) == 4, 5, f"{task.name}: shoal, its worker, a child, a grandchild")
    begun = time.monotonic()
    deaf.signal(signal.SIGTERM)
    check(tree.stop() == 0, "not 0")
    check(tree.log.find('"event":"stopped"') and not tree.processes(), f"{tree.processes()} are left")
    check(time.monotonic() - begun < 4, "the tree held its task up")
    # What a container engine does at last: nobody is left to decide anything.
    dead.signal(signal.SIGKILL)
    dead.wait(5)
    check(not dead.log.find('"event":"stopped"') and not dead.processes(), "something outlived PID 1")
    status = deaf.wait(10)
    took = time.monotonic() - begun
    check(status == 128 + signal.SIGKILL, f"status {status}")
    check(took < 4 and not deaf.processes(), f"{took:.1f} s of 4 s, and {deaf.processes()} are left")
    check(deaf.log.find("worker did not stop in time; killed"), "the kill is not in the log")


@test(seconds=60)
def test_pid1_passes_every_exit_code_on(scene):
    if not may_make_namespaces(scene):
        return
    plain = scene.path("plain-file")
    not_a_program = "/shoal.toml" if is_static(SHOAL) else plain
    with open(plain, "w", encoding="ascii") as f:
        f.write("not a program\n")
    cases = {
        "zero": (0, {"worker": ["status=0"]}), "three": (3, {"worker": ["status=3"]}),
        "term": (128 + signal.SIGTERM, {"worker": [f"signal={signal.SIGTERM:d}"]}),
        "segv": (128 + signal.SIGSEGV, {"worker": [f"signal={signal.SIGSEGV:d}"]}),
        "unfit": (126, {"command": [not_a_program]}), "missing": (127, {"command": ["/no/such/worker"]}),
        "usage": (64, {"arguments": ["task", "--bogus"]}), "settings": (78, {"task": {"weight": 300}}),
        "port": (69, {"task": {"listen": "192.0.2.7:80"}}),
        "mute": (75, {"worker": ["mute"], "more": {"ready_timeout": "1s"}})}
    tasks = {name: Container(scene, name, **how) for name, (_, how) in cases.items()}
    wrong = {name: (status, cases[name][0]) for name, task in tasks.items()
             if (status := task.wait(15)) != cases[name][0]}
    check(not wrong, f"(status, what it should be): {wrong}")
    # The way a process in the container itself asks for the stop.
    inner = Container(scene, "inner", ["stops_parent"])
    inner.started()
    inner.log.wait_for('"event":"worker accepts"', 10)  # Before that the signal may end it.
    inner.signal(signal.SIGUSR2)
    check(inner.wait(10) == 0, "asked from inside: not 0")
