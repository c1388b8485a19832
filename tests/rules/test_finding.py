"""Fusing of clues: independent reasons, monotone, and never quite certain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.facts.origin import Origin
from tablefull.rules.finding import CERTAIN, Clue, finding, fuse

weights = st.floats(min_value=0.0, max_value=1.0, allow_nan=False)
clues = st.lists(st.builds(Clue, weights, st.just("a reason")), max_size=12)


def line(number: int) -> Origin:
    return Origin("-", number, f"line {number}")


def test_two_halves_leave_a_quarter_of_doubt() -> None:
    assert fuse([Clue(0.5, "a"), Clue(0.5, "b")]) == pytest.approx(0.75)


def test_three_reasons() -> None:
    # 1 - 0.4 x 0.5 x 0.9 = 0.82
    assert fuse([Clue(0.6, "a"), Clue(0.5, "b"), Clue(0.1, "c")]) == pytest.approx(0.82)


def test_no_clue_no_confidence() -> None:
    assert fuse([]) == 0.0


@given(clues)
def test_stays_between_nothing_and_certainty(some: list[Clue]) -> None:
    assert 0.0 <= fuse(some) <= CERTAIN < 1.0


@given(clues, weights)
def test_a_further_reason_never_weakens(some: list[Clue], weight: float) -> None:
    assert fuse([*some, Clue(weight, "one more")]) >= fuse(some)


@given(clues)
def test_order_does_not_matter(some: list[Clue]) -> None:
    assert fuse(some) == pytest.approx(fuse(some[::-1]))


def test_strongest_reason_is_said_first_and_each_line_once() -> None:
    made = finding(
        "table-undersized",
        "gw",
        [Clue(0.2, "weak", (line(1),)), Clue(0.7, "strong", (line(2), line(1)))],
        fixes=("raise-max",),
    )
    assert made.why == "strong; weak"
    assert [origin.line for origin in made.evidence] == [2, 1]


def test_scale_expresses_a_doubt_about_all_of_them() -> None:
    made = finding("bridge-nf", "h", [Clue(0.5, "a"), Clue(0.5, "b")], fixes=("none",), scale=0.4)
    assert made.confidence == pytest.approx(0.3)


def test_basis_is_the_weakest_of_the_strong_reasons() -> None:
    strong, supporting = Clue(0.9, "a", basis="shown"), Clue(0.1, "b", basis="unknown")
    assert finding("bridge-nf", "h", [strong, supporting], fixes=("none",)).basis == "shown"
    assert finding("bridge-nf", "h", [strong, Clue(0.8, "c", basis="version")], fixes=("none",)).basis == "version"


def test_at_most_twelve_lines_of_evidence() -> None:
    made = finding("bridge-nf", "h", [Clue(0.5, "a", tuple(line(n) for n in range(40)))], fixes=("none",))
    assert len(made.evidence) == 12
