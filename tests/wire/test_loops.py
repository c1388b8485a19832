"""Where the IP header is found behind every link layer, and what a clock of an interface is worth.

Captures are put together by hand; tshark reads the same bytes and must see the same addresses, times and lengths.
"""

import struct
from fractions import Fraction

import capture_bytes as made
import pytest
from capture_bytes import ethernet, ip4, ip6, sll, sll2, udp, walked
from hypothesis import given
from hypothesis import strategies as st

FOUR, SIX = ip4(udp(b"four")), ip6(udp(b"six"))
NOISE = bytes(range(48, 112))
AT = 1_700_000_000_123_456_000


def tag(kind: int, number: int = 100) -> bytes:
    """The rest of a tag: its number, then the type of what it holds."""
    return struct.pack(">HH", number, kind)


def pppoe(ppp: bytes, code: int = 0) -> bytes:
    return struct.pack(">BBHH", 0x11, code, 7, len(ppp)) + ppp


# Link type, frame, and how many bytes stand before the IP header; None where there is no IP packet.
FRAMES = {
    "ethernet-4": (1, ethernet(FOUR), 14),
    "ethernet-6": (1, ethernet(SIX), 14),
    "ethernet-vlan": (1, ethernet(tag(0x0800) + FOUR, 0x8100), 18),
    "ethernet-vlan-6": (1, ethernet(tag(0x86DD) + SIX, 0x8100), 18),
    "ethernet-802.1ad": (1, ethernet(tag(0x8100) + tag(0x0800) + FOUR, 0x88A8), 22),
    "ethernet-qinq": (1, ethernet(tag(0x8100) + tag(0x86DD) + SIX, 0x9100), 22),
    "ethernet-three-tags": (1, ethernet(tag(0x8100) + tag(0x8100) + tag(0x0800) + FOUR, 0x8100), 26),
    "ethernet-pppoe": (1, ethernet(pppoe(b"\0\x21" + FOUR), 0x8864), 22),
    "ethernet-pppoe-6": (1, ethernet(pppoe(b"\0\x57" + SIX), 0x8864), 22),
    "ethernet-vlan-pppoe": (1, ethernet(tag(0x8864) + pppoe(b"\0\x21" + FOUR), 0x8100), 26),
    "ethernet-lcp": (1, ethernet(pppoe(b"\xc0\x21\x09\0\0\x08\0\0\0\0"), 0x8864), None),
    "ethernet-discovery": (1, ethernet(pppoe(b"\x01\x01\0\0", 9), 0x8863), None),
    "ethernet-arp": (1, ethernet(bytes.fromhex("0001080006040001") + NOISE[:20], 0x0806), None),
    "ethernet-lldp": (1, ethernet(NOISE, 0x88CC), None),
    "ethernet-other-version": (1, ethernet(SIX, 0x0800), None),
    "ethernet-short": (1, made.MACS, None),
    "sll-in": (113, sll(FOUR), 16),
    "sll-out-6": (113, sll(SIX, 4), 16),
    "sll-vlan": (113, sll(tag(0x0800) + FOUR, kind=0x8100), 20),
    "sll-arp": (113, sll(NOISE[:28], 1, 0x0806), None),
    "sll2-in": (276, sll2(FOUR), 20),
    "sll2-out-6": (276, sll2(SIX, 4, 70000), 20),
    "sll2-vlan": (276, sll2(tag(0x86DD) + SIX, kind=0x8100), 24),
    "sll2-arp": (276, sll2(NOISE[:28], 1, kind=0x0806), None),
    "ppp-4": (9, b"\0\x21" + FOUR, 2),
    "ppp-framed-6": (9, b"\xff\x03\0\x57" + SIX, 4),
    "ppp-compressed": (9, b"\xff\x03\x21" + FOUR, 3),
    "ppp-lcp": (9, b"\xff\x03\xc0\x21\x09\0\0\x08\0\0\0\0", None),
    "ppp-ether": (51, pppoe(b"\0\x57" + SIX), 8),
    "raw-4": (101, FOUR, 0),
    "raw-6": (101, SIX, 0),
    "raw-bsd": (12, FOUR, 0),
    "raw-openbsd": (14, SIX, 0),
    "raw-neither": (101, b"\x50" + NOISE, 0),
    "ipv4": (228, FOUR, 0),
    "ipv6": (229, SIX, 0),
    "ipv4-other": (228, SIX, None),
    "null-little": (0, struct.pack("<I", 2) + FOUR, 4),
    "null-big": (0, struct.pack(">I", 2) + FOUR, 4),
    "null-freebsd-6": (0, struct.pack("<I", 28) + SIX, 4),
    "null-macos-6": (0, struct.pack(">I", 30) + SIX, 4),
    "null-netbsd-6": (0, struct.pack("<I", 24) + SIX, 4),
    "null-osi": (0, struct.pack("<I", 7) + NOISE, None),
    "loop-4": (108, struct.pack(">I", 2) + FOUR, 4),
    "loop-6": (108, struct.pack(">I", 24) + SIX, 4),
}


