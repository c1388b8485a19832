"""Entries as the kernel sends them, put together attribute by attribute after nfnetlink_conntrack.h."""

import struct

from tablefull.wire import ctnetlink as at
from tablefull.wire.nlattr import MULTI, attribute, message


def number(kind: int, value: int, size: int = 4) -> bytes:
    return attribute(kind, value.to_bytes(size, "big"))


def nest(kind: int, *parts: bytes) -> bytes:
    return attribute(kind, b"".join(parts), nested=True)


def ends(src: bytes, dst: bytes, *proto: bytes, zone: int | None = None) -> tuple[bytes, ...]:
    first = 1 if len(src) == 4 else 3
    ip = nest(1, attribute(first, src), attribute(first + 1, dst))
    return (ip, nest(2, *proto), *([] if zone is None else [number(3, zone, 2)]))


def ports(proto: int, sport: int, dport: int) -> tuple[bytes, ...]:
    return number(1, proto, 1), number(2, sport, 2), number(3, dport, 2)


def entry(*parts: bytes, kind: int = at.NEW, flags: int = MULTI, sequence: int = 1, family: int = 2) -> bytes:
    return message(at.SUBSYSTEM << 8 | kind, flags, sequence, struct.pack(">BBH", family, 0, 0) + b"".join(parts))


A, B = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
A6, B6 = bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db8000000000000000000000002")
WHOLE = (
    nest(at.TUPLE_ORIG, *ends(A, B, *ports(6, 4000, 443))),
    nest(at.TUPLE_REPLY, *ends(B, A, *ports(6, 443, 4000))),
    number(at.STATUS, 0x0E),
    number(at.MARK, 7),
    number(at.ID, 0x1234),
    number(at.USE, 1),
    number(at.TIMEOUT, 431999),
    nest(at.PROTOINFO, nest(1, number(1, 3, 1), number(2, 7, 1), number(3, 7, 1), attribute(4, b"\0\0"))),
)
FULL = (
    *WHOLE,
    number(at.ZONE, 5, 2),
    nest(at.COUNTERS_ORIG, number(1, 10, 8), number(2, 1 << 40, 8)),
    nest(at.COUNTERS_REPLY, number(1, 11, 8), number(2, 12, 8)),
    nest(at.TIMESTAMP, number(1, 1_700_000_000_000_000_000, 8)),
    attribute(at.LABELS, bytes(range(16))),
    nest(at.HELP, attribute(1, b"ftp\0")),
)
SIX = (
    nest(at.TUPLE_ORIG, *ends(A6, B6, *ports(17, 4000, 53))),
    nest(at.TUPLE_REPLY, *ends(B6, A6, *ports(17, 53, 4000))),
    number(at.STATUS, 0x08),
    number(at.TIMEOUT, 29),
)
PING = (
    nest(at.TUPLE_ORIG, *ends(A, B, number(1, 1, 1), number(4, 77, 2), number(5, 8, 1), number(6, 0, 1), zone=3)),
    nest(at.TUPLE_REPLY, *ends(B, A, number(1, 1, 1), number(4, 77, 2), number(5, 0, 1), number(6, 0, 1))),
    number(at.STATUS, 0x0A),
)
SAMPLES = (WHOLE, FULL, SIX, PING)
