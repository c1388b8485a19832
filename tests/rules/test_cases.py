"""Every rule against its own cases: where it fires, where a neighbour comes first, and where it cannot see.

The trap: a rule that fits the threads it was written from fits nothing else, so every text here was written for it anew.
"""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tablefull.parsers.reader import read_text
from tablefull.rules import book
from tablefull.rules.case import Case
from tablefull.rules.engine import Verdicts, run
from tablefull.rules.rule import BOOK

book.load()
CASES = Path(__file__).with_name("cases")
KINDS = ("fires", "quiet", "blind")
RULES = {rule.name: rule for rule in BOOK}
# The taxonomy of shared/incidents/README.md, which is a contract: no id is ever renamed.
CAUSES = frozenset(
    "table-undersized hash-undersized unneeded-tracking bridge-nf long-established-timeout time-wait-churn udp-dns-churn "
    "syn-flood-or-ddos scan-or-p2p half-open-or-asymmetric app-connection-loop insert-race-dns snat-port-exhaustion "
    "expectation-table-full kernel-leak-or-bug per-netns-or-container-limit config-overwritten cloud-allowance "
    "ebpf-ct-map-full helper-related stale-nat-entries invalid-out-of-window memory-pressure not-conntrack".split()
)


def load(name: str) -> dict[str, list[dict[str, Any]]]:
    path = CASES / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


ALL = [
    pytest.param(rule, kind, case, id=f"{rule}-{kind}-{number}")
    for rule in sorted(RULES)
    for kind in KINDS
    for number, case in enumerate(load(rule).get(kind, []))
]


def text_of(case: dict[str, Any]) -> str:
    """The case's text, with the rows of its ``listing`` written out."""
    listing = case.get("listing")
    if listing is None:
        return str(case["text"])
    rows = [
        listing["form"].format(i=number, remaining=listing["remaining"] + number) for number in range(listing["rows"])
    ]
    return str(case["text"]).replace("{listing}", "\n".join(rows))


def verdicts_on(text: str) -> Verdicts:
    return run(Case(read_text(text)))


def test_every_cause_has_a_rule_and_every_rule_is_of_the_taxonomy() -> None:
    assert {rule.cause for rule in BOOK} == CAUSES


@pytest.mark.parametrize("name", sorted(RULES))
def test_rule_has_all_three_kinds_of_case(name: str) -> None:
    cases = load(name)
    assert set(cases) == set(KINDS), f"tests/rules/cases/{name}.toml must hold fires, quiet and blind"
    for kind in KINDS:
        assert cases[kind]
        assert all(case["why"] for case in cases[kind])
    assert any("neighbour" in case for case in cases["quiet"]), (
        "one quiet case names the neighbour it is told apart from"
    )


def test_no_file_without_a_rule() -> None:
    assert {path.stem for path in CASES.glob("*.toml")} == set(RULES)


@pytest.mark.parametrize(("name", "kind", "case"), ALL)
def test_case(name: str, kind: str, case: dict[str, Any]) -> None:
    found = verdicts_on(text_of(case))
    state = {outcome.rule: outcome.state for outcome in found.outcomes}
    assert "broken" not in state.values(), [one.detail for one in found.outcomes if one.state == "broken"]
    ranking = list(dict.fromkeys(finding.cause for finding in found.findings))
    mine = RULES[name].cause
    shown = [(finding.cause, finding.confidence, finding.why) for finding in found.findings]
    if kind == "blind":
        assert state[name] == "blind", case["why"]
    elif kind == "fires":
        assert state[name] == "fired", (case["why"], shown)
        finding = next(one for one in found.findings if one.cause == mine)
        assert mine == case["cause"]
        assert finding.confidence >= case["min_confidence"], (case["why"], shown)
        assert finding.fixes[0] in case["first_fix"], (case["why"], finding.fixes)
        assert ranking[0] == case["cause"], (case["why"], shown)
    elif case.get("silent"):
        assert state[name] == "quiet", (case["why"], shown)
    else:
        assert ranking, case["why"]
        assert ranking[0] == case["neighbour"], (case["why"], shown)
