"""ICMP and ICMPv6: queries of every type and code, answers nobody asked for, and errors about packets just sent.

The trap: an error is only interesting about something the kernel knows, so the generator is given what the others have
sent lately and quotes from it: whole, cut short at every edge, to the wrong address, as a fragment, about an error.
"""

import struct
from collections.abc import Iterator, Sequence
from random import Random

from tests.realkernel.batch import Sent
from tests.realkernel.headers import ICMPV6, ZEROS, Link, Peers, checksum, number

QUERIES = (8, 8, 8, 8, 13, 15, 17)
ANSWERS = {8: 0, 13: 14, 15: 16, 17: 18, 128: 129, 139: 140}
ERRORS = (3, 3, 3, 3, 4, 5, 11, 11, 12)
ERRORS6 = (1, 1, 1, 2, 2, 3, 3, 4, 0, 100, 127)
LINK_LOCAL = ("fe80::1", "fe80::2")


def queries(chance: Random, pairs: list[Peers]) -> Iterator[Sent]:
    """Queries and answers over few identifiers; one in ten of any type, code and length."""
    while True:
        side = chance.getrandbits(1)
        peers = chance.choice(pairs)
        link = peers.link(side)
        four = link.family == 4
        rest = chance.randrange(1, 12) << 16 | chance.randrange(4)
        code = 0 if chance.random() < 0.9 else chance.randrange(4)
        kind = chance.choice(QUERIES if four else (128, 128, 128, 139))
        roll = chance.random()
        payload = ZEROS[: chance.choice((0, 8, 12, 13, 56))]
        if roll < 0.45:
            yield side, link.icmp(kind, code, rest, payload)
            if roll < 0.3:
                yield 1 - side, peers.link(1 - side).icmp(ANSWERS[kind], code, rest, payload)
        elif roll < 0.80:
            yield side, link.icmp(ANSWERS[kind], code, rest, payload)
        elif roll < 0.85:
            yield side, link.icmp(kind, code, rest, payload, flaw=chance.choice((1, 256, 0x8000)))
        elif roll < 0.90:
            message = link.icmp(kind, code, rest)[20 if four else 40 :]
            yield side, link.packet(link.icmp_protocol, message[: chance.randrange(8)])
        elif four:
            yield side, link.icmp(chance.randrange(chance.choice((20, 256))), code, rest, payload)
        else:
            yield side, link.icmp(chance.randrange(chance.choice((128, 130)), 256), code, rest, payload)


def neighbours(chance: Random, pairs: list[Peers]) -> Iterator[Sent]:
    """Neighbour and router discovery, multicast listeners, redirects: from near and far, with every hop limit."""
    six = [peers for peers in pairs if peers.right.family == 6]
    while True:
        side = chance.getrandbits(1)
        peers = chance.choice(six)
        link = peers.link(side)
        if chance.random() < 0.6:
            target = chance.choice((str(link.dst), "ff02::1", "ff02::16"))
            link = Link(chance.choice((*LINK_LOCAL, str(link.src))), target, side)
        kind = chance.choice((130, 131, 132, 133, 134, 135, 136, 137, 137, 138, 141, 143, 151))
        payload = ZEROS[: chance.choice((0, 16, 20, 32))]
        yield side, link.icmp(kind, chance.choice((0, 0, 0, 1)), 0, payload, ttl=chance.choice((255, 255, 64)))


def errors(chance: Random, recent: Sequence[tuple[int, bytes]]) -> Iterator[Sent]:
    """Errors about packets of ``recent`` (side and packet), which others fill."""
    while True:
        side, about = recent[int(chance.random() * len(recent))]
        yield error(chance, side, about)


def error(chance: Random, side: int, about: bytes) -> Sent:
    """An error about a packet that entered by ``side``, coming back from the other."""
    four = about[0] >> 4 == 4
    head = (about[0] & 15) * 4 if four else 40
    inner = bytearray(about)
    roll = chance.random()
    if roll < 0.05:
        inner[head : head + 2] = chance.getrandbits(16).to_bytes(2, "big")  # ports nobody used
    elif roll < 0.08 and four:
        inner[6:8] = chance.choice((b"\x20\x00", b"\x00\x05", b"\x20\x05", b"\x40\x00"))
    elif roll < 0.10:
        inner[9 if four else 6] = chance.choice((1, 6, 17, 58, 99, 132, 44, 59))
    elif roll < 0.12:
        inner[0] = chance.choice((0x45, 0x46, 0x44, 0x4F, 0x60, 0x00))
    elif roll < 0.14:
        inner[2:4] = b"\x00\x00"
    size = chance.choice((head + 8, head + 8, head + 8, len(inner), len(inner), head + 20, head + 4, head + 7))
    if chance.random() < 0.1:
        size = chance.randrange(0, head + 9)
    quoted = bytes(inner[: min(size, 1200)])
    width = 4 if four else 16
    at = 12 if four else 8
    source, target = about[at : at + width], about[at + width : at + 2 * width]
    roll = chance.random()
    if roll < 0.3:  # a router on the way
        target = target[:-1] + bytes((200 + chance.randrange(3),))
    elif roll < 0.36:
        source = source[:-1] + bytes((chance.randrange(1, 5),))
    elif roll < 0.39:
        source, target = target, source
        side = 1 - side
    link = Link(_text(target), _text(source), 1 - side)
    kind = chance.choice(ERRORS if four else ERRORS6)
    flaw = 1 if chance.random() < 0.03 else 0
    code = chance.choice((0, 0, 1, 2, 3, 4, 9, 13))
    if not four and chance.random() < 0.1:
        return redirect(chance, link, quoted)
    return 1 - side, link.icmp(kind, code, chance.choice((0, 1400, 0x10000000)), quoted, flaw=flaw)


def redirect(chance: Random, link: Link, quoted: bytes) -> Sent:
    """A redirect that quotes a packet; from a link-local router with hop limit 255 it counts."""
    link = Link(chance.choice((*LINK_LOCAL, str(link.src))), str(link.dst), link.side)
    option = struct.pack("!BBHI", chance.choice((4, 4, 4, 2)), chance.choice((0, *[1 + len(quoted) // 8] * 4)), 0, 0)
    body = bytes(4) + ZEROS[:32] + option + quoted
    body = body[: chance.choice((*[len(body)] * 8, 20, 36, 40, 44))]
    code = chance.choice((0, 0, 0, 0, 1))
    total = link.pseudo + ICMPV6 + 4 + len(body) + (137 << 8) + code + number(body)
    message = struct.pack("!BBH", 137, code, checksum(total)) + body
    return link.side, link.packet(ICMPV6, message, ttl=chance.choice((255, 255, 255, 64)))


def _text(packed: bytes) -> str:
    if len(packed) == 4:
        return ".".join(map(str, packed))
    return ":".join(packed[at : at + 2].hex() for at in range(0, 16, 2))
