"""The answer of a plan: one of keep, raise, instead, wrong or blind, its sentence, the line to follow, and its doubts.

The trap: evidence that is short, made up, or of a table that was still filling gives a number as precise as any other.
So what it stands on is part of the answer, and where nothing was there to be measured there is no number at all.
"""

from typing import Literal

from msgspec import Struct, field

from tablefull.fixes.capacity import Given, Option, Wrong, entry_bytes, judged, option, rising, short
from tablefull.fixes.sizing_plans import RAM_SHARE, not_by_size, room_for
from tablefull.kernel import sizing
from tablefull.live.plan_values import Study
from tablefull.twin.planning import STEADY, dispersion

Standing = Literal["keep", "raise", "instead", "wrong", "blind"]
CHEAP_SHARE = 0.01  # of the memory: what a larger table may cost without a second thought
WORTH = 0.8  # an alternative is one where the need falls to this or below
DAY_S, HOUR_S = 86400, 3600
# The states after a connection ended: their timeouts protect nothing that is still in use.
HARMLESS = frozenset(f"nf_conntrack_tcp_timeout_{state}" for state in ("time_wait", "fin_wait", "last_ack", "close"))
_BY_CAUSE = {
    "scan-or-p2p": "rate-limit-or-block-source",
    "app-connection-loop": "rate-limit-or-block-source",
    "syn-flood-or-ddos": "shorten-timeouts",
    "long-established-timeout": "shorten-timeouts",
}


class Capacity(Struct, kw_only=True):
    """The whole answer. ``options`` begin with the table as it is; ``most``: what fits into the share of the memory."""

    study: Study
    given: Given
    options: list[Option]
    wrong: list[Wrong]
    standing: Standing
    headline: str
    advice: str
    rising: bool = False
    most: int | None = None
    entry_bytes: int = 0
    doubts: list[str] = field(default_factory=list)


def answer(study: Study, given: Given) -> Capacity:
    """The plan. ``study.options`` are what was tried instead."""
    wrong = judged(study)
    leak = any(one.cause == "long-established-timeout" for one in wrong)
    spread = dispersion(study.base.births)
    options = [option(one, given, spread, given.limit, leak) for one in (study.base, *study.options)]
    each = entry_bytes(given) + sizing.bucket_bytes(given.kernel)
    found = Capacity(
        study=study, given=given, options=options, wrong=wrong, standing="blind", headline="", advice="",
        rising=rising(study.base), most=room_for(given.ram_bytes, each) if given.ram_bytes else None,
        entry_bytes=each,
    )  # fmt: skip
    _stand(found)
    found.doubts = _doubts(found, spread)
    return found


def _stand(found: Capacity) -> None:
    base, given = found.options[0], found.given
    if not base.peak:
        found.headline = "Nothing was there to be tracked: no limit can be planned from this."
        found.advice = "Record the host while it is busy: tablefull record -o events --duration 1h"
        return
    raised = f"nf_conntrack_max to {base.room.limit:,} over {base.buckets:,} buckets"
    if found.wrong:
        first = found.wrong[0]
        found.standing = "wrong"
        found.headline = f"Do not raise the limit first: {not_by_size(first.cause)}."
        found.advice = f"{first.instead[:1].upper()}{first.instead[1:]}{_measured(_answering(found, first))}."
        return
    if given.limit == 0 or (given.limit and given.limit >= base.room.limit):
        found.standing = "keep"
        found.headline = (
            "Nothing to raise: nf_conntrack_max is 0, which is no limit."
            if not given.limit
            else f"Leave the limit at {given.limit:,}: with growth and bursts {base.room.limit:,} are needed."
        )
        found.advice = "Nothing needs to be changed; plan again when the traffic has changed."
        return
    best = _best(found)
    if found.most is not None and base.room.limit > found.most:
        found.standing = "instead"
        found.headline = (
            f"Do not raise the limit: the {base.room.limit:,} entries it would need do not fit into"
            f" 1/{RAM_SHARE} of the memory, which holds {found.most:,}."
        )
        fits = best is not None and best.room.limit <= found.most
        found.advice = (
            f"{best.change.label}: the need falls from {base.need:,} to {best.need:,} entries, the limit to"
            f" {best.room.limit:,}, which {'fits' if fits else 'does not fit either: scale out or add memory'}."
            if best is not None
            else "Nothing that was tried brings the need down: scale out, or add memory."
        )
        return
    found.standing = "raise"
    found.headline = f"Raise {raised}."
    share = base.full_bytes / given.ram_bytes if given.ram_bytes else None
    cost = f"it costs {mib(base.full_bytes)} when full"
    if share is not None:
        cost += f", {share:.2%} of the memory"
    cheap = share is None or share <= CHEAP_SHARE
    found.advice = (
        f"Set {raised}: the load is legitimate as far as the evidence shows, {cost}, and nobody loses a connection"
    )
    harmless = _best(found, harmless=True)
    other = harmless if cheap else best
    if other is not None:
        found.advice += (
            f". Besides, {other.change.label} brings the need from {base.need:,} to {other.need:,}"
            f" (protection lost: {other.lost})"
        )
    found.advice += "."


