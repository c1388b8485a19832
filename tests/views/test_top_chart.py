"""The curve: drawn by hand on paper, and compared."""

from tablefull.live.pulse import Point
from tablefull.views.top_chart import ASCII, BLOCKS, bar, chart, figure, scale, spark


def plain(lines: object) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in lines]  # type: ignore[attr-defined]


def at(high: int, lost: bool = False) -> Point:
    return Point(0.0, 1.0, high, lost)


def test_a_curve_up_to_the_limit_with_what_nobody_saw_left_blank() -> None:
    drawn = plain(chart([at(0), None, at(50), at(100, lost=True)], 100, 4, "4 s", BLOCKS))
    assert drawn[0] == "  limit │╌╌╌█"
    assert drawn[1] == "     50 │  ██"
    assert drawn[2] == "      0 └───x"
    assert drawn[3].split() == ["4", "s", "ago", "now"] or "4 s ago" in drawn[3]


def test_far_below_the_limit_the_scale_is_its_own() -> None:
    assert scale([at(7), None], 262144) == (10, False)
    assert scale([at(200_000)], 262144) == (262144, True)
    assert scale([], None) == (4, False)
    assert scale([at(300)], 200) == (300, True)  # more than the limit, after it was lowered


def test_refused_packets_are_a_letter_and_said() -> None:
    drawn = plain(chart([at(3, lost=True)] * 40, 10, 5, "1 min", ASCII))
    assert "x" * 40 in drawn[-2]
    assert "x: packets refused" in drawn[-1]
    assert all(line.isascii() for line in drawn)


def test_no_room_is_no_chart() -> None:
    assert chart([at(1)], 10, 2, "1 min", BLOCKS) == []
    assert chart([], 10, 8, "1 min", BLOCKS) == []


def test_figures_and_bars() -> None:
    assert [figure(number) for number in (0, 950, 9999, 12_400, 1_550_000)] == ["0", "950", "9999", "12.4k", "1.55M"]
    assert bar(0.5, 4, BLOCKS) == "██░░"
    assert bar(0.001, 4, ASCII) == "#..."  # little is not nothing
    assert bar(0.0, 4, ASCII) == "...."
    assert bar(7.0, 4, ASCII) == "####"


def test_by_cpu_the_largest_of_neighbours_is_shown() -> None:
    assert spark([0, 4, 8], 8, BLOCKS) == "▁▄█"
    assert spark([0, 8, 0, 0], 2, BLOCKS) == "█▁"
    assert spark([0, 0], 8, BLOCKS) == "▁▁"
    assert spark([0, 0], 8, ASCII) == ".."
    assert spark([], 8, ASCII) == ""
