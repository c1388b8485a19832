"""What a replay found, as text for a person and as one object for a machine.

The trap: a number without its limit says nothing, and a result without what was not seen says too much. So the peak
stands beside the limit, and offloaded checksums, cut packets, packets out of order and seen twice are said.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tablefull import __version__
from tablefull.live.replay import COUNTED, Outcome, Replay
from tablefull.twin.eras import doubts
from tablefull.twin.state import STATES
from tablefull.views.replay_chart import BLOCKS, chart, figure
from tablefull.views.terminal import Page, harmless

SCHEMA = "tablefull/replay/1"
CELL = 10  # a column of the comparison
MOST_LINES = 24
_CLOCK = "%Y-%m-%d %H:%M:%S"
RECENT_NS = 10**18  # a time before 2001 is a clock that began with the run, not a date
WIDE = 200
NOTHING = "Nothing was there to be tracked: whether the table would have been full cannot be told."


def headline(outcome: Outcome) -> str:
    """One sentence: full or not, and how far from it."""
    peak = f"{outcome.peak} entries at most"
    if outcome.refused and outcome.verdicts is None:
        return f"Full: {outcome.refused} new entries would have found no room; {peak}, the limit is {outcome.limit}."
    if outcome.refused:
        return (
            f"Full: {outcome.refused} packets were refused, {outcome.refused_openings} of them the first of a TCP"
            f" connection; {peak}, the limit is {outcome.limit}."
        )
    if not outcome.limit:
        return f"Not full: {peak}, and there is no limit."
    return f"Not full: {peak}, {outcome.peak / outcome.limit:.1%} of the limit of {outcome.limit}."


def _seen(found: Replay) -> bool:
    """Whether there was anything to be tracked; a quiet record has no event, and the entries of its first dump."""
    return bool(found.packets or found.outcomes[0].peak)


def when(time_ns: int, first_ns: int) -> str:
    """A moment: seconds since the first packet, and the date where the clock has one."""
    since = f"{(time_ns - first_ns) / 1e9:.3f} s"
    if first_ns < RECENT_NS:
        return since
    return f"{since} ({datetime.fromtimestamp(time_ns // 10**9, UTC).strftime(_CLOCK)} UTC)"


def notes(found: Replay) -> list[str]:
    """What is to be known about how the packets were taken."""
    said = []
    if found.offloaded:
        said.append(
            f"{found.offloaded_packets} of the first {found.looked_at} TCP and UDP packets hold checksums that the"
            " network card was to finish (offload); such checksums were taken as good"
        )
    if found.second_sightings:
        said.append(f"{found.second_sightings} packets were seen twice (coming in and going out) and counted once")
    if found.backwards:
        said.append(f"{found.backwards} packets are out of order in time; they happen at the time already reached")
    if found.cut_short:
        said.append(f"{found.cut_short} packets were cut short when captured: their checksums were not verified")
    if outside := _outside(found.outcomes[0]):
        said.append(
            f"{outside} packets never reached tracking: a wrong IP header or its checksum, or a fragment whose datagram"
            " stayed incomplete; the kernel drops those by itself"
        )
    if found.not_ip:
        said.append(f"{found.not_ip} frames hold no IP packet; tracking never sees them")
    for kernel in dict.fromkeys(outcome.setting.kernel for outcome in found.outcomes):
        said += doubts(kernel)
    return said


def _outside(outcome: Outcome) -> int:
    """Packets that were dropped, but not by the table."""
    if outcome.verdicts is None:
        return 0
    by_table = outcome.counters.get("drop", 0) + outcome.counters.get("insert_failed", 0)
    return max(0, outcome.verdicts[STATES.index("dropped")] - by_table)


def _holders(page: Page, outcome: Outcome, first_ns: int) -> None:
    held = outcome.held
    if held is None or not held.count:
        return
    page.title("WHO HELD THE TABLE")
    page.text(
        f"{held.count} entries at {when(held.time_ns, first_ns)}: {held.assured} assured, {held.unreplied} without"
        " an answer."
    )
    own = set(held.own)
    for name, rows in (
        ("source", held.sources),
        ("to", held.destinations),
        ("port", held.ports),
        ("state", held.states),
    ):
        shown = ", ".join(
            f"{key}{' (own)' if key in own else ''} {count} ({count / held.count:.0%})" for key, count in rows[:5]
        )
        page.text(shown, lead=f"{name:<7}")


def _outcome(page: Page, found: Replay, outcome: Outcome, width: int, blocks: str) -> None:
    lines = chart(outcome, found.first_ns, found.last_ns, min(width, WIDE), blocks)
    if lines:
        page.title("OCCUPANCY OVER TIME")
        for line in lines:
            page.add((line, ""))
    page.title("THE NUMBERS")
    reached = f", reached by {when(outcome.peak_ns, found.first_ns)}" if outcome.peak else ""
    rows = [("peak", f"{outcome.peak}{reached}")]
    rows.append(("at the end", str(outcome.count)))
    rows.append(("limit", "none" if not outcome.limit else str(outcome.limit)))
    if outcome.buckets:
        rows.append(("buckets", str(outcome.buckets)))
    if outcome.verdicts is not None:
        shown = [f"{name} {count}" for name, count in zip(STATES, outcome.verdicts, strict=True) if count]
        rows.append(("packets", ", ".join(shown) or "none"))
    rows.append(("refused", f"{outcome.refused}" + (_refusals(outcome, found) if outcome.refused else "")))
    told = ("early_drop", "insert_failed", "chain_toolong", "invalid", "error")
    moved = [f"{name} {outcome.counters[name]}" for name in told if outcome.counters.get(name)]
    if moved:
        rows.append(("counters", ", ".join(moved)))
    if outcome.kernel_bytes:
        rows.append(("memory", f"about {outcome.kernel_bytes / (1 << 20):.1f} MiB in the kernel at the peak"))
    for name, text in rows:
        page.text(text, lead=f"{name:<12}")
    _holders(page, outcome, found.first_ns)
    if outcome.log:
        page.title("WHAT DMESG WOULD SHOW")
        for line in outcome.log[:MOST_LINES]:
            page.add((f"  {line}", "evidence"))
        if len(outcome.log) > MOST_LINES:
            page.text(f"and {len(outcome.log) - MOST_LINES} more lines", "dim")


def _refusals(outcome: Outcome, found: Replay) -> str:
    begin, end = outcome.refused_from_ns, outcome.refused_to_ns
    if begin is None or end is None:
        return ""
    return f", between {(begin - found.first_ns) / 1e9:.3f} s and {(end - found.first_ns) / 1e9:.3f} s"


def _compared(page: Page, outcomes: Sequence[Outcome], width: int) -> None:
    """Several settings side by side: a row each; a long setting has a line of its own above its numbers."""
    page.title("SIDE BY SIDE")
    names = ("peak", "limit", "refused", "evicted", "invalid", "at end")
    room = width - 2 - CELL * len(names)
    labels = [harmless(outcome.setting.label) for outcome in outcomes]
    widest = max(7, *map(len, labels))
    above = widest > room
    lead = 2 if above else widest + 2
    page.add((f"{'' if above else '  setting':<{lead}}" + "".join(f"{name:>{CELL}}" for name in names), "strong"))
    for outcome, label in zip(outcomes, labels, strict=True):
        counters = outcome.counters
        cells = (
            *(figure(outcome.peak), figure(outcome.limit) if outcome.limit else "none", str(outcome.refused)),
            *(str(counters.get("early_drop", "?")), str(counters.get("invalid", "?")), figure(outcome.count)),
        )
        numbers = ("".join(f"{cell:>{CELL}}" for cell in cells), "")
        style = "worst" if outcome.refused else "good"
        if above:
            page.text(label, style)
            page.add(("  ", ""), numbers)
        else:
            page.add((f"  {label:<{widest}}", style), numbers)


def render(found: Replay, extra: Sequence[str], width: int, blocks: str = BLOCKS) -> Page:
    """The page for a person. ``extra``: what else is to be said, such as damage."""
    page = Page(width)
    first = found.outcomes[0]
    if _seen(found):
        page.text(headline(first), "worst" if first.refused else "good", indent=0)
    else:
        page.text(NOTHING, "worst", indent=0)
    what = "events" if first.verdicts is None else "packets"
    page.text(
        f"{found.packets} {what} in {(found.last_ns - found.first_ns) / 1e9:.3f} s, Linux {first.setting.kernel}.",
        indent=0,
    )
    said = [*extra, *notes(found), *first.notes]
    if said:
        page.title("HOW IT WAS TAKEN")
        for line in said:
            page.text(line, lead="- ")
    if len(found.outcomes) > 1:
        _compared(page, found.outcomes, width)
    _outcome(page, found, first, width, blocks)
    return page


def as_object(found: Replay, extra: Sequence[str]) -> dict[str, Any]:
    """The object for a machine; times in nanoseconds of the packets' clock."""
    return {
        "schema": SCHEMA,
        "tool": __version__,
        "packets": found.packets,
        "first_ns": found.first_ns,
        "last_ns": found.last_ns,
        "interval_ns": found.interval_ns,
        "not_ip": found.not_ip,
        "seen_twice": found.second_sightings,
        "out_of_order": found.backwards,
        "cut_short": found.cut_short,
        "offloaded": found.offloaded,
        "notes": [*extra, *notes(found)],
        "outcomes": [_outcome_object(outcome, _seen(found)) for outcome in found.outcomes],
    }


