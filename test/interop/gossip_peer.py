"""A hand-made member of a memberlist/serf cluster, for what no real agent would send.

It joins by a push/pull over TCP, answers pings, sends serf queries straight to one address, and collects the answers.
The formats are memberlist's and serf's: msgpack with the old raw types, map keys sorted.
"""
import random
import socket
import struct
import threading
import time
import zlib

PING, INDIRECT_PING, ACK, SUSPECT, ALIVE, DEAD, PUSH_PULL, COMPOUND, USER, COMPRESS, ENCRYPT, NACK, HAS_CRC = range(13)
SERF_LEAVE, SERF_JOIN, SERF_PUSH_PULL, SERF_EVENT, SERF_QUERY, SERF_RESPONSE = range(6)
VERSIONS = b"\x01\x05\x02\x02\x05\x05"
NO_BROADCAST = 2


def pack(value):
    """msgpack as memberlist's codec writes it: strings and bytes alike as raw, never str8 or bin."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        for limit, head, form in ((0x80, b"", ">B"), (0x100, b"\xcc", ">B"), (0x10000, b"\xcd", ">H"),
                                  (0x100000000, b"\xce", ">I"), (1 << 64, b"\xcf", ">Q")):
            if 0 <= value < limit:
                return head + struct.pack(form, value)
        raise ValueError(value)
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        if len(value) < 32:
            return bytes([0xA0 | len(value)]) + value
        short = len(value) < 65536
        return (b"\xda" if short else b"\xdb") + struct.pack(">H" if short else ">I", len(value)) + value
    if isinstance(value, dict):
        head = bytes([0x80 | len(value)]) if len(value) < 16 else b"\xde" + struct.pack(">H", len(value))
        return head + b"".join(pack(k) + pack(value[k]) for k in sorted(value))
    head = bytes([0x90 | len(value)]) if len(value) < 16 else b"\xdc" + struct.pack(">H", len(value))
    return head + b"".join(pack(v) for v in value)


def unpack(data, at=0):
    """(value, where it ended). Raw comes back as bytes, map keys as str."""
    kind = data[at]
    at += 1
    if kind < 0x80:
        return kind, at
    if kind >= 0xE0:
        return kind - 256, at
    if kind in _FIXED:
        form = _FIXED[kind]
        size = struct.calcsize(form)
        return struct.unpack_from(form, data, at)[0], at + size
    if kind in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[kind], at
    if kind in _SIZED:
        what, form = _SIZED[kind]
        size = struct.unpack_from(form, data, at)[0]
        at += struct.calcsize(form)
    else:
        what, size = ("map", kind & 15) if kind < 0x90 else ("list", kind & 15) if kind < 0xA0 else ("raw", kind & 31)
    if what == "raw":
        if at + size > len(data):
            raise IndexError("cut short")
        return bytes(data[at:at + size]), at + size
    if what == "list":
        out = []
        for _ in range(size):
            value, at = unpack(data, at)
            out.append(value)
        return out, at
    table = {}
    for _ in range(size):
        key, at = unpack(data, at)
        table[key.decode("utf-8", "replace") if isinstance(key, bytes) else key], at = unpack(data, at)
    return table, at


_FIXED = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q", 0xCA: ">f",
          0xCB: ">d"}
_SIZED = {0xC4: ("raw", ">B"), 0xC5: ("raw", ">H"), 0xC6: ("raw", ">I"), 0xD9: ("raw", ">B"), 0xDA: ("raw", ">H"),
          0xDB: ("raw", ">I"), 0xDC: ("list", ">H"), 0xDD: ("list", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I")}


def lzw_decode(data):
    """Go's compress/lzw, LSB first, 8-bit literals."""
    out, table, width, high, previous = bytearray(), {}, 9, 257, None
    bits = count = 0
    for byte in data:
        bits |= byte << count
        count += 8
        while count >= width:
            code = bits & ((1 << width) - 1)
            bits >>= width
            count -= width
            if code == 256:
                table, width, high, previous = {}, 9, 257, None
                continue
            if code == 257:
                return bytes(out)
            if code < 256:
                text = bytes([code])
            elif code in table:
                text = table[code]
            elif previous is not None and code == high:
                text = previous + previous[:1]
            else:
                raise ValueError("bad code")
            if previous is not None and high < 4096:
                table[high] = previous + text[:1]
            out += text
            previous = text
            high += 1
            if high >= 1 << width and width < 12:
                width += 1
    raise ValueError("no end")


