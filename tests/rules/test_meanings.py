"""Every cause is explained, in words that complete the sentences they stand in."""

import pytest

from tablefull.rules import book
from tablefull.rules.meanings import CAUSES
from tablefull.rules.rule import BOOK

book.load()


def test_every_cause_has_a_meaning_and_no_meaning_lacks_a_cause() -> None:
    assert set(CAUSES) == {rule.cause for rule in BOOK}
    assert len(CAUSES) == 24


@pytest.mark.parametrize("cause", sorted(CAUSES))
def test_words(cause: str) -> None:
    one = CAUSES[cause]
    assert one.meaning[0].islower() or one.meaning.split()[0].isupper() or one.meaning.split()[0] in ("UDP,", "eBPF")
    assert not one.meaning.endswith(".")
    for sentence in (one.explanation, one.recognise, one.not_this):
        assert sentence.endswith(".")
    assert one.source
