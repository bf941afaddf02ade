#!/usr/bin/python3
"""An HTTP worker as a task's child: serves on descriptor 3, or with --bind on SHOAL_PORT, and writes down what
happened to it.

    worker.py --name NAME [--log FILE] [--slow MS] [--ask-on-term SOCKET POOL] [--exit-after SECONDS --status N]
              [--never-accept] [--accept-after SECONDS] [--notify] [--ignore-term] [--bind reuse|plain]
              [--status-file FILE] [--listen-elsewhere PORT] [--one-at-a-time] [--notify-after SECONDS]

Answers every request with its name and process id. `/slow?ms=N` answers after N milliseconds, `/exit?status=N` exits
with that status after the answer, `/status` has the status that stands in --status-file (200 without one); a websocket
gets its own frames back. On SIGTERM it asks HAProxy first (--ask-on-term) whether it is still in its table, stops
accepting, tells its websockets that it goes away, finishes what is in flight, and exits 0.

The log has one JSON object a line: start (environment, descriptors), sigterm (how many websockets are open), end (how
many requests, how many of them after SIGTERM).
"""
import argparse
import json
import os
import select
import signal
import socket
import sys
import threading
import time

from websocket import CLOSE, GOING_AWAY, accept_of, close_frame, frame, read_frame


