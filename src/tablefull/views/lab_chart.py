"""A scene over time in the terminal: how full the table is, who was answered, and how long that took.

The trap: a table with ballast lies between 261,000 and 262,144, and a chart from zero would show a flat line. So the
chart shows the room that live traffic had, and says so at its edge; and a stretch in which nobody asked is blank, not
zero.
"""

from collections.abc import Sequence

from tablefull.lab.course import Look, Moment, Played, moments
from tablefull.views.replay_chart import ASCII, BLOCKS

LABEL = 10
ROWS = 5
LEAST_MS, MOST_MS = 0.1, 10_000.0


def chart(played: Played, width: int, blocks: str = BLOCKS) -> list[tuple[str, str]]:
    """Lines and their style, at most ``width`` wide; empty where nothing was seen."""
    room = max(20, width - LABEL - 2)
    end_s = played.end_s
    if not played.looks or end_s <= 0:
        return []
    fill = _by_column(played, room)
    steps = moments(played.requests, end_s, end_s / room)
    answered = _smoothed(steps)
    lines = [("Room in the table that is taken", "dim")]
    lines += [(line, "bad") for line in _band(fill, f"{played.limit:,}"[:LABEL], _base(played)[:LABEL], blocks)]
    lines.append(("Requests that were answered", "dim"))
    lines += [(line, "good") for line in _band(answered, "100 %", "0 %", blocks)]
    lines.append(("How long 95 % of them took at most (each step of height: about 4 times as long)", "dim"))
    waits = [_height(step.p95_ms) for step in steps]
    worst = max((step.p95_ms for step in steps if step.p95_ms is not None), default=0.0)
    label = f"{worst / 1000:.1f} s" if worst >= 1000 else f"{worst:.0f} ms"
    lines.append((f"{label:>{LABEL}} |" + "".join(_block(one, blocks) for one in waits).rstrip(), "worth"))
    lines.append((f"{'':>{LABEL}} +{'-' * room}", "dim"))
    lines.append((f"{'':>{LABEL}}  {_acts(played, room)}".rstrip(), "strong"))
    lines.append((f"{'':>{LABEL}}  0 s{f'{end_s:.1f} s':>{max(1, room - 3)}}", "dim"))
    return lines


def _base(played: Played) -> str:
    return f"{played.base:,}" if played.base else "0"


def _by_column(played: Played, room: int) -> list[float | None]:
    span = max(1, played.limit - played.base)
    found: list[float | None] = [None] * room
    for look in played.looks:
        at = int(look.at_s / played.end_s * room)
        if look.count is not None and 0 <= at < room:
            share = min(1.0, max(0.0, (look.count - played.base) / span))
            found[at] = max(share, found[at] or 0.0)
    return _carried(found)


def _carried(values: Sequence[float | None]) -> list[float | None]:
    """A column between two looks shows the earlier one."""
    found: list[float | None] = []
    for value in values:
        found.append(value if value is not None else found[-1] if found else None)
    return found


def _smoothed(steps: Sequence[Moment]) -> list[float | None]:
    """A column with less than five requests takes its neighbours' too: one of one is no rate."""
    found: list[float | None] = []
    for at, step in enumerate(steps):
        near = steps[max(0, at - 1) : at + 2] if step.asked < 5 else [step]
        asked = sum(one.asked for one in near)
        found.append(sum(one.answered for one in near) / asked if asked else None)
    return found


def _band(values: Sequence[float | None], top: str, bottom: str, blocks: str) -> list[str]:
    lines = []
    for row in range(ROWS, 0, -1):
        below = (row - 1) / ROWS
        cells = [" " if value is None or value <= below else _block((value - below) * ROWS, blocks) for value in values]
        name = top if row == ROWS else bottom if row == 1 else ""
        lines.append(f"{name:>{LABEL}} |{''.join(cells).rstrip()}")
    return lines


def _block(share: float | None, blocks: str) -> str:
    return " " if share is None else blocks[min(8, max(0, round(share * 8)))]


def _height(ms: float | None) -> float | None:
    """On a scale by powers: 0.1 ms is the lowest, 10 s the highest."""
    import math

    if ms is None:
        return None
    share = math.log(max(LEAST_MS, min(MOST_MS, ms)) / LEAST_MS) / math.log(MOST_MS / LEAST_MS)
    return max(0.13, share)


def _acts(played: Played, room: int) -> str:
    """The number of each act where it begins."""
    cells = [" "] * room
    for number, act in enumerate(played.acts, 1):
        at = min(room - 1, int(act.begin_s / played.end_s * room))
        while at < room - 1 and cells[at] != " ":
            at += 1
        cells[at] = str(number)
    return "".join(cells)


def blocks_for(encoding: str | None) -> str:
    """Blocks where they can be shown, else ASCII."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def bar(look: Look, base: int, limit: int, width: int, blocks: str) -> str:
    """How much of the room is taken, as a bar."""
    if look.count is None:
        return "?".ljust(width)
    share = min(1.0, max(0.0, (look.count - base) / max(1, limit - base)))
    full = int(share * width)
    part = _block(share * width - full, blocks) if full < width else ""
    return (blocks[8] * full + part).ljust(width)
