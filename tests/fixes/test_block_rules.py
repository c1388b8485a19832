"""Drops before tracking, limits by address: TCP by its SYN, UDP by its first packet."""

import pytest
from situations import host

from tablefull.fixes import block_rules
from tablefull.fixes.plan import Situation


def test_named_sources_are_dropped_before_tracking() -> None:
    rules = block_rules.iptables(Situation(), (("192.0.2.7", False), ("2001:db8::7", True)))
    assert [(rule.table, rule.chain, rule.spec) for rule in rules] == [
        ("raw", "PREROUTING", "-s 192.0.2.7 -j DROP"),
        ("raw", "PREROUTING", "-s 2001:db8::7 -j DROP"),
    ]
    (chain,) = block_rules.nft(Situation(), (("192.0.2.7", False), ("2001:db8::7", True)))
    assert chain.priority == -300
    assert chain.rules == ("ip saddr 192.0.2.7 drop", "ip6 saddr 2001:db8::7 drop")


@pytest.mark.parametrize(
    ("cause", "ports", "limited"),
    [
        ("scan-or-p2p", ("tcp/443",), (("tcp", ""), ("udp", ""))),
        ("syn-flood-or-ddos", ("tcp/443",), (("tcp", "443"),)),
        ("syn-flood-or-ddos", (), (("tcp", ""), ("udp", ""))),
    ],
)
def test_what_is_limited(cause: str, ports: tuple[str, ...], limited: tuple[tuple[str, str], ...]) -> None:
    assert block_rules.limited(Situation(cause=cause, ports=ports)) == limited


def test_udp_is_limited_after_the_lookup_and_tcp_before() -> None:
    tcp, udp = block_rules.iptables(host("debian-12", cause="scan-or-p2p"), ())
    assert (tcp.table, udp.table) == ("raw", "mangle")
    assert "--syn" in tcp.spec
    assert "NEW" in udp.spec
    first, second = block_rules.nft(host("debian-12", cause="scan-or-p2p"), ())
    assert (first.priority, second.priority) == (-300, -150)  # tracking itself hooks in at -200


def test_before_the_second_hashlimit_a_drop_follows_the_accept() -> None:
    rules = block_rules.iptables(host("el5", cause="scan-or-p2p"), ())
    assert [rule.spec.rsplit(" ", 1)[1] for rule in rules] == ["ACCEPT", "DROP", "ACCEPT", "DROP"]