def _answering(found: Capacity, first: Wrong) -> Option | None:
    wanted = _BY_CAUSE.get(first.cause)
    fitting = [one for one in found.options[1:] if one.change.id == wanted]
    return min(fitting, key=lambda one: (_heads_to(one), len(one.change.sysctls)), default=None)


def _heads_to(one: Option) -> int:
    return max(one.peak, one.level or 0)


def _measured(one: Option | None) -> str:
    if one is None:
        return ""
    return f" ({one.change.label}: {one.peak:,} entries at most" + (
        f", heading for {one.level:,})" if one.level is not None else ")"
    )


def _best(found: Capacity, harmless: bool = False) -> Option | None:
    """What brings the need down most; ``harmless``: among what takes no protection away."""
    base = found.options[0]
    useful = [one for one in found.options[1:] if one.need <= WORTH * base.need]
    if harmless:
        useful = [one for one in useful if one.change.sysctls and HARMLESS.issuperset(one.change.sysctls)]
    return min(useful, key=lambda one: (one.need, len(one.change.sysctls)), default=None)


def mib(size: int) -> str:
    """Bytes as MiB or GiB."""
    if size >= 1 << 30:
        return f"{size / (1 << 30):.1f} GiB"
    return f"{size / (1 << 20):.1f} MiB"


def span(seconds: float) -> str:
    """A time in the unit a person would choose."""
    for unit, size in (("days", DAY_S), ("h", HOUR_S), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"


def _doubts(found: Capacity, spread: float | None) -> list[str]:
    """What the answer does not stand on."""
    study, said = found.study, list[str]()
    base = study.base
    if study.kind == "workload":
        said.append(f"The traffic is made up, {span(study.span_s)} of it: the answer is as right as its numbers are.")
    elif study.kind != "look":
        said.append(_length(study.span_s))
    if study.kind == "packets":
        said.append("Entries that were there before the capture are seen only where a packet of theirs came.")
    if base.before:
        said.append(
            f"{base.before:,} entries were there before the record began; how long they had lived is not known,"
            " and rate and lifetime leave them out."
        )
    elif base.before == 0 and base.peak and study.kind == "events":
        said.append("No entry is known from before the record: those that sent no event in it are not counted.")
    if base.little is not None and base.little.apart is not None and abs(base.little.apart) > STEADY:
        told = (
            "" if not base.little.open_lives else f" {base.little.open_lives:,} of {base.little.lives:,} had not ended."
        )
        said.append(
            "Rate x lifetime and the mean that was seen differ by more than a tenth: the table was not level, or lives"
            f" are longer than the evidence.{told}"
        )
    if found.rising and base.peak:
        said.append(
            "The table was still rising when the evidence ended: the peak is not known, only the highest so far."
        )
    if base.little is None and base.peak:
        said.append("No entry began and ended in the evidence: how long they live is not known.")
    if spread is None and base.peak:
        said.append("Too little began to tell how bursty beginnings are; they are taken as random (Poisson).")
    if study.held is not None and study.held.count < 20 and base.peak:
        said.append("There were fewer than 20 entries: what they are made of says nothing.")
    if found.given.kernel is None:
        said.append("The kernel is not known: the costliest usual entry is reckoned with.")
    if found.given.ram_bytes is None:
        said.append("The memory is not known (--ram): whether the table fits was not checked.")
    return said + study.notes


def _length(seconds: float) -> str:
    if seconds >= 7 * DAY_S:
        return f"The evidence is {span(seconds)} long: every hour of a week is in it."
    if seconds >= DAY_S:
        return f"The evidence is {span(seconds)} long: a busy hour of those days is in it, a busier day may not be."
    return (
        f"The evidence is {span(seconds)} long, {seconds / DAY_S:.1%} of a day: the busiest hour may not be in it;"
        " record a whole day to know."
    )


__all__ = ["Capacity", "Standing", "answer", "mib", "short", "span"]
