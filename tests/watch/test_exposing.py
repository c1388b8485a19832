"""What is looked at when, what is too old, and that one failed look is no end: with a clock that is set by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.live.test_export_facts import host
from tests.live.test_export_spaces import STAT, process

from tablefull.facts.origin import Hole
from tablefull.live.proc import Proc
from tablefull.watch import exposing
from tablefull.watch.exposing import Exposing, Wanted
from tablefull.wire.dimensions import named


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    host(tmp_path, count=15, max=100, buckets=64)
    process(tmp_path, "self")
    process(tmp_path, "30")
    return tmp_path


@pytest.fixture(autouse=True)
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Nobody asks this machine's kernel: what was to be sampled is noted."""
    asked: list[str] = []

    def compose(proc: Proc, key: str, *_: object) -> tuple[list[object], list[Hole]]:
        asked.append(key)
        return [], [Hole(f"composition of {key}", "it is a test")]

    monkeypatch.setattr(exposing, "compose", compose)
    return asked


WANTED = Wanted(dimensions=(named("state"),))


def test_before_the_first_look(root: Path, clock: Clock) -> None:
    exposed = Exposing(Proc(root), WANTED, clock).exposed()
    assert exposed.table is not None
    assert exposed.table.count == 15
    assert exposed.counts is None
    assert {(hole.what, hole.why) for hole in exposed.holes} == {
        (name, "it was not looked for yet") for name in ("netns", "composition", "forecast")
    }


def test_each_at_its_own_pace(root: Path, clock: Clock, sampled: list[str]) -> None:
    one = Exposing(Proc(root), WANTED, clock)
    one.look()
    looked = {"netns": 1, "composition": 1}
    for _ in range(120):
        clock.now += 1
        before = one._counts
        one.look()
        looked["netns"] += one._counts is not before
    assert len(sampled) == 2 * 3  # two namespaces, at 0, 60 and 120 s
    assert 20 <= looked["netns"] <= 25  # every five seconds, or more seldom where a look takes long
    exposed = one.exposed()
    assert exposed.counts is not None
    assert exposed.counts.limit == 100
    assert [one.count for one in exposed.counts.shown] == [15, 15]
    assert exposed.ages_s["netns"] <= 5


def test_the_count_is_of_this_moment_the_rest_is_not(root: Path, clock: Clock) -> None:
    one = Exposing(Proc(root), WANTED, clock)
    one.look()
    host(root, None, count=99)
    exposed = one.exposed()
    assert exposed.table is not None
    assert exposed.counts is not None
    assert (exposed.table.count, exposed.counts.shown[0].count) == (99, 15)


def test_what_is_too_old_is_absent(root: Path, clock: Clock) -> None:
    one = Exposing(Proc(root), WANTED, clock)
    one.look()
    clock.now += 10_000
    exposed = one.exposed()
    assert (exposed.counts, exposed.composition, exposed.forecasts) == (None, [], {})
    assert {hole.what for hole in exposed.holes if "too long ago" in hole.why} == {"netns", "composition", "forecast"}
    assert exposed.ages_s["netns"] == 10_000


def test_a_clock_that_went_back(root: Path, clock: Clock) -> None:
    one = Exposing(Proc(root), WANTED, clock)
    one.look()
    clock.now -= 500
    assert one.exposed().ages_s["netns"] == 0


def test_a_look_that_fails_is_a_hole(root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("x" * 1000)

    one = Exposing(Proc(root), WANTED, clock)
    monkeypatch.setattr(exposing, "compose", broken)
    one.look()
    exposed = one.exposed()
    assert exposed.counts is not None
    assert Hole("composition", "looking for it failed: RuntimeError") in exposed.holes


def test_a_dear_look_is_taken_less_often(root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter(range(0, 1000, 2))  # every look takes two seconds of CPU
    monkeypatch.setattr(exposing.time, "thread_time", lambda: float(next(spent)))
    one = Exposing(Proc(root), WANTED, clock)
    one.look()
    assert one.due_s() - clock.now == pytest.approx(2 / 0.005)
    assert one.exposed().cpu_s == {"netns": 2, "composition": 2, "forecast": 2}
    clock.now += 1000
    assert one.exposed().counts is not None  # and is not too old before it is due again


def test_only_what_is_wanted(root: Path, clock: Clock, sampled: list[str]) -> None:
    one = Exposing(Proc(root), Wanted(parts=frozenset(("composition",)), dimensions=(named("state"),)), clock)
    one.look()
    exposed = one.exposed()
    assert (exposed.table, exposed.counts) == (None, None)
    assert set(exposed.ages_s) == {"composition"}
    assert len(sampled) == 2  # the namespaces are looked for, as they are needed, and not shown
    only = Exposing(Proc(root), Wanted(parts=frozenset(("table",))), clock)
    only.start()
    only.stop()
    assert only.exposed().ages_s == {}


def grow(root: Path, clock: Clock, one: Exposing, seconds: int, count: Callable[[int], int]) -> None:
    for step in range(0, seconds, 5):
        entries = f"{count(step):08x}".encode()
        # In place: another inode would be another namespace.
        (root / "proc/30/net/stat/nf_conntrack").write_bytes(STAT.replace(b"0000000f", entries))
        one.look()
        clock.now += 5


def test_when_it_will_be_full(root: Path, clock: Clock) -> None:
    """50 entries more every 5 s, of 20,000: ten a second, which a straight line ends 1,400 s after the last look."""
    host(root, None, max=20_000)
    one = Exposing(Proc(root), WANTED, clock)
    one.look()
    early = {hole.what: hole.why for hole in one.exposed().holes}
    assert early["time to full of own"] == "too few samples so far"
    grow(root, clock, one, 600, lambda step: step * 10)
    forecasts = one.exposed().forecasts
    other = next(told for key, told in forecasts.items() if key != "own")
    assert other.kind == "fills"
    assert other.low_s is not None
    assert 600 < other.low_s < 2000
    assert one.exposed().forecasts["own"].kind == "levels"


def test_what_is_remembered_is_bounded(root: Path, clock: Clock) -> None:
    one = Exposing(Proc(root), Wanted(parts=frozenset(("netns",))), clock)
    grow(root, clock, one, 5000, lambda step: step)
    assert all(len(samples) <= exposing.MOST_SAMPLES for samples in one._past.values())
    (root / "proc/30/net/stat/nf_conntrack").unlink()
    clock.now += 100
    one.look()
    assert {key for key, _ in one._past} == {"own"}  # of what is gone nothing is kept
