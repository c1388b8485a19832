"""Packets from columns: every byte where a plain reader expects it, checksums included."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from packet_bytes import read

from tablefull.twin.workload_frames import Ends, Packets, assemble, echo, tcp, turned, udp


def ends_of(family: int, count: int, seed: int = 0) -> Ends:
    chance = np.random.Generator(np.random.PCG64(seed))
    width = 1 if family == 4 else 4
    return Ends(
        chance.integers(1, 1 << 32, (count, width), dtype=np.uint32),
        chance.integers(1, 1 << 32, (count, width), dtype=np.uint32),
        chance.integers(0, 65536, count),
        chance.integers(0, 65536, count),
    )


@given(st.sampled_from((4, 6)), st.integers(1, 20), st.integers(0, 2**32), st.booleans())
def test_tcp_is_read_back(family: int, count: int, seed: int, opening: bool) -> None:
    chance = np.random.Generator(np.random.PCG64(seed))
    ends = ends_of(family, count, seed)
    seq, ack = chance.integers(0, 1 << 34, count), chance.integers(0, 1 << 32, count)
    flags, payload = chance.integers(0, 64, count), chance.integers(0, 1461, count)
    found = list(read([assemble([tcp(np.arange(count), ends, seq, ack, flags, payload, opening=opening)])]))
    assert all(one.right for one in found)
    assert [one.seq for one in found] == [int(number) % 2**32 for number in seq]
    assert [one.ack for one in found] == ack.tolist()
    assert [one.flags for one in found] == flags.tolist()
    assert [one.payload for one in found] == payload.tolist()
    assert [(one.sport, one.dport) for one in found] == list(zip(ends.sport.tolist(), ends.dport.tolist(), strict=True))
    assert {one.proto for one in found} == {6}


@given(st.sampled_from((4, 6)), st.integers(1, 20), st.integers(0, 2**32))
def test_udp_is_read_back(family: int, count: int, seed: int) -> None:
    ends = ends_of(family, count, seed)
    payload = np.arange(count) * 7
    found = list(read([assemble([udp(np.arange(count), ends, payload)])]))
    assert all(one.right for one in found)
    assert [(one.sport, one.payload) for one in found] == list(zip(ends.sport.tolist(), payload.tolist(), strict=True))


def test_a_udp_checksum_that_would_be_zero_is_all_ones() -> None:
    # 0.0.0.0 -> 0.0.0.0, 8 bytes: 17 + 8 + port + 8 = 0xffff, so that the complement is 0. [RFC 768]
    zero = np.zeros((1, 1), np.uint32)
    block = assemble(
        [udp(np.zeros(1, np.int64), Ends(zero, zero, np.array([0xFFFF - 33]), np.array([0])), np.zeros(1, np.int64))]
    )
    assert block.data[26:28].tobytes() == b"\xff\xff"


@pytest.mark.parametrize(("family", "kinds"), [(4, (8, 0)), (6, (128, 129))])
def test_echo_is_read_back(family: int, kinds: tuple[int, int]) -> None:
    ends = ends_of(family, 2)
    number = np.array([5, 6])
    packets = echo(np.arange(2), ends, np.array([False, True]), number + 100, number, np.array([56, 56]))
    block = assemble([packets])
    assert all(one.right for one in read([block]))
    head = 20 if family == 4 else 40
    for at, kind in enumerate(kinds):
        body = block.data[int(block.start[at]) + head :].tobytes()
        assert (body[0], body[4:8]) == (kind, bytes([0, 105 + at, 0, 5 + at]))


def test_turned_ends() -> None:
    ends = ends_of(4, 2)
    back = turned(ends, np.array([False, True]))
    assert back.src[0] == ends.src[0]
    assert back.src[1] == ends.dst[1]
    assert back.sport.tolist() == [ends.sport[0], ends.dport[1]]


def test_blocks_are_in_order_of_time_and_packets_do_not_overlap() -> None:
    one = udp(np.array([5, 1, 9]), ends_of(4, 3), np.array([10, 11, 12]))
    other = tcp(np.array([1, 0, 7]), ends_of(6, 3), *(np.zeros(3, np.int64),) * 4, opening=True)
    block = assemble([one, other])
    assert block.time_ns.tolist() == [0, 1, 1, 5, 7, 9]
    assert [packet.proto for packet in read([block])] == [6, 17, 6, 17, 6, 17]
    assert all(packet.right for packet in read([block]))
    assert (np.diff(block.start) >= block.captured[:-1]).all()


def test_no_packets_are_an_empty_block() -> None:
    assert len(assemble([]).start) == 0
    assert len(assemble([Packets(np.zeros(0, np.int64), np.zeros((0, 7), np.uint32), np.zeros(0, np.int64))]).data) == 0
