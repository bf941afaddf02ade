#!/usr/bin/python3
"""A bounded HTTP load; every answer that is not a whole 200 is counted.

    load.py PORT --seconds N [--kind KIND] [--host NAME] [--clients N] [--pause-ms N]

Prints one JSON object at the end.

Ends early, with its figures, when its stdin is closed; a request that is under way is always waited for. A client never
repeats a request: what failed is counted as failed. Each client pauses between requests, so that the load generator
does not starve what it measures. Every third request is a POST. Kinds:

    mixed      half of the clients as `keep`, half as `close`
    keep       a connection is kept as long as the other side keeps it
    close      a fresh connection for each request
    some       five requests on a connection, then the client closes it: what a TCP pool can drain
    slow       requests that take five seconds, on fresh connections
    websocket  a websocket for ever, which has to give back each frame. A websocket that the worker closes properly
               because it goes away (1001) is counted as cut, not as failed, and opened anew.
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import threading
import time

from websocket import CLOSE, GOING_AWAY, TEXT, accept_of, close_frame, frame, new_key, read_frame

REQUESTS_MAX = 500_000
ERRORS_KEPT = 40
BODY = b"x" * 600
REQUESTS_OF_SOME, SLOW_MS = 5, 5000
PATIENCE_SECONDS = 20


class Counts:
    def __init__(self):
        self.lock = threading.Lock()
        self.ok, self.failed, self.cut, self.errors, self.by_worker, self.slowest = 0, 0, 0, [], {}, 0.0

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
    def __init__(self, options, kind, counts, stop):
        super().__init__(daemon=True)
        self.options, self.kind, self.counts, self.stop, self.socket = options, kind, counts, stop, None
        self.on_connection = 0

    def run(self):
        number = 0
        while not self.stop.is_set() and number < REQUESTS_MAX // self.options.clients:
            number += 1
            method = "POST" if number % 3 == 0 and self.kind != "slow" else "GET"
            begun = time.monotonic()
            try:
                status, worker = self.request(method)
            except OSError as error:
                self.drop()
                self.counts.bad(f"{method} {self.kind}", str(error) or type(error).__name__, time.monotonic() - begun)
            else:
                if status == 200:
                    self.counts.good(worker, time.monotonic() - begun)
                else:
                    self.counts.bad(f"{method} {self.kind}", f"status {status}", time.monotonic() - begun)
            self.stop.wait(self.options.pause_ms / 1000)
        self.drop()

    def drop(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.options.port), 10)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.on_connection = 0

    def request(self, method):
        if self.socket is None:
            self.connect()
        self.on_connection += 1
        keep = self.kind == "keep" or (self.kind == "some" and self.on_connection < REQUESTS_OF_SOME)
        body = BODY if method == "POST" else b""
        path = f"/slow?ms={SLOW_MS}" if self.kind == "slow" else "/"
        self.socket.sendall((f"{method} {path} HTTP/1.1\r\nHost: {self.options.host}\r\n" +
                             ("" if keep else "Connection: close\r\n") +
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
        # HTTP/1.0 closes unless it says otherwise: HAProxy passes a worker's version on, and then says no `close`.
        default = "close" if lines[0].startswith("HTTP/1.0") else "keep-alive"
        if not keep or headers.get("connection", default).lower() == "close":
            self.drop()
        return int(lines[0].split()[1]), headers.get("x-worker", "?")

    def receive(self, where):
        part = self.socket.recv(65536)
        if not part:
            raise OSError(f"connection closed {where}")
        return part


class Websocket(Client):
    """Opens one and lets it echo, as often as it is told to go elsewhere."""

    def run(self):
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                if self.echo_for_long():
                    with self.counts.lock:
                        self.counts.cut += 1
            except OSError as error:
                self.counts.bad("websocket", f"{error or type(error).__name__}", time.monotonic() - begun)
                self.stop.wait(0.05)
            self.drop()

    def echo_for_long(self):
        """True when the worker has closed it properly; False when we have."""
        self.connect()
        key = new_key()
        self.socket.sendall((f"GET /echo HTTP/1.1\r\nHost: {self.options.host}\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
                             ).encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.receive("before it was a websocket")
        head, _, rest = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101") or accept_of(key).encode() not in head:
            raise OSError(f"answered by {head.splitlines()[0]}")
        worker = head.lower().partition(b"x-worker: ")[2].split(b"\r\n")[0].decode()
        number = 0
        while not self.stop.is_set():
            number, begun = number + 1, time.monotonic()
            said = f"{key} {number}".encode()
            self.socket.sendall(frame(TEXT, said, masked=True))
            kind, payload, rest = read_frame(lambda: self.receive("without a close frame"), rest)
            if kind == CLOSE and int.from_bytes(payload[:2], "big") == GOING_AWAY:
                self.socket.sendall(close_frame(GOING_AWAY, masked=True))
                return True
            if kind != TEXT or payload != said:
                raise OSError(f"{said} came back as {kind} {payload}")
            self.counts.good(worker, time.monotonic() - begun)
            self.stop.wait(self.options.pause_ms / 1000)
        return False


class Load:
    """load.py as a process of its own, so that its threads do not share this interpreter."""

    def __init__(self, port, seconds, clients=12, pause_ms=4, kind="mixed", host="load", inside=()):
        """`inside`: words before the command, for another network."""
        self.kind = kind
        self._process = subprocess.Popen(
            [*inside, "/usr/bin/python3", os.path.abspath(__file__), str(port), "--seconds", str(seconds), "--clients",
             str(clients), "--pause-ms", str(pause_ms), "--kind", kind, "--host", host],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def running(self):
        return self._process.poll() is None

    def result(self, stop_now=False):
        """{"ok", "failed", "cut", "errors", "by_worker", "slowest_ms", "seconds"}; waits for the end unless told to
        stop now."""
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
    parser.add_argument("--kind", default="mixed")
    parser.add_argument("--host", default="load")
    options = parser.parse_args()
    counts, stop, begun = Counts(), threading.Event(), time.monotonic()
    kinds = ["keep", "close"] if options.kind == "mixed" else [options.kind]
    clients = [(Websocket if options.kind == "websocket" else Client)(options, kinds[i % len(kinds)], counts, stop)
               for i in range(options.clients)]
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
    print(json.dumps({"ok": counts.ok, "failed": counts.failed, "cut": counts.cut, "errors": counts.errors,
                      "by_worker": counts.by_worker, "slowest_ms": round(counts.slowest * 1000),
                      "seconds": round(time.monotonic() - begun, 1)}))


if __name__ == "__main__":
    main()
