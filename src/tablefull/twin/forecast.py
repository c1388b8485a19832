"""When the table will be full: a value from counts, with the interval in which the time lies nine times in ten.

The trap: a straight line through a rising count always meets the limit. The count obeys births less deaths,
``d n/dt = rate - n / lifetime``, so a fill slows down and levels off near ``rate * lifetime``; and a burst of entries
that all live equally long (half-open TCP, unanswered UDP) rises as straight as a ruler and then stops at once, when the
first of them expire. Rate and lifetime are not to be seen in counts alone: many pairs are tried side by side, each is
weighted by how well it foretold every sample so far, and the future is drawn from all of them.

What is counted, and that a count lags behind expiry by up to a minute: KERNEL.md 2.5 and 4.3. Full is count >= limit:
exactly ``nf_conntrack_max`` entries may exist [nf_conntrack_core 6.18.2, __nf_conntrack_alloc].

No library, no clock and no chance: the same samples give the same answer.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from math import exp, inf
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from tablefull.kernel.timeouts import DEFAULTS
from tablefull.twin.forecast_filter import Ensemble, Filter

Kind = Literal["fills", "levels", "unknown"]

LEAST_SAMPLES, LEAST_SPAN_S = 4, 3.0
PATHS, STEPS = 320, 44
# Kept of the past: nothing finer than this share of its age, and at most this much of it.
THINNING, PAST_S = 0.02, 7 * 86400.0
LOW, HIGH = 0.05, 0.95
# How long entries live that nobody renews, with the share of bursts that are made of them. Guesses of how often each
# is met, no measurement; the times are the kernel's defaults, and those of the host where they were given.
BURST_LIFETIMES: tuple[tuple[str, float], ...] = (
    ("nf_conntrack_udp_timeout", 0.15),
    ("nf_conntrack_tcp_timeout_syn_recv", 0.15),
    ("nf_conntrack_tcp_timeout_syn_sent", 0.2),
    ("nf_conntrack_tcp_timeout_unacknowledged", 0.05),
    ("nf_conntrack_generic_timeout", 0.05),
)
# An expired entry is counted until the collector comes: up to a minute from 5.18 on. So a count rises by every birth
# and falls in steps, and what has to fit below the limit are the tips of that saw.
COLLECTOR_LAG_S = 60.0


class Sample(Struct, frozen=True):
    """One look at a table. ``time_s``: of any clock that never jumps. ``created``: entries made since some moment.

    ``created`` is None where the kernel does not tell (from 4.9 on it does not: KERNEL.md 3.2). ``joined`` False: the
    table began anew since the sample before (another boot, another namespace of that name).
    """

    time_s: float
    count: int
    created: int | None = None
    joined: bool = True


class Forecast(Struct, frozen=True, kw_only=True):
    """When a table is full.

    ``kind``: ``fills`` (more likely than not within the horizon), ``levels`` (rather not: ``level`` is the count at the
    horizon's end, its median) or ``unknown`` (``why``). ``median_s``, ``low_s`` and ``high_s`` count from the last
    sample: half, a twentieth and nineteen twentieths of the chances lie before them; None: not within ``horizon_s``.
    ``chance`` is that of being full within the horizon. ``level_low`` and ``level_high``: nine times in ten it lies
    between. ``rate_per_s`` and ``lifetime_s`` are what weighs most; ``why`` is one sentence on what it stands on.
    """

    kind: Kind
    horizon_s: float
    why: str
    median_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    chance: float | None = None
    level: int | None = None
    level_low: int | None = None
    level_high: int | None = None
    rate_per_s: float | None = None
    lifetime_s: float | None = None
    samples: int = 0
    span_s: float = 0.0


def forecast(
    samples: Sequence[Sample],
    limit: int | None,
    horizon_s: float = 86400.0,
    lifetimes_s: dict[str, float] | None = None,
    seed: int = 0,
) -> Forecast:
    """When a table with these counts, in order of time, reaches ``limit``; ``unknown`` where too little was seen.

    A ``limit`` of 0 is none at all. ``lifetimes_s``: the host's timeouts by sysctl name, where they differ from the
    kernel's defaults.
    """
    past = thinned(tips(samples))
    span = past[-1].time_s - past[0].time_s if past else 0.0
    now = samples[-1].count if past else None
    blank = Forecast(kind="unknown", horizon_s=horizon_s, why="", level=now, samples=len(samples), span_s=span)
    if now is None:
        return replace(blank, why="there is no sample")
    if limit is None:
        return replace(blank, why="the limit is not known")
    if limit <= 0:
        return replace(blank, kind="levels", why="nf_conntrack_max is 0: there is no limit", chance=0.0)
    if now >= limit:
        return replace(blank, kind="fills", why="it is full", median_s=0.0, low_s=0.0, high_s=0.0, chance=1.0)
    if len(past) < LEAST_SAMPLES or span < LEAST_SPAN_S:
        why = f"{LEAST_SAMPLES} samples over {LEAST_SPAN_S:.0f} s are wanted; so far {len(past)} over {span:.0f} s"
        return replace(blank, why=why)
    ensemble = learned(past)
    times, ends = _paths(ensemble, past, limit, horizon_s, _bursts(lifetimes_s), seed)
    return _told(blank, ensemble, times, ends)


def tips(samples: Sequence[Sample]) -> list[Sample]:
    """The same samples, each with the highest count of the minute that ends with it."""
    highest: deque[Sample] = deque()
    found = []
    for sample in samples:
        if not sample.joined:
            highest.clear()
        while highest and highest[-1].count <= sample.count:
            highest.pop()
        highest.append(sample)
        while highest[0].time_s <= sample.time_s - COLLECTOR_LAG_S:
            highest.popleft()
        found.append(sample if highest[0] is sample else replace(sample, count=highest[0].count))
    return found


def thinned(samples: Sequence[Sample]) -> list[Sample]:
    """The samples that say something: dense of late, sparser with age, none before the table began anew."""
    kept: list[Sample] = []
    for sample in reversed(samples):
        if kept:
            age = kept[0].time_s - sample.time_s
            if age > PAST_S:
                break
            if kept[-1].time_s - sample.time_s < max(THINNING * age, 1e-3) and sample.joined:
                continue
        kept.append(sample)
        if not sample.joined:
            break
    return kept[::-1]


def learned(past: Sequence[Sample]) -> list[Filter]:
    """Every pair of lifetime and steadiness, after all samples, with its weight (they add up to one)."""
    gaps = sorted(after.time_s - before.time_s for before, after in pairwise(past))
    ensemble = Ensemble(past[0].count, past[0].time_s, gaps[len(gaps) // 2], _roughness(past))
    created = past[0].created
    for before, after in pairwise(past):
        step = after.time_s - before.time_s
        births = None
        if created is not None and after.created is not None and after.created >= created:
            births = (after.created - created) / step
        created = after.created
        ensemble.step(step, after.count, births)
    return ensemble.filters


def _roughness(past: Sequence[Sample]) -> float:
    """Variance of the count's steps about their neighbours, per second: the first guess of how noisy births are."""
    bends = sorted(
        (second.count - first.count - (third.count - first.count) * (second.time_s - first.time_s)
         / (third.time_s - first.time_s)) ** 2
        / ((second.time_s - first.time_s) * (third.time_s - second.time_s) / (third.time_s - first.time_s))
        for first, second, third in zip(past, past[1:], past[2:], strict=False)
    )  # fmt: skip
    return bends[len(bends) // 2] / 0.455 if bends else 1.0  # the median of chi square with one degree is 0.455


def _bursts(lifetimes_s: dict[str, float] | None) -> list[tuple[float, float]]:
    """Lifetimes of a burst's entries with their shares; the rest of the chances is that they stay for good."""
    own = lifetimes_s or {}
    return sorted((float(own.get(name, DEFAULTS[name])), share) for name, share in BURST_LIFETIMES)


class _Chance:
    """Numbers that look random and are the same at every call: a linear congruential generator, Knuth's MMIX."""

    def __init__(self, seed: int) -> None:
        self._state = (seed * 2862933555777941757 + 3037000493) & 0xFFFFFFFFFFFFFFFF

    def uniform(self) -> float:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        return (self._state >> 11) * 2.0**-53

    def normal(self) -> float:
        """The sum of four uniforms would lack the tails; this is the table of a true normal, 4096 entries fine."""
        return _normals()[int(self.uniform() * 4096)]


_NORMALS: list[float] = []


def _normals() -> list[float]:
    if not _NORMALS:
        from statistics import NormalDist

        law = NormalDist()
        _NORMALS.extend(law.inv_cdf((place + 0.5) / 4096) for place in range(4096))
    return _NORMALS


def _paths(
    ensemble: Sequence[Filter],
    past: Sequence[Sample],
    limit: int,
    horizon_s: float,
    bursts: Sequence[tuple[float, float]],
    seed: int,
) -> tuple[list[float], list[float]]:
    """Times of being full (inf: not within the horizon) and counts at the horizon's end, of equally likely futures."""
    chance = _Chance(seed)
    now = past[-1].time_s
    first = max(min(past[-1].time_s - past[-2].time_s, horizon_s / 4), 1e-3)
    grid = [first * (horizon_s / first) ** (place / (STEPS - 1)) for place in range(STEPS)]
    times: list[float] = []
    ends: list[float] = []
    reached = 0.0
    for one in ensemble:
        reached += one.weight * PATHS
        while len(times) + 0.5 < reached:
            begun = one.burst_s if one.burst_s is not None else past[0].time_s
            stop = _stop(now - begun, bursts, chance)
            time, end = _path(one, limit, grid, stop, chance, past[-1].count >= limit)
            times.append(time)
            ends.append(end)
    return times, ends


def _stop(age_s: float, bursts: Sequence[tuple[float, float]], chance: _Chance) -> float:
    """In how many seconds the entries of a burst as old as ``age_s`` begin to expire; inf: never."""
    left = [(life, share) for life, share in bursts if life + COLLECTOR_LAG_S > age_s]
    lasting = 1.0 - sum(share for _, share in bursts)
    draw = chance.uniform() * (lasting + sum(share for _, share in left))
    for life, share in left:
        draw -= share
        if draw < 0:
            return max(life + min(COLLECTOR_LAG_S, life) * chance.uniform() - age_s, 0.0)
    return inf


def _path(
    one: Filter, limit: int, grid: Sequence[float], stop: float, chance: _Chance, touched: bool
) -> tuple[float, float]:
    """One future of one pair: when it is full, and the count at the end. ``touched``: a tip was at the limit."""
    normals = chance.normal(), chance.normal(), chance.normal()
    count, rate, lifetime, spread = one.draw(normals, 2.0 * chance.uniform() - 1.0)
    # Where the saw's last tip touched the limit already, the next one does: within a round of the collector.
    full, before = COLLECTOR_LAG_S * chance.uniform() if touched else inf, 0.0
    for at in grid:
        step = at - before
        births = min(rate, one.rate_before) if before >= stop else rate
        kept, made, noise, drift = one.over(step, lifetime)
        after = kept * count + made * births + spread * noise * chance.normal()
        if full == inf:
            if after >= limit:
                full = before + step * max(limit - count, 0.0) / max(after - count, 1e-9)
            else:
                # Both ends lie below; a Brownian bridge between them may still have touched the limit.
                gap = 2.0 * (limit - count) * (limit - after)
                if chance.uniform() < exp(-gap / (spread * noise) ** 2):
                    full = before + step * chance.uniform()
        rate += spread * drift * chance.normal()
        count, before = max(after, 0.0), at
        if full < inf:
            count = min(count, float(limit))
    return full, count


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _finite(value: float) -> float | None:
    return None if value == inf else value


def _told(blank: Forecast, ensemble: Sequence[Filter], times: list[float], ends: list[float]) -> Forecast:
    times.sort()
    ends.sort()
    chance = sum(1 for time in times if time < inf) / len(times)
    best = max(ensemble, key=lambda one: one.weight)
    return replace(
        blank,
        kind="fills" if chance >= 0.5 else "levels",
        why=f"{blank.samples} samples over {_words(blank.span_s)}",
        median_s=_finite(_quantile(times, 0.5)),
        low_s=_finite(_quantile(times, LOW)),
        high_s=_finite(_quantile(times, HIGH)),
        chance=chance,
        level=round(_quantile(ends, 0.5)),
        level_low=round(_quantile(ends, LOW)),
        level_high=round(_quantile(ends, HIGH)),
        rate_per_s=max(best.rate, 0.0),
        lifetime_s=best.lifetime_s,
    )


def _words(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
