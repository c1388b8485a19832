"""A table filled to order: entries of known kinds put into the running kernel through ctnetlink, in a namespace.

The trap: 1.5 million entries are to be there within seconds, so a message is a template in which addresses, ports and
state are overwritten, and a hundred of them go into one datagram. The host's limit has to allow it (host_limits).
"""

import socket
import struct
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from tablefull.live.netlink import Netlink
from tablefull.wire import ctnetlink, nlattr
from tablefull.wire.nlattr import attribute

BATCH = 200
SEEN_REPLY, ASSURED, CONFIRMED = 1 << 1, 1 << 2, 1 << 3


class Kind(NamedTuple):
    """One kind of entries: ``share`` of the whole; the source ports and addresses are drawn."""

    share: float
    proto: int
    dport: int
    state: int = 0
    timeout_s: int = 3600
    status: int = SEEN_REPLY | ASSURED
    six: bool = False


WEB = (
    Kind(0.30, 6, 443, 3, 400000),
    Kind(0.30, 6, 80, 7, 3000),
    Kind(0.15, 17, 53, 0, 3000, SEEN_REPLY),
    Kind(0.10, 17, 123, 0, 2500, 0),
    Kind(0.10, 6, 443, 3, 400000, six=True),
    Kind(0.05, 6, 25, 1, 2000, 0),
)


def _tuple(kind: Kind, reply: bool) -> bytes:
    words = (1, 2) if not kind.six else (3, 4)
    size = 16 if kind.six else 4
    ip = attribute(1, b"".join(attribute(word, bytes(size)) for word in words), nested=True)
    ports = attribute(2, bytes(2)) + attribute(3, bytes(2))
    proto = attribute(2, attribute(1, bytes([kind.proto])) + ports, nested=True)
    return attribute(ctnetlink.TUPLE_REPLY if reply else ctnetlink.TUPLE_ORIG, ip + proto, nested=True)


def _template(kind: Kind) -> tuple[bytearray, tuple[int, ...]]:
    """A message, and where source, destination, ports lie in it for either direction."""
    attributes = _tuple(kind, False) + _tuple(kind, True)
    attributes += attribute(ctnetlink.TIMEOUT, struct.pack(">I", kind.timeout_s))
    attributes += attribute(ctnetlink.STATUS, struct.pack(">I", kind.status | CONFIRMED))
    if kind.proto == 6:
        info = attribute(1, attribute(1, bytes([kind.state])), nested=True)
        attributes += attribute(ctnetlink.PROTOINFO, info, nested=True)
    family = socket.AF_INET6 if kind.six else socket.AF_INET
    flags = nlattr.REQUEST | nlattr.CREATE
    data = bytearray(
        nlattr.message(
            ctnetlink.SUBSYSTEM << 8 | ctnetlink.NEW, flags, 1, struct.pack(">BBH", family, 0, 0) + attributes
        )
    )
    size = 16 if kind.six else 4
    one = 20 + 4 + 4  # message and generic header, tuple, ip
    src = one + 4
    dst = src + size + 4
    ports = dst + size + 4 + 8 + 4  # proto nest, number, sport's header
    step = len(_tuple(kind, False))
    return data, (src, dst, ports, ports + 8, src + step, dst + step, ports + step, ports + 8 + step)


def messages(count: int, kinds: tuple[Kind, ...] = WEB, seed: int = 1) -> Iterator[bytes]:
    """That many entries, no two alike, in a drawn order of kinds."""
    chance = Random(seed)
    templates = [_template(kind) for kind in kinds]
    order = chance.choices(range(len(kinds)), [kind.share for kind in kinds], k=count)
    for number, which in enumerate(order):
        kind = kinds[which]
        data, (src, dst, sport, dport, reply_src, reply_dst, reply_sport, reply_dport) = templates[which]
        client = (0x0A000000 + number // 40000).to_bytes(4, "big")
        server = (0xC0A80000 + number % 7).to_bytes(4, "big")
        if kind.six:
            client, server = bytes(12) + client, bytes(12) + server
            client, server = b"\x20\x01" + client[2:], b"\x20\x01" + server[2:]
        size = len(client)
        port = (1024 + number % 40000).to_bytes(2, "big")
        service = kind.dport.to_bytes(2, "big")
        data[src : src + size] = data[reply_dst : reply_dst + size] = client
        data[dst : dst + size] = data[reply_src : reply_src + size] = server
        data[sport : sport + 2] = data[reply_dport : reply_dport + 2] = port
        data[dport : dport + 2] = data[reply_sport : reply_sport + 2] = service
        yield bytes(data)


def fill(link: Netlink, count: int, kinds: tuple[Kind, ...] = WEB, seed: int = 1) -> None:
    """Put that many entries into the namespace of ``link``. The kernel's first refusal ends it as KernelRefused."""
    from tablefull.live.netlink import check_end

    batch: list[bytes] = []
    for data in messages(count, kinds, seed):
        batch.append(data)
        if len(batch) == BATCH:
            link.socket.send(b"".join(batch))
            batch.clear()
    if batch:
        link.socket.send(b"".join(batch))
    link.socket.setblocking(False)
    try:
        data = link.socket.recv(1 << 16)
    except BlockingIOError:
        return
    finally:
        link.socket.setblocking(True)
    for message in nlattr.messages(data, len(data)):
        check_end(link.name, memoryview(data), message)
