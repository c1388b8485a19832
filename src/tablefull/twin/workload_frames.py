"""Packets from columns: many IP packets at once, with checksums that a kernel accepts, laid out in order of time.

The trap: payloads are zeros, so a checksum needs the headers alone; but the bytes of the payload must be there all the
same, or nobody could check it. Headers are therefore made as rows of 32 bit words and written over a block of zeros,
each row where its packet lies.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
TTL = 64
# MSS 1460; SACK permitted; window scale 7. [RFC 9293, 2018, 7323]
SYN_OPTIONS = (0x020405B4, 0x01010402, 0x01030307)
WINDOW_SYN, WINDOW = 65535, 502


class Ends(NamedTuple):
    """Where packets come from and go to. Addresses are rows of one word (IPv4) or four (IPv6)."""

    src: Words
    dst: Words
    sport: Times
    dport: Times

    def turned(self) -> "Ends":
        """The other direction."""
        return Ends(self.dst, self.src, self.dport, self.sport)

    def rows(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Ends":
        """Some of them, or some of them several times."""
        return Ends(self.src[which], self.dst[which], self.sport[which], self.dport[which])


class Packets(NamedTuple):
    """Packets of one layout: header words, one row a packet, and bytes a packet with its payload of zeros."""

    time_ns: Times
    words: Words
    length: Times

    def rows(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Packets":
        """Some of them."""
        return Packets(self.time_ns[which], self.words[which], self.length[which])

    def later(self, delay_ns: Times | int) -> "Packets":
        """The same packets, so much later."""
        return self._replace(time_ns=self.time_ns + delay_ns)


class Block(NamedTuple):
    """Packets in order of time: packet i is ``data[start[i] : start[i] + captured[i]]``, an IP packet in full."""

    time_ns: Times
    data: Bytes
    start: Times
    captured: Times


def turned(ends: Ends, reply: npt.NDArray[np.bool_]) -> Ends:
    """The ends of packets of which those in ``reply`` go the other way."""
    away = reply[:, None]
    return Ends(
        np.where(away, ends.dst, ends.src),
        np.where(away, ends.src, ends.dst),
        np.where(reply, ends.dport, ends.sport),
        np.where(reply, ends.sport, ends.dport),
    )


def _sum(words: Words) -> Times:
    """The unfolded sum of the 16 bit halves of each row."""
    halves = (words >> 16).sum(axis=1, dtype=np.int64) + (words & 0xFFFF).sum(axis=1, dtype=np.int64)
    return np.asarray(halves, np.int64)


def _folded(total: Times) -> Times:
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _ip(ends: Ends, protocol: int, size: Times, transport: int) -> tuple[Words, Words]:
    """Rows with the IP header filled in, and the part of them that is left for ``transport`` words."""
    count, width = ends.src.shape
    head = 5 if width == 1 else 10
    rows = np.zeros((count, head + transport), np.uint32)
    if width == 1:
        rows[:, 0] = 0x45000000 | (size + 20)
        rows[:, 1] = 0x00004000  # do not fragment
        rows[:, 2] = TTL << 24 | protocol << 16
        rows[:, 3:4], rows[:, 4:5] = ends.src, ends.dst
        rows[:, 2] |= _folded(_sum(rows[:, :5])).astype(np.uint32)
    else:
        rows[:, 0] = 0x60000000
        rows[:, 1] = size << 16 | protocol << 8 | TTL
        rows[:, 2:6], rows[:, 6:10] = ends.src, ends.dst
    return rows, rows[:, head:]


def _checksum(ends: Ends, protocol: int, size: Times, part: Words, pseudo: bool = True) -> Times:
    total = _sum(part)
    if pseudo:
        total = total + _sum(ends.src) + _sum(ends.dst) + protocol + size
    return _folded(total)


def _finished(time_ns: Times, rows: Words, size: Times, width: int) -> Packets:
    return Packets(time_ns, rows, size + (20 if width == 1 else 40))


def tcp(
    time_ns: Times, ends: Ends, seq: Times, ack: Times, flags: Times, payload: Times, *, opening: bool = False
) -> Packets:
    """TCP segments; ``opening``: with the options and the unscaled window of a SYN."""
    options = SYN_OPTIONS if opening else ()
    head = 5 + len(options)
    size = payload + 4 * head
    rows, part = _ip(ends, TCP, size, head)
    part[:, 0] = ends.sport << 16 | ends.dport
    part[:, 1] = seq & 0xFFFFFFFF
    part[:, 2] = ack & 0xFFFFFFFF
    part[:, 3] = head << 28 | flags << 16 | (WINDOW_SYN if opening else WINDOW)
    for at, word in enumerate(options, 5):
        part[:, at] = word
    part[:, 4] = _checksum(ends, TCP, size, part) << 16
    return _finished(time_ns, rows, size, ends.src.shape[1])


def udp(time_ns: Times, ends: Ends, payload: Times) -> Packets:
    """UDP datagrams."""
    size = payload + 8
    rows, part = _ip(ends, UDP, size, 2)
    part[:, 0] = ends.sport << 16 | ends.dport
    part[:, 1] = size << 16
    checksum = _checksum(ends, UDP, size, part)
    part[:, 1] |= np.where(checksum == 0, 0xFFFF, checksum).astype(np.uint32)
    return _finished(time_ns, rows, size, ends.src.shape[1])


def echo(
    time_ns: Times, ends: Ends, reply: npt.NDArray[np.bool_], ident: Times, sequence: Times, payload: Times
) -> Packets:
    """ICMP or ICMPv6 echo requests and, where ``reply``, their answers. Ports of ``ends`` mean nothing."""
    six = ends.src.shape[1] == 4
    size = payload + 8
    rows, part = _ip(ends, ICMPV6 if six else ICMP, size, 2)
    kinds = np.where(reply, 129, 128) if six else np.where(reply, 0, 8)
    part[:, 0] = kinds << 24
    part[:, 1] = (ident & 0xFFFF) << 16 | sequence & 0xFFFF
    part[:, 0] |= _checksum(ends, ICMPV6, size, part, pseudo=six).astype(np.uint32)
    return _finished(time_ns, rows, size, ends.src.shape[1])


def assemble(parts: Sequence[Packets]) -> Block:
    """All packets of the parts in order of time; of equal times the earlier part first."""
    times = np.concatenate([part.time_ns for part in parts]) if parts else np.zeros(0, np.int64)
    lengths = np.concatenate([part.length for part in parts]) if parts else np.zeros(0, np.int64)
    order = np.argsort(times, kind="stable")
    captured = lengths[order]
    room = (captured + 3) >> 2  # in words: every packet begins at a word
    ends = np.cumsum(room)
    start = ends - room
    data = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint32)
    place = np.empty(len(order), np.int64)
    place[order] = start
    done = 0
    for part in parts:
        here = place[done : done + len(part.time_ns)]
        done += len(part.time_ns)
        swapped = part.words.byteswap() if sys.byteorder == "little" else part.words
        for word in range(part.words.shape[1]):
            data[here + word] = swapped[:, word]
    return Block(times[order], data.view(np.uint8), start << 2, captured)
