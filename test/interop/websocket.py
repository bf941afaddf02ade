"""As much of RFC 6455 as an echo needs: the handshake's answer, short frames, and a close frame with its reason."""
import base64
import hashlib
import os
import struct

TEXT, CLOSE, GOING_AWAY = 1, 8, 1001
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + _MAGIC).digest()).decode()


def new_key():
    return base64.b64encode(os.urandom(16)).decode()


def frame(kind, payload, masked):
    """At most 125 bytes of payload; a client masks, a server does not."""
    assert len(payload) <= 125
    mask = os.urandom(4) if masked else b""
    head = bytes([0x80 | kind, len(payload) | (0x80 if masked else 0)]) + mask
    return head + (bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if masked else payload)


def close_frame(code, masked=False):
    return frame(CLOSE, struct.pack(">H", code), masked)


def read_frame(receive, rest):
    """(kind, payload, what came after it). `receive` gives more bytes, and raises OSError at the connection's end."""
    def need(count):
        nonlocal rest
        while len(rest) < count:
            rest += receive()
    need(2)
    size, masked = rest[1] & 0x7F, rest[1] & 0x80
    begin = 6 if masked else 2
    need(begin + size)
    payload, mask = rest[begin:begin + size], rest[2:6]
    if masked:
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    return rest[0] & 15, payload, rest[begin + size:]