def _outcome_object(outcome: Outcome, seen: bool) -> dict[str, Any]:
    held = outcome.held
    return {
        "setting": outcome.setting.label,
        "kernel": outcome.setting.kernel,
        "sysctls": dict(outcome.setting.sysctls),
        "notrack": outcome.setting.notrack,
        "headline": headline(outcome) if seen else NOTHING,
        "full": bool(outcome.refused) if seen else None,
        "limit": outcome.limit,
        "buckets": outcome.buckets,
        "peak": outcome.peak,
        "peak_ns": outcome.peak_ns,
        "count": outcome.count,
        "refused": outcome.refused,
        "refused_openings": outcome.refused_openings,
        "refused_from_ns": outcome.refused_from_ns,
        "refused_to_ns": outcome.refused_to_ns,
        "verdicts": None if outcome.verdicts is None else dict(zip(STATES, outcome.verdicts, strict=True)),
        "counters": outcome.counters,
        "kernel_bytes": outcome.kernel_bytes,
        "log": outcome.log,
        "notes": outcome.notes,
        "holders": None
        if held is None
        else {
            "time_ns": held.time_ns,
            "count": held.count,
            "assured": held.assured,
            "unreplied": held.unreplied,
            "own": list(held.own),
            "sources": dict(held.sources),
            "destinations": dict(held.destinations),
            "ports": dict(held.ports),
            "states": dict(held.states),
        },
    }


def timeline(found: Replay) -> dict[str, list[Any]]:
    """Columns of the timeline: a row an interval and setting; packets and counters since the start.

    Recorded events hold no packets: what only packets tell is None there, ``drop`` is how many found no room.
    """
    table: dict[str, list[Any]] = {"setting": [], "time_s": [], "count": [], "high": []}
    names = (*STATES, *COUNTED)
    table |= {name: [] for name in names}
    for outcome in found.outcomes:
        unknown = outcome.verdicts is None
        for sample in outcome.samples:
            row = (outcome.setting.label, sample.time_ns / 1e9, sample.entries, sample.high)
            told = [
                None if unknown and name != "drop" else value
                for name, value in zip(names, (*sample.verdicts, *sample.counted), strict=True)
            ]
            for column, value in zip(table.values(), (*row, *told), strict=True):
                column.append(value)
    return table
