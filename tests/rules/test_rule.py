"""What makes a function a rule."""

from collections.abc import Iterator

import pytest

from tablefull.rules import rule as rules
from tablefull.rules.case import Case
from tablefull.rules.finding import Finding


def test_the_decorator_enters_the_function_and_leaves_it_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "BOOK", [])

    def condition(case: Case) -> Iterator[Finding]:
        return iter(())

    assert rules.rule("bridge-nf", needs=("rules", "modules"))(condition) is condition
    assert [rules.Rule("bridge-nf", "condition", ("rules", "modules"), condition)] == rules.BOOK
