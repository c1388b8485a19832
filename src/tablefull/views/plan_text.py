"""A plan for a table's size as text for a person and as one object for a machine.

The trap: a limit stands on arithmetic that nobody believes unseen. So each number is printed with the numbers that it
was made of, and can be checked by hand.
"""

from datetime import UTC, datetime
from typing import Any

from tablefull import __version__
from tablefull.fixes.capacity import Option
from tablefull.fixes.capacity_answer import Capacity, mib, span
from tablefull.fixes.sizing_plans import RAM_SHARE
from tablefull.kernel import sizing
from tablefull.twin.planning import STEP
from tablefull.views.terminal import Page, harmless

SCHEMA = "tablefull/plan/1"
RECENT_NS = 10**18  # a time before 2001 is a clock that began with the run
_STYLE = {"keep": "good", "raise": "bad", "instead": "worst", "wrong": "worst", "blind": "worst"}
NARROW = 76


def when(time_ns: int, first_ns: int) -> str:
    """A moment: since the beginning, and the date where the clock has one."""
    since = f"{(time_ns - first_ns) / 1e9:.1f} s"
    if first_ns < RECENT_NS:
        return since
    return f"{since} ({datetime.fromtimestamp(time_ns // 10**9, UTC).strftime('%Y-%m-%d %H:%M:%S')} UTC)"


def render(found: Capacity, width: int) -> Page:
    """The page for a person."""
    page = Page(width)
    page.text(found.headline, _STYLE[found.standing], indent=0)
    for one in found.wrong:
        page.text(f"{one.why}.", lead="- ")
    if found.standing != "blind":
        page.text(_seen(found), indent=0)
        _how_high(page, found)
        _options(page, found)
    page.title("RECOMMENDED")
    page.text(found.advice, "strong")
    if found.doubts:
        page.title("WHAT THIS STANDS ON")
        for line in found.doubts:
            page.text(line, lead="- ")
    return page


def _seen(found: Capacity) -> str:
    base, study = found.options[0], found.study
    told = f"{base.peak:,} entries at most"
    if study.kind != "look":
        told += f", at {when(study.base.peak_ns, study.first_ns)}"
    limit = found.given.limit
    if limit is None:
        return f"{told}; the limit in force is not known (--max)."
    if not limit:
        return f"{told}; there is no limit."
    told += f"; the limit is {limit:,}"
    if base.refused:
        return f"{told}, and refuses {base.refused:,} {_refusals(found)}."
    return f"{told}: nothing is refused." if base.refused == 0 else f"{told}."


def _refusals(found: Capacity) -> str:
    return "packets" if found.study.kind in ("packets", "workload") else "entries"


def _how_high(page: Page, found: Capacity) -> None:
    base, given, room = found.options[0], found.given, found.options[0].room
    page.title("HOW HIGH")
    basis = "counted" if found.study.kind == "look" else "measured in a table without a limit"
    rows = [("needed", f"{base.peak:,}: a limit of so many would have refused nothing here ({basis})")]
    if base.level is not None:
        rows.append(("heading for", f"{base.level:,} at this rate, were nothing to change: rate x lifetime, below"))
    rows.append(("set to", _limit(base)))
    ratio = max(1, round(room.limit / base.buckets))
    buckets = f"{base.buckets:,}, one for {'each entry' if ratio == 1 else f'{ratio} entries'}"
    if given.buckets:
        chain = sizing.chain_mean(base.peak, given.buckets)
        buckets += f"; now {given.buckets:,}, where the peak makes {chain:.1f} in a bucket"
    rows.append(("buckets", buckets))
    memory = f"{mib(base.full_bytes)} when full, {found.entry_bytes} bytes an entry with its bucket"
    if given.ram_bytes:
        memory += f"; {base.full_bytes / given.ram_bytes:.2%} of {mib(given.ram_bytes)}"
    rows.append(("memory", memory))
    if found.most is not None:
        rows.append(("may go to", f"{found.most:,}: what fits into 1/{RAM_SHARE} of the memory"))
    law = found.study.base.little
    if law is not None:
        apart = "" if law.apart is None else f" ({law.apart:+.1%})"
        place = "the second half" if found.study.kind != "look" else "the look"
        told = f"{law.rate_per_s:,.4g} new entries/s x {law.lifetime_s:,.4g} s mean lifetime = {law.product:,.0f}"
        rows.append(("by hand", f"{told}; on average in {place}: {law.mean:,.0f}{apart}"))
    for name, text in rows:
        page.text(text, lead=f"{name:<12}")


