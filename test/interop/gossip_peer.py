"""A hand-made member of a memberlist/serf cluster, for what no real agent would send, and to see each byte that a real
one sends.

It joins by a push/pull over TCP, answers pings, asks queries, and keeps every message that it hears. With a key all of
it is encrypted. The bytes are in gossip_wire.py.
"""
import random
import socket
import struct
import threading
import time

from gossip_wire import (ACK, ALIVE, ALIVE_STATE, COMPRESS, DEAD, ENCRYPT, ERROR, NO_BROADCAST, PING, PUSH_PULL,
                         SERF_PUSH_PULL, SERF_QUERY, SERF_RESPONSE, SUSPECT, SUSPECT_STATE, USER, VERSIONS,
                         compressed, decrypted, encrypted, encrypted_stream, field, fields, lzw_decode, message, opened,
                         pack, unpack)


class Heard:
    """One message out of a datagram: its type byte and body as they came, and what was around it."""

    def __init__(self, layers, data, source, key):
        self.with_kinds = []  # The kinds of all messages of its datagram, in order.
        self.layers, self.data, self.source, self.key, self.when = layers, data, source, key, time.monotonic()
        self.kind = data[0]
        self.serf = data[1] if data[0] == USER and len(data) > 1 else None
        self._body = None

    @property
    def body(self):
        """The map; text as bytes."""
        if self._body is None:
            self._body = unpack(self.data, 1 if self.serf is None else 2)[0]
        return self._body

    def about(self, node):
        return self.body.get("Node") == node.encode()


class State:
    """What a push/pull brought: `nodes` by name, `serf` as its map."""

    def __init__(self, data):
        header, at = unpack(data, 1)
        self.nodes, self.order = {}, []
        for _ in range(header["Nodes"]):
            entry, at = unpack(data, at)
            self.nodes[entry["Name"].decode("utf-8", "surrogateescape")] = entry
            self.order.append(entry)
        size = header["UserStateLen"]
        if len(data) < at + size:
            raise IndexError("cut short")
        self.serf = unpack(data, at + 1)[0] if size else {}
        self.raw = data[:at + size]

    def of(self, node):
        """(state, incarnation), or None."""
        entry = self.nodes.get(node)
        return (entry["State"], entry["Incarnation"]) if entry else None


def undone(keys, data):
    """What a stream brought, decrypted and decompressed; an IndexError while it is not whole."""
    if data[:1] == bytes([ENCRYPT]) and keys:
        size = struct.unpack_from(">I", data, 1)[0]
        if len(data) < 5 + size:
            raise IndexError("cut short")
        data, _ = decrypted(keys, data[5:5 + size], data[:5])
    if data[:1] == bytes([COMPRESS]):
        data = lzw_decode(unpack(data, 1)[0]["Buf"])
    return data


