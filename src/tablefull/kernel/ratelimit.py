"""The kernel's limit on log lines, and what a limited log says about the packets behind it.

The trap: ``321 callbacks suppressed`` is one number for every network message of the whole machine, belongs to the
window *before* its line, and says nothing about the gap between two log lines. Dividing by that gap is the common
mistake: a window is five seconds long however long afterwards its line was printed.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from tablefull.kernel.answer import NO_KERNEL, Answer, by_version, unknown
from tablefull.kernel.identity import KernelVersion, at_least, between

# net.core.message_cost and net.core.message_burst: 5 s and 10 lines in every version. [ratelimit all trees; measured
# 6.18.44]
INTERVAL_S = 5.0
BURST = 10

Algorithm = Literal["token-bucket", "window"]
EventKind = Literal["printed", "suppressed", "other"]
# (uptime or clock in seconds, or None where the line has no time; what it is; how many)
Event = tuple[float | None, EventKind, int]

_SOURCE = "lib/ratelimit.c and net/core/utils.c, trees 2.6.18 to 6.19; defaults measured on 6.18.44"


class WindowBehaviour(Struct, frozen=True):
    """How one kernel limits: ``spelling`` is the start of its suppressed line; ``loses_counts`` makes its number a
    floor.
    """

    algorithm: Algorithm
    spelling: str
    loses_counts: bool
    sentence: str


def window_behaviour(kernel: KernelVersion | None) -> Answer[WindowBehaviour]:
    """The limiter of this kernel; unknown without a version.

    [printk.c 2.6.18: token bucket; ratelimit 2.6.30.4, 2.6.32.69, EL6: named __ratelimit; 2.6.34 on: net_ratelimit;
    2.6.34..6.14 use a trylock and forget the calls that lose it, the 6.17 tree counts them]. The step from one to the
    other lies between 2.6.21 and 2.6.30; 2.6.27 is from general knowledge.
    """
    if kernel is None:
        return unknown(NO_KERNEL)
    if not at_least(kernel, 2, 6, 27):
        return by_version(
            WindowBehaviour(
                "token-bucket",
                "printk: N messages suppressed.",
                False,
                "after a burst of 10 lines this kernel prints one line per 5 s; the number before a line counts what"
                " was"
                " hidden since the line before",
            ),
            "kernel/printk.c and net/core/utils.c of 2.6.18, 2.6.21",
        )
    old = between(kernel, (2, 6, 27), (2, 6, 33))
    loses = not old and not at_least(kernel, 6, 17)
    return by_version(
        WindowBehaviour(
            "window",
            "__ratelimit: N callbacks suppressed" if old else "net_ratelimit: N callbacks suppressed",
            loses,
            "this kernel prints at most 10 lines per window of 5 s and, with the next line, how many it hid"
            + ("; calls that met a busy lock are hidden and not counted, so the number is a floor" if loses else ""),
        ),
        _SOURCE,
    )


def algorithm_of(text: str) -> Algorithm | None:
    """Which limiter wrote this suppressed line: ``printk: N messages suppressed`` the old one, ``callbacks`` the
    window.
    """
    low = text.lower()
    if "callbacks suppressed" in low:
        return "window"
    return "token-bucket" if "messages suppressed" in low else None


class Estimate(Struct, frozen=True):
    """What the log lines say about dropped packets.

    ``dropped_min``: lines of this kind in the evidence, each one packet for certain. ``dropped_estimate``: packets in
    the windows that ``window_s`` spans. ``rate_per_s``: their quotient. ``exact``: nothing was hidden, the lines are
    the count. ``undercounts``: the true number is higher for a reason ``how`` gives. ``shared_with``: other messages
    use the same limit in this evidence, so part of the hidden ones are theirs. ``window_s``/``rate_per_s`` are None
    where no time is known, or where what is here is a floor.
    """

    dropped_min: int
    dropped_estimate: int
    window_s: float | None
    rate_per_s: float | None
    how: str
    undercounts: bool
    shared_with: bool
    exact: bool


def estimate(
    events: Sequence[Event],
    kernel: KernelVersion | None = None,
    *,
    algorithm: Algorithm | None = None,
    interval_s: float = INTERVAL_S,
    burst: int = BURST,
) -> Estimate | None:
    """Dropped packets behind the ordered log lines of one host; None when no line of this kind is in them.

    ``printed`` events are lines of the message in question, ``other`` ones any further message of the same rate limit,
    ``suppressed`` the number in a suppressed line. ``algorithm`` (from :func:`algorithm_of`) beats the kernel's
    version. ``interval_s`` 0 (message_cost 0) means no limiting: the lines are the count.
    """
    printed = sum(n for _, kind, n in events if kind == "printed")
    if printed == 0:
        return None
    hidden = [(when, n) for when, kind, n in events if kind == "suppressed" and n > 0]
    shared = any(kind == "other" for _, kind, _ in events)
    times = [when for when, kind, _ in events if when is not None and kind == "printed"]
    span_s = max(times) - min(times) if len(times) > 1 else 0.0
    if interval_s <= 0:
        return _counted(printed, span_s, shared, "message_cost is 0, so every dropped packet printed its line")
    behaviour = window_behaviour(kernel).value
    if algorithm is None:
        algorithm = behaviour.algorithm if behaviour else "window"
    if algorithm == "token-bucket":
        return _token_bucket(events, printed, hidden, span_s, shared, interval_s, burst)
    loses = behaviour.loses_counts if behaviour and behaviour.algorithm == "window" else kernel is None
    if not hidden:
        return _nothing_hidden(events, printed, span_s, shared, interval_s, burst)
    return _windows(events, printed, hidden, shared, loses, interval_s, burst)


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _counted(printed: int, span_s: float, shared: bool, why: str) -> Estimate:
    window_s = span_s if span_s > 0 else None
    rate = printed / window_s if window_s else None
    shown = f"{_lines(printed)} = {printed} dropped packets ({why})"
    return Estimate(printed, printed, window_s, rate, shown, False, shared, True)


def _fullest_window(events: Sequence[Event], interval_s: float) -> int:
    """Most lines of any kind within one interval; all of them where a line has no time."""
    shown = [(when, n) for when, kind, n in events if kind != "suppressed"]
    if any(when is None for when, _ in shown):
        return sum(n for _, n in shown)
    times = sorted((when, n) for when, n in shown if when is not None)
    best = held = first = 0
    for when, n in times:
        held += n
        while when - times[first][0] >= interval_s:
            held -= times[first][1]
            first += 1
        best = max(best, held)
    return best


def _nothing_hidden(
    events: Sequence[Event],
    printed: int,
    span_s: float,
    shared: bool,
    interval_s: float,
    burst: int,
) -> Estimate:
    """No suppressed line: exact, unless a window used up its burst and its report is not here (the end of the log, a
    grep).
    """
    timed = any(when is not None for when, _, _ in events)
    window_s = max(span_s, interval_s) if timed else None
    rate = printed / window_s if window_s else None
    if _fullest_window(events, interval_s) < burst:
        how = f"{_lines(printed)} and no suppressed line: fewer than {burst} in {interval_s:g} s, so they are the count"
        return Estimate(printed, printed, window_s, rate, how, False, shared, True)
    how = (
        f"{_lines(printed)}; {interval_s:g} s of them hold all {burst} the limit lets through and no line says how many"
        " more were hidden, so this is a floor"
    )
    # Ten lines within a tenth of a second are no two a second: how long the hidden ones went on is not here either.
    return Estimate(printed, printed, None, None, how, True, shared, False)


def _windows(
    events: Sequence[Event],
    printed: int,
    hidden: Sequence[tuple[float | None, int]],
    shared: bool,
    loses: bool,
    interval_s: float,
    burst: int,
) -> Estimate:
    """Each suppressed line closes one window of ``burst`` printed and N hidden messages."""
    total, closed = 0.0, 0
    mine, others = 0, 0
    all_mine = sum(n for _, kind, n in events if kind == "printed")
    all_others = sum(n for _, kind, n in events if kind == "other")
    for _, kind, n in events:
        if kind == "printed":
            mine += n
        elif kind == "other":
            others += n
        elif n > 0:
            # A window whose own lines are not in the evidence is shared out like the evidence as a whole.
            share = mine / (mine + others) if mine + others else all_mine / (all_mine + all_others)
            total += (burst + n) * share
            closed += 1
            mine = others = 0
    window_s = closed * interval_s
    counted, sum_hidden = round(total), sum(n for _, n in hidden)
    how = (
        f"{sum_hidden} suppressed + {burst * closed} printed in "
        + (f"the {interval_s:g} s window" if closed == 1 else f"the {closed} windows of {interval_s:g} s")
        + f" before = {sum_hidden + burst * closed}"
    )
    if shared:
        how += f", of which about {counted} by the share of the lines that are of this kind"
    if counted < printed:
        # Little was hidden: the lines printed since the last suppressed one weigh more than the closed windows.
        counted, window_s = counted + mine, window_s + interval_s
        how += f"; with the {mine} printed since = {counted}"
    counted = max(counted, printed)
    rate = counted / window_s
    how += f" in {window_s:g} s = {_number(rate)}/s"
    how += f"; {_lines(printed)} here, each one packet for certain"
    if loses:
        how += "; under contention this kernel hides without counting, so it may be more"
    return Estimate(printed, counted, window_s, rate, how, loses, shared, False)


def _token_bucket(
    events: Sequence[Event],
    printed: int,
    hidden: Sequence[tuple[float | None, int]],
    span_s: float,
    shared: bool,
    interval_s: float,
    burst: int,
) -> Estimate:
    """2.6.18: the number before a line covers the time since the one before; a busy host prints one per 5 s."""
    if not hidden:
        if printed < burst:
            return _counted(printed, span_s, shared, "no suppressed line, and the burst of 10 was not used up")
        how = f"{_lines(printed)} and no suppressed line; at one line per {interval_s:g} s this is a floor"
        return Estimate(
            printed, printed, span_s or None, printed / span_s if span_s else None, how, True, shared, False
        )
    total, window_s, assumed = 0, 0.0, 0
    before: float | None = None
    pending, pending_time = 0, None
    seen = False
    for when, kind, n in events:
        if kind == "suppressed":
            pending, pending_time = pending + n, when
            continue
        if pending:
            now = when if when is not None else pending_time
            gap = now - before if now is not None and before is not None and now > before else 0.0
            if gap <= 0:
                gap, assumed = interval_s, assumed + 1
            total, window_s, pending = total + pending + n, window_s + gap, 0
        elif seen:
            total += n
            window_s += when - before if when is not None and before is not None and when > before else 0.0
        before, seen = when if when is not None else before, True
    if pending:
        total, window_s, assumed = total + pending, window_s + interval_s, assumed + 1
    total = max(total, printed)
    rate = total / window_s
    how = f"{sum(n for _, n in hidden)} suppressed with the lines that report them = {total} in {window_s:g} s"
    how += f" = {_number(rate)}/s"
    if assumed:
        how += f" (a busy 2.6.18 prints one line per {interval_s:g} s; no time of the line before is in the evidence)"
    how += f"; {_lines(printed)} here, each one packet for certain"
    return Estimate(printed, total, window_s, rate, how, False, shared, False)
