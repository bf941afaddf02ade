"""Nothing from the wire reaches HAProxy's admin socket unchecked, and no packet stops the service."""
import json
import os
import random
import socket
import threading
import time

from gossip_peer import Peer
from gossip_wire import (ALIVE, COMPOUND, DEAD, PING, PUSH_PULL, SUSPECT, USER, VERSIONS, announce, compound, field,
                         fields, message, pack, with_crc)
from harness import ROOT, Relay, check, free_port, http_get, test, unexpected_lines, wait_until

HOSTILE = ["web/x", "web;show env", "web\nshutdown frontend www", "web show env", "web\rdisable server web/shoal-good",
           "web\\", "web\0set server", "web<<", "../web", "web'", 'web"', "web\t", "#1", "@1 show info", "web%s%n",
           "*", "-",
           "web\u2028x", "\xff\xfe", "", " ", "\n", "a" * 65, "a" * 900, "web\x7f", "web$(id)", "web`id`", "web|x",
           "web&x"]
NAMES = [text for text in HOSTILE if text] + ["shoal-good", "good/../x", "prompt", "x" * 300]
SEED = int(os.environ.get("SHOAL_TEST_SEED", random.SystemRandom().randrange(1 << 32)))


def sender():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def gossip_port(shoal):
    return int(shoal.gossip.rsplit(":", 1)[1])


def still_serves(haproxy, proxy, tasks):
    check(proxy.running(), "the sidecar has died")
    for task in tasks:
        check(task.running(), f"{task.name} has died")
        check(haproxy.in_rotation(task.name), f"{task.name} has left rotation")
    check(http_get(haproxy.http_port)[0] == 200, "HAProxy does not answer 200")


@test(seconds=120)
def test_hostile_announcements_put_nothing_unexpected_on_the_admin_socket(scene):
    haproxy = scene.haproxy()
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path)
    good = scene.task(proxy, "good")
    haproxy.wait_in_rotation("good")
    port, service = gossip_port(proxy), good.worker.first("start")["port"]
    peer = Peer("hostile", free_port())
    peer.join(port)
    refused = 0
    for number, pool in enumerate(HOSTILE, 1):
        answer = peer.announce(port, announce(service, pool, start_id=5, seq=number), timeout=2)
        # An empty name means the default pool, and that only; every other one is refused.
        check(pool == "" or not answer.get(1), f"the pool {pool!r} was accepted")
        refused += bool(answer.get(2))
        peer.query(port, "depart", field(1, pool) + field(12, pool) + field(2, service) + field(10, 5)
                   + field(11, number),
                   timeout=0.3)
    for state in HOSTILE:
        _, data = peer.query_message("announce", announce(service, "web", state, start_id=6, seq=1))
        peer.send(data, port)
    for bad_port in (0, 65536, 1 << 31, 1 << 63):
        answer = peer.announce(port, announce(bad_port, "web", start_id=7, seq=1), timeout=1)
        check(not answer.get(1), f"the port {bad_port} was accepted")
    for weight in (257, 1 << 31):
        peer.announce(port, announce(service, "web", weight=weight, start_id=8, seq=1), timeout=1)
    check(relay.commands(), "the relay saw nothing at all")
    check(refused >= 5, f"only {refused} of {len(HOSTILE)} hostile pools were refused with a reason")
    scene.say(f"{refused} of {len(HOSTILE)} hostile pools refused with a reason; the others dropped")
    check(not unexpected_lines(relay), f"reached the socket: {unexpected_lines(relay)}")
    check(all("web/shoal-" in line.decode() for line in relay.commands() if line.startswith((b"add", b"del", b"set"))),
          "a command for another pool")
    still_serves(haproxy, proxy, [good])
    peer.close()


