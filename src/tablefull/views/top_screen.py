"""What each part of the full screen shows of a gauge: lines, a title, and how many of the lines can be chosen.

The trap: what is on the screen together must be of one look. So each part is made in one go from what the gauge holds
at that moment, and nothing here waits, asks or keeps.
"""

from typing import NamedTuple

from rich.cells import set_cell_size

from tablefull.kernel.identity import parse_release
from tablefull.live.table import Made, Reading
from tablefull.views import top_text
from tablefull.views.terminal import columns, harmless, wrapped
from tablefull.views.top_chart import ASCII, Glyphs, Line, chart
from tablefull.views.top_pane import Item
from tablefull.views.watch_text import span
from tablefull.watch.gauge import Gauge
from tablefull.watch.judge import Answer
from tablefull.wire.dimensions import named

PANES = ("made", "spaces", "findings", "log", "cpus")
NAMES = {"made": "Made of", "spaces": "Namespaces", "findings": "Findings", "log": "Kernel log", "cpus": "Per CPU"}
# Which news change which pane.
SHOWS = {
    "made": ("composition",), "spaces": ("spaces",), "findings": ("judged",), "log": ("kernel",),
    "cpus": ("frame", "forecast"),
}  # fmt: skip
STALE_LOOKS, STALE_S = 4, 5.0
TAKES = {"made": "only these", "spaces": "look there"}  # what Enter does with the marked row
MARGIN = 9  # columns of a chart left of its curve


class Chosen(NamedTuple):
    """By what the table is told apart, and which entries are meant."""

    dimension: str
    where: str


Shown = tuple[list[Line], str, str, int | None]


def stale_s(gauge: Gauge) -> float:
    """How long no look came back, where that is too long; else 0."""
    if gauge.frame is None:
        return 0.0
    age = gauge.now_s() - gauge.frame.time_s
    return age if age > max(STALE_S, STALE_LOOKS * gauge.every_s) else 0.0


def head(gauge: Gauge, width: int, glyphs: Glyphs) -> list[Line]:
    """The four lines on top."""
    place = "" if gauge.place.path is None else gauge.place.key
    return [
        top_text.head(gauge.host, place, gauge.kernel, gauge.every_s, gauge.wall_s(), gauge.paused, stale_s(gauge)),
        top_text.occupancy(gauge.frame, width, glyphs),
        top_text.until(gauge.forecast),
        top_text.verdict(gauge.judged, gauge.judged_wall_s, gauge.judging, gauge.judge_failed, width),
    ]


def curve(gauge: Gauge, span_s: float, width: int, rows: int, glyphs: Glyphs) -> tuple[list[Line], str]:
    """The past."""
    limit = gauge.frame.limit if gauge.frame is not None else None
    points = gauge.columns(span_s, max(1, width - MARGIN))
    return chart(points, limit, rows, span(span_s), glyphs), f"Entries, last {span(span_s)}"


def rates(gauge: Gauge, width: int, glyphs: Glyphs) -> list[Line]:
    """The counters."""
    return top_text.rates(gauge.frame, gauge.forecast, width, glyphs)


def made(
    gauge: Gauge, reading: Reading | None, shown: Reading | None, parts: Made | None, told: Chosen, width: int,
    glyphs: Glyphs,
) -> Shown:  # fmt: skip
    """The composition."""
    age = None if gauge.read_s is None else gauge.now_s() - gauge.read_s
    lines = top_text.composition(
        reading, parts, shown, gauge.reading_hole, gauge.own, width, glyphs, named(told.dimension).addressed
    )
    title = f"by {told.dimension}"
    note = top_text.composition_title(reading, parts, shown, age).partition(": ")[2]
    if told.where and reading is not None and shown is not None:
        title += f" where {harmless(told.where)}"
        note = top_text.matched(reading, shown)
    rows = 0 if parts is None else len(parts.shares)
    return lines, title, note, rows


