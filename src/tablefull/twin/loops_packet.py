"""The compiled reader of packets: rows of state.P_* from bytes. Namesake of reference_packet, function by function.

The trap: bytes that were not captured are not there. ``data`` and ``p`` are addresses and nothing takes care of
bounds, so every read is behind a comparison with what is held.
"""

import numpy as np

from tablefull.kernel import sctp, tcp
from tablefull.loops.memory import be16, be32, compiled, inlined, le32, put32, u8
from tablefull.twin import state as at
from tablefull.twin.loops_tuple import M32, after, hash_row, inverse_ports
from tablefull.twin.reference_packet import CRC32C, ICMPV6_UNTRACKED

_CRC = np.array(CRC32C, np.int64)
_VALID = np.array([flags in tcp.VALID_FLAGS for flags in range(64)], np.bool_)
_FREE = tcp.FLAG_PSH | tcp.FLAG_ECE | tcp.FLAG_CWR
_UNTRACKED = np.array([kind in ICMPV6_UNTRACKED for kind in range(256)], np.bool_)
P_SRC, P_DST, P_PORTS = at.P_SRC, at.P_DST, at.P_PORTS
P_PROTO, P_HASH = at.P_PROTO, at.P_HASH
P_SEQ, P_ACK, P_END, P_SACK, P_WINDOW, P_OPTIONS = at.P_SEQ, at.P_ACK, at.P_END, at.P_SACK, at.P_WINDOW, at.P_OPTIONS
P_LENGTH, P_L4, P_CHUNKS, P_TAG = at.P_LENGTH, at.P_L4, at.P_CHUNKS, at.P_TAG
BAD, CUT = at.BAD, at.CUT
SEEN, SCALE, SACK = at.OPTION_SEEN, at.OPTION_SCALE, at.OPTION_SACK
TRACK, INVALID, ICMP_INVALID, ICMP_ERROR = at.KIND_TRACK, at.KIND_INVALID, at.KIND_ICMP_INVALID, at.KIND_ICMP_ERROR
UNTRACKED, DROPPED, HELD, SKIP = at.KIND_UNTRACKED, at.KIND_DROPPED, at.KIND_HELD, at.KIND_SKIP
F_UNTRACKED, F_SKIP, F_WHOLE = at.FLAG_UNTRACKED, at.FLAG_SKIP, at.FLAG_WHOLE
READ_CHECKSUM, READ_OFFLOADED, READ_REDIRECTS = 1, 2, 4
MAX_SCALE = tcp.MAX_SCALE
ALONE = 1 << sctp.CHUNK_INIT | 1 << sctp.CHUNK_INIT_ACK | 1 << sctp.CHUNK_SHUTDOWN_COMPLETE
FIRST_ONLY = 1 << sctp.CHUNK_COOKIE_ACK | 1 << sctp.CHUNK_COOKIE_ECHO


@inlined
def fold(total: int) -> int:
    """A sum of 16 bit words below 2^32, carries added back."""
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


@inlined
def ones_sum(data: int, begin: int, end: int, total: int) -> int:
    """The one's complement sum of 16 bit words from ``begin`` to ``end``, folded."""
    i = data + begin
    stop = data + end
    while i + 20 <= stop:
        total += be32(i) + be32(i + 4) + be32(i + 8) + be32(i + 12) + be32(i + 16)
        i += 20
    while i + 4 <= stop:
        total += be32(i)
        i += 4
    if i + 2 <= stop:
        total += be16(i)
        i += 2
    if i < stop:
        total += u8(i) << 8
    total = (total & M32) + (total >> 32)
    return fold((total >> 16) + (total & 0xFFFF))


@compiled
def crc32c(data: int, begin: int, end: int) -> int:
    """The checksum of an SCTP packet, its checksum field taken as zero."""
    crc = M32
    for i in range(begin, end):
        byte = 0 if begin + 8 <= i < begin + 12 else u8(data + i)
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ M32


@inlined
def _pseudo(p: int, proto: int, length: int) -> int:
    total = proto + length + le32(p + 4 * P_SRC) + le32(p + 4 * P_DST)
    if le32(p + 4 * P_PROTO) >> 8 == 6:
        for word in (1, 2, 3):
            total += le32(p + 4 * (P_SRC + word)) + le32(p + 4 * (P_DST + word))
    total = (total & M32) + (total >> 32)
    return (total >> 16) + (total & 0xFFFF)


