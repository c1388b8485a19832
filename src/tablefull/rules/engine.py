"""Runs every rule on a case and keeps what became of each: fired, quiet, blind, broken."""

from typing import Literal

from msgspec import Struct

from tablefull.rules.case import Case
from tablefull.rules.finding import Finding
from tablefull.rules.rule import BOOK

State = Literal["fired", "quiet", "blind", "broken"]
THRESHOLD = 0.12  # below this a reason is too thin to put before a person


class Outcome(Struct, frozen=True):
    """What became of one rule; ``detail`` names the missing inputs or holds the traceback."""

    rule: str
    cause: str
    state: State
    detail: str = ""


class Verdicts(Struct, frozen=True):
    """Findings, best first, and the outcome of every rule."""

    findings: tuple[Finding, ...]
    outcomes: tuple[Outcome, ...]


def run(case: Case) -> Verdicts:
    """Every rule once. A broken rule costs its own finding and nothing else."""
    from tablefull.rules import book

    book.load()
    findings: list[Finding] = []
    outcomes: list[Outcome] = []
    for rule in BOOK:
        if not any(case.has(need) for need in rule.needs):
            outcomes.append(Outcome(rule.name, rule.cause, "blind", "needs one of: " + ", ".join(rule.needs)))
            continue
        try:
            found = [finding for finding in rule.check(case) if finding.confidence >= THRESHOLD]
        except Exception:  # noqa: BLE001  a rule's defect, whatever it is, must not cost the other findings
            import traceback

            outcomes.append(Outcome(rule.name, rule.cause, "broken", traceback.format_exc()))
            continue
        findings += found
        outcomes.append(Outcome(rule.name, rule.cause, "fired" if found else "quiet"))
    return Verdicts(tuple(sorted(findings, key=lambda one: -one.confidence)), tuple(outcomes))
