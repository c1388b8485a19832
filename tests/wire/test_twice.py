"""Second sightings in captures of `any`: what a router's kernel counted, and what each kind of forwarding looks like.

The kernel's own counters say how many packets there were. The scenes are put together by hand: a sighting is a moment,
a device, a way through it, and a packet as it was then.
"""

import tomllib
from pathlib import Path
from subprocess import run

import capture_bytes as made
import numpy as np
import pytest
from capture_bytes import ethernet, ip4, ip6, sll, sll2, tcp, udp

from tablefull.wire.pcap import Frames, Reader
from tablefull.wire.twice import Twice

CAPTURES = Path(__file__).resolve().parents[1] / "captures/debian-12-any"
SAW = tomllib.loads((CAPTURES / "CAPTURE.toml").read_text("utf-8"))["kernel_saw"]
AT = 1_700_000_000_000_000_000
MS = 1_000_000
IN, BROADCAST, MULTICAST, OTHER_HOST, OUT = range(5)
LAN, WAN, BRIDGE, LO = 2, 3, 4, 1
DATA = udp(b"a question of some length, longer than what is compared")


def frames_of(data: bytes) -> list[Frames]:
    return list(Reader("x").walk(np.frombuffer(bytearray(data), np.uint8), last=True))


def marks(*sightings: tuple, version: int = 2) -> list[bool]:
    """Which of the sightings are second ones; a tenth of a millisecond lies between them where no moment is named."""
    packets = []
    for index, (device, way, packet, *moment) in enumerate(sightings):
        frame = sll2(packet, way, device) if version == 2 else sll(packet, way)
        packets.append((AT + (moment[0] if moment else index * MS // 10), frame))
    twice, found = Twice(), []
    for frames in frames_of(made.pcap(packets, 276 if version == 2 else 113, nano=True)):
        found += twice.mark(frames).tolist()
    assert twice.marked == sum(found)
    return found


def taken(frames: Frames) -> np.ndarray:
    """What IP of this host takes or sends: no ARP, nothing for another host's address."""
    return (frames.start >= 0) & (frames.packet_type != OTHER_HOST)


@pytest.mark.parametrize("name", sorted(SAW))
@pytest.mark.parametrize("written", ["", "pcapng"])
def test_as_many_packets_as_the_kernel_counted(program, tmp_path: Path, name: str, written: str) -> None:
    path = CAPTURES / name
    if written:
        run([program("editcap"), "-F", written, path, tmp_path / "x"], check=True)
        path = tmp_path / "x"
    twice, once = Twice(), 0
    for frames in frames_of(path.read_bytes()):
        once += int((taken(frames) & ~twice.mark(frames)).sum())
    assert once == sum(SAW[name].values())
    assert twice.marked > 20


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("make", [ip4, ip6])
def test_forwarded_in_and_out_with_one_hop_fewer(version: int, make) -> None:
    assert marks((LAN, IN, make(DATA, hops=64)), (WAN, OUT, make(DATA, hops=63)), version=version) == [False, True]
    assert marks((LAN, IN, make(DATA, hops=64)), (WAN, OUT, make(DATA, hops=62)), version=version) == [False, False]
    assert marks((LAN, IN, make(DATA, hops=63)), (WAN, OUT, make(DATA, hops=64)), version=version) == [False, False]
    assert marks((LAN, OUT, make(DATA, hops=64)), (WAN, IN, make(DATA, hops=63)), version=version) == [False, False]


def test_forwarded_out_of_the_device_it_came_in_by() -> None:
    assert marks((LAN, IN, ip4(DATA, hops=64)), (LAN, OUT, ip4(DATA, hops=63))) == [False, True]


@pytest.mark.parametrize("version", [1, 2])
def test_sent_again_on_the_wire_is_another_packet(version: int) -> None:
    first, after = ip4(DATA, hops=64), ip4(DATA, hops=63)
    assert marks((LAN, IN, first), (LAN, IN, first), version=version) == [False, False]
    assert marks((WAN, OUT, first), (WAN, OUT, first), version=version) == [False, False]
    again = [(LAN, IN, first), (WAN, OUT, after)] * 3
    assert marks(*again, version=version) == [False, True] * 3


def test_sightings_are_counted_at_each_place() -> None:
    came, left = (LAN, IN, ip4(DATA, hops=64)), (WAN, OUT, ip4(DATA, hops=63))
    assert marks(came, came, came, left, left, left) == [False] * 3 + [True] * 3
    assert marks(came, came, left, left, left) == [False, False, True, True, False]
    assert marks(came, left, left, came, left) == [False, True, False, False, True]


def test_devices_that_stand_on_one_another() -> None:
    port, bridge, out = (LAN, IN, ip4(DATA)), (BRIDGE, IN, ip4(DATA)), (WAN, OUT, ip4(DATA, hops=63))
    assert marks(port, bridge, out) == [False, True, True]
    sent = ip4(DATA)
    assert marks((BRIDGE, OUT, sent), (LAN, OUT, sent), (WAN, OUT, sent)) == [False, True, True]
    # Through a bridge, which takes no hop.
    assert marks((LAN, IN, sent), (WAN, OUT, sent)) == [False, True]


def test_without_devices_only_the_way_tells() -> None:
    """Cooked v1 names no device: twice in may as well be sent twice, but in and then out is bridged."""
    assert marks((LAN, IN, ip4(DATA)), (BRIDGE, IN, ip4(DATA)), version=1) == [False, False]
    assert marks((LAN, OUT, ip4(DATA)), (BRIDGE, OUT, ip4(DATA)), version=1) == [False, False]
    assert marks((LAN, IN, ip4(DATA)), (BRIDGE, OUT, ip4(DATA)), version=1) == [False, True]
    assert marks((LO, OUT, ip4(DATA)), (LO, IN, ip4(DATA)), version=1) == [False, True]


def test_looped_out_and_in_on_one_device() -> None:
    assert marks((LO, OUT, ip4(DATA)), (LO, IN, ip4(DATA))) == [False, True]
    assert marks((LO, OUT, ip6(DATA)), (LO, IN, ip6(DATA))) == [False, True]
    # Out of one and into another: a cable from this host to itself, on which it is received like any other.
    assert marks((LAN, OUT, ip4(DATA)), (WAN, IN, ip4(DATA))) == [False, False]


@pytest.mark.parametrize("way", [BROADCAST, MULTICAST])
def test_to_all_and_to_many_is_in(way: int) -> None:
    assert marks((LAN, way, ip4(DATA)), (BRIDGE, way, ip4(DATA))) == [False, True]
    assert marks((LAN, way, ip4(DATA, hops=9)), (WAN, OUT, ip4(DATA, hops=8))) == [False, True]


def test_frames_for_other_hosts_are_neither_marked_nor_remembered() -> None:
    other, up = (LAN, OTHER_HOST, ip4(DATA)), (BRIDGE, IN, ip4(DATA))
    assert marks(other, up, (WAN, OUT, ip4(DATA, hops=63))) == [False, False, True]
    assert marks(up, other) == [False, False]


@pytest.mark.parametrize(
    ("apart", "found"), [(0, True), (50, True), (50 + 1e-6, False), (-50, True), (-50 - 1e-6, False)]
)
def test_so_far_apart_at_most(apart: float, found: bool) -> None:
    """The clock of a capture may go back, by the nanosecond as well."""
    assert marks((LAN, IN, ip4(DATA), 0), (WAN, OUT, ip4(DATA, hops=63), round(apart * MS))) == [False, found]


def test_the_time_of_the_last_sighting_at_the_first_place_counts() -> None:
    came, left = ip4(DATA), ip4(DATA, hops=63)
    assert marks((LAN, IN, came, 0), (LAN, IN, came, 40 * MS), (WAN, OUT, left, 80 * MS)) == [False, False, True]
    assert marks((LAN, IN, came, 0), (WAN, OUT, left, 40 * MS), (WAN, OUT, left, 80 * MS)) == [False, True, False]


def test_what_is_rewritten_on_the_way() -> None:
    """A type of service, an MSS, a checksum that the card fills in, the padding of a short Ethernet frame."""
    mss = [tcp(flags=2, options=option) for option in (b"\2\4\x05\xb4", b"\2\4\x05\x78")]
    assert marks((LAN, IN, ip4(mss[0], protocol=6)), (WAN, OUT, ip4(mss[1], protocol=6, hops=63))) == [False, True]
    assert marks((LAN, IN, ip4(DATA, tos=0xB8)), (WAN, OUT, ip4(DATA, hops=63))) == [False, True]
    summed = udp(DATA[8:], check=0xBEEF)
    assert marks((LAN, IN, ip4(DATA)), (WAN, OUT, ip4(summed, hops=63))) == [False, True]
    short = ip4(udp(b"x"))
    assert marks((LAN, IN, short + bytes(17)), (WAN, OUT, ip4(udp(b"x"), hops=63))) == [False, True]


@pytest.mark.parametrize(
    "other",
    [
        ip4(DATA, ident=2, hops=63),
        ip4(DATA, src="192.0.2.1", hops=63),
        ip4(DATA, dst="192.0.2.1", hops=63),
        ip4(DATA, protocol=136, hops=63),
        ip4(DATA, fragment=0x4000, hops=63),
        ip4(udp(DATA[8:], sport=1001), hops=63),
        ip4(udp(DATA[8:], dport=54), hops=63),
        ip4(udp(b"A" + DATA[9:]), hops=63),
        ip4(DATA + b".", hops=63),
        ip6(DATA, hops=63),
    ],
    ids="ident src dst protocol fragment sport dport payload length version".split(),
)  # fmt: skip
def test_another_packet(other: bytes) -> None:
    assert marks((LAN, IN, ip4(DATA)), (WAN, OUT, other)) == [False, False]


def test_where_too_little_was_captured_nothing_is_marked() -> None:
    came, left = ip4(DATA), ip4(DATA, hops=63)
    for size in (1, 8, 19):
        assert marks((LAN, IN, came[:size]), (WAN, OUT, left[:size])) == [False, False], size
    for size in (20, 28, 40):
        assert marks((LAN, IN, came[:size]), (WAN, OUT, left[:size])) == [False, True], size
    came, left = ip6(DATA), ip6(DATA, hops=63)
    for size, found in ((39, False), (40, True), (48, True)):
        assert marks((LAN, IN, came[:size]), (WAN, OUT, left[:size])) == [False, found], size


def test_other_captures_do_not_say_which_way_a_packet_went() -> None:
    packets = [(AT, ethernet(ip4(DATA))), (AT, ethernet(ip4(DATA, hops=63))), (AT, ethernet(ip4(DATA, hops=63)))]
    twice = Twice()
    assert [twice.mark(frames).tolist() for frames in frames_of(made.pcap(packets))] == [[False] * 3]
    # Nor do they in a pcapng that holds both.
    data = made.section() + made.interface(1) + made.interface(276)
    data += made.enhanced(0, 1, ethernet(ip4(DATA))) + made.enhanced(1, 1, sll2(ip4(DATA, hops=63), OUT, WAN))
    data += made.enhanced(1, 1, sll2(ip4(DATA, ident=9), IN, LAN)) + made.enhanced(0, 1, ethernet(ip4(DATA)))
    data += made.enhanced(1, 1, sll2(b"\0" * 28, IN, LAN, 0x0806))
    data += made.enhanced(1, 2, sll2(ip4(DATA, ident=9, hops=63), OUT, WAN))
    assert [twice.mark(frames).tolist() for frames in frames_of(data)] == [[False] * 5 + [True]]
    assert twice.marked == 1


def test_from_one_block_of_frames_to_the_next() -> None:
    came = frames_of(made.pcap([(AT, sll2(ip4(DATA), IN, LAN))], 276))[0]
    left = frames_of(made.pcap([(AT + MS, sll2(ip4(DATA, hops=63), OUT, WAN))], 276))[0]
    nothing = came._replace(**{name: getattr(came, name)[:0] for name in Frames._fields[1:]})
    twice = Twice()
    assert [twice.mark(each).tolist() for each in (nothing, came, nothing, left)] == [[], [False], [], [True]]
    assert [twice.mark(each).tolist() for each in (came, left, nothing)] == [[False], [True], []]
    assert twice.marked == 2
    assert Twice().mark(left).tolist() == [False]