@inlined
def _wrong(data: int, p: int, base: int, held: int, field: int, proto: int, covered: int, mode: int) -> bool:
    """Whether the Internet checksum fails; ``covered`` bytes of the transport part are summed."""
    length, l4 = le32(p + 4 * P_LENGTH), le32(p + 4 * P_L4)
    if not mode & READ_CHECKSUM or held < length:
        return False
    pseudo = 0 if proto == 1 else fold(_pseudo(p, proto, length - l4))
    found = ones_sum(data, base + l4, base + l4 + covered, pseudo)
    if found == 0xFFFF or found == 0:
        return False
    return not (mode & READ_OFFLOADED and be16(data + base + l4 + field) == pseudo)


@compiled
def skip_extensions(data: int, base: int, offset: int, following: int, held: int) -> tuple[int, int, bool]:
    """Protocol (-1: none to be found), its offset, whether a fragment header was met."""
    fragment = False
    while following == 0 or following == 43 or following == 44 or following == 51 or following == 59 or following == 60:
        if following == 59 or offset + 2 > held:
            return -1, offset, fragment
        if following == 44:
            fragment = True
            if offset + 4 > held or be16(data + base + offset + 2) & 0xFFF8:
                return -1, offset, fragment
            size = 8
        elif following == 51:
            size = (u8(data + base + offset + 1) + 2) * 4
        else:
            size = (u8(data + base + offset + 1) + 1) * 8
        following = u8(data + base + offset)
        offset += size
    return following, offset, fragment


@inlined
def tuple_ports(data: int, base: int, l4: int, proto: int, held: int) -> int:
    """The protocol's part of the tuple; -1 where the packet is too short for it or refused."""
    room = held - l4
    if proto == 6 or proto == 17 or proto == 136 or proto == 132:
        return be32(data + base + l4) if room >= 4 else -1
    if proto == 1 or proto == 58:
        return be16(data + base + l4 + 4) << 16 | be16(data + base + l4) if room >= 8 else -1
    if proto == 47 and room >= 8 and u8(data + base + l4 + 1) & 7 == 1:
        return be16(data + base + l4 + 6) if be16(data + base + l4 + 2) == 0x880B else -1
    return 0


@compiled
def _options(data: int, p: int, begin: int, end: int, ack: int) -> None:
    """Scale, SACK permission and the highest edge of the first SACK option, into the row."""
    scale, seen, sack, sacked, i = 0, SEEN, ack, False, begin
    while i < end:
        kind = u8(data + i)
        if kind == 0:
            break
        if kind == 1:
            i += 1
            continue
        if i + 2 > end:
            break
        size = u8(data + i + 1)
        if size < 2 or i + size > end:
            break
        if kind == 4 and size == 2:
            seen |= SACK
        elif kind == 3 and size == 3:
            scale = min(u8(data + i + 2), MAX_SCALE)
            seen |= SCALE
        elif kind == 5 and size >= 10 and (size - 2) % 8 == 0 and not sacked:
            sacked = True
            for edge in range(i + 6, i + size, 8):
                right = be32(data + edge)
                if after(right, sack):
                    sack = right
        i += size
    put32(p + 4 * P_SACK, sack)
    put32(p + 4 * P_OPTIONS, scale | seen << 8)


@inlined
def _tcp(data: int, p: int, base: int, held: int, mode: int) -> int:
    l4 = le32(p + 4 * P_L4)
    room = le32(p + 4 * P_LENGTH) - l4
    if room < 20:
        return TRACK | BAD
    if held - l4 < 20:
        return TRACK | BAD | CUT
    i = base + l4
    header, flags = (u8(data + i + 12) >> 4) * 4, u8(data + i + 13)
    if header < 20 or room < header or not _VALID[flags & ~_FREE & 0x3F]:
        return TRACK | BAD
    if _wrong(data, p, base, held, 16, 6, room, mode):
        return TRACK | BAD
    seq, ack = be32(data + i + 4), be32(data + i + 8)
    segment = 5
    if flags & 4:
        segment = 4
    elif flags & 2:
        segment = 1 if flags & 16 else 0
    elif flags & 1:
        segment = 2
    elif flags & 16:
        segment = 3
    put32(p + 4 * P_SEQ, seq)
    put32(p + 4 * P_ACK, ack)
    put32(p + 4 * P_SACK, ack)
    put32(p + 4 * P_OPTIONS, 0)
    put32(p + 4 * P_END, (seq + room - header + (flags >> 1 & 1) + (flags & 1)) & M32)
    put32(p + 4 * P_WINDOW, be16(data + i + 14) | segment << 16 | flags << 24)
    if header > 20 and held - l4 >= header:
        _options(data, p, i + 20, i + header, ack)
    return TRACK


