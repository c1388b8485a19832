"""UDP by its nature many, and one host with very many peers."""

import pytest
from rule_text import FULL, fired, found, rows, tcp, udp

from tablefull.parsers.reader import read_text
from tablefull.rules.case import Case
from tablefull.rules.traffic import many_peers, talker

ONE_TO_MANY = (
    "ipv4     2 tcp      6 60 SYN_SENT src=10.0.0.9 dst=198.51.{i}.1 sport=4{i:04} dport=6881 [UNREPLIED] "
    "src=198.51.{i}.1 dst=10.0.0.9 sport=6881 dport=4{i:04} mark=0 use=2"
)
ONE_TO_ONE = (
    "ipv4     2 tcp      6 60 TIME_WAIT src=10.0.0.9 dst=198.51.100.1 sport=4{i:04} dport=5432 "
    "src=198.51.100.1 dst=10.0.0.9 sport=5432 dport=4{i:04} [ASSURED] mark=0 use=2"
)


def case(text: str) -> Case:
    return Case(read_text(text))


def test_a_talker_holds_half_of_a_real_listing() -> None:
    told = talker(case(rows(15, ONE_TO_ONE) + tcp(15, "ESTABLISHED")))
    assert told is not None
    assert (told[0], told[1]) == ("10.0.0.9", pytest.approx(0.5))
    assert talker(case(rows(14, ONE_TO_ONE) + tcp(16, "ESTABLISHED"))) is None
    assert talker(case(rows(19, ONE_TO_ONE))) is None


def test_many_peers_are_told_from_one() -> None:
    told = many_peers(case(rows(30, ONE_TO_MANY)))
    assert told is not None
    assert told[3] == 30
    assert many_peers(case(rows(30, ONE_TO_ONE))) is None


def test_one_host_and_its_peers() -> None:
    one = fired(FULL + rows(30, ONE_TO_MANY), "scan-or-p2p")
    assert "10.0.0.9 holds 100%" in one.why
    assert one.fixes[0] == "rate-limit-or-block-source"


def test_one_host_and_one_peer_is_none() -> None:
    assert found(FULL + rows(30, ONE_TO_ONE), "scan-or-p2p") is None


def test_datagrams_in_a_listing() -> None:
    one = fired(FULL + udp(21, 53) + tcp(19, "ESTABLISHED"), "udp-dns-churn")
    assert "21 of 40 listed entries are UDP" in one.why
    assert "udp/53" in one.why


def test_half_of_a_listing_is_not_most() -> None:
    assert found(FULL + udp(20, 53) + tcp(20, "ESTABLISHED"), "udp-dns-churn") is None


def test_a_name_server_is_not_tracked_and_cluster_dns_must_be() -> None:
    server = fired(FULL + "An authoritative DNS server, 20k queries a second.", "udp-dns-churn")
    cluster = fired(FULL + "CoreDNS in Kubernetes, DNS queries by the thousand.", "udp-dns-churn")
    assert server.fixes[0] == "notrack"
    assert cluster.fixes[0] != "notrack"
