"""Limits from needs, by hand; more growth or a higher quantile never gives a smaller limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tablefull.twin.planning import Little, dispersion, headroom, is_rising


def test_headroom_by_hand() -> None:
    # 21550 x 2 = 43100; the 0.999 quantile of a normal is 3.0902; 3.0902 x sqrt(43100) = 641.5; 43742 -> 43 x 1024
    found = headroom(21550, 2, 0.999, 1.0)
    assert (found.burst, found.limit) == (642, 44032)
    assert headroom(21550, 2, 0.5, 1.0).burst == 0


def test_nothing_needs_the_least_limit() -> None:
    assert headroom(0, 2, 0.999, None).limit == 1024


def test_dispersion_by_hand() -> None:
    assert dispersion([3.0] * 10) == 0
    # neighbours differ by 2, whose square is 4: half of it over a mean of 1
    assert dispersion([0, 2] * 8) == pytest.approx(2.0)
    assert dispersion([1.0] * 7) is None
    assert dispersion([0.0] * 20) is None


def test_the_law() -> None:
    law = Little(begun=600, window_s=60, rate_per_s=10, lifetime_s=125, mean=1000, lives=600, open_lives=0)
    assert (law.product, law.apart) == (1250, 0.25)


def test_rising() -> None:
    assert is_rising(500, 1000, 1000)
    assert not is_rising(950, 1000, 1000)
    assert not is_rising(500, 600, 1000)
    assert not is_rising(0, 0, 0)


@given(some.integers(0, 1 << 24), some.floats(1, 50), some.floats(1, 50), some.floats(0.5, 0.9999), some.floats(0, 500))
def test_more_growth_never_a_smaller_limit(need: int, one: float, other: float, quantile: float, spread: float) -> None:
    low, high = sorted((one, other))
    small, large = (headroom(need, growth, quantile, spread) for growth in (low, high))
    assert need * low <= small.limit <= large.limit or small.limit == 0x7FFFFFFF
    assert headroom(need, low, 0.5, spread).limit <= small.limit
