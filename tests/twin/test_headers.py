"""Columns of IP headers: every width, every place where bytes may be missing."""

import struct
from ipaddress import ip_address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.twin.headers import Headers, offloaded, pseudo_sums


def headers_of(packets: list[bytes], wire: list[int] | None = None) -> Headers:
    sizes = [len(packet) for packet in packets]
    start = np.cumsum([0, *sizes])[:-1].astype(np.int64)
    return Headers(
        np.frombuffer(b"".join(packets), np.uint8),
        start,
        np.array(sizes, np.int64),
        None if wire is None else np.array(wire, np.int64),
    )


def ipv4(proto: int, body: bytes, *, src: str = "192.0.2.1", dst: str = "198.51.100.7", fragment: int = 0,
         options: bytes = b"") -> bytes:  # fmt: skip
    size = 20 + len(options) + len(body)
    head = struct.pack(">BBHHHBBH", 0x45 + len(options) // 4, 0, size, 1, fragment, 64, proto, 0)
    return head + ip_address(src).packed + ip_address(dst).packed + options + body


def ipv6(following: int, body: bytes, src: str = "2001:db8::1", dst: str = "2001:db8:0:1:2:3:4:5") -> bytes:
    head = struct.pack(">IHBB", 6 << 28, len(body), following, 64)
    return head + ip_address(src).packed + ip_address(dst).packed + body


def ports(sport: int, dport: int, more: int = 16) -> bytes:
    return struct.pack(">HH", sport, dport) + bytes(more)


def test_ipv4_with_options() -> None:
    columns = headers_of([ipv4(6, ports(40000, 443), options=bytes(8))])
    assert (columns.family[0], columns.protocol[0], columns.transport[0]) == (4, 6, 28)
    assert (columns.sport[0], columns.dport[0]) == (40000, 443)
    assert columns.src[0].tolist() == [0xC0000201, 0, 0, 0]
    assert columns.dst[0].tolist() == [0xC6336407, 0, 0, 0]


@pytest.mark.parametrize(("fragment", "sport"), [(0, 53), (0x2000, 53), (0x2001, -1), (1, -1), (0x4000, 53)])
def test_only_the_first_fragment_has_ports(fragment: int, sport: int) -> None:
    assert headers_of([ipv4(17, ports(53, 4), fragment=fragment)]).sport[0] == sport


def test_ipv6_behind_extension_headers() -> None:
    hop = bytes([60, 0]) + bytes(6)
    destination = bytes([51, 1]) + bytes(14)
    auth = bytes([44, 4]) + bytes(22)
    fragment = bytes([17, 0]) + bytes([0, 1, 0, 0, 0, 9])
    columns = headers_of([ipv6(0, hop + destination + auth + fragment + ports(5, 6))])
    assert (columns.family[0], columns.first_protocol[0], columns.protocol[0]) == (6, 0, 17)
    assert columns.transport[0] == 40 + 8 + 16 + 24 + 8
    assert (columns.sport[0], columns.dport[0]) == (5, 6)
    assert columns.dst[0].tolist() == [0x20010DB8, 0x00000001, 0x00020003, 0x00040005]


def test_a_later_ipv6_fragment_has_a_protocol_and_no_ports() -> None:
    columns = headers_of([ipv6(44, bytes([6, 0, 0, 8, 0, 0, 0, 9]) + ports(5, 6))])
    assert (columns.protocol[0], columns.transport[0], columns.sport[0]) == (6, -1, -1)


def test_what_is_no_ip_packet() -> None:
    columns = Headers(np.zeros(4, np.uint8), np.array([-1, 0]), np.array([0, 4]))
    assert columns.family.tolist() == [0, 0]
    assert columns.protocol.tolist() == [-1, -1]
    assert columns.sport.tolist() == [-1, -1]
    assert Headers(np.zeros(0, np.uint8), np.array([-1]), np.array([0])).dport.tolist() == [-1]


@given(st.integers(0, 60), st.binary(max_size=30))
def test_nothing_is_read_past_what_was_captured(size: int, behind: bytes) -> None:
    whole = ipv4(6, ports(1, 2))
    data = np.frombuffer(whole[:size] + behind, np.uint8)
    columns = Headers(data, np.array([0]), np.array([min(size, len(whole))]))
    assert columns.family[0] == (4 if size >= 20 else 0)
    assert columns.sport[0] == (1 if size >= 22 else -1)
    assert columns.dport[0] == (2 if size >= 24 else -1)


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=8))
def test_any_bytes_give_columns(packets: list[bytes]) -> None:
    columns = headers_of(packets)
    for column in (columns.family, columns.protocol, columns.transport, columns.sport, columns.dport):
        assert len(column) == len(packets)
    assert pseudo_sums(columns).max(initial=0) <= 0xFFFF


def test_an_offloaded_checksum_is_told() -> None:
    # 127.0.0.1 -> 127.0.0.1, 24 bytes of TCP: 2 * (0x7f00 + 0x0001) + 6 + 24 = 0xfe20.
    body = ports(1, 2, 12) + bytes.fromhex("fe200000") + b"data"
    sent = ipv4(6, body, src="127.0.0.1", dst="127.0.0.1")
    finished = sent[:36] + b"\x12\x34" + sent[38:]
    fragment = ipv4(6, body, src="127.0.0.1", dst="127.0.0.1", fragment=0x2000)
    assert pseudo_sums(headers_of([sent])).tolist() == [0xFE20]
    assert offloaded(headers_of([sent, finished, fragment, ipv4(1, ports(1, 2))])) == (2, 1)


def test_an_offloaded_checksum_of_udp_over_ipv6() -> None:
    # ::1 -> ::2, 8 bytes of UDP: 1 + 2 + 17 + 8 = 28.
    sent = ipv6(17, struct.pack(">HHHH", 53, 53, 8, 28), "::1", "::2")
    assert offloaded(headers_of([sent])) == (1, 1)
