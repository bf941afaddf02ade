"""The documents as tests see them: fenced blocks, code in the text, links; and what is wrong with them.

A block of `sh` is run (test_documents.py), all of one document in one bash, top to bottom. What cannot be run has the
line `<!-- not run: REASON -->` right above its fence. `text` or `console` right below a block of `sh` is what that
block prints, with … for what differs each time; elsewhere it is free. `toml` has to be good settings, `cfg` has to be
taken by HAProxy, `json` has to parse, and any other language has to stand word for word in a file of the repository.
"""
import glob
import json
import os
import re
import subprocess
from functools import lru_cache

from harness import ROOT, SHOAL

NOT_RUN = re.compile(r"<!-- not run: (\S.*) -->")
RUN, OUTPUT, SETTINGS, PROXY = "sh", ("text", "console"), "toml", "cfg"
QUOTED = ("dockerfile", "hcl", "ini", "lua", "proto", "yaml")
SECTION = re.compile(r"(?m)^(global|defaults|frontend|backend|listen)\b")
# What programs below shoal are told, and what the tests take.
OTHER_VARIABLES = {"SHOAL_PORT", "SHOAL_ADDR", "SHOAL_LISTENER_FD", "SHOAL_SUPERVISED", "SHOAL_BIN"}


def documents():
    """Their paths below the repository's root."""
    found = ["README.md"]
    for pattern in ("docs/**/*.md", "packaging/**/README.md"):
        found += sorted(glob.glob(pattern, root_dir=ROOT, recursive=True))
    return found


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


class Block:
    def __init__(self, line, language, reason, follows):
        self.line, self.language, self.reason = line, language, reason
        self.follows = follows  # The block above, with nothing but blank lines between.
        self.lines = []

    @property
    def text(self):
        return "".join(f"{line}\n" for line in self.lines)


def read(text):
    """(blocks, the text without them, faults of the form)."""
    blocks, prose, faults = [], [], []
    block, before, indent, last, in_list = None, "", 0, None, False
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.fullmatch(r"( *)```+(.*)", line)
        if block is not None:
            if fence and not fence.group(2):
                block, last = None, blocks[-1]
            else:
                block.lines.append(line[indent:] if not line[:indent].strip() else line)
        elif fence:
            reason = NOT_RUN.fullmatch(before.strip())
            block = Block(number, fence.group(2).strip(), reason.group(1) if reason else None, last)
            indent = len(fence.group(1))
            blocks.append(block)
        else:
            in_list = bool(re.match(r" *([-*]|\d+\.) ", line)) or (in_list and (line[:1] in ("", " ")))
            if line.startswith("    ") and not before.strip() and not in_list:
                faults.append(f"{number}: an indented block; put it between fences with its language")
            if "not run" in before and NOT_RUN.fullmatch(before.strip()):
                faults.append(f"{number - 1}: a mark without a fence right below it")
            if line.strip() and not NOT_RUN.fullmatch(line.strip()):
                last = None
            prose.append((number, line))
        before = line
    if block is not None:
        faults.append(f"{block.line}: a fence that is never closed")
    return blocks, prose, faults


def to_run(text):
    return [b for b in read(text)[0] if b.language == RUN and b.reason is None]


# --- what the program says of itself


@lru_cache(maxsize=None)
def shoal(*words):
    done = subprocess.run([SHOAL, *words], capture_output=True, text=True, check=False, timeout=10)
    return done.stdout


@lru_cache(maxsize=None)
def settings():
    return {s["key"]: s for s in json.loads(shoal("config", "reference", "-o", "json"))}


@lru_cache(maxsize=None)
def commands():
    """(first word, second word or "") of each command."""
    found = set()
    for line in re.findall(r"(?m)^  shoal ([a-z].*)$", shoal("--help")):
        first, _, rest = line.partition(" ")
        second = re.match(r"[a-z]+(\|[a-z]+)*(?= )", rest)
        for word in first.split("|"):
            found |= {(word, w) for w in (second.group(0).split("|") if second else [""])}
    return found


@lru_cache(maxsize=None)
def flags_of(first):
    text = "".join(shoal(word, "--help") for word in (("task", "sidecar") if first in ("", "config") else (first,)))
    # Every command takes --help; `config` takes the flags of both roles and those of its own.
    text += shoal("config", "--help") if first == "config" else ""
    return set(re.findall(r"(?<![\w-])(-[a-z]|--[a-z][a-z-]*)(?=[ ,\]|])", text)) | {"--help", "-h"}


