"""What every parser is given and what it answers: lines in, facts out.

A parser is a function ``read(lines, at, context)``. It looks at ``lines[at]`` and answers None where that line does
not begin its format; else how many lines it used (at least one) and the facts in them. It must not scan past the end
of its own block, must tolerate a cut first or last line, and must never raise on any text: a line that claims the
format and breaks it goes into ``unread`` of the answer.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from tablefull.facts.origin import Fact, Origin


class Line(NamedTuple):
    """One cleaned line: 1-based number in its source, text without quotes, colours, fences; ``raw`` as it stood."""

    number: int
    text: str
    raw: str


class Context(Struct):
    """Where the lines stand. ``command`` is the command line that printed them, where one was seen (prompt stripped).

    ``path`` is the path of the file inside a bundle, or of ``cat /proc/...``, where that names the content.
    """

    source: str
    command: str | None = None
    path: str | None = None

    def origin(self, line: Line) -> Origin:
        """The origin of a fact read from ``line``."""
        return Origin(self.source, line.number, line.raw)


class Read(NamedTuple):
    """``used`` lines from ``at`` on; the facts; lines of the block that broke the format, with why."""

    used: int
    facts: list[Fact]
    unread: Sequence[tuple[Line, str]] = ()
