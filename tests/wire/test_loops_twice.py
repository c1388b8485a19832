"""The table of the last moments: a plain model of it beside the compiled one, every byte of a header, and full buckets.

The model is dictionaries and the rules as they are told; which bytes a router may change is told by the layouts of
RFC 791, 8200, 9293, 768, 792, 9260.
"""

import struct
from typing import NamedTuple

import numpy as np
import pytest
from capture_bytes import ip4, ip6, tcp, udp
from hypothesis import example, given
from hypothesis import strategies as st

from tablefull.wire import loops_twice
from tablefull.wire.loops import NO_TYPE

IN, OTHER_HOST, OUT = 0, 3, 4
NEAR = 50_000_000
LAN, WAN = 2, 3


class Sighting(NamedTuple):
    packet: bytes
    device: int
    way: int
    time_ns: int = 0


class Table:
    """A table of so many buckets of four, kept from call to call."""

    def __init__(self, buckets: int = 1 << 10, ahead: int = loops_twice.AHEAD) -> None:
        self.prints = np.empty(ahead, np.int64)
        self.keys = np.zeros((buckets, 8), np.int64)
        self.places = np.zeros((buckets * 4, 8), np.int64)

    def mark(self, *sightings: Sighting) -> list[bool]:
        sizes = [len(each.packet) for each in sightings]
        start = np.cumsum([0, *sizes])[:-1].astype(np.int64)
        start[np.array(sizes, np.int64) == 0] = -1  # no IP packet
        marks = np.full(len(sightings), 7, np.uint8)
        count = loops_twice.mark(
            np.frombuffer(b"".join(each.packet for each in sightings), np.uint8),
            np.array([each.time_ns for each in sightings], np.int64),
            start,
            np.array(sizes, np.int64),
            np.array([each.device for each in sightings], np.int64),
            np.array([each.way for each in sightings], np.uint8),
            *(self.prints, self.keys, self.places, marks),
        )
        assert count == marks.sum()
        assert set(marks.tolist()) <= {0, 1}
        return marks.astype(bool).tolist()


def came(packet: bytes, at: int = 0, device: int = LAN) -> Sighting:
    return Sighting(packet, device, IN, at)


def left(packet: bytes, at: int = 0, device: int = WAN) -> Sighting:
    """The same packet on its way out, one hop fewer."""
    hops = 8 if packet[0] >> 4 == 4 else 7
    return Sighting(packet[:hops] + bytes([packet[hops] - 1]) + packet[hops + 1 :], device, OUT, at)


class Place(NamedTuple):
    device: int
    out: bool
    hops: int


def is_same(first: Place, later: Place) -> bool:
    """The three ways a packet is seen again, as the module tells them."""
    hops_fewer = first.hops - later.hops
    other_device = first.device != later.device
    if not first.out and later.out:
        return hops_fewer == 1 or (hops_fewer == 0 and (other_device or first.device == 0))
    if first.out and not later.out:
        return hops_fewer == 0 and not other_device
    return hops_fewer == 0 and other_device and first.device != 0 and later.device != 0


class Model:
    """One packet's rows, four at most: where it was first seen, when last and how often, and how often elsewhere."""

    def __init__(self) -> None:
        self.rows: list[dict] = [{"near": None} for _ in range(4)]

    def saw(self, place: Place, at: int) -> bool:
        for row in self.rows:
            if row["near"] is None or abs(row["near"] - at) > NEAR:
                continue
            if row["first"] == place:
                row["times"] += 1
                row["near"] = at
                return False
            if is_same(row["first"], place):
                row["later"][place] = row["later"].get(place, 0) + 1
                if row["later"][place] <= row["times"]:
                    return True
                row["times"] += 1
                return False
        stale = [row for row in self.rows if row["near"] is None or abs(row["near"] - at) > NEAR]
        older = [row for row in self.rows if row not in stale and row["near"] < at]
        # Where the clock went back and none is older, the first of them gives way.
        row = stale[0] if stale else min(older or self.rows[:1], key=lambda each: each["near"])
        row.update(near=at, first=place, times=1, later={})
        return False


PLACES = st.builds(Place, st.sampled_from([0, 2, 3]), st.booleans(), st.sampled_from([62, 63, 64]))
MOMENTS = st.lists(
    st.tuples(st.integers(0, 2), PLACES, st.sampled_from([0, 1, 1, 1, 20_000_000, NEAR, NEAR + 1, -1, -30_000_000])),
    max_size=60,
)


