#!/usr/bin/python3
"""What the compiler does not check about the tree: who may include whom, names that are banned, lengths, dead files.

    tidy.py ROOT      prints each breach as FILE:LINE: WHAT and exits 1 when there is one

Layers: arrows point down. A folder may include itself and what its row names; a third-party header belongs to one
folder.
"""
import os
import re
import sys

LAYERS = {
    "base": set(),
    "config": {"base"},
    "wire": {"base"},
    "swim": {"base", "wire"},
    "serf": {"base", "wire", "swim"},
    "rpc": {"base", "wire"},
    "announce": {"base"},
    "haproxy": {"base"},
    "sidecar": {"base", "announce", "haproxy"},
    "task": {"base"},
    "keeper": {"base"},
    "admin": {"base"},
    "reactor": {"base"},
    "app": {"base", "config", "wire", "swim", "serf", "rpc", "announce", "haproxy", "sidecar", "task", "keeper",
            "admin", "reactor"},
}
THIRD_PARTY = {  # Header, as a regular expression: the one folder that may see it.
    r"uv\.h|uv/.*": "reactor",
    r"ares.*\.h": "reactor",
    r"pb(_\w+)?\.h|shoal\.pb\.h": "announce",
    r"re2/.*": "serf",
    r"nettle/.*": "wire",
    r"toml\+\+/.*|toml\.hpp": "config",
    r"doctest/.*": "test",
}
# Cores are told the time, get their chance from one seeded generator, and own what they use.
BANNED = [  # (expression over code without comments and strings, what to do instead, where it does not hold)
    (r"::now\(|\b(gettimeofday|clock_gettime|timespec_get)\b|(?<![\w.>:])time\(|std::time\(",
     "reads a clock; time is an argument, only the reactor asks for it", {"reactor"}),
    (r"<random>|std::(mt19937|random_device)|(?<![\w.>:])s?rand\(|\b[dlm]rand48\b",
     "is chance that no seed repeats; use base/rng.h", set()),
    (r"<(format|expected|ranges|print)>|std::(format|expected|ranges|print)\b", "is not in both compilers", set()),
    (r"\bshared_ptr\b|\bmake_shared\b", "has no single owner", {"reactor", "app"}),
    (r"<(thread|mutex|future|condition_variable|atomic)>|std::(thread|mutex|async)\b", "there is one thread", set()),
    (r"\b(u|nano)?sleep\(|\bsleep_(for|until)\b", "stops the loop", set()),
    (r"\b(throw|dynamic_cast|typeid)\b|\btry\s*\{", "exceptions and RTTI are off", set()),
]
SLEEP = r"\b(u|nano)?sleep\(|\bsleep_(for|until)\b"
QUIET_TESTS = (os.path.join("test", "unit"), os.path.join("test",
                                                          "sim"))  # All but the reactor's: it has the real clock.

LINE_LENGTH, LINE_LENGTH_OF_TESTS = 120, 160  # In a test the expected line stands in one piece.
FUNCTION_SAID, FUNCTION_FAILS = 70, 100
FILE_LENGTH = 600
# The ratchet: a file that is longer for now, and how long it may be. Numbers here only ever go down.
LONGER_FILES = {}
CODE = (".cc", ".h")
TEXT = CODE + (".py", ".proto", ".options", ".build", ".md", ".toml", ".example", ".cfg", ".lua", ".sh", ".yml")
SKIPPED_FOLDERS = {".git", "__pycache__", "subprojects", "vectors", "corpus"}


class Tidy:
    def __init__(self, root):
        self.root, self.breaches, self.notes = root, [], []

    def breach(self, path, line, what):
        self.breaches.append(f"{path}:{line}: {what}")

    def files(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS and not f.startswith("build"))
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), self.root)
                if name.endswith(TEXT) or self.is_script(path):
                    yield path

    def is_script(self, path):
        with open(os.path.join(self.root, path), "rb") as f:
            return f.read(2) == b"#!"

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as f:
            return f.read()


def without_comments(text):
    """The code with comments and the insides of literals blanked, line for line."""
    def blank(match):
        piece = match.group(0)
        if piece.startswith("/"):
            return re.sub(r"[^\n]", " ", piece)
        if piece.startswith("R"):
            return '""' + "\n" * piece.count("\n")
        return piece[0] + piece[-1]
    return re.sub(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
                  blank,
                  text, flags=re.S)


def functions(code):
    """(line, length) of each function body: a brace whose enclosing braces are namespaces and types alone."""
    out, stack, head, line = [], [], "", 1
    for c in code:
        if c == "\n":
            line += 1
        if c == "{":
            outer = all(kind == "scope" for kind, _ in stack)
            words = re.sub(r"<[^<>]*>|\[\[.*?\]\]", "", head)
            if outer and re.search(r"\b(namespace|class|struct|union|enum)\b(?!.*\))|extern \"\"", words, re.S):
                stack.append(("scope", line))
            elif outer and "(" in words and not re.search(r"=\s*$", words):
                stack.append(("function", line))
            else:
                stack.append(("block", line))
            head = ""
        elif c == "}":
            if stack:
                kind, begun = stack.pop()
                if kind == "function":
                    out.append((begun, line - begun + 1))
            head = ""
        elif c == ";":
            head = ""
        else:
            head += c
    return out


