"""TCP at its edges: packets chosen beside what tracking remembers of both sides of a connection.

The trap: chance alone almost never meets a bound. So each connection carries a rough model of what the kernel keeps
(the end, the highest end allowed, the largest window, the highest acknowledgement of each side), and numbers are taken
one below, at and one above the bounds that follow. The model may be wrong: it only says where to aim.
"""

from collections.abc import Iterator
from random import Random

from tests.realkernel.batch import Sent
from tests.realkernel.headers import ACK, CWR, ECE, FIN, M32, PSH, RST, SYN, URG, ZEROS, Peers, initial_sequence

MAX_ACK_WINDOW = 66000  # net/netfilter/nf_conntrack_proto_tcp.c, MAXACKWINCONST
PORTS = (80, 443, 22, 1234, 40000, 40001)
OPEN, WAITING, ANSWERED, DATA, CLOSING = range(5)

_FLAGS = (
    *[ACK] * 16, *[ACK | PSH] * 6, *[SYN] * 7, *[SYN | ACK] * 6, *[RST] * 6, *[RST | ACK] * 6, *[FIN | ACK] * 7,
    *[FIN | ACK | PSH] * 2, ACK | URG, SYN | URG, FIN | ACK | URG, FIN, 0, PSH, URG, SYN | FIN, SYN | RST, RST | FIN,
    SYN | ACK | FIN, SYN | ACK | URG, RST | URG, SYN | ACK | RST, FIN | PSH | URG, 0x3F, 0xFF, SYN | ECE | CWR,
    SYN | ACK | ECE, ACK | ECE, ACK | CWR, SYN | PSH, RST | PSH, RST | ACK | PSH, FIN | URG, SYN | ACK | PSH,
)  # fmt: skip
_WINDOWS = (0, 0, 1, 2, 100, 1000, 1000, 4096, 8192, 29200, 64240, 65535, 65535)
_LENGTHS = (0, 0, 0, 0, 1, 1, 2, 10, 100, 536, 1460)
_NEAR = (0, 0, 0, 0, 0, -1, -1, 1, 1, -2, 2)


class Side:
    """What one side has said."""

    __slots__ = (
        "end",
        "isn",
        "last_ack",
        "last_seq",
        "maxack",
        "maxend",
        "maxwin",
        "offered",
        "sack",
        "scale",
        "window",
    )

    def __init__(self) -> None:
        self.isn = self.end = self.maxend = self.maxack = self.last_seq = self.last_ack = 0
        self.maxwin = self.window = self.scale = 0
        self.offered: int | None = None
        self.sack = False


