"""What a scene was: acts, looks at the table, requests and what became of them, as values that any view can show.

The trap: a request that waits is no success yet and no failure, so a moment is judged only when every request that
began in it has ended; and a moment in which nobody asked has no success rate, which is not 0 %. And a full table is not
full all the time: the kernel's collector throws out what is closing (KERNEL.md 4.3), and for a moment all is well.
"""

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

STEP_S = 0.5


class Look(Struct, frozen=True):
    """The watched table at a moment. ``refused`` and ``evicted`` since the scene began; None where it was not seen."""

    at_s: float
    count: int | None
    limit: int | None
    refused: int | None
    evicted: int | None


class Request(Struct, frozen=True):
    """One request. ``ms`` is how long it took, or how long it was waited for."""

    at_s: float
    ms: float
    fine: bool


class Act(Struct, frozen=True):
    """A stretch of the scene. ``id``: calm, cause, full, diagnose, fix, after."""

    id: str
    title: str
    begin_s: float
    end_s: float


class Moment(Struct, frozen=True):
    """A stretch of time: how many asked and were answered, and how long that took."""

    at_s: float
    asked: int
    answered: int
    p50_ms: float | None
    p95_ms: float | None

    @property
    def share(self) -> float | None:
        """Of those who asked, who were answered; None where nobody asked."""
        return self.answered / self.asked if self.asked else None


class Ran(Struct, frozen=True):
    """A program's own words: what was typed and what it printed."""

    command: str
    output: str
    when: str = ""


class Cause(Struct, frozen=True):
    """One cause of a diagnosis."""

    id: str
    confidence: float
    why: str


class Diagnosed(Struct, frozen=True):
    """What ``tablefull diagnose`` said of the watched machine."""

    table_full: str
    headline: str
    causes: tuple[Cause, ...]
    fixes: tuple[str, ...]


class Asked(Struct, frozen=True):
    """What ``tablefull why`` said: each family's state (``IPv4 yes``), and who asks for tracking."""

    active: tuple[str, ...]
    reasons: tuple[str, ...]


class Counted(Struct, frozen=True):
    """What ``tablefull table`` said: entries, beside the kernel's own ``count``, and the largest shares by state."""

    entries: int
    count: int | None
    sampled: bool
    states: tuple[tuple[str, float], ...]


class Played(Struct, frozen=True, kw_only=True):
    """The whole scene. ``with_``: which servers and clients it used. ``base``: entries put in beforehand."""

    scene: str
    title: str
    machine: str
    kernel: str
    used: tuple[str, ...]
    acts: tuple[Act, ...]
    looks: tuple[Look, ...]
    requests: tuple[Request, ...]
    log: tuple[str, ...]
    limit: int
    base: int
    room: str
    why: str = ""
    ran: tuple[Ran, ...] = ()
    asked: Asked | None = None
    counted: Counted | None = None
    diagnosed: Diagnosed | None = None
    fixed: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    broken_off: bool = False
    beside: tuple[Request, ...] = ()
    neighbour: str = ""

    def act(self, name: str) -> Act | None:
        """The act of that id."""
        return next((act for act in self.acts if act.id == name), None)

    def during(self, name: str, beside: bool = False) -> Moment | None:
        """The requests of one act as one moment; None where there was no such act. ``beside``: the neighbour's.

        Of the act ``full`` those that began while the table refused, also later ones up to the fix.
        """
        act = self.act(name)
        if act is None:
            return None
        asked = self.beside if beside else self.requests
        if name != "full":
            return within(asked, act.begin_s, act.end_s)
        fix = self.act("fix")
        spans = refusing(self.looks, act.begin_s, fix.begin_s if fix is not None else act.end_s)
        return _moment([one for one in asked if any(begin <= one.at_s < end for begin, end in spans)], act.begin_s)

    @property
    def end_s(self) -> float:
        """When the last act ended."""
        return max((act.end_s for act in self.acts), default=0.0)

    @property
    def peak(self) -> int | None:
        """The highest count."""
        return max((look.count for look in self.looks if look.count is not None), default=None)

    @property
    def refused(self) -> int | None:
        """Packets that the table refused."""
        return max((look.refused for look in self.looks if look.refused is not None), default=None)


def within(requests: Sequence[Request], begin_s: float, end_s: float) -> Moment:
    """The requests that began in a stretch of time."""
    return _moment([one for one in requests if begin_s <= one.at_s < end_s], begin_s)


def ended(requests: Sequence[Request], begin_s: float, end_s: float) -> Moment:
    """The requests that ended in a stretch of time: what can be said of the present."""
    return _moment([one for one in requests if begin_s <= one.at_s + one.ms / 1000 < end_s], begin_s)


def _moment(chosen: Sequence[Request], begin_s: float) -> Moment:
    times = sorted(one.ms for one in chosen)
    return Moment(begin_s, len(chosen), sum(one.fine for one in chosen), quantile(times, 0.5), quantile(times, 0.95))


def refusing(looks: Sequence[Look], begin_s: float, end_s: float) -> list[tuple[float, float]]:
    """The stretches between two looks in which the table refused packets."""
    found = []
    for before, after in pairwise(looks):
        if before.refused is None or after.refused is None or before.at_s < begin_s or after.at_s > end_s:
            continue
        if after.refused > before.refused:
            found.append((before.at_s, after.at_s))
    return found


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value below which ``share`` of them lie; None of none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def moments(requests: Sequence[Request], end_s: float, step_s: float = STEP_S) -> list[Moment]:
    """The scene cut into steps."""
    steps = max(1, int(end_s / step_s + 0.999))
    buckets: list[list[Request]] = [[] for _ in range(steps)]
    for one in requests:
        at = int(one.at_s / step_s)
        if 0 <= at < steps:
            buckets[at].append(one)
    return [within(bucket, at * step_s, (at + 1) * step_s) for at, bucket in enumerate(buckets)]