class Book:
    """The log; each line whole, in one write."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if path else -1

    def write(self, event, **fields):
        if self._fd >= 0:
            os.write(self._fd, (json.dumps({"event": event, "t": time.time(), "pid": os.getpid(), **fields})
                                + "\n").encode())


def ask_haproxy(path, pool):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(3)
        s.connect(path)
        s.sendall(f"show servers state {pool}\n".encode())
        answer = b""
        while part := s.recv(65536):
            answer += part
    return answer.decode("utf-8", "replace")


class Server:
    def __init__(self, options, book):
        self.options, self.book = options, book
        self.listener = self.bind() if options.bind or options.listen_elsewhere else socket.socket(fileno=3)
        self.lock = threading.Lock()
        self.busy = self.requests = self.after_term = 0
        self.terminated = False
        self.idle_connections, self.websockets = set(), set()
        self.wake = os.pipe()

    def bind(self):
        listener = socket.socket()
        if self.options.bind == "reuse":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.options.listen_elsewhere or int(os.environ["SHOAL_PORT"])))
        if not self.options.never_accept:
            listener.listen(128)
        return listener

    def accept(self):
        if self.options.accept_after:
            time.sleep(self.options.accept_after)
        while True:
            # The listener stays blocking: O_NONBLOCK would belong to shoal's copy as well. So ask before each accept.
            ready, _, _ = select.select([self.listener, self.wake[0]], [], [])
            if self.wake[0] in ready:
                self.listener.close()
                return
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.options.one_at_a_time:
                self.serve(connection)
                continue
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        rest = b""
        try:
            while True:
                with self.lock:
                    self.idle_connections.add(connection)
                while b"\r\n\r\n" not in rest:
                    data = connection.recv(65536)
                    if not data:
                        return
                    rest += data
                with self.lock:
                    self.idle_connections.discard(connection)
                    self.busy += 1
                    self.requests += 1
                    self.after_term += self.terminated
                try:
                    rest, keep = self.answer(connection, rest)
                finally:
                    with self.lock:
                        self.busy -= 1
                if not keep:
                    return
        except OSError:
            pass
        finally:
            with self.lock:
                self.idle_connections.discard(connection)
            connection.close()

    def answer(self, connection, data):
        """Reads one request, whose head is in `data`, to its end and answers it. What is left over, and whether to
        go on."""
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        target = (lines[0].split(" ") + ["/", "/"])[1]
        headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:] if ":" in line)}
        size = int(headers.get("content-length", 0))
        while len(rest) < size:
            part = connection.recv(65536)
            if not part:
                raise OSError("request cut short")
            rest += part
        rest = rest[size:]
        if headers.get("upgrade", "").lower() == "websocket":
            self.echo(connection, headers, rest)
            return b"", False
        path, _, arguments = target.partition("?")
        value = dict(a.partition("=")[::2] for a in arguments.split("&"))
        slow = int(value.get("ms", 0)) if path == "/slow" else self.options.slow
        if slow:
            time.sleep(slow / 1000)
        body = f"{self.options.name} {os.getpid()} {size}\n".encode()
        keep = (headers.get("connection", "").lower() != "close" and not self.terminated
                and not self.options.one_at_a_time)
        status = self.status() if path == "/status" else 200
        head = b"HTTP/1.1 %d OK\r\nContent-Type: text/plain\r\nX-Worker: %s\r\nContent-Length: %d\r\n%s\r\n" % (
            status, self.options.name.encode(), len(body), b"" if keep else b"Connection: close\r\n")
        connection.sendall(head + body)
        if path == "/exit":
            self.book.write("end", requests=self.requests, after_term=self.after_term, why="asked")
            os._exit(int(value.get("status", 0)))
        return rest, keep

    def status(self):
        try:
            with open(self.options.status_file, encoding="ascii") as f:
                return int(f.read() or 200)
        except (OSError, TypeError):
            return 200

    def echo(self, connection, headers, rest):
        """A websocket to its end; after SIGTERM it is told, and closed."""
        connection.sendall((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            f"Sec-WebSocket-Accept: {accept_of(headers['sec-websocket-key'])}\r\n"
                            f"X-Worker: {self.options.name}\r\n\r\n").encode())
        def receive():
            part = connection.recv(65536)
            if not part:
                raise OSError("the client has closed")
            return part
        with self.lock:
            self.websockets.add(connection)
        try:
            kind = 0
            while kind != CLOSE:
                kind, payload, rest = read_frame(receive, rest)
                with self.lock:
                    if connection in self.websockets:  # Else the close frame has gone out, and is the last.
                        connection.sendall(frame(kind, payload, masked=False))
        finally:
            with self.lock:
                self.websockets.discard(connection)

    def finish(self):
        """No new connection, no new request on an idle one; what is in flight goes on, except websockets."""
        os.write(self.wake[1], b"x")
        with self.lock:
            for connection in self.websockets:
                try:
                    connection.sendall(close_frame(GOING_AWAY))
                except OSError:
                    pass
            self.websockets.clear()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with self.lock:
                if self.busy == 0:
                    for connection in self.idle_connections:
                        try:
                            connection.shutdown(socket.SHUT_RDWR)
                        except OSError:
                            pass
                    return
            time.sleep(0.005)


def notify(book):
    book.write("notified")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))


def main():
    descriptors = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))  # The last is the look itself.
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="worker")
    parser.add_argument("--log")
    parser.add_argument("--slow", type=int, default=0, metavar="MS")
    parser.add_argument("--ask-on-term", nargs=2, metavar=("SOCKET", "POOL"))
    parser.add_argument("--exit-after", type=float, metavar="SECONDS")
    parser.add_argument("--status", type=int, default=0)
    parser.add_argument("--never-accept", action="store_true")
    parser.add_argument("--accept-after", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--notify", action="store_true", help="says READY=1 at once")
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--bind", choices=("reuse", "plain"), help="binds for itself, with SO_REUSEADDR or without")
    parser.add_argument("--status-file", help="what /status answers")
    parser.add_argument("--listen-elsewhere", type=int, default=0, metavar="PORT", help="leaves descriptor 3 alone")
    parser.add_argument("--one-at-a-time", action="store_true", help="one thread, one request, one connection")
    parser.add_argument("--notify-after", type=float, metavar="SECONDS", help="says READY=1 so long after its start")
    options = parser.parse_args()
    book = Book(options.log)
    # Every thread inherits the mask; only the main one takes signals, by asking for them.
    caught = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
    before = sorted(int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, caught))
    ignored = sorted(int(s) for s in signal.valid_signals()
                     if s not in (signal.SIGPIPE, signal.SIGXFSZ) and signal.getsignal(s) == signal.SIG_IGN)
    server = Server(options, book)
    if options.notify:
        notify(book)
    book.write("start", ppid=os.getppid(), pgid=os.getpgid(0), env=dict(os.environ), blocked=before, ignored=ignored,
               port=server.listener.getsockname()[1], nonblocking=not os.get_blocking(server.listener.fileno()),
               fds=descriptors[:-1])
    if not options.never_accept:
        threading.Thread(target=server.accept, daemon=True).start()
    if options.notify_after is not None:
        threading.Timer(options.notify_after, notify, [book]).start()
    if options.exit_after is not None:
        if signal.sigtimedwait({signal.SIGTERM}, options.exit_after) is None:
            book.write("end", requests=server.requests, after_term=0, why="exit-after")
            os._exit(options.status)
    else:
        while True:
            number = signal.sigwait(caught)
            book.write("signal", number=int(number))
            if number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT) and not options.ignore_term:
                break
    table = ask_haproxy(*options.ask_on_term) if options.ask_on_term else None
    server.terminated = True
    book.write("sigterm", requests=server.requests, table=table, websockets=len(server.websockets))
    server.finish()
    book.write("end", requests=server.requests, after_term=server.after_term, why="sigterm")
    sys.stdout.flush()
    os._exit(options.status)


if __name__ == "__main__":
    main()