class Connection:
    """A pair of ports between two hosts, used again and again."""

    __slots__ = ("hostility", "links", "opener", "ports", "sides", "stage")

    def __init__(self, peers: Peers, left_port: int, right_port: int, hostility: float = 0.2) -> None:
        self.links = (peers.right, peers.left)
        self.ports = (left_port, right_port)
        self.sides = (Side(), Side())
        self.stage, self.opener = OPEN, 0
        self.hostility = hostility

    def send(
        self, side: int, seq: int, ack: int, flags: int, window: int, length: int = 0, options: bytes = b""
    ) -> Sent:
        """The packet; the model hears of it."""
        link = self.links[side]
        seq &= M32
        ack &= M32
        me, other = self.sides[side], self.sides[1 - side]
        end = (seq + length + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)) & M32
        if flags & SYN:
            if not flags & RST and self.stage < DATA:
                me.end = me.maxend = end
                me.maxwin = window or 1
        elif (seq - me.maxend - 1) & M32 >= 1 << 31 and (ack - other.end - 1) & M32 >= 1 << 31 and not flags & RST:
            wide = window << me.scale
            me.maxwin = max(me.maxwin, wide)
            if (me.end - end) & M32 >= 1 << 31:
                me.end = end
            if (other.maxend - ack - wide) & M32 >= 1 << 31:
                other.maxend = (ack + (wide or 1)) & M32
            if (me.maxack - ack) & M32 >= 1 << 31:
                me.maxack = ack
        me.last_seq, me.last_ack = end, ack
        return side, link.tcp(self.ports[side], self.ports[1 - side], seq, ack, flags, window, ZEROS[:length], options)

    def natural(self, chance: Random) -> Sent:
        """The next packet of a connection that goes well, more or less."""
        opener, sides = self.opener, self.sides
        roll = chance.random()
        if self.stage == OPEN:
            self.opener = opener = chance.getrandbits(1)
            me, other = sides[opener], sides[1 - opener]
            # A tuple used again: above what was, below it, or anywhere.
            me.isn = (
                initial_sequence(chance) if roll < 0.6 else (me.end + chance.choice((1, 0, -1, 5000, -70000))) & M32
            )
            other.isn = initial_sequence(chance)
            me.maxack = other.maxack = other.maxend = other.end = other.maxwin = me.scale = other.scale = 0
            self.stage = WAITING
            options = offer(chance, me)
            return self.send(opener, me.isn, 0, SYN, window(chance, me), 0, options)
        if self.stage == WAITING:
            me, other = sides[1 - opener], sides[opener]
            if roll < 0.06:  # both open at once
                return self.send(1 - opener, me.isn, 0, SYN, window(chance, me), 0, offer(chance, me))
            if roll < 0.12:  # refused
                self.stage = OPEN
                return self.send(1 - opener, 0, other.isn + 1, RST | ACK, 0)
            self.stage = ANSWERED
            options = offer(chance, me)
            if me.offered is not None and other.offered is not None:
                me.scale, other.scale = min(me.offered, 14), min(other.offered, 14)
            return self.send(1 - opener, me.isn, other.isn + 1, SYN | ACK, window(chance, me), 0, options)
        if self.stage == ANSWERED:
            self.stage = DATA
            me, other = sides[opener], sides[1 - opener]
            return self.send(opener, me.isn + 1, other.isn + 1, ACK, window(chance, me))
        side = chance.getrandbits(1)
        me, other = sides[side], sides[1 - side]
        if self.stage == DATA:
            if roll < 0.45:
                return self.send(side, me.end, other.end, ACK | PSH, window(chance, me), chance.choice(_LENGTHS))
            if roll < 0.85:
                return self.send(side, me.end, other.end, ACK, window(chance, me), 0, acknowledged(chance, other))
            if roll < 0.90:  # keepalive
                return self.send(side, me.end - 1, other.end, ACK, me.window, chance.getrandbits(1))
            if roll < 0.97:
                return self.send(side, me.end, other.end, ACK, me.window, chance.choice(_LENGTHS))
            if roll < 0.98:
                self.stage = OPEN
                return self.send(side, me.end, 0, RST, 0)
            self.stage = CLOSING
            return self.send(side, me.end, other.end, FIN | ACK, me.window)
        if roll < 0.25:
            return self.send(side, me.end, other.end, FIN | ACK, me.window)
        if roll < 0.80:
            return self.send(side, me.end, other.end, ACK, me.window)
        self.stage = OPEN
        return self.send(side, me.end, other.end, chance.choice((RST, RST | ACK, ACK)), 0)

    def hostile(self, chance: Random) -> Sent:
        """A packet at some bound."""
        side = chance.getrandbits(1)
        me, other = self.sides[side], self.sides[1 - side]
        flags = chance.choice(_FLAGS)
        length = chance.choice(_LENGTHS)
        roll = int(chance.random() * 16)
        if roll < 4:
            seq = me.end
        elif roll < 6:
            seq = me.maxend
        elif roll < 8:
            seq = me.end - other.maxwin - 1 - length
        elif roll == 8:
            seq = me.maxend + other.maxwin - length
        elif roll == 9:
            seq = other.maxack
        elif roll == 10:
            seq = me.last_seq
        elif roll == 11:
            seq = 0
        elif roll == 12:
            seq = me.isn
        elif roll == 13:
            seq = me.end + chance.randrange(-3000, 3000)
        elif roll == 14:
            seq = chance.getrandbits(32)
        else:
            seq = other.last_ack
        roll = int(chance.random() * 12)
        if roll < 5:
            ack = other.end
        elif roll == 5:
            ack = other.end - max(MAX_ACK_WINDOW, me.maxwin) - 1
        elif roll == 6:
            ack = me.maxack
        elif roll == 7:
            ack = 0
        elif roll == 8:
            ack = other.last_seq
        elif roll == 9:
            ack = other.end + chance.randrange(-70000, 3000)
        elif roll == 10:
            ack = other.isn + 1
        else:
            ack = chance.getrandbits(32)
        if flags & SYN:
            length = chance.choice((0, 0, 0, 0, 0, 1, 500))
            options = offer(chance, me) if chance.random() < 0.7 else some_options(chance, other.end)
        else:
            options = some_options(chance, other.end) if chance.random() < 0.25 else b""
        if flags & RST and chance.random() < 0.5:
            self.stage = OPEN
        return self.send(
            side,
            seq + chance.choice(_NEAR),
            ack + chance.choice(_NEAR),
            flags,
            chance.choice(_WINDOWS) if chance.random() < 0.7 else me.window,
            length,
            options,
        )

    def again(self, chance: Random) -> Sent:
        """The same segment once more: a counter of retransmissions counts exact copies."""
        side = chance.getrandbits(1)
        me, other = self.sides[side], self.sides[1 - side]
        return self.send(side, me.end - 10, other.end, ACK, me.window, 10)


