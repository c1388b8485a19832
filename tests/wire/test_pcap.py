"""A capture as blocks of columns: every header a file may begin with, every piece it may be given in, every damage.

Captures are put together by hand after the two specifications or written by editcap and mergecap; what is in them is
known beforehand or told by tshark.
"""

import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from subprocess import run

import capture_bytes as made
import numpy as np
import pytest
from capture_bytes import Seen, ethernet, ip4, ip6, seen, sll, sll2, tcp, udp, walked
from hypothesis import given
from hypothesis import strategies as st

from tablefull.wire import pcap
from tablefull.wire.pcap import Damage, Reader, is_capture

CAPTURES = Path(__file__).resolve().parents[1] / "captures/debian-12-any"
S = 1_000_000_000
AT = 1_700_000_000_123_456_789
LATE = (2**32 - 1) * S + 999_999_999  # the last moment a pcap can name, in the year 2106
FOUR, SIX, ACK = ip4(udp(b"four")), ip6(udp(b"sixteen")), ip4(tcp(), protocol=6)
FRAMES = [
    (AT, ethernet(FOUR)),
    (AT - 5 * S, ethernet(SIX)),
    (LATE, ethernet(ACK)),
    (AT, made.MACS),
    (0, ethernet(FOUR)),
]


def as_pcapng(
    order: str, exponent: int, packet: Callable[..., bytes]
) -> Callable[[Iterable[tuple[int, bytes]]], bytes]:
    """A writer of pcapng whose clock counts 10**-exponent s; the default, microseconds, is left unsaid."""

    def write(frames: Iterable[tuple[int, bytes]]) -> bytes:
        options = b"" if exponent == 6 else made.option(9, bytes([exponent]), order) + made.option(0, b"", order)
        blocks = [packet(0, at // 10 ** (9 - exponent), frame, order) for at, frame in frames]
        return made.section(order) + made.interface(1, order, options=options) + b"".join(blocks)

    return write


# What writes a capture, how it is called, and how many ns its clock leaves out.
FORMATS: dict[str, tuple[Callable[[Iterable[tuple[int, bytes]]], bytes], int]] = {
    "pcap, microseconds, little-endian": (lambda frames: made.pcap(frames, order="<"), 1000),
    "pcap, microseconds, big-endian": (lambda frames: made.pcap(frames, order=">"), 1000),
    "pcap, nanoseconds, little-endian": (lambda frames: made.pcap(frames, order="<", nano=True), 1),
    "pcap, nanoseconds, big-endian": (lambda frames: made.pcap(frames, order=">", nano=True), 1),
    "pcapng": (as_pcapng("<", 6, made.enhanced), 1000),
    "pcapng ": (as_pcapng(">", 9, made.enhanced), 1),
    "pcapng, old blocks": (as_pcapng("<", 9, made.old), 1),
    "pcapng, old blocks, big-endian": (as_pcapng(">", 6, made.old), 1000),
}


def known(frames: Iterable[tuple[int, bytes]], unit_ns: int = 1) -> list[Seen]:
    """What is in Ethernet frames without tags."""
    return [Seen(at - at % unit_ns, frame[14:] or None, max(len(frame) - 14, 0)) for at, frame in frames]


def fed(data: bytes, ends: Iterable[int]) -> tuple[list[Seen], Reader]:
    """As ``walked``, but a piece is walked even where it holds less than is wanted."""
    reader, found = Reader("x.pcap"), []
    array = np.frombuffer(bytearray(data), np.uint8)
    for end in [*ends, len(data)]:
        for frames in reader.walk(array[reader.offset : end], last=end == len(data)):
            found += seen(frames)
    return found, reader


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_every_packet(name: str) -> None:
    write, unit_ns = FORMATS[name]
    found, reader = walked(write(FRAMES))
    assert found == known(FRAMES, unit_ns)
    assert reader.format == (name if name.startswith("pcap,") else "pcapng")
    assert (reader.damage, reader.timeless) == (None, 0)
    assert reader.offset == len(write(FRAMES))


@pytest.mark.parametrize("name", FORMATS)
def test_tshark_reads_what_was_put_together(program: Callable[[str], str], tmp_path: Path, name: str) -> None:
    """The builder of these tests against a reader that is not ours."""
    write, unit_ns = FORMATS[name]
    (tmp_path / "x").write_bytes(write(FRAMES))
    told = made.tshark(program, tmp_path / "x")
    assert [each.time_ns for each in told] == [at - at % unit_ns for at, _ in FRAMES]
    assert [each.captured for each in told] == [len(frame) for _, frame in FRAMES]


@pytest.mark.parametrize("name", FORMATS)
def test_a_piece_of_any_one_size(name: str) -> None:
    write, unit_ns = FORMATS[name]
    data = write(FRAMES)
    for size in [*range(1, 130), len(data) - 1]:
        found, reader = fed(data, range(size, len(data), size))
        assert found == known(FRAMES, unit_ns), size
        assert (reader.damage, reader.offset) == (None, len(data)), size


@given(
    name=st.sampled_from(sorted(FORMATS)),
    frames=st.lists(
        st.tuples(st.integers(0, LATE), st.integers(0, 90).map(lambda size: ethernet(ip4(udp(bytes(90))))[:size]))
    ),
    cuts=st.sets(st.integers(0, 1500), max_size=40),
)
def test_pieces_of_any_sizes(name: str, frames: list[tuple[int, bytes]], cuts: set[int]) -> None:
    write, unit_ns = FORMATS[name]
    data = write([(at + S, frame) for at, frame in frames if at < LATE - S])
    whole, _ = walked(data)
    assert whole == known([(at + S, frame) for at, frame in frames if at < LATE - S], unit_ns)
    found, reader = fed(data, sorted(cut for cut in cuts if cut < len(data)))
    assert (found, reader.damage, reader.offset) == (whole, None, len(data))


@pytest.mark.parametrize("name", FORMATS)
def test_as_much_as_it_wants_is_enough(name: str) -> None:
    """Given no byte more than asked for, the walk goes on: a header, then the rest of what it announces."""
    write, unit_ns = FORMATS[name]
    data = np.frombuffer(write(FRAMES), np.uint8)
    reader, found, steps = Reader("x"), [], 0
    while reader.offset < len(data):
        end, steps = reader.offset + reader.wants, steps + 1
        assert end <= len(data)
        for frames in reader.walk(data[reader.offset : end], last=end == len(data)):
            found += seen(frames)
    assert found == known(FRAMES, unit_ns)
    assert steps <= 2 * (len(FRAMES) + 2)


@pytest.mark.parametrize("written", ["pcap", "nsecpcap", "pcapng"])
@pytest.mark.parametrize("name", ["plain-v1.pcap", "stacked-v2.pcap"])
@pytest.mark.parametrize("snaplen", [0, 53])
def test_real_captures_as_editcap_writes_them(
    program: Callable[[str], str], tmp_path: Path, written: str, name: str, snaplen: int
) -> None:
    path = tmp_path / "x"
    cut = ["-s", str(snaplen)] if snaplen else []
    run([program("editcap"), "-F", written, *cut, CAPTURES / name, path], check=True)
    found, reader = walked(path.read_bytes())
    told = made.tshark(program, path)
    asked = ["-T", "fields", "-e", "sll.pkttype", "-e", "sll.ifindex"]
    lines = run([program("tshark"), "-r", path, *asked], capture_output=True, text=True, check=True).stdout
    before = 20 if "v2" in name else 16
    assert reader.damage is None
    assert len(found) == len(told) > 60
    for ours, theirs, line in zip(found, told, lines.split("\n"), strict=False):
        kind, _, which = line.partition("\t")
        assert (ours.time_ns, ours.packet_type, ours.interface) == (theirs.time_ns, int(kind), int(which or 0))
        if ours.ip is None or len(ours.ip) >= 40 or ours.ip[0] >> 4 == 4:  # else its addresses are cut off
            assert made.addresses(ours.ip) == (theirs.src, theirs.dst)
        if ours.ip is not None:
            assert (len(ours.ip), ours.wire) == (theirs.captured - before, theirs.length - before)


LAYERS = {
    "ethernet": (1, ethernet(FOUR), 14),
    "vlan": (1, ethernet(struct.pack(">HH", 7, 0x0800) + FOUR, 0x8100), 18),
    "qinq": (1, ethernet(struct.pack(">HHHH", 7, 0x8100, 8, 0x86DD) + SIX, 0x88A8), 22),
    "pppoe": (1, ethernet(struct.pack(">BBHHH", 0x11, 0, 1, 2 + len(SIX), 0x57) + SIX, 0x8864), 22),
    "cooked": (113, sll(FOUR, 4), 16),
    "cooked-v2": (276, sll2(SIX, 0, 9), 20),
    "raw": (101, SIX, 0),
    "loopback": (0, struct.pack("<I", 2) + FOUR, 4),
    "loopback-openbsd": (108, struct.pack(">I", 24) + SIX, 4),
}


def test_mergecap_joins_every_layer_into_one_pcapng(program: Callable[[str], str], tmp_path: Path) -> None:
    paths = []
    for index, (name, (link, frame, _)) in enumerate(LAYERS.items()):
        paths.append(tmp_path / name)
        at = AT + index * S
        paths[-1].write_bytes(made.header(link, nano=True) + made.record(at, frame, nano=True, length=len(frame) + 9))
    run([program("mergecap"), "-I", "none", "-F", "pcapng", "-w", tmp_path / "all", *paths], check=True)
    found, reader = walked((tmp_path / "all").read_bytes())
    assert (reader.damage, reader.format) == (None, "pcapng")
    for index, (name, (link, frame, before)) in enumerate(LAYERS.items()):
        kind = {"cooked": 4, "cooked-v2": 0}.get(name, 255)
        which = 9 if link == 276 else index
        assert found[index] == Seen(AT + index * S, frame[before:], len(frame) + 9 - before, which, kind), name


def test_each_interface_has_its_own_clock() -> None:
    def clock(resolution: int, offset_s: int) -> bytes:
        options = made.option(2, b"eth0") + made.option(9, bytes([resolution]))
        return made.interface(101, options=options + made.option(14, struct.pack("<q", offset_s)) + made.option(0, b""))

    data = made.section() + clock(9, 0) + clock(3, -7200) + made.enhanced(0, AT, FOUR) + made.enhanced(1, 10_000, SIX)
    data += clock(0x80 | 10, 100) + made.enhanced(2, 3 << 9, FOUR) + made.enhanced(0, AT, SIX)
    found, _ = walked(data)
    assert [each.time_ns for each in found] == [AT, (10 - 7200) * S, 101_500_000_000, AT]
    assert [each.interface for each in found] == [0, 1, 2, 0]


def test_a_section_may_change_the_byte_order_and_forgets_the_interfaces(
    program: Callable[[str], str], tmp_path: Path
) -> None:
    nano = made.option(9, b"\x09", ">") + made.option(0, b"", ">")
    data = made.section("<") + made.interface(1) + made.interface(101) + made.enhanced(1, AT // 1000, FOUR)
    data += made.section(">") + made.interface(1, ">", options=nano) + made.enhanced(0, AT, ethernet(SIX), ">")
    data += made.section("<") + made.interface(228) + made.enhanced(0, 7, ACK)
    expected = [(AT - AT % 1000, FOUR), (AT, SIX), (7000, ACK)]
    for cuts in ([], range(1, len(data))):
        found, reader = walked(data, cuts)
        assert [(each.time_ns, each.ip) for each in found] == expected
        assert reader.damage is None
    (tmp_path / "x").write_bytes(data)
    told = made.tshark(program, tmp_path / "x")
    assert [(each.time_ns, each.src, each.dst) for each in told] == [(at, *made.addresses(ip)) for at, ip in expected]
    undescribed = made.section() + made.interface(1) + made.section() + made.enhanced(0, 0, FOUR)
    assert walked(undescribed)[1].damage == Damage(
        28 + 20 + 28, "a packet of an interface that was not described (0 were)"
    )


def test_a_packet_without_a_time_has_that_of_the_packet_before() -> None:
    data = made.section() + made.interface(101, snaplen=30) + made.simple(SIX) + made.enhanced(0, AT // 1000, FOUR)
    data += made.simple(FOUR[:30], length=len(FOUR)) + made.simple(b"", length=0)
    found, reader = walked(data)
    assert [each.time_ns for each in found] == [0, AT - AT % 1000, AT - AT % 1000, AT - AT % 1000]
    # A whole frame of a writer that keeps to no snaplen is cut to it; the padding of 30 bytes is no part of it.
    assert [each.ip for each in found] == [SIX[:30], FOUR, FOUR[:30], None]
    assert [each.wire for each in found] == [len(SIX), len(FOUR), len(FOUR), 0]
    assert reader.timeless == 3


def test_a_packet_longer_than_it_was_sent_was_as_long_as_it_is() -> None:
    found, _ = walked(made.header(101) + made.record(AT, FOUR, length=3))
    assert [(each.ip, each.wire) for each in found] == [(FOUR, len(FOUR))]


def test_blocks_that_are_no_packets_are_passed_over() -> None:
    others = [
        made.block(kind, bytes(size)) for kind in (4, 5, 10, 0xBAD, 0x40000BAD, 0xFFFFFFFF) for size in (0, 8, 33)
    ]
    data = made.section(options=made.option(4, b"dumpcap")) + b"".join(others) + made.interface(101)
    data += made.enhanced(0, 5, FOUR, options=made.option(2, b"\1\0\0\0")) + b"".join(others) + made.enhanced(0, 6, SIX)
    found, reader = walked(data)
    assert [(each.time_ns, each.ip) for each in found] == [(5000, FOUR), (6000, SIX)]
    assert reader.damage is None


def test_upper_bits_of_the_link_type_tell_of_a_checksum_behind_each_frame() -> None:
    assert walked(made.header(0x44000001) + made.record(AT, ethernet(FOUR)))[0] == known(
        [(AT - AT % 1000, ethernet(FOUR))]
    )


def test_a_clock_that_rounded_up_to_the_whole_second() -> None:
    micro = made.header(101) + struct.pack("<IIII", 9, 1_000_000, 0, 0)
    nano = made.header(101, nano=True) + struct.pack("<IIII", 9, S, 0, 0)
    assert [walked(data)[0][0].time_ns for data in (micro, nano)] == [10 * S, 10 * S]


def test_more_packets_than_one_block_of_columns_holds() -> None:
    count = 2 * pcap.PACKETS + 3
    records = np.zeros((count, 4), "<u4")
    records[:, 0] = np.arange(count)
    records[:, 3] = 60
    reader = Reader("x")
    data = np.frombuffer(made.header() + records.tobytes(), np.uint8)
    blocks = list(reader.walk(data, last=True))
    assert [len(block.start) for block in blocks] == [pcap.PACKETS, pcap.PACKETS, 3]
    # The first has nothing but its length on the wire, and is a packet all the same.
    assert np.array_equal(np.concatenate([block.time_ns for block in blocks]), np.arange(count) * S)


@pytest.mark.parametrize("extra", [0, 1])
def test_the_most_interfaces(extra: int) -> None:
    many = made.section() + made.interface(101) * (pcap.MOST_INTERFACES + extra)
    last = made.enhanced(pcap.MOST_INTERFACES - 1, 1, FOUR)
    found, reader = walked(many + last)
    if extra:
        assert reader.damage == Damage(len(many) - 20, f"more than {1 << 18} interfaces")
        assert found == []
    else:
        assert reader.damage is None
        assert [(each.ip, each.interface) for each in found] == [(FOUR, (1 << 18) - 1)]


def test_what_begins_a_capture() -> None:
    assert all(is_capture(write(FRAMES)) for write, _ in FORMATS.values())
    assert not any(is_capture(head) for head in (b"", b"\xd4\xc3\xb2", b"\x0a\x0d\x0d\x0b", b"\x1f\x8b\x08\0", b"text"))
