"""Yes, no or unknown, and which of the many limits it is about."""

import pytest

from tablefull.parsers.reader import read_text
from tablefull.rules.case import Case
from tablefull.rules.fullness import Fullness, fullness


def full(text: str) -> Fullness:
    return fullness(Case(read_text(text)))


@pytest.mark.parametrize(
    "text",
    [
        "[55.1] nf_conntrack: table full, dropping packet",
        "[55.1] nf_conntrack: nf_conntrack: table full, dropping packet",
        "[55.1] ip_conntrack: table full, dropping packet.",
        "Jan  3 10:00:00 gw kernel: nf_conntrack: table full in netns 4026532601, dropping packet",
        "The conntrack table became full and nobody could log in.",
        "We can see that the conntrack table is full every evening.",
        "net.netfilter.nf_conntrack_count = 65536\nnet.netfilter.nf_conntrack_max = 65536",
        "net.netfilter.nf_conntrack_count = 65530\nnet.netfilter.nf_conntrack_max = 65536",
        "nf_conntrack_max is 4096\n$ wc -l /proc/net/nf_conntrack\n4096 /proc/net/nf_conntrack",
        'level=warning msg="CT: Map insertion failed"',
    ],
)
def test_yes(text: str) -> None:
    assert full(text).state == "yes"


LINE = "[ 1000.000000] nf_conntrack: nf_conntrack: table full, dropping packet\n"
BELOW = "net.netfilter.nf_conntrack_count = 90\nnet.netfilter.nf_conntrack_max = 65536\n"
AT = "net.netfilter.nf_conntrack_count = 65535\nnet.netfilter.nf_conntrack_max = 65536\n"


@pytest.mark.parametrize(
    ("text", "uptime_s", "now", "ago_s"),
    [
        (LINE + BELOW, "1059.00", "yes", 59.0),  # it went under the limit between two packets
        (LINE + BELOW, "1061.00", "no", 61.0),
        (LINE + AT, "9000.00", "yes", 8000.0),
        (LINE, "9000.00", "unknown", 8000.0),
        (LINE + BELOW, "999.00", "yes", 0.0),  # printed after the clock was read
        (LINE + BELOW, "", "unknown", None),
        ("nf_conntrack: nf_conntrack: table full, dropping packet\n" + BELOW, "9000.00", "unknown", None),
        (LINE + "nf_conntrack: nf_conntrack: table full, dropping packet\n" + BELOW, "9000.00", "unknown", None),
        (AT, "9000.00", "unknown", None),
    ],
)
def test_whether_it_still_is(text: str, uptime_s: str, now: str, ago_s: float | None) -> None:
    found = full(text + (f"$ cat /proc/uptime\n{uptime_s} 1.00\n" if uptime_s else ""))
    assert (found.state, found.now, found.ago_s) == ("yes", now, ago_s)


@pytest.mark.parametrize(
    "text",
    [
        "[55.1] nf_conntrack: expectation table full",
        "net.netfilter.nf_conntrack_count = 800\nnet.netfilter.nf_conntrack_max = 65536",
        "cpu=0 found=1 invalid=2 insert=0 insert_failed=3 drop=0 early_drop=0",
    ],
)
def test_no(text: str) -> None:
    assert full(text).state == "no"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The network is slow.",
        "If you see 'nf_conntrack: table full, dropping packet', raise the limit. Ours are just slow.",
        "We do not see 'nf_conntrack: table full, dropping packet' anywhere, requests are just slow.",
        "The plugin warns when the conntrack table may be full.",
        "What happens if the conntrack table is full?",
        "To avoid a full conntrack table we raised it.",
        "The conntrack table is not full.",
        "The conntrack table isn't full.",
        "The neighbour table is full.",
        "ipset: the set is full, cannot add more elements",
        "The switch says its MAC table is full.",
        "The routing table is full.",
        "conntrack_allowance_exceeded: 5",
        "neighbour: arp_cache: neighbor table overflow!",
        "TCP: time wait bucket table overflow",
        "net_ratelimit: 321 callbacks suppressed",
        "net.netfilter.nf_conntrack_max = 65536",
        "net.netfilter.nf_conntrack_count = 62000\nnet.netfilter.nf_conntrack_max = 65536",  # 94.6 %: high, not refused
    ],
)
def test_unknown(text: str) -> None:
    assert full(text).state == "unknown"


def test_a_count_far_below_the_limit_overrules_a_sentence() -> None:
    told = full(
        "Somebody said the conntrack table is full.\n"
        "net.netfilter.nf_conntrack_count = 900\nnet.netfilter.nf_conntrack_max = 262144"
    )
    assert told.state == "no"


def test_a_line_cited_from_last_year_is_not_todays() -> None:
    told = full(
        "Last year we had 'nf_conntrack: table full, dropping packet' and raised the limit. Slow again today:\n"
        "net.netfilter.nf_conntrack_count = 2000\nnet.netfilter.nf_conntrack_max = 1048576"
    )
    assert told.state == "no"


def test_zero_drops_say_no_only_together() -> None:
    assert full("cpu=0 found=1 invalid=2 insert_failed=3 drop=9 early_drop=0").state == "unknown"
    assert full("cpu=0 found=1 invalid=2 insert_failed=3 drop=0 early_drop=12").state == "unknown"


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("[1.0] nf_conntrack: table full, dropping packet", "kernel"),
        ("nf_conntrack: VPS 1201: table full, dropping packet.", "container"),
        ('level=warning msg="CT: Map insertion failed"', "cilium"),
    ],
)
def test_which_table(text: str, table: str) -> None:
    assert full(text).table == table


def test_a_cited_line_is_seen_and_not_printed() -> None:
    cited = full("Since Monday we see 'nf_conntrack: table full, dropping packet' in the logs of our gateway.")
    assert (cited.state, cited.printed) == ("yes", False)
    assert full("[1.0] nf_conntrack: table full, dropping packet").printed


def test_the_evidence_is_the_lines() -> None:
    told = full("hello\n[1.0] nf_conntrack: table full, dropping packet")
    assert [origin.line for origin in told.evidence] == [2]
