"""What follows from facts made by hand; that the kernel does the same shows in tests/realkernel/test_why.py."""

import pytest

from tablefull.facts.modules import Module
from tablefull.facts.origin import Fact, Origin
from tablefull.facts.ruleset import FwChain, FwListing, FwObject, FwRule
from tablefull.facts.settings import Setting
from tablefull.facts.snapshot import HostFacts
from tablefull.kernel.identity import parse_release
from tablefull.rules.holds import Hold, Sight, Verdict, decided, holds, verdicts

NOW, MIDDLE, OLD = parse_release("6.18.44"), parse_release("4.12.0"), parse_release("3.2.0-24-generic")
HERE = Origin("a file", 1, "a line")


def rule(text: str, tool: str = "iptables", family: str = "ip", table: str = "filter", chain: str = "INPUT") -> FwRule:
    return FwRule(origin=Origin("rules", 1, text), tool=tool, family=family, table=table, chain=chain, text=text)


def module(name: str, *used_by: str) -> Module:
    return Module(origin=HERE, name=name, used_by=used_by)


def of(*facts: Fact) -> HostFacts:
    host = HostFacts(name="h")
    host.facts += facts
    return host


def states(found: list[Hold], sight: Sight) -> dict[str, str]:
    return {one.family: one.state for one in verdicts(found, sight)}


def test_the_reason_that_costs_most_to_lose_comes_first() -> None:
    found = holds(
        of(
            rule("-A PREROUTING -j CONNMARK --restore-mark", table="mangle", chain="PREROUTING"),
            rule("-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE", table="nat", chain="POSTROUTING"),
            rule("-A INPUT -m state --state ESTABLISHED -j ACCEPT"),
            rule("-A INPUT -m conntrack --ctstate RELATED -j ACCEPT"),
            rule("-A INPUT -p tcp --dport 22 -j ACCEPT"),
            rule("-A PREROUTING -j CT --notrack", table="raw", chain="PREROUTING"),
        ),
        NOW,
    )
    assert [(one.what, one.rules, one.owner) for one in found] == [
        ("stateful filter", 2, ""),
        ("NAT, outward", 1, "Docker"),
        ("mark of a connection", 1, ""),
    ]
    assert found[0].by == ("state", "conntrack")
    assert all(one.asks and one.evidence and one.without and one.source for one in found)


def test_a_rule_proves_yes_for_its_family_alone() -> None:
    found = holds(of(rule("-A INPUT -m state --state NEW", "ip6tables", "ip6")), NOW)
    assert states(found, Sight(kernel=NOW)) == {"IPv4": "no", "IPv6": "yes"}
    assert states(found, Sight(kernel=NOW, unseen={"IPv4": ["iptables"]})) == {"IPv4": "unknown", "IPv6": "yes"}


def test_entries_of_the_family_that_is_tracked_make_no_doubt_of_the_other() -> None:
    one = rule("-A INPUT -m state --state NEW")
    found = holds(of(one), NOW)
    assert states(found, Sight(kernel=NOW, count=900)) == {"IPv4": "yes", "IPv6": "no"}
    assert states(holds(of(one, module("openvswitch")), NOW), Sight(kernel=NOW, count=900))["IPv6"] == "unknown"
    told = {each.family: each.why for each in verdicts([], Sight(kernel=NOW, count=1))}
    assert "the table holds 1 entry:" in told["IPv6"]


def test_where_modules_decide_a_table_that_was_full_was_tracking() -> None:
    unseen = {"modules": ["/proc/modules"]}
    sight = Sight(kernel=OLD, full=True, unseen=unseen)
    assert [(one.family, one.state, one.basis) for one in verdicts([], sight)] == [
        ("IPv4", "yes", "unknown"),
        ("IPv6", "unknown", "unknown"),
    ]
    assert states([], Sight(kernel=NOW, full=True, unseen={"IPv4": ["iptables"]}))["IPv4"] == "unknown"


def test_a_rule_in_a_dormant_table_asks_and_cuts_nobody_off() -> None:
    asleep = FwListing(origin=HERE, tool="nft", family="ip", table="t", dormant=True)
    rules = [rule("ct state new accept", "nft", "ip", table, "input") for table in ("t", "u")]
    awake, other = holds(of(asleep, *rules), NOW)
    assert (awake.what, awake.where) == ("stateful filter", ("nft ip u input",))
    assert other.what == "stateful filter in a dormant table"
    assert other.asks
    assert "nothing is lost" in other.without


def test_an_object_that_no_rule_uses_asks_too() -> None:
    helper = FwObject(origin=HERE, tool="nft", family="inet", table="t", kind="ct helper", name="ftp")
    idle = FwObject(origin=HERE, tool="nft", family="inet", table="t", kind="flowtable", name="f")
    counted = FwObject(origin=HERE, tool="nft", family="ip", table="t", kind="set", name="s", text="ct count")
    assert [one.by for one in holds(of(helper, idle), NOW)] == [("ct helper",)]
    assert [(one.by, one.families) for one in holds(of(counted), NOW)] == [(("ct count",), ("IPv4",))]


@pytest.mark.parametrize(
    ("sight", "state"),
    [
        (Sight(kernel=NOW), "no"),
        (Sight(kernel=NOW, count=5), "unknown"),
        (Sight(kernel=NOW, tracker=False, unseen={"IPv4": ["all"]}), "no"),
        (Sight(kernel=None), "unknown"),
        (Sight(kernel=OLD), "no"),
        (Sight(kernel=OLD, unseen={"modules": ["/proc/modules"]}), "unknown"),
        (Sight(kernel=OLD, count=3), "unknown"),
    ],
)
def test_no_reason_is_a_no_only_where_all_was_seen(sight: Sight, state: str) -> None:
    assert states([], sight)["IPv4"] == state


