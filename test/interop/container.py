"""A container without an engine: namespaces, a read-only root, a user without any capability."""
import json
import os
import shutil
import signal
import subprocess

from harness import HERE, PYTHON, check, children_of, wait_until

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def machine_root(scene, name):
    """A root that stands for a Debian image: its directory, and what of this machine is bound into it."""
    root = scene.path(f"{name}.root")
    for directory in ("etc", "usr/bin", "usr/sbin", "run", "tmp", "var/lib/shoal", "var/lib/haproxy"):
        os.makedirs(os.path.join(root, directory))
    os.symlink("../run", f"{root}/var/run")
    binds = {}
    for libraries in ("lib", "lib64"):
        os.symlink(f"usr/{libraries}", f"{root}/{libraries}")
        if os.path.isdir(f"/usr/{libraries}"):
            binds[f"/usr/{libraries}"] = f"/usr/{libraries}"
    for program, place in (("haproxy", "/usr/sbin/haproxy"), ("python3", "/usr/bin/python3")):
        binds[os.path.realpath(shutil.which(program, path="/usr/sbin:/usr/bin"))] = place
    return root, binds


class Container:
    """`pid` is its PID 1, as seen from out here."""

    def __init__(self, scene, name, root, command, user, binds=None, writable=(), tmpfs=None, env=None, cwd="/",
                 hosts=None, network=()):
        """`binds`: source -> place in the container, read-only unless the source is one of `writable`. `tmpfs`:
        place -> options. `hosts`: name -> address. `network`: words that enter its network namespace; else it is the
        test's."""
        self.name, self.user = name, user
        spec = {"root": root, "binds": binds or {}, "writable": list(writable), "tmpfs": tmpfs or {}, "user": user,
                "cwd": cwd, "hosts": hosts or {}, "env": {"PATH": PATH, **(env or {})}}
        self.outer = scene.run(name, [
            *network, "unshare", "--fork", "--pid", "--mount", "--uts", "--ipc", "--kill-child=SIGKILL",
            PYTHON, os.path.join(HERE, "into_container.py"), json.dumps(spec), *command], env={"PATH": PATH})
        self.log = self.outer.log

    @property
    def pid(self):
        return wait_until(lambda: children_of(self.outer.pid), 10, f"{self.name} to be there")[0]

    def path(self, inside):
        """A place in the container, as it is reached from out here."""
        return os.path.join(f"/proc/{self.pid}/root", inside.lstrip("/"))

    def status(self):
        """/proc's `status` of its PID 1 as a map."""
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as f:
            return {key: value.split() for key, _, value in (line.partition(":") for line in f)}

    def execute(self, command, timeout=10):
        """Inside, as the same user; what `docker exec` does."""
        argv = ["nsenter", "--target", str(self.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd",
                "--setuid", str(self.user[0]), "--setgid", str(self.user[1]), *command]
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, env={"PATH": PATH})

    def check_confined(self):
        status = self.status()
        mine = [str(number) for number in self.user]
        check(status["NSpid"][-1] == "1" and set(status["Uid"]) == {mine[0]} and set(status["Gid"]) == {mine[1]},
              f"{self.name} is process {status['NSpid'][-1]} of user {status['Uid']}, group {status['Gid']}")
        held = {key: status[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
                if int(status[key][0], 16) != 0}
        check(not held and status["NoNewPrivs"] == ["1"] and not status["Groups"], f"{self.name} may do more: {held}")
        with open(f"/proc/{self.pid}/mounts", encoding="utf-8") as f:
            roots = [line.split()[3] for line in f if line.split()[1] == "/"]
        check(roots and roots[-1].split(",")[0] == "ro", f"the root of {self.name} can be written to: {roots}")

    def tell(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.outer.kill()

    def stop(self, number=signal.SIGTERM, timeout=40):
        """Its exit status, 128 + n for a signal."""
        self.tell(number)
        return self.outer.wait(timeout)
