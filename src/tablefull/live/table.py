"""The table of a namespace, whatever its size: how many entries, made up of what; from a sample or from all of it.

The trap: reading 1.5 million entries costs seconds of a host that is in trouble already, and is rarely needed. The
kernel lists its buckets in order, and which bucket an entry is in depends on a random key and nothing else, so the
first few thousand are a fair sample (KERNEL.md 9.5), at the same price whatever the table holds. What was sampled is
said with its interval; the total is the kernel's own count.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from math import sqrt
from operator import itemgetter
from typing import Any

from msgspec import Struct, field

from tablefull.errors import ParseError
from tablefull.live.netlink import Interrupted, Netlink, statistics
from tablefull.wire import ctnetlink as at
from tablefull.wire.dimensions import Dimension, Key

SAMPLE = 2000
SAMPLE_ABOVE = 100_000  # entries from which on a sample is taken unless all are asked for
COMPILED_ABOVE = 20_000  # below, plain Python is done before the compiled reader would be loaded
MOST_HELD = 1000  # keys of a dimension that are kept; the rest is counted as distinct
Z95 = 1.959964
Tick = Callable[[int], None]
Test = Callable[[Callable[[int], Any]], Any]  # wire.selection.Test, which is imported where there is an expression


class Share(Struct, frozen=True):
    """One key of a dimension: how often it was read, and the share with its 95 % interval (0 to 1)."""

    key: Key
    label: str
    count: int
    share: float
    low: float
    high: float


class Made(Struct, frozen=True):
    """What a table is made of, by one dimension; the largest first. ``distinct``: keys in what was read."""

    dimension: str
    distinct: int
    shares: tuple[Share, ...]


class Reading(Struct, kw_only=True):
    """One look at a table.

    ``total`` is the kernel's count, ``limit`` nf_conntrack_max; None where they were not told. ``read`` entries were
    looked at, ``matched`` of them are those asked for. ``sampled``: there are more.
    """

    total: int | None
    limit: int | None
    read: int = 0
    matched: int = 0
    sampled: bool = False
    interrupted: bool = False
    broken: int = 0
    source: str = "ctnetlink"
    took_s: float = 0.0
    made: list[Made] = field(default_factory=list)
    rows: list[at.Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def interval(count: int, of: int, population: int | None) -> tuple[float, float]:
    """The 95 % interval of a share that ``count`` of ``of`` sampled entries have, out of ``population`` (Wilson).

    A sample that is a part of the whole narrows it: the same interval as for (of * (N - 1) / (N - of)) of endless many.
    """
    if not of:
        return 0.0, 1.0
    if population is not None and population <= of:
        return count / of, count / of
    size = float(of) if population is None else of * (population - 1) / (population - of)
    share = count / of
    middle = share + Z95 * Z95 / (2 * size)
    width = Z95 * sqrt(share * (1 - share) / size + Z95 * Z95 / (4 * size * size))
    bottom = 1 + Z95 * Z95 / size
    return max(0.0, (middle - width) / bottom), min(1.0, (middle + width) / bottom)


def rows(link: Netlink, reader: at.Reader, family: int = 0) -> Iterator[at.Row]:
    """Entries one by one, in plain Python."""
    return link.entries(lambda sequence: at.dump_request(sequence, family), reader)


def pick(words: Sequence[int], masks: Sequence[int] = ()) -> Callable[[at.Row], Key]:
    """The key that these words of a row make."""
    if masks and any(mask != 0xFFFFFFFF for mask in masks):
        pairs = tuple(zip(words, masks, strict=True))
        return lambda row: tuple(row[word] & mask for word, mask in pairs)
    if len(words) == 1:
        (word,) = words
        return lambda row: (row[word],)
    return itemgetter(*words)


def sample(
    namespace: str | None, dimensions: Sequence[Dimension], size: int = SAMPLE, where: Test | None = None
) -> Reading:
    """The first ``size`` entries. KernelRefused where the kernel does not let it be asked."""
    began = time.perf_counter()
    reader = at.Reader()
    with Netlink(namespace=namespace) as link:
        total, limit = statistics(link)
        found = list(islice(rows(link, reader), size))
        whole = len(found) < size
        result = composed(found, None if whole else total, dimensions, where)
        result.interrupted = link.interrupted
    result.total, result.limit, result.broken = total, limit, reader.broken
    result.took_s = time.perf_counter() - began
    return result


def composed(
    found: list[at.Row], population: int | None, dimensions: Sequence[Dimension], where: Test | None
) -> Reading:
    """What these entries are made of; ``population``: how many there are, where these are only a part."""
    chosen = found if where is None else [row for row in found if where(row.__getitem__)]
    result = Reading(total=None, limit=None, read=len(found), matched=len(chosen), rows=chosen)
    result.sampled = population is not None and population > len(found)
    # Of what was asked for there may be fewer: the sample's own share of it says how many.
    whole = None if population is None else max(len(chosen), round(population * len(chosen) / max(1, len(found))))
    for dimension in dimensions:
        counted = Counter(map(pick(dimension.words, dimension.masks), chosen))
        ranked = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_HELD]
        result.made.append(made(dimension, ranked, len(counted), len(chosen), whole if result.sampled else len(chosen)))
    return result


def made(
    dimension: Dimension, ranked: Sequence[tuple[Key, int]], distinct: int, of: int, population: int | None
) -> Made:
    """Counts as shares with their intervals."""
    shares = []
    for key, count in ranked:
        low, high = interval(count, of, population)
        shares.append(Share(key, dimension.say(key), count, count / of if of else 0.0, low, high))
    return Made(dimension.name, distinct, tuple(shares))


def full(
    namespace: str | None,
    dimensions: Sequence[Dimension],
    where: Test | None = None,
    tick: Tick | None = None,
    compiled: bool | None = None,
) -> Reading:
    """Every entry. ``compiled``: whether by the compiled reader (None: where it is there and worth loading)."""
    began = time.perf_counter()
    with Netlink(namespace=namespace) as link:
        total, limit = statistics(link)
        if compiled is None:
            compiled = total > COMPILED_ABOVE and can_compile()
        if compiled:
            from tablefull.live.table_bulk import read

            result = read(link, dimensions, where, tick)
        else:
            reader = at.Reader()
            found = []
            try:
                for row in rows(link, reader):
                    found.append(row)
                    if tick is not None and not len(found) % 1000:
                        tick(len(found))
            except (Interrupted, ParseError) as broke:
                result = composed(found, None, dimensions, where)
                result.notes.append(f"it broke off: {broke}; what had come by then was used")
            else:
                result = composed(found, None, dimensions, where)
            result.broken = reader.broken
        result.interrupted = link.interrupted
    result.total, result.limit = total, limit
    result.took_s = time.perf_counter() - began
    return result


def from_file(
    namespace: str | None, dimensions: Sequence[Dimension], size: int | None = None, where: Test | None = None
) -> Reading:
    """The same from /proc/net/nf_conntrack, the first ``size`` entries or all. OSError where it is not there."""
    from tablefull.live import table_proc
    from tablefull.live.spaces import count_of_files

    began = time.perf_counter()
    total, limit = count_of_files(namespace)
    found = table_proc.listed(namespace, size)
    whole = size is None or len(found) < size
    result = composed(found, None if whole else total, dimensions, where)
    result.total, result.limit, result.source = total, limit, "/proc/net/nf_conntrack"
    result.took_s = time.perf_counter() - began
    return result


def can_compile() -> bool:
    """Whether the extra `twin` is there."""
    from importlib.util import find_spec

    return find_spec("numba") is not None


def counts(namespace: str | None = None) -> tuple[int, int | None]:
    """Entries and limit of a namespace, by netlink. KernelRefused where it may not be asked."""
    with Netlink(namespace=namespace) as link:
        return statistics(link)
