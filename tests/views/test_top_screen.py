"""What each part shows, put together by hand; never wider than there is room."""

from pathlib import Path

import pytest
from tests.views.top_gauge import StillGauge, entry, reading

from tablefull.live.kmsg_tail import KernelLine
from tablefull.live.table import composed
from tablefull.views import top_screen
from tablefull.views.terminal import columns
from tablefull.views.top_chart import ASCII, BLOCKS, Line
from tablefull.watch.judge import Answer, Cause, Judged
from tablefull.wire.dimensions import named


def plain(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def words(items: list[top_screen.Item]) -> str:
    return "".join(text for item in items for text, _ in item.pieces)


def test_a_look_that_does_not_come_back_is_told(tmp_path: Path) -> None:
    gauge = StillGauge(tmp_path)
    assert top_screen.stale_s(gauge) == 0.0
    gauge.beat_with(gauge.now_s() - 60.0, 5)
    assert 59 < top_screen.stale_s(gauge) < 90
    assert "NO LOOK FOR" in plain(top_screen.head(gauge, 80, BLOCKS))[0]


def test_paused_is_a_word(tmp_path: Path) -> None:
    gauge = StillGauge(tmp_path)
    gauge.paused = True
    assert "PAUSED" in plain(top_screen.head(gauge, 80, BLOCKS))[0]


@pytest.mark.parametrize("width", [80, 140])
def test_the_bars_fit(tmp_path: Path, width: int) -> None:
    gauge = StillGauge(tmp_path)
    cause = Cause("table-undersized", 0.9, "web1", "why")
    gauge.judged = Judged(headline="x", full="yes", severity="outage", causes=(cause,) * 12)
    gauge.lines.extend([KernelLine("a", None, True)] * 500)
    for name in top_screen.PANES:
        assert columns(words(top_screen.tabs(gauge, name))) <= width
        for filtered in (True, False):
            assert columns(words(top_screen.keys(name, True, filtered, width))) <= width
    assert "(12)" in words(top_screen.tabs(gauge, "made"))
    assert "500 new" in words(top_screen.tabs(gauge, "made"))
    assert columns(words(top_screen.said("wrote " + "x" * 300, width))) <= width


def test_help_and_quit_are_always_among_the_keys() -> None:
    for width in (40, 80, 140):
        actions = [item.action for item in top_screen.keys("made", False, True, width)]
        assert actions[:2] == ["help", "leave"]


def test_made_of_says_what_is_filtered(tmp_path: Path) -> None:
    gauge = StillGauge(tmp_path)
    rows = [entry(1, 443), entry(2, 80), entry(2, 80, sport=5)]
    gauge.reading = reading(rows)
    shown = composed(rows[1:], None, (named("dport"),), None)
    told = top_screen.Chosen("dport", "dport=80")
    lines, title, note, count = top_screen.made(gauge, gauge.reading, shown, shown.made[0], told, 80, ASCII)
    assert plain(lines)[0].split()[0] == "tcp/80"
    assert title == "by dport where dport=80"
    assert note == "2 of 3 match"
    assert count == 1


def test_how_writing_went() -> None:
    assert top_screen.wrote(Answer(wrote="/tmp/x.tar.gz", wrote_bytes=2048)).startswith(
        "wrote x.tar.gz (2 KiB) in /tmp;"
    )
    assert top_screen.wrote(Answer(failed="no space left\x1b[2J")) == "no bundle was written: no space left\\x1b[2J"
    assert top_screen.wrote(None) == "no bundle was written: no answer"


@pytest.mark.parametrize("size", [(79, 24), (80, 10), (20, 5), (1, 1)])
def test_too_small_says_what_is_wanted(tmp_path: Path, size: tuple[int, int]) -> None:
    gauge = StillGauge(tmp_path)
    gauge.beat_with(1.0, 950)
    text = " ".join(plain(top_screen.tiny(gauge, size, (80, 24), BLOCKS)))
    assert "80x24" in text.replace(" ", "")
    if size[1] >= 10:
        assert "ALMOST FULL" in text
