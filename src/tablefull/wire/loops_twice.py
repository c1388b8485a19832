"""Which packets of a cooked capture were seen before, compiled: a table of the last moments, keyed by what forwarding
leaves alone.

The trap: what looks the same is not always the same. A host that sends a datagram again, or a generator that sends one
a thousand times, gives packets that no byte tells apart, so sightings are counted: the third at the second place
belongs to the third at the first place, and where the first place saw only two, it is a packet of its own.
"""

import numpy as np

from tablefull.loops.memory import Bytes, Words, address, be16, compiled, i64, inlined, le64, prefetch, put64, u8
from tablefull.wire.loops import NO_TYPE

OTHER_HOST, OUTGOING = 3, 4  # if_packet.h, as in the header of a cooked capture

# Two sightings of a packet are at most this far apart. Between them it waits in the queues of this host: microseconds,
# under load some milliseconds of softirq and queueing (fq_codel drops what waits longer than 5 ms for long, pfifo_fast
# holds 12 ms of a gigabit link). Beyond stands what is sent again on purpose: TCP waits 200 ms (TCP_RTO_MIN).
NEAR_NS = 50_000_000

# The table: buckets of four rows. A bucket of ``keys`` holds four fingerprints and four times, one cache line; a row of
# ``places`` the first place and up to seven later ones, each with a count, one cache line too.
WAYS = 4
PLACES = 8
_LINE_BYTES, _WORD_BYTES, _TIMES = 64, 8, 32
_PLACE_BITS = 41  # interface 32, outgoing 1, hop limit 8
_PLACE = (1 << _PLACE_BITS) - 1
_OUT_BIT, _HOPS_AT = 32, 33
_MOST_COUNT = (1 << 21) - 1
AHEAD = 64  # packets whose buckets are fetched before the first of them is looked up

_ICMP, _TCP, _UDP, _ICMPV6, _SCTP, _UDPLITE = 1, 6, 17, 58, 132, 136
_NO_TOS = np.uint64(0xFFFFFFFFFFFF00FF)  # IPv4: all of the first eight bytes but the type of service
_LABEL_TO_NEXT = np.uint64(0x00FFFFFFFFFF0000)  # IPv6: flow label (lower half), length, next header
_ODD = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(29)
_PAYLOAD = 32  # bytes of a payload that are compared


@inlined
def _mixed(so_far: np.uint64, word: np.uint64) -> np.uint64:
    product = (so_far ^ word) * _ODD
    return np.uint64(product ^ (product >> _HALF))


@inlined
def _mixed_all(so_far: np.uint64, at: int, end: int) -> np.uint64:
    while at + 8 <= end:
        so_far = _mixed(so_far, le64(at))
        at += 8
    while at < end:
        so_far = _mixed(so_far, np.uint64(u8(at)))
        at += 1
    return so_far


@inlined
def _constant(protocol: int, at: int, end: int) -> tuple[int, int]:
    """How many bytes of a transport header stand before its checksum, and where its payload begins.

    No checksum is compared: one that the network card was to fill in is filled in between two sightings on some
    hosts. Nor are TCP's options: clamping the MSS changes them.
    """
    if protocol == _TCP:
        return 16, (max(u8(at + 12) >> 4, 5) * 4 if at + 12 < end else 20)
    if protocol in (_UDP, _UDPLITE):
        return 6, 8
    if protocol in (_ICMP, _ICMPV6):
        return 2, 4
    if protocol == _SCTP:
        return 8, 12
    return 8, 8


@inlined
def _fingerprint(at: int, captured: int) -> np.uint64:
    """What forwarding leaves alone of the IP packet at an address, in 64 bits; 0 where too little was captured.

    IPv4: all of its header but the type of service, the hop limit, the checksum and the options; IPv6: addresses, flow
    label, length, next header. Of the transport what ``_constant`` says.
    """
    if u8(at) >> 4 == 4:
        head = (u8(at) & 15) * 4
        if captured < 20 or head < 20 or captured < head:
            return np.uint64(0)
        total, protocol = be16(at + 2), u8(at + 9)
        so_far = _mixed(np.uint64(protocol), le64(at) & _NO_TOS)
        so_far = _mixed(so_far, le64(at + 12))
        whole = be16(at + 6) & 0x1FFF == 0
    else:
        head = 40
        if captured < head:
            return np.uint64(0)
        total, protocol, whole = be16(at + 4) + head, u8(at + 6), True
        so_far = _mixed(np.uint64(6), le64(at) & _LABEL_TO_NEXT)
        so_far = _mixed_all(so_far, at + 8, at + 40)
    # A length of 0 is that of a packet beyond 64 KiB, not yet cut into segments.
    end = at + (min(captured, total) if total > head else captured)
    body = at + head
    before, payload = _constant(protocol, body, end) if whole else (8, 8)
    so_far = _mixed_all(so_far, body, min(body + before, end))
    so_far = _mixed_all(so_far, body + payload, min(body + payload + _PAYLOAD, end))
    return np.uint64(so_far | np.uint64(1))


