"""Counts by key against collections.Counter, past every doubling."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tablefull.wire.loops_tally import FIRST_SLOTS, Tally


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**32 - 1), st.integers(0, 2)), max_size=200),
    st.sampled_from([(0,), (1,), (0, 2), (2, 1, 0)]),
    st.booleans(),
)
def test_as_a_counter_counts(rows: list[tuple[int, int, int]], words: tuple[int, ...], masked: bool) -> None:
    masks = tuple(0x0F for _ in words) if masked else ()
    tally = Tally(words, masks)
    table = np.array(rows, np.uint32).reshape(-1, 3)
    for part in np.array_split(np.arange(len(rows)), 3):
        tally.add(table, part)
    expected = Counter(tuple(row[word] & (0x0F if masked else 0xFFFFFFFF) for word in words) for row in rows)
    assert dict(tally.most(1000)) == dict(expected)
    assert tally.distinct == len(expected)


def test_more_keys_than_it_began_with() -> None:
    count = FIRST_SLOTS * 5
    table = np.arange(count * 2, dtype=np.uint32).reshape(-1, 2) * np.uint32(2654435761)
    tally = Tally((0, 1))
    for _ in range(3):
        tally.add(table, np.arange(count))
    assert tally.distinct == count
    assert {number for _, number in tally.most(count)} == {3}


def test_the_most_frequent_first_and_ties_by_key() -> None:
    table = np.array([[5], [5], [9], [1], [9], [7]], np.uint32)
    tally = Tally((0,))
    tally.add(table, np.arange(6))
    assert tally.most(3) == [((5,), 2), ((9,), 2), ((1,), 1)]
    assert Tally((0,)).most(5) == []
