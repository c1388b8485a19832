"""Whole TCP connections, as two hosts hold them: opened in one of four ways, data both ways, closed in one of seven.

The trap: tracking sits between the hosts, so a segment lost behind it is seen twice and one lost before it not at all.
``impaired`` stands before it: it loses, repeats and delays, and what was lost is sent again a little later.
"""

from collections import deque
from collections.abc import Iterator
from random import Random

from tests.realkernel.batch import Sent
from tests.realkernel.headers import ACK, FIN, M32, PSH, RST, SYN, ZEROS, Peers, initial_sequence


class Host:
    """One end: what it sends next, what it has received, how much room it has."""

    def __init__(self, chance: Random) -> None:
        self.next = initial_sequence(chance)
        self.acked = self.received = 0
        self.room = chance.choice((1000, 4096, 5840, 14600, 29200, 65535))
        self.scale: int | None = chance.choice((None, *range(15)))
        self.sack = chance.random() < 0.8
        self.stamps = chance.random() < 0.5
        self.clock = chance.getrandbits(32)


class Conversation:
    """Two hosts and their ports; every method returns or yields the packets in the order they were sent."""

    def __init__(self, chance: Random, peers: Peers, ports: tuple[int, int], opener: int) -> None:
        self.chance, self.peers, self.ports, self.opener = chance, peers, ports, opener
        self.hosts = (Host(chance), Host(chance))
        one, other = self.hosts
        self.scaled = one.scale is not None and other.scale is not None
        self.stamped = one.stamps and other.stamps

    def segment(
        self, side: int, flags: int, length: int = 0, *, back: int = 0, room: int | None = None, more: bytes = b""
    ) -> Sent:
        """The next segment of a side, or one ``back`` bytes before it; a SYN carries what it offers."""
        me, other = self.hosts[side], self.hosts[1 - side]
        options = more
        if flags & SYN:
            options = b"\x02\x04\x05\xb4" + (b"\x04\x02\x01\x01" if me.sack else b"")
            options += b"\x01\x03\x03" + bytes((me.scale,)) if me.scale is not None else b""
            options += self._stamp(side) if me.stamps else b""
        elif self.stamped:
            options = self._stamp(side) + options
        scale = (me.scale or 0) if self.scaled and not flags & SYN else 0
        window = min((me.room if room is None else room) >> scale, 65535)
        link = self.peers.link(side)
        seq = (me.next - back) & M32
        packet = link.tcp(
            self.ports[side], self.ports[1 - side], seq, me.received & M32 if flags & ACK else 0, flags, window,
            ZEROS[:length], options[:40],
        )  # fmt: skip
        if not back:
            me.next = (me.next + length + bool(flags & SYN) + bool(flags & FIN)) & M32
        if flags & ACK:
            me.acked = me.received
        if not flags & RST:
            other.received = me.next
        return side, packet

    def _stamp(self, side: int) -> bytes:
        self.hosts[side].clock += 1
        clocks = (self.hosts[side].clock, self.hosts[1 - side].clock)
        return b"\x01\x01\x08\x0a" + b"".join((clock & M32).to_bytes(4, "big") for clock in clocks)

    def opening(self) -> Iterator[Sent]:
        """Three segments; both at once; split in four; or the first twice."""
        here, there, how = self.opener, 1 - self.opener, self.chance.random()
        first = self.segment(here, SYN)
        yield first
        if how < 0.10:
            yield self.segment(there, SYN)
            yield self.segment(here, ACK)
            yield self.segment(there, ACK)
            return
        if how < 0.16:
            yield self.segment(there, ACK)
            yield self.segment(there, SYN)
        else:
            if how < 0.3:
                yield first
            answer = self.segment(there, SYN | ACK)
            yield answer
            if how > 0.9:
                yield answer
        yield self.segment(here, ACK)

    def data(self) -> Iterator[Sent]:
        """A few exchanges: requests and answers, acknowledged late, with blocks, closed windows, signs of life."""
        chance = self.chance
        for _ in range(chance.choice((0, 1, 2, 4, 8, 16))):
            side = chance.getrandbits(1)
            how = chance.random()
            me = self.hosts[side]
            if how < 0.08:
                yield self.segment(side, ACK, room=0)
                yield self.segment(1 - side, ACK, 1)
                yield self.segment(side, ACK, room=0)
                yield self.segment(side, ACK)
            elif how < 0.14:
                yield self.segment(side, ACK, chance.getrandbits(1), back=1)
                yield self.segment(1 - side, ACK)
            elif how < 0.24:  # the second of three is missing at first
                size = chance.choice((100, 536, 1448))
                yield self.segment(side, ACK, size)
                gap = self.segment(side, ACK, size)
                received = self.hosts[1 - side].received - size
                for _ in range(chance.randrange(1, 4)):
                    left = me.next
                    yield self.segment(side, ACK, size)
                    self.hosts[1 - side].received = received & M32
                    edges = b"".join((edge & M32).to_bytes(4, "big") for edge in (left, me.next))
                    yield self.segment(1 - side, ACK, more=b"\x01\x01\x05\x0a" + edges)
                self.hosts[side].received = self.hosts[1 - side].next
                yield gap
                self.hosts[1 - side].received = me.next
                yield self.segment(1 - side, ACK)
            else:
                for _ in range(chance.choice((1, 1, 2, 3, 6))):
                    yield self.segment(side, ACK | PSH, chance.choice((1, 20, 500, 1448)))
                if how < 0.9:
                    yield self.segment(1 - side, ACK)

    def closing(self) -> Iterator[Sent]:
        """Either side first, one side only for a while, both at once, a reset of either kind, or not at all."""
        chance = self.chance
        side = chance.getrandbits(1)
        how = chance.random()
        if how < 0.40:
            yield self.segment(side, FIN | ACK)
            if how < 0.25:
                yield self.segment(1 - side, ACK)
            if how < 0.10:
                yield self.segment(1 - side, ACK | PSH, 500)
                yield self.segment(side, ACK)
            yield self.segment(1 - side, FIN | ACK)
            yield self.segment(side, ACK)
        elif how < 0.55:
            one = self.segment(side, FIN | ACK)
            self.hosts[1 - side].received -= 1
            other = self.segment(1 - side, FIN | ACK)
            yield one
            yield other
            self.hosts[1 - side].received += 1
            yield self.segment(side, ACK)
            yield self.segment(1 - side, ACK)
        elif how < 0.70:
            yield self.segment(side, RST | ACK)
        elif how < 0.80:
            yield self.segment(side, RST)
        elif how < 0.90:
            yield self.segment(side, FIN | ACK)
            yield self.segment(1 - side, RST)

    def whole(self) -> Iterator[Sent]:
        """From the first SYN on, or from somewhere in the middle."""
        if self.chance.random() < 0.93:
            yield from self.opening()
        else:
            for side, host in enumerate(self.hosts):
                host.received = self.hosts[1 - side].next
        yield from self.data()
        yield from self.closing()


