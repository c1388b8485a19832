"""Rates, standing and the curve, by hand."""

from hypothesis import given
from hypothesis import strategies as st

from tablefull.facts.origin import Hole
from tablefull.kernel.identity import parse_release
from tablefull.live.occupancy import Occupancy
from tablefull.live.pulse import Past, Point, Pulse

KERNEL = parse_release("6.18.44")
BASE = {
    "found": 0, "invalid": 0, "insert": 0, "insert_failed": 0, "drop": 0, "early_drop": 0, "error": 0,
    "search_restart": 0, "clash_resolve": 0, "chain_toolong": 0,
}  # fmt: skip


def look(count: int | Hole = 10, *cpus: dict[str, int], limit: int | Hole = 100) -> Occupancy:
    return Occupancy(count, limit, tuple(BASE | each for each in cpus or ({},)))


def test_a_rate_a_second_and_by_cpu() -> None:
    pulse = Pulse(KERNEL)
    first = pulse.beat(100.0, look(10, {"drop": 5}, {"drop": 7}))
    assert (first.rate("drop").per_s, first.rate("drop").total, first.share) == (None, 12, 0.1)
    second = pulse.beat(102.0, look(30, {"drop": 9}, {"drop": 7}))
    drop = second.rate("drop")
    assert (drop.per_s, drop.by_cpu, drop.since, drop.total) == (2.0, (2.0, 0.0), 4, 16)
    assert second.net_per_s == 10.0
    assert second.rate("invalid").per_s == 0.0


def test_a_counter_of_32_bits_wraps() -> None:
    pulse = Pulse(KERNEL)
    pulse.beat(1.0, look(1, {"drop": 2**32 - 3}))
    assert pulse.beat(2.0, look(1, {"drop": 4})).rate("drop").per_s == 7.0


def test_not_counted_and_not_seen_are_not_nothing() -> None:
    """KERNEL.md 3.2: delete and new are dead from 4.9 on."""
    pulse = Pulse(KERNEL)
    blind = Occupancy(10, 100, Hole("counters", "no"))
    assert pulse.beat(1.0, blind).rate("drop").standing == "unseen"
    frame = pulse.beat(2.0, look(10, {"new": 0, "delete": 0}))
    assert (frame.rate("new").standing, frame.rate("new").per_s) == ("dead", None)
    assert frame.rate("drop").standing == "counted"
    gone = pulse.beat(3.0, Occupancy(Hole("count", "gone"), Hole("limit", "gone"), Hole("counters", "gone")))
    assert (gone.count, gone.limit, gone.share, gone.net_per_s, len(gone.holes)) == (None, None, None, None, 3)


def test_the_curve_shows_the_highest_and_leaves_holes() -> None:
    past = Past()
    for second, high in ((1, 5), (2, 50), (3, 7), (9, 9)):
        past.add(Point(float(second), 1.0, high, high == 50))
    columns = past.columns(10.0, 10.0, 10)
    assert [None if each is None else each.high for each in columns][:4] == [5, 5, 50, 7]
    assert columns[5] is None
    assert any(each is not None and each.lost for each in columns)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=300), st.integers(4, 40))
def test_no_peak_is_lost_when_it_grows_old(highs: list[int], most: int) -> None:
    past = Past(most)
    for second, high in enumerate(highs):
        past.add(Point(float(second), 1.0, high, False))
    assert len(past.points) <= most
    assert max(point.high for point in past.points) == max(highs)
