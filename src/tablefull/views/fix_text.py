"""Plans and journals of fixes for a person: what it is now, what it will be, what that does, how it goes back.

The trap: who reads this decides in a minute about a host they may lose. So each step says its risk before anything
else that could be liked about it, and what is unknown says so instead of being left out.
"""

import shlex
import time
from collections.abc import Sequence

from tablefull.fixes import act
from tablefull.fixes.act import Act, Flush, HostPlan, OwnFile, Predicted, Step
from tablefull.fixes.journal import ActDone, Journal
from tablefull.fixes.perform import named
from tablefull.views.terminal import Page, harmless

SCOPE = {"netns": "this network namespace", "host": "the whole host"}
STATE = {
    "armed": "written down, nothing done yet",
    "applying": "being applied",
    "applied": "waits to be confirmed",
    "keeping": "confirmed, being made to last",
    "confirmed": "confirmed",
    "undoing": "being undone",
    "undone": "undone",
    "partly-undone": "undone, except what somebody else had changed",
}
_STYLE = {"confirmed": "good", "applied": "worth", "undone": "", "partly-undone": "bad"}
MOST_FILE_LINES = 12


def plans(found: Sequence[HostPlan], width: int, how: str, headline: str = "") -> Page:
    """Plans one below the other; ``how`` is the command that applies one, with ``{}`` for its id, if any.

    ``headline`` is what the diagnosis says that asked for them.
    """
    page = Page(width)
    if headline:
        page.text(headline, "strong", indent=0)
    for plan in found:
        page.blank()
        _plan(page, plan, how)
    return page


def _plan(page: Page, plan: HostPlan, how: str) -> None:
    space = f", network namespace {harmless(plan.netns)}" if plan.netns is not None else ""
    page.add((plan.fix, "strong"), (f" on {harmless(plan.host)}{space}", ""))
    page.text(_sentence(plan.title), indent=2)
    if plan.refused:
        page.text(plan.refused, lead="Not offered here: ", lead_style="bad")
    for number, step in enumerate(plan.steps, 1):
        page.blank()
        _step(page, number, step, entering(plan, step))
    for number, line in enumerate(plan.told):
        if not number:
            page.blank()
        page.text(line, lead="- ")
    if plan.typed:
        page.blank()
        page.text("For you to type, with your own words for those in capitals; nothing here does it:")
        page.commands(plan.typed)
    if plan.steps and how:
        page.blank()
        page.text("Nothing was changed. To do it, and have it undone unless you confirm it:")
        page.commands((how.format(plan.fix),))


def _step(page: Page, number: int, step: Step, prefix: list[str]) -> None:
    page.add((f"  {number}. ", ""), (harmless(step.title), "strong"), (f"  ({SCOPE[step.scope]})", "dim"))
    page.text(step.before, lead="before    ", lead_style="dim", indent=5)
    page.text(step.after, lead="after     ", lead_style="dim", indent=5)
    page.text(step.risk, lead="risk      ", lead_style="bad", indent=5)
    if step.predicted is not None:
        page.text(predicted(step.predicted), lead="effect    ", lead_style="dim", indent=5)
    page.text(step.undo, lead="undo      ", lead_style="dim", indent=5)
    if step.when == "confirmed":
        page.text("done once you confirm; it lasts over a restart", lead="when      ", lead_style="dim", indent=5)
    elif step.when == "until-confirmed":
        page.text("until you confirm", lead="when      ", lead_style="dim", indent=5)
    elif step.persists:
        page.text("it lasts over a restart", lead="lasting   ", lead_style="dim", indent=5)
    for one in step.acts:
        if isinstance(one, OwnFile):
            lines = one.after.splitlines()
            page.text(f"{one.path}:", lead="file      ", lead_style="dim", indent=5)
            for line in lines[:MOST_FILE_LINES]:
                page.add((" " * 17 + harmless(line), "command"))
            if len(lines) > MOST_FILE_LINES:
                page.text(f"and {len(lines) - MOST_FILE_LINES} lines more (--format json)", "dim", indent=17)
        elif isinstance(one, Flush):
            chosen = f", {one.expected} at the moment" if one.expected is not None else ""
            page.text(f"entries where {one.where}{chosen}", lead="deletes   ", lead_style="dim", indent=5)
    for command in step.verify:
        page.text(shlex.join([*prefix, *command.argv]), lead="verify    ", lead_style="dim", indent=5)


