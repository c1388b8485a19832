"""The walk over the records of a capture, compiled: where each packet's IP header lies, and when it was seen.

The trap: every length in a file is a stranger's word. Each is compared with what is there before a byte behind it is
looked at, the walk moves forward by at least one header a turn, and it stops, saying why, at the first record that
cannot be one. [draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; www.tcpdump.org/linktypes.html]
"""

import numpy as np

from tablefull.loops.memory import Bytes, Words, address, be16, be32, compiled, inlined, le16, le32, u8
from tablefull.wire import linktypes as link

# How a walk ended.
MORE = 0  # the record at the end is not all there
FULL = 1  # no more rows
ROOM = 2  # no more rows for interfaces
BAD_CAPTURED, BAD_FRACTION, BAD_BLOCK, BAD_TRAILER, BAD_ORDER, BAD_VERSION, BAD_INTERFACE, BAD_BODY = range(3, 11)
BAD_EMPTY, UNREAD_LINK = 11, 12
GOOD = -1  # it goes on

# libpcap's MAXIMUM_SNAPLEN: no packet that it writes is longer.
MOST_CAPTURED = 256 * 1024
# libpcap and Wireshark refuse longer blocks too.
MOST_BLOCK = 16 * 1024 * 1024
RECORD = 16  # bytes of a pcap record's header; also of the shortest pcapng block that is a packet
SECOND_NS = 1_000_000_000
# No time is later (the year 2116) and no offset more than half of it, so that adding a timeout cannot overflow.
MOST_NS = 1 << 62

# Rows of the columns.
TIME_NS, START, CAPTURED, WIRE, INTERFACE = range(5)
COLUMNS = 5
NO_TYPE = 255
NO_IP = -1

# What a pcapng walk remembers.
SWAPPED, INTERFACES, LAST_NS, TIMELESS = range(4)
MEMORY = 4
# One row an interface: what a unit of its clock is worth is FACTOR ns, or 1/DIVISOR ns, or 1/2**SHIFT s.
LINK, FACTOR, DIVISOR, SHIFT, MOST_STAMP, OFFSET_NS, SNAPLEN = range(7)
INTERFACE_WORDS = 8

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_ORDER = 0x1A2B3C4D
_OPT_END, _OPT_TSRESOL, _OPT_TSOFFSET = 0, 9, 14

_IP, _IP6, _VLAN, _QINQ, _OLD_QINQ, _PPPOE = 0x0800, 0x86DD, 0x8100, 0x88A8, 0x9100, 0x8864
_PPP_IP, _PPP_IP6 = 0x21, 0x57
# Linux itself follows no more than eight tags (VLAN_MAX_DEPTH in include/linux/if_vlan.h).
_MOST_TAGS = 8
# Cooked captures of these devices hold no Ethernet type: Frame Relay, radiotap, netlink. [LINKTYPE_LINUX_SLL]
_ARP_FRAD, _ARP_RADIOTAP, _ARP_NETLINK = 770, 803, 824


@inlined
def _u16(at: int, swapped: bool) -> int:
    return be16(at) if swapped else le16(at)


@inlined
def _u32(at: int, swapped: bool) -> int:
    return be32(at) if swapped else le32(at)


@inlined
def _of_version(at: int, end: int, version: int) -> int:
    """``at`` where an IP header of that version is to be, also a broken one: to refuse that is the reader's part.

    NO_IP where nothing is there, or a header of the other version.
    """
    other = 10 - version
    return at if at < end and u8(at) >> 4 != other else NO_IP


@inlined
def _of_any_version(at: int, end: int) -> int:
    return at if at < end else NO_IP


@compiled
def _after_ppp(at: int, end: int) -> int:
    """Behind a PPP protocol number, which may have been shortened to one (odd) byte. [RFC 1661, 2 and 6.5]"""
    if at >= end:
        return NO_IP
    protocol, body = u8(at), at + 1
    if not protocol & 1:
        if at + 2 > end:
            return NO_IP
        protocol, body = be16(at), at + 2
    if protocol == _PPP_IP:
        return _of_version(body, end, 4)
    if protocol == _PPP_IP6:
        return _of_version(body, end, 6)
    return NO_IP


@compiled
def _after_pppoe(at: int, end: int) -> int:
    """Behind a PPPoE header, whose code is 0 in a session. [RFC 2516, 4]"""
    if at + 6 > end or u8(at + 1) != 0:
        return NO_IP
    return _after_ppp(at + 6, end)


