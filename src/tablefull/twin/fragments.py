"""Reassembly before tracking: connection tracking only ever sees whole datagrams.

The trap: a held fragment has no verdict yet. All fragments of a datagram get the one of the whole when the last
arrives, those of a datagram that stays incomplete never leave, an overlap discards the lot, and an exact repeat only
itself.

[inet_fragment, ip_fragment, nf_conntrack_reasm 6.12. Not played: the memory limit, odd ECN mixtures]
"""

from typing import NamedTuple

from tablefull.twin.reference_packet import IPV4, ones_sum, skip_extensions

TIMEOUT_NS = 30_000_000_000  # ipfrag_time, nf_conntrack_frag6_timeout: 30 s
MOST_BYTES = 65535
# Fragments of other datagrams from the same source between two of one datagram. [ip_fragment: ipfrag_max_dist]
MOST_DISTANCE = 64
_TRANSPORT_BYTES = {6: 20, 17: 8, 58: 8}


class Offered(NamedTuple):
    """What becomes of a fragment: ``whole`` is the datagram it completed, of the packets ``indices``.

    ``as_is``: tracking sees the fragment itself. Neither: it is held, or gone (``indices`` then says which are).
    """

    whole: bytes | None = None
    indices: tuple[int, ...] = ()
    as_is: bool = False


class _Queue:
    """The pieces of one datagram. ``length`` is the end seen so far, ``last`` whether it is final."""

    __slots__ = ("began_ns", "first", "last", "length", "pieces", "rid")

    def __init__(self, began_ns: int) -> None:
        self.began_ns, self.length, self.last, self.rid = began_ns, 0, False, 0
        self.first: bytes | None = None
        self.pieces: list[tuple[int, bytes, int]] = []  # offset, data, index of the packet

    def place(self, offset: int, end: int) -> str:
        """``new``, ``again`` (wholly within a run of what is there) or ``overlap``."""
        for begin, finish in self._runs():
            if offset >= begin and end <= finish:
                return "again"
            if offset < finish and end > begin:
                return "overlap"
        return "new"

    def _runs(self) -> list[tuple[int, int]]:
        """Ranges of pieces that came one directly after the other: in such a run a repeat is told from an overlap."""
        runs: list[tuple[int, int]] = []
        for offset, data, _ in self.pieces:
            end = offset + len(data)
            if runs and runs[-1][1] == offset:
                runs[-1] = (runs[-1][0], end)
            else:
                runs.append((offset, end))
        return runs

    def complete(self) -> bool:
        """Whether first and last piece and everything between is there."""
        return self.first is not None and self.last and sum(len(data) for _, data, _ in self.pieces) == self.length

    def body(self) -> bytes:
        """The payload in order."""
        return b"".join(data for _, data, _ in sorted(self.pieces))

    def indices(self) -> tuple[int, ...]:
        """The packets whose pieces are here."""
        return tuple(index for _, _, index in self.pieces)