@test(seconds=60)
def test_pings_from_nobody_do_not_take_the_streams_that_a_join_needs(scene):
    """Each names a place that takes every connection and never says a word: one exchange with it lasts 10 s."""
    seed = free_port()
    lone = scene.member("lone", join=[f"127.0.0.1:{seed}"])
    holes = [socket.create_server(("127.0.0.1", 0), backlog=16) for _ in range(8)]
    stop = threading.Event()

    def ping_on():
        with sender() as out:
            while not stop.is_set():
                for hole in holes:
                    out.sendto(message(PING, {"Node": "another", "SeqNo": 1, "SourceAddr": bytes([127, 0, 0, 1]),
                                              "SourceNode": "nobody", "SourcePort": hole.getsockname()[1]}),
                               ("127.0.0.1", lone.port))
                stop.wait(0.1)
    pinging = threading.Thread(target=ping_on)
    pinging.start()
    try:
        time.sleep(8)
        held = 0
        for hole in holes:
            hole.setblocking(False)
            while True:
                try:
                    hole.accept()[0].close()
                    held += 1
                except BlockingIOError:
                    break
        check(1 <= held <= 2, f"{held} exchanges at once with who pings from nowhere")
        peer = Peer("seed", seed)
        wait_until(lambda: peer.heard and "seed" in lone.members(), 10, "the seed is found all the same")
        peer.close()
    finally:
        stop.set()
        pinging.join()
        for hole in holes:
            hole.close()


@test(seconds=60)
def test_connections_that_say_nothing_do_not_shut_out_a_join(scene):
    lone = scene.member("lone")
    wait_until(lambda: lone.status_of("lone") == "alive", 10, "it runs")
    idle = []
    for _ in range(40):
        idle.append(socket.create_connection(("127.0.0.1", lone.port), timeout=5))
    time.sleep(1.2)
    peer = Peer("late", free_port())
    peer.join(lone.port, timeout=3)
    lone.wait_status("late", "alive", 3)
    # And a single byte of garbage is answered and no longer held for.
    for _ in range(16):
        idle.append(socket.create_connection(("127.0.0.1", lone.port), timeout=5))
        idle[-1].sendall(b"\x0a\0\0\0\x20")
    time.sleep(1.5)
    other = Peer("later", free_port())
    other.join(lone.port, timeout=3)
    lone.wait_status("later", "alive", 3)
    for one in (peer, other, *idle):
        one.close()


@test(seconds=120)
def test_hostile_node_names_put_nothing_unexpected_on_the_admin_socket(scene):
    haproxy = scene.haproxy()
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path)
    good = scene.task(proxy, "good")
    haproxy.wait_in_rotation("good")
    port, service = gossip_port(proxy), good.worker.first("start")["port"]
    joined = 0
    for name in NAMES:
        peer = Peer(name, free_port(), {"role": "task", "state": "ready", name[:20]: name[:100]})
        try:
            peer.join(port)
            joined += bool(peer.announce(port, announce(service, "web", start_id=3, seq=1), timeout=1))
        except OSError:
            pass
        peer.close()
    scene.say(f"{joined} of {len(NAMES)} hostile names were answered")
    check(not unexpected_lines(relay), f"reached the socket: {unexpected_lines(relay)}")
    for server in haproxy.servers():
        check(server.name.startswith("shoal-") and len(server.name) <= 64, f"a strange server: {server}")
    still_serves(haproxy, proxy, [])
    check(haproxy.server_of("good") is not None and good.running(), "the good task suffered")


@test(seconds=60)
def test_nobody_can_announce_or_depart_for_somebody_else(scene):
    haproxy = scene.haproxy()
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path)
    good = scene.task(proxy, "good")
    haproxy.wait_in_rotation("good")
    port, service = gossip_port(proxy), good.worker.first("start")["port"]
    server = haproxy.server_of("good").name
    peer = Peer("thief", free_port())
    peer.join(port)
    far = (1 << 62)
    # In the good task's name, from the thief's own address; and as a name that nobody has.
    for source in ("good", "nobody"):
        # Not with peer.announce: the thief would answer solicits, and on one host its claim to the port is as good.
        data = peer.query(port, "announce", announce(service, "web", start_id=far, seq=far), timeout=2,
                          SourceNode=source)
        check(not data or not fields(data).get(1), f"an announce in the name of {source} was accepted")
        data = peer.query(port, "depart", field(2, service) + field(10, far) + field(11, far), timeout=2,
                          SourceNode=source)
        check(not data or not fields(data).get(1), f"a depart in the name of {source} was accepted")
    check(haproxy.in_rotation("good") and haproxy.server_of("good").name == server, "the good task's server changed")
    check(not any(b"nobody" in line for line in relay.commands()), "a name that nobody has came to HAProxy")
    peer.close()


