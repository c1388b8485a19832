"""Raised at the threshold, cleared well below it, and never moved by what was not seen."""

import pytest

from tablefull.twin.forecast import Forecast
from tablefull.watch.alarms import Alarms, Change, Facts, Settings


def look(
    alarms: Alarms, at: float, count: int | None, limit: int | None = 1000, **more: object
) -> list[tuple[str, str, str]]:
    changes: list[Change] = alarms.step(Facts(time_s=at, wall_s=1e9 + at, count=count, limit=limit, **more))  # type: ignore[arg-type]
    return [(change.name, change.event, change.level) for change in changes]


def fills(median_s: float | None, high_s: float | None = None) -> Forecast:
    kind = "levels" if median_s is None else "fills"
    return Forecast(kind=kind, horizon_s=86400, why="", median_s=median_s, low_s=median_s, high_s=high_s, chance=0.6)


def test_a_count_that_swings_about_the_threshold_wakes_nobody_twice() -> None:
    alarms = Alarms(Settings())
    told = [look(alarms, at, 850 if at % 2 else 849) for at in range(1, 40)]
    assert [one for one in told if one] == [[("full", "raised", "warning")]]


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (951, []),
        (901, []),
        (900, [("full", "better", "warning")]),
        (801, [("full", "better", "warning")]),
        (800, [("full", "cleared", "critical")]),
    ],
)
def test_from_critical_down(count: int, told: list[tuple[str, str, str]]) -> None:
    alarms = Alarms(Settings())
    assert look(alarms, 1, 950) == [("full", "raised", "critical")]
    assert look(alarms, 2, count) == told


def test_worse_keeps_the_time_it_began() -> None:
    alarms = Alarms(Settings())
    look(alarms, 1, 870)
    assert look(alarms, 5, 990) == [("full", "worse", "critical")]
    assert alarms.up[0].since_s == 1e9 + 1


def test_losses_are_over_after_minutes_of_silence() -> None:
    alarms = Alarms(Settings(quiet_s=300))
    assert look(alarms, 0, 10, lost=3, evicted=0) == [("drops", "raised", "critical")]
    assert look(alarms, 299, 10, lost=0, evicted=0) == []
    assert look(alarms, 300, 10, lost=0, evicted=0) == [("drops", "cleared", "critical")]


def test_losses_that_cannot_be_seen_clear_nothing() -> None:
    alarms = Alarms(Settings(quiet_s=300))
    look(alarms, 0, 10, lost=3)
    assert look(alarms, 1000, 10, lost=None) == []
    assert [alarm.name for alarm in alarms.up] == ["drops"]


def test_one_forecast_raises_nothing_two_do_and_three_clear() -> None:
    alarms = Alarms(Settings(horizon_s=3600))
    assert look(alarms, 0, 10, forecast=fills(3000)) == []
    assert look(alarms, 10, 10, forecast=fills(2900)) == [("fills", "raised", "warning")]
    assert look(alarms, 20, 10, forecast=fills(2000, 3000)) == [("fills", "worse", "critical")]
    assert look(alarms, 30, 10, forecast=fills(5000)) == []
    assert [look(alarms, at, 10, forecast=fills(None)) for at in (40, 50)] == [[], []]
    assert look(alarms, 60, 10, forecast=fills(None)) == [("fills", "cleared", "critical")]


def test_a_forecast_that_knows_nothing_changes_nothing() -> None:
    alarms = Alarms(Settings())
    unknown = Forecast(kind="unknown", horizon_s=86400, why="too few samples")
    for at in range(10):
        assert look(alarms, at, 10, forecast=unknown) == []


def test_unseen_is_an_alarm_and_no_all_clear() -> None:
    alarms = Alarms(Settings(blind=3))
    look(alarms, 0, 999)
    assert [look(alarms, at, None) for at in (1, 2, 3)] == [[], [], [("blind", "raised", "warning")]]
    assert [alarm.name for alarm in alarms.up] == ["full", "blind"]
    assert look(alarms, 4, 999) == [("blind", "cleared", "warning")]


def test_a_limit_of_zero_is_none() -> None:
    alarms = Alarms(Settings())
    look(alarms, 0, 999)
    assert look(alarms, 1, 999, 0) == [("full", "cleared", "critical")]


def test_memory_that_is_handed_on_raises_nothing_twice() -> None:
    first = Alarms(Settings())
    look(first, 0, 960)
    assert look(Alarms(Settings(), first.memory), 5, 960) == []
