"""memberlist's and serf's bytes, for the hand-made members of the tests: msgpack with the old raw types and sorted
keys, Go's LZW, compounds, checksums, AES-GCM (through nettle, which shoal is linked with), and shoal's own protobuf
messages.
"""
import ctypes
import ctypes.util
import os
import struct
import zlib

PING, INDIRECT_PING, ACK, SUSPECT, ALIVE, DEAD, PUSH_PULL, COMPOUND, USER, COMPRESS, ENCRYPT, NACK, HAS_CRC = range(13)
ERROR = 13
SERF_LEAVE, SERF_JOIN, SERF_PUSH_PULL, SERF_EVENT, SERF_QUERY, SERF_RESPONSE = range(6)
SERF_CONFLICT_RESPONSE, SERF_KEY_REQUEST, SERF_KEY_RESPONSE, SERF_RELAY = range(6, 10)
ALIVE_STATE, SUSPECT_STATE, DEAD_STATE, LEFT_STATE = range(4)
ACK_WANTED = 1
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


def unpack(data, at=0, new=False):
    """(value, where it ended), or an IndexError or struct.error while it is not whole. Raw, str8 and bin come back as
    bytes, map keys as str; with `new`, for msgpack in its newer form, all str as str and bin as bytes."""
    kind = data[at]
    at += 1
    if kind < 0x80:
        return kind, at
    if kind >= 0xE0:
        return kind - 256, at
    if kind in _FIXED:
        form = _FIXED[kind]
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    if kind in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[kind], at
    if kind in _SIZED:
        what, form = _SIZED[kind]
        size = struct.unpack_from(form, data, at)[0]
        at += struct.calcsize(form)
    elif kind < 0xC0:
        what, size = ("map", kind & 15) if kind < 0x90 else ("list", kind & 15) if kind < 0xA0 else ("str", kind & 31)
    else:
        raise ValueError(f"the byte {kind:#x} begins nothing that serf knows")
    if what in ("str", "bin"):
        if at + size > len(data):
            raise IndexError("cut short")
        raw = bytes(data[at:at + size])
        return (raw.decode("utf-8", "surrogateescape") if new and what == "str" else raw), at + size
    if what == "list":
        out = []
        for _ in range(size):
            value, at = unpack(data, at, new)
            out.append(value)
        return out, at
    table = {}
    for _ in range(size):
        key, at = unpack(data, at, new)
        table[key.decode("utf-8", "replace") if isinstance(key, bytes) else key], at = unpack(data, at, new)
    return table, at


_FIXED = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q", 0xCA: ">f",
          0xCB: ">d"}
