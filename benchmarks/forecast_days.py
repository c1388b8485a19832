"""Days of a table, second by second: who comes, how long each stays, and when the collector takes the expired away.

Each entry is drawn on its own (M/G/infinity with a rate that moves), and leaves the count at the first pass of the
collector after its time is over, as from 4.9 on (KERNEL.md 2.5, 4.3).
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Series = npt.NDArray[np.int64]
Rates = npt.NDArray[np.float64]
Lives = Callable[[np.random.Generator, int], Rates]
HOUR_S, DAY_S = 3600, 86400


class Day(NamedTuple):
    """``count`` each second; ``limit``; ``onset_s``: when what fills it (if it does) began, 0 for the day itself."""

    kind: str
    count: Series
    limit: int
    onset_s: int


def half_open(chance: np.random.Generator, count: int) -> Rates:
    """A SYN nobody answers: nf_conntrack_tcp_timeout_syn_sent."""
    return np.full(count, 120.0) + chance.random(count)


def web(chance: np.random.Generator, count: int) -> Rates:
    """A connection with its keep-alive, then 120 s of TIME_WAIT."""
    return chance.exponential(20.0, count) + 120.0


def names(_: np.random.Generator, count: int) -> Rates:
    """One question, one answer: nf_conntrack_udp_timeout."""
    return np.full(count, 30.0)


def idle(chance: np.random.Generator, count: int) -> Rates:
    """Long sessions, some of hours."""
    return np.exp(chance.normal(np.log(600.0), 1.2, count)) + 120.0


def lost(_: np.random.Generator, count: int) -> Rates:
    """Established and forgotten: five days."""
    return np.full(count, 432_000.0)


def counted(chance: np.random.Generator, sources: list[tuple[Rates, Lives]], burst: float = 1.0) -> Series:
    """Entries at the end of each second. ``burst``: how many come together, on average."""
    seconds = len(sources[0][0])
    passes = np.cumsum(chance.uniform(2.0, 40.0, seconds // 10))
    born, gone = np.zeros(seconds + 1, np.int64), np.zeros(seconds + 1, np.int64)
    for rate, lives in sources:
        wave = rate if burst <= 1 else rate * chance.gamma(1.0 / (burst - 1.0), burst - 1.0, seconds)
        births = chance.poisson(wave)
        born[:seconds] += births
        at = np.repeat(np.arange(seconds), births) + chance.random(int(births.sum()))
        end = at + lives(chance, len(at))
        place = np.searchsorted(passes, end)
        end = np.where(place < len(passes), passes[np.minimum(place, len(passes) - 1)], end)
        gone += np.bincount(np.minimum(end, seconds).astype(np.int64), minlength=seconds + 1)
    return np.cumsum(born - gone)[:seconds]


def _daily(chance: np.random.Generator, mean: float, seconds: int) -> Rates:
    """Low at night, high in the evening, no two days alike, and gusts of minutes."""
    at = np.arange(seconds) / DAY_S
    shape = 1.0 + 0.5 * np.sin(2 * np.pi * (at - 0.3 + 0.02 * chance.normal())) + 0.15 * np.sin(4 * np.pi * at)
    gusts = np.cumsum(chance.normal(0.0, 1.0, seconds // 60 + 2))
    for place in range(1, len(gusts)):
        gusts[place] = 0.97 * gusts[place - 1] + chance.normal(0.0, 0.012)
    gusts[0] = 0.0
    return mean * shape * np.exp(np.interp(np.arange(seconds), np.arange(len(gusts)) * 60.0, gusts))


def _everyday(chance: np.random.Generator, seconds: int) -> list[tuple[Rates, Lives]]:
    mean = chance.uniform(10.0, 30.0)
    return [
        (_daily(chance, mean, seconds), web),
        (_daily(chance, 0.6 * mean, seconds), names),
        (_daily(chance, 0.15 * mean, seconds), idle),
    ]


def _with(chance: np.random.Generator, seconds: int, extra: tuple[Rates, Lives] | None) -> tuple[Series, Series]:
    """The count without and with what comes on top."""
    plain = counted(chance, _everyday(chance, seconds), chance.uniform(1.0, 3.0))
    return plain, plain if extra is None else plain + counted(chance, [extra], chance.uniform(1.0, 2.0))


def diurnal(chance: np.random.Generator) -> Day:
    """Nothing but the day; the limit is somewhere about its peak."""
    plain, _ = _with(chance, DAY_S, None)
    return Day("diurnal", plain, int(plain.max() * chance.uniform(0.85, 1.4)), 0)


def flash(chance: np.random.Generator) -> Day:
    """Everybody at once, within minutes, for a while."""
    seconds, onset = 8 * HOUR_S, int(chance.uniform(3, 6) * HOUR_S)
    rise, last = chance.uniform(30, 600), chance.uniform(600, 5400)
    since = np.arange(seconds) - onset
    high = chance.uniform(60, 300)
    rate = high * np.clip(since / rise, 0, 1) * np.where(since > last, np.exp(-np.maximum(since - last, 0) / 900), 1)
    plain, whole = _with(chance, seconds, (rate, web if chance.random() < 0.5 else idle))
    limit = int(plain.max() * 1.15 + (whole - plain).max() * chance.uniform(0.2, 1.3))
    return Day("flash crowd", whole, limit, onset)


def leak(chance: np.random.Generator) -> Day:
    """A little that never goes away."""
    seconds, onset = DAY_S, int(chance.uniform(1, 8) * HOUR_S)
    rate = np.where(np.arange(seconds) > onset, chance.uniform(0.2, 2.0), 0.0)
    plain, whole = _with(chance, seconds, (rate, lost))
    return Day("leak", whole, int(plain.max() + (whole - plain)[-1] * chance.uniform(0.3, 1.2)), onset)


def flood(chance: np.random.Generator) -> Day:
    """Half-open connections or lone datagrams at a steady rate: straight up, then level after their timeout."""
    seconds, onset = 5 * HOUR_S, int(chance.uniform(1.5, 4) * HOUR_S)
    since = np.arange(seconds) - onset
    rate = np.where((since >= 0) & (since < chance.uniform(300, 3000)), chance.uniform(50, 500), 0.0)
    plain, whole = _with(chance, seconds, (rate, half_open if chance.random() < 0.6 else names))
    return Day("flood", whole, int(plain.max() * 1.1 + (whole - plain).max() * chance.uniform(0.3, 1.5)), onset)


def steady(chance: np.random.Generator) -> Day:
    """A new load that stays: rises as 1 - exp(-t/lifetime) to a level above or below the limit."""
    seconds, onset = 8 * HOUR_S, int(chance.uniform(2, 4) * HOUR_S)
    life = np.exp(chance.uniform(np.log(120), np.log(3600)))
    rate = np.where(np.arange(seconds) >= onset, chance.uniform(5, 60), 0.0)

    def lives(by: np.random.Generator, count: int) -> Rates:
        return by.exponential(life, count)

    plain, whole = _with(chance, seconds, (rate, lives))
    return Day("new load", whole, int(plain.max() * 1.1 + (whole - plain).max() * chance.uniform(0.4, 1.5)), onset)


# What tracking itself (the twin, Linux 6.18, with its collector) makes of packets; what fills it begins at that second.
TRAFFIC = (
    (("http:rate=50,keepalive=5s", "dns:rate=80", "synflood:rate=250,start=1200s,answered=0"), 1200),
    (("http:rate=50,keepalive=5s", "dns:rate=80", "udpflood:rate=400,start=1200s"), 1200),
    (("http:rate=30,keepalive=5s", "http:rate=120,start=1500s,keepalive=20s"), 1500),
    (("dns:rate=150", "idle:count=9000,ramp=2400s,start=600s"), 600),
    (("http:rate=90,arrival=diurnal,period=3000s", "dns:rate=60,arrival=diurnal,period=3000s"), 0),
)


def of_twin(specs: tuple[str, ...], onset_s: int, chance: np.random.Generator) -> Day:
    """Fifty minutes of packets through the twin, without a limit; that asked about lies below or above the peak."""
    from tablefull.live.replay import Setting, of_workload, replay
    from tablefull.twin.workload import Workload
    from tablefull.twin.workload_spec import parse

    seed = int(chance.integers(1 << 30))
    traffic = Workload([parse(spec) for spec in specs], seed=seed, duration_s=3000.0)
    unlimited = Setting("no limit", "6.18", {"nf_conntrack_max": "0"})
    found = replay(of_workload(traffic), [unlimited], seed=seed, interval_ns=1_000_000_000, span_ns=traffic.end_ns)
    count = np.array([sample.entries for sample in found.outcomes[0].samples])
    before = int(count[200:onset_s].max()) if onset_s else int(count[200:1500].max())
    limit = before * 1.05 + (int(count.max()) - before) * chance.uniform(0.3, 1.4)
    return Day("packets, twin", count, int(limit), onset_s)


def recorded(path: Path) -> Day:
    """What benchmarks/record_tables.py writes: ``limit,onset_s``, then ``second,count`` lines; between them by
    interpolation.
    """
    head, *lines = path.read_text(encoding="ascii").split()
    limit, _, onset_s = head.partition(",")
    rows = np.array([[float(word) for word in line.split(",")] for line in lines])
    seconds = np.arange(rows[0, 0], rows[-1, 0])
    count = np.interp(seconds, rows[:, 0], rows[:, 1]).astype(np.int64)
    return Day(f"recorded, {path.stem}", count, int(limit), int(onset_s or 0))


KINDS = (diurnal, flash, leak, flood, steady)
