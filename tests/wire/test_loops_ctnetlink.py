"""The compiled reader of entries against the plain one, on whole, mutilated and cut messages."""

import struct
import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.ctnetlink_bytes import FULL, SAMPLES, SIX, WHOLE, entry, number

from tablefull.errors import ParseError
from tablefull.wire import ctnetlink as at
from tablefull.wire import loops_ctnetlink as loops
from tablefull.wire import nlattr


def rows(data: bytes, room: int = 64, sequence: int = -1, told: np.ndarray | None = None) -> list[at.Row]:
    held = np.zeros((room, at.ROW_WORDS), np.uint32)
    registers = np.zeros(loops.REGISTERS, np.int64) if told is None else told
    raw = np.frombuffer(data + bytes(1), np.uint8)
    count = loops.read(raw, 0, len(data), sequence, held.view(np.int64).reshape(-1), 0, registers)
    return [tuple(row) for row in held[:count].tolist()]


def plainly(data: bytes) -> list[at.Row]:
    found = []
    for message in nlattr.messages(data, len(data)):
        try:
            found.append(at.row(data, message))
        except ParseError:
            continue
    return found


def test_every_sample() -> None:
    data = b"".join(entry(*parts) for parts in SAMPLES)
    assert rows(data) == plainly(data)


@settings(max_examples=600)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400), st.integers(0, 255), st.integers(0, 9)), max_size=6))
def test_mutilated(changes: list[tuple[int, int, int, int]]) -> None:
    parts = []
    for which, place, value, cut in changes:
        data = bytearray(entry(*SAMPLES[which], flags=0 if cut == 9 else nlattr.MULTI))
        data[20 + place % (len(data) - 20)] = value
        if cut < 3:
            size = max(16, len(data) - cut * 7) & ~3
            del data[size:]
            struct.pack_into("=I", data, 0, size)
        parts.append(bytes(data))
    data = b"".join(parts)
    told = np.zeros(loops.REGISTERS, np.int64)
    assert rows(data, told=told) == plainly(data)
    assert told[loops.G_BROKEN] == len(parts) - len(plainly(data))


@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    rows(data)


def test_it_stops_where_no_row_is_left_and_goes_on() -> None:
    data = b"".join(entry(*WHOLE, number(at.ID, each)) for each in range(10))
    raw, told = np.frombuffer(data, np.uint8), np.zeros(loops.REGISTERS, np.int64)
    held, place, found = np.zeros((4, at.ROW_WORDS), np.uint32), 0, []
    while place < len(data):
        count = loops.read(raw, place, len(data), 1, held.view(np.int64).reshape(-1), 0, told)
        found += held[:count, at.R_ID].tolist()
        place = int(told[loops.G_AT])
    assert found == list(range(10))


def test_ends_errors_and_interruptions() -> None:
    done = nlattr.message(nlattr.DONE, nlattr.MULTI, 1, struct.pack("=i", 0))
    refused = nlattr.message(nlattr.ERROR, 0, 1, struct.pack("=i", -1) + bytes(16))
    broken_off = entry(*SIX, flags=nlattr.MULTI | nlattr.DUMP_INTERRUPTED)
    for data, expected in ((done, (0, 1)), (refused, (0, 1)), (broken_off, (1, 0)), (entry(*FULL), (0, 0))):
        told = np.zeros(loops.REGISTERS, np.int64)
        rows(data, sequence=1, told=told)
        assert (told[loops.G_INTERRUPTED], bool(told[loops.G_ENDED])) == expected
    told = np.zeros(loops.REGISTERS, np.int64)
    rows(refused, sequence=1, told=told)
    assert told[loops.G_ENDED] == 1  # EPERM
    busy = nlattr.message(nlattr.DONE, 0, 1, struct.pack("=i", -16))
    rows(busy, sequence=1, told=told)
    assert told[loops.G_ENDED] == 16


def test_other_answers_are_passed_by() -> None:
    data = entry(*WHOLE, sequence=7) + entry(*SIX, sequence=8)
    assert len(rows(data, sequence=8)) == 1
    assert len(rows(data, sequence=-1)) == 2


_AT_THE_EDGE = """
import ctypes, mmap, struct
import numpy as np
from tests.wire.ctnetlink_bytes import SAMPLES, entry
from tests.wire.test_loops_ctnetlink import loops, at
page = mmap.PAGESIZE
room = mmap.mmap(-1, 2 * page)
base = ctypes.addressof(ctypes.c_char.from_buffer(room))
assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(base + page), page, 0) == 0
held = np.frombuffer(room, np.uint8)[:page]
rows = np.zeros((8, at.ROW_WORDS), np.uint32).view(np.int64).reshape(-1)
for parts in SAMPLES:
    whole = entry(*parts)
    for size in range(1, len(whole) + 1):
        data = bytearray(whole[:size])
        for claimed in {size, len(whole)}:
            if size >= 4:
                struct.pack_into("=I", data, 0, claimed)
            begin = page - size
            held[begin:] = data
            loops.read(held, begin, page, -1, rows, 0, np.zeros(loops.REGISTERS, np.int64))
print("read no further")
"""


def test_no_byte_behind_is_read() -> None:
    done = subprocess.run([sys.executable, "-c", _AT_THE_EDGE], capture_output=True, text=True, check=False)
    assert done.stdout == "read no further\n", done.stderr[-400:]