def pane(name: str, gauge: Gauge, width: int) -> Shown:
    """One of the other panes."""
    if name == "spaces":
        return _spaces(gauge, width)
    if name == "findings":
        return top_text.findings(gauge.judged, gauge.judge_failed, width), "Findings", "of this host", None
    if name == "log":
        lines = top_text.kernel_lines(gauge.lines, gauge.kernel_hole, gauge.kernel_gaps, width)
        return lines, "Kernel log", "* came while this was on", None
    lines = top_text.cpus(gauge.frame, gauge.forecast, parse_release(gauge.kernel), width)
    return lines, "Per CPU", "", None


def _spaces(gauge: Gauge, width: int) -> Shown:
    limit = gauge.frame.limit if gauge.frame is not None else None
    counts = gauge.counts
    shown = "" if gauge.place.path is None else gauge.place.key
    lines = top_text.spaces(gauge.spaces, limit, counts.holes if counts is not None else (), width, shown)
    note = ""
    if counts is not None:
        note = f"{counts.total:,} entries in {len(counts.shown) + counts.rest}; the limit is each one's own"
    return lines, "Namespaces", note, len(gauge.spaces)


# -- the two bars


def tabs(gauge: Gauge, chosen: str) -> list[Item]:
    """The names of the panes; how many findings, and whether the kernel spoke."""
    items = []
    for number, name in enumerate(PANES, 1):
        extra = ""
        if name == "findings" and gauge.judged is not None:
            extra = f" ({len(gauge.judged.causes)})"
        elif name == "log":
            came = sum(line.came for line in gauge.lines)
            extra = f" ({came} new)" if came else ""
        text = f" {number} {NAMES[name]}{extra} "
        items.append(Item(((text, "chosen" if name == chosen else ""),), f"choose('{name}')"))
    return items


def keys(chosen: str, paused: bool, filtered: bool, width: int) -> list[Item]:
    """The keys that matter now."""
    words = [
        ("?", "help", "help"),
        ("q", "quit", "leave"),
        ("p", "go on" if paused else "pause", "hold"),
        ("d", "by what", "dimension(1)"),
        ("/", "filter", "filter"),
        *([("Esc", "no filter", "clear")] if filtered else []),
        *([("Enter", TAKES[chosen], "take")] if chosen in TAKES else []),
        ("s", "snapshot", "snapshot"),
        ("z", "zoom", "zoom"),
        ("+-", "past", "span(1)"),
        ("r", "look now", "again"),
    ]  # fmt: skip
    items: list[Item] = []
    used = 0
    for key, text, action in words:
        size = len(key) + len(text) + 3
        if used + size > width:
            break
        used += size
        items.append(Item(((f" {key}", "key"), (f" {text} ", "")), action))
    return items


def said(note: str, width: int) -> list[Item]:
    """A line about what was done."""
    text = f" {note}"
    if columns(text) > width:
        text = set_cell_size(text, max(0, width - 2)) + ".."  # a path has no blank to be cut at
    return [Item(((text, "strong"),), "")]


def wrote(answer: Answer | None) -> str:
    """How writing the bundle went."""
    if answer is None or answer.wrote is None:
        why = answer.failed if answer is not None else None
        return f"no bundle was written: {harmless(why or 'no answer')}"
    folder, _, name = harmless(answer.wrote).rpartition("/")
    return f"wrote {name} ({answer.wrote_bytes / 1024:,.0f} KiB) in {folder or '/'}; `tablefull diagnose` reads it"


def tiny(gauge: Gauge, size: tuple[int, int], least: tuple[int, int], glyphs: Glyphs) -> list[Line]:
    """For a terminal that is too small: what matters most, and what is wanted."""
    width, height = size
    plain: list[tuple[str, str]] = []
    for line in head(gauge, max(40, width), ASCII if glyphs is ASCII else glyphs)[1:]:
        plain += [(part.strip(), "strong") for part in wrapped("".join(text for text, _ in line), max(8, width - 1))]
    wants = f"{width}x{height} is too small for all of it: {least[0]}x{least[1]} is wanted. q quits."
    told = wrapped(wants, max(8, width - 1))
    lines: list[Line] = [((text, style),) for text, style in plain[: max(0, height - len(told))]]
    return lines + [((text, ""),) for text in told]
