"""What a live view looks at: each part by itself, at its pace, and nothing left behind."""

import threading
import time
from pathlib import Path

import pytest
from tests.realkernel.table_space import table_space

from tablefull.live.proc import Proc
from tablefull.watch.gauge import Gauge, Pace, _lost, bundle_path
from tablefull.watch.loop import Place


def test_a_dear_look_is_taken_less_often() -> None:
    assert Pace(5.0, 0.01).pause_s(0.001) == 5.0
    assert Pace(5.0, 0.01).pause_s(0.2) == pytest.approx(20.0)


def test_losses_are_told_or_not_known() -> None:
    assert _lost({"drop": 5, "chain_toolong": 1}, {"drop": 9, "chain_toolong": 3}, 2.0) == 3.0
    assert _lost(None, {"drop": 9}, 2.0) is None
    assert _lost({"drop": 9}, {"drop": 5}, 2.0) is None
    assert _lost({"drop": 1}, {"drop": 5}, 0.0) is None


def test_a_bundle_goes_where_it_can_be_written(tmp_path: Path) -> None:
    path = bundle_path("web\x1b[2J/1", 0.0, str(tmp_path))
    assert path.startswith(str(tmp_path / "tablefull-"))
    assert "\x1b" not in path
    assert path.endswith(".tar.gz")


@pytest.mark.realkernel
def test_parts_of_a_real_table() -> None:
    told: list[str] = []
    with table_space() as space:
        space.fill(300)
        gauge = Gauge(Proc(), Place(space.name, space.path), told.append, judging=False)
        gauge.beat()
        gauge.compose()
        gauge.wants_spaces = True
        gauge.look_around()
        assert gauge.frame is not None
        assert gauge.frame.count == 300
        assert gauge.reading is not None
        assert gauge.reading.read == 300
        assert any(seen.counted.count == 300 for seen in gauge.spaces)
        gauge.move(Place("this", None))
        assert gauge.frame is None
        gauge.stop()
    assert {"frame", "composition", "spaces"} <= set(told)


@pytest.mark.realkernel
def test_threads_look_and_end() -> None:
    seen = threading.Event()
    gauge = Gauge(Proc(), Place("this", None), lambda part: seen.set() if part == "frame" else None, 0.1, judging=False)
    before = threading.active_count()
    gauge.start()
    assert seen.wait(10)
    gauge.stop()
    until = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= before
