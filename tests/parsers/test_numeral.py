"""Numbers as people and tools write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.parsers.numeral import decimal, size_bytes, whole


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("4096", 4096),
        ("1,548,576", 1548576),
        ("1.548.576", 1548576),
        ("1'548'576", 1548576),
        ("1,5", None),
        ("", None),
        ("²", None),
        ("-1", None),
        ("12k", None),
        ("1_000", None),
        ("9" * 5000, None),
    ],
)
def test_whole(text, number):
    assert whole(text) == number


@pytest.mark.parametrize(
    ("text", "unit", "size"),
    [
        ("0B", 1, 0),
        ("23Gi", 1, 23 << 30),
        ("512M", 1, 512 << 20),
        ("7,5G", 1, 15 << 29),
        ("0.25K", 1, 256),
        ("8174456k", 1, 8174456 << 10),
        ("12", 1024, 12288),
        ("x", 1, None),
        ("12Q", 1, None),
        ("", 1, None),
        ("G", 1, None),
    ],
)
def test_size_bytes(text, unit, size):
    assert size_bytes(text, unit) == size


@given(st.text(max_size=40))
def test_any_text_is_answered(text):
    for read in (whole, decimal, size_bytes):
        answer = read(text)
        assert answer is None or answer >= 0


@given(st.integers(min_value=0, max_value=10**18))
def test_grouped_digits_are_the_number(number):
    assert whole(f"{number:,}") == whole(str(number)) == number
