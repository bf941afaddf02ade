"""The documents: what they name is there, and each command in them is run, or is marked as not run."""
import glob
import os
import re
import subprocess

import documents
from harness import HERE, ROOT, SHOAL, Failure, Log, check, test


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


@test(seconds=60)
def test_the_documents_name_no_command_setting_variable_or_place_that_is_not_there(scene):
    found = [f"{path}:{fault}" for path in documents.documents()
             for fault in documents.faults(path, documents.text_of(path), scene.dir)]
    check(not found, "\n".join(found))
    index = documents.text_of("docs/README.md")
    unsaid = [path for path in documents.documents() if path.startswith("docs/")
              and os.path.basename(path) not in ("README.md", *re.findall(r"[\w-]+\.md", index))]
    check(not unsaid, f"docs/README.md does not name {unsaid}")


@test(seconds=60)
def test_the_log_has_the_lines_of_its_document_and_no_others(scene):
    said, logged = documents.events_of(documents.text_of("docs/log.md")), documents.events_of_the_source()
    check(len(said) > 100 and len(logged) > 90, f"{len(said)} lines in the document, {len(logged)} in the program")
    texts = list(documents.sources())
    ghosts = sorted(event for event in said if not any(f'"{event}' in text for text in texts))
    check(not ghosts, f"docs/log.md has lines that the program never writes: {ghosts}")
    unsaid = sorted(event for event in logged if not any(event.startswith(line) for line in said))
    check(not unsaid, f"docs/log.md does not have {unsaid}")


@test(seconds=60)
def test_what_the_runbook_tells_to_look_for_is_what_the_program_says(scene):
    wanted, texts = documents.words_to_look_for(documents.text_of("docs/operations.md")), list(documents.sources())
    check(len(wanted) > 60, f"only {len(wanted)}")
    ghosts = sorted(words for words in wanted if not any(words in text for text in texts))
    check(not ghosts, f"the program says nothing like {ghosts}")


@test(seconds=60)
def test_the_packaged_haproxy_configuration_says_why_of_each_line_and_is_the_one_that_is_explained(scene):
    text = documents.text_of("packaging/haproxy.cfg")
    lines = [line.strip() for line in text.splitlines()]
    bare = [line for above, line in zip(["", *lines], lines)
            if line and "#" not in line and not above.startswith("#") and not documents.SECTION.match(line)]
    check(not bare, f"packaging/haproxy.cfg does not say why of {bare}")
    said = [line.split("#")[0] for line in lines]
    table = documents.text_of("docs/haproxy.md").partition("| line | why |")[2].partition("\n\n")[0]
    rows = re.findall(r"(?m)^\| (no )?(`.+?`(?:, (?:no )?`.+?`)*) \|", table)
    check(len(rows) > 12, f"the table has {len(rows)} rows")
    for absent, cell in rows:
        for line in re.findall(r"`(.+?)`", cell):
            there = any(line in have if not absent else have.startswith(line) for have in said)
            check(there != bool(absent), f"docs/haproxy.md is wrong about {absent}{line}")


FENCE = "```"
NO_MACHINE = "not done: this machine lets nobody make another one"
BROKEN = (  # What is written, what is said of it.
    (f"{FENCE}\nls\n{FENCE}\n", "no language"),
    (f"{FENCE}bash\nls\n{FENCE}\n", "unknown language"),
    (f"{FENCE}sh\nls\n", "never closed"),
    ("Like this:\n\n    shoal health\n", "indented block"),
    (f"<!-- not run: no reason -->\n\n{FENCE}sh\nls\n{FENCE}\n", "mark without a fence"),
    (f"<!-- not run: it would not end -->\n{FENCE}sh\nshoal tusk --join a\n{FENCE}\n", "no command tusk"),
    (f"{FENCE}sh\nx=$(shoal status --fast)\n{FENCE}\n", "no flag --fast"),
    (f"{FENCE}toml\n[gossip]\nseeds = 1\n{FENCE}\n", "no such setting"),
    (f"{FENCE}toml\nrole = \"sidecar\"\n[haproxy]\ngrace = \"1s\"\n{FENCE}\n", "must be from 10s"),
    (f"{FENCE}cfg\nbackend a\n    balans leastconn\n{FENCE}\n", "balans"),
    (f"{FENCE}cfg\noption redispatch 7\n{FENCE}\n", "not in packaging/haproxy.cfg"),
    (f"{FENCE}json\n{{'a': 1}}\n{FENCE}\n", "1: "),
    (f"{FENCE}proto\nuint32 port = 77;\n{FENCE}\n", "stand in no file"),
    ("Use `shoal keys rotate`.", "no keys rotate"),
    ("Use `shoal members\n--color`.", "no flag --color"),
    ("Set `task.drain_timout`.", "no setting task.drain_timout"),
    ("Ask `GET /v1/explain`.", "no GET /v1/explain"),
    ("Set `SHOAL_GOSSIP_SEEDS`.", "no variable SHOAL_GOSSIP_SEEDS"),
    ("See [there](nowhere).", "not there"),
    ("See [there](docs/workers.md#nowhere).", "no such heading"),
)