def damaged(rng, data):
    """One of the ways in which a packet arrives broken."""
    data = bytearray(data)
    way = rng.randrange(6)
    if way == 0:
        del data[rng.randrange(len(data)):]
    elif way == 1:
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif way == 2:
        at = rng.randrange(len(data))
        data[at:at] = rng.randbytes(rng.randint(1, 40))
    elif way == 3:
        at = rng.randrange(len(data))
        del data[at:at + rng.randint(1, 8)]
    elif way == 4:
        at = rng.randrange(len(data))
        data[at:at + 4] = rng.choice((b"\xdb\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdd\x7f\xff\xff\xff",
                                      b"\xcf" + b"\xff" * 8))
    else:
        data += rng.randbytes(rng.randint(1, 300))
    return bytes(data)


def vectors(*files):
    """The bytes of the golden packets; they talk about members that do not exist here."""
    out = []
    for name in files:
        with open(os.path.join(ROOT, "test", "vectors", name), encoding="utf-8") as f:
            out += [bytes.fromhex(v["hex"]) for v in json.load(f)]
    return out


def crafted(own_name, own_port):
    """Packets that are known to hurt other implementations, or that lie about us."""
    address = socket.inet_aton("127.0.0.1")
    alive = {"Addr": address, "Incarnation": 1, "Meta": b"\xff\x80", "Node": "ghost", "Port": 9, "Vsn": VERSIONS}
    deep = b"\x07\x01\x00\x02\x07\x00"
    for _ in range(60):
        deep = compound(deep)
    return [
        b"", b"\x00", b"\x07\xff", b"\x0c\x00\x00\x00\x00", b"\xf4\x00", b"\xf4\xff" + b"x" * 255, b"\x09",
        b"\x0a" * 40,
        bytes([COMPOUND, 1, 0, 0]),                                       # An empty part.
        compound(*[b""] * 255), deep, with_crc(b"\x0c\x00\x00\x00\x00\x00"),
        message(ALIVE, {**alive, "Vsn": b"\x01"}), message(ALIVE, {**alive, "Vsn": b"\x01\x02\x03\x04\x05"}),
        message(ALIVE, {**alive, "Addr": b"\x7f\x00\x00"}), message(ALIVE, {**alive, "Addr": b"\x00" * 4, "Port": 0}),
        message(ALIVE, {**alive, "Meta": b"\xff\xdf\xff\xff\xff\xff"}), message(ALIVE, {**alive, "Node": "n" * 1000}),
        message(ALIVE, {**alive, "Incarnation": 0xFFFFFFFF}),
        message(ALIVE, {**alive, "Node": own_name, "Incarnation": 7}),
        message(SUSPECT, {"From": "ghost", "Incarnation": 99, "Node": own_name}),
        message(DEAD, {"From": own_name, "Incarnation": 99, "Node": own_name}),
        message(DEAD, {"From": "ghost", "Incarnation": 4000000000, "Node": own_name}),
        message(PING, {"Node": own_name, "SeqNo": 1, "SourceAddr": address, "SourcePort": own_port,
                       "SourceNode": own_name}),
        bytes([USER, 4]) + pack({"Filters": [b""], "Name": "announce", "ID": 1, "LTime": 1, "Addr": address,
                                 "Port": own_port}),
        bytes([USER, 4]) + pack({"Filters": [b"\x01" + pack({"Tag": "role", "Expr": "(" * 400})], "Name": "x", "ID": 2,
                                 "LTime": 1}),
        bytes([USER, 4]) + pack({"Filters": [b"\x01" + pack({"Tag": "role", "Expr": "(a*)*" * 60})], "Name": "x",
                                 "ID": 3, "LTime": 1}),
        bytes([USER, 4]) + pack({"Name": "solicit", "ID": 4, "LTime": (1 << 64) - 1, "Payload": b"\xff" * 500}),
        bytes([USER, 9]) + pack({"DestAddr": {"IP": address, "Port": own_port, "Zone": ""}, "DestName": "x"})
        + b"\x05\x80",
        bytes([USER, 0]) + pack({"LTime": (1 << 64) - 1, "Node": own_name, "Prune": True}),
        bytes([USER, 1]), bytes([USER]), bytes([USER, 255]), b"\x08\x04\xdf\xff\xff\xff\xff",
    ]


