"""When the evidence was collected, by the kernel's own clock; and two numbers that are no uptime."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.facts.host import Uptime
from tablefull.parsers.block import Context, Line
from tablefull.parsers.reader import read_text
from tablefull.parsers.uptime import read


def seen(text: str) -> list[float]:
    return [one.uptime_s for host in read_text(text).hosts for one in host.of(Uptime)]


def test_as_typed() -> None:
    assert seen("$ cat /proc/uptime\n38252.66 72410.49\n") == [38252.66]


@pytest.mark.parametrize(
    "text",
    [
        "38252.66 72410.49\n",
        "$ cat /proc/loadavg\n0.10 0.02 0.00 1/120 4711\n",
        "$ cat /proc/uptime\ncat: /proc/uptime: Permission denied\n",
        "$ cat /proc/uptime\n-1.00 2.00\n",
        "$ cat /proc/uptime\n\n",
    ],
)
def test_what_is_none(text: str) -> None:
    assert seen(text) == []


@given(st.text(max_size=120))
def test_any_text(text: str) -> None:
    lines = [Line(1, text, text)]
    for context in (Context("a"), Context("a", path="proc/uptime"), Context("a", command="cat /proc/uptime")):
        found = read(lines, 0, context)
        assert found is None or (found.used == 1 and len(found.facts) == 1)
