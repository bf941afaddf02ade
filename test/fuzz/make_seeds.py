#!/usr/bin/env python3
"""Writes the seeds and dictionaries of the fuzz targets: make_seeds.py REPOSITORY OUTPUT-DIRECTORY.

OUTPUT-DIRECTORY gets a directory for each target. Most seeds are the captured packets of test/vectors and what lies
inside them; texts come from seeds/ here and from shoal.toml.example. The words of a dictionary, *.dict, are the texts
that stand in the source of the decoders, so that they cannot grow old.
"""
import json
import pathlib
import re
import shutil
import sys


def part_behind(packet: bytes, key: bytes) -> bytes:
    """The raw value of a key, msgpack header taken off; nothing when the key is not there or its value is no raw."""
    at = packet.find(bytes([0xA0 + len(key)]) + key)
    if at < 0 or at + len(key) + 6 > len(packet):
        return b""
    at += 1 + len(key)
    kind = packet[at]
    if 0xA0 <= kind <= 0xBF:
        header, size = 1, kind - 0xA0
    elif kind == 0xDA:
        header, size = 3, int.from_bytes(packet[at + 1:at + 3], "big")
    elif kind == 0xDB:
        header, size = 5, int.from_bytes(packet[at + 1:at + 5], "big")
    else:
        return b""
    return packet[at + header:at + header + size]


def user_state(stream: bytes) -> bytes:
    """Serf's part of a plain push/pull: its type byte is 2, its first key an Event or LTime one."""
    for key in (b"EventLTime", b"Events", b"LTime"):
        at = stream.find(bytes([0xA0 + len(key)]) + key)
        if at >= 2 and stream[at - 2] == 2:
            return stream[at - 2:]
    return b""


def on_stage(packet: bytes, transport: str) -> bytes:
    """The input with which the node target hears the packet, answers what it was asked, and goes on."""
    raw = len(packet).to_bytes(2, "big") + packet
    if transport == "udp":
        said = b"\x00" + raw + b"\x02"
    else:
        said = b"\x06\x02" + b"\x07" + raw + b"\x00\x40"  # Somebody connects and says it in pieces.
    return b"\x00\x01\x01" + said + b"\x04\xc8" + b"\x0c\x02" + b"\x05\x0a" + said + b"\x05\x14"


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def protobuf(fields: dict) -> bytes:
    out = b""
    for number, value in fields.items():
        if isinstance(value, str):
            out += varint(number << 3 | 2) + varint(len(value)) + value.encode()
        else:
            out += varint(number << 3) + varint(value)
    return out


SNAPSHOT = b"""alive: web 1 10.0.0.7:7946
alive: db [2001:db8::7]:7946
clock: 12
event-clock: 3
query-clock: 77
not-alive: db
coordinate: {}
# a comment
alive: n1 10.0.0.1:7946
"""
KEYRING = b"""[
  "Vb2HCZOYRUfN0WYeHYtZHxJxpYxkIcdHGxhh8AKBqQI=",
  "5K9OtfP7efFrNKe5WCQvXvnaXJ5cWP0SvXiwe0kkjM4="
]"""


ANNOUNCE = {
    "announcement": protobuf({1: 8080, 2: "web", 3: "ready", 10: 200, 11: 1795235379123, 12: 3, 13: 77}),
    "announcement-go": protobuf({1: 8080, 2: "web", 3: "ready"}),
    "answer": protobuf({1: 1, 2: "why", 10: 1, 11: 2, 12: "shoal-a-1", 13: 1, 14: 2}),
    "departure": protobuf({1: "10.0.0.7", 2: 8080, 3: 30, 10: 1795235379123, 11: 4, 12: "web"}),
    "depart-answer": protobuf({1: 1, 2: "why", 10: 1, 11: 1, 12: "shoal-a-1", 13: 1, 14: 9, 15: 1, 16: 2}),
    "solicitation": protobuf({10: 77}),
}


def uncommented(example: str) -> str:
    """shoal.toml.example with all its values in force."""
    lines = []
    for line in example.splitlines():
        if line.startswith("#") and not line.startswith(("# ", "#\n")) and "=" in line:
            line = line[1:]
        lines.append(line)
    return "\n".join(lines) + "\n"