@compiled
def _after_tag(at: int, end: int, kind: int) -> int:
    """Behind an Ethernet type that is not IP: tags, and PPPoE. IP in an LLC/SNAP frame is none to Linux, which has no
    handler for it, and so it is none here.
    """
    for _ in range(_MOST_TAGS):
        if kind not in (_VLAN, _QINQ, _OLD_QINQ) or at + 4 > end:
            break
        kind, at = be16(at + 2), at + 4
    if kind == _IP:
        return _of_version(at, end, 4)
    if kind == _IP6:
        return _of_version(at, end, 6)
    return _after_pppoe(at, end) if kind == _PPPOE else NO_IP


@inlined
def _after_type(at: int, end: int, kind: int) -> int:
    return _of_version(at, end, 4) if kind == _IP else _after_tag(at, end, kind)


@inlined
def _cooked_type(at: int, end: int, kind: int, device: int) -> int:
    if device in (_ARP_FRAD, _ARP_RADIOTAP, _ARP_NETLINK):
        return NO_IP
    return _after_type(at, end, kind)


@compiled
def _after_family(at: int, end: int) -> int:
    """Behind an address family of four bytes in either order; 2 is IPv4 everywhere, IPv6 differs: Linux 10, NetBSD
    and OpenBSD 24, FreeBSD 28, macOS 30.
    """
    if at + 4 > end:
        return NO_IP
    family = min(le32(at), be32(at))  # a small number in whichever order it was written
    if family == 2:
        return _of_version(at + 4, end, 4)
    return _of_version(at + 4, end, 6) if family in (10, 24, 28, 30) else NO_IP


@compiled
def _elsewhere(at: int, end: int, kind: int) -> int:
    """As ``ip_header``, for the link types that few captures have."""
    if kind in (link.RAW, link.RAW_BSD, link.RAW_OPENBSD):
        return _of_any_version(at, end)
    if kind == link.IPV4:
        return _of_version(at, end, 4)
    if kind == link.IPV6:
        return _of_version(at, end, 6)
    if kind == link.PPP:
        framed = at + 2 <= end and be16(at) == 0xFF03  # RFC 1662, 3.1
        return _after_ppp(at + 2 if framed else at, end)
    if kind == link.PPP_ETHER:
        return _after_pppoe(at, end)
    if kind in (link.NULL, link.LOOP):
        return _after_family(at, end)
    return NO_IP


@inlined
def ip_header(at: int, end: int, kind: int) -> int:
    """Where the IP header of a packet of link type ``kind`` begins, that lies from ``at`` to ``end``; NO_IP if
    nowhere. All three are addresses.
    """
    if kind == link.ETHERNET:
        return _after_type(at + 14, end, be16(at + 12)) if at + 14 <= end else NO_IP
    if kind == link.LINUX_SLL2:
        return _cooked_type(at + 20, end, be16(at), be16(at + 8)) if at + 20 <= end else NO_IP
    if kind == link.LINUX_SLL:
        return _cooked_type(at + 16, end, be16(at + 14), be16(at + 2)) if at + 16 <= end else NO_IP
    return _elsewhere(at, end, kind)


@inlined
def _put(
    base: int, at: int, captured: int, length: int, kind: int, time_ns: int, interface: int, row: int,
    columns: Words, types: Bytes,
) -> None:  # fmt: skip
    """One packet, of which ``captured`` bytes at ``at`` are there and which had ``length`` bytes, into its row."""
    end = at + captured
    start = ip_header(at, end, kind)
    seen = NO_TYPE
    if kind == link.LINUX_SLL and captured >= 2:
        seen = min(be16(at), NO_TYPE)
    elif kind == link.LINUX_SLL2 and captured >= 11:
        seen, interface = u8(at + 10), be32(at + 4)
    found = start != NO_IP
    types[row] = seen
    columns[TIME_NS, row] = time_ns
    columns[START, row] = start - base if found else NO_IP
    columns[CAPTURED, row] = end - start if found else 0
    columns[WIRE, row] = max(length, captured) - (start - at) if found else 0
    columns[INTERFACE, row] = interface


@compiled
def walk_pcap(
    data: Bytes, swapped: bool, unit_ns: int, kind: int, columns: Words, types: Bytes
) -> tuple[int, int, int, int]:
    """The records at the beginning of ``data``: how many, their bytes, how it ended, how many bytes the next needs.

    ``unit_ns`` is what a unit of the fraction is worth.
    """
    base = address(data)
    at, count, there, most = base, 0, base + len(data), len(types)
    units = SECOND_NS // unit_ns
    while count < most:
        if at + RECORD > there:
            return count, at - base, MORE, RECORD
        second, fraction = _u32(at, swapped), _u32(at + 4, swapped)
        captured, length = _u32(at + 8, swapped), _u32(at + 12, swapped)
        if captured > MOST_CAPTURED:
            return count, at - base, BAD_CAPTURED, 0
        # A clock that rounds up writes a whole second; what is more is no time, and the walk is out of step.
        if fraction > units:
            return count, at - base, BAD_FRACTION, 0
        # A disk that was full, or a host that lost power, leaves zeros behind the last packet.
        if not (captured | length | second):
            return count, at - base, BAD_EMPTY, 0
        if at + RECORD + captured > there:
            return count, at - base, MORE, RECORD + captured
        time_ns = second * SECOND_NS + fraction * unit_ns
        _put(base, at + RECORD, captured, length, kind, time_ns, 0, count, columns, types)
        count += 1
        at += RECORD + captured
    return count, at - base, FULL, 0


