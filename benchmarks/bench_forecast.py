"""Time to full, foretold on simulated days, on tables that the twin filled and on recorded ones, beside a straight line
and "as now".

Every forecast stands at a moment of a day and sees the samples before it, ten seconds apart. Asked: is the 90 %
interval right nine times in ten, how far is the median off at each lead time, how often is a fill announced that does
not come and how often does one come that was not announced. A fill later than the horizon counts as none. Left out:
moments at which what will fill the table has not begun, which nobody can know.

    python benchmarks/bench_forecast.py [days of each kind] [seed] [recorded.csv ...]
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from math import inf, sqrt
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from forecast_days import KINDS, TRAFFIC, Day, of_twin, recorded

from tablefull.twin.forecast import Sample, forecast

RECORDED = Path(__file__).parent / "recorded"
EVERY_S, HORIZON_S, PAST_S = 10, 7200, 86400
LEADS_S = (60, 120, 300, 600, 1800, 3600)
SEEN_S = 30  # of what fills it; before that nobody can know
LINE_S = 600


class Told(NamedTuple):
    """A forecast: inf for not within the horizon."""

    median_s: float
    low_s: float
    high_s: float


class Case(NamedTuple):
    """One moment: what came, and what each said. ``lead_s``: 0 for a moment by chance."""

    kind: str
    lead_s: int
    truth_s: float
    told: dict[str, Told]


def ours(samples: Sequence[Sample], limit: int, ahead: int) -> Told:
    """The forecast of this project."""
    found = forecast(samples, limit, ahead)
    return Told(*(inf if value is None else value for value in (found.median_s, found.low_s, found.high_s)))


def straight(samples: Sequence[Sample], limit: int, ahead: int) -> Told:
    """Least squares over the last ten minutes, with the interval of its slope."""
    now = samples[-1]
    recent = list(samples[-LINE_S // EVERY_S :])
    x = np.array([sample.time_s - now.time_s for sample in recent])
    y = np.array([sample.count for sample in recent], float)
    slope, start = np.polyfit(x, y, 1)
    rest = y - start - slope * x
    error = sqrt(float(rest @ rest) / max(len(x) - 2, 1) / float(((x - x.mean()) ** 2).sum()))

    def until(one: float) -> float:
        time_s = (limit - now.count) / one if one > 0 else inf
        return time_s if time_s <= ahead else inf

    return Told(until(slope), until(slope + 1.645 * error), until(slope - 1.645 * error))


def as_now(samples: Sequence[Sample], limit: int, ahead: int) -> Told:
    """It stays as it is: full where it is full."""
    value = 0.0 if samples[-1].count >= limit else inf
    return Told(value, value, value)


WAYS: dict[str, Callable[[Sequence[Sample], int, int], Told]] = {"ours": ours, "straight": straight, "as now": as_now}


def horizon_of(day: Day) -> int:
    """How far ahead is asked: two hours, in a short record a third of it."""
    return min(HORIZON_S, len(day.count) // 3)


def moments(day: Day, chance: np.random.Generator) -> list[tuple[int, int]]:
    """(second, lead): some before each fill, some by chance; none within half an hour after the table was full."""
    full = day.count >= day.limit
    was_full = np.convolve(full, np.ones(1801))[: len(full)] > 0.5
    fills = [int(at) for at in np.flatnonzero(full[1:] & ~was_full[:-1]) + 1]
    least = max(day.onset_s + SEEN_S, 900)
    found = [(fill - lead, lead) for fill in fills for lead in LEADS_S if fill - lead > least]
    ahead = horizon_of(day)
    by_chance = chance.integers(900, len(day.count) - ahead, 12)
    about = day.onset_s + chance.integers(SEEN_S, 1800, 8) if day.onset_s else []
    found += [(int(at), 0) for at in [*by_chance, *about] if at + ahead <= len(day.count)]
    return [(at, lead) for at, lead in found if not was_full[at]]


def cases(
    day: Day, chance: np.random.Generator, ways: dict[str, Callable[[Sequence[Sample], int, int], Told]]
) -> list[Case]:
    """All moments of a day, but those at which what will fill the table has not begun: that is to be seen nowhere."""
    found = []
    for at, lead in moments(day, chance):
        first = max(at % EVERY_S, at - PAST_S)
        first += (at - first) % EVERY_S
        samples = [Sample(float(t), int(day.count[t])) for t in range(first, at + 1, EVERY_S)]
        ahead = horizon_of(day)
        later = np.flatnonzero(day.count[at + 1 : at + 1 + ahead] >= day.limit)
        truth = float(later[0] + 1) if len(later) else inf
        if truth < inf and at < day.onset_s + SEEN_S:
            continue
        found.append(Case(day.kind, lead, truth, {name: way(samples, day.limit, ahead) for name, way in ways.items()}))
    return found


def error(told: float, truth: float) -> float:
    """Relative; 1 where a fill was not announced."""
    return 1.0 if told == inf else abs(told - truth) / truth


def capped(one: float) -> float:
    return min(one, HORIZON_S)


def report(found: list[Case]) -> tuple[float, bool]:
    """Tables: coverage, errors by lead, false and missed. Ours: what the interval holds, and whether it is nearer than
    the line.
    """
    names = list(found[0].told)
    print(f"{len(found)} forecasts, horizon {HORIZON_S // 60} min\n")
    print("90 % interval holds what came (goal 90), in % of forecasts; n of them:")
    print(f"  {'':22}" + "".join(f"{name:>10}" for name in names) + f"{'n':>7}")
    groups: dict[str, list[Case]] = defaultdict(list)
    for one in found:
        groups[one.kind].append(one)
        groups["a fill came" if one.truth_s < inf else "none came"].append(one)
        if one.lead_s == 0:
            groups["moments by chance"].append(one)
        if one.told["ours"].low_s < inf and one.told["ours"].high_s > 0:
            groups["ours sees a fill"].append(one)
        groups["all"].append(one)
    for group, members in groups.items():
        held = [
            sum(m.told[name].low_s <= m.truth_s <= m.told[name].high_s for m in members) / len(members)
            for name in names
        ]
        print(f"  {group:22}" + "".join(f"{100 * one:10.1f}" for one in held) + f"{len(members):7}")
    print("\nmedian relative error of time to full, in % (100: not announced), by lead:")
    for lead in LEADS_S:
        members = [one for one in found if one.lead_s == lead and one.truth_s < inf]
        if members:
            off = [median(error(m.told[name].median_s, m.truth_s) for m in members) for name in names]
            print(f"  {lead // 60:3} min {'':15}" + "".join(f"{100 * one:10.1f}" for one in off) + f"{len(members):7}")
    off_all = [0.0, 0.0]
    print("\nmean error in minutes, a time past the horizon counted as the horizon:")
    for group, members in groups.items():
        off = [
            sum(abs(capped(m.told[name].median_s) - capped(m.truth_s)) for m in members) / len(members) / 60
            for name in names
        ]
        print(f"  {group:22}" + "".join(f"{one:10.2f}" for one in off) + f"{len(members):7}")
        off_all = off if group == "all" else off_all
    print("\nannounced within the hour (median) and none came within two, in % of moments without a fill:")
    none = [one for one in found if one.truth_s == inf]
    alarms = [sum(m.told[name].median_s < 3600 for m in none) / len(none) for name in names]
    print(f"  {'false alarms':22}" + "".join(f"{100 * one:10.1f}" for one in alarms) + f"{len(none):7}")
    came = [one for one in found if one.truth_s < 3600]
    missed = [sum(m.told[name].median_s == inf for m in came) / len(came) for name in names]
    print(f"  {'missed (came within 1 h)':22}" + "".join(f"{100 * one:10.1f}" for one in missed) + f"{len(came):7}")
    held_all = sum(m.told["ours"].low_s <= m.truth_s <= m.told["ours"].high_s for m in found) / len(found)
    return held_all, off_all[0] < off_all[1]


def main() -> int:
    """Print all; 1 where ours is no better than a straight line on the whole, or its interval is wrong too often."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    found: list[Case] = []
    begun = time.perf_counter()
    for place, kind in enumerate(KINDS):
        for number in range(days):
            chance = np.random.default_rng([seed, place, number])
            found += cases(kind(chance), chance, WAYS)
    for number, (specs, onset_s) in enumerate(TRAFFIC):
        chance = np.random.default_rng([seed, len(KINDS), number])
        day = of_twin(specs, onset_s, chance)
        for limit in (day.limit, int(day.limit * 0.85), int(day.limit * 1.1)):
            found += cases(day._replace(limit=limit), chance, WAYS)
    for number, path in enumerate([*sorted(RECORDED.glob("*.csv")), *map(Path, sys.argv[3:])]):
        chance = np.random.default_rng([seed, len(KINDS) + 1, number])
        day = recorded(path)
        for limit in (day.limit, int(day.limit * 0.85), int(day.limit * 1.1)):
            found += cases(day._replace(limit=limit), chance, WAYS)
    held, line = report(found)
    print(f"\n{time.perf_counter() - begun:.0f} s")
    return int(not held >= 0.85 or not line)


if __name__ == "__main__":
    sys.exit(main())