_SIZED = {0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"), 0xD9: ("str", ">B"), 0xDA: ("str", ">H"),
          0xDB: ("str", ">I"), 0xDC: ("list", ">H"), 0xDD: ("list", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I")}


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


def lzw_encode(data):
    """What Go's compress/lzw writes for it."""
    out, bits, count = bytearray(), 0, 0
    table, width, high, prefix = {}, 9, 257, None

    def put(code):
        nonlocal bits, count
        bits |= code << count
        count += width
        while count >= 8:
            out.append(bits & 255)
            bits >>= 8
            count -= 8

    def counted():
        """After each code: False when the table had to be given up."""
        nonlocal width, high, table
        high += 1
        if high == 1 << width:
            width += 1
        if high < 4095:
            return True
        put(256)
        table, width, high = {}, 9, 257
        return False

    put(256)
    for byte in data:
        if prefix is None:
            prefix = byte
            continue
        known = table.get((prefix, byte))
        if known is not None:
            prefix = known
            continue
        put(prefix)
        if counted():
            table[(prefix, byte)] = high
        prefix = byte
    if prefix is not None:
        put(prefix)
        counted()
    put(257)
    if count:
        out.append(bits & 255)
    return bytes(out)


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


def compressed(data):
    return message(COMPRESS, {"Algo": 0, "Buf": lzw_encode(data)})


# --- encryption
# --------------------------------------------------------------------------------------------------------

_nettle = None


def _gcm(key, nonce, associated, data, decrypt):
    """(text, tag) of AES-GCM."""
    global _nettle
    if _nettle is None:
        _nettle = ctypes.CDLL(ctypes.util.find_library("nettle") or "libnettle.so.8")
    call = {16: "nettle_gcm_aes128", 24: "nettle_gcm_aes192", 32: "nettle_gcm_aes256"}[len(key)]
    context, out, tag = (ctypes.create_string_buffer(n) for n in (16384, max(1, len(data)), 16))
    getattr(_nettle, f"{call}_set_key")(context, key)
    getattr(_nettle, f"{call}_set_iv")(context, ctypes.c_size_t(12), nonce)
    getattr(_nettle, f"{call}_update")(context, ctypes.c_size_t(len(associated)), associated)
    work = getattr(_nettle, f"{call}_decrypt" if decrypt else f"{call}_encrypt")
    work(context, ctypes.c_size_t(len(data)), out, data)
    getattr(_nettle, f"{call}_digest")(context, ctypes.c_size_t(16), tag)
    return out.raw[:len(data)], tag.raw


def encrypted(key, data, associated=b"", version=1):
    """Version 1 as every serf writes it; version 0 is padded."""
    nonce = os.urandom(12)
    if version == 0:
        pad = 16 - len(data) % 16
        data += bytes([pad]) * pad
    text, tag = _gcm(key, nonce, associated, data, False)
    return bytes([version]) + nonce + text + tag


def decrypted(keys, data, associated=b""):
    """(plain, which key) or ValueError."""
    if len(data) < 29 or data[0] > 1:
        raise ValueError("not encrypted")
    for key in keys:
        text, tag = _gcm(key, data[1:13], associated, data[13:-16], True)
        if tag == data[-16:]:
            return (text if data[0] == 1 else text[:-text[-1]]), key
    raise ValueError("no key opens it")


def encrypted_stream(key, data):
    frame = bytes([ENCRYPT]) + struct.pack(">I", len(data) + 29)
    return frame + encrypted(key, data, frame)


def opened(data, layers=()):
    """A datagram, decrypted already, down to its messages: [(layers, message)]."""
    if not data:
        raise ValueError("an empty message")
    if data[0] == HAS_CRC:
        if struct.unpack(">I", data[1:5])[0] != zlib.crc32(data[5:]):
            raise ValueError("a wrong CRC")
        return opened(data[5:], (*layers, HAS_CRC))
    if data[0] == COMPRESS:
        return opened(lzw_decode(unpack(data, 1)[0]["Buf"]), (*layers, COMPRESS))
    if data[0] != COMPOUND:
        return [(layers, data)]
    out, at = [], 2 + 2 * data[1]
    for size in struct.unpack_from(f">{data[1]}H", data, 2):
        out += opened(data[at:at + size], (*layers, COMPOUND))
        at += size
    if at != len(data):
        raise ValueError("a compound with bytes behind it")
    return out


def new_msgpack_in(data):
    """The first type byte in one msgpack object that memberlist 0.2.2 refuses (str8, bin, ext), or None."""
    at, left = 0, 1
    while left:
        kind = data[at]
        if 0xC4 <= kind <= 0xC9 or 0xD4 <= kind <= 0xD9:
            return kind
        left -= 1
        if 0x80 <= kind < 0xA0 or kind in (0xDC, 0xDD, 0xDE, 0xDF):
            form = {0xDC: ">H", 0xDE: ">H", 0xDD: ">I", 0xDF: ">I"}.get(kind)
            size = struct.unpack_from(form, data, at + 1)[0] if form else kind & 15
            is_map = kind in (0xDE, 0xDF) or 0x80 <= kind < 0x90
            left += 2 * size if is_map else size
            at += 1 + (struct.calcsize(form) if form else 0)
        else:
            _, at = unpack(data, at)
    return None
