"""Slots of datagrams into rows, beside the plain definition; addresses numbered, beside a dictionary."""

import struct

import numpy as np
import numpy.typing as npt
import pytest
from tests.realkernel import filled

from tablefull.wire import ctnetlink as at
from tablefull.wire import loops_ctnetlink, loops_events, nlattr

STRIDE, HEADER, LENGTH_AT, FLAGS_AT = 512, 64, 56, 48
LAYOUT = np.array([HEADER, LENGTH_AT, FLAGS_AT], np.int64)


def events(count: int) -> list[bytes]:
    """Messages as the kernel sends them: every third one a DESTROY."""
    found = []
    for number, data in enumerate(filled.messages(count)):
        changed = bytearray(data)
        if number % 3 == 2:
            struct.pack_into("=H", changed, 4, at.SUBSYSTEM << 8 | at.DELETE)
        found.append(bytes(changed))
    return found


def slots(messages: list[bytes], flags: dict[int, int] | None = None) -> tuple[npt.NDArray[np.uint8], ...]:
    data = np.zeros(STRIDE * len(messages), np.uint8)
    headers = np.zeros(HEADER * len(messages), np.uint8)
    for number, message in enumerate(messages):
        data[STRIDE * number : STRIDE * number + len(message)] = np.frombuffer(message, np.uint8)
        struct.pack_into("=I", headers, HEADER * number + LENGTH_AT, len(message))
        struct.pack_into("=I", headers, HEADER * number + FLAGS_AT, (flags or {}).get(number, 0))
    return data, headers


def taken(messages: list[bytes], room: int, flags: dict[int, int] | None = None) -> tuple[list[list[int]], list[int]]:
    data, headers = slots(messages, flags)
    rows = np.zeros((room, at.ROW_WORDS), np.uint32)
    told = np.zeros(loops_events.TAKE_REGISTERS, np.int64)
    count = loops_events.take(
        *(data, STRIDE, headers, LAYOUT, 0, len(messages), rows.view(np.int64).reshape(-1), 0, told)
    )
    return rows[:count].tolist(), told.tolist()


def plain(message: bytes) -> list[int]:
    (only,) = nlattr.messages(message, len(message))
    return list(at.row(message, only))


def test_it_agrees_with_the_plain_definition() -> None:
    messages = events(300)
    rows, told = taken(messages, 300)
    assert rows == [plain(message) for message in messages]
    assert told[loops_events.G_BYTES] == sum(map(len, messages))
    assert told[loops_ctnetlink.G_BROKEN] == told[loops_events.G_TRUNCATED] == 0


def test_it_stops_in_front_of_the_slot_for_which_no_row_is_left() -> None:
    rows, told = taken(events(30), 20)
    assert len(rows) == 20
    assert told[loops_ctnetlink.G_AT] == 20


def test_a_cut_datagram_is_counted_and_not_read() -> None:
    rows, told = taken(events(10), 10, {3: loops_events.MSG_TRUNC})
    assert len(rows) == 9
    assert told[loops_events.G_TRUNCATED] == 1


@pytest.mark.parametrize("length", range(1, 60))
def test_a_broken_message_is_counted_and_not_read(length: int) -> None:
    messages = events(3)
    messages[1] = messages[1][:length]
    rows, told = taken(messages, 3)
    assert len(rows) == 2
    assert told[loops_ctnetlink.G_BROKEN] + told[loops_events.G_TRUNCATED] == 1


def test_addresses_are_numbered_in_order_of_appearance() -> None:
    chance = np.random.default_rng(1)
    rows = np.zeros((1000, at.ROW_WORDS), np.uint32)
    rows[:, at.R_SRC : at.R_SRC + 4] = chance.integers(0, 3, (1000, 4))
    rows[:, at.R_FAMILY] = chance.choice([4, 6], 1000)
    chosen = np.flatnonzero(chance.integers(0, 2, 1000))
    table, firsts = np.full(2048, -1, np.int64), np.zeros(1000, np.int64)
    codes = np.zeros(len(chosen), np.uint32)
    used = loops_events.number_addresses(rows, chosen, at.R_SRC, table, firsts, codes)
    numbers: dict[tuple[int, ...], int] = {}
    for row, code in zip(chosen.tolist(), codes.tolist(), strict=True):
        key = (*rows[row, at.R_SRC : at.R_SRC + 4].tolist(), int(rows[row, at.R_FAMILY]))
        assert numbers.setdefault(key, len(numbers)) == code
    assert used == len(numbers)
    assert codes[np.searchsorted(chosen, firsts[:used])].tolist() == list(range(used))
