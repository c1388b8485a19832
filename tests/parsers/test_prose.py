"""What people state in sentences, and numbers that state nothing."""

import pytest

from tablefull.facts.claims import Claim
from tablefull.facts.entry import EntryCount
from tablefull.facts.settings import Setting
from tablefull.parsers.block import Context, Line
from tablefull.parsers.prose import claims


def facts(text, kind):
    return [one for one in claims(Line(1, text, text), Context("-")) if isinstance(one, kind)]


@pytest.mark.parametrize(
    ("text", "quantity", "value", "per_s"),
    [
        ("The server is under about 10M hits / day load.", "hit", 1e7, 1e7 / 86400),
        ("10 M hits/day", "hit", 1e7, 1e7 / 86400),
        ("2 million hits daily", "hit", 2e6, 2e6 / 86400),
        ("at about 1300 qps", "query", 1300, 1300),
        ("1.3k qps", "query", 1300, 1300),
        ("300 kpps of UDP", "packet", 300_000, 300_000),
        ("1.2 Mpps", "packet", 1.2e6, 1.2e6),
        ("60k connections", "connection", 60_000, None),
        ("60k+ concurrent TCP connections", "connection", 60_000, None),
        ("1,2 million requests", "request", 1_200_000, None),
        ("1,234,567 entries", "entry", 1_234_567, None),
        ("between 100 and 200 connections", "connection", 200, None),
        ("20-30k connections", "connection", 30_000, None),
        ("5 to 10 req/s", "request", 10, 10),
        ("10K messages a minute", "message", 10_000, 10_000 / 60),
        ("a 96-core machine", "core", 96, None),
        ("8 CPUs", "core", 8, None),
        ("10 requests per second", "request", 10, 10),
        ("3000 new connections/sec", "connection", 3000, 3000),
        ("0.5 requests per second", "request", 0.5, 0.5),
        ("12 players", "client", 12, None),
    ],
)
def test_stated_loads(text, quantity, value, per_s):
    (claim,) = facts(text, Claim)
    assert (claim.quantity, claim.value) == (quantity, pytest.approx(value))
    assert claim.per_s == (None if per_s is None else pytest.approx(per_s))


@pytest.mark.parametrize(
    "text",
    [
        "At 2026-11-23 clients came",
        "since 10:00 requests fail",
        "from 10.0.0.1 clients",
        "10.0.0.1:80 connections",
        "on port 443 connections fail",
        "HTTP 1.1 requests",
        "HTTP/1.1 requests",
        "IPv4 connections",
        "version 12 clients",
        "v1.2.3 clients",
        "tel 555-123-4567 users",
        "95% of users",
        "kernel 5 packets",
        "5 s more",
        "issue #44 users",
        "no figures here",
    ],
)
def test_numbers_that_state_nothing(text):
    assert facts(text, Claim) == []


@pytest.mark.parametrize(
    ("text", "count", "limit"),
    [
        ("Router counter while it runs: 15k+/16384 (95%).", 15_000, 16_384),
        ("CONNTRACK OK: 57% state used (151335/262144)", 151_335, 262_144),
        ("conntrack 65,000 of 65,536", 65_000, 65_536),
        ("NAT table: 4000/4096", 4000, 4096),
    ],
)
def test_a_count_beside_its_limit(text, count, limit):
    (found,) = facts(text, EntryCount)
    (setting,) = facts(text, Setting)
    assert (found.count, setting.name, setting.number, setting.standing) == (count, "nf_conntrack_max", limit, "stated")


@pytest.mark.parametrize(
    "text",
    [
        "conntrack table as of 10/2023",
        "10 of 1000 connections fail",
        "conntrack 300000/262144",
        "table 10/20",
        "a/b table",
    ],
)
def test_two_numbers_that_are_no_pair(text):
    assert facts(text, EntryCount) == []


@pytest.mark.parametrize(
    ("text", "name", "number"),
    [
        ("net.netfilter.nf_conntrack_max is 655360.", "nf_conntrack_max", 655_360),
        ("nf_conntrack_max is still at the default 65,536", "nf_conntrack_max", 65_536),
        ("conntrack_max was 64k", "nf_conntrack_max", 64_000),
        ("with nf_conntrack_max=65536 we drop", "nf_conntrack_max", 65_536),
        ("/proc/sys/net/netfilter/nf_conntrack_max is the default 65536", "nf_conntrack_max", 65_536),
        ("hashsize is 16384", "hashsize", 16_384),
        ("nf_conntrack_max为655360", "nf_conntrack_max", 655_360),
        ("The established timeout is 432000 seconds", "nf_conntrack_tcp_timeout_established", 432_000),
        ("established timeout is 5 days", "nf_conntrack_tcp_timeout_established", 432_000),
        ("the CLOSE_WAIT timeout is set to 3600", "nf_conntrack_tcp_timeout_close_wait", 3600),
        ("time wait timeout = 120 s", "nf_conntrack_tcp_timeout_time_wait", 120),
        ("udp stream timeout is 180", "nf_conntrack_udp_timeout_stream", 180),
    ],
)
def test_settings_said(text, name, number):
    (setting,) = facts(text, Setting)
    assert (setting.name, setting.number, setting.standing) == (name, number, "stated")


def test_a_command_in_a_sentence_is_not_a_statement():
    assert facts("I ran sysctl -w net.netfilter.nf_conntrack_max=786432 and nothing changed", Setting) == []


def test_a_line_too_long_for_a_sentence():
    assert claims(Line(1, "10 requests " * 1000, ""), Context("-")) == []
