"""What is read of a packet: against RFCs, known answers, and packets made by another hand (tests/realkernel/headers)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.realkernel.headers import ACK, SYN
from tests.twin.both import HOSTS, HOSTS6

from tablefull.twin import reference_packet as reader
from tablefull.twin import state as at
from tablefull.twin.reference_packet import Reading, decode

READ = Reading()


def kind(data: bytes, reading: Reading = READ, wire: int | None = None) -> int:
    return decode(data, len(data) if wire is None else wire, reading).kind


def test_sums_with_known_answers() -> None:
    # RFC 1071, section 3; RFC 3720, appendix B.4 (32 zeros, 32 ones, 0..31).
    assert reader.ones_sum(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2
    for data, check in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)):
        assert reader.crc32c(data) == check


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**31 - 1))
def test_sequence_numbers_wrap(number: int, step: int) -> None:
    assert reader.after((number + step) % 2**32, number)
    assert not reader.after(number, (number + step) % 2**32)
    assert not reader.after(number, number)


@pytest.mark.parametrize("hosts", [HOSTS, HOSTS6], ids=["ipv4", "ipv6"])
def test_a_segment(hosts) -> None:
    packet = decode(data := hosts.link(0).tcp(1000, 80, 7, 9, SYN | ACK, 512, b"abc"), len(data), READ)
    assert packet.kind == at.KIND_TRACK
    assert (packet.ports, packet.seq, packet.ack, packet.end, packet.window) == (1000 << 16 | 80, 7, 9, 7 + 3 + 1, 512)
    inverse = reader.invert(packet)
    assert inverse is not None
    assert (inverse.src, inverse.dst, inverse.ports) == (packet.dst, packet.src, 80 << 16 | 1000)


@pytest.mark.parametrize("hosts", [HOSTS, HOSTS6], ids=["ipv4", "ipv6"])
def test_one_wrong_bit_is_seen_unless_nobody_looks(hosts) -> None:
    good = hosts.link(0).tcp(1000, 80, 7, 9, ACK, 512, b"abcd")
    bad = good[:-1] + bytes([good[-1] ^ 1])
    assert kind(good) == at.KIND_TRACK
    assert kind(bad) == at.KIND_TRACK | at.BAD
    assert kind(bad, Reading(checksum=False)) == at.KIND_TRACK
    assert kind(bad[:-2], wire=len(bad)) == at.KIND_TRACK  # cut short: it cannot be known


def test_a_checksum_that_the_card_was_to_finish() -> None:
    """It holds the sum of the pseudo header (RFC 9293) and nothing else."""
    good = HOSTS.link(0).tcp(1000, 80, 7, 9, ACK, 512, b"abcd")
    pseudo = reader.ones_sum(good[12:20] + struct.pack(">HH", 6, len(good) - 20))
    unfinished = good[:36] + pseudo.to_bytes(2, "big") + good[38:]
    assert kind(unfinished) == at.KIND_TRACK | at.BAD
    assert kind(unfinished, Reading(offloaded=True)) == at.KIND_TRACK


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", at.KIND_DROPPED),
        (b"\x55" + bytes(40), at.KIND_DROPPED),
        (b"\x45" + bytes(10), at.KIND_DROPPED),
        (b"\x44" + bytes(30), at.KIND_DROPPED),
        (b"\x60" + bytes(30), at.KIND_DROPPED),
        (b"\x60" + bytes(5) + b"\x3b\x40" + bytes(32), at.KIND_INVALID),  # no next header
    ],
)
def test_what_is_no_packet(data: bytes, expected: int) -> None:
    assert kind(data) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (b"\x03\x03\x07\x00", (7, at.OPTION_SEEN | at.OPTION_SCALE)),
        (b"\x03\x03\xff\x00", (14, at.OPTION_SEEN | at.OPTION_SCALE)),  # 14 at most, RFC 7323
        (b"\x01\x01\x04\x02", (0, at.OPTION_SEEN | at.OPTION_SACK)),
        (b"\x00\x04\x02\x00", (0, at.OPTION_SEEN)),
        (b"\x04\x02\x03\x09", (0, at.OPTION_SEEN | at.OPTION_SACK)),  # a length beyond the end
        (b"\x08\x01\x04\x02", (0, at.OPTION_SEEN)),  # a length that cannot be
    ],
)
def test_options(options: bytes, expected: tuple[int, int]) -> None:
    assert reader.tcp_options(options, 5)[:2] == expected


def test_the_highest_sack_edge() -> None:
    blocks = struct.pack(">BBIIII", 5, 18, 100, 200, 300, 400)
    assert reader.tcp_options(b"\x01\x01" + blocks, 50)[2] == 400
    assert reader.tcp_options(b"\x01\x01" + blocks, 500)[2] == 500
    assert reader.tcp_options(b"\x01\x01" + struct.pack(">BBII", 5, 10, 2**32 - 9, 3), 2**32 - 20)[2] == 3


@pytest.mark.parametrize("code", [(8, 0), (13, 14), (15, 16), (17, 18)])
def test_icmp_queries_and_answers_are_each_others_inverse(code: tuple[int, int]) -> None:
    there, back = (0x1234 << 16 | number << 8 for number in code)
    assert reader.inverse_ports(reader.ICMP, there) == back
    assert reader.inverse_ports(reader.ICMP, back) == there
    assert reader.inverse_ports(reader.ICMP, 3 << 8) is None
    assert reader.inverse_ports(reader.ICMPV6, 128 << 8) == 129 << 8


def test_icmp_of_nothing_but_zeros_has_a_good_checksum() -> None:
    """Measured on 6.18.44: the kernel sums the IP header along."""
    packet = HOSTS.link(0).packet(1, bytes(20))
    assert kind(packet) == at.KIND_TRACK


def test_icmpv6_that_is_never_tracked() -> None:
    for number in (130, 131, 132, 133, 134, 135, 136, 143, 151, 152):
        assert kind(HOSTS6.link(0).icmp(number, 0)) == at.KIND_UNTRACKED
    assert kind(HOSTS6.link(0).icmp(137, 0, payload=bytes(32))) == at.KIND_ICMP_INVALID
