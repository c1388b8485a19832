"""Words for numbers."""

import pytest

from tablefull.fixes.diagnosis import Diagnosis
from tablefull.rules.arithmetic import Loss, Reckoning
from tablefull.rules.fullness import Fullness
from tablefull.views import wording


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.99, "almost certain (0.99)"), (0.7, "very likely (0.70)"), (0.5, "likely (0.50)"), (0.3, "possible (0.30)"),
     (0.1, "a weak hint (0.10)")],
)  # fmt: skip
def test_confidence_is_a_word_and_a_number(value: float, words: str) -> None:
    assert wording.confidence(value) == words


def test_loss_says_only_what_is_known() -> None:
    assert wording.lost(Loss(10, 331, 5.0, 66.2, "", "shown")) == (
        "At least 10 packets were refused, about 331 in 5 s: 66.2 a second."
    )
    assert wording.lost(Loss(7, 7, None, None, "", "shown")) == "At least 7 packets were refused."


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [(1548576, "entries", "1,548,576 entries"), (13379.7, "s", "3.72 h"), (89.6, "%", "89.6%"), (2, "times", "2x")],
)
def test_values_have_their_natural_unit(value: float, unit: str, words: str) -> None:
    assert wording.reckoned(Reckoning("", value, unit, "", "shown", "h")) == words


def test_every_state_has_its_words(xen: Diagnosis) -> None:
    assert wording.rules_summary(xen.outcomes).startswith(f"{len(xen.outcomes)} rules: ")
    assert wording.answer_known(xen)
    assert wording.evidence_seen(xen)


def test_what_is_not_known_claims_no_basis() -> None:
    assert wording.known(Fullness("unknown", "neither was seen", "unknown")) == "not shown: neither was seen"
    known = wording.known(Fullness("no", "the count is 3% of the limit", "shown"))
    assert known == "how it is known: the count is 3% of the limit (the evidence itself shows it)"