def entering(plan: HostPlan, step: Step) -> list[str]:
    """The words that enter the namespace of a step; none for what is the whole host's."""
    return [] if step.scope == "host" else act.entering(plan.netns)


def predicted(effect: Predicted) -> str:
    """What a step will do to the table, in one sentence; unknown is said."""
    said = []
    if effect.entries_after is not None:
        was = f"{effect.entries_before:,} → " if effect.entries_before is not None else ""
        said.append(f"entries {was}{effect.entries_after:,}")
    if effect.refused_per_s_after is not None and (effect.refused_per_s_before, effect.refused_per_s_after) != (0, 0):
        before = effect.refused_per_s_before
        was = f"{before:,.1f} → " if before is not None else ""
        said.append(f"packets refused {was}{effect.refused_per_s_after:,.1f} a second")
    if effect.memory_bytes is not None:
        said.append(f"{effect.memory_bytes / 1048576:+,.1f} MiB of kernel memory")
    said += [f"lost: {one}" for one in effect.protection_lost]
    return f"{', '.join(said) or 'unknown'} ({effect.how})"


def applied(journal: Journal, wrong: Sequence[str], confirming: str, width: int) -> Page:
    """What was seen after the change, and what to type now: ``confirming``, as root."""
    page = Page(width)
    page.add((f"Fix {journal.id}, {journal.plan.fix}, is applied", "strong"), (" and not confirmed.", ""))
    for line in journal.seen:
        page.text(line, "bad" if line in wrong else "", lead="- ")
    if wrong:
        page.text("That speaks against it: it is being undone.", "bad")
        return page
    until = clock(journal.deadline_at)
    page.text(f"See that you still reach this host, best from another terminal, and confirm; at {until} it is undone:")
    page.commands((f"sudo {confirming}",))
    if any(step.when == "confirmed" for step in journal.plan.steps):
        page.text("The files that make it last over a restart are written when you confirm.", "dim")
    return page


def ended(journal: Journal, width: int) -> Page:
    """How a fix ended."""
    page = Page(width)
    page.add(
        (f"Fix {journal.id}, {journal.plan.fix}: ", ""),
        (STATE[journal.state], _STYLE.get(journal.state, "")),
        ("." if journal.over or not journal.deadline_at else f" until {clock(journal.deadline_at)}.", ""),
    )
    if journal.why and journal.state != "confirmed":
        page.text(f"{journal.why}.", lead="Why: ")
    for note in journal.notes:
        page.text(note, lead="- ")
    for one in journal.acts:
        if one.state == "left" or one.note:
            page.text(one.note or f"{named(_act(journal, one))}: left as it is", lead="- ")
    return page


def history(journals: Sequence[Journal], width: int) -> Page:
    """Every fix that was made here, the latest first."""
    page = Page(width)
    if not journals:
        page.text("No fix was applied on this host.", indent=0)
    for journal in reversed(journals):
        page.add(
            (f"{journal.id:>4}  ", "strong"),
            (f"{clock(journal.made_at, day=True)}  ", ""),
            (journal.plan.fix, "strong"),
            (f"  {STATE[journal.state]}", _STYLE.get(journal.state, "")),
        )
        space = f" in {journal.space.name}" if journal.space else ""
        done = sum(one.state in ("done", "doing") for one in journal.acts)
        words = f"{len(journal.acts)} act{'s' * (len(journal.acts) != 1)}{space}, {done} in force"
        page.text(words + (f", by {journal.who}" if journal.who else ""), "dim", indent=6)
        if journal.why and journal.state != "confirmed":
            page.text(journal.why, "dim", indent=6)
        for note in journal.notes:
            page.text(note, "dim", indent=6)
    return page


def clock(at_s: float | None, *, day: bool = False) -> str:
    """A moment by this host's clock."""
    if at_s is None:
        return "an unknown time"
    return time.strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S", time.localtime(at_s))


def _act(journal: Journal, one: ActDone) -> Act:
    return journal.plan.steps[one.step].acts[one.act]


def _sentence(text: str) -> str:
    return text if text.endswith(".") else text + "."
