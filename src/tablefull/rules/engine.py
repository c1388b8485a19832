"""Runs every rule on a case and keeps what became of each: fired, quiet, blind, broken."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct, structs

from tablefull.rules.case import Case
from tablefull.rules.finding import Finding
from tablefull.rules.rule import BOOK

State = Literal["fired", "quiet", "blind", "broken"]
RESIDUAL = "table-undersized"
FILLERS = frozenset(
    {
        "app-connection-loop",
        "scan-or-p2p",
        "syn-flood-or-ddos",
        "kernel-leak-or-bug",
        "unneeded-tracking",
        "half-open-or-asymmetric",
        "long-established-timeout",
        "per-netns-or-container-limit",
        "time-wait-churn",
        "udp-dns-churn",
    }
)
TINY_LIMIT = 8192  # so few that anything fills it: then the limit is the first thing to say
LIKELY = 0.6  # from here on a filler is the better answer to "why"
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
    findings = list(_residual_last(case, findings))
    return Verdicts(tuple(sorted(findings, key=lambda one: -one.confidence)), tuple(outcomes))


def _residual_last(case: Case, findings: list[Finding]) -> Iterator[Finding]:
    """A limit too low is what remains where nothing explains what fills a table; it never precedes a likely filler."""
    limit = case.max.number if case.max else None
    if limit is not None and 0 < limit <= TINY_LIMIT:
        yield from findings
        return
    filler = max((one.confidence for one in findings if one.cause in FILLERS), default=0.0)
    for one in findings:
        if one.cause == RESIDUAL and filler >= LIKELY and one.confidence >= filler:
            yield structs.replace(one, confidence=round(filler - 0.01, 3))
        else:
            yield one