def stream_to(host, port, data, keys=(), timeout=5, piece=None):
    """Sends it on a stream of its own and gives back all that comes. Waits for a port that is not open yet. `piece`: so
    many bytes at a time."""
    end = time.monotonic() + timeout
    while True:
        try:
            s = socket.create_connection((host, port), timeout)
            break
        except ConnectionRefusedError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.02)
    with s:
        s.settimeout(timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = encrypted_stream(keys[0], data) if keys else data
        if piece is None:
            s.sendall(data)
        else:
            for at in range(0, len(data), piece):
                s.sendall(data[at:at + piece])
        answer = b""
        while True:
            try:
                part = s.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            answer += part
    return undone(keys, answer)


def asked(address, keys=(), timeout=5):
    """A member's State, by a push/pull that tells it nothing; whoever asks is no member and does not become one."""
    host, port = address.rsplit(":", 1)
    nothing = pack({"EventLTime": 0, "Events": [], "LTime": 0, "LeftMembers": [], "QueryLTime": 0, "StatusLTimes": {}})
    user = bytes([SERF_PUSH_PULL]) + nothing
    answer = stream_to(host.strip("[]"), int(port),
                       message(PUSH_PULL, {"Join": False, "Nodes": 0, "UserStateLen": len(user)}) + user, keys, timeout)
    if answer[:1] != bytes([PUSH_PULL]):
        raise OSError(f"answered by {answer[:40]!r}")
    return State(answer)


def events_of(address, keys=()):
    """The events that a member, agent or shoal, tells newcomers of: {(name, payload)}."""
    slots = asked(address, keys).serf.get("Events") or []
    return {(e["Name"], e["Payload"]) for slot in slots if slot for e in slot["Events"]}


def view_of(address, keys=()):
    """What a member, agent or shoal, knows: name -> (status, tags, "host:port")."""
    state = asked(address, keys)
    left = {name.decode() for name in state.serf.get("LeftMembers") or []}
    out = {}
    for name, entry in state.nodes.items():
        meta = entry["Meta"] or b""
        tags = unpack(meta, 1)[0] if meta[:1] == b"\xff" else {"role": meta}
        status = "left" if name in left else "alive" if entry["State"] in (ALIVE_STATE, SUSPECT_STATE) else "failed"
        family = socket.AF_INET if len(entry["Addr"]) == 4 else socket.AF_INET6
        where = socket.inet_ntop(family, entry["Addr"]).removeprefix("::ffff:")
        out[name] = (status, {k: v.decode("utf-8", "replace") for k, v in tags.items()}, f"{where}:{entry['Port']}")
    return out


class Peer:
    """A member that exists only in this process. Name and tags may hold any bytes. `also` are further names that it
    answers pings for."""

    def __init__(self, name, port, tags=None, keys=(), also=(), raw_address=None):
        self.name, self.port, self.incarnation = name, port, 1
        self.tags = {"role": "task"} if tags is None else tags
        self.address = raw_address or socket.inet_aton("127.0.0.1")
        self.keys, self.also = list(keys), set(also)
        self.answers = {}   # query ID -> payload
        self.acked = set()  # query IDs
        self.says = None    # What a `solicit` is answered with; its nonce is added.
        self.pings = 0
        self.silent = False      # Neither answers nor refutes, but hears.
        self.refutes = True
        self.query_time = 1
        self.heard = []     # Every message of every datagram.
        self.unreadable = []
        self.sizes = []     # Of each datagram.
        self._changed = threading.Condition()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
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

    def alive(self, **changes):
        return {"Addr": self.address, "Incarnation": self.incarnation, "Meta": b"\xff" + pack(self.tags),
                "Node": self.name, "Port": self.port, "Vsn": VERSIONS, **changes}

    def entry(self, state=ALIVE_STATE, **changes):
        """A push/pull's entry, about itself where nothing else is said."""
        own = self.alive()
        own["Name"] = own.pop("Node")
        return {**own, "State": state, **changes}

    def state(self, join, entries=None, serf=None):
        body = {"EventLTime": 1, "Events": [], "LTime": 1, "LeftMembers": [], "QueryLTime": self.query_time,
                "StatusLTimes": {self.name: 1}, **(serf or {})}
        user = bytes([SERF_PUSH_PULL]) + pack(body)
        entries = [self.entry()] if entries is None else entries
        header = message(PUSH_PULL, {"Join": join, "Nodes": len(entries), "UserStateLen": len(user)})
        return header + b"".join(pack(e) for e in entries) + user

    def stream(self, port, data, timeout=5, piece=None):
        return stream_to("127.0.0.1", port, data, self.keys, timeout, piece)

    def exchange(self, port, entries=None, serf=None, join=True, compress=False, timeout=5, piece=None):
        """One push/pull; the peer's State. Learns its query time."""
        data = self.state(join, entries, serf)
        answer = self.stream(port, compressed(data) if compress else data, timeout, piece)
        if answer[:1] == bytes([ERROR]):
            raise OSError(f"answered by an error: {unpack(answer, 1)[0]}")
        if not answer:
            raise OSError("closed without an answer")
        state = State(answer)
        self.query_time = max(self.query_time, state.serf.get("QueryLTime", 1))
        return state

    def join(self, port, timeout=5):
        """A push/pull that says `join`; whatever comes of it."""
        try:
            return self.exchange(port, timeout=timeout)
        except (IndexError, ValueError, KeyError, TypeError, struct.error):
            return None

    def send(self, data, port):
        self._udp.sendto(encrypted(self.keys[0], data) if self.keys else data, ("127.0.0.1", port))

    def query_message(self, name, payload, **changes):
        """(ID, bytes) of a query; `changes` overwrite its fields, None takes one away."""
        number = changes.pop("ID", random.getrandbits(31))
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

    # -- what it hears

    def all(self, kind=None, serf=None, where=None, since=0):
        """The messages heard of that kind, after the first `since` of all."""
        with self._changed:
            known = self.heard[since:]
        return [h for h in known if (kind is None or h.kind == kind) and (serf is None or h.serf == serf)
                and (where is None or where(h))]

    def mark(self):
        with self._changed:
            return len(self.heard)

    def wait_for(self, kind=None, serf=None, where=None, since=0, timeout=5):
        """The first such message, or None."""
        found = []

        def look():
            found[:] = [h for h in self.heard[since:] if (kind is None or h.kind == kind)
                        and (serf is None or h.serf == serf) and (where is None or where(h))]
            return bool(found)
        with self._changed:
            self._changed.wait_for(look, timeout)
        return found[0] if found else None

    def _datagrams(self):
        while not self._closed:
            try:
                data, source = self._udp.recvfrom(65536)
            except OSError:
                return
            try:
                key = None
                size = len(data)
                if self.keys:
                    data, key = decrypted(self.keys, data)
                messages = [Heard(layers, part, source, key) for layers, part in opened(data)]
                kinds = [m.kind for m in messages]
                for one in messages:
                    one.with_kinds = kinds
                with self._changed:
                    self.sizes.append(size)
                    self.heard += messages
                    self._changed.notify_all()
                for one in messages:
                    self._take(one)
            except (IndexError, KeyError, ValueError, TypeError, struct.error, OSError) as problem:
                with self._changed:  # Nothing here judges a peer by what this toy cannot read, unless a test asks.
                    self.unreadable.append((problem, data))

    def _is_us(self, name):
        text = name.decode("utf-8", "surrogateescape")
        return text in ("", self.name) or text in self.also

    def _take(self, heard):
        if self.silent:
            return
        if heard.kind == PING:
            if self._is_us(heard.body.get("Node", b"")):
                self.pings += 1
                self._say(message(ACK, {"Payload": None, "SeqNo": heard.body["SeqNo"]}), heard.source)
        elif heard.kind in (SUSPECT, DEAD):
            if heard.about(self.name) and self.refutes:
                self.incarnation = max(self.incarnation, heard.body["Incarnation"]) + 1
                self._say(message(ALIVE, self.alive()), heard.source)
        elif heard.serf == SERF_RESPONSE:
            with self._changed:
                if heard.body.get("Flags", 0) & 1:
                    self.acked.add(heard.body["ID"])
                else:
                    self.answers[heard.body["ID"]] = heard.body.get("Payload") or b""
                self._changed.notify_all()
        elif heard.serf == SERF_QUERY:
            body = heard.body
            self.query_time = max(self.query_time, body["LTime"] + 1)
            if body["Name"] == b"solicit" and self.says is not None:
                nonce = fields(body.get("Payload") or b"").get(10, 0)
                answer = {"Flags": 0, "From": self.name, "ID": body["ID"], "LTime": body["LTime"],
                          "Payload": self.says + field(13, nonce)}
                self._say(bytes([USER, SERF_RESPONSE]) + pack(answer),
                          (socket.inet_ntoa(body["Addr"][-4:]), body["Port"]))

    def _say(self, data, to):
        self._udp.sendto(encrypted(self.keys[0], data) if self.keys else data, to)

    def _streams(self):
        while not self._closed:
            try:
                stream, _ = self._tcp.accept()
            except OSError:
                return
            with stream:
                try:
                    self._serve(stream)
                except (OSError, IndexError, KeyError, ValueError, struct.error):
                    continue

    def _serve(self, stream):
        stream.settimeout(2)
        got = b""
        while True:
            part = stream.recv(65536)
            got += part
            try:
                data = undone(self.keys, got)
                if data[:1] == bytes([PUSH_PULL]):
                    State(data)  # Whole, or an IndexError.
                elif data:
                    unpack(data, 1)
                break
            except (IndexError, struct.error):
                if not part:
                    return
        if self.silent or not data:
            return
        if data[:1] == bytes([PING]):
            body = unpack(data, 1)[0]
            if self._is_us(body["Node"]):
                self._reply(stream, message(ACK, {"Payload": None, "SeqNo": body["SeqNo"]}))
        elif data[:1] == bytes([PUSH_PULL]):
            self._reply(stream, self.state(False))

    def _reply(self, stream, data):
        stream.sendall(encrypted_stream(self.keys[0], data) if self.keys else data)
