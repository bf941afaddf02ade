"""Thousands of hand-made tasks in one process: members of 127.1.0.0/16 on one port, with one service behind them all.

Each has an address of its own, so that nothing is shared but the sockets. It speaks as a task does: joins, answers
pings and solicits, announces itself until it is accepted, departs, leaves.
"""
import heapq
import random
import socket
import struct
import threading
import time

from gossip_peer import stream_to
from gossip_wire import (ACK, ALIVE, ALIVE_STATE, DEAD, NO_BROADCAST, PING, PUSH_PULL, SERF_LEAVE, SERF_PUSH_PULL,
                         SERF_QUERY, SERF_RESPONSE, SUSPECT, USER, VERSIONS, announce, compound, field, fields, message,
                         opened, pack, unpack)
from harness import check, free_port, wait_until

_IP_PKTINFO = 8
_PATIENCE = (0.5, 1, 2, 5)  # Until the same word is said again.


class Member:
    def __init__(self, number):
        self.name = f"s{number:05}"
        self.address = bytes([127, 1, number >> 8, number & 255])
        self.incarnation = 1
        self.start_id, self.seq = 1_700_000_000_000 + number, 0
        self.asked = self.answered = None  # When the present word was first said, and when it was accepted.
        self.word = self.answer = None
        self.tries = self.refused = 0


