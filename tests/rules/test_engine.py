"""The four outcomes of a rule, each shown apart, and that a broken rule costs only itself."""

from collections.abc import Iterator

import pytest

from tablefull.parsers.reader import read_text
from tablefull.rules import book, engine
from tablefull.rules.case import Case
from tablefull.rules.engine import THRESHOLD, Outcome, run
from tablefull.rules.finding import Clue, Finding, finding
from tablefull.rules.rule import Rule

book.load()


def says(weight: float) -> Finding:
    return finding("table-undersized", "here", [Clue(weight, "because")], fixes=("raise-max",))


def fires(case: Case) -> Iterator[Finding]:
    yield says(0.4)


def fires_more(case: Case) -> Iterator[Finding]:
    yield says(0.8)


def thin(case: Case) -> Iterator[Finding]:
    yield says(THRESHOLD / 2)


def quiet(case: Case) -> Iterator[Finding]:
    return iter(())


def breaks(case: Case) -> Iterator[Finding]:
    yield says(0.9)
    raise ZeroDivisionError("a defect of this rule")


def outcomes(monkeypatch: pytest.MonkeyPatch, *rules: Rule) -> tuple[engine.Verdicts, dict[str, Outcome]]:
    monkeypatch.setattr(engine, "BOOK", list(rules))
    told = run(Case(read_text("nf_conntrack: table full, dropping packet")))
    return told, {one.rule: one for one in told.outcomes}


def made(name: str, check: object, *needs: str) -> Rule:
    return Rule("table-undersized", name, needs or ("text",), check)  # type: ignore[arg-type]


def test_four_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    told, by = outcomes(
        monkeypatch, made("a", fires), made("b", quiet), made("c", fires, "slab", "memory"), made("d", breaks)
    )
    assert {name: one.state for name, one in by.items()} == {"a": "fired", "b": "quiet", "c": "blind", "d": "broken"}
    assert by["c"].detail == "needs one of: slab, memory"
    assert "ZeroDivisionError: a defect of this rule" in by["d"].detail
    assert by["a"].detail == by["b"].detail == ""
    assert [one.confidence for one in told.findings] == [0.4]


def test_a_broken_rule_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    told, by = outcomes(monkeypatch, made("d", breaks), made("a", fires))
    assert by["d"].state == "broken"
    assert by["a"].state == "fired"
    assert len(told.findings) == 1


def test_one_of_the_needs_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    _, by = outcomes(monkeypatch, made("a", fires, "slab", "log"))
    assert by["a"].state == "fired"


def test_a_reason_too_thin_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    told, by = outcomes(monkeypatch, made("a", thin))
    assert by["a"].state == "quiet"
    assert told.findings == ()


def test_best_first(monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = outcomes(monkeypatch, made("a", fires), made("b", fires_more))
    assert [one.confidence for one in told.findings] == [0.8, 0.4]


def test_every_rule_has_an_outcome_whatever_the_text() -> None:
    for text in ("", "hello", "nf_conntrack: table full, dropping packet"):
        told = run(Case(read_text(text)))
        assert len(told.outcomes) == 24
        assert all(one.state != "broken" for one in told.outcomes)
