"""Reads and writes at an address, against struct."""

import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tablefull.loops import memory
from tablefull.loops.memory import compiled


@compiled
def read_all(data: memory.Bytes, out: memory.Words) -> None:
    at = memory.address(data)
    out[0], out[1], out[2] = memory.u8(at), memory.be16(at), memory.le16(at)
    out[3], out[4], out[5] = memory.be32(at), memory.le32(at), memory.i64(at)
    out[6] = np.int64(memory.le64(at) >> np.uint64(1))


@compiled
def write_all(data: memory.Bytes, value: int) -> None:
    at = memory.address(data)
    memory.put8(at, value)
    memory.put16(at + 1, value)
    memory.put32(at + 3, value)
    memory.put64(at + 7, value)
    memory.prefetch(at)


@given(st.binary(min_size=9, max_size=9), st.integers(0, 1))
def test_reading(data: bytes, shift: int) -> None:
    out = np.zeros(7, np.int64)
    read_all(np.frombuffer(data, np.uint8)[shift:], out)
    rest = data[shift:]
    expected = [struct.unpack_from(form, rest)[0] for form in ("B", ">H", "<H", ">I", "<I", "<q", "<Q")]
    assert out.tolist() == [*expected[:6], expected[6] >> 1]


@given(st.integers(-(2**63), 2**63 - 1))
def test_writing(value: int) -> None:
    data = np.zeros(16, np.uint8)
    write_all(data, value)
    low = value & (2**64 - 1)
    assert data.tobytes() == struct.pack("<BHIQ", low & 0xFF, low & 0xFFFF, low & 0xFFFFFFFF, low) + b"\0"
