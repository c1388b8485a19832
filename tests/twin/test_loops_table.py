"""The sorted index of the compiled table against a plain sorted list, whatever is put in and taken out."""

from bisect import insort

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tablefull.twin import loops_table as table

TAIL = 600
SLOTS = st.sampled_from([1, 3, 16, 200])
# Hashes that crowd: few values, neighbours, both ends.
HASHES = st.one_of(
    st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2, 2**31, 2**31 + 1, 2**32 - 2, 2**32 - 1]), st.integers(0, 40)
)


def nodes(index: np.ndarray) -> list[tuple[int, int]]:
    """Hash and number of every node, in the order of the array."""
    return [(int(node) >> table.NODE_BITS, (int(node) & table.NODE_MASK) - 1) for node in index if node]


@given(SLOTS, st.lists(st.tuples(HASHES, st.booleans()), max_size=120))
def test_nodes_stay_sorted_and_none_is_lost(slots: int, steps: list[tuple[int, bool]]) -> None:
    index = np.zeros(slots + TAIL, np.int64)
    plain: list[tuple[int, int]] = []
    for number, (hashed, take_one_out) in enumerate(steps):
        if take_one_out and plain:
            victim = plain.pop(hashed % len(plain))
            table.remove_node(index.ctypes.data, slots, *victim)
        else:
            insort(plain, (hashed, number))
            table.insert_node(index.ctypes.data, slots, hashed, number)
        assert sorted(nodes(index)) == plain
        places = np.flatnonzero(index)
        hashes = (index[places] >> table.NODE_BITS).tolist()
        assert hashes == sorted(hashes)
        # None stands before its home, and nothing is empty between its home and itself.
        for place, hashed_there in zip(places.tolist(), hashes, strict=True):
            home = hashed_there * slots >> 32
            assert home <= place
            assert index[home : place + 1].all()


@given(SLOTS, st.lists(HASHES, max_size=80), st.integers(1, 50))
def test_the_length_of_a_chain(slots: int, hashes: list[int], buckets: int) -> None:
    index = np.zeros(slots + TAIL, np.int64)
    for number, hashed in enumerate(hashes):
        table.insert_node(index.ctypes.data, slots, hashed, number)
    for asked in [*hashes, 0, 2**32 - 1, 12345678]:
        same = sum(hashed * buckets >> 32 == asked * buckets >> 32 for hashed in hashes)
        assert table.chain_length(index.ctypes.data, slots, asked, buckets) == same


@given(st.integers(1, 2**28), st.integers(0, 2**32 - 1))
def test_the_lowest_hash_of_a_bucket(buckets: int, hashed: int) -> None:
    bucket = hashed * buckets >> 32
    low, high = table.first_hash(bucket, buckets), table.first_hash(bucket + 1, buckets)
    assert low <= hashed < high
    assert low * buckets >> 32 == bucket
    assert low == 0 or (low - 1) * buckets >> 32 == bucket - 1


@given(st.lists(HASHES, min_size=1, max_size=120), st.sampled_from([1, 3, 16]), st.sampled_from([16, 200, 3000]))
def test_a_larger_index_holds_the_same_nodes(hashes: list[int], slots: int, more: int) -> None:
    index, larger = np.zeros(slots + TAIL, np.int64), np.zeros(more + TAIL, np.int64)
    for number, hashed in enumerate(hashes):
        table.insert_node(index.ctypes.data, slots, hashed, number)
    last = table.rebuild(index.ctypes.data, slots, len(index), larger.ctypes.data, more)
    assert nodes(larger) == nodes(index)
    assert last == np.flatnonzero(larger)[-1]
    for number, hashed in enumerate(hashes):
        table.remove_node(larger.ctypes.data, more, hashed, number)
    assert not larger.any()
