"""Tracking turned on or off, a line for a person or an object for a machine, as it happens.

The trap: a line that blames must say how it knows. Who was heard stands with its number and command as the kernel and
/proc gave them; nobody heard is said as that, never left out.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from tablefull.live.rule_news import RuleWatch, Who
from tablefull.live.why import Space
from tablefull.rules.holds import Hold
from tablefull.views.terminal import Page, harmless, shortened
from tablefull.views.why_text import active, listed
from tablefull.watch.tracking import Appeared, Missed, News, Reasons, Turned

_WORD = {"yes": "ON", "no": "off", "unknown": "not known"}
_STYLE = {"yes": "bad", "no": "good", "unknown": "worst"}
_MOST_WHO = 3


def begin(page: Page, spaces: Sequence[Space], heard: RuleWatch, every_s: float) -> None:
    """What is watched, and what the kernel does not tell."""
    for space in spaces:
        page.text(f"{space.key}: tracking is {active(space)}", indent=0)
    ways = "; ".join(heard.ways) or "nothing"
    page.text(
        f"Told as it happens: {ways}. All is looked at again every {every_s:g} s. Ctrl-C ends it.", "dim", indent=0
    )
    for hole in heard.holes:
        page.text(f"{hole.what}: {hole.why}" + (f"; {hole.remedy}" if hole.remedy else ""), indent=0, lead="not told: ")


def line(page: Page, news: News, at_s: float) -> None:
    """One piece of news."""
    lead = time.strftime("%H:%M:%S  ", time.localtime(at_s))
    if isinstance(news, Turned):
        what = f"{news.space}: {listed(news.families)} tracking turned {_WORD[news.after]}, {by(news.who)}"
        page.text(what, _STYLE[news.after], indent=0, lead=lead)
        _reasons(page, news.came if news.after == "yes" else news.went, "" if news.after == "yes" else "gone: ")
    elif isinstance(news, Reasons):
        page.text(f"{news.space}: tracking stays as it is; its reasons changed, {by(news.who)}", indent=0, lead=lead)
        _reasons(page, news.came, "new: ", news.went)
        _reasons(page, news.went, "gone: ", news.came)
    elif isinstance(news, Appeared):
        made = f", {by(news.who)}" if news.who else ""
        what = "is gone" if news.gone else f"appeared: tracking is {active(news.space)}{made}"
        page.text(f"{news.space.key}: the namespace {what}", indent=0, lead=lead)
    else:
        page.text(f"{news.count} notices were lost; all is looked at again", indent=0, lead=lead)


def _reasons(page: Page, found: Sequence[Hold], lead: str, other: Sequence[Hold] = ()) -> None:
    """The first rule of each reason that is not also in ``other``, which has those of the same use that stayed."""
    also = {line for one in other for line in one.shown}
    for one in found:
        line = next((line for line in one.shown or (one.what,) if line not in also), None)
        if line is not None:
            page.text(shortened(line), "evidence", indent=10, lead=lead + "| ")


def by(who: Sequence[Who]) -> str:
    """``by iptables -A … (process 12, started by dockerd)``."""
    if not who:
        return "by whom was not heard"
    shown = [_one(each) for each in who[:_MOST_WHO]]
    more = f" or {len(who) - _MOST_WHO} more" if len(who) > _MOST_WHO else ""
    return "by " + " or ".join(shown) + more


def _one(who: Who) -> str:
    parent = f", started by {who.parent}" if who.parent else ""
    return f"{harmless(who.command or who.name or 'a process')} (process {who.pid}{parent})"


def as_object(news: News, at_s: float) -> dict[str, Any]:
    """One object a line; additions only. ``event``: turned, reasons, namespace or lost."""
    import msgspec

    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
    if isinstance(news, Appeared):
        states = {one.family: one.state for one in news.space.verdicts}
        who = [msgspec.to_builtins(one) for one in news.who]
        told = {"namespace": news.space.key, "gone": news.gone, "active": states, "by": who}
        return {"time": when, "event": "namespace", **told}
    if isinstance(news, Missed):
        return {"time": when, "event": "lost", "count": news.count}
    made: dict[str, Any] = {"time": when, "event": "reasons", "namespace": news.space}
    if isinstance(news, Turned):
        made |= {"event": "turned", "families": news.families, "before": news.before, "after": news.after}
    return made | {
        "by": [msgspec.to_builtins(one) for one in news.who],
        "came": [msgspec.to_builtins(one) for one in news.came],
        "went": [msgspec.to_builtins(one) for one in news.went],
    }


def teller(form: str, width: int, coloured: bool, write: Callable[[str], None]) -> Callable[[News], None]:
    """Writes each piece of news as it comes."""

    def tell(news: News) -> None:
        now = time.time()
        if form == "json":
            import msgspec

            write(msgspec.json.encode(as_object(news, now)).decode() + "\n")
            return
        page = Page(width)
        line(page, news, now)
        write(page.coloured() if coloured else page.plain())

    return tell
