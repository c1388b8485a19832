"""A packet capture, pcap or pcapng, as blocks of columns: when each packet was seen and where its IP header lies.

The trap: a capture is often one that broke off, or is larger than memory. So bytes are walked as they come, the last
record of a piece waits for the next one, and what is wrong with a file ends the walk instead of raising: everything
before it has been given by then, and ``damage`` says where it is and what.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tablefull.errors import ParseError
from tablefull.loops.memory import Bytes, Words
from tablefull.wire import linktypes, loops

PACKETS = 1 << 17  # in a block at most
MOST_INTERFACES = 1 << 18
_INTERFACES = 64  # that there is room for at first
_SECTION = b"\x0a\x0d\x0d\x0a"
_ORDERS = {b"\x1a\x2b\x3c\x4d": True, b"\x4d\x3c\x2b\x1a": False}
MAGIC_BYTES, HEADER_BYTES = 4, 24

# First bytes: are the numbers big-endian, and what is a unit of the fraction worth, in ns?
_PCAP = {
    b"\xa1\xb2\xc3\xd4": (True, 1000),
    b"\xd4\xc3\xb2\xa1": (False, 1000),
    b"\xa1\xb2\x3c\x4d": (True, 1),
    b"\x4d\x3c\xb2\xa1": (False, 1),
}
# Relatives of pcap, and other captures, that Wireshark's programs convert.
_OTHERS = {
    b"\xa1\xb2\xcd\x34": "a modified pcap (Kuznetsov's, of Red Hat Linux 6)",
    b"\x34\xcd\xb2\xa1": "a modified pcap (Kuznetsov's, of Red Hat Linux 6)",
    b"\xa1\xe2\xcb\x12": "a modified pcap (Navtel's)",
    b"\x12\xcb\xe2\xa1": "a modified pcap (Navtel's)",
    b"\x1c\x00\x01\xab": "a pcap of Ixia hardware",
    b"\xab\x01\x00\x1c": "a pcap of Ixia hardware",
    b"\x1c\x00\x01\xac": "a pcap of Ixia software",
    b"\xac\x01\x00\x1c": "a pcap of Ixia software",
    b"snoo": "a capture of snoop",
    b"GMBU": "a capture of Microsoft's Network Monitor",
    b"RTSS": "a capture of Microsoft's Network Monitor",
    b"XCP\x00": "a capture of NetXRay",
    b"TRSN": "a capture of Sniffer",
    b"btsn": "a Bluetooth capture",
    b"iptr": "a capture of AIX iptrace",
}


def is_capture(head: bytes) -> bool:
    """Do these bytes begin a capture of any kind that is known here, read or not?"""
    magic = head[:MAGIC_BYTES]
    return magic in _PCAP or magic == _SECTION or magic in _OTHERS


class Damage(NamedTuple):
    """Where a capture stops making sense, counted in bytes of the uncompressed capture, and what is wrong there."""

    offset: int
    what: str


class Frames(NamedTuple):
    """Some packets in the order of the capture.

    ``data`` holds their bytes. ``time_ns`` is since the epoch, as recorded: it may go back. ``start`` is where the IP
    header lies in ``data``, -1 where there is no IP packet; ``captured`` and ``wire`` are the bytes from there on that
    were captured and that were sent (0 where there is none). ``interface`` is the index that Linux gave it (cooked v2),
    else its number in a pcapng, else 0. ``packet_type`` is that of a cooked capture: 0 to this host, 1 broadcast,
    2 multicast, 3 to another host, 4 outgoing; 255 elsewhere.
    """

    data: Bytes
    time_ns: Words
    start: Words
    captured: Words
    wire: Words
    interface: Words
    packet_type: Bytes


class Reader:
    """One capture, piece by piece.

    ``offset`` counts the bytes that were walked, and the next piece begins there. ``wants`` is how many bytes it must
    hold at least for a step to be made. ``damage`` is None until something wrong is met; nothing is read after that.
    ``timeless`` counts the packets without a time (simple packet blocks), which have the time of the packet before.
    """

    def __init__(self, name: str) -> None:
        self.name, self.offset, self.wants = name, 0, HEADER_BYTES
        self.damage: Damage | None = None
        self.format = ""
        self._swapped, self._unit_ns, self._link = False, 1, 0
        self._memory = np.zeros(loops.MEMORY, np.int64)
        self._interfaces = np.zeros((_INTERFACES, loops.INTERFACE_WORDS), np.int64)

    @property
    def timeless(self) -> int:
        """How many packets had no time of their own."""
        return int(self._memory[loops.TIMELESS])

    def walk(self, data: Bytes, *, last: bool) -> Iterator[Frames]:
        """The packets of ``data``, the bytes from ``offset`` on; ``last`` if the capture ends with them.

        ParseError for what is no capture that is read here. What is no whole record at the end of ``data`` is to be
        given again with more behind it.
        """
        at = 0
        if not self.format:
            at = self._open(data[:HEADER_BYTES].tobytes(), last)
            if at < 0:
                return
            self.offset += at
        how, size = loops.FULL, 0
        while how == loops.FULL or (how == loops.ROOM and self._make_room()):
            rest = data[at:]
            rows = min(PACKETS, len(rest) // loops.RECORD + 1)
            columns, types = np.empty((loops.COLUMNS, rows), np.int64), np.empty(rows, np.uint8)
            count, used, how, size = self._step(rest, columns, types)
            at += used
            self.offset += used
            if count:
                time_ns, start, captured, wire, interface = columns[:, :count]
                yield Frames(rest[:used], time_ns, start, captured, wire, interface, types[:count])
        rest = data[at:]
        if how == loops.MORE:
            self.wants = size
            if last and len(rest):
                self._damaged(self._broken_off(len(rest), size))
        else:
            self._wrong(rest, how, size)

    def _step(self, data: Bytes, columns: Words, types: Bytes) -> tuple[int, int, int, int]:
        if self._link < 0:
            return loops.walk_pcapng(data, self._memory, self._interfaces, columns, types)
        return loops.walk_pcap(data, self._swapped, self._unit_ns, self._link, columns, types)

    def _open(self, head: bytes, last: bool) -> int:
        """How many bytes of the file's header are to be passed; -1 where more are needed or it breaks off."""
        magic = head[:MAGIC_BYTES]
        if magic in _OTHERS:
            raise ParseError(
                f"{_OTHERS[magic]}, which is not read here; convert it: editcap -F pcap OLD NEW", self.name
            )
        if len(magic) < MAGIC_BYTES and not last:
            return -1
        if magic not in _PCAP and magic != _SECTION:
            begins = f"it begins with {magic.hex(' ')}" if magic else "it is empty"
            raise ParseError(f"neither pcap nor pcapng: {begins}", self.name)
        if len(head) < HEADER_BYTES:
            if last:
                self._damaged(f"the header of the file breaks off: {len(head)} of {HEADER_BYTES} bytes are there")
            return -1
        if magic == _SECTION:
            if head[8:12] not in _ORDERS:
                raise ParseError(f"a pcapng whose byte order is unknown ({head[8:12].hex(' ')})", self.name)
            self._link, self.format = -1, "pcapng"
            return 0
        self._open_pcap(head, *_PCAP[magic])
        return HEADER_BYTES

    def _open_pcap(self, head: bytes, big: bool, unit_ns: int) -> None:
        order: str = "big" if big else "little"

        def number(at: int, size: int) -> int:
            return int.from_bytes(head[at : at + size], "big" if big else "little")

        version = number(4, 2), number(6, 2)
        if version != (2, 4):
            # Up to 2.3 the two lengths of a record stood the other way round, sometimes. [libpcap: sf-pcap.c]
            old = "an old pcap" if version < (2, 4) else "a pcap"
            raise ParseError(f"{old}, version {version[0]}.{version[1]}; only 2.4 is read here", self.name)
        self._swapped, self._unit_ns = big, unit_ns
        # The upper bits tell of a checksum behind each frame. [draft-ietf-opsawg-pcap, 4]
        self._link = number(20, 4) & 0xFFFF
        self.format = f"pcap, {'micro' if unit_ns > 1 else 'nano'}seconds, {order}-endian"
        if self._link not in linktypes.READ:
            raise ParseError(_unread(self._link), self.name)

    def _make_room(self) -> bool:
        if len(self._interfaces) < MOST_INTERFACES:
            self._interfaces = np.concatenate([self._interfaces, np.zeros_like(self._interfaces)])
            return True
        return False

    def _damaged(self, what: str) -> None:
        self.damage = Damage(self.offset, what)

    def _broken_off(self, there: int, size: int) -> str:
        what = "record" if self._link >= 0 else "block"
        if size <= (loops.RECORD if self._link >= 0 else 12):
            return f"the capture breaks off in the header of a {what}, after {there} bytes of it"
        return f"the capture breaks off in a {what}: {there} of its {size} bytes are there"

    def _wrong(self, rest: Bytes, how: int, size: int) -> None:
        """Say what is wrong with the record that ``rest`` begins with; ParseError where it is only not read here."""
        big = self._swapped if self._link >= 0 else bool(self._memory[loops.SWAPPED])
        head = rest[:32].tobytes()

        def number(at: int, size: int = 4) -> int:
            return int.from_bytes(head[at : at + size], "big" if big else "little")

        if how == loops.UNREAD_LINK:
            old = number(0) == 2
            which = 0 if number(0) == 3 else number(8, 2 if old else 4)
            raise ParseError(f"interface {which}: {_unread(~int(self._interfaces[which, loops.LINK]))}", self.name)
        if how == loops.BAD_CAPTURED:
            at = 8 if self._link >= 0 else 20
            bytes_ = number(8) if self._link < 0 and number(0) == 3 else number(at)
            room = f"in a block of {size}" if self._link < 0 else f"and {loops.MOST_CAPTURED} is the most there can be"
            self._damaged(f"a packet of {bytes_} bytes, {room}")
        elif how == loops.BAD_EMPTY:
            self._damaged("a packet of no bytes at no time: nothing but zeros")
        elif how == loops.ROOM:
            self._damaged(f"more than {MOST_INTERFACES} interfaces")
        elif how == loops.BAD_FRACTION:
            units = "microseconds" if self._unit_ns > 1 else "nanoseconds"
            self._damaged(f"a packet at {number(4)} {units} after the second")
        elif how == loops.BAD_BLOCK:
            self._damaged(f"a block of {size} bytes")
        elif how == loops.BAD_TRAILER:
            end = int.from_bytes(rest[size - 4 : size].tobytes(), "big" if big else "little")
            self._damaged(f"a block that has {size} bytes at its beginning and {end} at its end")
        elif how == loops.BAD_ORDER:
            self._damaged(f"a section whose byte order is unknown ({head[8:12].hex(' ')})")
        elif how == loops.BAD_VERSION:
            self._damaged(f"a section of version {number(12, 2)}.{number(14, 2)}, and only version 1 is known")
        elif how == loops.BAD_INTERFACE:
            self._damaged(f"a packet of an interface that was not described ({self._memory[loops.INTERFACES]} were)")
        else:
            self._damaged(f"a block of type {number(0)} whose {size} bytes do not hold what it says")


def _unread(link: int) -> str:
    return (
        f"{linktypes.name_of(link)} is not read here, only Ethernet, Linux cooked (v1 and v2), PPP, PPPoE, raw IP "
        "and BSD loopback"
    )
