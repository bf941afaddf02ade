#!/usr/bin/python3
"""A bounded HTTP load: GET and POST, on kept and on fresh connections; every answer that is not a whole 200 is
counted.

    load.py PORT --seconds N [--clients N] [--pause-ms N]      prints one JSON object at the end

Ends early, with its figures, when its stdin is closed. Half of the clients keep their connection, half open a fresh
one for each request; every third request is a POST. A client never repeats a request: what failed is counted as
failed. Each client pauses between requests, so that the load generator does not starve what it measures.
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import threading
import time

REQUESTS_MAX = 500_000
ERRORS_KEPT = 40
BODY = b"x" * 600


class Counts:
    def __init__(self):
        self.lock = threading.Lock()
        self.ok, self.failed, self.errors, self.by_worker, self.slowest = 0, 0, [], {}, 0.0

    def good(self, worker, seconds):
        with self.lock:
            self.ok += 1
            self.by_worker[worker] = self.by_worker.get(worker, 0) + 1
            self.slowest = max(self.slowest, seconds)

    def bad(self, kind, why, seconds):
        with self.lock:
            self.failed += 1
            self.slowest = max(self.slowest, seconds)
            if len(self.errors) < ERRORS_KEPT:
                self.errors.append(f"{time.time():.3f} {kind}: {why} after {seconds * 1000:.0f} ms")


class Client(threading.Thread):
    def __init__(self, options, keep, counts, stop):
        super().__init__(daemon=True)
        self.options, self.keep, self.counts, self.stop, self.socket = options, keep, counts, stop, None

    def run(self):
        number = 0
        while not self.stop.is_set() and number < REQUESTS_MAX // self.options.clients:
            number += 1
            method = "POST" if number % 3 == 0 else "GET"
            begun = time.monotonic()
            kind = f"{method} {'keep-alive' if self.keep else 'close'}"
            try:
                status, worker = self.request(method)
            except OSError as error:
                self.drop()
                self.counts.bad(kind, str(error) or type(error).__name__, time.monotonic() - begun)
            else:
                if status == 200:
                    self.counts.good(worker, time.monotonic() - begun)
                else:
                    self.counts.bad(kind, f"status {status}", time.monotonic() - begun)
            self.stop.wait(self.options.pause_ms / 1000)
        self.drop()

    def drop(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def request(self, method):
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.options.port), 10)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = BODY if method == "POST" else b""
        self.socket.sendall((f"{method} / HTTP/1.1\r\nHost: load\r\n" + ("" if self.keep else "Connection: close\r\n") +
                             (f"Content-Length: {len(body)}\r\n" if body else "") + "\r\n").encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.receive("before the answer's head" if not data else "inside the answer's head")
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:] if ":" in line)}
        size = int(headers.get("content-length", 0))
        while len(rest) < size:
            rest += self.receive("inside the answer's body")
        if not self.keep or headers.get("connection", "").lower() == "close":
            self.drop()
        return int(lines[0].split()[1]), headers.get("x-worker", "?")

    def receive(self, where):
        part = self.socket.recv(65536)
        if not part:
            raise OSError(f"connection closed {where}")
        return part


class Load:
    """load.py as a process of its own, so that its threads do not share this interpreter."""

    def __init__(self, port, seconds, clients=12, pause_ms=4, inside=()):
        """`inside`: words before the command, for another network."""
        self._process = subprocess.Popen(
            [*inside, "/usr/bin/python3", os.path.abspath(__file__), str(port), "--seconds", str(seconds), "--clients",
             str(clients),
             "--pause-ms", str(pause_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def running(self):
        return self._process.poll() is None

    def result(self, stop_now=False):
        """{"ok", "failed", "errors", "by_worker", "slowest_ms", "seconds"}; waits for the end unless told to stop
        now."""
        if stop_now:
            self._process.stdin.close()
        out = self._process.stdout.read()
        self._process.wait(30)
        return json.loads(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--pause-ms", type=float, default=4)
    options = parser.parse_args()
    counts, stop, begun = Counts(), threading.Event(), time.monotonic()
    clients = [Client(options, i % 2 == 0, counts, stop) for i in range(options.clients)]
    for client in clients:
        client.start()

    def watch_stdin():
        sys.stdin.read()
        stop.set()
    threading.Thread(target=watch_stdin, daemon=True).start()
    stop.wait(options.seconds)
    stop.set()
    for client in clients:
        client.join(30)
    print(json.dumps({"ok": counts.ok, "failed": counts.failed, "errors": counts.errors, "by_worker": counts.by_worker,
                      "slowest_ms": round(counts.slowest * 1000), "seconds": round(time.monotonic() - begun, 1)}))


if __name__ == "__main__":
    main()
