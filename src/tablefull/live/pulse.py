"""What one look at a table says beside those before it: rates per second and per CPU, and the past as a curve.

The trap: a counter that this kernel never moves reads 0, and 0 a second would be taken for quiet. So a rate has a
standing: counted, not counted on this kernel, or not seen; and every counter is 32 bits wide per CPU and wraps, so
steps are worked out CPU by CPU (live/occupancy.py), and a table that began anew has no rate at that moment.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Literal, NamedTuple

from msgspec import Struct

from tablefull.facts.origin import Hole
from tablefull.kernel.identity import KernelVersion
from tablefull.kernel.uapi import dead_columns
from tablefull.live.occupancy import Counters, Occupancy, moved

# In the order in which a person asks: what comes, what goes, what is lost, what is only worth knowing.
COUNTERS = (
    "new", "delete", "drop", "early_drop", "insert_failed", "clash_resolve", "chain_toolong", "invalid",
)  # fmt: skip
# Each of these is packets (or entries) that somebody misses; an entry evicted is no loss of the new one.
LOSSES = ("drop", "chain_toolong")
NET_OVER_S = 10.0  # expired entries leave in rounds of the collector: a shorter stretch would show its rhythm
MOST_POINTS = 3600
GAP_S = 10.0  # looks further apart, or three times their usual pause, leave a hole in the curve

Standing = Literal["counted", "dead", "unseen"]


class Rate(Struct, frozen=True):
    """One counter. ``per_s`` None: no two looks yet, or it began anew. ``by_cpu`` as the kernel lists its CPUs."""

    name: str
    standing: Standing
    per_s: float | None = None
    by_cpu: tuple[float, ...] = ()
    since: int | None = None  # how far it moved since the first look
    total: int | None = None  # as it stands, over all CPUs


class Frame(Struct, frozen=True, kw_only=True):
    """One moment of a table. ``count`` and ``limit`` None: not seen, and ``holes`` say why. ``limit`` 0: none."""

    time_s: float
    count: int | None
    limit: int | None
    net_per_s: float | None
    rates: tuple[Rate, ...]
    cpus: int
    holes: tuple[Hole, ...] = ()
    source: str = ""

    @property
    def share(self) -> float | None:
        """Of the limit, 0 to 1 and beyond; None where there is none or it is not known."""
        return self.count / self.limit if self.count is not None and self.limit else None

    def rate(self, name: str) -> Rate:
        """One of :data:`COUNTERS`."""
        return self.rates[COUNTERS.index(name)]


class Point(NamedTuple):
    """A stretch of the past, ``step_s`` long, that ends at ``time_s``: its highest count, and whether packets were
    refused in it.
    """

    time_s: float
    step_s: float
    high: int
    lost: bool


class Past:
    """The curve: as fine as it was seen of late, coarser with age, and bounded."""

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = most
        self.points: list[Point] = []

    def add(self, point: Point) -> None:
        """One more, later than those before."""
        self.points.append(point)
        if len(self.points) > self._most:
            half = len(self.points) // 2 & ~1
            older = self.points[:half]
            self.points[:half] = [_joined(one, two) for one, two in zip(older[::2], older[1::2], strict=True)]

    def columns(self, until_s: float, span_s: float, width: int) -> list[Point | None]:
        """The highest point of each of ``width`` stretches that end at ``until_s``; None where nothing was seen."""
        found: list[Point | None] = [None] * width
        wide = span_s / width
        begin = until_s - span_s
        for point in self.points[bisect_left(self.points, begin, key=itemgetter(0)) :]:
            last = min(width - 1, int((point.time_s - begin) / wide))
            first = max(0, int((point.time_s - point.step_s - begin) / wide))
            for at in range(first if found[first] is None else first + 1, last):
                found[at] = point
            held = found[last]
            found[last] = point if held is None else _joined(held, point)
        return found


def _joined(one: Point, two: Point) -> Point:
    return Point(two.time_s, one.step_s + two.step_s, max(one.high, two.high), one.lost or two.lost)


class Pulse:
    """Takes looks, in order of time, and says of each what it means beside those before."""

    def __init__(self, kernel: KernelVersion | None, every_s: float = 1.0) -> None:
        self._kernel, self._gap_s = kernel, max(GAP_S, 3 * every_s)
        self.past = Past()
        self._before: Occupancy | None = None
        self._before_s = 0.0
        self._recent: deque[tuple[float, int]] = deque()
        self._since: dict[str, int] = {}

    def beat(self, time_s: float, held: Occupancy) -> Frame:
        """One look, taken at ``time_s`` of a clock that never jumps."""
        before, passed = self._before, time_s - self._before_s
        count = held.count if isinstance(held.count, int) else None
        steps = None
        if before is not None and passed > 0:
            steps = _steps(before.counters, held.counters)
        rates = tuple(self._rate(name, held.counters, steps, passed) for name in COUNTERS)
        if count is not None:
            lost = bool(steps) and any(step.get(name) for step in steps or () for name in LOSSES)
            joins = before is not None and isinstance(before.count, int) and passed <= self._gap_s
            self.past.add(Point(time_s, passed if joins else 0.0, count, lost))
        self._before, self._before_s = held, time_s
        return Frame(
            time_s=time_s,
            count=count,
            limit=held.limit if isinstance(held.limit, int) else None,
            net_per_s=self._net(time_s, count),
            rates=rates,
            cpus=0 if isinstance(held.counters, Hole) else len(held.counters),
            holes=tuple(each for each in (held.count, held.limit, held.counters) if isinstance(each, Hole)),
            source=held.source,
        )

    def _net(self, time_s: float, count: int | None) -> float | None:
        """How fast the count moves, over the last :data:`NET_OVER_S`; None before there are two counts."""
        if count is None:
            self._recent.clear()
            return None
        self._recent.append((time_s, count))
        while len(self._recent) > 2 and self._recent[1][0] <= time_s - NET_OVER_S:
            self._recent.popleft()
        first_s, first = self._recent[0]
        return (count - first) / (time_s - first_s) if time_s > first_s else None

    def _rate(
        self, name: str, counters: Counters | Hole, steps: Sequence[Mapping[str, int]] | None, passed: float
    ) -> Rate:
        if isinstance(counters, Hole) or not counters:
            return Rate(name, "unseen")
        if not counts(name, counters[0], self._kernel):
            return Rate(name, "dead")
        total = sum(row.get(name, 0) for row in counters)
        if steps is None:
            return Rate(name, "counted", since=self._since.get(name), total=total)
        by_cpu = [step.get(name, 0) for step in steps]
        self._since[name] = self._since.get(name, 0) + sum(by_cpu)
        return Rate(
            name, "counted", sum(by_cpu) / passed, tuple(step / passed for step in by_cpu), self._since[name], total
        )


def counts(name: str, row: Mapping[str, int], kernel: KernelVersion | None) -> bool:
    """Whether this kernel moves the counter at all, by the counters that it shows (kernel/uapi.py)."""
    return name in row and name not in dead_columns(tuple(row), kernel)


def _steps(before: Counters | Hole, after: Counters | Hole) -> list[Mapping[str, int]] | None:
    """How far each counter moved on each CPU; None where it cannot be told."""
    if isinstance(before, Hole) or isinstance(after, Hole) or len(before) != len(after):
        return None
    steps: list[Mapping[str, int]] = []
    for old, new in zip(before, after, strict=True):
        step = moved((old,), (new,))
        if step is None:
            return None
        steps.append(step)
    return steps
