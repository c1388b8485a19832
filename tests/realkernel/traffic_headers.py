"""IP headers that are unusual or wrong around ordinary datagrams: options, extension headers, lengths, checksums.

The trap: the kernel drops many of them after tracking has seen them (a source route, an option it cannot read), and
what tracking did to an entry stays. Only those are sent whose fate is decided before tracking, or that pass.
"""

import struct
from collections.abc import Iterator
from random import Random

from tests.realkernel.batch import Sent
from tests.realkernel.headers import DESTINATION, FRAGMENT, HOP_BY_HOP, NO_NEXT, ROUTING, UDP, Link, Peers

# Padding, an end, record route with room, router alert, timestamp with room, security. [RFC 791, RFC 2113]
OPTIONS = (
    b"\x01\x01\x01\x01",
    b"\x00\x00\x00\x00",
    b"\x07\x07\x04\x00\x00\x00\x00\x00",
    b"\x94\x04\x00\x00",
    b"\x01" * 40,
    b"\x82\x0b" + bytes(9) + b"\x00",
    b"\x88\x04\x00\x01",
)
PADDING = bytes((1, 4, 0, 0, 0, 0))


def headers(chance: Random, pairs: list[Peers]) -> Iterator[Sent]:
    """Such packets for ever."""
    while True:
        side = chance.getrandbits(1)
        link = chance.choice(pairs).link(side)
        ports = (chance.randrange(20000, 20010), 53)[:: 1 - 2 * side]
        body = link.datagram(UDP, *ports, bytes(chance.choice((0, 5, 40))))
        yield side, (old if link.family == 4 else new)(chance, link, body)


def old(chance: Random, link: Link, body: bytes) -> bytes:
    """An IPv4 packet."""
    if chance.random() < 0.4:
        return link.packet(UDP, body, options=chance.choice(OPTIONS))
    packet = bytearray(link.packet(UDP, body))
    roll = chance.randrange(9)
    if roll == 0:
        packet[10] ^= 1
    elif roll == 1:
        packet[0] = 0x40 | chance.randrange(5)
    elif roll == 2:
        packet[0] = 0x4F
    elif roll == 3:
        _total(packet, len(packet) + 1)
    elif roll == 4:
        _total(packet, chance.randrange(20))
    elif roll == 5:
        packet += bytes(chance.randrange(1, 30))  # a frame's padding: what lies beyond the length does not count
    elif roll == 6:
        del packet[chance.randrange(1, 20) :]
    elif roll == 7:
        packet[0] = chance.choice((0x15, 0x55, 0x75))
    else:
        _total(packet, 20 + chance.randrange(len(body) + 1))
    return bytes(packet)


def _total(packet: bytearray, total: int) -> None:
    """Another total length, the checksum right for it."""
    change = total - int.from_bytes(packet[2:4], "big")
    packet[2:4] = total.to_bytes(2, "big")
    sum_ = (int.from_bytes(packet[10:12], "big") - change) % 65535
    packet[10:12] = (sum_ or 65535).to_bytes(2, "big")


def extension(following: int, body: bytes = PADDING) -> bytes:
    """An extension header whose length is a multiple of 8."""
    return bytes((following, (len(body) + 2) // 8 - 1)) + body


def new(chance: Random, link: Link, body: bytes) -> bytes:
    """An IPv6 packet."""
    roll = chance.randrange(13)
    if roll == 0:
        return link.packet(HOP_BY_HOP, extension(UDP) + body)
    if roll == 1:
        return link.packet(DESTINATION, extension(UDP, bytes((1, 12)) + bytes(12)) + body)
    if roll == 2:
        kind = chance.choice((0, 2, 3, 4, 253))
        return link.packet(ROUTING, extension(UDP, bytes((kind, chance.randrange(2), 0, 0, 0, 0))) + body)
    if roll == 3:
        return link.packet(HOP_BY_HOP, extension(DESTINATION) + extension(ROUTING) + extension(UDP, bytes(6)) + body)
    if roll == 4:
        return link.packet(FRAGMENT, struct.pack("!BBHI", UDP, 0, 0, chance.getrandbits(32)) + body)
    if roll == 5:
        return link.packet(NO_NEXT, body[: chance.choice((0, 8))])
    if roll == 6:
        return link.packet(DESTINATION, extension(NO_NEXT) + body)
    if roll == 7:
        return link.packet(51, bytes((UDP, 4)) + bytes(22) + body)
    if roll == 8:
        return link.packet(DESTINATION, extension(UDP)[: chance.randrange(8)])
    if roll == 9:
        return link.packet(DESTINATION, bytes((UDP, 200)) + PADDING + body)
    packet = bytearray(link.packet(UDP, body))
    if roll == 10:
        packet += bytes(chance.randrange(1, 30))
    elif roll == 11:
        packet[4:6] = (len(body) + 1).to_bytes(2, "big")
    else:
        del packet[chance.randrange(1, len(packet)) :]
    return bytes(packet)
