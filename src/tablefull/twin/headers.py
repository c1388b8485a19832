"""What a filter or a count wants of many IP headers at once: family, addresses, protocol, ports, as columns.

The trap: any byte may be missing. A capture is cut short, an options field is longer than what is there, a fragment has
no ports; a column then says so (0, -1) for that packet instead of reading its neighbour's bytes. Columns are made when
they are asked for, because most filters ask for one or two.
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Column = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint32]

TCP, UDP, SCTP, UDPLITE = 6, 17, 132, 136
PORTED = (TCP, UDP, SCTP, UDPLITE)
NONE = -1
# IPv6 extension headers that lead on to another one. [IANA, IPv6 Extension Header Types]
_FRAGMENT, _AUTH = 44, 51
_CHAINED = np.zeros(256, np.bool_)
_CHAINED[[0, 43, _FRAGMENT, _AUTH, 60, 135, 139, 140]] = True
_MOST_CHAINED = 8


class Headers:
    """The IP headers of packets in ``data``: packet i begins at ``start[i]`` (-1: no IP packet).

    ``captured[i]`` bytes of it are there, ``wire[i]`` were sent (as captured where not given).
    """

    def __init__(self, data: Bytes, start: Column, captured: Column, wire: Column | None = None) -> None:
        self.data, self.start = data, start
        self.captured = np.where(start >= 0, captured, 0)
        self.length = self.captured if wire is None else np.where(start >= 0, wire, 0)
        self._most = max(len(data) - 1, 0)

    def __len__(self) -> int:
        return len(self.start)

    def octet(self, offset: int | Column, rows: Column | None = None) -> Column:
        """The byte at ``offset`` from each header (of ``rows`` alone where given); -1 where it was not captured."""
        start = self.start if rows is None else self.start[rows]
        room = self.captured if rows is None else self.captured[rows]
        if not len(self.data):
            return np.full(len(start), NONE, np.int64)
        at = np.clip(start + offset, 0, self._most)
        return np.where((offset >= 0) & (offset < room), self.data[at].astype(np.int64), NONE)

    def number(self, offset: int | Column, size: int, rows: Column | None = None) -> Column:
        """``size`` bytes in network order as a number; -1 where not all of them were captured."""
        value = self.octet(offset, rows)
        for further in range(1, size):
            following = self.octet(offset + further, rows)
            value = np.where(following < 0, NONE, value << 8 | following)
        return value

    @cached_property
    def family(self) -> Column:
        """4, 6, or 0 where no whole header is there."""
        version = self.octet(0) >> 4
        first = self.octet(0) & 0xF
        four = (version == 4) & (first >= 5) & (self.captured >= 20)
        six = (version == 6) & (self.captured >= 40)
        return np.where(four, 4, np.where(six, 6, 0)).astype(np.int64)

    @cached_property
    def first_protocol(self) -> Column:
        """The protocol field of the IP header itself; -1 without a header."""
        return np.where(self.family == 4, self.octet(9), np.where(self.family == 6, self.octet(6), NONE))

    @cached_property
    def _transport(self) -> tuple[Column, Column, Mask]:
        """Protocol behind the extension headers, offset of its header, and whether its beginning is in this packet."""
        protocol = self.first_protocol.copy()
        offset = np.where(self.family == 4, (self.octet(0) & 0xF) * 4, 40)
        begins = (self.family != 4) | (self.number(6, 2) & 0x1FFF == 0)
        begins &= self.family != 0
        rows = np.flatnonzero((self.family == 6) & _CHAINED[protocol & 0xFF])
        for _ in range(_MOST_CHAINED):
            if not len(rows):
                break
            kind, at = protocol[rows], offset[rows]
            following, size = self.octet(at, rows), self.octet(at + 1, rows)
            known = (following >= 0) & (size >= 0)
            place = self.number(at + 2, 2, rows)
            later = (kind == _FRAGMENT) & ((place < 0) | (place & 0xFFF8 != 0))
            begins[rows] &= known & ~later
            step = np.where(kind == _FRAGMENT, 8, np.where(kind == _AUTH, (size + 2) * 4, (size + 1) * 8))
            protocol[rows] = np.where(known, following, NONE)
            offset[rows] = at + step
            rows = rows[known & ~later & _CHAINED[following & 0xFF]]
        return protocol, offset, begins

    @property
    def protocol(self) -> Column:
        """The protocol behind IPv6 extension headers; -1 where it was not captured."""
        return self._transport[0]

    @property
    def transport(self) -> Column:
        """Offset of the transport header from the IP header; -1 for a fragment that holds none."""
        return np.where(self._transport[2], self._transport[1], NONE)

    def _port(self, offset: int) -> Column:
        protocol, at, begins = self._transport
        ported = begins & np.isin(protocol, PORTED)
        return np.where(ported, self.number(at + offset, 2), NONE)

    @cached_property
    def sport(self) -> Column:
        """Source port; -1 where there is none: another protocol, a later fragment, too little captured."""
        return self._port(0)

    @cached_property
    def dport(self) -> Column:
        """Destination port; -1 where there is none."""
        return self._port(2)

    def _address(self, four: int, six: int) -> Words:
        words = np.zeros((len(self), 4), np.uint32)
        is_four = self.family == 4
        first = np.where(is_four, self.number(four, 4), self.number(six, 4))
        words[:, 0] = np.where(self.family == 0, 0, first).astype(np.uint32)
        rows = np.flatnonzero(self.family == 6)
        if len(rows):
            for word in range(1, 4):
                words[rows, word] = self.number(six + 4 * word, 4, rows).astype(np.uint32)
        return words

    @cached_property
    def src(self) -> Words:
        """Source addresses, four words each; IPv4 in the first."""
        return self._address(12, 8)

    @cached_property
    def dst(self) -> Words:
        """Destination addresses, four words each."""
        return self._address(16, 24)


def pseudo_sums(headers: Headers) -> Column:
    """The folded sum of the pseudo header of each TCP and UDP packet, as a stack leaves it to the network card.

    -1 for other packets. [RFC 9293 3.1, RFC 8200 8.1]
    """
    total = np.zeros(len(headers), np.int64)
    for words in (headers.src, headers.dst):
        total += (words >> 16).astype(np.int64).sum(axis=1) + (words & 0xFFFF).astype(np.int64).sum(axis=1)
    at, protocol = headers.transport, headers.protocol
    stated = np.where(headers.family == 4, headers.number(2, 2), headers.number(4, 2) + 40)
    size = stated - at
    total += protocol + (size >> 16) + (size & 0xFFFF)
    for _ in range(2):
        total = (total & 0xFFFF) + (total >> 16)
    wanted = np.isin(protocol, (TCP, UDP)) & (at >= 0)
    return np.where(wanted, total, NONE)


def offloaded(headers: Headers) -> tuple[int, int]:
    """How many whole TCP and UDP packets there are, and how many of them hold only the pseudo header's sum.

    Fragments are left out: their checksum covers the whole datagram.
    """
    sums = pseudo_sums(headers)
    at = headers.transport
    field = headers.number(np.where(headers.protocol == TCP, at + 16, at + 6), 2)
    whole = (sums >= 0) & (field >= 0)
    whole &= (headers.family == 6) | (headers.number(6, 2) & 0x3FFF == 0)
    return int(whole.sum()), int((whole & (field == sums)).sum())
