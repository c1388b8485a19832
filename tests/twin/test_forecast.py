"""Futures that are known beforehand: fills of a given rate and lifetime, worked out by hand."""

from math import exp, inf, log, sqrt
from random import Random

import pytest

from tablefull.twin.forecast import Sample, forecast, thinned


def filling(rate: float, lifetime_s: float, start: float, seconds: int, step_s: int = 10) -> list[Sample]:
    """d n/dt = rate - n / lifetime from ``start``, its solution in closed form."""
    level = rate * lifetime_s
    return [Sample(t, round(level + (start - level) * exp(-t / lifetime_s))) for t in range(0, seconds + 1, step_s)]


def until(rate: float, lifetime_s: float, start: float, limit: int, passed_s: float) -> float:
    level = rate * lifetime_s
    return lifetime_s * log((level - start) / (level - limit)) - passed_s


def poisson(chance: Random, mean: float) -> int:
    return max(round(chance.gauss(mean, sqrt(mean))), 0)


def lived(chance: Random, rate: float, lifetime_s: float, start: int, seconds: int) -> list[int]:
    """A count each second: births at a rate, each entry ends with the same chance in every second."""
    counts, count = [start], start
    for _ in range(seconds):
        count += poisson(chance, rate) - poisson(chance, count * (1 - exp(-1 / lifetime_s)))
        counts.append(count)
    return counts


def test_nine_intervals_in_ten_hold_what_comes() -> None:
    """Fills of random rates and lifetimes, with the noise of births and deaths; each asked at a random moment."""
    held = asked = 0
    for seed in range(60):
        chance = Random(seed)
        lifetime_s, rate = exp(chance.uniform(log(60), log(3600))), chance.uniform(20, 500)
        limit = int(rate * lifetime_s * chance.uniform(0.5, 0.9))
        counts = lived(chance, rate, lifetime_s, limit // 5, int(4 * lifetime_s))
        full = next((at for at, count in enumerate(counts) if count >= limit), len(counts))
        now = int(full * chance.uniform(0.2, 0.9))
        if full == len(counts) or now < 60:
            continue
        found = forecast([Sample(at, counts[at]) for at in range(now % 10, now + 1, 10)], limit)
        asked += 1
        low, high = found.low_s or inf, found.high_s or inf
        held += low <= full - now <= high
    assert asked > 40
    # Of 50 at 90 %: 40 or fewer happen by chance once in fifty.
    assert held / asked > 0.8


@pytest.mark.parametrize(("rate", "lifetime_s", "limit"), [(300, 300, 65536), (1000, 120, 100_000), (100, 900, 65536)])
def test_a_fill_that_bends_is_met_where_it_bends_to(rate: float, lifetime_s: float, limit: int) -> None:
    samples = filling(rate, lifetime_s, limit / 10, int(lifetime_s / 2))
    found = forecast(samples, limit)
    truth = until(rate, lifetime_s, limit / 10, limit, int(samples[-1].time_s))
    straight = (limit - samples[-1].count) / (rate - samples[-1].count / lifetime_s)
    assert found.kind == "fills"
    assert found.median_s == pytest.approx(truth, rel=0.35)
    assert abs(found.median_s - truth) < abs(straight - truth)


def test_a_fill_that_levels_off_below_the_limit_never_fills() -> None:
    samples = filling(100, 300, 3000, 600)
    straight = (samples[-1].count - samples[-7].count) / 60
    assert straight > 0, "a straight line would meet any limit"
    found = forecast(samples, 65536, 6 * 3600)
    assert found.kind == "levels"
    assert found.median_s is None
    assert found.level == pytest.approx(30_000, rel=0.1)


def test_a_straight_fill_is_a_straight_line() -> None:
    found = forecast([Sample(t, 10_000 + 7 * t) for t in range(0, 3600, 10)], 65536)
    assert found.kind == "fills"
    assert found.median_s == pytest.approx((65536 - 10_000) / 7 - 3590, rel=0.1)


def test_no_limit_no_sample_too_few_samples_and_full() -> None:
    samples = filling(100, 300, 3000, 600)
    assert forecast(samples, 0).kind == "levels"
    assert forecast(samples, None).kind == "unknown"
    assert forecast([], 1000).kind == "unknown"
    assert forecast(samples[:3], 65536).kind == "unknown"
    assert forecast(samples[:3], samples[2].count).median_s == 0


def test_the_same_samples_give_the_same_answer() -> None:
    samples = filling(300, 300, 6000, 200)
    assert forecast(samples, 65536) == forecast(samples, 65536)


def test_what_lies_before_a_new_beginning_is_forgotten() -> None:
    old = [Sample(t, 50_000) for t in range(0, 1000, 10)]
    new = [Sample(1000 + t, 100 + t, joined=t > 0) for t in range(0, 100, 10)]
    assert thinned(old + new) == new
