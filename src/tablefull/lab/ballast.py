"""Entries put into a scene's table by ctnetlink: the days before the scene, so that only its last minute is played.

The trap: they must look like what they stand for, or whoever looks into the table is misled; so a scene says which
kind, and the report says how many were put in. All of them are ASSURED where the scene does not say otherwise: an entry
that may be evicted makes room.
"""

import socket
import struct
from collections.abc import Iterator
from itertools import islice
from random import Random

from msgspec import Struct

from tablefull.errors import KernelRefused
from tablefull.live.netlink import Netlink, check_end
from tablefull.wire import ctnetlink, nlattr
from tablefull.wire.nlattr import attribute

BATCH = 200
SEEN_REPLY, ASSURED, CONFIRMED = 1 << 1, 1 << 2, 1 << 3  # include/uapi/linux/netfilter/nf_conntrack_common.h
FIRST_SOURCE = 0xC6120000  # 198.18.0.0/15: for benchmarks, nobody's address (RFC 2544)
PORTS = 60000


class Kind(Struct, frozen=True):
    """What the entries are. ``state`` of TCP as the kernel numbers it; remaining time is drawn between the two."""

    server: str
    dport: int
    proto: int = 6
    state: int = 3
    least_s: int = 3600
    most_s: int = 428400
    status: int = SEEN_REPLY | ASSURED


def _direction(kind: Kind, source: bytes, sport: bytes, reply: bool) -> bytes:
    server, dport = socket.inet_aton(kind.server), struct.pack(">H", kind.dport)
    one, other = (server, source) if reply else (source, server)
    first, second = (dport, sport) if reply else (sport, dport)
    ip = attribute(1, attribute(1, one) + attribute(2, other), nested=True)
    ports = attribute(2, first) + attribute(3, second)
    proto = attribute(2, attribute(1, bytes([kind.proto])) + ports, nested=True)
    return attribute(ctnetlink.TUPLE_REPLY if reply else ctnetlink.TUPLE_ORIG, ip + proto, nested=True)


def message(kind: Kind, source: int, sport: int, remaining_s: int) -> bytes:
    """The request for one entry."""
    address, port = struct.pack(">I", source), struct.pack(">H", sport)
    parts = _direction(kind, address, port, reply=False) + _direction(kind, address, port, reply=True)
    parts += attribute(ctnetlink.TIMEOUT, struct.pack(">I", remaining_s))
    parts += attribute(ctnetlink.STATUS, struct.pack(">I", kind.status | CONFIRMED))
    if kind.proto == socket.IPPROTO_TCP:
        info = attribute(1, attribute(1, bytes([kind.state])), nested=True)
        parts += attribute(ctnetlink.PROTOINFO, info, nested=True)
    head = struct.pack(">BBH", socket.AF_INET, 0, 0)
    return nlattr.message(ctnetlink.SUBSYSTEM << 8 | ctnetlink.NEW, nlattr.REQUEST | nlattr.CREATE, 1, head + parts)


def messages(kind: Kind, count: int, seed: int = 1) -> Iterator[bytes]:
    """That many requests, no two alike: a template in which source, port and time are overwritten."""
    chance = Random(seed)  # noqa: S311 - remaining times, no secrets
    marks = (0xFEEDBEEF, 0xF1F2, 0x7ACEFACE)
    data = bytearray(message(kind, *marks))
    places = [_places(bytes(data), mark) for mark in (b"\xfe\xed\xbe\xef", b"\xf1\xf2", b"\x7a\xce\xfa\xce")]
    (source, reply_source), (sport, reply_sport), (remaining,) = places
    for at in range(count):
        address = FIRST_SOURCE + at // PORTS + 256 * (at % 251)
        struct.pack_into(">I", data, source, address)
        struct.pack_into(">I", data, reply_source, address)
        struct.pack_into(">H", data, sport, 1024 + at % PORTS)
        struct.pack_into(">H", data, reply_sport, 1024 + at % PORTS)
        struct.pack_into(">I", data, remaining, kind.least_s + int(chance.random() * (kind.most_s - kind.least_s)))
        yield bytes(data)


def _places(data: bytes, mark: bytes) -> list[int]:
    found, at = [], data.find(mark)
    while at >= 0:
        found.append(at)
        at = data.find(mark, at + len(mark))
    return found


def put_in(path: str, kind: Kind, count: int, seed: int = 1) -> None:
    """So many entries into the namespace behind ``path``; KernelRefused where the kernel refuses one."""
    with Netlink(namespace=path) as link:
        made = messages(kind, count, seed)
        while batch := b"".join(islice(made, BATCH)):
            link.socket.send(batch)
        link.socket.setblocking(False)
        try:
            data = link.socket.recv(1 << 16)
        except BlockingIOError:
            return
        for answer in nlattr.messages(data, len(data)):
            check_end(link.name, memoryview(data), answer)
    raise KernelRefused("ctnetlink: an entry was refused")
