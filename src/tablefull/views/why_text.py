"""Why tracking is on, as a page for a person and as an object for a machine.

The trap: whoever asks this wants to turn something off, at a bad hour. So the answer comes first, one line for each
namespace; beside each reason stands what stops without it; and "no" is printed only where it was seen to be no.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tablefull import __version__
from tablefull.facts.origin import Hole, Origin
from tablefull.live.why import Space, Why
from tablefull.rules.holds import Hold, State, Verdict
from tablefull.rules.returns import Return
from tablefull.views.terminal import Page, columns, harmless, shortened
from tablefull.views.wording import BASIS

if TYPE_CHECKING:
    from tablefull.live.prove import Proof

SCHEMA = "tablefull/why/1"
MOST_WHERE = 4
MOST_RETURNS = 12
MOST_NAMES = 6
_STYLE = {"yes": "bad", "no": "good", "unknown": "worst"}
_WORD = {"yes": "ON", "no": "off", "unknown": "not known"}
_STATES: tuple[State, ...] = ("yes", "unknown", "no")
_DOES = {"hooks": "turns it on", "loads": "loads it", "bridges": "leads bridged frames in"}
_ROUTE = (
    "For this a pair of virtual links was made in the namespace for a moment, one packet for each family was sent over "
    "it and thrown away, and all of it was removed."
)


def render(answer: Why, width: int, proofs: "dict[str, list[Proof]] | None" = None) -> Page:
    """The page: the answers, then the reasons, then what would bring it back, then what was not seen."""
    page = Page(width)
    if len(answer.spaces) == 1:
        _answer(page, answer.spaces[0])
    else:
        _answers(page, answer.spaces, evidence=answer.returns is None)
    _proved(page, answer.spaces, proofs or {})
    several = len(answer.spaces) > 1
    for alike in _alike(answer.spaces, asks=True):
        _reasons(page, alike, several)
    for alike in _alike(answer.spaces, asks=False):
        _taking(page, alike, several)
    _returns(page, answer.returns)
    _known(page, answer)
    _unseen(page, answer)
    return page


def active(space: Space) -> str:
    """``ON for IPv4 and IPv6, off for bridge``."""
    by_state: dict[str, list[str]] = {}
    for verdict in space.verdicts:
        by_state.setdefault(verdict.state, []).append(verdict.family)
    parts = [f"{_WORD[state]} for {listed(by_state[state])}" for state in _STATES if state in by_state]
    return ", ".join(parts) or "not known"


def _style(space: Space) -> str:
    states = {verdict.state for verdict in space.verdicts}
    return _STYLE[next((state for state in _STATES if state in states), "unknown")]


def _entries(space: Space) -> str:
    return "" if space.count is None else f" ({space.count:,} {'entry' if space.count == 1 else 'entries'} now)"


def _answer(page: Page, space: Space) -> None:
    """``Connection tracking is ON for IPv4, off for IPv6 (12 entries now).`` and what that means."""
    subject = "Connection tracking" + ("" if space.path is None else f" in {space.key}")
    page.text(f"{subject} is {active(space)}{_entries(space)}.", _style(space), indent=0)
    if space.who:
        page.text(f"{space.key}: {space.who}", "dim")
    for verdict in space.verdicts:
        if verdict.state != "yes" or not _asked(space, verdict):
            page.text(verdict.why, lead=f"{verdict.family}: ")
    on = [verdict.family for verdict in space.verdicts if verdict.state == "yes"]
    asking = [one for one in space.holds if one.asks]
    if on and asking:
        reasons = "the reason below is" if len(asking) == 1 else f"one of the {len(asking)} reasons below is"
        page.text(f"Every {listed(on, 'or')} connection here takes an entry as long as {reasons} there.")


def _asked(space: Space, verdict: Verdict) -> bool:
    """Whether a reason shown further down keeps this family on; otherwise the answer says itself how it is known."""
    return any(one.asks and verdict.family in one.families for one in space.holds)


def _answers(page: Page, spaces: Sequence[Space], *, evidence: bool) -> None:
    on = sum(1 for space in spaces if any(verdict.state == "yes" for verdict in space.verdicts))
    unknown = sum(1 for space in spaces if any(verdict.state == "unknown" for verdict in space.verdicts))
    places = "machines and namespaces shown" if evidence else "network namespaces"
    told = f"Connection tracking is ON in {on} of {len(spaces)} {places}"
    page.text(told + (f", and not known in {unknown}." if unknown else "."), "bad" if on else "good", indent=0)
    wide = min(max((columns(harmless(space.key)) for space in spaces), default=0), 30)
    why: dict[str, list[str]] = {}
    for space in spaces:
        lead = harmless(space.key)
        page.text(
            f"{active(space)}{_entries(space)}" + (f"  {space.who}" if space.who else ""),
            _style(space),
            lead=lead + " " * (wide - columns(lead) + 2),
        )
        for verdict in space.verdicts:
            if verdict.state == "unknown" or (verdict.state == "yes" and not _asked(space, verdict)):
                names = why.setdefault(verdict.why, [])
                if space.key not in names:
                    names.append(space.key)
    for text, names in why.items():
        page.text(f"{text}.", lead=f"{_named(names)}: ", lead_style="strong")


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(harmless(name) for name in names[:MOST_NAMES])
    return shown + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")


def listed(words: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    return f" {last} ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else "".join(words)


def _proved(page: Page, spaces: Sequence[Space], proofs: "dict[str, list[Proof]]") -> None:
    if not any(proofs.values()):
        return
    page.title("PROVED BY A PACKET")
    for space in spaces:
        name = f"{harmless(space.key)} " if len(spaces) > 1 else ""
        for proof in proofs.get(space.key, []):
            style = {True: "bad", False: "good", None: ""}[proof.tracked]
            page.text(f"{proof.told}.", style, lead=f"{name}{proof.family}: ")
    if any(proof.tracked is not None for found in proofs.values() for proof in found):
        page.text(_ROUTE, "dim")


def _alike(spaces: Sequence[Space], *, asks: bool) -> list[list[Space]]:
    """Namespaces with the same reasons together, so that a hundred pods are told once."""
    groups: dict[object, list[Space]] = {}
    for space in spaces:
        found = [one for one in space.holds if one.asks is asks]
        key = (tuple((one.what, one.families, one.owner, one.rules, one.shown) for one in found), asks or space.exempt)
        groups.setdefault(key, []).append(space)
    return list(groups.values())


def _reasons(page: Page, alike: Sequence[Space], several: bool) -> None:
    asking = [one for one in alike[0].holds if one.asks]
    if asking:
        page.title("WHY IT IS ON" + (f" IN {_named([one.key for one in alike])}" if several else ""))
        for number, one in enumerate(asking, 1):
            _hold(page, one, f"{number}. ")


def _taking(page: Page, alike: Sequence[Space], several: bool) -> None:
    space = alike[0]
    taking = [one for one in space.holds if not one.asks]
    name = f" IN {_named([one.key for one in alike])}" if several else ""
    if taking:
        page.title(f"TAKES PART{name}, BUT DOES NOT TURN IT ON")
        for one in taking:
            page.text(f"{_capital(one.what)}.", lead="- ")
            page.text(f"{one.without}.", indent=4, lead="without it: ", lead_style="dim")
            if one.off:
                page.text(one.off, "dim", indent=4, lead="off: ", lead_style="dim")
    if space.exempt:
        page.blank()
        rules = "1 rule exempts" if space.exempt == 1 else f"{space.exempt} rules exempt"
        page.text(f"{rules} packets{name.replace(' IN ', ' in ')} from tracking (notrack); that asks for nothing.")


def _hold(page: Page, one: Hold, lead: str) -> None:
    many = f": {one.rules} rules" if one.rules > 1 else ""
    owner = f" of {one.owner}" if one.owner else ""
    page.text(f"{_capital(one.what)}{owner}, for {listed(one.families)}{many}", "strong", lead=lead)
    hang = 2 + columns(lead)
    for text in one.shown or [_cited(origin) for origin in one.evidence]:
        page.text(shortened(text), "evidence", indent=hang, lead="| ", lead_style="dim")
    rest = one.rules - len(one.shown)
    if rest > 0:
        shown = ", ".join(one.where[:MOST_WHERE])
        more = len(one.where) - MOST_WHERE
        chains = f"; in {shown}" + (f" and {more} more" if more > 0 else "")
        page.text(f"and {rest:,} more{chains}", "dim", indent=hang)
    page.text(f"{one.without}.", indent=hang, lead="Without it: ", lead_style="strong")
    if one.off:
        said = f"{one.owner} puts it back when it looks again; its switch" if one.owner else "To end it"
        page.text(f"{said}: {one.off}.", "dim", indent=hang)


def _capital(text: str) -> str:
    return text if "-nf" in text[:10] else text[:1].upper() + text[1:]


def _cited(origin: Origin) -> str:
    return f"{origin.source}:{origin.line}: {origin.text}" if origin.line else f"{origin.source}: {origin.text}"


def _returns(page: Page, found: Sequence[Return] | None) -> None:
    page.title("WHAT WOULD BRING IT BACK ON THIS MACHINE")
    if found is None:
        page.text("Not told: the configuration is read on the host itself, by `tablefull why` there.")
        return
    if not found:
        page.text("Nothing was found in its configuration that loads connection tracking or turns it on.")
    for one in found[:MOST_RETURNS]:
        page.text(f"{_capital(one.what)}: {_DOES[one.does]} {one.when}.", lead="- ")
        page.text(shortened(_cited(one.evidence)), "evidence", indent=4, lead="| ", lead_style="dim")
        page.text(one.off, "dim", indent=4, lead="off: ", lead_style="dim")
    if len(found) > MOST_RETURNS:
        page.text(f"and {len(found) - MOST_RETURNS} more (--format json lists all)", "dim")


def _known(page: Page, answer: Why) -> None:
    page.title("HOW THIS IS KNOWN")
    page.text(f"On Linux {answer.kernel or 'of unknown version'}: {answer.rule}")
    bases = dict.fromkeys(verdict.basis for space in answer.spaces for verdict in space.verdicts)
    sources = dict.fromkeys(one.source for space in answer.spaces for one in space.holds if one.asks)
    said = "; ".join(BASIS[basis] for basis in bases)
    page.text(f"The answer: {said}." + (f" The reasons: {'; '.join(sources)}." if sources else ""), "dim")
    if any(one.owner for space in answer.spaces for one in space.holds):
        page.text("Whose a rule is is told by the names of tables, chains, links and networks.", "dim")


def _unseen(page: Page, answer: Why) -> None:
    lines: dict[str, list[str]] = {}
    shown: dict[tuple[str, str], str] = {}  # one line for what two looks did not see for the same reason
    for hole in answer.holes:
        lines.setdefault(shown.setdefault((hole.what, hole.why), _hole(hole)), [])
    for space in answer.spaces:
        for hole in space.holes:
            names = lines.setdefault(shown.setdefault((hole.what, hole.why), _hole(hole)), [])
            if space.key not in names:
                names.append(space.key)
    if lines:
        page.title("WHAT WAS NOT SEEN")
        for line, names in lines.items():
            where = f" (in {_named(names)})" if names and len(answer.spaces) > 1 else ""
            page.text(line + where, lead="- ")


def _hole(hole: Hole) -> str:
    return f"{hole.what}: {hole.why}" + (f"; {hole.remedy}" if hole.remedy and hole.remedy not in hole.why else "")


def as_json(answer: Why, proofs: "dict[str, list[Proof]] | None" = None) -> str:
    """One object; additions only. ``active`` is yes, no or unknown for each family."""
    import msgspec

    told: dict[str, Any] = {
        "schema": SCHEMA,
        "tool": __version__,
        "host": answer.host,
        "kernel": answer.kernel,
        "rule": answer.rule,
        "namespaces": [_space(space, (proofs or {}).get(space.key, [])) for space in answer.spaces],
        "returns": [msgspec.to_builtins(one) for one in answer.returns or ()],
        "configuration_read": answer.returns is not None,
        "unseen": [msgspec.to_builtins(hole) for hole in answer.holes],
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n"


def _space(space: Space, proofs: "list[Proof]") -> dict[str, Any]:
    import msgspec

    return {
        "name": space.key,
        "inode": space.inode,
        "who": space.who,
        "entries": space.count,
        "active": {verdict.family: _verdict(verdict) for verdict in space.verdicts},
        "reasons": [msgspec.to_builtins(one) for one in space.holds],
        "notrack_rules": space.exempt,
        "proofs": [msgspec.to_builtins(one) for one in proofs],
        "unseen": [msgspec.to_builtins(hole) for hole in space.holes],
    }


def _verdict(verdict: Verdict) -> dict[str, str]:
    return {"state": verdict.state, "why": verdict.why, "basis": verdict.basis}
