"""What becomes of the worker's words: its own business by default, lines of shoal's log with worker.log = "wrap"."""
import json
import os
import signal
import threading
import time

from harness import HERE, PYTHON, SHOAL, check, free_port, merged, test, wait_until

MIB = int(os.environ.get("SHOAL_TEST_LOG_MIB", "64"))  # docs/measurements.md has the figure for 1024.
LINE = 128


class Reader:
    """Reads a FIFO in a thread once told to, and keeps either the bytes or their number."""

    def __init__(self, scene, name, keep, start=True):
        self.path, self.keep = scene.path(name), keep
        self.data, self.size = bytearray(), 0
        os.mkfifo(self.path)
        self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(self._fd, True)
        self._writer = os.open(self.path, os.O_WRONLY)  # Until somebody else writes, a read would find the end.
        self._thread = threading.Thread(target=self._run, daemon=True)
        if start:
            self.start()

    def start(self):
        self._thread.start()

    def _run(self):
        while part := os.read(self._fd, 1 << 20):
            self.size += len(part)
            if self.keep:
                self.data += part

    def finish(self):
        """What was read, once the last writer has gone."""
        os.close(self._writer)
        self._thread.join(20)
        check(not self._thread.is_alive(), f"somebody still holds {self.path}")
        return bytes(self.data)


