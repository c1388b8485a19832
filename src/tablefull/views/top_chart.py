"""The occupancy of the last minutes as lines of characters, for a screen of any size.

The trap: a moment that nobody looked at is no moment with an empty table. A column without a look is blank, down to the
axis; and where packets were refused the axis says so with a letter, because a curve at the limit looks calm.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from tablefull.live.pulse import Point
from tablefull.views.terminal import Piece

Line = tuple[Piece, ...]
LIMIT_SHARE = 0.3  # from this occupancy on the scale ends at the limit; below, that would press the curve flat
LABEL = 8


class Glyphs(NamedTuple):
    """What a chart and a bar are drawn with. ``levels``: from nothing to a full cell, nine of them."""

    levels: str
    limit: str
    axis: str
    side: str
    corner: str
    full: str
    empty: str
    dash: str
    dots: str


BLOCKS = Glyphs(" ▁▂▃▄▅▆▇█", "╌", "─", "│", "└", "█", "░", "–", "…")
ASCII = Glyphs(" ..::-=*#", "-", "-", "|", "+", "#", ".", "-", "..")


def figure(number: float) -> str:
    """A count in few characters: 950, 12.4k, 1.55M."""
    for unit, size, least in (("M", 1e6, 1e6), ("k", 1e3, 1e4)):
        if abs(number) >= least:
            return f"{number / size:.4g}{unit}"
    return f"{number:.0f}"


def scale(points: Sequence[Point | None], limit: int | None) -> tuple[int, bool]:
    """Where the chart's top is, and whether the limit is in sight."""
    top = max((point.high for point in points if point is not None), default=0)
    if limit and top >= LIMIT_SHARE * limit:
        return max(top, limit), True
    return max(_round_up(top), 4), False


def _round_up(number: int) -> int:
    """The next of 1, 2, 5 times a power of ten, so that the scale does not follow every entry."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if number <= factor * step:
                return factor * step
        step *= 10


def chart(points: Sequence[Point | None], limit: int | None, rows: int, span: str, glyphs: Glyphs) -> list[Line]:
    """``rows`` lines: the curve, the axis and what it spans. A column a point."""
    height = rows - 2
    if height < 1 or not points:
        return []
    top, limit_seen = scale(points, limit)
    unit = top / height
    lines: list[Line] = []
    for row in range(height, 0, -1):
        below = (row - 1) * unit
        marked = limit_seen and limit is not None and below < limit <= row * unit
        label = "limit" if marked else figure(row * unit) if row == height or row == (height + 1) // 2 else ""
        filled = [_cell(point, below, unit, glyphs.levels) for point in points]
        lines.append(((f"{label:>{LABEL - 1}} ", "dim"), (glyphs.side, "dim"), *_curve(filled, marked, glyphs)))
    axis = "".join("x" if point is not None and point.lost else glyphs.axis for point in points)
    lines.append(((f"{'0':>{LABEL - 1}} ", "dim"), (glyphs.corner, "dim"), *_axis(axis)))
    foot = f"{span} ago"
    room = max(0, len(points) - len(foot) - len("now"))
    refused = next((said for said in ("x: packets refused", "x: refused", "") if len(said) + 2 <= room or not said), "")
    lines.append(
        ((f"{'':>{LABEL}} {foot}", "dim"), (f"{refused if 'x' in axis else '':^{room}}", "bad"), ("now", "dim"))
    )
    return lines


def _cell(point: Point | None, below: float, unit: float, levels: str) -> str:
    if point is None or point.high <= below:
        return " "
    share = (point.high - below) / unit
    return levels[min(8, max(1, round(share * 8)))]


def _curve(cells: Sequence[str], marked: bool, glyphs: Glyphs) -> list[Piece]:
    """One row; where the limit lies in it, its line shows through what is not filled."""
    text = "".join(cells)
    if not marked:
        return [(text, "curve")]
    pieces: list[Piece] = []
    for cell in cells:
        kind = ("limit", glyphs.limit) if cell == " " else ("curve", cell)
        if pieces and pieces[-1][1] == kind[0]:
            pieces[-1] = (pieces[-1][0] + kind[1], kind[0])
        else:
            pieces.append((kind[1], kind[0]))
    return pieces


def _axis(text: str) -> list[Piece]:
    pieces: list[Piece] = []
    for letter in text:
        style = "bad" if letter == "x" else "dim"
        if pieces and pieces[-1][1] == style:
            pieces[-1] = (pieces[-1][0] + letter, style)
        else:
            pieces.append((letter, style))
    return pieces


def bar(share: float, width: int, glyphs: Glyphs) -> str:
    """A share as a bar of ``width`` characters."""
    filled = min(width, max(0, round(share * width)))
    if share > 0 and not filled and width:
        filled = 1
    return glyphs.full * filled + glyphs.empty * (width - filled)


def spark(values: Sequence[float], width: int, glyphs: Glyphs) -> str:
    """Values beside each other, one character each; where they are more than ``width`` the largest of neighbours."""
    if not values:
        return ""
    if len(values) > width:
        edges = [at * len(values) // width for at in range(width + 1)]
        values = [max(values[one:two]) for one, two in pairwise(edges)]
    top = max(values)
    if top <= 0:
        return glyphs.levels[1] * len(values) if glyphs.levels[1] != "." else "." * len(values)
    return "".join(glyphs.levels[max(1, round(8 * value / top))] for value in values)
