"""Datagrams in pieces: in order, backwards, shuffled, doubled, overlapping, with one missing, and tiny.

The trap: IPv6 (6.18) throws away a piece below 1280 bytes that is not the last, so datagrams that are to arrive are cut
into larger ones, and some on purpose are not. Pieces of one datagram stay close together, because IPv4 gives up a
datagram when more than 64 other pieces of the same sender came between (net.ipv4.ipfrag_max_dist).
"""

import struct
from collections.abc import Iterator
from itertools import pairwise
from random import Random

from tests.realkernel.batch import Sent
from tests.realkernel.headers import DESTINATION, FRAGMENT, TCP, UDP, Link, Peers

MORE = 0x2000


def pieces(link: Link, protocol: int, body: bytes, cuts: list[int], ident: int, *, before: bytes = b"") -> list[bytes]:
    """The datagram cut at these offsets (multiples of 8). IPv6: ``before`` is an extension header to stand first."""
    edges = [0, *cuts, len(body)]
    found = []
    for begin, end in pairwise(edges):
        found.append(piece(link, protocol, body[begin:end], begin, end < len(body), ident, before=before))
    return found


def piece(link: Link, protocol: int, part: bytes, begin: int, more: bool, ident: int, *, before: bytes = b"") -> bytes:
    """One piece that begins at an offset in bytes."""
    if link.family == 4:
        return link.packet(protocol, part, place=(MORE if more else 0) | begin >> 3, ident=ident & 0xFFFF)
    head = struct.pack("!BBHI", protocol, 0, begin & 0xFFF8 | more, ident)
    if before:
        return link.packet(DESTINATION, bytes((FRAGMENT,)) + before[1:] + head + part)
    return link.packet(FRAGMENT, head + part)


def fragments(chance: Random, pairs: list[Peers]) -> Iterator[Sent]:
    """Datagrams for ever, their pieces one after the other."""
    while True:
        side = chance.getrandbits(1)
        peers = chance.choice(pairs)
        for packet in datagram(chance, peers.link(side)):
            yield side, packet


def datagram(chance: Random, link: Link) -> list[bytes]:
    """The pieces of one datagram in the order they are sent."""
    four = link.family == 4
    ports = (chance.randrange(20000, 20020), 53)[:: 1 - 2 * link.side]
    size = chance.choice((16, 40, 200, 1400, 3000)) if four else chance.choice((2000, 3000, 4000, 1400))
    protocol, body = UDP, link.datagram(UDP, *ports, bytes(size))
    roll = chance.random()
    if roll < 0.15:
        protocol, body = link.icmp_protocol, _echo(link, size)
    elif roll < 0.25:
        protocol = TCP
        body = link.segment(*ports, chance.getrandbits(32), chance.getrandbits(32), 0x10, 1000, bytes(size))
    elif roll < 0.30:
        protocol = 99
    if chance.random() < 0.05:
        flaw = bytearray(body)
        flaw[-1] ^= 1
        body = bytes(flaw)
    least = 8 if four or chance.random() < 0.15 else 1280
    places = range(least, len(body), 8)
    wanted = chance.choice((1, 1, 2, 3)) if least == 8 else len(body) // least
    cuts = sorted(chance.sample(places, min(wanted, len(places)))) if least == 8 else _spaced(chance, len(body), least)
    ident = chance.getrandbits(32)
    before = bytes((0, 0, 1, 4, 0, 0, 0, 0)) if not four and chance.random() < 0.1 else b""
    parts = pieces(link, protocol, body, cuts, ident, before=before)
    return arranged(chance, link, parts, protocol, ident, len(body))


def _spaced(chance: Random, size: int, least: int) -> list[int]:
    cuts, at = [], 0
    while at + least < size and len(cuts) < 4:
        at += chance.randrange(least, least + 200) & ~7
        if at < size:
            cuts.append(at)
    return cuts


def arranged(chance: Random, link: Link, parts: list[bytes], protocol: int, ident: int, size: int) -> list[bytes]:
    """The pieces in some order, some of them twice, missing, or joined by one that overlaps."""
    roll = chance.random()
    if roll < 0.40:
        return parts
    if roll < 0.55:
        return parts[::-1]
    if roll < 0.65:
        return chance.sample(parts, len(parts))
    if roll < 0.72:  # one missing for ever
        missing = chance.randrange(len(parts))
        return parts[:missing] + parts[missing + 1 :]
    if roll < 0.80:  # one twice
        again = chance.choice(parts)
        return chance.choice(([*parts, again], [parts[0], again, *parts[1:]], [again, *parts]))
    begin = chance.randrange(0, max(size, 16), 8)
    odd = piece(link, protocol, bytes(chance.choice((8, 16, 24))), begin, chance.random() < 0.7, ident)
    if roll < 0.92:  # one that overlaps or lies beyond the end
        place = chance.randrange(len(parts) + 1)
        return [*parts[:place], odd, *parts[place:]]
    if roll < 0.96:  # a piece whose length is no multiple of 8, or empty
        odd = piece(link, protocol, bytes(chance.choice((0, 7, 9, 20))), begin, True, ident)
        return [odd, *parts]
    return [piece(link, protocol, bytes(chance.choice((4, 8, 20, 100))), 0, False, ident)]


def _echo(link: Link, size: int) -> bytes:
    packet = link.icmp(8 if link.family == 4 else 128, 0, 77 << 16, bytes(size))
    return packet[20 if link.family == 4 else 40 :]
