"""What is installed beside the program: man pages, completion, systemd's units."""
import filecmp
import json
import os
import re
import subprocess

from harness import PYTHON, ROOT, SHOAL, check, test

PACKAGING = os.path.join(ROOT, "packaging")
GENERATED = ("man/shoal.1", "man/shoal.toml.5", "completion/shoal.bash", "../docs/settings.md")


def shoal(*words):
    return subprocess.run([SHOAL, *words], capture_output=True, text=True, check=False, timeout=10)


@test(seconds=20)
def test_man_pages_completion_and_settings_are_those_of_the_program(scene):
    os.mkdir(scene.path("packaging"))
    subprocess.run([PYTHON, os.path.join(PACKAGING, "generate"), "--program", SHOAL, "--into", scene.path("packaging")],
                   check=True, timeout=15)
    made = scene.path("packaging")
    old = [name for name in GENERATED
           if not filecmp.cmp(os.path.join(PACKAGING, name), os.path.join(made, name), shallow=False)]
    check(not old, f"run packaging/generate --program SHOAL: {old} are not what it writes")
    for page in GENERATED[:2]:
        lint = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8", "-k", os.path.join(PACKAGING, page)],
                              capture_output=True, text=True, check=False, timeout=10)
        check(lint.returncode == 0 and not lint.stderr, f"{page}: {lint.stderr}")


def completions(*words):
    """What bash offers for the last of the words."""
    script = (f"source {PACKAGING}/completion/shoal.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _shoal; "
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    out = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True, timeout=10)
    check(not out.stderr, out.stderr)
    return [line for line in out.stdout.splitlines() if line]


@test(seconds=40)
def test_the_completion_offers_every_command_and_flag_and_nothing_that_the_program_refuses(scene):
    commands = set(re.findall(r"(?m)^  shoal ([a-z][a-z|-]*)", shoal("--help").stdout))
    commands = {name for words in commands for name in words.split("|")}
    offered = {word for word in completions("shoal", "") if not word.startswith("-")}
    check(offered == commands, f"offered and not there, or there and not offered: {offered ^ commands}")
    settings = json.loads(shoal("config", "reference", "-o", "json").stdout)
    for role in ("task", "sidecar"):
        flags = {s["flag"] for s in settings if s["flag"] and s["for"] in ("both", role)}
        check(flags <= set(completions("shoal", role, "--")), f"not offered for {role}: {flags}")
    wrong = []
    for flag in sorted({w for role in ("task", "sidecar") for w in completions("shoal", role, "--")} - {"--help"}):
        said = shoal("config", "check", flag, "x").stderr
        wrong += [flag] if "no flag" in said else []
    check(not wrong, f"the program does not know {wrong}")
    check(completions("shoal", "sidecar", "--haproxy-method", "s") == ["slots"], "no choices are offered")
    check(completions("shoal", "keys", "in") == ["install"], "no words of a command are offered")


@test(seconds=40)
def test_systemd_takes_the_units(scene):
    for unit, as_unit in (("shoal-sidecar.service",) * 2, ("shoal-task@.service", "shoal-task@web.service")):
        with open(os.path.join(PACKAGING, "systemd", unit), encoding="utf-8") as f:
            text = f.read()
        check(text.count("ExecStart=/usr/bin/shoal ") == 1, f"{unit} does not start /usr/bin/shoal")
        path = scene.path(as_unit)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("/usr/bin/shoal", os.path.abspath(SHOAL)))
        said = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True,
                              check=False, timeout=30)
        mine = [line for line in said.stderr.splitlines() if "shoal" in line]
        check(not mine, f"{unit}: {said.stderr}")
        # The stop of the unit is longer than the stop of what it starts.
        stop = int(re.search(r"TimeoutStopSec=(\d+)", text).group(1))
        check(stop >= 32, f"{unit} gives {stop} s, task.stop_timeout is 30 s")
        told = dict(line.split("=", 1) for line in text.splitlines() if re.match(r"\w+=", line))
        check(told.get("StartLimitIntervalSec") == "0", f"{unit}: systemd gives up after five quick ends")
        # No file that its own user could read alone: it is another user at each start.
        check(told["DynamicUser"] == "yes" and told.get("EnvironmentFile", "").startswith("-/"),
              f"{unit}: no way for a key")
        # systemd stops in the other order than it starts, and a sidecar serves until HAProxy has gone.
        if "sidecar" in unit:
            check(told.get("Before") == "haproxy.service" and "haproxy" not in told["After"],
                  f"{unit} is stopped before HAProxy: After={told['After']}")


@test(seconds=60)
def test_an_installed_unit_starts_the_program_that_is_installed_with_it(scene):
    build = scene.path("build")
    words = ["meson", "setup", "--wrap-mode=nodownload", "--prefix=/opt/shoal", "-Dtests=false", build, ROOT]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"{done.stdout}{done.stderr}")
    told = subprocess.run(["meson", "introspect", "--installed", build], capture_output=True, check=True)
    plan = json.loads(told.stdout)
    units = [source for source, target in plan.items() if target.startswith("/opt/shoal/lib/systemd/system/")]
    check(len(units) == 2 and "/opt/shoal/bin/shoal" in plan.values(), f"{plan}")
    for unit in units:
        with open(unit, encoding="utf-8") as f:
            started = re.findall(r"(?m)^ExecStart=(\S+)", f.read())
        check(started == ["/opt/shoal/bin/shoal"], f"{unit} starts {started}")
