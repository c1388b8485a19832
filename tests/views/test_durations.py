"""Times in words, by hand."""

import pytest

from tablefull.errors import UsageError
from tablefull.views.durations import parsed, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("10s", 10), ("5m", 300), ("2h", 7200), ("1d", 86400), ("7", 7), ("1.5h", 5400), ("1e3ms", 1)],
)
def test_units(text: str, expected: float) -> None:
    assert seconds(text, "--x") == pytest.approx(expected)


def test_the_longest_unit_is_meant() -> None:
    assert parsed("5min", {"m": 60.0, "min": 61.0, "n": 7.0}) == 305.0


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "a time is wanted"), ("often", "a time"), ("5min", "a time"), ("0", "more than"), ("-1s", "more than"),
     ("nan", "more than"), ("1e9", "less than"), ("inf", "less than")],
)  # fmt: skip
def test_what_is_no_time(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        seconds(text, "--x")
