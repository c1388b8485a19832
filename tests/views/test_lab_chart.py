"""The chart of a scene made by hand: its room, its limits, its gaps."""

import pytest
from tests.lab.played_scene import played

from tablefull.lab.course import Look
from tablefull.views.lab_chart import LABEL, bar, blocks_for, chart
from tablefull.views.replay_chart import ASCII, BLOCKS


def rows(width: int = 80, **changes: object) -> list[str]:
    return [line for line, _ in chart(played(**changes), width)]


@pytest.mark.parametrize("width", [40, 80, 140])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    bands = [line for line in rows(width) if "|" in line or "+" in line]
    assert bands
    assert max(map(len, bands)) <= width


def test_the_room_fills_between_the_two_marks() -> None:
    """Empty until 2 s of 10, full from 4 s on: at 68 columns from the 28th column."""
    lines = rows(80)
    top, bottom = lines[1], lines[5]
    assert top.startswith(f"{'1,000':>{LABEL}} |")
    assert bottom.startswith(f"{'200':>{LABEL}} |")
    cells = top[LABEL + 2 :]
    assert cells[:25].strip() == ""
    assert set(cells[28:]) == {"█"}


def test_half_of_the_answers_are_missing_while_it_is_full() -> None:
    lines = rows(80)
    band = [line[LABEL + 2 :].ljust(68) for line in lines[7:12]]
    at = int(5.5 / 10 * 68)
    assert band[4][at] == "█"
    assert band[0][at] == " "
    assert all(line[10] == "█" and line[60] == "█" for line in band)


def test_acts_are_numbered_where_they_begin() -> None:
    line = next(line for line in rows(80) if line.strip().startswith("1") and "6" in line and "|" not in line)
    cells = line[LABEL + 2 :]
    assert [cells.index(str(number)) for number in range(1, 7)] == [0, 13, 27, 40, 44, 47]


def test_nothing_seen_is_no_chart() -> None:
    assert chart(played(looks=()), 80) == []


def test_a_stretch_in_which_nobody_asked_is_blank() -> None:
    lines = rows(80, requests=())
    assert all(line[LABEL + 2 :].strip() == "" for line in lines[7:12])


@pytest.mark.parametrize(
    ("encoding", "blocks"), [("utf-8", BLOCKS), ("ascii", ASCII), (None, ASCII), ("latin-1", ASCII)]
)
def test_blocks_only_where_they_can_be_shown(encoding: str | None, blocks: str) -> None:
    assert blocks_for(encoding) == blocks


@pytest.mark.parametrize(
    ("count", "words"),
    [(200, "          "), (600, "█████     "), (1000, "██████████"), (1100, "██████████"), (None, "?         ")],
)
def test_the_bar(count: int | None, words: str) -> None:
    assert bar(Look(0.0, count, 1000, 0, 0), 200, 1000, 10, BLOCKS) == words
