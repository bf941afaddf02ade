"""A client of serf's RPC port: msgpack in its newer form, and a connection that keeps answers and records apart.

It is strict about what it reads: every header has both fields, text comes as str, bytes as bin.
"""
import socket
import struct
import time

from gossip_wire import pack as old_pack
from gossip_wire import unpack
from harness import Failure, check

WITH_BODY = {"join", "members", "members-filtered", "install-key", "use-key", "remove-key", "list-keys", "stats",
             "get-coordinate"}
WITH_RECORDS = {"stream", "monitor", "query"}


class Closed(Failure):
    """The other side has closed the connection."""


class Silence(Failure):
    """Nothing has come in time."""


# --- msgpack
# -----------------------------------------------------------------------------------------------------------


def _sized(data, small, heads):
    """`small`: the head for less than 32 bytes. `heads`: those with one, two and four bytes of length; None where there
    is none."""
    size = len(data)
    if small is not None and size < 32:
        return bytes([small | size]) + data
    for head, form, limit in zip(heads, (">B", ">H", ">I"), (1 << 8, 1 << 16, 1 << 32)):
        if head is not None and size < limit:
            return bytes([head]) + struct.pack(form, size) + data
    raise ValueError(size)


def _str(data):
    return _sized(data, 0xA0, (0xD9, 0xDA, 0xDB))


def _bin(data):
    return _sized(data, None, (0xC4, 0xC5, 0xC6))


def pack(value, form="new"):
    """`form`: "new" as serf's clients write it; "str" or "bin": text and bytes alike; "raw": the same, as gossip has
    it."""
    if form == "raw":
        return old_pack(value)
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogateescape")
        return _bin(data) if form == "bin" else _str(data)
    if isinstance(value, (bytes, bytearray)):
        return _str(bytes(value)) if form == "str" else _bin(bytes(value))
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, int) and value < 0:
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, dict):
        check(len(value) < 16, "a small map")
        return bytes([0x80 | len(value)]) + b"".join(pack(k, form) + pack(v, form) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        head = bytes([0x90 | len(value)]) if len(value) < 16 else b"\xdc" + struct.pack(">H", len(value))
        return head + b"".join(pack(v, form) for v in value)
    return old_pack(value)  # Nothing, a truth value, a number: the same in both.


# --- the connection
# ----------------------------------------------------------------------------------------------------


class Rpc:
    """One connection. `ask` for what is answered at once, `open` for what brings records."""

    def __init__(self, port, hello=True, auth=None, timeout=20, receive_buffer=None):
        self.timeout, self.seq = timeout, 0
        self._expects, self._open = {}, set()  # Seq -> the command that is to be answered; those that bring records.
        self.records = {}                      # Seq -> records that nobody has asked for yet.
        self._got, self._at = bytearray(), 0   # Up to `_at` it has been read.
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hello:
            self.ok("handshake", {"Version": 1})
        if auth is not None:
            self.ok("auth", {"AuthKey": auth})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # -- out

    def request(self, command, body=None, seq=None, form="new"):
        """(Seq, bytes); the answer is expected from now on."""
        self.seq = self.seq + 1 if seq is None else seq
        self._expects[self.seq] = command
        data = pack({"Command": command, "Seq": self.seq}, form)
        return self.seq, data + (b"" if body is None else pack(body, form))

    def raw(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            raise Closed("closed while it was written to") from None

    def send(self, command, body=None, seq=None, form="new"):
        seq, data = self.request(command, body, seq, form)
        self.raw(data)
        return seq

    # -- in

    def object(self, end):
        ended, enough = False, 1  # So many bytes before it is worth another look, unless no more come.
        while True:
            try:
                if len(self._got) - self._at >= enough or (ended and self._at < len(self._got)):
                    value, self._at = unpack(self._got, self._at, new=True)
                    return value
            except (IndexError, struct.error):
                if ended:
                    raise Closed("closed in the middle of something") from None
                enough = 2 * (len(self._got) - self._at)
            if ended:
                raise Closed("closed")
            left = max(0.001, end - time.monotonic())
            self.socket.settimeout(left if enough == 1 else min(left, 0.02))
            try:
                part = self.socket.recv(1 << 18)
            except ConnectionResetError:
                part = b""
            except TimeoutError:
                if time.monotonic() >= end:
                    raise Silence(f"nothing came but {bytes(self._got[self._at:][:80])!r}") from None
                enough = 1
                continue
            ended = not part
            del self._got[:self._at]
            self._got += part
            self._at = 0

    def message(self, timeout=None):
        """(Seq, error, body) of what comes next: an answer, or a record."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        header = self.object(end)
        check(isinstance(header, dict) and set(header) == {"Error", "Seq"} and isinstance(header["Error"], str),
              f"a header of {header!r}")
        seq, error, body = header["Seq"], header["Error"], None
        command = self._expects.pop(seq, None)
        if command is None:
            check(seq in self._open, f"a header for {seq}, which nobody has asked for: {error!r}")
            check(error == "", f"a record with the error {error!r}")
            body = self.object(end)
            self.records.setdefault(seq, []).append(body)
        elif command in WITH_BODY:
            body = self.object(end)
        elif command in WITH_RECORDS and not error:
            self._open.add(seq)
        return seq, error, body

    def answer(self, seq, timeout=None):
        """(error, body) of the answer with that Seq. Others than records may not come before it: requests are answered
        in order."""
        while True:
            came, error, body = self.message(timeout)
            if came == seq and not (came in self._open and body is not None):
                return error, body
            check(came in self._open, f"the answer to {came} came before that to {seq}")

    def ask(self, command, body=None, seq=None, form="new", timeout=None):
        """(error, body)."""
        return self.answer(self.send(command, body, seq, form), timeout)

    def ok(self, command, body=None, seq=None, form="new"):
        """The body, or the Seq where it brings records."""
        seq = self.send(command, body, seq, form)
        error, answer = self.answer(seq)
        check(error == "", f"{command} {body} is answered by {error!r}")
        return seq if command in WITH_RECORDS else answer

    def refused(self, command, body=None, seq=None):
        error, _ = self.ask(command, body, seq)
        check(error, f"{command} {body} is not refused")
        return error

    def record(self, seq, timeout=None):
        """The next one of that stream, monitor or query."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not self.records.get(seq):
            left = end - time.monotonic()
            if left <= 0:
                raise Silence(f"no record for {seq}")
            self.message(left)
        return self.records[seq].pop(0)

    def until(self, seq, wanted, timeout=None):
        """The records up to the first that is wanted, which is the last of the list."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        out = []
        while not out or not wanted(out[-1]):
            try:
                out.append(self.record(seq, max(0.0, end - time.monotonic())))
            except Silence:
                raise Silence(f"not among the records of {seq}: {out[-20:]}") from None
        return out

    def wait_closed(self, timeout=None):
        """What still came before it was closed, as bytes."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        got = bytes(self._got[self._at:])
        self._got, self._at = bytearray(), 0
        while True:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                part = self.socket.recv(1 << 18)
            except ConnectionResetError:
                return got
            except TimeoutError:
                raise Failure(f"not closed; it said {got[:200]!r}") from None
            if not part:
                return got
            got += part
