"""One pair of lifetime and steadiness, and all of them together."""

from math import exp

import pytest

from tablefull.twin.forecast_filter import Ensemble, Filter


def test_a_lifetime_keeps_what_an_exponential_keeps() -> None:
    one = Filter(300.0, 900.0, 1000, 0.0, 10.0, 1.0)
    kept, made, _, _ = one.over(30.0)
    assert kept == pytest.approx(exp(-0.1))
    assert made == pytest.approx(300 * (1 - exp(-0.1)))


def test_the_pair_that_foretells_best_weighs_most() -> None:
    ensemble = Ensemble(0, 0.0, 10.0, 1.0)
    for at in range(10, 1200, 10):
        ensemble.step(10.0, round(102_000 * (1 - exp(-at / 340))))
    best = max(ensemble.filters, key=lambda one: one.weight)
    assert best.lifetime_s == 340.0
    assert best.rate == pytest.approx(300, rel=0.02)
    assert sum(one.weight for one in ensemble.filters) == pytest.approx(1)


def test_a_flood_is_believed_at_once() -> None:
    ensemble = Ensemble(10_000, 0.0, 10.0, 50.0)
    for at in range(1, 100):
        ensemble.step(10.0, 10_000 + 20 * (at % 3))
    for at in range(1, 4):
        ensemble.step(10.0, 10_000 + 20_000 * at)
    lasting = [one for one in ensemble.filters if one.lifetime_s == 1e9]
    assert all(one.rate == pytest.approx(2000, rel=0.05) for one in lasting)
    assert all(one.burst_s == pytest.approx(990.0) for one in lasting)


def test_births_that_are_told_are_taken() -> None:
    ensemble = Ensemble(30_000, 0.0, 10.0, 100.0)
    for _ in range(60):
        ensemble.step(10.0, 30_000, births_per_s=100.0)
    best = max(ensemble.filters, key=lambda one: one.weight)
    assert best.lifetime_s == pytest.approx(300, rel=0.2)