class Fragments:
    """The reassembly of one host. Feed it in time order."""

    def __init__(self) -> None:
        self.queues: dict[tuple[bytes, ...], _Queue] = {}
        self.rids: dict[bytes, int] = {}

    def offer(self, now_ns: int, ip: bytes, index: int) -> Offered:
        """One fragment, from its IP header to its end."""
        for key in [key for key, queue in self.queues.items() if now_ns - queue.began_ns >= TIMEOUT_NS]:
            del self.queues[key]
        return self._ipv4(now_ns, ip, index) if ip[0] >> 4 == IPV4 else self._ipv6(now_ns, ip, index)

    def _ipv4(self, now_ns: int, ip: bytes, index: int) -> Offered:
        header, field = (ip[0] & 0xF) * 4, int.from_bytes(ip[6:8], "big")
        offset, more = (field & 0x1FFF) * 8, bool(field & 0x2000)
        key = (b"4", ip[12:20], ip[4:6], ip[9:10])
        queue = self.queues.setdefault(key, _Queue(now_ns))
        rid = self.rids[ip[12:16]] = self.rids.get(ip[12:16], 0) + 1
        if queue.pieces and rid - queue.rid > MOST_DISTANCE:
            queue = self.queues[key] = _Queue(now_ns)
        queue.rid = rid
        data = ip[header:]
        if more and len(data) & 7:
            data = data[: len(data) & ~7]
        if not self._queue(key, queue, offset, data, more, index, spoils=True):
            return Offered()
        if offset == 0:
            queue.first = ip[:header]
        if not queue.complete():
            return Offered()
        del self.queues[key]
        first = queue.first or b""
        if len(first) + queue.length > MOST_BYTES:
            return Offered()
        return Offered(_whole_ipv4(first, queue.body()), queue.indices())

    def _queue(
        self, key: tuple[bytes, ...], queue: _Queue, offset: int, data: bytes, more: bool, index: int, spoils: bool
    ) -> bool:
        """Put a piece in its place; False where it is refused. ``spoils``: what contradicts discards the datagram."""
        end = offset + len(data)
        wrong = (
            (end < queue.length or (queue.last and end != queue.length))
            if not more
            else end > queue.length and queue.last
        )
        if wrong or not data:
            if spoils:
                del self.queues[key]
            return False
        place = queue.place(offset, end)
        if place == "overlap":
            del self.queues[key]
            return False
        if not more:
            queue.last = True
        queue.length = max(queue.length, end)
        if place == "again":
            return False
        queue.pieces.append((offset, data, index))
        queue.pieces.sort()
        return True

    def _ipv6(self, now_ns: int, ip: bytes, index: int) -> Offered:
        found = _fragment_header(ip)
        if found is None or ip[4:6] == b"\0\0":
            return Offered(as_is=True)
        at, before = found
        proto, l4, _ = skip_extensions(ip, at, 44, len(ip))
        if proto >= 0 and l4 + _TRANSPORT_BYTES.get(proto, 1) > len(ip):
            return Offered(as_is=True)
        if at + 8 > len(ip):
            return Offered()
        field = int.from_bytes(ip[at + 2 : at + 4], "big")
        offset, more, data = field & 0xFFF8, bool(field & 1), ip[at + 8 :]
        if offset + len(data) > MOST_BYTES:
            return Offered()
        key = (b"6", ip[8:40], ip[at + 4 : at + 8])
        queue = self.queues.setdefault(key, _Queue(now_ns))
        if more and len(data) & 7:
            del self.queues[key]
            return Offered(as_is=True)
        if not self._queue(key, queue, offset, data, more, index, spoils=False):
            return Offered()
        if offset == 0:
            head = bytearray(ip[:at])
            head[before] = ip[at]
            queue.first = bytes(head)
        if not queue.complete():
            return Offered()
        del self.queues[key]
        first = queue.first or b""
        payload = len(first) - 40 + queue.length
        if payload > MOST_BYTES:
            return Offered()
        return Offered(first[:4] + payload.to_bytes(2, "big") + first[6:] + queue.body(), queue.indices())


def _whole_ipv4(first: bytes, body: bytes) -> bytes:
    """The datagram under its first fragment's header, with length, flags and checksum of a whole one."""
    head = bytearray(first)
    head[2:4] = (len(first) + len(body)).to_bytes(2, "big")
    head[6:8] = (head[6] & 0x40).to_bytes(1, "big") + b"\0"
    head[10:12] = b"\0\0"
    head[10:12] = (0xFFFF - ones_sum(bytes(head))).to_bytes(2, "big")
    return bytes(head) + body


def _fragment_header(ip: bytes) -> tuple[int, int] | None:
    """Offset of the fragment header, and of the octet that announces it; None where none can be reached."""
    following, before, offset = ip[6], 6, 40
    while following != 44:
        if following not in (0, 43, 51, 60) or offset + 2 > len(ip):
            return None
        size = (ip[offset + 1] + 2) * 4 if following == 51 else (ip[offset + 1] + 1) * 8
        following, before, offset = ip[offset], offset, offset + size
    return (offset, before) if offset <= len(ip) else None
