"""Tracking that nothing needs, entries never freed, settings that did not stick."""

import pytest
from rule_text import FULL, fired, found

from tablefull.parsers.reader import read_text
from tablefull.rules.case import Case
from tablefull.rules.tracking import bare_hosts, idle_tracking_rules, tracking_rules

EMPTY = "$ iptables -S\n-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"
STATEFUL = EMPTY + "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n"


@pytest.mark.parametrize(
    ("rule", "needs"),
    [
        ("-A INPUT -m state --state ESTABLISHED -j ACCEPT", True),
        ("-A INPUT -m conntrack --ctstate INVALID -j DROP", True),
        ("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", False),
        ("-A INPUT -s 198.51.100.0/24 -j DROP", False),
    ],
)
def test_which_rule_asks_for_tracking(rule: str, needs: bool) -> None:
    case = Case(read_text(EMPTY + rule + "\n"))
    assert bool(tracking_rules(case.hosts[0])) is needs
    assert bool(bare_hosts(case)) is not needs


def test_a_host_that_listed_nothing_is_not_bare() -> None:
    assert bare_hosts(Case(read_text(FULL))) == []


def test_no_rule_needs_it() -> None:
    one = fired(FULL + EMPTY, "unneeded-tracking")
    assert one.confidence >= 0.8
    assert one.fixes[0] in ("unload-modules", "notrack")


def saved(*rules: str) -> str:
    chains = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:old - [0:0]\n:older - [0:0]\n"
    return "$ iptables-save\n" + chains + "".join(f"{rule}\n" for rule in rules) + "COMMIT\n"


@pytest.mark.parametrize(
    ("rules", "met"),
    [
        (("-A old -m conntrack --ctstate NEW -j ACCEPT",), False),
        (("-A INPUT -j old", "-A old -m conntrack --ctstate NEW -j ACCEPT"), True),
        (("-A INPUT -g older", "-A older -j old", "-A old -m conntrack --ctstate NEW -j ACCEPT"), True),
        (("-A older -j old", "-A old -m conntrack --ctstate NEW -j ACCEPT"), False),
        (("-A INPUT -p tcp -j ACCEPT", "-A older -m state --state NEW -j RETURN"), False),
    ],
)
def test_a_rule_in_a_chain_that_nothing_jumps_to_is_not_needed(rules: tuple[str, ...], met: bool) -> None:
    host = Case(read_text(saved(*rules))).hosts[0]
    assert bool(tracking_rules(host)) is met
    assert bool(idle_tracking_rules(host)) is not met


def test_what_a_firewall_left_behind_is_named() -> None:
    one = fired(FULL + saved("-A old -m conntrack --ctstate NEW -j ACCEPT"), "unneeded-tracking")
    assert one.confidence >= 0.9
    assert "nothing jumps to (old)" in one.why
    assert any("-A old" in origin.text for origin in one.evidence)


def test_a_stateful_rule_needs_it() -> None:
    assert found(FULL + STATEFUL, "unneeded-tracking") is None


@pytest.mark.parametrize(("release", "starts"), [("3.2.0-24-generic", True), ("5.10.0-8-amd64", False)])
def test_listing_nat_starts_tracking_on_old_kernels_only(release: str, starts: bool) -> None:
    text = (
        f"Linux h {release} #1 SMP x86_64 GNU/Linux\n"
        + FULL
        + "$ iptables -t nat -S\n-P PREROUTING ACCEPT\n-P POSTROUTING ACCEPT\n-P OUTPUT ACCEPT\n"
    )
    assert ("listing the nat table" in fired(text, "unneeded-tracking").why) is starts


def test_a_count_below_zero() -> None:
    one = fired("net.netfilter.nf_conntrack_count = 4294967290", "kernel-leak-or-bug")
    assert one.confidence >= 0.9
    assert "wrapped" in one.why


@pytest.mark.parametrize(("listed", "fires"), [(900, True), (3500, False)])
def test_count_and_listing_drift_apart(listed: int, fires: bool) -> None:
    text = f"$ conntrack -C\n12000\n$ wc -l /proc/net/nf_conntrack\n{listed} /proc/net/nf_conntrack\n"
    assert (found(text, "kernel-leak-or-bug") is not None) is fires


def test_a_full_table_alone_is_no_bug() -> None:
    assert found(FULL + "net.netfilter.nf_conntrack_max = 65536", "kernel-leak-or-bug") is None


def test_a_file_that_the_kernel_does_not_follow() -> None:
    one = fired(
        "$ cat /etc/sysctl.d/50-ct.conf\nnet.netfilter.nf_conntrack_max = 1000000\n"
        "$ sysctl net.netfilter.nf_conntrack_max\nnet.netfilter.nf_conntrack_max = 262144\n",
        "config-overwritten",
    )
    assert "configured as 1000000 and reads 262144" in one.why
    assert one.fixes[0] == "persist-config"


def test_kube_proxys_hour() -> None:
    one = fired("net.netfilter.nf_conntrack_tcp_timeout_close_wait = 3600", "config-overwritten")
    assert one.fixes[0] == "configure-kube-proxy"