def send_streams(rng, port, packets, count):
    """Whole, broken and half streams to a TCP port; all stay within a second each, and at most 8 stand at once."""
    standing = []
    for number in range(count):
        s = socket.socket()
        s.settimeout(1)
        try:
            s.connect(("127.0.0.1", port))
            data = rng.choice(packets)
            s.sendall(damaged(rng, data) if number % 4 and data else data or b"\x06")
            if number % 3 == 0:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        standing.append(s)
        if len(standing) > 8:
            standing.pop(0).close()
    return standing


@test(seconds=150)
def test_garbage_on_the_gossip_ports_stops_nobody(scene):
    haproxy = scene.haproxy()
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path)
    tasks = [scene.task(proxy, name) for name in ("first", "second")]
    haproxy.wait_in_rotation("first", "second")
    rng = random.Random(SEED)
    scene.say(f"seed {SEED} (SHOAL_TEST_SEED repeats it)")
    datagrams = vectors("udp-plain.json", "udp-compressed.json", "udp-label.json", "udp-encrypted.json", "udp-odd.json",
                        "shoal-go.json")
    streams = vectors("tcp-pushpull.json", "tcp-other.json")
    with sender() as out:
        for shoal in (proxy, *tasks):
            target = ("127.0.0.1", gossip_port(shoal))
            for data in crafted(shoal.name, gossip_port(shoal)):
                out.sendto(data, target)
            for data in datagrams:
                out.sendto(data, target)
                for _ in range(8):
                    out.sendto(damaged(rng, data)[:60000], target)
            for size in (0, 1, 2, 5, 100, 1400, 9000, 60000):
                for _ in range(20):
                    out.sendto(rng.randbytes(size), target)
            huge = [message(PUSH_PULL, {"Join": True, "Nodes": n, "UserStateLen": u}) + rng.randbytes(64)
                    for n, u in ((1 << 31, 0), (0, 1 << 31), (1 << 20, 20 << 20), (3, 3))]
            held = send_streams(rng, target[1], streams + huge + [b"GET / HTTP/1.1\r\n\r\n", rng.randbytes(5000)], 150)
            still_serves(haproxy, proxy, [])
            for s in held:
                s.close()
    check(proxy.running() and all(task.running() for task in tasks), "somebody has died")
    # The lies above may make peers look twice at each other; they may not take a server out, and all must be well
    # after.
    wait_until(lambda: all(haproxy.in_rotation(task.name) for task in tasks), 30, "both tasks in rotation")
    check(not unexpected_lines(relay), f"reached the socket: {unexpected_lines(relay)}")
    newcomer = scene.task(proxy, "newcomer")
    haproxy.wait_in_rotation("newcomer", timeout=20)
    check(newcomer.stop(25) == 0, "not 0")
    for task in tasks:
        check(task.stop(25) == 0, f"{task.name}: not 0")
    haproxy.kill()
    check(proxy.stop(15) == 0, "the sidecar: not 0")
    # Nothing of all that was taken for good, and each told by what was wrong with it.
    for shoal in (proxy, *tasks):
        counts = json.loads(shoal.log.wait_for('"event":"gossip that was not used, by reason"', 5))["counts"]
        reasons = {word.partition("=")[0]: int(word.partition("=")[2]) for word in counts.split()}
        wanted = {"malformed", "unsupported", "bad_label", "encrypted", "bad_crc", "bad_compress", "bad_compound",
                  "bad_stream", "serf_malformed"}
        check(wanted <= set(reasons) and min(reasons.values()) > 0, f"{shoal.name} has counted {counts}")
