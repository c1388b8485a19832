"""A scene as one page that needs nothing else: the figures, three curves over the same time, and everybody's own words.

The trap: the page is read by somebody who was not there and perhaps in the dark, or printed; so the curves are drawn as
shapes with classes (colours come from the page's style), every curve is said in words and in a table too, and what the
kernel and the programs printed is escaped like anybody else's text.
"""

import base64
import hashlib
import math
from collections.abc import Sequence
from importlib import resources

from msgspec import Struct

from tablefull import __version__
from tablefull.lab.claims import Claim, milliseconds, percent, told
from tablefull.lab.course import Moment, Played, moments
from tablefull.rules.meanings import CAUSES
from tablefull.views.terminal import harmless

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 150, 90, 12, 12, 24
LEAST_MS, MOST_MS = 0.1, 10_000.0
MOST_POINTS = 600
ACTS = ("calm", "cause", "full", "after")


class Curve(Struct, frozen=True):
    """One chart. ``paths``: pieces of the line, parted where nothing was seen. ``area`` closes the first below it."""

    id: str
    title: str
    words: str
    paths: tuple[str, ...]
    areas: tuple[str, ...]
    marks: tuple[tuple[float, str], ...]


class Stretch(Struct, frozen=True):
    """An act on the charts: where it begins and how wide it is."""

    number: int
    title: str
    x: float
    width: float
    kind: str


def render(played: Played, shown: Sequence[Claim]) -> str:
    """The page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    files = resources.files("tablefull.views")
    style = files.joinpath("page.css").read_text("utf-8") + files.joinpath("lab.css").read_text("utf-8")
    environment = Environment(
        loader=PackageLoader("tablefull", "views"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["harmless"] = harmless
    environment.filters["lines"] = lambda text: "\n".join(harmless(line) for line in text.splitlines())
    rows = [(act.title, moment) for act in played.acts if act.id in ACTS and (moment := played.during(act.id))]
    return environment.get_template("lab.html.j2").render(
        played=played, shown=shown, curves=curves(played), stretches=stretches(played), rows=rows, told=told,
        percent=percent, milliseconds=milliseconds, meanings=CAUSES, version=__version__,
        seconds=_seconds(played), style=environment.filters["safe"](style), width=WIDTH, height=HEIGHT, left=LEFT,
        right=RIGHT, top=TOP, bottom=BOTTOM, digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        headline=headline(played),
    )  # fmt: skip


def headline(played: Played) -> str:
    """The scene in one sentence of figures."""
    parts = [
        (name, played.during(act))
        for name, act in (("before", "calm"), ("while full", "full"), ("after the fix", "after"))
    ]
    known = [
        f"{percent(moment.share)} {name}" for name, moment in parts if moment is not None and moment.share is not None
    ]
    return f"Requests that were answered: {', '.join(known)}" if known else "Nothing was measured"


def _x(at_s: float, end_s: float) -> float:
    return LEFT + min(1.0, max(0.0, at_s / end_s)) * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return TOP + (1 - min(1.0, max(0.0, share))) * (HEIGHT - TOP - BOTTOM)


def stretches(played: Played) -> tuple[Stretch, ...]:
    """The acts as stretches of the charts."""
    end_s = played.end_s or 1.0
    return tuple(
        Stretch(
            number, act.title, round(_x(act.begin_s, end_s), 1),
            round(max(0.5, _x(act.end_s, end_s) - _x(act.begin_s, end_s)), 1), act.id,
        )
        for number, act in enumerate(played.acts, 1)
    )  # fmt: skip


def curves(played: Played) -> tuple[Curve, ...]:
    """The table, the answered, the wait."""
    end_s = played.end_s or 1.0
    span = max(1, played.limit - played.base)
    steps = moments(played.requests, end_s, max(0.25, end_s / 120))
    peak = "unknown" if played.peak is None else f"{played.peak:,}"
    refused = "unknown" if played.refused is None else f"{played.refused:,}"
    fill = [
        (look.at_s, None if look.count is None else (look.count - played.base) / span)
        for look in played.looks[:MOST_POINTS]
    ]
    middle = (steps[1].at_s - steps[0].at_s) / 2 if len(steps) > 1 else 0.0
    answered = [(step.at_s + middle, step.share) for step in steps]
    waits = [(step.at_s + middle, _log(step)) for step in steps]
    worst = max((step.p95_ms for step in steps if step.p95_ms is not None), default=None)
    lowest = min((step.share for step in steps if step.share is not None), default=None)
    bad = "Nobody asked." if lowest is None else f"At worst {percent(lowest)} of a moment's requests."
    slow = "Nobody asked." if worst is None else f"At worst {milliseconds(worst)}; a line is ten times the one below."
    return (
        _curve(
            "fill", "Room in the table that is taken",
            f"At most {peak} entries of {played.limit:,}; {refused} packets were refused.", fill, end_s,
            ((1.0, f"{played.limit:,}"), (0.0, f"{played.base:,}")),
        ),
        _curve(
            "answered", "Requests that were answered",
            bad, answered, end_s, ((1.0, "100 %"), (0.5, "50 %"), (0.0, "0 %")),
        ),
        _curve(
            "wait", "How long 95 % of them took at most",
            slow, waits, end_s, ((1.0, "10 s"), (0.8, "1 s"), (0.6, "100 ms"), (0.4, "10 ms"), (0.2, "1 ms")),
        ),
    )  # fmt: skip


def _log(step: Moment) -> float | None:
    if step.p95_ms is None:
        return None
    return math.log(max(LEAST_MS, min(MOST_MS, step.p95_ms)) / LEAST_MS) / math.log(MOST_MS / LEAST_MS)


def _curve(
    name: str,
    title: str,
    words: str,
    points: Sequence[tuple[float, float | None]],
    end_s: float,
    marks: tuple[tuple[float, str], ...],
) -> Curve:
    pieces: list[list[tuple[float, float]]] = [[]]
    for at_s, share in points:
        if share is None:
            pieces.append([])
        elif at_s <= end_s:
            pieces[-1].append((round(_x(at_s, end_s), 1), round(_y(share), 1)))
    drawn = [piece for piece in pieces if piece]
    ground = _y(0)
    paths = tuple(_path(piece) for piece in drawn)
    areas = tuple(f"M{piece[0][0]},{ground} L{_path(piece)[1:]} L{piece[-1][0]},{ground} Z" for piece in drawn)
    return Curve(name, title, words, paths, areas, tuple((round(_y(share), 1), text) for share, text in marks))


def _path(piece: Sequence[tuple[float, float]]) -> str:
    if len(piece) == 1:
        (x, y) = piece[0]
        return f"M{x},{y} L{x + 1},{y}"
    return "M" + " L".join(f"{x},{y}" for x, y in piece)


def _seconds(played: Played) -> tuple[tuple[float, str], ...]:
    """Marks on the axis of time: about eight, at whole seconds."""
    end_s = played.end_s or 1.0
    step = next((one for one in (1, 2, 5, 10, 15, 20) if end_s / one <= 9), 30)
    return tuple((round(_x(at, end_s), 1), f"{at} s") for at in range(0, int(end_s) + 1, step))