def wrong_in_command(words):
    """What of `shoal ...`, words apart, the program does not know; "" for nothing."""
    words = words[1:]
    own = words[:words.index("--")] if "--" in words else words
    own = own[:own.index("--worker")] if "--worker" in own else own
    command = [w for w in own if not w.startswith(("-", "[-"))]
    first = command[0] if own and command and own[0] == command[0] else ""
    for word in first.split("|"):
        if word and not re.fullmatch(r"[A-Z]+|…|\.\.\.", word):
            if not any(word == name for name, _ in commands()):
                return f"no command {word}"
            seconds = {second for name, second in commands() if name == word} - {""}
            said = command[1] if len(command) > 1 else ""
            if seconds and re.match("[a-z]", said) and not set(said.split("|")) <= seconds:
                return f"no {word} {said}"
    for word in own:
        flag = re.match(r"\[?(-[a-z](?![\w-])|--[a-z][a-z-]*)", word)
        if flag and not any(flag.group(1) in flags_of(name if re.match("[a-z]", name) else "")
                            for name in first.split("|")):
            return f"no flag {flag.group(1)}"
    return ""


def commands_in(lines):
    """Those of shoal in lines of a shell: [(offset, words)]. Quotes and the like matter little here."""
    for offset, line in enumerate(lines):
        for part in re.split(r"[|;&] |`|\$\(|[()]", line.split(" # ")[0]):
            words = [word.strip("\\\"'") for word in part.split()]
            while words and re.match(r"[A-Z_]+=|until$|while$|if$|!$|do$|then$|sudo$|exec$|timeout$|\d+$", words[0]):
                words = words[1:]
            if words and words[0] == "shoal":
                yield offset, words


# --- what is wrong with a document


def faults_of_settings(block, folder):
    """A keyring file that only the reader's machine has is put in its place."""
    keyring, path = os.path.join(folder, "keyring.json"), os.path.join(folder, "block.toml")
    with open(keyring, "w", encoding="ascii") as f:
        f.write('["ISIjJCUmJygpKissLS4vMA=="]')
    os.chmod(keyring, 0o600)
    with open(path, "w", encoding="utf-8") as f:
        f.write(re.sub(r'(?m)^(keyring_file *= *)".*"', rf'\1"{keyring}"', block.text))
    done = subprocess.run([SHOAL, "config", "check", "-c", path], capture_output=True, text=True, check=False,
                          timeout=10, env={})
    return done.stderr.replace(path, "it") if done.returncode != 0 else ""


def faults_of_proxy(block, folder):
    """Sections are read by HAProxy, a whole file as it stands; lines without a section stand in packaging/haproxy.cfg.
    """
    text = block.text
    if not SECTION.search(text):
        have = [" ".join(line.split("#")[0].split()) for line in text_of("packaging/haproxy.cfg").splitlines()]
        missing = [line for line in block.lines if " ".join(line.split("#")[0].split()) not in have]
        return f"not in packaging/haproxy.cfg: {missing}" if missing else ""
    if not re.search(r"(?m)^global\b", text):
        # The hold is there in any case, and so are timeouts: without them HAProxy warns.
        text = ("global\n    lua-load hold.lua\ndefaults\n    mode http\n    timeout client 1s\n    timeout server 1s\n"
                f"    timeout connect 1s\n{text}")
    path = os.path.join(folder, "block.cfg")
    with open(path, "w", encoding="utf-8") as f:
        f.write(re.sub(r"lua-load \S+", f"lua-load {ROOT}/packaging/hold.lua", text))
    done = subprocess.run(["haproxy", "-c", "-f", path], capture_output=True, text=True, check=False, timeout=10,
                          env={"PATH": "/usr/sbin:/usr/bin"})
    return done.stderr if done.returncode != 0 or "WARNING" in done.stderr else ""


def faults_of_json(block, _):
    for text in ([block.text], block.lines):  # One value, or one a line.
        try:
            for one in text:
                json.loads(one)
            return ""
        except ValueError as error:
            fault = str(error)
    return fault


@lru_cache(maxsize=None)
def every_text():
    """What may be quoted: the files of packaging/ and proto/ without the documents, lines without their margins."""
    found = []
    for path in glob.glob("packaging/**", root_dir=ROOT, recursive=True) + ["proto/shoal.proto"]:
        path = os.path.join(ROOT, path)
        if os.path.isfile(path) and not path.endswith((".md", ".pyc")):
            with open(path, encoding="utf-8", errors="replace") as f:
                found.append("\n" + "\n".join(line.strip() for line in f if line.strip()) + "\n")
    return found


def faults_of_quote(block, _):
    wanted = "\n" + "\n".join(line.strip() for line in block.lines if line.strip()) + "\n"
    stands = any(wanted in text for text in every_text())
    return "" if stands else "these lines stand in no file of packaging/ or proto/"


