#!/usr/bin/python3
"""A name server for the tests: answers A, AAAA and SRV from a file, which it reads anew for each question.

    dns_server.py ZONE ADDRESS...

ZONE is JSON: {"seeds.test": {"A": ["127.0.0.1"], "AAAA": []}, "_gossip.test": {"SRV": [["host.test", 7946]]}}. A name
that is not in it does not exist. Answers have a TTL of 0.
"""
import json
import socket
import struct
import sys
import threading

_KINDS = {1: "A", 28: "AAAA", 33: "SRV"}


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def question(data):
    """(name, kind, where it ends)."""
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode("ascii"))
        at += 1 + data[at]
    return ".".join(labels).lower(), struct.unpack_from(">H", data, at + 1)[0], at + 5


def records(zone, name, kind):
    out = []
    for value in zone.get(name, {}).get(_KINDS.get(kind, ""), []):
        if kind == 1:
            data = socket.inet_aton(value)
        elif kind == 28:
            data = socket.inet_pton(socket.AF_INET6, value)
        else:
            data = struct.pack(">HHH", 1, 1, value[1]) + encoded(value[0])
        out.append(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(data)) + data)
    return out


def answer(data, path):
    with open(path, encoding="utf-8") as f:
        zone = json.load(f)
    name, kind, end = question(data)
    found = records(zone, name, kind)
    print(f"{_KINDS.get(kind, kind)} {name}: {len(found)}", flush=True)
    flags = 0x8580 if name in zone else 0x8583  # Authoritative; no such name.
    return data[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + data[12:end] + b"".join(found)


def serve(path, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.bind((address, 53))
        print(f"serving on {address}", flush=True)
        while True:
            data, source = s.recvfrom(4096)
            try:
                s.sendto(answer(data, path), source)
            except (IndexError, UnicodeDecodeError, struct.error, ValueError):
                continue


if __name__ == "__main__":
    threads = [threading.Thread(target=serve, args=(sys.argv[1], where)) for where in sys.argv[2:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
