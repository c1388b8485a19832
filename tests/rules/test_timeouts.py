"""Entries that stay, churn, one direction unseen, and packets called INVALID."""

import pytest
from rule_text import FULL, fired, found, tcp

from tablefull.parsers.reader import read_text
from tablefull.rules.case import Case
from tablefull.rules.timeouts import fewer_sockets, long_unreplied, shipped_close_wait

FIVE_DAYS = "net.netfilter.nf_conntrack_tcp_timeout_established = 432000\n"
SS = "Total: 1300\nTCP:   1250 (estab 1000, closed 100, orphaned 0, timewait 90)\n"


def test_five_days_weigh_more_where_the_table_is_full() -> None:
    idle = found(FIVE_DAYS, "long-established-timeout")
    assert fired(FULL + FIVE_DAYS, "long-established-timeout").confidence > (idle.confidence if idle else 0)


def test_a_short_timeout_speaks_against_it() -> None:
    text = FULL + "Many idle connections. net.netfilter.nf_conntrack_tcp_timeout_established = {}\n"
    long, short = (found(text.format(seconds), "long-established-timeout") for seconds in (432000, 3600))
    assert long is not None
    assert short is None or short.confidence < long.confidence / 2


def test_a_listing_with_days_left() -> None:
    one = fired(FULL + tcp(30, "ESTABLISHED", left=390_000) + tcp(10, "TIME_WAIT"), "long-established-timeout")
    assert "30 of the first 40" in one.why
    assert one.fixes[0] == "shorten-timeouts"


def test_sockets_beside_entries() -> None:
    told = fewer_sockets(Case(read_text(SS + "net.netfilter.nf_conntrack_count = 200000")))
    assert told is not None
    assert "200000 entries" in told[0]
    assert {origin.line for origin in told[1]} <= {1, 2, 3}


@pytest.mark.parametrize(
    "text",
    [
        SS + "net.netfilter.nf_conntrack_count = 3000",  # below four times as many
        SS + "net.netfilter.nf_conntrack_count = 200000\n-A POSTROUTING -j MASQUERADE",  # sockets are elsewhere
        "net.netfilter.nf_conntrack_count = 200000",
        SS,
    ],
)
def test_no_comparison(text: str) -> None:
    assert fewer_sockets(Case(read_text(text))) is None


def test_connections_that_go_on_without_an_answer_are_no_flood() -> None:
    half = FULL + tcp(200, "SYN_SENT", left=100, mark="[UNREPLIED] ", assured="")
    seen = "$ conntrack -S\ncpu=0 found=0 invalid={} insert=0 insert_failed=0 drop=9 early_drop=0 error=0 search_restart=0\n"
    flood = fired(half + seen.format(3), "half-open-or-asymmetric")
    going = fired(half + seen.format(600), "half-open-or-asymmetric")
    assert going.confidence > 0.8 > flood.confidence
    assert "600 packets were INVALID" in going.why
    assert going.confidence > fired(half + seen.format(600), "syn-flood-or-ddos").confidence


def test_churn_in_a_listing() -> None:
    one = fired(FULL + tcp(30, "TIME_WAIT") + tcp(10, "ESTABLISHED", left=431_000), "time-wait-churn")
    assert "30 of 40" in one.why


def test_churn_counted_by_somebody() -> None:
    text = FULL + "$ awk '{print $6}' /proc/net/nf_conntrack | sort | uniq -c\n  90000 TIME_WAIT\n  10000 ESTABLISHED\n"
    assert "90000 of 100000" in fired(text, "time-wait-churn").why


def test_socket_buckets_are_no_churn_of_entries() -> None:
    assert found("TCP: time wait bucket table overflow", "time-wait-churn") is None


def test_established_without_a_reply_was_picked_up_mid_stream() -> None:
    text = FULL + tcp(3, "ESTABLISHED", left=400_000, mark="[UNREPLIED] ", assured="")
    assert len(long_unreplied(Case(read_text(text)))) == 3
    one = fired(text, "half-open-or-asymmetric")
    assert one.confidence >= 0.85
    assert "4.6 days" in one.why  # 400,000 / 86,400 = 4.63


def test_a_young_unreplied_entry_is_not() -> None:
    text = FULL + tcp(3, "ESTABLISHED", left=250, mark="[UNREPLIED] ", assured="")
    assert long_unreplied(Case(read_text(text))) == []


def test_waiting_for_the_second_half_of_a_close() -> None:
    one = fired(FULL + tcp(30, "CLOSE_WAIT") + tcp(10, "TIME_WAIT"), "half-open-or-asymmetric")
    assert "30 of 40" in one.why


def test_invalid_packets_need_more_than_a_counter() -> None:
    assert (
        found("cpu=0 found=0 invalid=312 insert=0 insert_failed=0 drop=0 early_drop=0", "invalid-out-of-window") is None
    )
    logged = "nf_ct_tcp: invalid packet ignored IN= OUT= SRC=10.0.0.1 DST=10.0.0.2 PROTO=TCP"
    assert fired(logged, "invalid-out-of-window").fixes[0] == "drop-invalid-or-be-liberal"


@pytest.mark.parametrize(("seconds", "seen"), [(3600, (3600, 60)), (60, None)])
def test_close_wait_of_somebody_else(seconds: int, seen: tuple[int, int] | None) -> None:
    case = Case(read_text(f"net.netfilter.nf_conntrack_tcp_timeout_close_wait = {seconds}"))
    assert shipped_close_wait(case) == seen
