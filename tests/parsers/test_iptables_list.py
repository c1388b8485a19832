from firewall_text import assert_linear, broken, capture, facts
from hypothesis import given

from tablefull.facts.ruleset import FwChain, FwListing, FwRule
from tablefull.parsers.iptables_list import count_of, read

XEN = """Chain PREROUTING (policy ACCEPT 23155 packets, 1390K bytes)
 pkts bytes target     prot opt in     out     source               destination

Chain INPUT (policy ACCEPT 9 packets, 720 bytes)
 pkts bytes target     prot opt in     out     source               destination

Chain OUTPUT (policy ACCEPT 27 packets, 1780 bytes)
 pkts bytes target     prot opt in     out     source               destination

Chain POSTROUTING (policy ACCEPT 23173 packets, 1392K bytes)
 pkts bytes target     prot opt in     out     source               destination
"""


def kinds(found, kind):
    return [fact for fact in found if isinstance(fact, kind)]


def saved(table: str) -> tuple[list[str], list[str]]:
    """Chains and rules of one table by what iptables-save printed of the same rules: an independent count."""
    part = capture("legacy-save-c").split(f"*{table}\n")[1].split("COMMIT")[0].splitlines()
    return [x[1:].split()[0] for x in part if x[0] == ":"], [x for x in part if x[0] == "["]


def test_the_policy_counters_of_a_nat_listing():
    found = facts(read, XEN, "iptables -L -t nat -v")
    (listing,) = kinds(found, FwListing)
    assert (listing.table, listing.tool, listing.with_counters) == ("nat", "iptables", True)
    chains = kinds(found, FwChain)
    assert [(c.chain, c.packets, c.bytes) for c in chains] == [
        ("PREROUTING", 23155, 1390_000),
        ("INPUT", 9, 720),
        ("OUTPUT", 27, 1780),
        ("POSTROUTING", 23173, 1392_000),
    ]
    assert not kinds(found, FwRule)


def test_the_table_is_told_by_its_chains_where_no_command_is_seen():
    for squeezed in (XEN, "\n".join(" ".join(x.split()) for x in XEN.split("\n")), " ".join(XEN.split())):
        found = facts(read, squeezed)
        assert {fact.table for fact in found} == {"nat"}
        assert len(kinds(found, FwChain)) == 4


def test_two_tables_in_a_row_are_two_listings():
    text = XEN + "\nChain INPUT (policy ACCEPT)\ntarget prot opt source destination\n\nChain FORWARD (policy DROP)\n"
    assert [fact.table for fact in kinds(facts(read, text), FwListing)] == ["nat", "filter"]


def test_suffixes_are_thousands():
    assert [count_of(word) for word in ("241K", "24M", "3G", "12T", "7")] == [
        241_000,
        24 * 10**6,
        3 * 10**9,
        12 * 10**12,
        7,
    ]


def test_every_option_shows_the_same_rules_as_iptables_save():
    chains, rules = saved("filter")
    targets = [rule.split(" -j ")[1].split()[0] if " -j " in rule else None for rule in rules]
    for name in ("legacy-L", "legacy-L-n", "legacy-L-v", "legacy-L-v-n-x", "legacy-L-v-n-linenumbers"):
        found = facts(read, capture(name))
        assert [c.chain for c in kinds(found, FwChain)] == chains
        assert [r.target for r in kinds(found, FwRule)] == targets, name
        assert {fact.table for fact in found} == {"filter"}
        assert ("-v" in name) == (kinds(found, FwRule)[0].packets == 3006)
    exact = kinds(facts(read, capture("legacy-L-v-n-x")), FwRule)[0]
    assert f"[{exact.packets}:{exact.bytes}]" == rules[0].split()[0]


def test_notrack_and_masquerade_stay_in_the_text():
    raw = facts(read, capture("legacy-L-t-raw-v-n"))
    assert [r.text.split()[-1] for r in kinds(raw, FwRule)] == ["notrack", "NOTRACK"]
    assert {fact.table for fact in raw} == {"raw"}
    nat = kinds(facts(read, capture("ipt-nft-t-nat-L-v")), FwRule)
    assert [(r.table, r.target) for r in nat] == [("nat", "MASQUERADE")]
    assert {fact.table for fact in facts(read, capture("legacy-t-mangle-L"))} == {"mangle"}


def test_ip6_and_a_column_the_old_ip6tables_left_empty():
    assert {fact.family for fact in facts(read, capture("legacy6-L-n-v"))} == {"ip6"}
    old = (
        "Chain INPUT (policy ACCEPT)\ntarget     prot opt source     destination\nACCEPT     all      ::/0       ::/0\n"
    )
    (rule,) = kinds(facts(read, old), FwRule)
    assert (rule.target, rule.family) == ("ACCEPT", "ip6")


def test_a_rule_that_mail_wrapped_is_one_rule():
    text = (
        "Chain INPUT (policy ACCEPT 23155 packets,\n1390K bytes)\n pkts bytes target prot opt in out source\ndestination\n"
        "    1    60 ACCEPT  all  --  any any  anywhere  anywhere\nstate RELATED,ESTABLISHED\nThanks for any help, all of you\n"
    )
    found = facts(read, text)
    assert kinds(found, FwChain)[0].bytes == 1390_000
    assert [rule.text for rule in kinds(found, FwRule)] == [
        "ACCEPT all -- any any anywhere anywhere state RELATED,ESTABLISHED"
    ]


def test_prose_is_no_listing():
    assert facts(read, "Chain reaction (policy of the house)\nChain INPUT is empty here\n") == []


def test_ebtables():
    found = facts(read, capture("eb-L-Lc"))
    (listing,) = kinds(found, FwListing)
    assert (listing.tool, listing.family, listing.table, listing.with_counters) == (
        "ebtables",
        "bridge",
        "filter",
        True,
    )
    entries = [int(x.split("entries: ")[1].split(",")[0]) for x in capture("eb-L").splitlines() if "entries: " in x]
    assert len(kinds(found, FwChain)) == len(entries)
    assert len(kinds(found, FwRule)) == sum(entries) == len(kinds(facts(read, capture("eb-L")), FwRule))


@given(broken(XEN, capture("legacy-L-v"), capture("eb-L-Lc")))
def test_any_text_is_an_answer(text):
    facts(read, text)


def test_time_is_linear():
    assert_linear(
        read,
        "Chain A (",
        "Chain A (policy X) ",
        "Chain A (policy ACCEPT)\n",
        "Chain A (policy ACCEPT)\ntcp\nudp\n",
        " ",
        "1 ",
        "Bridge chain: ",
        "Bridge chain: X, \n-j A , pcnt = 1 -- bcnt =   \n",
        "\n",
    )
