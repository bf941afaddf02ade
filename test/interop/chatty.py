#!/usr/bin/python3
"""A worker that talks: waits for the file --go, writes what is asked for, writes down in --done how long that took, and
stays until SIGTERM.

    chatty.py --done FILE [--go FILE] [--kib N] [--line BYTES] [--long KIB] [--say TEXT]... [--err TEXT]...
              [--last-lines N] [--last TEXT]

--kib: so much on stdout, in numbered lines of --line bytes; --long: then one line of so many KiB; --say and --err: then
these words, with Python's escapes, on stdout and stderr. On SIGTERM: --last-lines of 1,000 bytes, and --last without a
newline.
"""
import argparse
import json
import os
import signal
import time


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def numbered(first, count, size):
    return b"".join(b"%010d" % i + b"x" * (size - 11) + b"\n" for i in range(first, first + count))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--done", required=True)
    parser.add_argument("--go")
    parser.add_argument("--kib", type=int, default=0)
    parser.add_argument("--line", type=int, default=128)
    parser.add_argument("--long", type=int, default=0)
    parser.add_argument("--say", action="append", default=[])
    parser.add_argument("--err", action="append", default=[])
    parser.add_argument("--last-lines", type=int, default=0)
    parser.add_argument("--last", default="")
    options = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with open(options.done + ".pid", "w", encoding="ascii") as f:
        f.write(f"{os.getpid()}\n")
    while options.go and not os.path.exists(options.go):
        time.sleep(0.005)
    lines = options.kib * 1024 // options.line
    block = 64 * 1024 // options.line
    parts = {n: numbered(n, min(block, lines - n), options.line) for n in range(0, min(lines, 16 * block), block)}
    begun = time.monotonic()
    for n in range(0, lines, block):
        write_all(1, parts[n] if n in parts else numbered(n, min(block, lines - n), options.line))
    if options.long:
        write_all(1, b"y" * (options.long * 1024) + b"\n")
    took = time.monotonic() - begun
    for fd, texts in ((1, options.say), (2, options.err)):
        for text in texts:
            write_all(fd, text.encode().decode("unicode_escape").encode("latin-1"))
    with open(options.done + ".part", "w", encoding="ascii") as f:
        json.dump({"pid": os.getpid(), "took": took, "lines": lines}, f)
    os.rename(options.done + ".part", options.done)
    signal.sigwait({signal.SIGTERM})
    write_all(1, numbered(0, options.last_lines, 1000) + options.last.encode())
    os._exit(0)  # At once: the pipe is still full.


if __name__ == "__main__":
    main()