@pytest.mark.parametrize(
    ("kernel", "names", "wanted"),
    [
        (OLD, ("nf_conntrack_ipv4",), {"IPv4": "yes", "IPv6": "no"}),
        (OLD, ("nf_conntrack",), {"IPv4": "no", "IPv6": "no"}),
        (MIDDLE, ("nf_conntrack_ipv6",), {"IPv4": "no", "IPv6": "yes"}),
        (NOW, ("nf_conntrack", "nf_nat"), {"IPv4": "no", "IPv6": "no"}),
        (parse_release("4.15.0"), ("nf_conntrack_ipv4",), {"IPv4": "no", "IPv6": "no"}),
    ],
)
def test_up_to_4_13_the_module_of_the_family_decides(kernel: object, names: tuple[str, ...], wanted: object) -> None:
    found = holds(of(*map(module, names)), kernel)  # type: ignore[arg-type]
    assert states(found, Sight(kernel=kernel)) == wanted  # type: ignore[arg-type]


def test_the_option_asks_for_every_namespace_and_only_where_it_exists() -> None:
    assert states(holds(of(), NOW, booted_with=HERE), Sight(kernel=NOW)) == {"IPv4": "yes", "IPv6": "yes"}
    assert holds(of(), parse_release("4.19.0"), booted_with=HERE) == []


def test_what_takes_part_is_named_and_proves_nothing() -> None:
    bridged = Setting(
        origin=HERE, name="net.bridge.bridge-nf-call-iptables", spelled="bridge-nf-call-iptables", value="1", number=1
    )
    assert [one.by for one in holds(of(module("br_netfilter")), NOW)] == [("br_netfilter",)]
    found = holds(of(module("ip_vs"), module("br_netfilter"), bridged), NOW)
    assert [one.by for one in found] == [("bridge-nf",), ("ip_vs",)]
    assert not any(one.asks for one in found)
    assert states(found, Sight(kernel=NOW))["IPv4"] == "no"


@pytest.mark.parametrize(
    ("version", "state"),
    [("4.15.0", "no"), ("5.10.0-8-amd64", "yes"), ("6.1.0-56-cloud-amd64", "yes"), ("6.12.117", "no")],
)
def test_openvswitch_once_loaded_tracks_every_namespace_up_to_6_11(version: str, state: str) -> None:
    """As measured under qemu (tests/vm/test_why_modular.py): 6.1 yes, 6.12 no."""
    kernel = parse_release(version)
    found = holds(of(module("openvswitch")), kernel)
    assert states(found, Sight(kernel=kernel)) == {"IPv4": state, "IPv6": state}


@pytest.mark.parametrize("name", ["openvswitch", "act_ct"])
def test_a_module_that_calls_the_tracker_itself_leaves_no_plain_no(name: str) -> None:
    """Its flows cannot be read here, and they track without a hook."""
    found = holds(of(module(name)), NOW)
    (verdict, _) = verdicts(found, Sight(kernel=NOW))
    assert verdict.state == "no"
    assert name in verdict.why


def test_a_rule_as_a_person_would_write_it() -> None:
    counted = rule("[5:300] -A POSTROUTING -j MASQUERADE", table="nat", chain="POSTROUTING")
    columns = rule("MASQUERADE  all  --  anywhere  anywhere", table="nat", chain="POSTROUTING")
    nft = rule("oifname eth0 masquerade", "nft", "inet", "t", "c")
    (found, spoken) = sorted(holds(of(counted, columns, nft), NOW), key=lambda one: one.where)
    assert found.shown == (
        "iptables -t nat -A POSTROUTING -j MASQUERADE",
        "iptables -t nat POSTROUTING: MASQUERADE  all  --  anywhere  anywhere",
    )
    assert spoken.shown == ("nft inet t c: oifname eth0 masquerade",)


@pytest.mark.parametrize(
    ("before", "tracked", "after"),
    [
        ("no", None, "no"), ("no", False, "no"), ("no", True, "yes"),
        ("yes", None, "yes"), ("yes", False, "unknown"), ("yes", True, "yes"),
        ("unknown", None, "unknown"), ("unknown", False, "no"), ("unknown", True, "yes"),
    ],
)  # fmt: skip
def test_a_packet_decides(before: str, tracked: bool | None, after: str) -> None:
    told = decided(Verdict("IPv4", before, "why", "version"), tracked)  # type: ignore[arg-type]
    assert told.state == after
    assert "why" in told.why or told.why.startswith("a packet")


def _two_chains(*rules: FwRule) -> HostFacts:
    common = {"origin": HERE, "tool": "nft", "family": "inet", "table": "t"}
    base = FwChain(**common, chain="input", kind="filter", hook="input", policy="drop")
    return of(base, FwChain(**common, chain="users"), *rules)


def _nft(chain: str, text: str) -> FwRule:
    return rule(text, tool="nft", family="inet", table="t", chain=chain)


def test_a_rule_in_a_chain_that_nothing_jumps_to_asks_and_nobody_is_cut_off_without_it() -> None:
    (one,) = holds(_two_chains(_nft("input", "iif lo accept"), _nft("users", "ct state established accept")), NOW)
    assert one.asks
    assert "nothing jumps to" in one.what
    assert "cuts this host off" not in one.without


@pytest.mark.parametrize("way", ["jump users", "ip saddr vmap @verdicts"])
def test_a_chain_that_a_jump_or_a_named_map_may_lead_to_is_not_idle(way: str) -> None:
    (one,) = holds(_two_chains(_nft("input", way), _nft("users", "ct state established accept")), NOW)
    assert one.what == "stateful filter"
    assert "cuts this host off" in one.without