@compiled
def _udp(data: int, p: int, base: int, held: int, mode: int, lite: bool) -> int:
    l4 = le32(p + 4 * P_L4)
    room = le32(p + 4 * P_LENGTH) - l4
    if room < 8:
        return TRACK | BAD
    if held - l4 < 8:
        return TRACK | CUT
    size, stored = be16(data + base + l4 + 4), be16(data + base + l4 + 6)
    if lite and size == 0:
        size = room
    if size < 8 or size > room or (lite and stored == 0):
        return TRACK | BAD
    if stored and _wrong(data, p, base, held, 6, 17, size if lite else room, mode):
        return TRACK | BAD
    return TRACK


@compiled
def _sctp(data: int, p: int, base: int, held: int, mode: int) -> int:
    l4, length = le32(p + 4 * P_L4), le32(p + 4 * P_LENGTH)
    if length - l4 < 12:
        return TRACK | BAD
    if held - l4 < 12:
        return TRACK | BAD | CUT
    i = base + l4
    if mode & READ_CHECKSUM and held >= length:
        stored = u8(data + i + 8) | u8(data + i + 9) << 8
        stored |= u8(data + i + 10) << 16 | u8(data + i + 11) << 24
        if crc32c(data, i, base + length) != stored and not (mode & READ_OFFLOADED and stored == 0):
            return TRACK | BAD
    chunks, count, alone, offset = 0, 0, False, l4 + 12
    while offset + 4 <= min(length, held):
        kind, size = u8(data + base + offset), be16(data + base + offset + 2)
        bit = 1 << kind if kind < 32 else 0
        alone = alone or bit & ALONE != 0
        if ((alone or bit & FIRST_ONLY) and count) or size == 0:
            return TRACK | BAD
        chunks |= bit
        count += 1
        offset += (size + 3) & ~3
    if count == 0:
        return TRACK | BAD
    put32(p + 4 * P_CHUNKS, chunks)
    put32(p + 4 * P_TAG, be32(data + i + 4))
    return TRACK


@compiled
def _about(data: int, p: int, base: int, offset: int, held: int) -> int:
    """The tuple under which an entry is found that an ICMP error speaks of, into the row."""
    proto = le32(p + 4 * P_PROTO)
    v4 = proto >> 8 == 4
    total = min(le32(p + 4 * P_LENGTH), held)
    i = base + offset
    if v4:
        if total - offset < 20 or be16(data + i + 6) & 0x1FFF:
            return ICMP_INVALID
        inner, l4 = u8(data + i + 9), offset + (u8(data + i) & 0xF) * 4
        if l4 > le32(p + 4 * P_LENGTH):
            return ICMP_INVALID
    else:
        if total - offset < 40:
            return ICMP_INVALID
        inner, l4, _ = skip_extensions(data, base, offset + 40, u8(data + i + 6), total)
        if inner < 0:
            return ICMP_INVALID
    ports = tuple_ports(data, base, l4, inner, total)
    if ports < 0:
        return ICMP_INVALID
    ports = inverse_ports(inner, ports)
    if ports < 0:
        return ICMP_INVALID
    first, words, step = (12, 1, 4) if v4 else (8, 4, 16)
    for word in range(words):
        # The inverse goes to the source of the packet inside, and there the message must have been sent.
        if le32(p + 4 * (P_DST + word)) != be32(data + i + first + word * 4):
            return ICMP_INVALID
    for word in range(words):
        put32(p + 4 * (P_SRC + word), be32(data + i + first + step + word * 4))
    put32(p + 4 * P_PORTS, ports)
    put32(p + 4 * P_PROTO, inner | (4 if v4 else 6) << 8)
    return ICMP_ERROR


@compiled
def _icmp(data: int, p: int, base: int, held: int, mode: int, v4: bool) -> int:
    length, l4 = le32(p + 4 * P_LENGTH), le32(p + 4 * P_L4)
    room = min(length, held) - l4
    if room < 8 or _wrong(data, p, base, held, 2, 1 if v4 else 58, length - l4, mode):
        return ICMP_INVALID
    i = base + l4
    kind = u8(data + i)
    if v4:
        if kind > 18:
            return ICMP_INVALID
        if kind == 3 or kind == 4 or kind == 5 or kind == 11 or kind == 12:
            return _about(data, p, base, l4 + 8, held)
    else:
        if _UNTRACKED[kind]:
            return UNTRACKED
        if kind == 137 and mode & READ_REDIRECTS:
            return _redirect(data, p, base, l4, room, held)
        if kind < 128:
            return _about(data, p, base, l4 + 8, held)
    ports = be16(data + i + 4) << 16 | be16(data + i)
    if inverse_ports(1 if v4 else 58, ports) < 0:
        return INVALID
    put32(p + 4 * P_PORTS, ports)
    return TRACK


