"""Collecting clues: from phrases, from facts, and what speaks against them."""

import pytest

from tablefull.parsers.reader import read_text
from tablefull.rules.case import Case
from tablefull.rules.clues import Clues, host_of

TWO = "iptables on Dom0:\nnf_conntrack: table full, dropping packet\non one of the DomUs:\nnet.netfilter.nf_conntrack_max = 4096"


def clues(text: str) -> Clues:
    return Clues(Case(read_text(text)), "bridge-nf")


def test_a_phrase_is_a_clue_with_its_line_and_the_lowest_basis() -> None:
    some = clues("first\na torrent client")
    assert some.said(0.5, "because", "torrent") is not None
    (clue,) = some.found
    assert (clue.weight, clue.basis, clue.evidence[0].line) == (0.5, "unknown", 2)


def test_no_phrase_no_clue() -> None:
    some = clues("nothing of the kind")
    assert some.said(0.5, "because", "torrent") is None
    assert not some


def test_weight_and_what_speaks_against() -> None:
    some = clues("x")
    some.add(0.5, "a")
    some.add(0.5, "b")
    assert some.weight == pytest.approx(0.75)
    some.against(0.4)
    assert some.weight == pytest.approx(0.3)
    assert some.finding("none").confidence == pytest.approx(0.3)


def test_the_finding_stands_on_the_host_of_its_strongest_line() -> None:
    case = Case(read_text(TWO))
    some = Clues(case, "table-undersized")
    some.add(0.2, "weak", case.log("table-full")[0].origin)
    limit = case.max
    assert limit is not None
    some.add(0.9, "strong", limit.origin)
    assert some.finding("raise-max").host == host_of(case, limit.origin)
    assert host_of(case, limit.origin) != host_of(case, case.log("table-full")[0].origin)
    assert some.finding("raise-max", host="named").host == "named"


def test_a_line_of_nobody_is_the_first_hosts() -> None:
    case = Case(read_text(TWO))
    assert host_of(case, None) == case.hosts[0].name
