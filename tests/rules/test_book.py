"""Loading the rule files enters each rule once."""

from tablefull.rules import book
from tablefull.rules.rule import BOOK


def test_loading_twice_enters_nothing_twice() -> None:
    book.load()
    before = list(BOOK)
    book.load()
    assert before == BOOK
    assert len({rule.name for rule in BOOK}) == len(BOOK)


def test_every_rule_says_what_it_needs_and_when_it_fires() -> None:
    book.load()
    for rule in BOOK:
        assert rule.needs
        assert (rule.check.__doc__ or "").startswith("Fires"), rule.name