@compiled
def _redirect(data: int, p: int, base: int, l4: int, room: int, held: int) -> int:
    if room < 40:
        return ICMP_INVALID
    i = base + l4
    if u8(data + i + 1) != 0:
        return INVALID
    if u8(data + base + 7) != 255 or le32(p + 4 * P_SRC) >> 22 != 0x3FA:
        return ICMP_INVALID
    if room < 42 or u8(data + i + 41) == 0:
        return ICMP_INVALID
    if u8(data + i + 40) != 4:
        return INVALID
    return _about(data, p, base, l4 + 48, held)


@inlined
def _transport(data: int, p: int, base: int, held: int, mode: int, proto: int, v4: bool) -> int:
    if proto == 6:
        ports = tuple_ports(data, base, le32(p + 4 * P_L4), 6, held)
        if ports < 0:
            return INVALID
        put32(p + 4 * P_PORTS, ports)
        return _tcp(data, p, base, held, mode)
    if (proto == 1 and v4) or (proto == 58 and not v4):
        return _icmp(data, p, base, held, mode, v4)
    ports = tuple_ports(data, base, le32(p + 4 * P_L4), proto, held)
    if ports < 0 or inverse_ports(proto, ports) < 0:
        return INVALID
    put32(p + 4 * P_PORTS, ports)
    if proto == 17 or proto == 136:
        return _udp(data, p, base, held, mode, proto == 136)
    if proto == 132:
        return _sctp(data, p, base, held, mode)
    return TRACK | BAD if proto == 1 or proto == 58 else TRACK


@inlined
def decode(data: int, base: int, captured: int, wire: int, flags: int, mode: int, seed: int, zone: int, p: int) -> int:
    """Read one packet into the row at address ``p``; its kind with BAD and CUT. Namesake of reference_packet.decode."""
    if flags & F_SKIP or base < 0:
        return SKIP
    if captured < 20:
        return DROPPED
    version = u8(data + base) >> 4
    if version == 4:
        header, total = (u8(data + base) & 0xF) * 4, be16(data + base + 2)
        if header < 20 or wire < header:
            return DROPPED
        if total == 0 and mode & READ_OFFLOADED:
            total = wire
        if total < header or total > wire:
            return DROPPED
        if captured >= header and ones_sum(data, base, base + header, 0) != 0xFFFF:
            if not (mode & READ_OFFLOADED and be16(data + base + 10) == 0):
                return DROPPED
        proto = u8(data + base + 9)
        put32(p + 4 * 0, be32(data + base + 12))
        put32(p + 4 * 1, 0)
        put32(p + 4 * 2, 0)
        put32(p + 4 * 3, 0)
        put32(p + 4 * 4, be32(data + base + 16))
        put32(p + 4 * 5, 0)
        put32(p + 4 * 6, 0)
        put32(p + 4 * 7, 0)
        put32(p + 4 * P_PORTS, 0)
        put32(p + 4 * P_PROTO, proto | 4 << 8)
        put32(p + 4 * P_LENGTH, total)
        put32(p + 4 * P_L4, header)
        if be16(data + base + 6) & 0x3FFF:
            return UNTRACKED if flags & F_UNTRACKED else HELD
        held = min(captured, total)
        kind = _transport(data, p, base, held, mode, proto, True)
    elif version == 6:
        kind = _ipv6(data, base, captured, wire, flags, mode, p)
    else:
        return DROPPED
    if flags & F_UNTRACKED and kind & 0xFF != DROPPED:
        return UNTRACKED
    if kind & 0xFF == TRACK or kind & 0xFF == ICMP_ERROR:
        put32(p + 4 * P_HASH, hash_row(seed, p, zone))
    return kind


@compiled
def _ipv6(data: int, base: int, captured: int, wire: int, flags: int, mode: int, p: int) -> int:
    if captured < 40:
        return DROPPED
    payload = be16(data + base + 4)
    total = wire if payload == 0 and u8(data + base + 6) == 0 else payload + 40
    if total > wire or u8(data + base + 8) == 0xFF:
        return DROPPED
    held = min(captured, total)
    for word in range(8):
        put32(p + 4 * (P_SRC + word), be32(data + base + 8 + word * 4))
    proto, l4, fragment = skip_extensions(data, base, 40, u8(data + base + 6), held)
    put32(p + 4 * P_PORTS, 0)
    put32(p + 4 * P_PROTO, max(proto, 0) | 6 << 8)
    put32(p + 4 * P_LENGTH, total)
    put32(p + 4 * P_L4, l4)
    if fragment and not flags & F_WHOLE:
        return HELD
    if proto < 0:
        return INVALID
    return _transport(data, p, base, held, mode, proto, False)
