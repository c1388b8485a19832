"""A packet read byte by byte, plainly: what the tests of the workload judge by."""

import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tablefull.twin.workload_frames import Block


class Plain(NamedTuple):
    """One packet of a block."""

    time_ns: int
    proto: int
    src: str
    dst: str
    sport: int
    dport: int
    flags: int
    seq: int
    ack: int
    payload: int
    right: bool  # lengths and checksums


def summed(data: bytes) -> int:
    """RFC 1071, as plainly as can be."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def plain(time_ns: int, raw: bytes) -> Plain:
    if raw[0] >> 4 == 4:
        right = summed(raw[:20]) == 0xFFFF and struct.unpack(">H", raw[2:4])[0] == len(raw)
        proto, body, ends, family = raw[9], raw[20:], raw[12:20], socket.AF_INET
    else:
        right = struct.unpack(">H", raw[4:6])[0] == len(raw) - 40
        proto, body, ends, family = raw[6], raw[40:], raw[8:40], socket.AF_INET6
    half = len(ends) // 2
    pseudo = ends + struct.pack(">II", len(body), proto)
    right &= summed(body if proto == 1 else pseudo + body) == 0xFFFF
    sport, dport = struct.unpack(">HH", body[:4])
    seq = ack = flags = 0
    head = 8
    if proto == 6:
        seq, ack, head, flags = struct.unpack(">IIBB", body[4:14])
        head = (head >> 4) * 4
    elif proto == 17:
        right &= struct.unpack(">H", body[4:6])[0] == len(body) and body[6:8] != b"\0\0"
    return Plain(
        time_ns, proto, socket.inet_ntop(family, ends[:half]), socket.inet_ntop(family, ends[half:]),
        sport, dport, flags, seq, ack, len(body) - head, right,
    )  # fmt: skip


def read(blocks: Iterable[Block]) -> Iterator[Plain]:
    for block in blocks:
        data = block.data.tobytes()
        for time_ns, start, size in zip(
            block.time_ns.tolist(), block.start.tolist(), block.captured.tolist(), strict=True
        ):
            yield plain(time_ns, data[start : start + size])


def pcap(blocks: Iterable[Block]) -> bytes:
    """The blocks as a capture of raw IP (link type 101) with nanoseconds."""
    parts = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 101)]
    for block in blocks:
        data = block.data.tobytes()
        for time_ns, start, size in zip(
            block.time_ns.tolist(), block.start.tolist(), block.captured.tolist(), strict=True
        ):
            parts += [struct.pack("<IIII", *divmod(time_ns, 10**9), size, size), data[start : start + size]]
    return b"".join(parts)