@compiled
def _odd_stamp_ns(high: int, low: int, divisor: int, shift: int, offset_ns: int) -> int:
    """The same for a unit of less than a ns, or of a power of two of a second; rounded down."""
    wide = np.uint64(high) << np.uint64(32) | np.uint64(low)
    if divisor:
        return int(np.int64(min(wide // np.uint64(divisor), np.uint64(MOST_NS))) + offset_ns)
    second = np.int64(wide >> np.uint64(shift)) if shift < 64 else np.int64(0)
    if not 0 <= second < MOST_NS // SECOND_NS:
        return MOST_NS + offset_ns
    part = wide & ((np.uint64(1) << np.uint64(shift)) - np.uint64(1)) if shift < 64 else wide
    # part * SECOND_NS >> shift, in two halves of 32 bits because the product has up to 94.
    upper = (part >> np.uint64(32)) * np.uint64(SECOND_NS)
    lower = (part & np.uint64(0xFFFFFFFF)) * np.uint64(SECOND_NS)
    if shift < 32:
        fraction = np.int64(lower >> np.uint64(shift))
    elif shift < 96:
        fraction = np.int64((upper + (lower >> np.uint64(32))) >> np.uint64(shift - 32))
    else:
        fraction = np.int64(0)
    return int(second * SECOND_NS + fraction + offset_ns)


@inlined
def _stamp_ns(high: int, low: int, interfaces: Words, row: int) -> int:
    """A time stamp of 64 bits in ns since the epoch, by the clock of its interface; held within MOST_NS."""
    factor, offset_ns = interfaces[row, FACTOR], interfaces[row, OFFSET_NS]
    if not factor:
        return _odd_stamp_ns(high, low, interfaces[row, DIVISOR], interfaces[row, SHIFT], offset_ns)
    most = interfaces[row, MOST_STAMP]
    stamp = min(high << 32 | low, most) if high < 1 << 31 else most
    return int(stamp * factor + offset_ns)


@compiled
def _within(number: int, most: int) -> int:
    return max(min(number, most), -most)


@compiled
def _set_clock(row: Words, resolution: int) -> None:
    """What a unit of ``if_tsresol`` is worth: its top bit says a power of two, else of ten."""
    exponent = resolution & 0x7F
    row[FACTOR] = row[DIVISOR] = row[SHIFT] = 0
    if resolution & 0x80:
        row[SHIFT] = exponent
    elif exponent <= 9:
        row[FACTOR] = 10 ** (9 - exponent)
        row[MOST_STAMP] = MOST_NS // row[FACTOR]
    else:
        row[DIVISOR] = 10 ** min(exponent - 9, 18)  # beyond this every stamp of 64 bits is less than 19 ns


@compiled
def _is_read(kind: int) -> bool:
    return bool(
        kind in (link.ETHERNET, link.LINUX_SLL, link.LINUX_SLL2, link.RAW, link.RAW_BSD, link.RAW_OPENBSD)
        or kind in (link.IPV4, link.IPV6, link.PPP, link.PPP_ETHER, link.NULL, link.LOOP)
    )


@compiled
def _read_interface(at: int, end: int, swapped: bool, row: Words) -> bool:
    """An interface's body into its row; False where it is too short or an option runs out of it.

    A link type that is not read is kept as its complement.
    """
    if end - at < 8:
        return False
    kind = _u16(at, swapped)
    row[LINK] = kind if _is_read(kind) else ~kind
    row[SNAPLEN] = _u32(at + 4, swapped)
    row[OFFSET_NS] = 0
    _set_clock(row, 6)
    at += 8
    while at + 4 <= end:
        code, size = _u16(at, swapped), _u16(at + 2, swapped)
        if code == _OPT_END:
            break
        if at + 4 + size > end:
            return False
        if code == _OPT_TSRESOL and size >= 1:
            _set_clock(row, u8(at + 4))
        elif code == _OPT_TSOFFSET and size >= 8:
            first, second = _u32(at + 4, swapped), _u32(at + 8, swapped)
            high, low = (first, second) if swapped else (second, first)
            seconds = int(np.int64(np.uint64(high) << np.uint64(32) | np.uint64(low)))
            row[OFFSET_NS] = _within(seconds, MOST_NS // 2 // SECOND_NS) * SECOND_NS
        at += 4 + (size + 3 & ~3)
    return True


@inlined
def _block(at: int, there: int, swapped: bool) -> tuple[int, int, int]:
    """How the block at ``at`` is (GOOD or how the walk ends), its type and its size."""
    if at + 12 > there:
        return MORE, 0, 12
    kind, size = _u32(at, swapped), _u32(at + 4, swapped)
    if size < 12 or size & 3 or size > MOST_BLOCK:
        return BAD_BLOCK, kind, size
    if at + size > there:
        return MORE, kind, size
    return (GOOD if _u32(at + size - 4, swapped) == size else BAD_TRAILER), kind, size


@inlined
def _packet(at: int, end: int, kind: int, swapped: bool) -> tuple[int, int, int, int, int]:
    """How a packet block's body is, its interface, the address of the packet, and its lengths: captured, sent."""
    if kind == _SIMPLE_PACKET:
        if end - at < 4:
            return BAD_BODY, 0, at, 0, 0
        length = _u32(at, swapped)
        return GOOD, 0, at + 4, min(length, end - at - 4), length
    if end - at < 20:
        return BAD_BODY, 0, at, 0, 0
    which = _u16(at, swapped) if kind == _OLD_PACKET else _u32(at, swapped)
    captured, length = _u32(at + 12, swapped), _u32(at + 16, swapped)
    return (GOOD if captured <= end - at - 20 else BAD_CAPTURED), which, at + 20, captured, length


@inlined
def _verdict(how: int, which: int, known: int, kind: int, captured: int) -> int:
    if how != GOOD:
        return how
    if which >= known:
        return BAD_INTERFACE
    if captured > MOST_CAPTURED:
        return BAD_CAPTURED
    return GOOD if kind >= 0 else UNREAD_LINK


@compiled
def _begin_section(at: int, end: int, swapped: bool) -> int:
    if end - at < 16:
        return BAD_BODY
    return GOOD if _u16(at + 4, swapped) == 1 else BAD_VERSION


@compiled
def walk_pcapng(
    data: Bytes, memory: Words, interfaces: Words, columns: Words, types: Bytes
) -> tuple[int, int, int, int]:
    """The blocks at the beginning of ``data``: how many packets, the bytes of the blocks, how it ended, and how many
    bytes the next block needs.

    ``memory`` and ``interfaces`` are kept from call to call; both are for this section only.
    """
    base = address(data)
    at, count, there, most = base, 0, base + len(data), len(types)
    swapped, known = memory[SWAPPED] != 0, memory[INTERFACES]
    while count < most:
        if at + 12 <= there and le32(at) == _SECTION:  # reads alike in both orders
            swapped = be32(at + 8) == _ORDER
            memory[SWAPPED] = swapped
            if not swapped and le32(at + 8) != _ORDER:
                return count, at - base, BAD_ORDER, 0
        how, kind, size = _block(at, there, swapped)
        if how != GOOD:
            return count, at - base, how, size
        body, end = at + 8, at + size - 4
        if kind in (_PACKET, _SIMPLE_PACKET, _OLD_PACKET):
            how, which, start, captured, length = _packet(body, end, kind, swapped)
            row = which if which < known else 0
            if kind == _SIMPLE_PACKET and interfaces[row, SNAPLEN]:
                captured = min(captured, interfaces[row, SNAPLEN])
            how = _verdict(how, which, known, interfaces[row, LINK], captured)
            if how == GOOD:
                if kind == _SIMPLE_PACKET:  # no time in it: that of the packet before stands in
                    memory[TIMELESS] += 1
                else:
                    memory[LAST_NS] = _stamp_ns(_u32(body + 4, swapped), _u32(body + 8, swapped), interfaces, row)
                link_ = interfaces[row, LINK]
                _put(base, start, captured, length, link_, memory[LAST_NS], which, count, columns, types)
                count += 1
        elif kind == _INTERFACE:
            how = ROOM
            if known < len(interfaces):
                how = GOOD if _read_interface(body, end, swapped, interfaces[known]) else BAD_BODY
                known += how == GOOD
        elif kind == _SECTION:
            how, known = _begin_section(body, end, swapped), 0
        memory[INTERFACES] = known
        if how != GOOD:
            return count, at - base, how, size
        at += size
    return count, at - base, FULL, 0
