"""A finding and the clues it is made of.

A clue is one reason with a weight between 0 and 1: how much it alone would convince somebody who knows netfilter.
Clues of one finding are fused as independent reasons (1 minus the product of the doubts), so no sum exceeds certainty
and every reason can be shown.
"""

from typing import Literal

from msgspec import Struct

from tablefull.facts.origin import Basis, Origin, weakest

Severity = Literal["none", "info", "degraded", "outage"]
SEVERITIES: tuple[Severity, ...] = ("none", "info", "degraded", "outage")

CERTAIN = 0.99  # no evidence in a paste is better than this


class Clue(Struct, frozen=True):
    """One reason: ``why`` in a sentence's words, the lines that show it, and how it is known."""

    weight: float
    why: str
    evidence: tuple[Origin, ...] = ()
    basis: Basis = "shown"


class Ask(Struct, frozen=True):
    """What to look at next: ``why`` says between which causes the answer decides."""

    question: str
    command: str
    why: str
    loads_modules: bool = False


class Finding(Struct, frozen=True, kw_only=True):
    """A cause that the evidence supports on one host. ``fixes`` are taxonomy ids, the best for this case first."""

    cause: str
    confidence: float
    host: str
    why: str
    basis: Basis
    severity: Severity
    evidence: tuple[Origin, ...] = ()
    fixes: tuple[str, ...] = ()
    confirm: tuple[Ask, ...] = ()
    look_alike: str | None = None


def fuse(clues: list[Clue]) -> float:
    """The confidence that clues give together."""
    doubt = 1.0
    for clue in clues:
        doubt *= 1.0 - clue.weight
    return min(CERTAIN, 1.0 - doubt)


def finding(
    cause: str,
    host: str,
    clues: list[Clue],
    *,
    fixes: tuple[str, ...],
    severity: Severity = "degraded",
    confirm: tuple[Ask, ...] = (),
    look_alike: str | None = None,
    scale: float = 1.0,
) -> Finding:
    """One finding from its clues, strongest reason first. ``scale`` below 1 expresses a doubt that concerns all of
    them.
    """
    ranked = sorted(clues, key=lambda clue: -clue.weight)
    evidence: list[Origin] = []
    for clue in ranked:
        evidence += [origin for origin in clue.evidence if origin not in evidence]
    # The basis of the whole is that of its best-known strong reason, not of a supporting remark.
    strong = [clue for clue in ranked if clue.weight >= ranked[0].weight * 0.6]
    basis = weakest(*(clue.basis for clue in strong))
    return Finding(
        cause=cause,
        confidence=round(fuse(clues) * scale, 3),
        host=host,
        why="; ".join(clue.why for clue in ranked[:4]),
        basis=basis,
        severity=severity,
        evidence=tuple(evidence[:12]),
        fixes=fixes,
        confirm=confirm,
        look_alike=look_alike,
    )
