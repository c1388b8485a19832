import json

from firewall_text import assert_linear, broken, capture, facts
from hypothesis import given

from tablefull.facts.ruleset import FwChain, FwListing, FwRule
from tablefull.parsers.nft_text import read

RULESET = json.loads(capture("nft-j"))["nftables"]


def kinds(found, kind):
    return [fact for fact in found if isinstance(fact, kind)]


def named(kind):
    return [item[kind] for item in RULESET if kind in item]


def test_the_same_tables_chains_and_rules_as_nft_counts_in_json():
    for name in ("nft", "nft-a", "nft-s"):
        found = facts(read, capture(name))
        assert [(f.family, f.table) for f in kinds(found, FwListing)] == [
            (t["family"], t["name"]) for t in named("table")
        ]
        assert sorted((c.table, c.chain, c.hook, c.policy, c.kind) for c in kinds(found, FwChain)) == sorted(
            (c["table"], c["name"], c.get("hook"), c.get("policy"), c.get("type")) for c in named("chain")
        )
        assert [(r.table, r.chain) for r in kinds(found, FwRule)] == [(r["table"], r["chain"]) for r in named("rule")]


def test_counters_and_targets():
    rules = kinds(facts(read, capture("nft-a")), FwRule)
    pings = [r for r in rules if r.packets == 7]
    assert [r.bytes for r in pings] == [588, 588]  # 84 bytes each
    texts = {r.text: r.target for r in rules}
    assert texts['ip saddr @blocked counter name "odd" drop'] == "drop"
    assert texts["udp dport 4789 notrack"] == "notrack"
    assert texts["jump sub"] == "sub"
    assert texts['iifname "eth0" jump { tcp dport 7 drop udp dport 7 drop }'] == "jump"
    assert not any("handle" in text for text in texts)
    assert all(r.packets is None for r in kinds(facts(read, capture("nft-s")), FwRule))


def test_a_flowtable_and_one_line():
    text = (
        "table inet f {\n\tflowtable ft {\n\t\thook ingress priority filter\n\t\tdevices = { eth0, eth1 }\n\t}\n\n"
        "\tchain c {\n\t\ttype filter hook forward priority filter; policy drop;\n\t\tct state established flow add @ft\n\t}\n}\n"
        "table ip n { chain p { type nat hook postrouting priority 100; masquerade; } }\nThat is all."
    )
    found = facts(read, text)
    assert [(r.table, r.target) for r in kinds(found, FwRule)] == [("f", "flow"), ("n", "masquerade")]
    assert [c.hook for c in kinds(found, FwChain)] == ["forward", "postrouting"]


def test_a_cut_listing_keeps_what_it_has_and_leaves_the_prose():
    found = facts(
        read,
        "table ip nat {\n\tchain p {\n\t\ttype nat hook postrouting priority 0;\n\t\tmasquerade\n\nHelp me please {\n",
    )
    assert [r.text for r in kinds(found, FwRule)] == ["masquerade"]
    assert kinds(found, FwChain)[0].hook == "postrouting"


def test_a_command_line_is_commanded():
    (rule,) = facts(read, "nft add rule ip raw prerouting udp dport 53 notrack; echo done")
    assert (rule.table, rule.chain, rule.text, rule.target, rule.standing) == (
        "raw",
        "prerouting",
        "udp dport 53 notrack",
        "notrack",
        "commanded",
    )


@given(broken(capture("nft-a"), capture("nft")))
def test_any_text_is_an_answer(text):
    facts(read, text)


def test_time_is_linear():
    assert_linear(read, "{", "table ip a { ", "table ip a {\n", '"', "}", "nft add rule ", " ")
    for tail in (";\n", "chain a\n", "{", "{\n", '"', "; ", "drop\n", "tcp dport { ", "chain b {\n", "\ndrop"):
        begin = "table ip a {\n chain b {\n"
        assert_linear(read, begin + tail * ((999_000 - len(begin)) // len(tail)))


def test_a_dormant_table_is_called_so():
    text = 'table ip t {\n\tflags dormant\n\tchain c {\n\t\tct state new accept\n\t}\n}\ntable ip u {\n\tcomment "flags dormant"\n}\n'
    listings = [fact for fact in facts(read, text) if isinstance(fact, FwListing)]
    assert [(one.table, one.dormant) for one in listings] == [("t", True), ("u", False)]