@given(MOMENTS, st.integers(1, 7), st.sampled_from([1, 2, 64]))
def test_the_table_is_what_the_model_is(moments: list[tuple[int, Place, int]], piece: int, ahead: int) -> None:
    table, models, now = Table(ahead=ahead), [Model() for _ in range(3)], 10**18
    sightings, expected = [], []
    for which, place, step in moments:
        now += step
        packet = ip4(udp(b"x"), ident=which, hops=place.hops)
        sightings.append(Sighting(packet, place.device, OUT if place.out else IN, now))
        expected.append(models[which].saw(place, now))
    found = []
    for first in range(0, len(sightings), piece):
        found += table.mark(*sightings[first : first + piece])
    assert found == expected


@given(PLACES, PLACES)
@example(Place(0, False, 255), Place(0, True, 255))
@example(Place(2**32 - 1, False, 255), Place(0, True, 254))
@example(Place(2, False, 0), Place(2, True, 255))
def test_places_that_one_packet_may_be_seen_at(first: Place, later: Place) -> None:
    def packed(place: Place) -> int:
        return place.device | place.out << 32 | place.hops << 33

    assert loops_twice._is_same(packed(first), packed(later)) == is_same(first, later)


BODY = bytes(range(1, 49))
SYN = ip4(tcp(BODY, flags=2, options=b"\2\4\5\xb4\1\1\4\2"), protocol=6)
CHUNKS = struct.pack(">HHII", 5000, 5001, 0xABCD, 0x1234) + BODY
IPV4_FREE = {1, 10, 11}  # type of service and header checksum; the hop limit is a place's
# What may differ between two sightings, counted from the IP header, in the headers and the first 32 bytes of payload.
PACKETS = {
    "tcp": (SYN, IPV4_FREE | set(range(36, 48)), 48),  # checksum, urgent pointer, options
    "udp": (ip4(udp(BODY)), IPV4_FREE | {26, 27}, 28),
    "udplite": (ip4(udp(BODY), protocol=136), IPV4_FREE | {26, 27}, 28),
    "icmp": (ip4(b"\x08\0\xaa\xbb\0\7\0\1" + BODY, protocol=1), IPV4_FREE | {22, 23}, 24),
    "sctp": (ip4(CHUNKS, protocol=132), IPV4_FREE | {28, 29, 30, 31}, 32),
    "gre": (ip4(b"\0\0\x08\0" + BODY, protocol=47), IPV4_FREE, 28),
    "fragment": (ip4(BODY, fragment=0x2004), IPV4_FREE, 28),
    "options": (ip4(udp(BODY), options=b"\x94\4\0\0"), IPV4_FREE | {20, 21, 22, 23} | {30, 31}, 32),
    "udp6": (ip6(udp(BODY)), {0, 1} | {46, 47}, 48),
    "tcp6": (ip6(tcp(BODY), protocol=6), {0, 1} | {56, 57, 58, 59}, 60),
    "icmp6": (ip6(b"\x80\0\xaa\xbb\0\7\0\1" + BODY, protocol=58), {0, 1} | {42, 43}, 44),
}


@pytest.mark.parametrize("name", PACKETS)
def test_every_byte_that_differs_makes_another_packet_unless_a_router_may_change_it(name: str) -> None:
    packet, free, payload = PACKETS[name]
    version = packet[0] >> 4
    hops = 8 if version == 4 else 7
    again = left(packet)
    assert Table().mark(came(packet), again) == [False, True]
    for at in range(len(packet)):
        changed = bytearray(again.packet)
        # The lower half of a first byte of IPv6 begins its traffic class; the version and IPv4's header length stay.
        changed[at] ^= 0x0F if at == 0 and version == 6 else 0x04 if at else 0x01
        if version == 6 and at == 1:
            changed[at] ^= 0x04 ^ 0x10  # the upper half: the rest of the class
        same = at in free or at >= payload + 32
        assert Table().mark(came(packet), again._replace(packet=bytes(changed))) == [False, same and at != hops], at


def test_a_flow_label_is_kept_by_routers() -> None:
    packet = ip6(udp(BODY))
    for at in (2, 3):  # the upper four bits share their byte with the traffic class
        labelled = left(packet[:at] + b"\x01" + packet[at + 1 :])
        assert Table().mark(came(packet), labelled) == [False, False]


def test_a_packet_beyond_64_kib_says_no_length() -> None:
    """Not yet cut into segments, its length is 0 (BIG TCP); what was captured of it is compared."""
    packet = ip6(tcp(BODY), protocol=6)
    packet = packet[:4] + b"\0\0" + packet[6:]
    changed = packet[:70] + b"?" + packet[71:]
    assert Table().mark(came(packet), left(packet)) == [False, True]
    assert Table().mark(came(packet), left(changed)) == [False, False]
    packet, changed = (each[:2] + b"\0\0" + each[4:] for each in (ip4(udp(BODY)), ip4(udp(BODY[::-1]))))
    assert Table().mark(came(packet), left(packet)) == [False, True]
    assert Table().mark(came(packet), left(changed)) == [False, False]


