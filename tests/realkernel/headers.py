"""IP packets from fields: addresses once, then one call a packet, checksums right unless something else is asked for.

The trap: the checksum of the internet is arithmetic modulo 65535, and 65536 is 1 there. So a field of any width goes
into the sum as it is, and one division ends it; that is what makes 100,000 packets a second possible in plain Python.
"""

import ipaddress
import struct
from random import Random
from typing import NamedTuple

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
ICMP, IGMP, IPIP, TCP, UDP, DCCP, GRE, ESP, AH, ICMPV6, NO_NEXT, SCTP, UDPLITE = (
    *(1, 2, 4, 6, 17, 33, 47, 50, 51, 58, 59, 132, 136),
)
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
M32 = 0xFFFFFFFF
ZEROS = bytes(9000)

_IPV4 = struct.Struct("!BBHHHBBH8s")
_IPV6 = struct.Struct("!IHBB32s")
_TCP = struct.Struct("!HHIIBBHHH")
_UDP = struct.Struct("!HHHH")
_ICMP = struct.Struct("!BBHI")


def number(data: bytes) -> int:
    """What these bytes add to a checksum."""
    return int.from_bytes(data, "big") << (8 if len(data) & 1 else 0)


def checksum(total: int) -> int:
    """The checksum that makes the sum right; never 0, which UDP takes for none."""
    return 65535 - total % 65535


class Link:
    """One direction between two hosts. ``side`` is where its packets enter: 0 left, 1 right."""

    __slots__ = ("_base", "_pair", "dst", "family", "icmp_protocol", "pseudo", "side", "src")

    def __init__(self, src: str, dst: str, side: int) -> None:
        self.src, self.dst = (ipaddress.ip_address(text) for text in (src, dst))
        self.family, self.side = self.src.version, side
        self._pair = self.src.packed + self.dst.packed
        self.pseudo = number(self._pair)
        self._base = self.pseudo + 0x4500
        self.icmp_protocol = ICMP if self.family == 4 else ICMPV6

    def packet(
        self,
        protocol: int,
        payload: bytes,
        *,
        mark: int = 0,
        ttl: int = 64,
        place: int = 0,
        ident: int = 0,
        options: bytes = b"",
    ) -> bytes:
        """An IP packet. IPv4 only: ``place`` is the word of fragmentation, ``options`` whole words."""
        if self.family == 6:
            return _IPV6.pack(0x60000000 | mark << 20, len(payload), protocol, ttl, self._pair) + payload
        total = 20 + len(options) + len(payload)
        words = len(options) // 4
        sum_ = self._base + mark + (words << 8) + total + place + ident + (ttl << 8) + protocol + number(options)
        head = _IPV4.pack(0x45 + words, mark, total, ident, place, ttl, protocol, checksum(sum_), self._pair)
        return head + options + payload

    def tcp(
        self,
        sport: int,
        dport: int,
        seq: int,
        ack: int,
        flags: int,
        window: int,
        payload: bytes = b"",
        options: bytes = b"",
    ) -> bytes:
        """A TCP segment in its packet; ``options`` are whole words of 32 bits."""
        return self.packet(TCP, self.segment(sport, dport, seq, ack, flags, window, payload, options))

    def segment(
        self,
        sport: int,
        dport: int,
        seq: int,
        ack: int,
        flags: int,
        window: int,
        payload: bytes = b"",
        options: bytes = b"",
        urgent: int = 0,
    ) -> bytes:
        """A TCP segment alone."""
        offset = 80 + (len(options) << 2)
        sum_ = self.pseudo + TCP + 20 + len(options) + len(payload) + sport + dport + seq + ack + (offset << 8) + flags
        if payload:
            sum_ += number(payload)
        if options:
            sum_ += int.from_bytes(options, "big")
        head = _TCP.pack(sport, dport, seq, ack, offset, flags, window, checksum(sum_ + window + urgent), urgent)
        return head + options + payload

    def udp(self, sport: int, dport: int, payload: bytes = b"", **fields: int) -> bytes:
        """A UDP datagram; ``length`` and ``check`` replace what is right."""
        return self.packet(UDP, self.datagram(UDP, sport, dport, payload, **fields))

    def datagram(
        self,
        protocol: int,
        sport: int,
        dport: int,
        payload: bytes,
        *,
        length: int = -1,
        check: int = -1,
        summed_as: int = -1,
    ) -> bytes:
        """A UDP or UDP-Lite datagram alone; UDP-Lite's ``length`` is how much the checksum covers (0: all).

        ``summed_as`` is the protocol that goes into the checksum: the kernel of this machine takes UDP-Lite for right
        where that is UDP's (RFC 3828 wants 136), so both kinds are worth sending.
        """
        size = 8 + len(payload)
        written = size if length < 0 else length
        if check < 0:
            covered = size if protocol == UDP or not 8 <= written < size else written
            body = payload[: covered - 8]
            pseudo = written if protocol == UDP else size
            as_ = protocol if summed_as < 0 else summed_as
            check = checksum(self.pseudo + as_ + pseudo + sport + dport + written + number(body))
        return _UDP.pack(sport, dport, written & 0xFFFF, check) + payload

    def icmp(self, kind: int, code: int, rest: int = 0, payload: bytes = b"", *, flaw: int = 0, ttl: int = 64) -> bytes:
        """An ICMP message; ``rest`` is its second word, ``flaw`` is added to the checksum."""
        sum_ = (kind << 8) + code + rest + number(payload)
        if self.family == 6:
            sum_ += self.pseudo + ICMPV6 + 8 + len(payload)
        check = (checksum(sum_) + flaw) & 0xFFFF
        return self.packet(self.icmp_protocol, _ICMP.pack(kind, code, check, rest) + payload, ttl=ttl)


class Peers(NamedTuple):
    """Two hosts, one on each side, and both directions between them."""

    right: Link
    left: Link

    def link(self, side: int) -> Link:
        """The direction whose packets enter by that side."""
        return self.left if side else self.right


def peers(left: int, right: int, family: int = 4) -> Peers:
    """Host number ``left`` of the left network and ``right`` of the right one."""
    if family == 4:
        here, there = f"10.1.{left >> 8}.{left & 255}", f"10.2.{right >> 8}.{right & 255}"
    else:
        here, there = f"2001:db8:a::{left:x}", f"2001:db8:b::{right:x}"
    return Peers(Link(here, there, 0), Link(there, here, 1))


def pool(left: int = 3, right: int = 3, left6: int = 2, right6: int = 2) -> list[Peers]:
    """Every pair of a few hosts of both families."""
    four = [peers(one, other) for one in range(1, left + 1) for other in range(1, right + 1)]
    return four + [peers(one, other, 6) for one in range(1, left6 + 1) for other in range(1, right6 + 1)]


def initial_sequence(chance: Random) -> int:
    """A first sequence number: often where it soon wraps, at 0, or at the other end of the signed comparison."""
    roll = chance.random()
    if roll < 0.5:
        return chance.getrandbits(32)
    if roll < 0.8:
        return -chance.randrange(1, 5000) & M32
    return chance.choice((0, 1, M32, M32 - 1, 1 << 31, (1 << 31) - 1, 0x7FFFF000))
