"""Kernel messages under every prefix; stamps and numbers are read off the lines, seconds are counted by hand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.parsers.block import Context, Line
from tablefull.parsers.clean import clean
from tablefull.parsers.kernel_log import NEEDLES, kind_of, log_line, read

FULL = "nf_conntrack: table full, dropping packet"
AT = Context("-")


def of(text, context=AT):
    return log_line(Line(1, text, text), context)


@pytest.mark.parametrize(
    ("before", "uptime", "wall", "host"),
    [
        ("", None, None, None),
        ("[11458852.811075] ", 11458852.811075, None, None),
        ("[   12.811075] ", 12.811075, None, None),
        ("<4>[   12.811075] ", 12.811075, None, None),
        ("[   12.811075] [T123] ", 12.811075, None, None),
        ("[   12.811075][    C1] ", 12.811075, None, None),
        ("[   12.811075 <    0.000005>] ", 12.811075, None, None),
        ("[Mon Nov 23 10:00:00 2026] ", None, "Mon Nov 23 10:00:00 2026", None),
        ("[Nov23 10:00] ", None, "Nov23 10:00", None),
        ("[  +0.000005] ", None, None, None),
        ("kern  :warn  : [   12.811075] ", 12.811075, None, None),
        ("Nov 23 10:00:00 web1 kernel: ", None, "Nov 23 10:00:00", "web1"),
        ("Nov  3 10:00:00 web1 kernel: [   12.811075] ", 12.811075, "Nov  3 10:00:00", "web1"),
        ("<4>Nov 23 10:00:00 web1 kernel: ", None, "Nov 23 10:00:00", "web1"),
        ("Apr 20 22:03:02 kernel: ", None, "Apr 20 22:03:02", None),
        ("<4>1 2026-11-23T10:00:00.000+01:00 web1 kernel - - - ", None, "2026-11-23T10:00:00.000+01:00", "web1"),
        ('<4>1 2026-11-23T10:00:00Z web1 kernel - - [meta id="7"] ', None, "2026-11-23T10:00:00Z", "web1"),
        ("2026-11-23T10:00:00.123456+01:00 web1 kernel: [12.5] ", 12.5, "2026-11-23T10:00:00.123456+01:00", "web1"),
        ("2026-11-23T10:00:00+0100 web1 kernel: ", None, "2026-11-23T10:00:00+0100", "web1"),
        ("2026-11-23 10:00:00 web1 kernel: ", None, "2026-11-23 10:00:00", "web1"),
        ("Mon 2026-11-23 10:00:00 CET web1 kernel: ", None, "2026-11-23 10:00:00 CET", "web1"),
        ("[11458852.811075] web1 kernel: ", 11458852.811075, None, "web1"),
        ("1700000000.123456 web1 kernel: ", None, "1700000000.123456", "web1"),
        ("2026-11-23T10:00:00.123456789Z stdout F ", None, "2026-11-23T10:00:00.123456789Z", None),
        ("2026-11-23T10:00:00.1Z stderr F [12.5] ", 12.5, "2026-11-23T10:00:00.1Z", None),
        ("[pod/kube-proxy-x/kube-proxy] ", None, None, None),
        ("Fri Dec 16 10:09:21 2022 kern.warn kernel: [36572.424531] ", 36572.424531, "Fri Dec 16 10:09:21 2022", None),
        ("kern.warn kernel: ", None, None, None),
        ("/var/log/messages:Nov 23 10:00:00 web1 kernel: ", None, "Nov 23 10:00:00", "web1"),
        ("/var/log/syslog.1:123:Nov 23 10:00:00 web1 kernel: ", None, "Nov 23 10:00:00", "web1"),
        ("123:Nov 23 10:00:00 web1 kernel: ", None, "Nov 23 10:00:00", "web1"),
        ("messages-20261101.gz:Nov 23 10:00:00 web1 kernel: ", None, "Nov 23 10:00:00", "web1"),
        ("- ", None, None, None),
        ("1. ", None, None, None),
        ("| ", None, None, None),
        ('  "MESSAGE" : "', None, None, None),
        ("    MESSAGE=", None, None, None),
    ],
)
def test_every_prefix(before, uptime, wall, host):
    found = of(before + FULL)
    assert (found.kind, found.quoted, found.host_name, found.repeated) == ("table-full", False, host, 1)
    stamp = found.stamp
    assert (stamp.uptime_s if stamp else None, stamp.wall if stamp else None) == (uptime, wall)


def test_differences_of_wall_clocks():
    def epoch(text):
        return of(f"{text} web1 kernel: {FULL}").stamp.epoch_s

    assert epoch("Nov 23 10:00:05") - epoch("Nov 23 09:59:58") == 7
    assert epoch("Mar  1 00:00:00") - epoch("Feb 28 23:59:59") == 1
    assert epoch("2024-03-01T00:00:00Z") - epoch("2024-02-28T00:00:00Z") == 2 * 86400, "a leap year"
    assert epoch("2026-11-23T11:00:00+01:00") == epoch("2026-11-23T10:00:00Z") == epoch("2026-11-23T07:00:00-0300")
    assert epoch("2026-11-23T10:00:00.250Z") - epoch("2026-11-23T10:00:00Z") == 0.25


@pytest.mark.parametrize(
    ("text", "kind", "netns"),
    [
        ("ip_conntrack: table full, dropping packet.", "table-full", None),
        (FULL + ".", "table-full", None),
        (FULL, "table-full", None),
        ("nf_conntrack: " + FULL, "table-full", None),
        ("nf_conntrack: nf_conntrack: table full in netns 4026532246, dropping packet", "table-full", 4026532246),
        ("nf_conntrack:table full,dropping packet.", "table-full", None),
        ("nf_conntrack: VPS 1042 table full, dropping packet", "table-full", None),
        ("nf_conntrack: expectation table full", "expectation-full", None),
        ("ip_conntrack: maximum limit of 16384 entries exceeded", "ip-conntrack-max", None),
        ("nf_conntrack: falling back to vmalloc.", "vmalloc", None),
        ("nf_conntrack version 0.5.0 (16384 buckets, 65536 max)", "conntrack-version", None),
        ("TCP: time wait bucket table overflow", "time-wait-overflow", None),
        ("TCP: too many orphaned sockets", "orphans", None),
        ("TCP: out of memory -- consider tuning tcp_mem", "tcp-memory", None),
        ("neighbour: arp_cache: neighbor table overflow!", "neighbour-overflow", None),
        ("TCP: request_sock_TCP: Possible SYN flooding on port 8080. Sending cookies.", "syn-flooding", None),
    ],
)
@pytest.mark.parametrize("before", ["", "[12.5] ", "Nov 23 10:00:00 web1 kernel: [12.5] "])
def test_every_wording(before, text, kind, netns):
    found = of(before + text)
    assert (found.kind, found.netns, found.quoted) == (kind, netns, False)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("net_ratelimit: 321 callbacks suppressed", 321),
        ("__ratelimit: 20 callbacks suppressed", 20),
        ("printk: 2758 messages suppressed.", 2758),
        ("[12.5] net_ratelimit: 5 output callbacks suppressed", 5),
        ("Nov 23 10:00:00 web1 kernel: net_ratelimit: 482 callbacks suppressed", 482),
    ],
)
def test_suppressed(text, number):
    found = of(text)
    assert (found.kind, found.number, found.quoted) == ("suppressed", number, False)


def test_counts_of_other_limiters():
    assert of("audit: audit_backlog: 20 callbacks suppressed") is None
    assert of("nf_conntrack: 24 callbacks suppressed") is None
    assert of("callbacks suppressed") is None


def test_maximum_limit():
    assert of("ip_conntrack: maximum limit of 16384 entries exceeded").number == 16384
    assert of("ip_conntrack: maximum limit of XXX entries exceeded").number is None
    assert of("ip_conntrack: maximum limit of 1638²4 entries exceeded").number is None


def test_counted_by_uniq_and_syslogd():
    assert of("     37 " + FULL).repeated == 37
    assert of("     37 [12.5] " + FULL).repeated == 37
    assert of(f" 37 {FULL}", Context("-", "dmesg | sort | uniq -c")).repeated == 37
    assert of(f"Nov 23 10:00:06 web1 kernel: message repeated 3 times: [ {FULL}]").repeated == 3
    lines = clean([f"Nov 23 10:00:00 web1 kernel: {FULL}", "Nov 23 10:00:05 web1 last message repeated 12 times", FULL])
    answer = read(lines, 0, AT)
    assert (answer.used, answer.facts[0].repeated) == (2, 13)
    assert read(lines, 2, AT).used == 1
    assert read(lines, 1, AT) is None


def test_json_of_the_journal():
    record = {
        "MESSAGE": FULL,
        "_HOSTNAME": "web1",
        "__REALTIME_TIMESTAMP": "1700000000123456",
        "__MONOTONIC_TIMESTAMP": "12811075",
    }
    found = of(json.dumps(record))
    assert (found.host_name, found.stamp.uptime_s, found.stamp.epoch_s) == ("web1", 12.811075, 1700000000.123456)
    record["MESSAGE"] = [*FULL.encode(), 255]
    assert (of(json.dumps(record)).kind, of(json.dumps(record)).quoted) == ("table-full", False)
    record["MESSAGE"] = [1, 300]
    assert of(json.dumps(record)) is None
    record["MESSAGE"] = None
    assert of(json.dumps(record)) is None


def test_json_of_dmesg_and_containers():
    found = of('{"pri":4,"time":   12.811075,"msg":"nf_conntrack: table full, dropping packet"},')
    assert (found.stamp.uptime_s, found.quoted) == (12.811075, False)
    found = of(
        '{"log":"nf_conntrack: table full, dropping packet\\n","stream":"stdout","time":"2026-11-23T10:00:00.1Z"}'
    )
    assert (found.stamp.wall, found.quoted) == ("2026-11-23T10:00:00.1Z", False)


@pytest.mark.parametrize("text", ["{" * 5000, '{"MESSAGE":', "[1]", '{"MESSAGE":{}}', '{"a":' * 3000])
def test_json_that_is_none(text):
    assert of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        f"We see {FULL} in dmesg.",
        f"Log of the router says: {FULL}",
        f'The message "{FULL}" comes every five seconds.',
        f"myapp[12]: upstream said {FULL}",
    ],
)
def test_cited_in_a_sentence(text):
    assert of(text).quoted


@pytest.mark.parametrize(
    "text",
    [
        "There is no table full in dmesg.",
        f"There is no {FULL} in dmesg.",
        f'I never saw "{FULL}".',
        f"We run without {FULL} now.",
        f'grep "{FULL}" finds nothing',
        f"The line {FULL} does not appear.",
        f"{FULL} is not there any more",
        "nothing about a conntrack table full in the log",
    ],
)
def test_denied_in_a_sentence(text):
    assert of(text) is None


def test_every_needle_has_its_kind():
    for needle, kind in NEEDLES:
        found = kind_of(f"x {needle} 7 entries exceeded")
        assert found is not None
        assert found[0] in (kind, "table-full", "neighbour-overflow")


@given(st.text(alphabet='[]<>{}:. 0123456789abNovkernel:tfu,"\t', max_size=80))
def test_any_prefix_gives_a_line(before):
    found = of(before + "conntrack: table full")
    assert found is None or found.kind in ("table-full", "suppressed")
