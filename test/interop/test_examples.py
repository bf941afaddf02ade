"""Every worker in packaging/examples, run as its README says: two of a kind behind a real HAProxy share the requests,
and one that is told to stop under load fails none."""
import os
import shutil
import signal
import subprocess

from harness import ROOT, SHOAL, Log, check, free_port, test, wait_until
from load import Load

EXAMPLES = os.path.join(ROOT, "packaging", "examples")


class Example:
    """`shoal task -c shoal.toml` in a copy of an example's folder; only what must differ here comes from outside."""

    def __init__(self, scene, folder, name, proxy):
        control = scene.path(f"{name}.control")
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "SHOAL_NODE_NAME": name,
               "SHOAL_GOSSIP_JOIN": proxy.gossip, "SHOAL_GOSSIP_BIND": f"127.0.0.1:{free_port()}",
               "SHOAL_GOSSIP_PROFILE": "local", "SHOAL_TASK_LISTEN": "127.0.0.1:0", "SHOAL_CONTROL_SOCKET": control,
               "SHOAL_LOG_FORMAT": "json", "SHOAL_LOG_LEVEL": "debug"}
        self.name = name
        self.program = scene.run(name, ["/bin/sh", "-c", f"cd {folder} && exec {SHOAL} task -c shoal.toml"], env=env)
        self.log = Log(scene.path(f"{name}.log"))


def run_example(scene, name, build=None, way=None):
    folder = shutil.copytree(os.path.join(EXAMPLES, name), scene.path(f"{name}.example"))
    if build:
        subprocess.run(build, cwd=folder, check=True)
    haproxy = scene.haproxy(bare=True)
    proxy = scene.sidecar(haproxy)
    stay, go = (Example(scene, folder, f"{name}{i}", proxy) for i in range(2))
    haproxy.wait_in_rotation(stay.name, go.name, timeout=20)
    if way:
        check(stay.log.find(way), f"not ready by /{way}/")
    load = Load(haproxy.http_port, seconds=60, clients=6, pause_ms=10)
    wait_until(lambda: all(row.split(",")[7].isdigit() and int(row.split(",")[7]) > 40
                           for row in haproxy.tell("show stat web 4 -1").splitlines() if "shoal-" in row), 20,
               "both to have had sessions")
    go.program.signal(signal.SIGTERM)
    check(go.program.wait(25) == 0, f"{go.name} did not end with 0")
    result = load.result(stop_now=True)
    check(result["failed"] == 0, f"{result['failed']} of {result['ok'] + result['failed']} failed: {result['errors']}")
    shares = result["by_worker"]
    check(len(shares) == 2 and "?" not in shares and min(shares.values()) > 20, f"shares {shares}")
    check(not go.log.find("worker did not stop in time"), f"{go.name}'s worker had to be killed")
    check(stay.program.stop(25) == 0, f"{stay.name} did not end with 0")
    scene.say(f"{result['ok']} requests, none failed, by two workers: {sorted(shares.values())}")


@test(seconds=60)
def test_example_python(scene):
    run_example(scene, "python")


@test(seconds=60)
def test_example_gunicorn(scene):
    run_example(scene, "gunicorn")


@test(seconds=60)
def test_example_uvicorn(scene):
    run_example(scene, "uvicorn")


@test(seconds=60)
def test_example_node(scene):
    run_example(scene, "node")


@test(seconds=60)
def test_example_go(scene):
    # Debian's golang-go is 460 MB; what this compiler makes of the same file is the same to shoal.
    run_example(scene, "go", build=["gccgo-12", "-o", "server", "main.go"])


@test(seconds=60)
def test_example_nginx(scene):
    run_example(scene, "nginx", way='"by":"connect"')


@test(seconds=20)
def test_every_example_has_a_test_and_a_line_in_the_readme(scene):
    folders = sorted(entry.name for entry in os.scandir(EXAMPLES) if entry.is_dir())
    with open(os.path.join(EXAMPLES, "README.md"), encoding="utf-8") as f:
        text = f.read()
    for name in folders:
        check(f"test_example_{name}" in globals(), f"no test for {name}")
        check(f"| `{name}` |" in text, f"{name} is missing in README.md")
        settings = os.path.join(EXAMPLES, name, "shoal.toml")
        done = subprocess.run([SHOAL, "config", "check", "-c", settings], capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"{name}: {done.stderr}{done.stdout}")
    check(len(folders) >= 6, f"only {folders}")
