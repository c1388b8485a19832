"""Records put together after perf_event.h; that the kernel takes the attribute shows in tests/live/test_tracepoints.py."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from tablefull.wire import perf


def record(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHH", kind, 0, 8 + len(body)) + body


def trailer(when: int) -> bytes:
    return struct.pack("=IIQ", 41, 42, when)


SAMPLE = record(9, trailer(5))
NAME = record(3, struct.pack("=II", 41, 42) + b"iptables-legacy\0" + trailer(6))
LOST = record(2, struct.pack("=QQ", 1, 7) + trailer(7))
SPACES = record(16, struct.pack("=IIQ", 41, 42, 7) + struct.pack("=QQ", 4, 4026531840) * 7 + trailer(8))
OTHER = record(4, bytes(24) + trailer(9))
WANTED = [
    perf.Named(6, 41, 42, "iptables-legacy"),
    perf.Entered(8, 41, 42, 4026531840),
    perf.Sample(5, 41, 42),
    perf.Lost(7, 7),
]


def test_each_kind_is_told_and_others_are_passed_over() -> None:
    data = NAME + OTHER + SPACES + SAMPLE + LOST
    assert list(perf.records(data + bytes(512 - len(data)), 0, len(data))) == WANTED


def test_a_record_goes_on_at_the_beginning_of_the_ring() -> None:
    data = NAME + SPACES + SAMPLE + LOST
    for begin in range(0, 512, 8):
        ring = bytearray(512)
        for number, value in enumerate(data):
            ring[(begin + number) % 512] = value
        assert list(perf.records(ring, 512 + begin, 512 + begin + len(data))) == WANTED


@given(st.binary(min_size=64, max_size=64), st.integers(0, 1000), st.integers(0, 80))
def test_whatever_stands_there_the_walk_ends(ring: bytes, tail: int, length: int) -> None:
    assert len(list(perf.records(ring, tail, tail + length))) <= 8


def test_the_attribute_is_of_the_first_size_and_off() -> None:
    data = perf.attribute(77)
    kind, size, number, period, sample = struct.unpack_from("=IIQQQ", data)
    assert (kind, size, number, period, sample) == (2, 64, 77, 1, 6)
    assert len(data) == 64
    (flags,) = struct.unpack_from("=Q", data, 40)
    assert flags == 1 | 1 << 9 | 1 << 18 | 1 << 28
    assert struct.unpack_from("=Q", perf.attribute(77, namespaces=False), 40) == (1 | 1 << 9 | 1 << 18,)
