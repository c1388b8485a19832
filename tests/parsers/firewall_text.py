"""What the tests of the firewall parsers share: a capture as lines, whole reading, and hostile text."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import strategies as st

from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read

CAPTURE = Path(__file__).parents[1] / "captures" / "debian-12-firewall"
Reader = Callable[[Sequence[Line], int, Context], Read | None]


def to_lines(text: str) -> list[Line]:
    return [Line(number, line, line) for number, line in enumerate(text.split("\n"), 1)]


def capture(name: str) -> str:
    return (CAPTURE / f"{name}.txt").read_text()


def facts(read: Reader, text: str, command: str | None = None) -> list[Fact]:
    """Every fact of ``text``; each answer must use at least one line and no more than there are."""
    lines, found, at = to_lines(text), [], 0
    while at < len(lines):
        answer = read(lines, at, Context("t", command))
        if answer is None:
            at += 1
            continue
        assert 1 <= answer.used <= len(lines) - at
        found += answer.facts
        at += answer.used
    return found


def broken(*texts: str) -> st.SearchStrategy[str]:
    """Any text, and real text cut, with lines lost, or squeezed."""

    def spoil(text: str, start: int, size: int, squeeze: bool) -> str:
        part = text[start % (len(text) or 1) :][:size]
        return "\n".join(" ".join(line.split()) for line in part.split("\n")) if squeeze else part

    real = st.builds(spoil, st.sampled_from(texts), st.integers(0, 9999), st.integers(0, 4000), st.booleans())
    return st.one_of(real, st.lists(st.one_of(real, st.text(max_size=200)), max_size=4).map("\n".join))


def seconds(read: Reader, text: str, command: str | None = None) -> float:
    begin = time.thread_time()
    facts(read, text, command)
    return time.thread_time() - begin


def assert_linear(read: Reader, *texts: str, command: str | None = None) -> None:
    """A megabyte of each text in seconds: anything quadratic takes hours."""
    for text in texts:
        size = max(1, 1_000_000 // len(text))
        assert seconds(read, text * size, command) < 10, text
