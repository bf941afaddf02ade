#!/usr/bin/env python3
"""Writes each captured packet of test/vectors as one seed file: make_seeds.py VECTORS OUTPUT-DIRECTORY.

OUTPUT-DIRECTORY gets udp/ and tcp/ with the packets, and message/ and lzw/ with what lies inside the plain ones.
"""
import json
import pathlib
import sys


def lzw_data(packet: bytes) -> bytes:
    """The compressed data of a compress message: behind the key Buf and its raw header."""
    at = packet.find(b"\x00\xa3Buf")
    if at < 0:
        return b""
    at += 5
    header = {0xDA: 3, 0xDB: 5}.get(packet[at], 1)
    return packet[at + header:]


def main(vectors: pathlib.Path, out: pathlib.Path) -> None:
    for kind in ("udp", "tcp", "message", "lzw"):
        (out / kind).mkdir(parents=True, exist_ok=True)
    count = 0
    for file in sorted(vectors.glob("*.json")):
        for vector in json.loads(file.read_text(encoding="utf-8")):
            packet = bytes.fromhex(vector["hex"])
            name = f"{count:03}-" + vector["name"].replace("@", "-")
            (out / vector["transport"] / name).write_bytes(packet)
            plain = packet[5:] if packet[0] == 12 else packet
            (out / "message" / name).write_bytes(plain)
            if data := lzw_data(packet):
                (out / "lzw" / name).write_bytes(data)
            count += 1


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
