"""The twin beside what the kernel said: each packet's verdict, the table at the end, the counters.

The trap: a table is a set. Two listings are equal when the same rows stand in them, in whatever order, each with a
remaining time within a second; ``use`` counts who looks at a row just now and is no part of it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tests.realkernel import batch as batches
from tests.realkernel.batch import Batch
from tests.realkernel.record import DIRECTIONS, NO_DIRECTION, STATES, Recorded

# Counters of conntrack -S that the packets alone determine; ``found`` and ``search_restart`` depend on the hash.
DETERMINED = ("invalid", "insert_failed", "drop", "early_drop", "error", "clash_resolve", "chain_toolong")
NETLINK_NAMES = {"chaintoolong": "chain_toolong"}
_ROW = re.compile(r"^(\S+ +\d+ \S+ +\d+) (\d+) (.*?)\s*$")
_USE = re.compile(r" use=\d+")


class Difference(NamedTuple):
    """One packet on which they disagree."""

    index: int
    kernel: str
    twin: str


class Report(NamedTuple):
    """All disagreements; empty where they agree."""

    verdicts: list[Difference]
    entries: list[str]
    proc: list[str]
    counters: dict[str, tuple[int, int]]

    def __bool__(self) -> bool:
        return bool(self.verdicts or self.entries or self.proc or self.counters)

    def text(self, most: int = 5) -> str:
        """The first of each kind, a line each."""
        lines = [f"{len(self.verdicts)} verdicts differ"]
        lines += [f"  packet {one.index}: kernel {one.kernel}, twin {one.twin}" for one in self.verdicts[:most]]
        for name, rows in (("entries", self.entries), ("proc", self.proc)):
            lines.append(f"{len(rows)} rows of {name} differ")
            lines += [f"  {row}" for row in rows[:most]]
        lines += [f"counter {name}: kernel {one}, twin {other}" for name, (one, other) in self.counters.items()]
        return "\n".join(lines)


MakeTwin = Callable[[Mapping[str, object]], Any]


def compare(recorded: Recorded, make_twin: MakeTwin, *, at_once: int = 50_000, table: bool = True) -> Report:
    """Feed the same packets at the same times; everything that differs."""
    settings: dict[str, object] = {**recorded.about["host"], **recorded.about["settings"]}
    twin = make_twin(settings)
    batch = Batch(
        recorded.data, recorded.start, recorded.length, np.zeros(len(recorded.start), np.uint8), recorded.length
    )
    state, direction = feed(twin, batch, recorded.time_ns, at_once)
    wrong = recorded.determined & ((state != recorded.state) | (direction != recorded.direction))
    verdicts = [
        Difference(
            int(index), named(recorded.state[index], recorded.direction[index]), named(state[index], direction[index])
        )
        for index in np.flatnonzero(wrong)
    ]
    counters = {}
    if table:
        told = {NETLINK_NAMES.get(name, name): value for name, value in recorded.about["counters"].items()}
        own = twin.counters()
        counters = {
            name: (told[name], own.get(name, 0))
            for name in DETERMINED
            if name in told and told[name] != own.get(name, 0)
        }
    return Report(
        verdicts,
        rows_differ(recorded.entries, twin.lines(recorded.about["entries_ns"], "extended")) if table else [],
        rows_differ(recorded.proc, twin.lines(recorded.about["proc_ns"], "proc")) if table else [],
        counters,
    )


def feed(
    twin: Any, batch: Batch, time_ns: npt.NDArray[np.int64], at_once: int = 50_000
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The twin's verdicts, those included that it gave later (fragments)."""
    mark = batches.marks(batch)
    count = len(batch.start)
    state, direction = np.zeros(count, np.uint8), np.full(count, NO_DIRECTION, np.uint8)
    for first in range(0, count, at_once):
        here = slice(first, first + at_once)
        said = twin.packets(
            time_ns[here],
            batch.data,
            batch.start[here],
            batch.length[here],
            accept=mark[here] != batches.NOT_ACCEPTED,
            untracked=mark[here] == batches.NOT_TRACKED,
        )
        state[here], direction[here] = said.state, said.direction
        for index, late_state, late_direction in said.late:
            state[index], direction[index] = late_state, late_direction
    return state, direction


def named(state: int, direction: int) -> str:
    """A verdict in words."""
    return STATES[state] if direction == NO_DIRECTION else f"{STATES[state]} {DIRECTIONS[direction]}"


def rows_differ(kernel: Iterable[str], twin: Iterable[str], within_s: int = 1) -> list[str]:
    """Rows that only one listing has, or whose remaining times are further apart.

    The two were made up to that long apart, so one that had no longer to live may stand in either alone.
    """
    tables = [_by_row(kernel), _by_row(twin)]
    found = []
    for row in sorted({*tables[0], *tables[1]}):
        one, other = (sorted(table.get(row, [])) for table in tables)
        few, many = sorted((one, other), key=len)
        ending = many[: len(many) - len(few)]
        paired = zip(few, many[len(ending) :], strict=True)
        if any(left > within_s for left in ending) or any(abs(a - b) > within_s for a, b in paired):
            found.append(f"{row}: kernel {one}, twin {other}")
    return found


def _by_row(lines: Iterable[str]) -> dict[str, list[int]]:
    table: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        match = _ROW.match(line)
        if match is None:
            raise ValueError(f"not a row of the table: {line!r}")
        table[f"{match[1]} {_USE.sub('', match[3])}"].append(int(match[2]))
    return table


def shrink(packets: list[Any], disagree: Callable[[list[Any]], bool]) -> list[Any]:
    """A smallest list, in order, that still disagrees: delta debugging (Zeller and Hildebrandt, 2002)."""
    parts = 2
    while len(packets) >= 2:
        size = max(1, len(packets) // parts)
        for begin in range(0, len(packets), size):
            fewer = packets[:begin] + packets[begin + size :]
            if fewer and disagree(fewer):
                packets, parts = fewer, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(len(packets), parts * 2)
    return packets