def folder_of(path):
    parts = path.split(os.sep)
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def check_includes(tidy, path, text):
    folder = folder_of(path)
    in_test = path.startswith("test" + os.sep)
    includes = [(text.count("\n", 0, m.start()) + 1, m.group(1), m.group(2))
                for m in re.finditer(r'^\s*#\s*include\s*(["<])([^">]+)[">]', text, re.M)]
    for line, mark, header in includes:
        for expression, owner in THIRD_PARTY.items():
            if re.fullmatch(expression, header) and not in_test and folder != owner:
                tidy.breach(path, line, f"{header} belongs to {owner} alone")
        first = header.split("/")[0]
        if mark == '"' and folder and first in LAYERS and first != folder and first not in LAYERS[folder]:
            allowed = ", ".join(sorted(LAYERS[folder])) or "nothing"
            tidy.breach(path, line, f"{folder} may not include {first} (it may: {allowed})")
        if mark == '"' and header.startswith(".."):
            tidy.breach(path, line, "includes are named from src/")
    if folder and path.endswith(".cc"):
        own = f"{folder}/{os.path.basename(path)[:-3]}.h"
        exists = os.path.exists(os.path.join(tidy.root, "src", own))
        if exists and (not includes or includes[0][2] != own):
            tidy.breach(path, includes[0][0] if includes else 1, f"its own header {own} comes first")
    if path.endswith(".h") and "#pragma once" not in text:
        tidy.breach(path, 1, "no #pragma once")


def check_names(tidy, path, code):
    folder = folder_of(path)
    for number, line in enumerate(code.splitlines(), 1):
        if path.startswith("src" + os.sep):
            for expression, why, free in BANNED:
                found = re.search(expression, line)
                if found and folder not in free:
                    tidy.breach(path, number, f"{found.group(0).strip()} {why}")
        elif path.startswith(QUIET_TESTS) and not path.startswith(os.path.join("test", "unit", "reactor")):
            found = re.search(SLEEP, line)
            if found:
                tidy.breach(path, number, f"{found.group(0)} in a test that must not wait")


def check_lengths(tidy, path, text, code):
    if path.endswith(CODE):
        for line, length in functions(code):
            if length > FUNCTION_FAILS:
                tidy.breach(path, line, f"a function of {length} lines (at most {FUNCTION_FAILS})")
            elif length > FUNCTION_SAID:
                tidy.notes.append(f"{path}:{line}: a function of {length} lines (about {FUNCTION_SAID} is the aim)")
    if path.startswith("src" + os.sep) and path.endswith(CODE):
        most, length = LONGER_FILES.get(path, FILE_LENGTH), text.count("\n")
        if length > most:
            tidy.breach(path, length, f"{length} lines (at most {most})")
    if path.endswith(CODE + (".py", ".sh", ".proto")) or "." not in os.path.basename(path):
        most, table = LINE_LENGTH_OF_TESTS if path.startswith("test") and path.endswith(CODE) else LINE_LENGTH, False
        for number, line in enumerate(text.splitlines(), 1):
            table = "clang-format off" in line or (table and "clang-format on" not in line)  # Tables are wide.
            if len(line) > most and not table:
                tidy.breach(path, number, f"{len(line)} characters (at most {most})")


def check_blanks(tidy, path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if "\t" in line and not path.endswith(".md"):
            tidy.breach(path, number, "a tab")
        if line != line.rstrip():
            tidy.breach(path, number, "blanks at the end")
    if text and (not text.endswith("\n") or text.endswith("\n\n")):
        tidy.breach(path, text.count("\n"), "ends with exactly one newline")


def check_built(tidy, path, builds):
    """A source that no meson.build names is dead. `name + '_fuzz.cc'` in a loop over names counts as naming it."""
    name = os.path.basename(path)
    for text in builds.values():
        words = re.findall(r"'([^'\n]*)'", text)
        for word in words:
            if os.path.basename(word) == name or (
                    word.startswith("_") and name.endswith(word) and name[:-len(word)] in words):
                return
    tidy.breach(path, 1, "is in no meson.build")


def check_mentions(tidy, path, text, documents):
    """What a reader of the repository cannot open must not be pointed at."""
    for number, line in enumerate(text.splitlines(), 1):
        for outside in re.findall(r"(?<![\w.])/(?:work|home|root)/[\w./-]*|\.\./shared\S*", line):
            tidy.breach(path, number, f"{outside} is outside the repository")
        for document in re.findall(r"\b([\w-]+\.md)\b", line):
            if document not in documents:
                tidy.breach(path, number, f"{document} is not in the repository")
    if path.endswith(".md"):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
            if not os.path.exists(os.path.join(tidy.root, os.path.dirname(path), target)):
                tidy.breach(path, 1, f"the link to {target} leads nowhere")


def main(root):
    tidy = Tidy(root)
    paths = list(tidy.files())
    documents = {os.path.basename(p) for p in paths if p.endswith(".md")}
    builds = {p: tidy.read(p) for p in paths if os.path.basename(p) == "meson.build"}
    for path in paths:
        text = tidy.read(path)
        check_blanks(tidy, path, text)
        code = without_comments(text) if path.endswith(CODE) else ""
        check_lengths(tidy, path, text, code)
        if not path.endswith("tidy.py"):
            check_mentions(tidy, path, text, documents)
        if path.endswith(CODE):
            check_includes(tidy, path, text)
            check_names(tidy, path, code)
        if path.endswith(".cc"):
            check_built(tidy, path, builds)
    for path in LONGER_FILES:
        if path not in paths:
            tidy.breach(path, 1, "stands in LONGER_FILES and does not exist")
    for line in tidy.notes:
        print("note " + line)
    for path, most in LONGER_FILES.items():
        print(f"note {path} may have {most} lines for now")
    for line in tidy.breaches:
        print(line)
    print(f"{len(paths)} files, {len(tidy.breaches)} breaches")
    return 1 if tidy.breaches else 0


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1] if len(sys.argv) > 1
                                  else os.path.join(os.path.dirname(__file__), "..", ".."))))