def field(number, value):
    """One protobuf field."""
    def varint(n):
        out = b""
        while n > 127:
            out += bytes([n & 127 | 128])
            n >>= 7
        return out + bytes([n])
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """{field number: last value} of a protobuf message; numbers and bytes alone, which is all that shoal's messages
    hold."""
    out, at = {}, 0

    def varint(at):
        n = shift = 0
        while True:
            n |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if data[at - 1] < 128:
                return n, at
    while at < len(data):
        key, at = varint(at)
        if key & 7 == 0:
            out[key >> 3], at = varint(at)
        elif key & 7 == 2:
            size, at = varint(at)
            out[key >> 3] = data[at:at + size]
            at += size
        else:
            raise ValueError(f"wire type {key & 7}")
    return out


def announce(port, backend, state="ready", **more):
    """An AnnounceRequest; `more` may hold weight, start_id, seq."""
    numbers = {"weight": 10, "start_id": 11, "seq": 12}
    own = b"".join(field(numbers[k], v) for k, v in more.items())
    return field(1, port) + field(2, backend) + field(3, state) + own


def message(kind, body):
    return bytes([kind]) + pack(body)


def compound(*parts):
    return bytes([COMPOUND, len(parts)]) + b"".join(struct.pack(">H", len(p)) for p in parts) + b"".join(parts)


def with_crc(data):
    return bytes([HAS_CRC]) + struct.pack(">I", zlib.crc32(data)) + data