def dictionary(words) -> str:
    """In libFuzzer's form."""
    def line(word: bytes) -> str:
        return '"' + "".join(chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\x{b:02x}" for b in word) + '"'
    return "".join(line(word) + "\n" for word in sorted(set(words)) if 1 < len(word) <= 64)


def texts(root: pathlib.Path, folder: str) -> list:
    """The texts between quotes in the sources of a folder."""
    found = []
    for file in sorted((root / "src" / folder).glob("*.cc")):
        for text in re.findall(r'"((?:\\.|[^"\\\n])*)"', file.read_text(encoding="utf-8")):
            found.append(text.replace("\\r", "\r").replace("\\n", "\n").replace('\\"', '"'))
    return [text for text in found if not text.endswith(".h")]


MSGPACK = [b"\x0c\x00", b"\x07\x02", b"\x09\x82", b"\xda\x00", b"\xc0", b"\xcd\x1f\x0a", b"\xce\xff\xff\xff\xff",
           b"\xff\x81\xa4role", b"\xf4\x03lan", b"\xa6\x01\x05\x02\x02\x05\x05"]
TOML = ["\n#environment\n", "'" * 3, '"' * 3, "\\u00e9", "\\U0001f600", "0x7fffffffffffffff", "1979-05-27T07:32:00Z",
        "inf", "nan"]


def dictionaries(root: pathlib.Path) -> dict:
    fields = [text for text in texts(root, "wire") if re.fullmatch(r"[A-Z][A-Za-z]{1,15}", text)]
    example = (root / "shoal.toml.example").read_text(encoding="utf-8")
    keys = re.findall(r"^#?([a-z_]+) = ", example, re.M)
    settings = re.findall(r"^#?([a-z_]+ = .*)$", example, re.M) + re.findall(r"^(\[.*\])$", example, re.M)
    settings += ["SHOAL_" + key.upper() for key in keys] + ["--" + key.replace("_", "-") for key in keys] + TOML
    return {
        "gossip": [bytes([0xA0 + len(text)]) + text.encode() for text in fields] + MSGPACK,
        "settings": [text.encode() for text in settings],
        "haproxy": [text.encode() for text in texts(root, "haproxy")],
        "http": [text.encode() for text in texts(root, "admin")],
        "rpc": [text.encode() for text in texts(root, "rpc")],
    }


def packed(value) -> bytes:
    """msgpack, of what serf's RPC has."""
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return bytes([value]) if value < 128 else b"\xcf" + value.to_bytes(8, "big")
    if isinstance(value, str):
        return bytes([0xa0 + len(value)]) + value.encode()
    if isinstance(value, bytes):
        return b"\xc4" + bytes([len(value)]) + value
    if isinstance(value, list):
        return bytes([0x90 + len(value)]) + b"".join(map(packed, value))
    return bytes([0x80 + len(value)]) + b"".join(packed(key) + packed(of) for key, of in value.items())


RPC = {
    "reads": [("members", None), ("members-filtered", {"Tags": {"role": "task"}, "Status": "alive", "Name": "web.*"}),
              ("stats", None), ("get-coordinate", {"Node": "a"}), ("list-keys", None)],
    "listens": [("stream", {"Type": "member-join,user:deploy,query"}), ("monitor", {"LogLevel": "INFO"}),
                ("respond", {"ID": 1, "Payload": b"x"}), ("stop", {"Stop": 1})],
    "changes": [("event", {"Name": "deploy", "Payload": b"v1", "Coalesce": True}), ("tags", {
        "Tags": {"zone": "a"}, "DeleteTags": ["rack"]}), ("join", {"Existing": ["a:7946"], "Replay": False}),
                ("force-leave", {"Node": "a", "Prune": True}), ("install-key", {"Key": "AAAAAAAAAAAAAAAAAAAAAA=="})],
    "asks": [("auth", {"AuthKey": "secret"}), ("query", {
        "FilterNodes": ["a", "b"], "FilterTags": {"role": "^task"}, "RequestAck": True, "RelayFactor": 2,
        "Timeout": 1 << 31, "Name": "uptime", "Payload": b"x"}), ("leave", None)],
}


class Seeds:
    def __init__(self, out: pathlib.Path) -> None:
        self.out = out

    def add(self, target: str, name: str, data: bytes) -> None:
        folder = self.out / target
        folder.mkdir(parents=True, exist_ok=True)
        if data:
            (folder / name).write_bytes(data)


def add_packet(seeds: Seeds, name: str, vector: dict) -> None:
    packet = bytes.fromhex(vector["hex"])
    plain = packet[5:] if packet[0] == 12 else packet
    seeds.add("packet" if vector["transport"] == "udp" else "stream", name, packet)
    seeds.add("node", name, on_stage(packet, vector["transport"]))
    seeds.add("lzw", name, part_behind(packet, b"Buf"))
    if vector.get("key") or vector.get("label"):
        return
    seeds.add("messages", name, plain)
    seeds.add("compound", name, plain[1:] if plain[0] == 7 else b"\x01" + len(plain).to_bytes(2, "big") + plain
              if len(plain) < 60_000 else b"")
    seeds.add("msgpack", name, plain[1:])
    seeds.add("coordinates", name, part_behind(plain, b"Payload") if plain[0] == 2 else b"")
    seeds.add("keys", name, plain[1:] if b"PrimaryKey" in plain or b"Keys" in plain else b"")
    seeds.add("tags", name, part_behind(plain, b"Meta"))
    seeds.add("tags", name + "-filter", plain[plain.find(b"Filters") + 7:] if b"Filters" in plain else b"")
    if vector["transport"] == "tcp":
        seeds.add("serf_state", name, user_state(plain))


def main(root: pathlib.Path, out: pathlib.Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, words in dictionaries(root).items():
        (out / (name + ".dict")).write_text(dictionary(words), encoding="utf-8")
    seeds = Seeds(out)
    count = 0
    for file in sorted((root / "test" / "vectors").glob("*.json")):
        for vector in json.loads(file.read_text(encoding="utf-8")):
            add_packet(seeds, f"{count:03}-" + vector["name"].replace("@", "-"), vector)
            count += 1
    for name, data in ANNOUNCE.items():
        seeds.add("announce", name, data)
    seeds.add("snapshot", "plain", SNAPSHOT)
    seeds.add("snapshot", "left", SNAPSHOT + b"leave\n")
    seeds.add("snapshot", "life", SNAPSHOT + b"\0" + bytes(range(0, 250, 3)) * 4)
    for name, requests in RPC.items():
        seeds.add("rpc", name, bytes([2 * len(name)]) + b"".join(
            packed({"Command": command, "Seq": seq}) + (packed(body) if body is not None else b"")
            for seq, (command, body) in enumerate([("handshake", {"Version": 1}), *requests])))
    seeds.add("keys", "file", KEYRING)
    seeds.add("keys", "ring", bytes(range(64)) * 2)
    seeds.add("coordinates", "moves", bytes(range(80, 180)) * 8)
    seeds.add("lines", "plain", b"\x3c\x01\x14one line\r\nanother one\xff\x08 and more\n")
    seeds.add("lines", "euros", b"\x00\x00" + b"\x4f" + "\u20ac\U0001f41f".encode() * 12)
    seeds.add("lines", "some", bytes(range(0, 250, 3)) * 6)
    seeds.add("user_events", "some", bytes(range(0, 250, 7)) * 8)
    example = (root / "shoal.toml.example").read_text(encoding="utf-8")
    seeds.add("settings", "example", uncommented(example).encode())
    for folder in sorted((root / "test" / "fuzz" / "seeds").iterdir()):
        for file in sorted(folder.iterdir()):
            if folder.name in ("values", "command_line"):  # One a line: each is a seed.
                for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
                    seeds.add(folder.name, f"{file.stem}-{number}", line.replace(" | ", "\n").encode())
                continue
            (out / folder.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, out / folder.name / file.name)


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