class Swarm:
    """`sidecar` is asked at 127.0.0.1:its gossip port."""

    def __init__(self, sidecar_port, count, pool="web"):
        self.sidecar, self.pool, self.port = ("127.0.0.1", sidecar_port), pool, free_port()
        self.members = [Member(i) for i in range(count)]
        self._by_address = {m.address: m for m in self.members}
        self._by_name = {m.name.encode(): m for m in self.members}
        self._by_query, self._due, self._said = {}, [], 0
        self.query_time, self.unreadable = 1, []
        self.changed = threading.Condition()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.udp.setsockopt(socket.SOL_SOCKET, option, 8 << 20)
        self.udp.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)  # Which member a datagram was for.
        self.udp.bind(("0.0.0.0", self.port))
        self.gossip_tcp, self.service = (socket.socket() for _ in range(2))
        self.gossip_tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.gossip_tcp.bind(("0.0.0.0", self.port))
        self.service.bind(("0.0.0.0", 0))
        self.service_port = self.service.getsockname()[1]
        for listener in (self.gossip_tcp, self.service):
            listener.listen(4096)
        for work in (self._hear, self._repeat, self._serve, self._exchange_back):
            threading.Thread(target=work, daemon=True).start()

    # -- what they do

    def join(self, entries_at_once=500):
        for at in range(0, len(self.members), entries_at_once):
            answer = stream_to(*self.sidecar, self._state(self.members[at:at + entries_at_once]), timeout=30)
            check(answer[:1] == bytes([PUSH_PULL]), f"a push/pull was answered by {answer[:60]}")
            header, where = unpack(answer, 1)
            for _ in range(header["Nodes"]):
                _, where = unpack(answer, where)
            self.query_time = max(self.query_time, unpack(answer, where + 1)[0].get("QueryLTime", 1))

    def announce(self, members):
        self._say("announce", members)

    def depart(self, members):
        self._say("depart", members)

    def leave(self, members):
        """The intent and the own death, each told often enough to arrive."""
        for m in members:
            own = {"Incarnation": m.incarnation, "Node": m.name, "From": m.name}
            both = compound(bytes([USER, SERF_LEAVE]) + pack({"LTime": 2, "Node": m.name, "Prune": False}),
                            message(DEAD, own))
            for _ in range(2):
                self.udp.sendto(both, self.sidecar)

    def wait_accepted(self, members, timeout):
        wait_until(lambda: all(m.answered for m in members), timeout,
                   f"{len(members)} accepted", every=0.05)

    def not_accepted(self, members):
        return [m for m in members if not m.answered]

    # -- how

    def _state(self, members):
        body = {"EventLTime": 1, "Events": [], "LTime": 1, "LeftMembers": [], "QueryLTime": self.query_time,
                "StatusLTimes": {m.name: 1 for m in members}}
        user = bytes([SERF_PUSH_PULL]) + pack(body)
        header = message(PUSH_PULL, {"Join": True, "Nodes": len(members), "UserStateLen": len(user)})
        return header + b"".join(pack(self._entry(m)) for m in members) + user

    def _entry(self, m):
        return {"Addr": m.address, "Incarnation": m.incarnation, "Meta": b"\xff" + pack({"role": "task"}),
                "Name": m.name, "Port": self.port, "State": ALIVE_STATE, "Vsn": VERSIONS}

    def _say(self, kind, members):
        now = time.monotonic()
        with self.changed:
            for m in members:
                m.seq, m.word, m.asked, m.answered, m.tries = m.seq + 1, kind, now, None, 0
                heapq.heappush(self._due, (now, m.name))
            self.changed.notify_all()

    def _payload(self, m):
        if m.word == "announce":
            return announce(self.service_port, self.pool, start_id=m.start_id, seq=m.seq)
        return field(2, self.service_port) + field(10, m.start_id) + field(11, m.seq) + field(12, self.pool)

    def _repeat(self):
        """Sends what is due; a member that is not answered is due again."""
        while True:
            with self.changed:
                now = time.monotonic()
                while not self._due or self._due[0][0] > now:
                    self.changed.wait(self._due[0][0] - now if self._due else 1)
                    now = time.monotonic()
                m = self._by_name[heapq.heappop(self._due)[1].encode()]
                if m.answered:
                    continue
                heapq.heappush(self._due, (now + _PATIENCE[min(m.tries, 3)] * random.uniform(0.8, 1.2), m.name))
                m.tries += 1
                number = random.getrandbits(31)
                self._by_query[number] = (m, m.word)
                body = {"Addr": m.address, "Filters": [], "Flags": NO_BROADCAST, "ID": number, "LTime": self.query_time,
                        "Name": m.word, "Payload": self._payload(m), "Port": self.port, "RelayFactor": 0,
                        "SourceNode": m.name, "Timeout": 5_000_000_000}
            self.udp.sendto(bytes([USER, SERF_QUERY]) + pack(body), self.sidecar)

    def _hear(self):
        while True:
            data, ancillary, _, source = self.udp.recvmsg(65536, 64)
            to = next((info[2][8:12] for info in ancillary if info[:2] == (socket.IPPROTO_IP, _IP_PKTINFO)), None)
            try:
                for _, part in opened(data):
                    self._take(part, source, self._by_address.get(to))
            except (IndexError, KeyError, ValueError, TypeError, struct.error) as problem:
                self.unreadable.append((problem, data))

    def _take(self, part, source, to):
        if part[0] == PING:
            body = unpack(part, 1)[0]
            if body.get("Node", b"") in self._by_name:
                self.udp.sendto(message(ACK, {"Payload": None, "SeqNo": body["SeqNo"]}), source)
        elif part[0] in (SUSPECT, DEAD):
            self._refute(unpack(part, 1)[0], source)
        elif part[0] == USER and part[1] == SERF_RESPONSE:
            self._answered(unpack(part, 2)[0])
        elif part[0] == USER and part[1] == SERF_QUERY and to is not None:
            self._asked(unpack(part, 2)[0], to)

    def _refute(self, body, source):
        m = self._by_name.get(body["Node"])
        if m is None or body.get("From") == body["Node"]:
            return  # Its own leave, gossiped.
        m.incarnation = max(m.incarnation, body["Incarnation"]) + 1
        own = self._entry(m)
        own["Node"] = own.pop("Name")
        del own["State"]
        self.udp.sendto(message(ALIVE, own), source)

    def _answered(self, body):
        if body.get("Flags", 0) & 1:
            return  # An ack.
        with self.changed:
            m, word = self._by_query.get(body["ID"], (None, None))
            if m is None or word != m.word or m.answered:
                return
            m.answer = fields(body.get("Payload") or b"")
            if m.answer.get(1):
                m.answered = time.monotonic()
            elif not m.answer.get(10):
                m.refused += 1

    def _asked(self, body, m):
        self.query_time = max(self.query_time, body["LTime"])
        if body["Name"] != b"solicit" or m.word != "announce":
            return
        nonce = fields(body.get("Payload") or b"").get(10, 0)
        answer = {"Flags": 0, "From": m.name, "ID": body["ID"], "LTime": body["LTime"],
                  "Payload": self._payload(m) + field(13, nonce)}
        self.udp.sendto(bytes([USER, SERF_RESPONSE]) + pack(answer),
                        (socket.inet_ntoa(body["Addr"][-4:]), body["Port"]))

    def _serve(self):
        """Whoever connects has reached it; that is all a check asks for."""
        while True:
            self.service.accept()[0].close()

    def _exchange_back(self):
        """The sidecar's own push/pulls: the one entry that it asks for is enough."""
        while True:
            stream, _ = self.gossip_tcp.accept()
            with stream:
                try:
                    to = socket.inet_aton(stream.getsockname()[0])
                    stream.settimeout(2)
                    if stream.recv(65536)[:1] == bytes([PUSH_PULL]) and to in self._by_address:
                        stream.sendall(self._state([self._by_address[to]]))
                        stream.shutdown(socket.SHUT_WR)
                        while stream.recv(65536):
                            pass
                except (OSError, IndexError, struct.error):
                    continue
