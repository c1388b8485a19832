"""SCTP associations over few ports: as two hosts hold them, and with chunks, tags and lengths that do not fit.

The trap: a packet with a wrong CRC32c says nothing of the state machine behind it, so the sum is made right here, in
plain Python, a table look-up a byte.
"""

import struct
from collections.abc import Iterator
from random import Random

from tests.realkernel.batch import Sent
from tests.realkernel.headers import SCTP, ZEROS, Peers

DATA, INIT, INIT_ACK, SACK, HEARTBEAT, HEARTBEAT_ACK, ABORT, SHUTDOWN, SHUTDOWN_ACK, ERROR, COOKIE_ECHO, COOKIE_ACK = (
    range(12)
)
SHUTDOWN_COMPLETE = 14
KINDS = (*range(12), SHUTDOWN_COMPLETE)
T_FLAG = 1


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _table()


def crc32c(data: bytes) -> int:
    """CRC32c (RFC 9260, appendix A), as the four bytes in the packet read little-endian."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


def chunk(kind: int, body: bytes = b"", flags: int = 0, length: int | None = None) -> bytes:
    """A chunk, padded; ``length`` replaces what is right."""
    written = 4 + len(body) if length is None else length
    return struct.pack("!BBH", kind, flags, written & 0xFFFF) + body + bytes(-len(body) % 4)


def init_body(tag: int) -> bytes:
    """What INIT and INIT ACK carry."""
    return struct.pack("!IIHHI", tag, 65536, 10, 10, 1)


class Association:
    """A pair of ports, the tags both sides chose, and how far they have come."""

    def __init__(self, chance: Random, peers: Peers) -> None:
        self.chance, self.peers = chance, peers
        self.ports = (chance.randrange(36412, 36440), chance.choice((2905, 3868)))
        self.opener = chance.getrandbits(1)
        self.tags = [self._tag(), self._tag()]
        self.step = 0
        self.hostility = chance.choice((0.05, 0.3, 0.6))

    def _tag(self) -> int:
        return self.chance.choice((0, 1, 2, 0xFFFFFFFF)) if self.chance.random() < 0.1 else self.chance.getrandbits(32)

    def packet(self, side: int, tag: int, chunks: bytes, *, flaw: int = 0, cut: int | None = None) -> Sent:
        """The packet; ``tag`` is the receiver's."""
        ports = self.ports[:: 1 - 2 * side]
        head = struct.pack("!HHI", *ports, tag)
        sum_ = crc32c(head + bytes(4) + chunks) ^ flaw
        whole = head + struct.pack("<I", sum_) + chunks
        return side, self.peers.link(side).packet(SCTP, whole[:cut])

    def natural(self) -> Sent:
        """The next packet of an association that goes well."""
        here, there = self.opener, 1 - self.opener
        mine, theirs = self.tags[here], self.tags[there]
        chance, step = self.chance, self.step
        self.step += 1
        if step == 0:
            return self.packet(here, 0, chunk(INIT, init_body(mine)))
        if step == 1:
            if chance.random() < 0.1:  # both at once
                self.step = 1
                self.opener = there
                return self.packet(there, 0, chunk(INIT, init_body(theirs)))
            return self.packet(there, mine, chunk(INIT_ACK, init_body(theirs)))
        if step == 2:
            data = chunk(DATA, ZEROS[:12]) if chance.random() < 0.3 else b""
            return self.packet(here, theirs, chunk(COOKIE_ECHO, ZEROS[:8]) + data)
        if step == 3:
            return self.packet(there, mine, chunk(COOKIE_ACK))
        roll = chance.random()
        if step < 100 and roll < 0.75:
            self.step = 4
            side = chance.getrandbits(1)
            kind = chance.choice((DATA, DATA, SACK, HEARTBEAT, HEARTBEAT_ACK, ERROR))
            return self.packet(side, self.tags[1 - side], chunk(kind, ZEROS[:12]))
        if step < 100 and roll < 0.82:
            self._renew()
            side = chance.getrandbits(1)
            reflected = chance.getrandbits(1)
            return self.packet(side, self.tags[side if reflected else 1 - side], chunk(ABORT, b"", reflected))
        self.step = max(self.step, 101)
        if self.step == 101:
            return self.packet(here, theirs, chunk(SHUTDOWN, ZEROS[:4]))
        if self.step == 102:
            return self.packet(there, mine, chunk(SHUTDOWN_ACK))
        self._renew()
        return self.packet(here, theirs, chunk(SHUTDOWN_COMPLETE, b"", 0))

    def _renew(self) -> None:
        self.step = 0
        if self.chance.random() < 0.8:
            self.tags = [self._tag(), self._tag()]
        if self.chance.random() < 0.5:
            self.opener = 1 - self.opener

    def hostile(self) -> Sent:
        """Chunks in any order, tags of either side or none, lengths that lie, a wrong sum, a short header."""
        chance = self.chance
        side = chance.getrandbits(1)
        chunks = b""
        for _ in range(chance.choice((1, 1, 1, 1, 2, 2, 3, 0))):
            kind = chance.choice(KINDS) if chance.random() < 0.95 else chance.randrange(256)
            body = ZEROS[: chance.choice((0, 4, 12, 16))]
            if kind in (INIT, INIT_ACK):
                body = init_body(self.tags[side] if chance.random() < 0.7 else chance.getrandbits(32))
                body = body[: chance.choice((16, 16, 16, 16, 12, 4, 0))]
            length = None if chance.random() < 0.93 else chance.choice((0, 1, 3, 4, 5, 8, 20, 1000))
            chunks += chunk(kind, body, chance.choice((0, 0, T_FLAG, 2, 255)), length)
        if chance.random() < 0.04:
            chunks += chance.choice((b"\0", b"\x03\0\0", b"\0\0\0\0", b"\x0a\0\0\x04"))
        tag = chance.choice((self.tags[1 - side], self.tags[1 - side], self.tags[side], 0, chance.getrandbits(32)))
        flaw = 1 << chance.randrange(32) if chance.random() < 0.04 else 0
        cut = chance.choice((0, 4, 8, 11, 12, 13, 15)) if chance.random() < 0.04 else None
        return self.packet(side, tag, chunks, flaw=flaw, cut=cut)


def sctp(chance: Random, pairs: list[Peers], at_once: int = 10) -> Iterator[Sent]:
    """Associations for ever, a few at a time."""
    active = [Association(chance, chance.choice(pairs)) for _ in range(at_once)]
    while True:
        place = int(chance.random() * at_once)
        one = active[place]
        if chance.random() < 0.01:
            active[place] = Association(chance, chance.choice(pairs))
        yield one.hostile() if chance.random() < one.hostility else one.natural()