def window(chance: Random, me: Side) -> int:
    """What a side says of its room: mostly what it said before."""
    if chance.random() < 0.3:
        me.window = chance.choice(_WINDOWS)
    return me.window


def offer(chance: Random, me: Side) -> bytes:
    """Options of a SYN: window scaling absent or 0 .. 15, selective acknowledgement, timestamps, a segment size."""
    roll = chance.random()
    me.sack = False
    me.offered = None
    if roll < 0.15:
        return b""
    text = b"\x02\x04\x05\xb4" if roll < 0.9 else b""
    if chance.random() < 0.7:
        text += b"\x04\x02\x01\x01"
        me.sack = True
    if chance.random() < 0.6:
        me.offered = chance.choice((0, 1, 2, 7, 8, 13, 14, 15, 255, chance.randrange(15)))
        text += b"\x01\x03\x03" + bytes((me.offered,))
    if chance.random() < 0.3:
        text += b"\x01\x01\x08\x0a" + chance.getrandbits(64).to_bytes(8, "big")
    return text


def acknowledged(chance: Random, other: Side) -> bytes:
    """Options of an acknowledgement: none, timestamps, or blocks below what the other side has sent."""
    roll = chance.random()
    if roll < 0.6:
        return b""
    stamp = b"\x01\x01\x08\x0a" + chance.getrandbits(64).to_bytes(8, "big")
    if roll < 0.8:
        return stamp
    blocks = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        right = other.end + chance.choice((0, 0, -1, -100, -1460))
        blocks.append((right - chance.choice((1, 100, 1460))) & M32)
        blocks.append(right & M32)
    text = b"\x01\x01\x05" + bytes((2 + 4 * len(blocks),)) + b"".join(edge.to_bytes(4, "big") for edge in blocks)
    return stamp + text if roll < 0.9 and len(blocks) < 7 else text


