"""What the documents promise about tests."""
import glob
import os
import re
import shlex
import shutil
import subprocess

from harness import HERE, PYTHON, ROOT, SHOAL, check, free_port, test


def interop_tests(name):
    path = os.path.join(HERE, f"test_{name}.py")
    if not os.path.exists(path):
        return set()
    with open(path, encoding="utf-8") as f:
        return set(re.findall(r"^def test_(\w+)\(", f.read(), re.M))


def unit_tests(name):
    path = os.path.join(ROOT, "test", "unit", f"{name}.cc")
    if not os.path.exists(path):
        return set()
    with open(path, encoding="utf-8") as f:
        return set(re.findall(r'TEST_CASE\(\s*"((?:[^"\\]|\\.)*)"', f.read()))


@test(seconds=20)
def test_the_tests_that_the_compatibility_table_names_exist(scene):
    with open(os.path.join(ROOT, "docs", "serf-compatibility.md"), encoding="utf-8") as f:
        text = f.read()
    named = [n for n in re.findall(r"`([a-z_]+(?:/[a-z_]+)?): ([^`]+)`", text) if n != ("file", "name")]
    check(len(named) > 60, f"only {len(named)} tests are named")
    missing = [f"{file}: {name}" for file, name in named
               if name not in (unit_tests(file) if "/" in file else interop_tests(file))]
    check(not missing, "no such tests: " + "; ".join(missing))
    rows = [int(n) for n in re.findall(r"^\| (\d+) \|", text, re.M)]
    check(rows == list(range(1, 47)), f"the table's rows are {rows}")
    said = {name for file, name in named if "/" not in file}
    every = {name for path in glob.glob(os.path.join(HERE, "test_*_rules.py"))
             for name in interop_tests(os.path.basename(path)[5:-3])}
    check(every - said <= {"a_leave_intent_about_itself_is_refuted"}, f"rules that no row names: {every - said}")


def code_of(document):
    """(commands of shoal in it, its TOML blocks)."""
    with open(os.path.join(ROOT, "docs", document), encoding="utf-8") as f:
        text = f.read()
    return re.findall(r"(?m)^    (shoal .+)$", text), re.findall(r"(?s)```toml\n(.*?)```", text)


@test(seconds=60)
def test_every_command_of_the_document_on_workers_brings_its_worker_into_rotation(scene):
    commands, blocks = code_of("workers.md")
    check(len(commands) >= 3 and len(blocks) >= 2, f"{commands}, {len(blocks)} blocks")
    with open(scene.path("server"), "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\ncase \"$*\" in --port*) own=--bind=reuse;; esac\nexec {PYTHON} {HERE}/worker.py $own\n")
    os.chmod(scene.path("server"), 0o755)
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    # "In a folder of packaging/examples".
    shutil.copy(os.path.join(ROOT, "packaging", "examples", "python", "server.py"), scene.dir)
    with open(os.path.join(ROOT, "packaging", "examples", "python", "shoal.toml"), encoding="utf-8") as f, \
            open(scene.path("shoal.toml"), "w", encoding="utf-8") as copy:
        copy.write(f.read().replace("haproxy.internal", proxy.gossip))
    programs = {}
    for number, command in enumerate(commands):
        name = f"d{number}"
        # For the sake of other tests beside this one: their names, ports and addresses. All else is as it stands there.
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SHOAL_NODE_NAME": name, "SHOAL_GOSSIP_PROFILE": "local",
               "SHOAL_GOSSIP_BIND": f"127.0.0.1:{free_port()}", "SHOAL_CONTROL_SOCKET": scene.path(f"{name}.control"),
               "SHOAL_TASK_LISTEN": "127.0.0.1:0", "SHOAL_LOG_FORMAT": "json"}
        words = [proxy.gossip if word == "haproxy.internal" else word for word in shlex.split(command)[1:]]
        programs[name] = scene.run(name, [SHOAL, *words], env=env)
    haproxy.wait_in_rotation(*programs)
    for name, program in programs.items():
        check(program.stop(20) == 0, f"{name}, {commands[int(name[1:])]}: not 0")
    for block in blocks:
        with open(scene.path("block.toml"), "w", encoding="utf-8") as f:
            f.write(f'role = "task"\n[gossip]\njoin = ["haproxy.internal"]\n{block}')
        words = [SHOAL, "config", "check", "-c", scene.path("block.toml")]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"{block}: {done.stderr}{done.stdout}")
