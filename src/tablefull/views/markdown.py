"""The diagnosis as Markdown, to be pasted into a ticket.

The trap: evidence may hold Markdown of its own, a fence above all. It stands only in fences longer than any run of
backticks in it, and every other text has its markup taken away, so that nothing a stranger wrote becomes a heading, a
link or a mention.
"""

import re
from collections.abc import Iterable, Sequence

from tablefull.facts.origin import Origin
from tablefull.fixes.diagnosis import Diagnosis
from tablefull.fixes.plan import Plan
from tablefull.rules.finding import Finding
from tablefull.rules.meanings import CAUSES
from tablefull.views import wording
from tablefull.views.terminal import harmless, harmless_lines, shortened

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~&!])|(?<=\w)@|^@|(?<=\s)@")
_LEADS = re.compile(r"^(\s*)([-+=]|\d+[.)])(?=\s|$)")
_RUNS = re.compile(r"`+")


def inline(text: str) -> str:
    """Text that reads as it stands: no markup, no mention of anybody."""
    text = _MARKUP.sub(lambda found: "\\" + found[1] if found[1] else "@\u2060", harmless(text))
    return _LEADS.sub(lambda found: f"{found[1]}\\{found[2]}" if not found[2][0].isdigit() else found[0], text)


def fenced(lines: Iterable[str], language: str = "") -> str:
    """A code block whose fence is longer than any in it."""
    body = "\n".join(lines)
    longest = max((len(run) for run in _RUNS.findall(body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def render(diagnosis: Diagnosis, *, rules: bool = False, all_fixes: bool = False) -> str:
    """The whole answer; ``rules`` adds what became of every rule, ``all_fixes`` every fix in full."""
    full = diagnosis.full
    state = {"yes": "table full", "no": "table not full", "unknown": "cannot tell"}[full.state]
    state = "table was full" if full.now == "no" else state
    shown = full.state != "unknown"
    known = f"({inline(full.how)}; {wording.BASIS[full.basis]})" if shown else f"({inline(wording.known(full))})"
    severity = f"**{diagnosis.severity}** ({wording.SEVERITY[diagnosis.severity]})"
    parts = [
        f"# Connection tracking: {state}",
        f"**{inline(diagnosis.headline)}**",
        f"Table full: **{wording.table_full(full)}** {known}. Severity: {severity}.",
    ]
    if diagnosis.loss is not None:
        parts += ["## What was lost", f"{wording.lost(diagnosis.loss)} {inline(diagnosis.loss.how)}."]
    if diagnosis.causes:
        parts.append("## Why")
        for number, cause in enumerate(diagnosis.causes, 1):
            parts += _cause(number, cause)
    if diagnosis.arithmetic:
        rows = [(one.host, one.what, wording.reckoned(one), one.how) for one in diagnosis.arithmetic]
        parts += ["## The numbers", _table(("host", "what", "value", "how"), rows)]
    if diagnosis.fixes:
        parts.append("## What to do")
        for number, fix in enumerate(diagnosis.fixes, 1):
            parts += _fix(number, fix, whole=all_fixes or number == 1)
    if diagnosis.ask_next:
        parts.append("## What to look at next")
        for number, ask in enumerate(diagnosis.ask_next, 1):
            loads = " **It loads a kernel module.**" if ask.loads_modules else ""
            parts += [f"{number}\\. {inline(ask.question)} {inline(ask.why)}.{loads}", _commands((ask.command,))]
    if diagnosis.hosts:
        machines = [
            (host.name, host.role, host.kernel or "not shown", host.distribution or "not shown")
            for host in diagnosis.hosts
        ]
        parts += ["## Hosts", _table(("host", "role", "kernel", "distribution"), machines)]
    parts += _unseen(diagnosis)
    if rules:
        rows_of_rules = [(one.rule, one.cause, one.state, one.detail.strip()[-300:]) for one in diagnosis.outcomes]
        parts += ["## Rules", _table(("rule", "cause", "outcome", "detail"), rows_of_rules)]
    parts.append(f"tablefull {diagnosis.tool}")
    return "\n\n".join(parts) + "\n"


def fixes(diagnosis: Diagnosis) -> str:
    """What to do, every fix in full, and nothing else."""
    parts = [f"**{inline(diagnosis.headline)}**"]
    for number, fix in enumerate(diagnosis.fixes, 1):
        parts += _fix(number, fix, whole=True)
    return "\n\n".join(parts) + "\n"


def _cause(number: int, cause: Finding) -> list[str]:
    known = CAUSES.get(cause.cause)
    meaning = f"{known.meaning[:1].upper()}{known.meaning[1:]}. " if known else ""
    parts = [
        f"### {number}. {inline(cause.cause)} on {inline(cause.host)}: {wording.confidence(cause.confidence)}",
        f"{inline(meaning)}Because {inline(cause.why)} ({wording.BASIS[cause.basis]}).",
    ]
    if cause.evidence:
        parts.append(fenced(_quoted(cause.evidence)))
    return parts


def _quoted(evidence: Sequence[Origin]) -> list[str]:
    return [
        f"{harmless(one.source)}:{one.line}: {shortened(one.text)}" if one.line else harmless(one.source)
        for one in evidence
    ]


def _commands(commands: Iterable[str]) -> str:
    return fenced((line for command in commands for line in harmless_lines(command)), "sh")


def _fix(number: int, fix: Plan, *, whole: bool) -> list[str]:
    parts = [f"### {number}. {inline(fix.id)} on {inline(fix.host)}: {inline(fix.title)}"]
    if fix.why and whole:
        parts.append(f"Why: {inline(fix.why)}.")
    parts.append(f"**Risk:** {inline(fix.risk)} Concerns {wording.SCOPE[fix.scope]}.")
    parts.append(_commands(fix.commands))
    if whole:
        for heading, commands in (
            ("See that it worked", fix.verify), ("Make it last", fix.persist), ("Take it back", fix.undo)
        ):  # fmt: skip
            if commands:
                parts += [f"{heading}:", _commands(commands)]
    return parts


def _unseen(diagnosis: Diagnosis) -> list[str]:
    lines = [
        f"- {inline(hole.what)}: {inline(hole.why)}" + (f"; {inline(hole.remedy)}" if hole.remedy else "")
        for hole in diagnosis.holes
    ]
    lines += [
        f"- not understood: {inline(one.origin.source)}:{one.origin.line}, {inline(one.why)}"
        for one in diagnosis.unread[:20]
    ]
    if len(diagnosis.unread) > 20:
        lines.append(f"- and {len(diagnosis.unread) - 20} more lines")
    lines.append(f"- {wording.rules_summary(diagnosis.outcomes)}")
    return ["## What was not seen", "\n".join(lines)]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(inline(cell.replace("\n", " ")) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
