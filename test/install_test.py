#!/usr/bin/python3
"""install_test.py BUILD: what `meson install` lays down, into a DESTDIR."""
import os
import subprocess
import sys
import tempfile

WANTED = {
    "bin/shoal",
    "share/doc/shoal/README.md", "share/doc/shoal/CHANGELOG.md", "share/doc/shoal/LICENSE",
    "share/doc/shoal/shoal.toml.example", "share/doc/shoal/docs/haproxy.md", "share/doc/shoal/docs/workers.md",
    "share/doc/shoal/docs/settings.md", "share/doc/shoal/examples/python/shoal.toml",
    "share/shoal/haproxy.cfg", "share/shoal/hold.lua",
    "share/man/man1/shoal.1", "share/man/man5/shoal.toml.5",
    "share/bash-completion/completions/shoal",
    "lib/systemd/system/shoal-sidecar.service", "lib/systemd/system/shoal-task@.service",
}


def main():
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["meson", "install", "-C", sys.argv[1], "--no-rebuild", "--quiet", "--destdir", root],
                       check=True)
        found = {os.path.relpath(os.path.join(folder, name), root)
                 for folder, _, names in os.walk(root) for name in names}
        prefix = os.path.commonpath([os.path.dirname(f) for f in found])
        there = {os.path.relpath(f, prefix) for f in found}
        missing = WANTED - there
        known = {os.path.dirname(w) for w in WANTED}
        strange = {f for f in there if os.path.dirname(f) not in known and not f.startswith("share/doc/shoal/")}
        program = os.path.join(root, prefix, "bin", "shoal")
        runs = not missing and subprocess.run([program, "version"], capture_output=True, check=False).returncode == 0
    if missing or strange or not runs:
        print(f"missing: {sorted(missing)}; not expected: {sorted(strange)}; the program runs: {runs}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
