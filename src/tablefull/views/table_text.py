"""A look at the table as a page for a person, and as an object for a machine.

The trap: a share out of a sample looks like a fact. So each stands beside its interval, the number of entries it stands
for is called "about", and only the total, which the kernel counted, is exact.
"""

from typing import TYPE_CHECKING, Any

from tablefull import __version__
from tablefull.facts.origin import Hole
from tablefull.live.table import Made, Reading, Share, interval
from tablefull.live.table_look import OWN, Look
from tablefull.views.terminal import Page, harmless

if TYPE_CHECKING:
    from tablefull.live.spaces import Space

SCHEMA = "tablefull/table/1"
SHORT_KEY = 24
WARNING_SHARE, CRITICAL_SHARE = 0.85, 0.95


def headline(seen: Look) -> tuple[str, str]:
    """The first line and its style."""
    reading = seen.reading
    where = "" if seen.namespace == OWN else f" in {harmless(seen.namespace)}"
    if reading is None or reading.total is None:
        return f"Who fills the table{where} could not be seen.", "worst"
    if _beside(seen):
        return _headline_of_all(seen.spaces)
    if not reading.limit:
        known = "without a limit" if reading.limit == 0 else "the limit is not told"
        return f"{reading.total:,} entries{where}, {known}.", "strong"
    share = reading.total / reading.limit
    style = "worst" if share >= CRITICAL_SHARE else "bad" if share >= WARNING_SHARE else "good"
    return f"{reading.total:,} entries{where}, {share:.1%} of the limit of {reading.limit:,}.", style


def _beside(seen: Look) -> bool:
    """Whether every namespace was asked for, rather than one beside the others."""
    return seen.namespace == OWN and len(seen.spaces) > 1


def _headline_of_all(spaces: "list[Space]") -> tuple[str, str]:
    """The limit is one number, and each namespace's own count is held against it. [KERNEL.md 2.2; core 6.18.2]"""
    told = [space for space in spaces if space.count is not None]
    least = "at least " if len(told) < len(spaces) else ""
    line = f"{least}{sum(space.count or 0 for space in told):,} entries in {len(spaces)} namespaces"
    if least:
        line += f", {len(spaces) - len(told)} of them not seen"
    line = line[0].upper() + line[1:]
    limited = [space for space in told if space.limit]
    fullest = max(limited, key=lambda each: (each.count or 0) / (each.limit or 1), default=None)
    if fullest is None or not fullest.limit:
        return f"{line}.", "strong"
    share = (fullest.count or 0) / fullest.limit
    style = "worst" if share >= CRITICAL_SHARE else "bad" if share >= WARNING_SHARE else "good"
    which = f"{'the fullest seen' if least else 'the fullest'}, {harmless(fullest.key)}"
    return f"{line}; {which}, holds {share:.1%} of the limit of {fullest.limit:,}.", "strong" if least else style


def _how(reading: Reading, where: str | None) -> str:
    if reading.sampled:
        text = (
            f"{reading.read:,} of them were read in {reading.took_s * 1000:.0f} ms: a fair sample, because the hash is "
            "keyed. Shares have their 95 % interval beside them."
        )
    else:
        text = f"All {reading.read:,} were read in {reading.took_s:.2f} s from {reading.source}."
    if where is not None and reading.sampled and not reading.matched:
        most = interval(0, reading.read, reading.total)[1] * (reading.total or 0)
        text += f" None of them matches: at most {most:,.0f} of all do (95 %); --full counts them."
    elif where is not None:
        part = reading.matched / reading.read if reading.read else 0
        about = f", about {round(part * (reading.total or 0)):,} of all" if reading.sampled else ""
        text += f" {reading.matched:,} match ({part:.1%}{about}); shares are of those."
    return text


def render(seen: Look, top: int, width: int, where: str | None = None) -> Page:
    """The page."""
    page = Page(width)
    line, style = headline(seen)
    page.text(line, style, indent=0)
    reading = seen.reading
    if reading is not None:
        if _beside(seen):
            page.text("What follows is this one's alone; --netns NAME shows another.", indent=0)
        page.text(_how(reading, where), indent=0)
        for made in reading.made:
            _made(page, made, reading, seen, top, width)
        _orphans(page, seen)
    if seen.spaces:
        _spaces(page, seen.spaces, width)
    _unseen(page, seen)
    return page


def _made(page: Page, made: Made, reading: Reading, seen: Look, top: int, width: int) -> None:
    page.title(f"BY {made.dimension.upper()}")
    shown = made.shares[:top]
    labels = [_label(share, seen) for share in shown]
    room = max(16, width - (43 if reading.sampled else 24))
    widest = min(room, max((len(label) for label in labels), default=0))
    population = round((reading.total or 0) * reading.matched / reading.read) if reading.read else 0
    for share, label in zip(shown, labels, strict=True):
        text = label if len(label) <= widest else label[: widest - 1] + "…"
        if reading.sampled:
            about = f"about {round(share.share * population):,}"
            page.add((f"  {text:<{widest}}  {share.share:6.1%}  {share.low:5.1%} to {share.high:5.1%}  {about}", ""))
        else:
            page.add((f"  {text:<{widest}}  {share.share:6.1%}  {share.count:>12,}", ""))
    rest = made.distinct - len(shown)
    if rest > 0:
        left = 1 - sum(share.share for share in shown)
        scope = " in the sample" if reading.sampled else ""
        page.text(f"and {rest:,} more{scope}, {max(0.0, left):.1%} together", "dim")
    if not shown:
        page.text("no entry in the sample" if reading.sampled else "no entry", "dim")