@inlined
def _is_same(first: int, later: int) -> bool:
    """Can a packet seen at ``first`` be the one seen at ``later``, another place?

    Forwarded: in, then out, one hop fewer. Through devices that stand on one another (a bridge over its port, a VLAN,
    PPPoE, a bond): twice in or twice out, as many hops, on interfaces that are known to differ; bridged: in, then out
    like that, and also where no interface is known. Looped: out, then in, on one interface.
    """
    fewer = (first >> _HOPS_AT & 0xFF) - (later >> _HOPS_AT & 0xFF)
    first_out, later_out = first >> _OUT_BIT & 1, later >> _OUT_BIT & 1
    one, other = first & 0xFFFFFFFF, later & 0xFFFFFFFF
    if later_out > first_out:
        return bool(fewer == 1 or (fewer == 0 and (one != other or one == 0)))
    if first_out > later_out:
        return bool(fewer == 0 and one == other)
    return bool(fewer == 0 and one != other and 0 not in (one, other))


@inlined
def _later(row: int, place: int) -> int:
    """Count a sighting at a later place; 1 unless it has had more sightings there than at the first place."""
    first = i64(row)
    for column in range(1, PLACES):
        at = row + _WORD_BYTES * column
        known = i64(at)
        if known == 0 or known & _PLACE == place:
            count = min((known >> _PLACE_BITS) + 1, _MOST_COUNT)
            put64(at, place | count << _PLACE_BITS)
            if count <= first >> _PLACE_BITS:
                return 1
            # The first place missed it: it is a packet of its own, and the first place is given it.
            put64(row, first + (1 << _PLACE_BITS))
            return 0
    return 1


@inlined
def _begin(row: int, place: int) -> None:
    put64(row, place | 1 << _PLACE_BITS)
    for column in range(1, PLACES):
        put64(row + _WORD_BYTES * column, 0)


@inlined
def _look_up(fingerprint: int, now: int, place: int, bucket: int, rows: int) -> int:
    """1 where the packet of this fingerprint, now at ``place``, was seen at another place; it is noted in any case.

    ``bucket`` and ``rows`` are the addresses of its bucket and of the first of its rows.
    """
    oldest, chosen = now, 0
    for way in range(WAYS):
        key, row = bucket + _WORD_BYTES * way, rows + _LINE_BYTES * way
        then = i64(key + _TIMES)
        near = then - NEAR_NS <= now <= then + NEAR_NS and i64(key) != 0
        if near and i64(key) == fingerprint:
            known = i64(row)
            if known & _PLACE == place:
                put64(row, known + (1 << _PLACE_BITS if known >> _PLACE_BITS < _MOST_COUNT else 0))
                put64(key + _TIMES, now)
                return 0
            if _is_same(known & _PLACE, place):
                return _later(row, place)
        # A row that is out of date is as good as any; the first, because it was fetched.
        age = then if near else -(1 << 63)
        if age < oldest:
            oldest, chosen = age, way
    put64(bucket + _WORD_BYTES * chosen, fingerprint)
    put64(bucket + _WORD_BYTES * chosen + _TIMES, now)
    _begin(rows + _LINE_BYTES * chosen, place)
    return 0


@compiled
def mark(
    data: Bytes, time_ns: Words, start: Words, captured: Words, interface: Words, types: Bytes,
    prints: Words, keys: Words, places: Words, marks: Bytes,
) -> int:  # fmt: skip
    """Set ``marks`` to 1 where a packet was seen before, else 0; how many were.

    ``prints`` has room for ``AHEAD`` fingerprints; ``keys`` (buckets, 8) and ``places`` (4 * buckets, 8) are kept from
    call to call, the buckets a power of two.
    """
    base, table, rows, mask = address(data), address(keys), address(places), len(keys) - 1
    marked, count = 0, len(start)
    for first in range(0, count, len(prints)):
        last = min(first + len(prints), count)
        for i in range(first, last):
            fingerprint = np.uint64(0)
            if types[i] != NO_TYPE and types[i] != OTHER_HOST and start[i] >= 0:
                fingerprint = _fingerprint(base + start[i], captured[i])
                bucket = int(np.int64(fingerprint >> np.uint64(32))) & mask
                prefetch(table + _LINE_BYTES * bucket)
                prefetch(rows + _LINE_BYTES * WAYS * bucket)
            prints[i - first] = np.int64(fingerprint)
        for i in range(first, last):
            marks[i] = 0
            fingerprint = prints[i - first]
            if fingerprint == 0:
                continue
            at = base + start[i]
            hops = u8(at + 8) if u8(at) >> 4 == 4 else u8(at + 7)
            place = interface[i] & 0xFFFFFFFF | np.int64(types[i] == OUTGOING) << _OUT_BIT | hops << _HOPS_AT
            bucket = fingerprint >> 32 & mask
            found = _look_up(
                fingerprint, time_ns[i], place, table + _LINE_BYTES * bucket, rows + _LINE_BYTES * WAYS * bucket
            )
            marks[i] = found
            marked += found
    return marked
