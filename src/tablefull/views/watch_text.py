"""What a watch says, as lines of text or as one JSON object a line.

The trap: a line that says "does not fill" must say on what it stands, or it reads as a promise; and names of namespaces
are chosen by strangers, so they are made harmless before a terminal gets them.
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from tablefull.twin.forecast import Forecast
from tablefull.views.terminal import harmless
from tablefull.watch.alarms import Alarm
from tablefull.watch.history import Row
from tablefull.watch.loop import News, Note, Seen, Told

SCHEMA = "tablefull/watch/1"
_SAID = {"raised": "ALARM", "worse": "ALARM WORSE", "better": "ALARM BETTER", "cleared": "CLEARED"}


def as_object(news: News) -> dict[str, Any]:
    """The keys are a contract: additions only. What is unknown is null."""
    base: dict[str, Any] = {"schema": SCHEMA}
    if isinstance(news, Note):
        return base | {"type": "note", "time": news.wall_s, "text": news.text}
    if isinstance(news, Told):
        change = news.change
        return base | {
            "type": "alarm", "time": news.seen.wall_s, "space": news.seen.space, "alarm": change.name,
            "event": change.event, "level": change.level, "why": change.why, "since": change.since_s,
            "count": news.seen.count, "max": news.seen.limit,
        } | {"forecast": _forecast(news.seen.forecast)}  # fmt: skip
    return base | {
        "type": "sample", "time": news.wall_s, "space": news.space, "count": news.count, "max": news.limit,
        "rate_per_s": news.rate_per_s, "moved": news.moved, "counters_from": news.source or None,
        "why_unknown": news.why or None, "forecast": _forecast(news.forecast),
        "alarms": [_alarm(alarm) for alarm in news.alarms],
    }  # fmt: skip


def as_json(news: News) -> str:
    """One object on one line."""
    return msgspec.json.encode(as_object(news)).decode() + "\n"


def _forecast(told: Forecast | None) -> dict[str, Any] | None:
    return None if told is None else msgspec.to_builtins(told)


def _alarm(alarm: Alarm) -> dict[str, Any]:
    return {"alarm": alarm.name, "level": alarm.level, "since": alarm.since_s, "why": alarm.why}


def as_line(news: News, several: bool) -> str:
    """One line; ``several``: there is more than one table, so each is named."""
    if isinstance(news, Note):
        return f"{_clock(news.wall_s)}  note: {harmless(news.text)}\n"
    if isinstance(news, Told):
        change = news.change
        where = f" in {harmless(news.seen.space)}" if several else ""
        what = f"{_SAID[change.event]} {change.level} {change.name}{where}: {harmless(change.why)}"
        return f"{_clock(news.seen.wall_s)}  {what}\n"
    where = f"{harmless(news.space)}: " if several else ""
    up = "".join(f"  [{alarm.level} {alarm.name}]" for alarm in news.alarms)
    return f"{_clock(news.wall_s)}  {where}{occupied(news)}; {foretold(news.forecast)}{up}\n"


def occupied(seen: Seen) -> str:
    """Count, limit, rate and losses of one look."""
    if seen.count is None:
        return f"the count cannot be seen ({harmless(seen.why)})"
    limit = "of an unknown limit" if seen.limit is None else f"of {seen.limit}" if seen.limit else "without a limit"
    share = f" ({100 * seen.count / seen.limit:.1f} %)" if seen.limit else ""
    rate = "" if seen.rate_per_s is None else f", {seen.rate_per_s:+.1f}/s"
    lost = ""
    if seen.moved:
        names = ("drop", "chain_toolong", "early_drop", "insert_failed")
        lost = "".join(f", {name} +{seen.moved[name]}" for name in names if seen.moved.get(name))
    return f"{seen.count} {limit}{share}{rate}{lost}"


def foretold(told: Forecast | None) -> str:
    """The forecast in words."""
    if told is None or told.kind == "unknown":
        return f"no forecast yet ({told.why})" if told is not None else "no forecast"
    if told.median_s == 0:
        return "it is full"
    if told.kind == "fills" and told.median_s is not None:
        high = f"to {span(told.high_s)}" if told.high_s is not None else "or not at all"
        return f"full in about {span(told.median_s)} ({span(told.low_s or 0)} {high}, nine times in ten)"
    if told.level_high is None or told.chance is None:
        return f"does not fill ({told.why})"
    some = "" if told.chance < 0.05 else f" (but {100 * told.chance:.0f} % to fill within {span(told.horizon_s)})"
    return f"does not fill at this rate, levels off near {told.level}{some}"


def state(seen: Seen, several: bool, history: str | None, rows: Sequence[Row]) -> str:
    """The page of ``--once`` for one table. ``history`` None: it could not be read, which was said."""
    where = f"{harmless(seen.space)}: " if several else ""
    lines = [f"{where}{occupied(seen)}"]
    told = seen.forecast
    lines.append(f"  {foretold(told)}")
    if told is not None and told.kind != "unknown" and told.level_high is not None:
        lines.append(
            f"  in {span(told.horizon_s)} between {told.level_low} and {told.level_high} entries, nine times in ten"
        )
        if told.rate_per_s is not None and told.lifetime_s is not None:
            stay = "do not end meanwhile" if told.lifetime_s > 1e6 else f"stay about {span(told.lifetime_s)}"
            came = f"{told.rate_per_s:.3g} new entries a second that {stay}"
            few = told.rate_per_s * told.horizon_s < 1  # not one in all the time that is foretold
            lines.append(f"  what explains it best: {'no new entry comes' if few else came}")
    lines += [
        f"  ALARM {alarm.level} {alarm.name} since {_clock(alarm.since_s)}: {harmless(alarm.why)}"
        for alarm in seen.alarms
    ]
    if not seen.alarms and seen.count is not None:
        lines.append("  no alarm is up")
    if told is not None and told.samples:
        samples = f"{told.samples} sample{'s' * (told.samples != 1)}"
        lines.append(f"  it stands on {samples} over {span(told.span_s)}, this one the last")
    if history is None:
        pass
    elif not rows:
        lines.append(f"  no history yet in {harmless(history)}: start tablefull watch")
    else:
        ago = max(seen.wall_s - rows[-1].wall_s, 0.0)
        lines.append(f"  {len(rows)} looks kept in {harmless(history)}, the last {span(ago)} ago")
    return "\n".join(lines) + "\n"


def span(seconds: float) -> str:
    """A time as a person says it."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _clock(wall_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall_s))
