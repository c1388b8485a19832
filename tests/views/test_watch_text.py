"""Lines and objects of a watch."""

import json

from tablefull.twin.forecast import Forecast
from tablefull.views.watch_text import as_json, as_line, foretold, occupied, state
from tablefull.watch.alarms import Alarm, Change
from tablefull.watch.history import Row
from tablefull.watch.loop import Note, Seen, Told


def told(**more: object) -> Forecast:
    return Forecast(**({"kind": "levels", "horizon_s": 86400.0, "why": "w", "samples": 9, "span_s": 80.0} | more))  # type: ignore[arg-type]


def seen(**more: object) -> Seen:
    return Seen(**({"space": "this one", "wall_s": 1e9, "count": 100, "limit": 200} | more))  # type: ignore[arg-type]


def test_what_fills_is_told_with_its_interval() -> None:
    fills = told(kind="fills", median_s=600.0, low_s=300.0, high_s=1200.0, chance=1.0)
    assert foretold(fills) == "full in about 10 min (5 min to 20 min, nine times in ten)"
    assert "or not at all" in foretold(told(kind="fills", median_s=600.0, low_s=300.0, chance=0.7))


def test_what_levels_off_says_where_and_what_chance_is_left() -> None:
    assert foretold(told(level=300, level_low=1, level_high=500, chance=0.0)) == (
        "does not fill at this rate, levels off near 300"
    )
    assert "(but 20 % to fill within 24 h)" in foretold(told(level=300, level_high=500, chance=0.2))


def test_a_rate_of_next_to_nothing_is_no_number() -> None:
    still = told(level=300, level_low=1, level_high=500, chance=0.0, rate_per_s=6.52e-12, lifetime_s=1e9)
    assert "what explains it best: no new entry comes\n" in state(seen(forecast=still), False, "h.db", [])
    some = told(level=300, level_low=1, level_high=500, chance=0.0, rate_per_s=2.5, lifetime_s=100.0)
    assert "2.5 new entries a second that stay about" in state(seen(forecast=some), False, "h.db", [])


def test_what_is_not_known_is_said() -> None:
    assert foretold(None) == "no forecast"
    assert "so far 1" in foretold(told(kind="unknown", why="so far 1"))
    assert "cannot be seen (gone)" in occupied(seen(count=None, why="gone"))
    assert "unknown limit" in occupied(seen(limit=None))
    assert "without a limit" in occupied(seen(limit=0))


def test_losses_stand_in_the_line() -> None:
    line = as_line(seen(rate_per_s=-2.0, moved={"drop": 3, "early_drop": 0}), several=False)
    assert "100 of 200 (50.0 %), -2.0/s, drop +3; no forecast" in line


def test_a_name_from_a_stranger_cannot_act() -> None:
    evil = seen(space="\x1b]0;owned\x07", alarms=(Alarm("full", "critical", 1.0, "\x1b[2J"),))
    change = Change("full", "raised", "critical", "\x1b[2J", 1.0)
    for line in (
        as_line(evil, True), as_line(Told(change, evil), True), as_line(Note(1.0, "\x1b[2J\nx"), True),
        state(evil, True, "\x1b", []),
    ):  # fmt: skip
        assert "\x1b" not in line
    assert as_line(Note(1.0, "a\nb"), True).count("\n") == 1


def test_objects_are_one_line_each_and_unknown_is_null() -> None:
    line = as_json(seen(count=None, limit=None, why="gone\nfor good"))
    assert line.count("\n") == 1
    found = json.loads(line)
    assert (found["type"], found["count"], found["max"], found["forecast"]) == ("sample", None, None, None)
    assert found["why_unknown"] == "gone\nfor good"
    alarm = json.loads(as_json(Told(Change("full", "raised", "critical", "why", 5.0), seen())))
    assert (alarm["type"], alarm["alarm"], alarm["event"], alarm["count"]) == ("alarm", "full", "raised", 100)
    assert json.loads(as_json(Note(2.0, "x")))["text"] == "x"


def test_the_page_says_on_what_it_stands() -> None:
    rows = [Row(space="this one", boot="b", at_s=0, wall_s=1e9 - 7200, count=1, limit=2)]
    page = state(seen(forecast=told(level=3, level_low=1, level_high=5, chance=0.0)), False, "/h.db", rows)
    assert "9 samples over 80 s" in page
    assert "1 looks kept in /h.db, the last 2 h ago" in page
    assert "no alarm is up" in page
    assert "no history yet" in state(seen(), False, "/h.db", [])
