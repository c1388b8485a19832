"""The words that every view shares: how sure, how known, how bad, how much.

The trap: a percentage alone reads as a measurement. A confidence is therefore always a word and a number together, and
a basis is always a sentence's part, never a code.
"""

from tablefull.facts.origin import Basis
from tablefull.fixes.diagnosis import Diagnosis
from tablefull.fixes.plan import Scope
from tablefull.rules.arithmetic import Loss, Reckoning, duration, quantity
from tablefull.rules.engine import Outcome
from tablefull.rules.finding import Severity
from tablefull.rules.fullness import Fullness

# From here up to certainty the word holds; the steps are those in which people bet: 9 in 10, 2 in 3, even, 1 in 4.
LIKELY = 0.5
_SURE = ((0.9, "almost certain"), (0.65, "very likely"), (LIKELY, "likely"), (0.25, "possible"))

BASIS: dict[Basis, str] = {
    "probed": "the kernel was asked",
    "shown": "the evidence itself shows it",
    "vendor": "known of this vendor's kernels",
    "version": "known of this kernel version",
    "unknown": "inferred from what the report says",
}
SCOPE: dict[Scope, str] = {
    "netns": "this network namespace only",
    "host": "the whole host",
    "other": "something other than this host's tracking",
}
SEVERITY: dict[Severity, str] = {
    "none": "nothing wrong was seen",
    "info": "worth knowing, nobody suffers",
    "degraded": "some connections suffer",
    "outage": "new connections fail now",
}
_TABLE_FULL = {"yes": "yes", "no": "no", "unknown": "cannot tell"}
STATES = ("fired", "quiet", "blind", "broken")
STATE = {
    "fired": "found its cause",
    "quiet": "looked and found nothing",
    "blind": "could not look: its input was not seen",
    "broken": "failed: a defect of tablefull",
}


def sure(confidence: float) -> str:
    """A confidence in words."""
    return next((word for floor, word in _SURE if confidence >= floor), "a weak hint")


def confidence(value: float) -> str:
    """``very likely (0.96)``."""
    return f"{sure(value)} ({round(value + 1e-9, 2):.2f})"


def table_full(full: Fullness) -> str:
    """``yes``, ``no``, ``cannot tell``, or that it was and is no more."""
    return "not now" if full.now == "no" else _TABLE_FULL[full.state]


def known(full: Fullness) -> str:
    """From what it follows that the table was full or not, or that this is not shown; begins in lower case."""
    if full.state == "unknown":
        return f"not shown: {full.how}"
    return f"how it is known: {full.how} ({BASIS[full.basis]})"


def lost(loss: Loss) -> str:
    """What was lost, in one sentence. A rate is said only where a window is known."""
    least, likely = quantity(loss.dropped_packets_min), quantity(loss.dropped_packets_estimate)
    text = f"At least {least} packets were refused"
    if loss.dropped_packets_estimate > loss.dropped_packets_min:
        text += f", about {likely}"
        text += f" in {duration(loss.window_s)}" if loss.window_s else " by estimate"
    elif loss.window_s:
        text += f" in {duration(loss.window_s)}"
    if loss.rate_per_s:
        text += f": {figure(loss.rate_per_s)} a second"
    return text + "."


def figure(number: float) -> str:
    """A number as a person writes it: three significant figures, whole and with thousands parted from 100 on."""
    return quantity(round(number)) if abs(number) >= 100 else f"{number:.3g}"


def reckoned(one: Reckoning) -> str:
    """The value of a reckoning with its unit; times in their natural unit."""
    if one.unit == "s":
        return duration(one.value)
    if one.unit == "times":
        return f"{figure(one.value)}x"
    return f"{figure(one.value)}{'' if one.unit == '%' else ' '}{one.unit}"


def rules_summary(outcomes: tuple[Outcome, ...]) -> str:
    """``24 rules: 3 fired, 15 quiet, 6 blind``, states that do not occur left out."""
    parts = [(sum(1 for one in outcomes if one.state == state), state) for state in STATES]
    return f"{len(outcomes)} rules: " + ", ".join(f"{number} {state}" for number, state in parts if number)


def answer_known(diagnosis: Diagnosis) -> bool:
    """Whether the evidence was enough to tell: a table full or not full, or a cause that is at least likely."""
    return diagnosis.full.state != "unknown" or any(one.confidence >= LIKELY for one in diagnosis.causes)


def evidence_seen(diagnosis: Diagnosis) -> bool:
    """Whether any line of what was read bears on connection tracking, or on something that is mistaken for it."""
    if not diagnosis.seen_anything:
        return False
    return answer_known(diagnosis) or any(one.evidence for one in diagnosis.causes) or bool(diagnosis.arithmetic)