class Peer:
    """A member that exists only in this process. `names_port` lets it be anybody: name and tags may hold any
    bytes."""

    def __init__(self, name, port, tags=None):
        self.name, self.port, self.incarnation = name, port, 1
        self.tags = {"role": "task"} if tags is None else tags
        self.address = socket.inet_aton("127.0.0.1")
        self.answers = {}  # query ID -> payload
        self.says = None   # What a `solicit` is answered with; its nonce is added.
        self.pings = 0
        self.query_time = 1
        self._changed = threading.Condition()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", port))
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._tcp.bind(("127.0.0.1", port))
        self._tcp.listen(8)
        self._closed = False
        threading.Thread(target=self._datagrams, daemon=True).start()
        threading.Thread(target=self._streams, daemon=True).start()

    def close(self):
        """Gone without a word, as after a crash."""
        self._closed = True
        self._udp.close()
        self._tcp.close()

    # -- what it sends

    def alive(self):
        return {"Addr": self.address, "Incarnation": self.incarnation, "Meta": b"\xff" + pack(self.tags),
                "Node": self.name,
                "Port": self.port, "Vsn": VERSIONS}

    def state(self, join):
        own = self.alive()
        own["Name"] = own.pop("Node")
        own["State"] = 0
        serf = bytes([SERF_PUSH_PULL]) + pack({"EventLTime": 1, "Events": [], "LTime": 1, "LeftMembers": [],
                                               "QueryLTime": self.query_time, "StatusLTimes": {self.name: 1}})
        return message(PUSH_PULL, {"Join": join, "Nodes": 1, "UserStateLen": len(serf)}) + pack(own) + serf

    def join(self, port, timeout=5):
        """One push/pull; the answer's bytes. Learns the peer's query time. Waits for a port that is not open yet."""
        end = time.monotonic() + timeout
        while True:
            try:
                s = socket.create_connection(("127.0.0.1", port), timeout)
                break
            except ConnectionRefusedError:
                if time.monotonic() >= end:
                    raise
                time.sleep(0.02)
        with s:
            s.sendall(self.state(True))
            s.settimeout(timeout)
            data = b""
            while True:
                try:
                    part = s.recv(65536)
                except ConnectionResetError:
                    break
                if not part:
                    break
                data += part
        self._learn(data)
        return data

    def _learn(self, data):
        if data[:1] == bytes([COMPRESS]):
            data = lzw_decode(unpack(data, 1)[0]["Buf"])
        header, at = unpack(data, 1)
        for _ in range(header["Nodes"]):
            _, at = unpack(data, at)
        if header["UserStateLen"]:
            self.query_time = max(self.query_time, unpack(data, at + 1)[0].get("QueryLTime", 1))

    def send(self, data, port):
        self._udp.sendto(data, ("127.0.0.1", port))

    def query_message(self, name, payload, **changes):
        """(ID, bytes) of a query; `changes` overwrite its fields, None takes one away."""
        number = random.getrandbits(31)
        body = {"Addr": self.address, "Filters": [], "Flags": NO_BROADCAST, "ID": number, "LTime": self.query_time,
                "Name": name, "Payload": payload, "Port": self.port, "RelayFactor": 0, "SourceNode": self.name,
                "Timeout": 5_000_000_000}
        body.update(changes)
        return number, bytes([USER, SERF_QUERY]) + pack({k: v for k, v in body.items() if v is not None})

    def query(self, port, name, payload, timeout=5, **changes):
        """The answer's payload, or None."""
        number, data = self.query_message(name, payload, **changes)
        self.send(data, port)
        with self._changed:
            self._changed.wait_for(lambda: number in self.answers, timeout)
            return self.answers.get(number)

    def announce(self, port, payload, timeout=5, **changes):
        """The fields of the answer, or {}. A `solicit` is answered with the same."""
        self.says = payload
        data = self.query(port, "announce", payload, timeout, **changes)
        return fields(data) if data is not None else {}

    # -- what it takes

    def _datagrams(self):
        while not self._closed:
            try:
                data, source = self._udp.recvfrom(65536)
            except OSError:
                return
            try:
                self._take(data, source)
            except (IndexError, KeyError, ValueError, TypeError, struct.error, OSError):
                continue  # Nothing here judges a peer by what this toy cannot read.

    def _take(self, data, source):
        kind = data[0]
        if kind == HAS_CRC:
            self._take(data[5:], source)
        elif kind == COMPRESS:
            self._take(lzw_decode(unpack(data, 1)[0]["Buf"]), source)
        elif kind == COMPOUND:
            at = 2 + 2 * data[1]
            for size in struct.unpack_from(f">{data[1]}H", data, 2):
                self._take(data[at:at + size], source)
                at += size
        elif kind == PING:
            body = unpack(data, 1)[0]
            if body.get("Node", b"").decode("utf-8", "surrogateescape") in ("", self.name):
                self.pings += 1
                self._udp.sendto(message(ACK, {"Payload": None, "SeqNo": body["SeqNo"]}), source)
        elif kind == SUSPECT or kind == DEAD:
            body = unpack(data, 1)[0]
            if body["Node"].decode("utf-8", "surrogateescape") == self.name:
                self.incarnation = max(self.incarnation, body["Incarnation"]) + 1
                self._udp.sendto(message(ALIVE, self.alive()), source)
        elif kind == USER and data[1] == SERF_RESPONSE:
            body = unpack(data, 2)[0]
            if not body.get("Flags", 0) & 1:
                with self._changed:
                    self.answers[body["ID"]] = body.get("Payload") or b""
                    self._changed.notify_all()
        elif kind == USER and data[1] == SERF_QUERY:
            body = unpack(data, 2)[0]
            self.query_time = max(self.query_time, body["LTime"] + 1)
            if body["Name"] == b"solicit" and self.says is not None:
                nonce = fields(body.get("Payload") or b"").get(10, 0)
                answer = {"Flags": 0, "From": self.name, "ID": body["ID"], "LTime": body["LTime"],
                          "Payload": self.says + field(13, nonce)}
                self._udp.sendto(bytes([USER, SERF_RESPONSE]) + pack(answer),
                                 (socket.inet_ntoa(body["Addr"][-4:]), body["Port"]))

    def _streams(self):
        while not self._closed:
            try:
                stream, _ = self._tcp.accept()
            except OSError:
                return
            with stream:
                try:
                    stream.settimeout(2)
                    first = stream.recv(65536)
                    if first[:1] == bytes([COMPRESS]):
                        first = lzw_decode(unpack(first, 1)[0]["Buf"])
                    if first[:1] == bytes([PING]):
                        stream.sendall(message(ACK, {"Payload": None, "SeqNo": unpack(first, 1)[0]["SeqNo"]}))
                    elif first:
                        stream.sendall(self.state(False))
                except (OSError, IndexError, KeyError, ValueError, struct.error):
                    continue
