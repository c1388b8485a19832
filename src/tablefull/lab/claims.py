"""What a scene set out to show, and whether it was seen: each claim with the figures it rests on.

The trap: a scene that only claims is a story. So a claim that was not measured is not held, and one that does not apply
(a table that could not be filled on this host) is left out and said so.
"""

from msgspec import Struct

from tablefull.lab.course import Moment, Played

BEFORE, DURING, AFTER = 0.99, 0.90, 1.0  # success rates: at least, below, at least
FIRST_CAUSES = 3
NEAR = 0.02  # of the count: entries come and go between the two looks


class Claim(Struct, frozen=True):
    """``figures`` says what was measured."""

    id: str
    text: str
    holds: bool
    figures: str


def claims(played: Played) -> list[Claim]:
    """In the order of the scene."""
    found = [_rate("before", "Before: who asks is answered", played.during("calm"), at_least=BEFORE)]
    if played.room != "shown":
        full = played.peak is not None and played.peak >= played.limit and bool(played.refused)
        found.append(
            Claim(
                "full", "The table is full and refuses", full,
                f"{_number(played.peak)} entries of {played.limit:,}, {_number(played.refused)} packets refused",
            )
        )  # fmt: skip
        lines = [line for line in played.log if "table full" in line]
        found.append(
            Claim("log", "The kernel says so", bool(lines), f"{len(lines)} lines: {lines[0]}" if lines else "no line")
        )
        found.append(_rate("during", "Meanwhile visitors wait in vain", played.during("full"), below=DURING))
        if played.neighbour:
            text = f"The {played.neighbour} on the same host is served meanwhile"
            found.append(_rate("beside", text, played.during("full", beside=True), at_least=BEFORE))
        found += [_asked(played), _counted(played), _named(played)]
    found.append(_rate("after", "After the fix: all are answered again", played.during("after"), at_least=AFTER))
    return found


def _rate(
    name: str, text: str, moment: Moment | None, at_least: float | None = None, below: float | None = None
) -> Claim:
    if moment is None or moment.share is None:
        return Claim(name, text, False, "nobody asked")
    holds = moment.share >= at_least if at_least is not None else below is not None and moment.share < below
    return Claim(name, text, holds, told(moment))


def _asked(played: Played) -> Claim:
    text = "why knows that tracking is on, and who asks for it"
    if played.asked is None:
        return Claim("why", text, False, "it was not asked")
    holds = any(one.endswith(" yes") for one in played.asked.active) and bool(played.asked.reasons)
    return Claim("why", text, holds, f"{', '.join(played.asked.active)}; {', '.join(played.asked.reasons) or 'nobody'}")


def _counted(played: Played) -> Claim:
    text = "table counts what the kernel counts"
    told = played.counted
    if told is None or not told.count:
        return Claim("table", text, False, "it was not asked")
    shares = ", ".join(f"{state} {percent(share)}" for state, share in told.states)
    holds = abs(told.entries - told.count) <= NEAR * told.count
    return Claim("table", text, holds, f"{told.entries:,} beside {told.count:,}; {shares}")


def _named(played: Played) -> Claim:
    text = "diagnose names the cause"
    if played.diagnosed is None:
        return Claim("diagnose", text, False, "it was not asked")
    causes = [one.id for one in played.diagnosed.causes]
    holds = played.diagnosed.table_full == "yes" and any(one in causes[:FIRST_CAUSES] for one in played.expected)
    first = ", ".join(f"{one.id} {one.confidence:.2f}" for one in played.diagnosed.causes[:FIRST_CAUSES]) or "no cause"
    return Claim("diagnose", text, holds, f"table full: {played.diagnosed.table_full}; {first}")


def told(moment: Moment) -> str:
    """``100 % (236 of 236), half within 0.4 ms, 95 % within 0.7 ms``."""
    if moment.share is None or moment.p50_ms is None or moment.p95_ms is None:
        return "nobody asked"
    return (
        f"{percent(moment.share)} ({moment.answered:,} of {moment.asked:,}), "
        f"half within {milliseconds(moment.p50_ms)}, 95 % within {milliseconds(moment.p95_ms)}"
    )


def percent(share: float) -> str:
    """100 % only where it is all, 0 % only where it is none."""
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    return f"{min(99.9, max(0.1, share * 100)):.1f} %"


def milliseconds(value: float) -> str:
    """Three figures at most."""
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"