@pytest.mark.parametrize("name", FRAMES)
def test_the_header_is_found(name: str) -> None:
    link, frame, before = FRAMES[name]
    found, reader = walked(made.header(link) + made.record(AT, frame, length=len(frame) + 5))
    assert reader.damage is None
    assert len(found) == 1
    assert found[0].time_ns == AT
    if before is None:
        assert (found[0].ip, found[0].wire) == (None, 0)
    else:
        assert found[0].ip == frame[before:]
        assert found[0].wire == len(frame) + 5 - before


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_cut_anywhere_is_no_trouble(name: str) -> None:
    link, frame, before = FRAMES[name]
    cut = [frame[:size] for size in range(len(frame) + 1)]
    found, reader = walked(made.header(link) + b"".join(made.record(AT, each, length=len(frame)) for each in cut))
    assert reader.damage is None
    for size, each in enumerate(found):
        if before is None or size <= before:
            assert each.ip is None
        else:
            assert (each.ip, each.wire) == (frame[before:size], len(frame) - before)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tshark_finds_the_same(program, tmp_path, order: str) -> None:
    """All link types in one pcapng, an interface each. tshark (4.0) shortens no PPP protocol number in PPP, and has
    addresses for headers that name another version; those are not compared, nor what is no IP header at all.
    """
    left_out = ("ethernet-other-version", "ipv4-other", "raw-neither")
    frames = {name: value for name, value in FRAMES.items() if name not in left_out}
    links = sorted({link for link, _, _ in frames.values()})
    stamps = {name: AT // 1000 + index * 1_000_003 for index, name in enumerate(frames)}
    data = made.section(order) + b"".join(made.interface(link, order) for link in links)
    for name, (link, frame, _) in frames.items():
        data += made.enhanced(links.index(link), stamps[name], frame, order, len(frame) + 5)
    path = tmp_path / "all.pcapng"
    path.write_bytes(data)
    found, reader = walked(data)
    assert reader.damage is None
    told = made.tshark(program, path)
    assert len(found) == len(told) == len(frames)
    for name, ours, theirs in zip(frames, found, told, strict=True):
        assert ours.time_ns == theirs.time_ns, name
        assert made.addresses(ours.ip) == (theirs.src, theirs.dst), name
        if ours.ip is not None:
            before = frames[name][2]
            assert (ours.wire, len(ours.ip)) == (theirs.length - before, theirs.captured - before), name
        if frames[name][0] != made.SLL2:
            assert ours.interface == theirs.interface, name


@pytest.mark.parametrize(("link", "make"), [(113, sll), (276, sll2)])
def test_the_packet_type_is_told(link: int, make) -> None:
    frames = [make(FOUR, way) for way in range(5)] + [make(bytes(28), 1, kind=0x0806), make(FOUR)[:1]]
    found, _ = walked(made.pcap([(AT, frame) for frame in frames], link))
    assert [each.packet_type for each in found] == [0, 1, 2, 3, 4, 1, 255]


def test_the_interface_is_linuxs_in_cooked_v2_and_the_captures_elsewhere() -> None:
    data = made.section() + made.interface(1) + made.interface(276) + made.interface(113)
    data += (
        made.enhanced(0, 0, ethernet(FOUR)) + made.enhanced(1, 0, sll2(FOUR, 0, 77)) + made.enhanced(2, 0, sll(FOUR))
    )
    found, _ = walked(data)
    assert [each.interface for each in found] == [0, 77, 2]


def test_more_tags_than_linux_follows() -> None:
    eight = ethernet(tag(0x8100) * 7 + tag(0x0800) + FOUR, 0x8100)
    nine = ethernet(tag(0x8100) * 8 + tag(0x0800) + FOUR, 0x8100)
    found, _ = walked(made.pcap([(AT, eight), (AT, nine)]))
    assert [each.ip for each in found] == [FOUR, None]


def test_cooked_frames_of_devices_without_an_ethernet_type() -> None:
    frames = [sll(FOUR, device=device) for device in (1, 770, 803, 824)]
    found, _ = walked(made.pcap([(AT, frame) for frame in frames], 113))
    assert [each.ip for each in found] == [FOUR, None, None, None]


def resolved(stamp: int, resolution: bytes, offset: int = 0, order: str = "<") -> int:
    """What a walk makes of a stamp on a clock of that if_tsresol and if_tsoffset."""
    options = made.option(9, resolution, order) if resolution else b""
    options += made.option(14, struct.pack(order + "q", offset), order) if offset else b""
    options += made.option(0, b"", order)
    data = made.section(order) + made.interface(101, order, options=options) + made.enhanced(0, stamp, FOUR, order)
    found, reader = walked(data)
    assert reader.damage is None
    return found[0].time_ns


@given(
    stamp=st.integers(0, 2**64 - 1), exponent=st.integers(0, 127), two=st.booleans(),
    offset=st.integers(-(10**9), 10**9), order=st.sampled_from("<>"),
)  # fmt: skip
def test_a_clock_of_any_resolution(stamp: int, exponent: int, two: bool, offset: int, order: str) -> None:
    unit = Fraction(1, 2**exponent if two else 10**exponent)
    exact = int(stamp * unit * 10**9)
    got = resolved(stamp, bytes([exponent | two << 7]), offset, order) - offset * 10**9
    if exact >= 2**62:
        assert 2**62 - 10**9 < got <= 2**62
    elif exponent > 27 and not two:
        assert 0 <= got < 19
    else:
        assert got == exact


def test_a_clock_that_says_nothing_counts_microseconds() -> None:
    assert resolved(1_700_000_000_123_456, b"") == 1_700_000_000_123_456_000


def test_an_offset_that_would_overflow_is_held() -> None:
    assert resolved(0, b"", 2**63 - 1) == 2**61 // 10**9 * 10**9
    assert resolved(0, b"", -(2**63)) == -(2**61 // 10**9) * 10**9


def test_tshark_reads_the_same_clocks(program, tmp_path) -> None:
    clocks = [(b"\x06", 0), (b"\x09", 0), (b"\x03", 0), (b"\x00", 0), (b"\x8a", 0), (b"\x9e", 0), (b"\x06", 3600),
              (b"\x09", -86400), (b"\x08", 1)]  # fmt: skip
    stamps = [1_700_000_000 * (2 ** (one[0] & 0x7F) if one[0] & 0x80 else 10 ** one[0]) + 5 for one, _ in clocks]
    data = made.section()
    for resolution, offset in clocks:
        options = made.option(2, b"eth0") + made.option(9, resolution)
        options += made.option(14, struct.pack("<q", offset)) + made.option(0, b"")
        data += made.interface(101, options=options)
    for which, stamp in enumerate(stamps):
        data += made.enhanced(which, stamp, FOUR)
    (tmp_path / "clocks.pcapng").write_bytes(data)
    found, _ = walked(data)
    assert [each.time_ns for each in found] == [
        each.time_ns for each in made.tshark(program, tmp_path / "clocks.pcapng")
    ]