def faults_of_words(number, words):
    """Settings, routes and commands that are named, and are not there."""
    if re.match(r"shoal [a-z|-]", words) and (wrong := wrong_in_command(words.split())):
        yield f"{number}: `{words}`: {wrong}"
    route = re.fullmatch(r"(GET|POST) (/v1/\S+)", words)
    if route and f'Method::k{route.group(1).title()}, "{route.group(2)}"' not in text_of("src/admin/routes.cc"):
        yield f"{number}: there is no {words}"
    key = re.fullmatch(r"((?:node|gossip|haproxy|sidecar|task|worker|health|control|log)\.[a-z_.]+?)(?: = .*)?", words)
    if key and key.group(1) not in settings() and not key.group(1).endswith((".cfg", ".internal", ".sock", ".log")):
        yield f"{number}: there is no setting {key.group(1)}"


def faults(path, text, folder):
    """All that is wrong with a document without running it, each with its line. `folder` is for files of a moment."""
    blocks, prose, found = read(text)
    checks = {SETTINGS: faults_of_settings, PROXY: faults_of_proxy, "json": faults_of_json,
              **dict.fromkeys(QUOTED, faults_of_quote)}
    for block in blocks:
        if block.language not in (RUN, *OUTPUT, *checks):
            found.append(f"{block.line}: {'no' if not block.language else 'an unknown'} language {block.language}")
        elif block.language in checks and block.reason is None and (why := checks[block.language](block, folder)):
            found.append(f"{block.line}: {why}")
        if block.language == RUN:
            found += [f"{block.line + 1 + offset}: {' '.join(words)}: {wrong}"
                      for offset, words in commands_in(block.lines) if (wrong := wrong_in_command(words))]
    whole = "\n".join(line for _, line in prose)
    for code in re.finditer(r"(`+)(.+?)\1(?!`)", whole, re.S):
        number = prose[whole.count("\n", 0, code.start())][0]
        found += faults_of_words(number, " ".join(code.group(2).replace("\\|", "|").split()))
    known = OTHER_VARIABLES | {s["variable"] for s in settings().values()}
    for number, line in enumerate(text.splitlines(), 1):
        found += [f"{number}: no variable {name}" for name in re.findall(r"\bSHOAL_[A-Z_]*[A-Z]\b(?!…|\*)", line)
                  if name not in known and not name.startswith("SHOAL_TEST_")]
    for target in re.finditer(r"\]\(([^)\s]+)\)", whole):
        number = prose[whole.count("\n", 0, target.start())][0]
        found += [f"{number}: {why}" for why in faults_of_link(path, text, target.group(1))]
    return found


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def faults_of_link(path, text, target):
    if re.match(r"[a-z]+:", target):
        return
    file, _, place = target.partition("#")
    there = os.path.normpath(os.path.join(ROOT, os.path.dirname(path), file)) if file else None
    if there and not os.path.exists(there):
        yield f"a link to {file}, which is not there"
    elif place and (not there or there.endswith(".md")):
        headings = re.findall(r"(?m)^#+ (.+)$", text if not there else text_of(os.path.relpath(there, ROOT)))
        if place not in map(anchor, headings):
            yield f"a link to {target}, which has no such heading"


# --- the log


def sources():
    """Of the program, texts that stand in pieces put together."""
    for path in sorted(glob.glob("src/**/*.[ch]*", root_dir=ROOT, recursive=True)):
        yield re.sub(r'"\s*\n\s*"', "", text_of(path))


def events_of_the_source():
    """What is logged at info and above, where it can be seen by its form."""
    said = r'(?:(?:\.|->)(?:info|warn|error)\(|k(?:Info|Warn|Error),|server_line\(|member_words\(|ended\()\s*"([^"]+)"'
    return {event for text in sources() for event in re.findall(said, text)}


def events_of(text):
    """What stands in the first column of the tables of docs/log.md."""
    cells = re.findall(r"(?m)^\| (`[^|]+`) \|.*\|.*\|$", text)
    return {event for cell in cells for event in re.findall(r"`([^`]+)`", cell)} - {"error", "warn", "info", "debug"}


def words_to_look_for(text):
    """What a table's first column quotes as the program's words, in pieces: … stands for what differs."""
    cells = re.findall(r"(?m)^\| ([^|]*) \|", text)
    said = [words for cell in cells for words in re.findall(r"`([^`]+)`", cell) if " " in words]
    return {part.strip() for words in said for part in words.split("…")} - {"", "No such file or directory"}