def test_a_header_that_is_none_is_not_looked_up() -> None:
    packet = ip4(udp(BODY))
    for first in (0x40, 0x44, 0x4F):  # shorter than a header may be; longer than the packet was captured
        broken = bytes([first]) + packet[1:50]
        assert Table().mark(came(broken), left(broken)) == [False, False]


@pytest.mark.parametrize("way", [NO_TYPE, OTHER_HOST])
def test_what_is_not_of_this_host_is_passed_over(way: int) -> None:
    packet, table = ip4(udp(BODY)), Table()
    assert table.mark(came(packet)._replace(way=way), Sighting(b"", LAN, IN), left(packet)) == [False] * 3
    assert table.mark(left(packet)._replace(way=way)) == [False]
    assert np.count_nonzero(table.keys) == 1  # one fingerprint, at time 0


def test_more_packets_than_are_fetched_ahead() -> None:
    packets = [ip4(udp(struct.pack(">I", number)), ident=number) for number in range(1, 3 * loops_twice.AHEAD + 7)]
    table = Table(1 << 10)
    marks = table.mark(*map(came, packets), *map(left, packets))
    assert marks == [False] * len(packets) + [True] * len(packets)
    assert table.mark(*map(left, packets[:5]), *map(came, packets[:5])) == [False] * 10


def test_the_oldest_of_a_full_bucket_makes_room() -> None:
    packets = [ip4(udp(BODY), ident=number) for number in range(5)]
    table = Table(buckets=1)
    assert table.mark(*(came(packet, at) for at, packet in enumerate(packets[:4]))) == [False] * 4
    assert table.mark(came(packets[0], 4), came(packets[4], 5)) == [False, False]  # 0 again, so 1 is the oldest
    marks = table.mark(*(left(packets[number], 6) for number in (0, 2, 3, 4, 1)))
    assert marks == [True, True, True, True, False]


def test_what_is_out_of_date_makes_room_before_what_is_older_by_a_clock_that_went_back() -> None:
    packets = [ip4(udp(BODY), ident=number) for number in range(5)]
    table = Table(buckets=1)
    table.mark(came(packets[0], 10 * NEAR), *(came(packet, number) for number, packet in enumerate(packets[1:5], 1)))
    # The one that was seen far in the future gave way, though its time is the latest: all four others are there.
    assert table.mark(*(left(packets[number], 9) for number in (1, 2, 3, 4, 0))) == [True, True, True, True, False]


def test_seven_later_places_are_counted_and_more_are_marked() -> None:
    packet = ip4(udp(BODY))
    table = Table()
    assert table.mark(*(came(packet, device=device) for device in range(2, 14))) == [False] + [True] * 11
    # Sent once, seen at each place for the second time: counted at seven of them, not told apart at the rest.
    assert table.mark(*(came(packet, device=device) for device in range(3, 10))) == [False] + [True] * 6


@pytest.mark.parametrize("column", [0, 1])
def test_a_count_stays_within_its_bits(column: int) -> None:
    """Two million sightings within a moment: the count ends at its most, and neither place is another thereby."""
    packet, table = ip4(udp(BODY)), Table(buckets=1)
    assert table.mark(came(packet), left(packet)) == [False, True]
    row = int(np.flatnonzero(table.places[:, 0])[0])
    most = (1 << 21) - 1
    table.places[row, :2] |= most << 41
    before = table.places.copy()
    again = came(packet) if column == 0 else left(packet)
    assert table.mark(again, again, again) == [column == 1] * 3
    assert np.array_equal(table.places, before)
    assert (before >= 0).all()


def test_nothing_behind_a_packet_is_looked_at() -> None:
    """What was captured ends where it ends: a change of the bytes behind it changes nothing."""
    for packet in (ip4(udp(BODY)), ip4(tcp(BODY), protocol=6), ip6(udp(BODY)), ip4(BODY, protocol=47)):
        for size in range(1, len(packet) + 1):
            first, second = came(packet[:size]), left(packet[: max(size, 9)])
            second = second._replace(packet=second.packet[:size])
            alone = Table().mark(first, second)
            between = Sighting(b"\xff" * 50, LAN, NO_TYPE)
            assert [alone[0], False, alone[1], False] == Table().mark(first, between, second, between)
