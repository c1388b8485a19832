"""How often each key stands in rows of numbers: an open-addressed table of keys and counts, fed batch by batch.

The trap: half a table may be one address and the other half 700,000 different ones. Sorting a batch costs more than
all the rest, and a Python dictionary of tuples ten times the memory, so keys are hashed and compared as words, and the
table doubles when it is half full.
"""

import numpy as np
import numpy.typing as npt

from tablefull.loops.memory import address, compiled, i64, inlined, le32, put32, put64

Keys = npt.NDArray[np.uint32]
Counts = npt.NDArray[np.int64]
MIX = np.uint64(0x9E3779B97F4A7C15)
_S29, _S32 = np.uint64(29), np.uint64(32)
FIRST_SLOTS = 1 << 10


@inlined
def hash_words(key: int, width: int, seed: int) -> int:
    """32 bits of the ``width`` words at an address."""
    mixed = np.uint64(seed)
    for word in range(width):
        mixed = (mixed ^ np.uint64(le32(key + 4 * word))) * MIX
        mixed ^= mixed >> _S29
    return np.int64(mixed >> _S32)  # type: ignore[return-value]  # compiled, both are one


@inlined
def _slot(table: int, counts: int, slots: int, key: int, width: int) -> int:
    """Where the key stands, or the empty place where it belongs."""
    place = hash_words(key, width, width) & (slots - 1)
    while i64(counts + 8 * place) != 0:
        there, same = table + 4 * width * place, True
        for word in range(width):
            if le32(there + 4 * word) != le32(key + 4 * word):
                same = False
                break
        if same:
            return place
        place = (place + 1) & (slots - 1)
    return place


@compiled
def add(rows: Keys, words: Counts, masks: Counts, chosen: Counts, table: Keys, counts: Counts, first: int) -> int:
    """Count the rows numbered ``chosen[first:]``, by these words of them under these masks.

    It stops where the table is half full; the number of rows done. ``counts``: slots, then how many keys there are.
    """
    slots, width, used = len(counts) - 1, len(words), counts[len(counts) - 1]
    base, keys, numbers, row_bytes = address(rows), address(table), address(counts), 4 * rows.shape[1]
    key = keys + 4 * width * slots  # the row behind the last slot
    for index in range(first, len(chosen)):
        if used * 2 >= slots:
            counts[len(counts) - 1] = used
            return index
        row = base + row_bytes * chosen[index]
        for word in range(width):
            put32(key + 4 * word, le32(row + 4 * words[word]) & masks[word])
        place = _slot(keys, numbers, slots, key, width)
        count = i64(numbers + 8 * place)
        if count == 0:
            used += 1
            for word in range(width):
                put32(keys + 4 * (width * place + word), le32(key + 4 * word))
        put64(numbers + 8 * place, count + 1)
    counts[len(counts) - 1] = used
    return len(chosen)


@compiled
def move(old: Keys, old_counts: Counts, table: Keys, counts: Counts, width: int) -> None:
    """Every key with its count into a larger table."""
    slots, keys, numbers, before = len(counts) - 1, address(table), address(counts), address(old)
    for place in range(len(old_counts) - 1):
        if old_counts[place]:
            key = before + 4 * width * place
            target = _slot(keys, numbers, slots, key, width)
            for word in range(width):
                put32(keys + 4 * (width * target + word), le32(key + 4 * word))
            put64(numbers + 8 * target, old_counts[place])
    counts[slots] = old_counts[len(old_counts) - 1]


class Tally:
    """Counts by key. ``words`` are the words of a row that make it, ``masks`` what counts of each."""

    def __init__(self, words: tuple[int, ...], masks: tuple[int, ...] = ()) -> None:
        self._words = np.array(words, np.int64)
        self._masks = np.array(masks or (0xFFFFFFFF,) * len(words), np.int64)
        self._keys, self._counts = self._room(FIRST_SLOTS)

    def _room(self, slots: int) -> tuple[Keys, Counts]:
        return np.zeros((slots + 1, len(self._words)), np.uint32), np.zeros(slots + 1, np.int64)

    def add(self, rows: Keys, chosen: Counts) -> None:
        """Count the rows of these numbers."""
        done = 0
        while done < len(chosen):
            done = add(rows, self._words, self._masks, chosen, self._keys, self._counts, done)
            if done < len(chosen):
                keys, counts = self._room(2 * (len(self._counts) - 1))
                move(self._keys, self._counts, keys, counts, len(self._words))
                self._keys, self._counts = keys, counts

    @property
    def distinct(self) -> int:
        """How many different keys there are."""
        return int(self._counts[-1])

    def most(self, number: int) -> list[tuple[tuple[int, ...], int]]:
        """The most frequent keys with their counts, the largest first."""
        places = np.flatnonzero(self._counts[:-1])
        if len(places) > number:
            places = places[np.argpartition(-self._counts[places], number - 1)[:number]]
        order = places[np.lexsort((*self._keys[places].T[::-1], -self._counts[places]))]
        return [(tuple(int(word) for word in self._keys[place]), int(self._counts[place])) for place in order]
