"""Occupancy over time as a chart of characters.

The trap: a peak must not vanish between two columns. A column therefore shows the highest moment of its stretch of
time, and the limit has a line of its own wherever it is in sight.
"""

from collections.abc import Sequence

from tablefull.live.replay import Outcome, Sample

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII = " .:-=+*%#"
ROWS = 8
LABEL = 10
LIMIT_SHARE = 0.3  # a limit is drawn to scale from this occupancy on; below it would press the curve flat


def columns(samples: Sequence[Sample], first_ns: int, last_ns: int, width: int) -> list[int]:
    """The highest count in each of ``width`` stretches of time; a stretch without a sample has its neighbour's."""
    highs = [-1] * width
    span = max(1, last_ns - first_ns)
    for sample in samples:
        at = min(width - 1, max(0, (sample.time_ns - first_ns) * width // span))
        highs[at] = max(highs[at], sample.high)
    before = 0
    for at, high in enumerate(highs):
        highs[at] = before = high if high >= 0 else before
    return highs


def figure(number: float) -> str:
    """A count in few characters: 950, 12.4k, 1.55M."""
    for unit, size in (("M", 1e6), ("k", 1e4)):
        if number >= size:
            return f"{number / (1e6 if unit == 'M' else 1e3):.4g}{unit}"
    return f"{number:.0f}"


def chart(outcome: Outcome, first_ns: int, last_ns: int, width: int, blocks: str = BLOCKS) -> list[str]:
    """The lines of the chart, at most ``width`` wide; empty where nothing was ever held."""
    room = max(10, width - LABEL - 2)
    highs = columns(outcome.samples, first_ns, last_ns, room)
    top = max([*highs, outcome.peak])
    if not outcome.samples or not top:
        return []
    limit = outcome.limit or 0
    drawn = bool(limit) and top >= LIMIT_SHARE * limit
    scale = max(top, limit) if drawn else top
    lines = []
    for row in range(ROWS, 0, -1):
        level = scale * row / ROWS
        below = scale * (row - 1) / ROWS
        marked = drawn and below < limit <= level
        text = "".join(
            blocks[min(8, max(0, round((high - below) * 8 * ROWS / scale)))]
            if high > below
            else ("-" if marked else " ")
            for high in highs
        )
        name = f"max {figure(limit)}" if marked else figure(level) if row in (ROWS, ROWS // 2) else ""
        lines.append(f"{name:>{LABEL}} |{text.rstrip()}")
    seconds = (last_ns - first_ns) / 1e9
    end = f"{seconds:.4g} s"
    lines.append(f"{'0':>{LABEL}} +{'-' * room}"[:width])
    lines.append(f"{'':>{LABEL}}  0 s{end:>{max(1, room - 3)}}"[:width])
    return lines