def _limit(one: Option) -> str:
    room = one.room
    return (
        f"{room.limit:,} = {one.need:,} x {room.growth:g} (growth) + {room.burst:,} (bursts: {room.quantile:.4g}"
        f" quantile, spread {room.dispersion:.3g}), rounded up to {STEP:,}s"
    )


def _options(page: Page, found: Capacity) -> None:
    if len(found.options) < 2:
        return
    page.title("INSTEAD, OR BESIDES")
    heads = ("peak", "heading", "refused", "limit", "memory")
    labels = [harmless(one.change.label) for one in found.options]
    widest = max(10, *map(len, labels))
    cell = 11
    above = widest + 2 + cell * len(heads) > page.width
    lead = "" if above else f"{'  what':<{widest + 2}}"
    page.add((f"  {'':<{0}}" if above else lead, ""), ("".join(f"{head:>{cell}}" for head in heads), "strong"))
    for number, (one, label) in enumerate(zip(found.options, labels, strict=True)):
        cells = (
            f"{one.peak:,}",
            "" if one.level is None else f"{one.level:,}",
            "?" if one.refused is None else f"{one.refused:,}",
            f"{one.room.limit:,}",
            mib(one.full_bytes),
        )
        numbers = "".join(f"{value:>{cell}}" for value in cells)
        style = "strong" if not number else ""
        if above:
            page.text(label, style)
            page.add(("  ", ""), (numbers, ""))
        else:
            page.add((f"  {label:<{widest}}", style), (numbers, ""))
        if number:
            page.text(f"protection lost: {one.lost}", "dim", indent=4)


def as_object(found: Capacity) -> dict[str, Any]:
    """The object for a machine."""
    study, given, base = found.study, found.given, found.options[0]
    seen = found.standing != "blind"
    law = study.base.little
    return {
        "schema": SCHEMA,
        "tool": __version__,
        "standing": found.standing,
        "headline": found.headline,
        "advice": found.advice,
        "wrong": [{"cause": one.cause, "why": one.why, "instead": one.instead} for one in found.wrong],
        "needed": base.peak if seen else None,
        "needed_ns": study.base.peak_ns if seen else None,
        "heading_for": base.level,
        "limit": base.room.limit if seen else None,
        "buckets": base.buckets if seen else None,
        "full_bytes": base.full_bytes if seen else None,
        "growth": given.growth,
        "quantile": given.quantile,
        "spread": base.room.dispersion,
        "burst": base.room.burst,
        "present": {"limit": given.limit, "buckets": given.buckets, "ram_bytes": given.ram_bytes},
        "most_by_memory": found.most,
        "law": None
        if law is None
        else {
            "rate_per_s": law.rate_per_s,
            "lifetime_s": law.lifetime_s,
            "product": law.product,
            "mean": law.mean,
            "window_s": law.window_s,
            "lives": law.lives,
            "open_lives": law.open_lives,
        },
        "rising": found.rising,
        "evidence": {
            "source": study.source,
            "kind": study.kind,
            "first_ns": study.first_ns,
            "last_ns": study.last_ns,
            "span_s": study.span_s,
            "amount": study.amount,
            "before": study.base.before,
        },
        "options": [_option_object(one) for one in found.options] if seen else [],
        "stands_on": found.doubts,
    }


def _option_object(one: Option) -> dict[str, Any]:
    return {
        "fix": one.change.id or None,
        "what": one.change.label,
        "sysctls": dict(one.change.sysctls),
        "notrack": one.change.exempts,
        "peak": one.peak,
        "heading_for": one.level,
        "refused": one.refused,
        "evicted": one.evicted,
        "limit": one.room.limit,
        "buckets": one.buckets,
        "full_bytes": one.full_bytes,
        "protection_lost": one.lost,
    }


__all__ = ["as_object", "render", "span", "when"]
