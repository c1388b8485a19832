"""What a table is made of, for an exporter: shares of few kinds, each with its interval, and the rest as one.

The trap: all namespaces share one table (from 4.7), and a listing walks it bucket by bucket whoever asks, so a sample
of a small table beside a large one reads the large one: half a second of CPU for nothing beside 1.5 million entries.
Whether it is worth it is reckoned before it is asked (KERNEL.md 9.5).
"""

from collections.abc import Sequence

from msgspec import Struct

from tablefull.errors import TablefullError
from tablefull.facts.origin import Hole
from tablefull.live import table
from tablefull.live.netlink import askable
from tablefull.live.proc import Proc
from tablefull.wire.dimensions import Dimension

SAMPLE = 2000
MOST_WALKED = 100_000  # entries that a sample may make the kernel walk: 40 ms, as measured on 6.18
OTHER = "other"


class Part(Struct, frozen=True):
    """One kind of entries, with its share and the 95 % interval of that (0 to 1)."""

    key: str
    share: float
    low: float
    high: float


class Composition(Struct, frozen=True):
    """A table by one dimension; the parts add up to one. ``read`` entries were looked at."""

    key: str
    by: str
    read: int
    parts: tuple[Part, ...]


def walked(count: int, total: int, size: int = SAMPLE) -> int:
    """Entries the kernel is expected to walk for a sample of a namespace with ``count`` of ``total`` entries."""
    return total if count <= size else min(total, round(total * size / count))


def compose(
    proc: Proc, key: str, path: str | None, count: int, total: int, dimensions: Sequence[Dimension], top: int
) -> tuple[list[Composition], list[Hole]]:
    """The namespace behind ``path`` (None: this one), by each dimension; or why not."""
    what = f"composition of {key}"
    if not count:
        return [Composition(key, dimension.name, 0, ()) for dimension in dimensions], []
    if walked(count, total) > MOST_WALKED:
        return [], [Hole(what, "it is a small part of a large table: to sample it would be to read all of that")]
    try:
        askable(proc)
        reading = table.sample(path, dimensions, SAMPLE)
    except TablefullError as error:
        try:
            reading = table.from_file(path, dimensions, SAMPLE)
        except (OSError, ValueError, TablefullError):
            return [], [Hole(what, _reason(error), "give it CAP_NET_ADMIN")]
    population = reading.total if reading.sampled else reading.read
    return [Composition(key, made.dimension, reading.read, parts(made, reading.read, population, top))
            for made in reading.made], []  # fmt: skip


def parts(made: table.Made, read: int, population: int | None, top: int) -> tuple[Part, ...]:
    """The ``top`` largest, and what is left as one more."""
    kept = made.shares[:top]
    left = read - sum(share.count for share in kept)
    labels: dict[str, None] = {}
    found = []
    for share in kept:
        label = share.label
        while label in labels or label == OTHER:
            label += "'"  # no two series may be alike
        labels[label] = None
        found.append(Part(label, share.share, share.low, share.high))
    if left > 0:
        low, high = table.interval(left, read, population)
        found.append(Part(OTHER, left / read, low, high))
    return tuple(found)


def _reason(error: TablefullError) -> str:
    """Of a refusal: what it was, without the name of a file or a namespace."""
    return str(error).partition(": ")[2].partition("; ")[0] or str(error)
