"""An entry: its two tuples, when it is over, and what it begins with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.twin.reference_entry import ACCEPT, Entry, Key, Result, Side

HOST, OTHER = (0x0A010001, 0, 0, 0), (0x0A020002, 0, 0, 0)


def test_the_reply_is_the_inverse_in_its_own_zone() -> None:
    entry = Entry(Key(6, 4, HOST, OTHER, 1000 << 16 | 80, 5), 7, 1)
    assert entry.keys == (Key(6, 4, HOST, OTHER, 1000 << 16 | 80, 5), Key(6, 4, OTHER, HOST, 80 << 16 | 1000, 7))


def test_a_ping_is_answered_by_its_own_kind() -> None:
    entry = Entry(Key(1, 4, HOST, OTHER, 77 << 16 | 8 << 8, 0), 0, 1)
    assert entry.keys[1].ports == 77 << 16  # the same id, type 0


def test_what_has_no_inverse_has_no_entry() -> None:
    with pytest.raises(ValueError, match="without an inverse"):
        Entry(Key(1, 4, HOST, OTHER, 3 << 8, 0), 0, 1)


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_it_is_over_in_the_very_moment(deadline: int, now: int) -> None:
    entry = Entry(Key(17, 4, HOST, OTHER, 0, 0), 0, 1)
    entry.deadline_ns = deadline
    assert entry.expired(now) == (now >= deadline)


def test_a_fresh_one_knows_nothing() -> None:
    entry = Entry(Key(6, 4, HOST, OTHER, 0, 0), 0, 9)
    assert (entry.status, entry.state, entry.packets, entry.bytes, entry.fake) == (0, 0, [0, 0], [0, 0], False)
    assert entry.sides[0] is not entry.sides[1]
    side = Side()
    assert (side.end, side.maxend, side.maxwin, side.maxack, side.scale, side.flags) == (0,) * 6
    assert Result(ACCEPT, 5) == (ACCEPT, 5, False)
