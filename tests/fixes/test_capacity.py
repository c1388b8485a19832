"""What is tried, what speaks against a higher limit, and what a limit costs, by hand."""

import pytest
from msgspec.structs import replace
from tests.fixes.plan_studies import TIME_WAIT, given, held, study

from tablefull.fixes import capacity
from tablefull.live.plan_values import NOTHING, Idle, Measured
from tablefull.twin.planning import Little


def test_candidates_of_a_busy_web_server() -> None:
    """Of 960 in TIME_WAIT, idle 0 to 119 s alike, 30 s frees three quarters and 60 s half: less than nine tenths."""
    found = capacity.candidates(study())
    assert [one.label for one in found] == ["tcp_time_wait=30", "notrack tcp/80"]


def test_nothing_speaks_against_a_busy_web_server() -> None:
    assert capacity.judged(study()) == []


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ({"states": (("tcp SYN_RECV", 900), ("tcp ESTABLISHED", 100))}, "syn-flood-or-ddos"),
        ({"unreplied": 500}, "syn-flood-or-ddos"),
        ({"sources": (("10.0.0.1", 500),), "destinations": (("192.0.2.1", 2),)}, "scan-or-p2p"),
        ({"sources": (("10.0.0.1", 500),)}, "app-connection-loop"),
    ],
)
def test_what_a_higher_limit_does_not_answer(said: dict[str, object], cause: str) -> None:
    assert [one.cause for one in capacity.judged(study(held=held(**said)))] == [cause]


def test_a_few_entries_are_not_judged() -> None:
    assert capacity.judged(study(held=held(count=19, unreplied=19))) == []
    assert capacity.judged(study(held=None)) == []


def leaking(end: int = 1000) -> Measured:
    return Measured(change=NOTHING, peak=1000, middle=500, end=end)


def test_a_leak() -> None:
    silent = Idle("nf_conntrack_tcp_timeout_established", 432000, 1000, (600,) * 900 + (1,) * 100)
    found = study(base=leaking(), idle=[silent])
    assert [one.cause for one in capacity.judged(found)] == ["long-established-timeout"]
    assert "tcp_established=10800" in [one.label for one in capacity.candidates(found)]
    assert capacity.judged(study(base=leaking(end=600), idle=[silent])) == []  # it fell again
    assert capacity.judged(study(base=leaking(), idle=[replace(silent, idle_s=(1,) * 1000)])) == []


def test_a_rising_table_needs_what_it_comes_to() -> None:
    law = Little(begun=1, window_s=1, rate_per_s=20, lifetime_s=100, mean=900, lives=9, open_lives=1)
    one = replace(leaking(), little=law)
    assert capacity.option(one, given(), None, None, leak=False).need == 2000
    leak = capacity.option(one, given(), None, None, leak=True)
    assert (leak.need, leak.level) == (1000, 2000)


def test_what_it_costs() -> None:
    """256 bytes an entry on 6.x without events, 8 a bucket."""
    assert capacity.full_bytes(given(), 1024, 1024) == 1024 * 264
    assert capacity.entry_bytes(given(kernel=None)) == 448


def test_refused() -> None:
    one = Measured(change=NOTHING, peak=10, end=10)
    assert capacity.option(one, given(), None, 10, False).refused == 0
    assert capacity.option(one, given(), None, None, False).refused is None
    assert capacity.option(one, given(), None, 9, False).refused is None
    assert capacity.option(replace(one, refused=3), given(), None, 9, False).refused == 3


def test_protection_lost() -> None:
    assert "late segments" in capacity.lost(capacity.shorter([(TIME_WAIT, 30)]))
    assert "3600 s" in capacity.lost(capacity.shorter([("nf_conntrack_tcp_timeout_established", 3600)]))
    assert "NAT" in capacity.lost(capacity.candidates(study())[1])