def talking_task(scene, name, out, err, words, more=None):
    """A task whose stdout and stderr are two FIFOs, with chatty.py as its worker."""
    task = scene.task([f"127.0.0.1:{free_port()}"], name, start=False, more=merged({
        "worker": {"command": [PYTHON, os.path.join(HERE, "chatty.py"), "--done", scene.path(f"{name}.done"),
                               *map(str, words)]},
        "task": {"drain_timeout": "6s"}}, more))
    task.program = scene.run(name, ["/bin/sh", "-c", f"exec {SHOAL} -c {task.config} >{out.path} 2>{err.path}"],
                             env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    return task


def done(scene, name, timeout):
    path = scene.path(f"{name}.done")
    wait_until(lambda: os.path.exists(path), timeout, f"{name}'s worker to have written everything")
    with open(path, encoding="ascii") as f:
        return json.load(f)


@test(seconds=120)
def test_a_worker_writes_on_while_shoal_stands_still(scene):
    out, err = Reader(scene, "out", keep=False), Reader(scene, "err", keep=True)
    task = talking_task(scene, "loud", out, err, ["--go", scene.path("go"), "--kib", MIB * 1024, "--long", 1024])
    wait_until(lambda: os.path.exists(scene.path("loud.done.pid")), 10, "the worker")
    task.signal(signal.SIGSTOP)
    with open(scene.path("go"), "w", encoding="ascii"):
        pass
    took = done(scene, "loud", 10 + MIB / 10)["took"]
    task.signal(signal.SIGCONT)
    check(task.stop(10) == 0, "not 0")
    out.finish()
    lines = MIB * 1024 * 1024 // LINE
    check(out.size == lines * LINE + 1024 * 1024 + 1, f"{out.size} bytes came out")
    check(b"0000000000xx" not in err.finish(), "the worker's words are in shoal's log")
    scene.say(f"{MIB} MiB and a line of 1 MiB, inherited, in {took:.2f} s, with shoal stopped")


def records(data):
    return [json.loads(line) for line in data.decode().splitlines()]


def joined(entries, stream):
    """(the worker's lines on a stream, in order; the pids they are said to come from)."""
    lines, begun, pids = [], "", set()
    for entry in entries:
        if entry["event"] != "worker" or entry["stream"] != stream:
            continue
        pids.add(entry["pid"])
        begun += entry["line"]
        if not entry.get("partial"):
            lines.append(begun)
            begun = ""
    return lines + ([begun] if begun else []), pids


@test(seconds=60)
def test_wrapped_lines_are_lines_of_the_log_with_stream_and_pid(scene):
    out, err = Reader(scene, "out", keep=True), Reader(scene, "err", keep=True)
    task = talking_task(scene, "wrapped", out, err, [
        "--kib", 64, "--long", 128, "--say", "two words\\n\\n", "--say", "quote \" \\x1b[1m \\xff\\r\\n", "--err",
        "{\"event\":\"forged\"}\\n", "--err", "prompt: ", "--last-lines", 100, "--last", "famous last words"],
        more={"worker": {"log": "wrap"}, "log": {"level": "warn"}})
    told = done(scene, "wrapped", 20)
    wait_until(lambda: b"prompt: " in err.data, 5, "a line without an end")
    check(task.stop(10) == 0, "not 0")
    check(out.finish() == b"", "something was written past the log")
    data = err.finish()
    check(all(len(line) <= 4096 for line in data.splitlines(True)), "a line longer than a pipe takes at once")
    entries = records(data)
    lines, pids = joined(entries, "stdout")  # So few that all of them fit in what waits, however slow the reader.
    count = told["lines"]
    check(pids == {told["pid"]}, f"pids {pids}")
    check([int(line[:10]) for line in lines[:count]] == list(range(count)), "numbered lines missing, or in disorder")
    check(lines[count] == "y" * 128 * 1024, f"the long line has come as {len(lines[count])} characters")
    said, last = lines[count + 1:count + 4], lines[count + 4:]
    check(said == ["two words", "", "quote \" \x1b[1m \ufffd"], f"{[line[:80] for line in said]}")
    # More than a pipe holds, and nothing keeps the task once its worker has gone.
    check([int(line[:10]) for line in last[:-1]] == list(range(100)) and last[-1] == "famous last words",
          f"of the last words {len(last)} lines have come: {[line[:80] for line in last[-3:]]}")
    lines, _ = joined(entries, "stderr")
    check(lines == ["{\"event\":\"forged\"}", "prompt: "], f"stderr: {lines}")
    check(not any(e["event"] == "forged" or "dropped" in e["event"] for e in entries), "forged or dropped")


@test(seconds=60)
def test_a_log_that_nobody_reads_stops_neither_the_worker_nor_the_task(scene):
    mib = max(8, MIB // 8)
    out, err = Reader(scene, "out", keep=True), Reader(scene, "err", keep=True, start=False)
    task = talking_task(scene, "unheard", out, err, ["--kib", mib * 1024], more={"worker": {"log": "wrap"}})
    told = done(scene, "unheard", 30)
    scene.say(f"{mib} MiB, wrapped, in {told['took']:.2f} s with a log that nobody reads")
    err.start()
    wait_until(lambda: b"are dropped" in err.data, 5, "the report of dropped lines")
    check(task.stop(10) == 0, "not 0")
    entries = records(err.finish())
    lines, _ = joined(entries, "stdout")
    dropped = sum(e["lines"] for e in entries if "were dropped" in e["event"])
    check(dropped > 0 and len(lines) + dropped == told["lines"],
          f"{len(lines)} lines came and {dropped} were dropped of {told['lines']}")
    numbers = [int(line[:10]) for line in lines]
    check(numbers == sorted(numbers), "lines in disorder")
    check(any(e["event"] == "stopped" for e in entries), "shoal's own last word is missing")


@test(seconds=60)
def test_a_task_ends_in_time_though_its_log_is_never_read(scene):
    out, err = Reader(scene, "out", keep=True), Reader(scene, "err", keep=True, start=False)
    task = talking_task(scene, "mute", out, err, ["--kib", 1024], more={"worker": {"log": "wrap"}})
    done(scene, "mute", 30)
    begun = time.monotonic()
    check(task.stop(8) == 0, "not 0")
    scene.say(f"the task was gone {time.monotonic() - begun:.2f} s after SIGTERM")


@test(seconds=60)
def test_two_generations_of_a_wrapped_worker_are_told_apart(scene):
    out, err = Reader(scene, "out", keep=True), Reader(scene, "err", keep=True)
    task = talking_task(scene, "renewed", out, err, ["--say", "here\\n", "--last", "gone"],
                        more={"worker": {"log": "wrap", "ready": "delay:100ms"}})

    def said(word):
        return [e["pid"] for e in records(bytes(err.data).rpartition(b"\n")[0])
                if e["event"] == "worker" and e["line"] == word]
    wait_until(lambda: len(said("here")) == 1, 10, "the first generation's line")
    wait_until(lambda: b'"worker ready"' in err.data, 5, "the first generation to be ready")
    task.signal(signal.SIGHUP)
    wait_until(lambda: len(said("gone")) == 1, 10, "the first generation's last word")
    check(task.stop(10) == 0, "not 0")
    err.finish()
    check(len(set(said("here"))) == 2 and said("gone") == said("here"), f"{said('here')}, then {said('gone')}")
