"""The diagnosis as one page that needs nothing else: the evidence line by line, and beside it what follows from it.

The trap: evidence is hostile text and the page may be opened from a ticket. Everything is escaped by the template, no
script stands in it, and its policy lets the browser load nothing and run nothing, whatever slipped through.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

from msgspec import Struct

from tablefull.facts.origin import Origin
from tablefull.facts.snapshot import Snapshot
from tablefull.fixes.diagnosis import Diagnosis
from tablefull.rules.meanings import CAUSES
from tablefull.views import wording
from tablefull.views.terminal import harmless, harmless_lines, shortened

MOST_LINES = 5000  # of the whole page; cited lines are shown beyond it
AROUND = 3  # lines kept before and after a cited one where a text is too long to show


class Mark(Struct, frozen=True):
    """A finding that cites a line: where it stands on the page, and its name."""

    anchor: str
    label: str


class Row(Struct, frozen=True):
    """A line of evidence; ``left_out`` lines before it are not shown."""

    number: int
    text: str
    anchor: str
    marks: tuple[Mark, ...]
    left_out: int = 0


class Source(Struct, frozen=True):
    """One text; ``after`` lines at its end are not shown."""

    name: str
    rows: tuple[Row, ...]
    after: int = 0


class Listing:
    """The evidence as it will be shown, and the place of each cited line."""

    def __init__(self, diagnosis: Diagnosis, snapshot: Snapshot, texts: Mapping[str, Sequence[str]]) -> None:
        self._marks: dict[tuple[str, int], dict[Mark, None]] = {}
        self._cited: dict[tuple[str, int], str] = {}
        self._cite(diagnosis.full.evidence, Mark("verdict", "verdict"))
        if diagnosis.loss is not None:
            self._cite(diagnosis.loss.evidence, Mark("lost", "loss"))
        for number, cause in enumerate(diagnosis.causes, 1):
            self._cite(cause.evidence, Mark(f"cause-{number}", f"{number}. {cause.cause}"))
        for number, one in enumerate(diagnosis.arithmetic, 1):
            self._cite(one.evidence, Mark(f"number-{number}", one.what))
        self._cite([one.origin for one in diagnosis.unread], Mark("unseen", "not understood"))
        lines = _lines(snapshot, texts, self._cited)
        self._numbers = {name: number for number, name in enumerate(lines, 1)}
        self.sources = tuple(self._source(name, rows) for name, rows in lines.items() if rows)

    def _cite(self, origins: Iterable[Origin], mark: Mark) -> None:
        for origin in origins:
            if origin.line:
                self._marks.setdefault((origin.source, origin.line), {})[mark] = None
                self._cited[origin.source, origin.line] = origin.text

    def anchor(self, origin: Origin) -> str:
        """The id of the line on the page; empty where it is not shown."""
        number = self._numbers.get(origin.source)
        return f"e{number}-{origin.line}" if number and origin.line else ""

    def _source(self, name: str, rows: Mapping[int, str]) -> Source:
        kept = _kept(rows, {line for source, line in self._cited if source == name})
        shown, before = [], 0
        for number in kept:
            marks = tuple(self._marks.get((name, number), ()))
            anchor = f"e{self._numbers[name]}-{number}"
            # In a text that was read in part, numbers that are missing altogether were never here to be shown.
            left_out = number - before - 1
            shown.append(Row(number, shortened_line(rows[number]), anchor, marks, left_out))
            before = number
        return Source(harmless(name), tuple(shown), max(rows) - before)


def shortened_line(text: str) -> str:
    """A line of evidence with its indentation."""
    bare = harmless(text.rstrip())
    return bare if len(bare) < 500 else shortened(text)


def _lines(
    snapshot: Snapshot, texts: Mapping[str, Sequence[str]], cited: Mapping[tuple[str, int], str]
) -> dict[str, dict[int, str]]:
    """Source → line → text: the texts themselves, else every line that became a fact or prose; the cited ones first."""
    found: dict[str, dict[int, str]] = {source: {} for source, _ in cited}
    for name, lines in texts.items():
        found.setdefault(name, {}).update(enumerate(lines, 1))
    if not texts:
        for host in snapshot.hosts:
            for origin in (*(fact.origin for fact in host.facts), *host.prose):
                found.setdefault(origin.source, {})[origin.line] = origin.text
    for (source, line), text in cited.items():
        found[source].setdefault(line, text)
    return {name: dict(sorted(rows.items())) for name, rows in found.items()}


def _kept(rows: Mapping[int, str], cited: set[int]) -> list[int]:
    if len(rows) <= MOST_LINES:
        return list(rows)
    near = {line + offset for line in cited for offset in range(-AROUND, AROUND + 1)}
    head = set(list(rows)[: MOST_LINES // 2])
    return [number for number in rows if number in near or number in head]


def render(diagnosis: Diagnosis, snapshot: Snapshot, texts: Mapping[str, Sequence[str]], *, rules: bool = False) -> str:
    """The page. ``texts`` holds the lines of each source where they are at hand; else they come from the snapshot."""
    import jinja2

    folder = resources.files("tablefull.views")
    style = folder.joinpath("page.css").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"harmless": harmless, "command": _command, "shortened": shortened, "first_up": _first_up}
    template = environment.from_string(folder.joinpath("page.html.j2").read_text("utf-8"))
    listing = Listing(diagnosis, snapshot, texts)
    # The browser compares the hash with the text between the tags, so the template adds nothing to it.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return template.render(
        d=diagnosis,
        style=environment.filters["safe"](style),
        digest=digest,
        listing=listing,
        meanings=CAUSES,
        rules=rules,
        w=wording,
    )


def _command(command: str) -> str:
    return "\n".join(harmless_lines(command))


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]
