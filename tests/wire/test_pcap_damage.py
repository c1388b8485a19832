"""What is wrong with a capture: each kind of damage by one file put together by hand, and what is none that is read.

A damage ends the walk: what is before it has been given, what is behind it is not. ParseError is for a file of which
nothing can be read, and for an interface of a kind that is not read.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from subprocess import run

import capture_bytes as made
import numpy as np
import pytest
from capture_bytes import ethernet, ip4, ip6, seen, udp, walked

from tablefull.errors import ParseError
from tablefull.wire.pcap import Reader, is_capture

S = 1_000_000_000
AT = 1_700_000_000_123_456_789
FOUR, SIX = ip4(udp(b"four")), ip6(udp(b"sixteen"))

PLAIN = made.header(101) + made.record(AT, FOUR)
BIG = made.header(101, ">", nano=True) + made.record(AT, FOUR, ">", nano=True)
BLOCKS = made.section() + made.interface(101) + made.enhanced(0, 1, FOUR)
BIG_BLOCKS = made.section(">") + made.interface(101, ">") + made.enhanced(0, 1, FOUR, ">")
MOST = 256 * 1024  # the longest snaplen of libpcap
MEGABYTES_16 = 16 << 20


def sized(kind: int, size: int, body: bytes, end: int | None = None) -> bytes:
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size if end is None else end)


# What is read before it, the bytes that are wrong, and what is said of them.
DAMAGES = {
    "captured": (PLAIN, struct.pack("<IIII", 9, 0, MOST + 1, 70), f"a packet of {MOST + 1} bytes, and {MOST} is"),
    "captured-big": (BIG, struct.pack(">IIII", 9, 0, 1 << 31, 70), f"a packet of {1 << 31} bytes, and {MOST} is"),
    "fraction": (PLAIN, struct.pack("<IIII", 9, 1_000_001, 0, 0), "a packet at 1000001 microseconds after the second"),
    "fraction-nano": (BIG, struct.pack(">IIII", 9, S + 1, 0, 0), f"a packet at {S + 1} nanoseconds after the second"),
    "zeros": (PLAIN, bytes(4096), "a packet of no bytes at no time: nothing but zeros"),
    "block-short": (BLOCKS, sized(5, 8, b"") + bytes(8), "a block of 8 bytes"),
    "block-odd": (BLOCKS, sized(5, 14, bytes(2)) + bytes(2), "a block of 14 bytes"),
    "block-large": (BLOCKS, sized(5, MEGABYTES_16 + 4, b""), f"a block of {MEGABYTES_16 + 4} bytes"),
    "block-large-big": (BIG_BLOCKS, struct.pack(">III", 5, 1 << 30, 0), f"a block of {1 << 30} bytes"),
    "blocks-zeros": (BLOCKS, bytes(4096), "a block of 0 bytes"),
    "trailer": (BLOCKS, sized(5, 20, bytes(8), 24), "has 20 bytes at its beginning and 24 at its end"),
    "trailer-big": (BIG_BLOCKS, struct.pack(">IIII", 5, 16, 0, 7), "has 16 bytes at its beginning and 7 at its end"),
    "order": (BLOCKS, made.block(0x0A0D0D0A, b"\x1a\x2b\x3c\x4e" + bytes(12)), "unknown (1a 2b 3c 4e)"),
    "version": (BLOCKS, made.section(">", (2, 1)), "a section of version 2.1, and only version 1 is known"),
    "section-short": (
        BLOCKS,
        made.block(0x0A0D0D0A, struct.pack("<IHH", 0x1A2B3C4D, 1, 0)),
        f"type {0x0A0D0D0A} whose 20",
    ),
    "interface": (BLOCKS, made.enhanced(1, 1, FOUR), "a packet of an interface that was not described (1 were)"),
    "interface-old": (BIG_BLOCKS, made.old(256, 1, FOUR, ">"), "an interface that was not described (1 were)"),
    "interface-none": (made.section(), made.simple(FOUR), "an interface that was not described (0 were)"),
    "interface-short": (BLOCKS, made.block(1, bytes(4)), "a block of type 1 whose 16 bytes do not hold what it says"),
    "option": (BLOCKS, made.interface(1, options=struct.pack("<HHI", 9, 5, 0)), "a block of type 1 whose 28 bytes"),
    "packet-short": (BLOCKS, made.block(6, bytes(16)), "a block of type 6 whose 28 bytes do not hold what it says"),
    "packet-old-short": (BLOCKS, made.block(2, bytes(16)), "a block of type 2 whose 28 bytes do not hold what it says"),
    "simple-short": (BLOCKS, made.block(3, b""), "a block of type 3 whose 12 bytes do not hold what it says"),
    "captured-block": (
        BLOCKS,
        made.block(6, struct.pack("<5I", 0, 0, 1, 25, 25) + bytes(24)),
        "of 25 bytes, in a block of 56",
    ),
    "captured-old": (
        BIG_BLOCKS,
        made.block(2, struct.pack(">5I", 0, 0, 1, 9, 9) + bytes(8), ">"),
        "of 9 bytes, in a block of 40",
    ),
    "captured-most": (BLOCKS, made.enhanced(0, 1, bytes(MOST + 4)), f"of {MOST + 4} bytes, in a block of {MOST + 36}"),
    "simple-most": (BLOCKS, made.simple(bytes(MOST + 4)), f"a packet of {MOST + 4} bytes, in a block of {MOST + 20}"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_wrong_and_where(name: str) -> None:
    before, wrong, what = DAMAGES[name]
    behind = made.record(AT, SIX) if before in (PLAIN, BIG) else made.enhanced(0, 1, SIX)
    whole, reader = walked(before + wrong + behind)
    assert [each.ip for each in whole] == ([] if before == made.section() else [FOUR])
    assert reader.damage is not None
    assert reader.damage.offset == len(before)
    assert what in reader.damage.what
    middle = len(before) + len(wrong) // 2
    found, same = walked(before + wrong + behind, [*range(1, len(before) + 17), middle])
    assert (found, same.damage) == (whole, reader.damage)


def test_a_packet_of_the_most_bytes_is_none_too_many() -> None:
    frame = FOUR + bytes(MOST - len(FOUR))
    for data in (made.pcap([(AT, frame)], 101), made.section() + made.interface(101) + made.enhanced(0, 1, frame)):
        found, reader = walked(data)
        assert reader.damage is None
        assert [len(each.ip or b"") for each in found] == [MOST]


@pytest.mark.parametrize(
    ("data", "offset", "what"),
    [
        (PLAIN[:20], 0, "the header of the file breaks off: 20 of 24 bytes are there"),
        (BLOCKS[:23], 0, "the header of the file breaks off: 23 of 24 bytes are there"),
        (PLAIN + b"\1" * 15, len(PLAIN), "breaks off in the header of a record, after 15 bytes of it"),
        (
            PLAIN + made.record(AT, SIX)[:-1],
            len(PLAIN),
            f"breaks off in a record: {15 + len(SIX)} of its {16 + len(SIX)}",
        ),
        (BLOCKS[:27], 0, "breaks off in a block: 27 of its 28 bytes are there"),
        (BLOCKS + made.block(5, b"")[:11], len(BLOCKS), "breaks off in the header of a block, after 11 bytes of it"),
        (
            BIG_BLOCKS + made.simple(FOUR, ">")[:-4],
            len(BIG_BLOCKS),
            f"in a block: {12 + len(FOUR)} of its {16 + len(FOUR)}",
        ),
    ],
)
def test_where_a_capture_breaks_off(data: bytes, offset: int, what: str) -> None:
    found, reader = walked(data)
    assert len(found) == (offset > 0)
    assert reader.damage is not None
    assert reader.damage.offset == offset
    assert what in reader.damage.what
    assert reader.offset == offset


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "neither pcap nor pcapng: it is empty"),
        (b"\xd4\xc3", "neither pcap nor pcapng: it begins with d4 c3"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", "neither pcap nor pcapng: it begins with 47 45 54 20"),
        (made.header(version=(2, 3)), "an old pcap, version 2.3; only 2.4 is read here"),
        (made.header(order=">", version=(2, 5)), "a pcap, version 2.5; only 2.4 is read here"),
        (made.header(127), "IEEE 802.11 with radiotap (127) is not read here"),
        (made.header(999, ">"), "link type 999 is not read here"),
        (made.block(0x0A0D0D0A, bytes(16)), "a pcapng whose byte order is unknown (00 00 00 00)"),
    ],
)
def test_what_is_no_capture_that_is_read(data: bytes, what: str) -> None:
    with pytest.raises(ParseError) as raised:
        walked(data, name="some.pcap")
    assert str(raised.value).startswith(f"some.pcap: {what}")


@pytest.mark.parametrize(
    ("packet", "which"),
    [
        (made.enhanced(1, 1, FOUR), 1),
        (made.block(2, struct.pack("<HHIIII", 1, 9, 0, 1, 32, 32) + FOUR), 1),  # 9 packets were lost before it
        (made.section() + made.interface(105) + made.simple(b""), 0),
    ],
)
def test_an_interface_of_another_kind_is_refused_when_a_packet_comes_from_it(packet: bytes, which: int) -> None:
    data = made.section() + made.interface(101) + made.interface(105) + made.enhanced(0, 1, SIX)
    assert [each.ip for each in walked(data)[0]] == [SIX]
    blocks = Reader("x").walk(np.frombuffer(data + packet, np.uint8), last=True)
    found = seen(next(blocks))
    with pytest.raises(ParseError, match=rf"x: interface {which}: IEEE 802\.11 \(105\) is not read here"):
        next(blocks)
    assert [each.ip for each in found] == [SIX]


@pytest.mark.parametrize(
    "kind", ["modpcap", "snoop", "netmon1", "netmon2", "ngsniffer", "ngwsniffer_1_1", "ngwsniffer_2_0"]
)
def test_relatives_are_known_by_name_and_converted_by_the_command_that_is_given(
    program: Callable[[str], str], tmp_path: Path, kind: str
) -> None:
    (tmp_path / "plain").write_bytes(made.pcap([(AT, ethernet(FOUR)), (AT + S, ethernet(SIX))]))
    run([program("editcap"), "-F", kind, tmp_path / "plain", tmp_path / "x"], check=True)
    data = (tmp_path / "x").read_bytes()
    assert is_capture(data)
    with pytest.raises(ParseError, match=r"a (modified pcap|capture of) .*, which is not read here; convert") as raised:
        walked(data)
    *_, option, form, old, new = str(raised.value).split()
    assert (old, new) == ("OLD", "NEW")
    run([program("editcap"), option, form, tmp_path / "x", tmp_path / "new"], check=True)
    assert [each.ip for each in walked((tmp_path / "new").read_bytes())[0]] == [FOUR, SIX]
