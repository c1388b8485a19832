"""UDP, UDP-Lite, GRE and protocols the kernel has no tracker for, right and wrong, over few ports.

The trap: the kernel sums a UDP-Lite datagram as if it were UDP, so what RFC 3828 calls right is INVALID, and the other
way round (measured on 6.18.44, both families, every coverage). Both kinds are sent.
"""

import struct
from collections.abc import Iterator
from random import Random

from tests.realkernel.batch import Sent
from tests.realkernel.headers import GRE, UDP, UDPLITE, ZEROS, Link, Peers

PORTS = (53, 53, 123, 500, 4500, 5353, 0, 65535)
# Without a tracker on 6.18 (DCCP, 33, lost its own in 6.17); ICMP of the wrong family (1, 58) among them.
GENERIC = (2, 4, 33, 33, 41, 50, 50, 51, 51, 89, 99, 99, 103, 112, 115, 253, 254, 255, 1, 58)


def udp(chance: Random, pairs: list[Peers]) -> Iterator[Sent]:
    """Datagrams for ever: most right, some with no checksum, a wrong one, a wrong length, or cut short."""
    while True:
        side = chance.getrandbits(1)
        peers = chance.choice(pairs)
        link = peers.link(side)
        ports = (chance.randrange(20000, 20030), chance.choice(PORTS))
        ports = ports[:: 1 - 2 * side]
        payload = ZEROS[: chance.choice((0, 1, 12, 13, 100, 512))]
        roll = chance.random()
        if roll < 0.80:
            yield side, link.udp(*ports, payload)
            if roll < 0.25:
                yield 1 - side, peers.link(1 - side).udp(*ports[::-1], payload)
        elif roll < 0.86:
            yield side, link.udp(*ports, payload, check=0)
        elif roll < 0.90:
            yield side, link.udp(*ports, payload, check=chance.getrandbits(16))
        elif roll < 0.95:
            length = 8 + len(payload) + chance.choice((-9, -8, -1, 1, 2, 60000 - len(payload)))
            length = max(length, 0)
            yield side, link.udp(*ports, payload, length=length, check=chance.choice((0, -1)))
        else:
            yield side, link.packet(UDP, link.datagram(UDP, *ports, payload)[: chance.randrange(9)])


def udplite(chance: Random, pairs: list[Peers]) -> Iterator[Sent]:
    """The same for UDP-Lite, whose length field is what its checksum covers."""
    while True:
        side = chance.getrandbits(1)
        link = chance.choice(pairs).link(side)
        ports = (chance.randrange(20000, 20030), chance.choice((7, 8)))[:: 1 - 2 * side]
        payload = ZEROS[: chance.choice((0, 1, 12, 13, 100))]
        size = 8 + len(payload)
        covered = chance.choice((0, 0, 8, 9, 12, size, size - 1, size + 1, 1, 7))
        check = chance.choice((-1, -1, -1, -1, -1, 0, 0x1234))
        as_ = chance.choice((UDP, UDP, UDP, UDPLITE))
        body = link.datagram(UDPLITE, *ports, payload, length=covered, check=check, summed_as=as_)
        if chance.random() < 0.05:
            body = body[: chance.randrange(9)]
        yield side, link.packet(UDPLITE, body)


def gre(chance: Random, pairs: list[Peers]) -> Iterator[Sent]:
    """Version 0 with and without a key, version 1 (PPTP) with call numbers, other versions, cut short."""
    while True:
        side = chance.getrandbits(1)
        link = chance.choice(pairs).link(side)
        roll = chance.random()
        call = chance.choice((0, 1, 2, 77))
        if roll < 0.35:
            body = struct.pack("!HH", 0, 0x0800) + ZEROS[:20]
        elif roll < 0.5:
            body = struct.pack("!HHI", 0x2000, 0x6558, call) + ZEROS[:20]
        elif roll < 0.85:
            body = struct.pack("!HHHH", chance.choice((0x3001, 0x2001, 0x3081)), 0x880B, 4, call) + ZEROS[:8]
        elif roll < 0.92:
            body = struct.pack("!HHHH", 0x3001, chance.choice((0x0800, 0x880A)), 4, call) + ZEROS[:8]
        elif roll < 0.95:
            body = struct.pack("!HHHH", chance.choice((2, 3, 7)), 0x880B, 4, call) + ZEROS[:8]
        else:
            body = struct.pack("!HHHH", 0x3001, 0x880B, 4, call)[: chance.randrange(9)]
        yield side, link.packet(GRE, body)


def generic(chance: Random, pairs: list[Peers]) -> Iterator[Sent]:
    """Protocols without a tracker, some with nothing after the header."""
    while True:
        side = chance.getrandbits(1)
        link: Link = chance.choice(pairs).link(side)
        protocol = chance.choice(GENERIC) if chance.random() < 0.9 else chance.randrange(256)
        body = chance.randbytes(chance.choice((0, 1, 4, 8, 16, 40)))
        if link.family == 6 and protocol == 51:  # an extension header: next header 99, six words
            body = bytes((99, 4)) + bytes(22)
        elif link.family == 6 and protocol in (0, 43, 44, 60, 135, 139, 140):
            continue
        yield side, link.packet(protocol, body)