def some_options(chance: Random, end: int) -> bytes:
    """Options that no honest host sends: blocks at the bound, lengths 0, 1 and beyond the header, an early end."""
    edge = ((end + chance.choice((-1, 0, 1, 2, 1000, -70000))) & M32).to_bytes(4, "big")
    roll = int(chance.random() * 14)
    if roll < 3:
        return b"\x01\x01\x05\x0a" + ((end - 10) & M32).to_bytes(4, "big") + edge
    if roll < 4:
        return b"\x01\x01\x05\x12" + edge + edge + ((end - 20) & M32).to_bytes(4, "big") + edge
    text = (
        b"\x01\x01\x08\x0a" + bytes(8),
        b"\x00\x01\x05\x0a" + bytes(4) + edge,
        b"\x01\x05\x0b" + bytes(4) + edge + b"\x01",
        b"\x05\x0a" + bytes(4) + edge + b"\x01\x01",
        b"\x03\x00\x01\x01",
        b"\x03\x01\x01\x01",
        b"\x03\x03\x05\x00\x04\x02\x00\x00",
        b"\x03\x04\x05\x01",
        b"\x01\x01\x01\x03",
        b"\x05\x02\x01\x01",
        b"\x04\x28\x01\x01",
        b"\x1e\x08\x00\x00\x00\x00\x00\x00\x05\x0a" + bytes(4) + edge + b"\x01\x01",
        b"\x01" * 40,
        b"\x02\x04\x05\xb4\x03\x03\x07\x01\x03\x03\x02\x04\x02\x01\x01\x01",
    )
    return chance.choice(text)


def damaged(chance: Random, connection: Connection) -> Sent:
    """A segment whose header is not one: bad checksum, data offset, cut short."""
    side = chance.getrandbits(1)
    me, other = connection.sides[side], connection.sides[1 - side]
    link = connection.links[side]
    flags = chance.choice((SYN, ACK, ACK, RST, FIN | ACK))
    segment = bytearray(
        link.segment(
            *connection.ports[:: 1 - 2 * side], me.end, other.end, flags, me.window, ZEROS[: chance.choice(_LENGTHS)]
        )
    )
    roll = chance.randrange(6)
    if roll == 0:
        segment[17] ^= 1 << chance.randrange(8)
    elif roll == 1:
        _offset(link, segment, chance.choice((0, 4)))
    elif roll == 2:
        _offset(link, segment, chance.randrange(16))
    elif roll == 3:
        del segment[chance.choice((0, 1, 4, 7, 8, 12, 13, 14, 19)) :]
    elif roll == 4:
        segment[13] ^= 0x40  # ECE, unsummed
    else:
        segment[16:18] = b"\0\0"
    return side, link.packet(6, bytes(segment))


def _offset(link: object, segment: bytearray, words: int) -> None:
    """Another data offset, the checksum right for it."""
    old = int.from_bytes(segment[12:14], "big")
    segment[12] = words << 4 | segment[12] & 0xF
    change = int.from_bytes(segment[12:14], "big") - old
    total = (int.from_bytes(segment[16:18], "big") - change) % 65535
    segment[16:18] = (total or 65535).to_bytes(2, "big")


def fuzz(chance: Random, pairs: list[Peers], at_once: int = 24) -> Iterator[Sent]:
    """Connections of a small pool for ever: mostly the next packet of one that exists, else one at some bound."""
    active = [_fresh(chance, pairs) for _ in range(at_once)]
    random = chance.random
    while True:
        place = int(random() * at_once)
        connection = active[place]
        roll = random()
        if roll < connection.hostility:
            yield connection.hostile(chance)
        elif roll > (0.75 if connection.stage == OPEN else 0.998):
            active[place] = _fresh(chance, pairs)
        elif roll > 0.985:
            yield damaged(chance, connection)
        elif roll > 0.97:
            for _ in range(chance.randrange(1, 6)):
                yield connection.again(chance)
        else:
            yield connection.natural(chance)


def _fresh(chance: Random, pairs: list[Peers]) -> Connection:
    hostility = chance.choice((0.02, 0.05, 0.1, 0.2, 0.5))
    # Half of them meet what others left behind.
    port = chance.choice(PORTS) if chance.random() < 0.5 else chance.randrange(10000, 12000)
    return Connection(chance.choice(pairs), port, chance.choice(PORTS), hostility)
