"""Eviction and expiry, one case an era."""

from math import exp

import pytest

from tablefull.kernel import eviction
from tablefull.kernel.identity import parse_release


@pytest.mark.parametrize(
    ("release", "buckets", "whole"),
    [
        ("2.6.18-194.el5", 1, False),
        ("3.2.0-24-generic", None, False),
        ("3.10.0-1160.el7.x86_64", None, False),
        ("4.4.217", None, False),
        ("4.7.4", 1, False),
        ("4.9.115", 1, True),
        ("4.16.13", 1, True),
        ("4.14.177", 8, True),
        ("4.18.0-147.el8.x86_64", 8, True),
        ("6.18.2", 8, True),
    ],
)
def test_early_drop(release: str, buckets: int | None, whole: bool) -> None:
    found = eviction.early_drop(parse_release(release)).value
    assert found is not None
    assert (found.buckets, found.whole_bucket) == (buckets, whole)
    assert "ASSURED" in found.sentence


def test_the_fault_is_named_where_it_is() -> None:
    faulty = eviction.early_drop(parse_release("4.9.115")).value
    mended = eviction.early_drop(parse_release("4.19.78")).value
    assert faulty is not None
    assert mended is not None
    assert "fault" in faulty.sentence
    assert "fault" not in mended.sentence


@pytest.mark.parametrize(
    ("release", "lag_s"),
    [
        ("4.8.15", 0.0),
        ("3.10.0-1160.el7.x86_64", 0.0),
        ("4.9.115", 16.0),
        ("5.14.0-162.12.1.el9_1", 16.0),
        ("5.10.89", 120.0),
        ("5.15.16", 120.0),
        ("5.17.1", 120.0),
        ("5.15.135", 60.0),
        ("5.19.0", 60.0),
        ("6.18.44", 60.0),
    ],
)
def test_how_far_the_count_lags(release: str, lag_s: float) -> None:
    assert eviction.count_lag_s(parse_release(release)).value == lag_s


def test_without_a_version() -> None:
    assert eviction.early_drop(None).basis == "unknown"
    assert eviction.collector(None).basis == "unknown"
    assert eviction.count_lag_s(None).basis == "unknown"


def test_closing_flows_from_4_12() -> None:
    assert eviction.closing_evicted(parse_release("4.10.0")).value is False
    assert eviction.closing_evicted(parse_release("4.12.0")).value is True
    assert eviction.worker_evicts_above(262144) == 2621 * 95
    assert eviction.worker_evicts_above(99) is None


def test_chance_that_nothing_can_be_evicted() -> None:
    # 4 % of as many buckets as max: exp(-8 x 2 x 0.04) = exp(-0.64), about a half.
    kernel = parse_release("6.18.2")
    assert eviction.eviction_fails(10486, 262144, kernel) == pytest.approx(exp(-0.64), rel=1e-3)
    assert eviction.eviction_fails(10486, 262144, parse_release("4.9.115")) == pytest.approx(exp(-0.08), rel=1e-3)
    assert eviction.eviction_fails(0, 262144, kernel) == 1.0
    assert eviction.eviction_fails(5, 0, kernel) == 1.0