@test(seconds=60)
def test_what_is_wrong_in_a_document_is_found(scene):
    for text, said in BROKEN:
        found = documents.faults("README.md", text, scene.dir)
        check(len(found) == 1 and said in found[0], f"{text!r}: {found}")
    good = (f"{FENCE}sh\nshoal health --ready || true\n{FENCE}\n\nUse `shoal keys install -`, `SHOAL_GOSSIP_KEY`, see "
            "[here](docs/workers.md#ready).\n")
    check(not documents.faults("README.md", good, scene.dir), "found in a good one")
    if not run_document(scene, f"{FENCE}sh\ntrue\n{FENCE}\n"):
        return scene.say(NO_MACHINE)
    for commands, said in (("echo one\nfalse", "line 3"), ("false | cat; sleep 60 & ls nowhere", "line 2")):
        fault = fault_of_run(scene, f"{FENCE}sh\n{commands}\n{FENCE}\n")
        check(said in fault, f"{commands}: {fault}")
    for printed, fits in (("one 2 three", True), ("one   2 three", True), ("one 2", False), ("three", False)):
        text = f"{FENCE}sh\necho; echo '{printed}'; echo noise\n{FENCE}\n\n{FENCE}text\none … three\nnoise\n{FENCE}\n"
        check(bool(fault_of_run(scene, text)) != fits, f"{printed} for `one … three`")
    hidden = f"<!--\n{FENCE}sh\nfalse\n{FENCE}\n-->\n"
    check("line 3" in fault_of_run(scene, hidden), "what a comment hides is not run")


def fault_of_run(scene, text):
    try:
        run_document(scene, text)
    except Failure as failure:
        return str(failure)
    return ""


# A machine of the document's own: an address beside loopback, which a name leads to; /etc and /run as they are, to be
# written to. What was started ends with its first process.
MACHINE = """
set -e
ip link set lo up
ip link add eth0 type veth peer name far
ip addr add 10.0.0.10/24 dev eth0
ip link set eth0 up
ip link set far up
mount -t tmpfs none /run
mkdir /run/haproxy
cp -a /etc /run/etc
mount --bind /run/etc /etc
printf '127.0.0.1 localhost\\n10.0.0.10 haproxy.internal\\n' >/etc/hosts
exec bash -e ../document.sh </dev/null
"""
# What a document's paths lead to, besides files that its commands make.
REPOSITORY = ("README.md", "docs", "packaging", "proto", "shoal.toml.example")


def expected_in(output, block):
    """The first line of the block that the output has not, after those before it; … is anything, spaces are one."""
    lines = [" ".join(line.split()) for line in output.splitlines()]
    for wanted in filter(str.strip, block.lines):
        if wanted.strip() == "…":
            continue
        pattern = ".*".join(re.escape(part) for part in " ".join(wanted.split()).split("…"))
        place = next((i for i, line in enumerate(lines) if re.fullmatch(pattern, line)), None)
        if place is None:
            return wanted
        lines = lines[place + 1:]
    return None


def run_document(scene, text):
    """Each block of sh, top to bottom, in one bash that ends at the first command that fails. False where root may
    make no machine."""
    machine = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*machine, "true"], capture_output=True, check=False).returncode != 0:
        return False
    blocks = documents.to_run(text)
    # Line for line where it stands in the document, so that what bash says leads there.
    script = [""] * (text.count("\n") + 2)
    for block in blocks:
        script[block.line - 1] = f"exec >{scene.path(f'{block.line}.out')} 2>&1; PS4='+ line $LINENO: '; set -x"
        script[block.line:block.line + len(block.lines)] = block.lines
    for folder in ("bin", "work"):
        os.makedirs(scene.path(folder), exist_ok=True)
    for name in REPOSITORY:
        if not os.path.lexists(scene.path(f"work/{name}")):
            os.symlink(os.path.join(ROOT, name), scene.path(f"work/{name}"))
    if not os.path.lexists(scene.path("bin/shoal")):
        os.symlink(os.path.abspath(SHOAL), scene.path("bin/shoal"))
    with open(scene.path("document.sh"), "w", encoding="utf-8") as f:
        f.write("\n".join(script) + "\n")
    with open(scene.path("machine.sh"), "w", encoding="utf-8") as f:
        f.write(f"cd {scene.path('work')}\n{MACHINE}")
    trace = scene.path("trace")
    env = {"PATH": f"{scene.path('bin')}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": scene.path("work"),
           "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    # What `set -x` says goes to a file of its own.
    program = scene.run("document", ["bash", "-c", f"exec 9>{trace}; BASH_XTRACEFD=9 exec \"$@\"", "bash", *machine,
                                     "bash", scene.path("machine.sh")], env=env)
    try:
        status = program.wait(60)
    except Failure:
        status = "no end after 60 s"
    outputs = {block.line: Log(scene.path(f"{block.line}.out")).text() for block in blocks}
    if status != 0:
        last = Log(trace).text().splitlines()[-1:]
        said = [text for text in outputs.values() if text][-1:] or [program.log.text()]
        raise Failure(f"{status}, at {last}\n{said[0][-2000:]}")
    for block in documents.read(text)[0]:
        if block.language in documents.OUTPUT and block.follows and block.follows.line in outputs:
            printed = outputs[block.follows.line]
            missing = expected_in(printed, block)
            check(missing is None, f"{block.line}: {missing} is not in what was printed:\n{printed[-3000:]}")
    return True


def of_document(path):
    # More than a minute, so that they are not repeated with the sanitizers: they try the documents.
    @test(seconds=90)
    def run(scene):
        if not run_document(scene, documents.text_of(path)):
            scene.say(NO_MACHINE)
    run.__name__ = "test_the_commands_of_" + re.sub(r"\W", "_", path.removesuffix(".md")).lower()
    return run


for _path in documents.documents():
    if documents.to_run(documents.text_of(_path)):
        _run = of_document(_path)
        globals()[_run.__name__] = _run
