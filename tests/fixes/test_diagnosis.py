"""From a paste to a diagnosis, end to end: the Xen incident, a look-alike, and nothing at all."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.fixes.diagnosis import MAX_CAUSES, MAX_FIXES, Diagnosis, diagnose
from tablefull.parsers.reader import read_text
from tablefull.rules.meanings import CAUSES

XEN = (Path(__file__).parents[2] / "examples" / "xen-dom0.txt").read_text(encoding="utf-8")
FULL = "nf_conntrack: table full, dropping packet\n"


def told(text: str) -> Diagnosis:
    return diagnose(read_text(text))


@pytest.fixture(scope="module")
def xen() -> Diagnosis:
    return told(XEN)


def test_xen_is_full(xen: Diagnosis) -> None:
    assert (xen.full.state, xen.full.table, xen.full.printed) == ("yes", "kernel", True)
    assert xen.headline.startswith("Yes: ")
    assert "66 packets a second" in xen.headline


def test_xen_causes(xen: Diagnosis) -> None:
    causes = [cause.cause for cause in xen.causes]
    assert causes[:2] == ["unneeded-tracking", "bridge-nf"]
    assert {cause.host for cause in xen.causes[:2]} == {"Dom0"}
    why = xen.causes[0].why
    assert "no rule" in why
    assert "listing the nat table" in why


def test_xen_evidence_is_the_paste(xen: Diagnosis) -> None:
    lines = XEN.splitlines()
    for cause in xen.causes:
        assert cause.evidence, cause.cause
        for origin in cause.evidence:
            assert lines[origin.line - 1] == origin.text


def test_xen_way_out_is_to_stop_tracking(xen: Diagnosis) -> None:
    fixes = [fix.id for fix in xen.fixes]
    assert fixes[0] in ("disable-bridge-nf", "unload-modules", "notrack")
    assert "raise-max" not in fixes[:3]
    assert xen.fixes[0].host == "Dom0"
    assert "unneeded-tracking" in xen.fixes[0].answers


def test_xen_commands_fit_that_kernel(xen: Diagnosis) -> None:
    for fix in xen.fixes:
        for command in (*fix.commands, *fix.persist, *fix.undo, *fix.verify):
            assert not command.startswith("nft "), "nft is younger than 3.2"
            assert "systemctl" not in command, "12.04 has upstart"
            if not command.startswith("#"):
                assert "iptables -t nat -L" not in command, "listing nat loads it on 3.2"


def test_xen_loss(xen: Diagnosis) -> None:
    loss = xen.loss
    assert loss is not None
    assert (loss.dropped_packets_min, loss.dropped_packets_estimate, loss.window_s) == (10, 331, 5)
    assert loss.rate_per_s == pytest.approx(66.2)


def test_xen_hosts(xen: Diagnosis) -> None:
    roles = {host.name: host.role for host in xen.hosts}
    assert roles["Dom0"] == "dom0"
    assert roles["DomU"] == "domu"
    assert "3.2.0-24-generic" in [host.kernel for host in xen.hosts]
    assert "ubuntu 12.04" in [host.distribution for host in xen.hosts]
    assert 1548576 in [host.facts.get("nf_conntrack_max") for host in xen.hosts]


def test_xen_next_steps_load_nothing(xen: Diagnosis) -> None:
    assert xen.ask_next
    assert not any(ask.loads_modules for ask in xen.ask_next)


def test_xen_leaves_no_line_unread(xen: Diagnosis) -> None:
    assert xen.unread == ()


def test_xen_severity(xen: Diagnosis) -> None:
    assert xen.severity in ("degraded", "outage")


def test_a_full_table_is_never_less_than_degraded() -> None:
    assert told(FULL).severity == "degraded"
    assert told(FULL + "[3.1] nf_conntrack: falling back to vmalloc.").severity == "degraded"


def test_a_look_alike_says_what_it_is() -> None:
    one = told(
        "[771.1] net_ratelimit: 90 callbacks suppressed\n[771.2] neighbour: arp_cache: neighbor table overflow!\n"
    )
    assert one.full.state != "yes"
    assert (one.causes[0].cause, one.causes[0].look_alike) == ("not-conntrack", "neighbour-table")
    assert "gc_thresh3" in one.causes[0].why
    assert one.fixes[0].id == "none"
    assert one.loss is None
    assert not one.headline.startswith("Yes")


@pytest.mark.parametrize("text", ["", "\n\n   \n", "My cat is ill."])
def test_nothing_to_tell(text: str) -> None:
    one = told(text)
    assert not one.seen_anything
    assert one.full.state == "unknown"
    assert one.severity == "none"
    assert one.ask_next
    assert "does not show" in one.headline or "Nothing" in one.headline


def test_an_empty_text_leaves_every_rule_blind() -> None:
    assert {outcome.state for outcome in told("").outcomes} == {"blind"}
    assert told("").causes == told("").fixes == ()


def test_a_healthy_host_is_seen_and_well() -> None:
    one = told("net.netfilter.nf_conntrack_count = 812\nnet.netfilter.nf_conntrack_max = 262144\n")
    assert one.seen_anything
    assert one.full.state == "no"
    assert one.severity == "none"
    assert one.headline.startswith("No entry table is full")


def test_each_fix_once_with_every_cause_it_answers(xen: Diagnosis) -> None:
    ids = [fix.id for fix in xen.fixes]
    assert len(set(ids)) == len(ids) <= MAX_FIXES
    assert set(xen.fixes[0].answers) == {"unneeded-tracking", "bridge-nf"}


def test_the_same_evidence_gives_the_same_answer(xen: Diagnosis) -> None:
    assert told(XEN) == xen


def test_two_hosts_keep_their_own_facts() -> None:
    one = told(
        "=== lb1 ===\nnet.netfilter.nf_conntrack_max = 65536\n=== lb2 ===\nnet.netfilter.nf_conntrack_max = 262144\n"
    )
    assert {host.name: host.facts["nf_conntrack_max"] for host in one.hosts} == {"lb1": 65536, "lb2": 262144}


# Pieces of real evidence in any order: the answer keeps its promises whatever they make together.
PIECES = (
    FULL,
    "[771.1] net_ratelimit: 90 callbacks suppressed\n",
    "[771.2] neighbour: arp_cache: neighbor table overflow!\n",
    "net.netfilter.nf_conntrack_max = 65536\n",
    "net.netfilter.nf_conntrack_count = 4294967290\n",
    "net.netfilter.nf_conntrack_buckets = 0\n",
    "net.netfilter.nf_conntrack_max = 0\n",
    "cpu=0 found=1 invalid=2 insert=0 insert_failed=3 drop=4 early_drop=5\n",
    "iptables on Dom0:\n",
    "$ iptables -t nat -L -v\nChain PREROUTING (policy ACCEPT 0 packets, 0 bytes)\n",
    "tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1\n",
    "We serve 10M hits / day.\n",
    "conntrack_allowance_exceeded: 7\n",
    "lookups take 5 s, A and AAAA from one socket\n",
)


@given(st.lists(st.sampled_from(PIECES), max_size=10))
def test_promises_hold_for_any_mixture(pieces: list[str]) -> None:
    one = told("".join(pieces))
    assert not [outcome.detail for outcome in one.outcomes if outcome.state == "broken"]
    confidences = [cause.confidence for cause in one.causes]
    assert confidences == sorted(confidences, reverse=True)
    assert all(0 < confidence < 1 for confidence in confidences)
    assert len(one.causes) <= MAX_CAUSES
    assert {cause.cause for cause in one.causes} <= set(CAUSES)
    names = {host.name for host in one.hosts}
    assert all(cause.host in names for cause in one.causes)
    for fix in one.fixes:
        assert fix.commands
        assert fix.answers
    if one.full.state == "yes":
        assert one.severity in ("degraded", "outage")
    if FULL in pieces:
        assert one.full.state == "yes"


OLD = "[ 1000.000000] " + FULL + "$ cat /proc/uptime\n8200.00 1.00\n"


def test_a_table_that_was_full_is_not_called_full() -> None:
    found = told(OLD + "net.netfilter.nf_conntrack_count = 90\nnet.netfilter.nf_conntrack_max = 65536\n")
    assert found.headline.startswith(
        "Not now: the connection-tracking table was full until 2 h ago and new connections were refused; it holds 90 "
        "of 65,536 entries."
    )
    assert found.severity == "info"
    assert found.fixes, "what would keep it from filling again is still said"


def test_whether_it_still_is_full_may_be_unseen() -> None:
    found = told(OLD)
    assert found.headline.startswith("Yes: the connection-tracking table was full until 2 h ago")
    assert "whether it still is was not seen" in found.headline
    assert found.severity == "degraded"


def test_what_is_said_of_a_running_host_names_it() -> None:
    counted = "net.netfilter.nf_conntrack_count = 90\nnet.netfilter.nf_conntrack_max = 65536\n"
    snapshot = read_text(counted)
    assert diagnose(snapshot).headline.startswith("No entry table is full in this evidence")
    snapshot.live = True
    assert diagnose(snapshot).headline.startswith("No entry table is full on this host")
    snapshot.hosts[0].name = "web.netns.blue"
    assert diagnose(snapshot).headline.startswith("No entry table is full in the network namespace blue")