def impaired(chance: Random, sent: Iterator[Sent], loss: float, twice: float, late: float) -> Iterator[Sent]:
    """The same packets with some missing until later, some repeated, some behind those that follow."""
    delayed: deque[list[object]] = deque()
    for one in sent:
        for item in delayed:
            item[0] -= 1  # type: ignore[operator]
        while delayed and delayed[0][0] <= 0:  # type: ignore[operator]
            yield delayed.popleft()[1]  # type: ignore[misc]
        roll = chance.random()
        if roll < loss:
            delayed.append([chance.randrange(2, 8), one])
        elif roll < loss + late:
            delayed.append([1, one])
        else:
            yield one
            if roll > 1 - twice:
                yield one
    for item in delayed:
        yield item[1]  # type: ignore[misc]


def connections(chance: Random, pairs: list[Peers], at_once: int = 12) -> Iterator[Sent]:
    """Connections for ever, some of them held at the same time, on few ports."""

    def one() -> Iterator[Sent]:
        opener = chance.getrandbits(1)
        ports = [chance.choice((80, 443)), chance.randrange(30000, 30400)]
        talk = Conversation(chance, chance.choice(pairs), (ports[1 - opener], ports[opener]), opener).whole()
        trouble = chance.choice((0.0, 0.0, 0.02, 0.15))
        return impaired(chance, talk, trouble, trouble, trouble) if trouble else talk

    active = [one() for _ in range(at_once)]
    while True:
        place = int(chance.random() * at_once)
        for _ in range(chance.choice((1, 1, 2, 5))):
            packet = next(active[place], None)
            if packet is None:
                active[place] = one()
                break
            yield packet
