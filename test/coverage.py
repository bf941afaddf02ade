#!/usr/bin/python3
"""Line coverage of the gossip cores, out of a build tree with -Db_coverage=true whose tests have run.

    coverage.py BUILD-DIRECTORY [--missing] [--least PERCENT] [FOLDER...]

Prints a line for each folder of src/ (default: wire, swim, serf) and one for all of them; with --missing the lines that
no test reaches, too. Exit status 1 when a folder has less than PERCENT.

What counts is gcov's line: one with code in it, whatever translation unit has it, inline functions and templates too. A
line is reached when any test reaches it. Not counted: SHOAL_UNREACHABLE(), which nothing may reach.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
NEVER = ("SHOAL_UNREACHABLE()",)


def notes(build):
    """The note files; a source has one for each target that it is compiled into."""
    for folder, _, names in os.walk(build):
        for name in names:
            if name.endswith(".gcno"):
                yield os.path.join(folder, name)


def lines_of(note):
    """(file, line, count) for each line of a translation unit."""
    gcov = subprocess.run(["gcov", "--json-format", "--stdout", note], cwd=os.path.dirname(note), check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out = []
    for text in gcov.stdout.decode().splitlines():
        unit = json.loads(text)
        for file in unit["files"]:
            path = os.path.realpath(os.path.join(unit["current_working_directory"], file["file"]))
            out += [(path, line["line_number"], line["count"]) for line in file["lines"]]
    return out


def collect(build, folders):
    """path from ROOT -> line -> how often it ran."""
    wanted = tuple(os.path.join(ROOT, "src", folder) + os.sep for folder in folders)
    counts = collections.defaultdict(lambda: collections.defaultdict(int))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for lines in pool.map(lines_of, sorted(notes(build))):
            for path, line, count in lines:
                if path.startswith(wanted):
                    counts[os.path.relpath(path, ROOT)][line] += count
    return counts


def countable(path, lines):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        text = f.read().splitlines()
    return {line: count for line, count in lines.items()
            if line <= len(text) and not any(word in text[line - 1] for word in NEVER)}


def ranges(numbers):
    """3, 4, 5, 9 -> "3-5, 9"."""
    out = []
    for number in sorted(numbers):
        if out and out[-1][1] == number - 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--least", type=float, default=0)
    parser.add_argument("folders", nargs="*", default=["wire", "swim", "serf"])
    arguments = parser.parse_args()
    counts = collect(arguments.build, arguments.folders)
    total, reached, too_few = 0, 0, []
    for folder in arguments.folders:
        lines = hit = 0
        missing = []
        for path in sorted(p for p in counts if p.startswith(os.path.join("src", folder) + os.sep)):
            of_file = countable(path, counts[path])
            lines += len(of_file)
            hit += sum(1 for count in of_file.values() if count)
            not_reached = [line for line, count in of_file.items() if not count]
            if not_reached:
                missing.append(f"  {path}: {ranges(not_reached)}")
        percent = 100 * hit / lines if lines else 0
        print(f"coverage src/{folder}: {percent:.1f} % ({hit} of {lines} lines)")
        if arguments.missing:
            print("\n".join(missing))
        if percent < arguments.least:
            too_few.append(folder)
        total, reached = total + lines, reached + hit
    print(f"coverage in all: {100 * reached / total if total else 0:.1f} % ({reached} of {total} lines)")
    for folder in too_few:
        print(f"src/{folder} has less than {arguments.least:.0f} %; see test/coverage.py --missing")
    return 1 if too_few or not total else 0


if __name__ == "__main__":
    sys.exit(main())
