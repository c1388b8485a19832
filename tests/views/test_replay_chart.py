"""The chart of occupancy: no peak is lost, the limit stands where it belongs, and no line is too wide."""

from hypothesis import given
from hypothesis import strategies as st

from tablefull.live.replay import Outcome, Sample, Setting
from tablefull.views.replay_chart import ASCII, ROWS, chart, columns, figure

NONE = (0,) * 6


def outcome(highs: list[int], limit: int | None = 0, peak: int | None = None) -> Outcome:
    samples = [Sample(at, high, high, NONE, (0, 0, 0, 0)) for at, high in enumerate(highs)]
    return Outcome(Setting("x"), limit, peak=max(highs, default=0) if peak is None else peak, samples=samples)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=300), st.integers(10, 120))
def test_the_highest_moment_is_in_a_column(highs: list[int], width: int) -> None:
    shown = columns(outcome(highs).samples, 0, len(highs) - 1, width)
    assert len(shown) == width
    assert max(shown) == max(highs)


@given(st.lists(st.integers(0, 10**6), max_size=100), st.sampled_from([None, 0, 1000]), st.integers(20, 200))
def test_no_line_is_wider_than_the_terminal(highs: list[int], limit: int | None, width: int) -> None:
    lines = chart(outcome(highs, limit), 0, 10**9, width)
    assert all(len(line) <= max(width, 22) for line in lines)
    assert bool(lines) == (max(highs, default=0) > 0)


def test_by_hand() -> None:
    """Eight rows; a full column, a half one and an empty one. The limit is the top of the scale."""
    lines = chart(outcome([8, 4, 0], 8), 0, 3, 22, ASCII)
    bars = [line.split("|", 1)[1].ljust(10) for line in lines[:ROWS]]
    assert [row[0] for row in bars] == [ASCII[8]] * ROWS
    middle = [row[4] for row in bars]
    assert middle[4:] == [ASCII[8]] * 4
    assert {row[9] for row in bars[1:]} == {" "}
    assert lines[0].startswith("     max 8 |")
    assert lines[-1].rstrip().endswith("3e-09 s")


def test_a_limit_far_above_is_not_drawn() -> None:
    assert not any("max" in line for line in chart(outcome([10, 20], 10**6), 0, 2, 60))
    assert any("max 25" in line for line in chart(outcome([10, 20], 25), 0, 2, 60))


def test_figures() -> None:
    assert [figure(number) for number in (0, 950, 9999, 12400, 1548576)] == ["0", "950", "9999", "12.4k", "1.549M"]


def test_a_stretch_without_a_sample_keeps_what_was_there() -> None:
    """Samples at 0, 5 and 9 of ten: five columns of the first, four of the second, one of the last."""
    samples = [Sample(at, high, high, NONE, (0, 0, 0, 0)) for at, high in ((0, 3), (5, 7), (9, 1))]
    assert columns(samples, 0, 10, 10) == [3, 3, 3, 3, 3, 7, 7, 7, 7, 1]


def test_the_line_of_the_limit_shows_only_where_no_bar_is() -> None:
    top = chart(outcome([10, 5], 10), 0, 2, 22, ASCII)[0].split("|", 1)[1].ljust(10)
    assert (top[0], top[9]) == (ASCII[8], "-")


def test_a_limit_that_is_passed_by_nobody_is_the_top_of_the_scale() -> None:
    """Half of the limit: four of eight rows are full, and the label of the topmost is the limit's."""
    lines = chart(outcome([50], 100), 0, 1, 30, ASCII)
    assert [ASCII[8] in line.split("|", 1)[1] for line in lines[:ROWS]] == [False] * 4 + [True] * 4
    assert lines[0].split("|")[0].strip() == "max 100"
    assert lines[ROWS // 2].split("|")[0].strip() == "50"