def _label(share: Share, seen: Look) -> str:
    own = " (own address)" if len(share.key) == 5 and share.key in seen.own else ""
    return f"{harmless(share.label)}{own}"


def _orphans(page: Page, seen: Look) -> None:
    found, reading = seen.orphans, seen.reading
    if found is None or reading is None or not found.looked_at:
        return
    page.title("AGAINST THE SOCKETS HERE")
    scope = f"Of {found.looked_at:,} TCP connections of this host's own among the entries looked at"
    if not found.without:
        page.text(f"{scope}, each has its socket.")
        return
    page.text(
        f"{scope}, {found.without:,} ({found.without / found.looked_at:.0%}) are ESTABLISHED or CLOSE_WAIT in the "
        "table and have no socket any more: a long timer keeps them, or a close was missed.",
        "bad",
    )
    for example in found.examples:
        page.add((f"    {example}", "evidence"))


def _spaces(page: Page, spaces: "list[Space]", width: int) -> None:
    """Every namespace by its count. One that is not seen makes the sum a least, and shares of it nobody's."""
    page.title("BY NAMESPACE (the limit is one number, and holds for each by itself)")
    total = sum(space.count or 0 for space in spaces)
    whole = all(space.count is not None for space in spaces)
    widest = min(SHORT_KEY, max(8, *(len(space.key) for space in spaces)))
    for space in sorted(spaces, key=lambda each: -(each.count or 0)):
        count = "?" if space.count is None else f"{space.count:,}"
        share = f"{space.count / total:6.1%}" if space.count is not None and total and whole else "      "
        who = f"{space.processes} processes" if space.processes != 1 else "1 process"
        told = f"{space.role}, {who}, {space.command.strip()}" if space.command or space.processes else space.role
        tail = space.why or told
        line = f"  {harmless(space.key)[:widest]:<{widest}}  {count:>12}  {share}  {harmless(tail)}"
        page.add((line[:width], ""))
    together = f"{total:,}" if whole else f"{total:,}+"
    page.add((f"  {'together':<{widest}}  {together:>12}" + ("" if whole else "          what was seen"), "strong"))


def _unseen(page: Page, seen: Look) -> None:
    said = []
    reading = seen.reading
    if reading is not None:
        said += reading.notes
        if reading.interrupted:
            said.append("the table changed its size while it was read: some entries may be missing or counted twice")
        if reading.broken:
            said.append(f"{reading.broken} messages of the kernel could not be read")
    said += [_hole(hole) for hole in seen.holes]
    if said:
        page.title("WHAT COULD NOT BE SEEN")
        for line in said:
            page.text(harmless(line), lead="- ")


def _hole(hole: Hole) -> str:
    return f"{hole.what}: {hole.why}" + (f"; {hole.remedy}" if hole.remedy else "")


def as_json(seen: Look, top: int) -> str:
    """One object; shares are 0 to 1."""
    import msgspec

    reading = seen.reading
    told: dict[str, Any] = {"schema": SCHEMA, "tool": __version__, "netns": seen.namespace}
    if reading is not None:
        told |= {
            "entries": reading.total,
            "nf_conntrack_max": reading.limit,
            "source": reading.source,
            "read": reading.read,
            "matched": reading.matched,
            "sampled": reading.sampled,
            "interrupted": reading.interrupted,
            "unreadable_messages": reading.broken,
            "took_s": round(reading.took_s, 4),
            "by": {made.dimension: _shares(made, seen, top) for made in reading.made},
            "notes": reading.notes,
        }
    if seen.orphans is not None:
        told["without_socket"] = {
            "looked_at": seen.orphans.looked_at,
            "without": seen.orphans.without,
            "examples": list(seen.orphans.examples),
        }
    if seen.spaces:
        told["namespaces"] = [msgspec.to_builtins(space) for space in seen.spaces]
    told["unseen"] = [msgspec.to_builtins(hole) for hole in seen.holes]
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n"


def _shares(made: Made, seen: Look, top: int) -> dict[str, Any]:
    return {
        "distinct": made.distinct,
        "top": [
            {
                "key": share.label,
                "count": share.count,
                "share": round(share.share, 6),
                "low": round(share.low, 6),
                "high": round(share.high, 6),
                **({"own": share.key in seen.own} if len(share.key) == 5 else {}),
            }
            for share in made.shares[:top]
        ],
    }
