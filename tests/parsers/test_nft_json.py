import json

from firewall_text import assert_linear, broken, capture, facts, to_lines
from hypothesis import given

from tablefull.facts.ruleset import FwChain, FwListing, FwRule
from tablefull.parsers import nft_text
from tablefull.parsers.block import Context
from tablefull.parsers.nft_json import read


def kinds(found, kind):
    return [fact for fact in found if isinstance(fact, kind)]


def test_the_same_rules_as_the_text_listing():
    ours, theirs = facts(read, capture("nft-j")), facts(nft_text.read, capture("nft-a"))
    for kind in (FwListing, FwChain, FwRule):
        assert len(kinds(ours, kind)) == len(kinds(theirs, kind))
    pairs = list(zip(kinds(ours, FwRule), kinds(theirs, FwRule), strict=True))
    for one, other in pairs:
        assert (one.table, one.chain, one.packets, one.bytes) == (other.table, other.chain, other.packets, other.bytes)
        assert one.target == other.target or one.target == "MASQUERADE"
    words = "ct masquerade snat dnat redirect notrack counter log".split()
    for one, other in pairs:
        for word in words:
            assert (word in one.text.lower().split()) == (word in other.text.split()) or "xt target" in one.text


def test_jq_and_one_line_are_one():
    pretty = json.dumps(json.loads(capture("nft-j")), indent=2)
    plain = [(type(f), getattr(f, "text", None)) for f in facts(read, capture("nft-j"))]
    assert [(type(f), getattr(f, "text", None)) for f in facts(read, pretty)] == plain


def test_what_a_cut_leaves_is_read_and_said():
    text = capture("nft-j")[:2500]
    answer = read(to_lines(text), 0, Context("t"))
    assert len(kinds(answer.facts, FwRule)) >= 3
    assert answer.unread[0][1] == "the JSON is cut or broken"


def test_flow_and_ct_count_keep_their_names():
    rule = {
        "family": "ip",
        "table": "t",
        "chain": "c",
        "expr": [
            {"flow": {"op": "add", "flowtable": "@ft"}},
            {"ct count": {"val": 10}},
            {"ct timeout": "quick"},
            {"masquerade": None},
        ],
    }
    (fact,) = facts(read, json.dumps({"nftables": [{"rule": rule}]}))
    assert fact.text == 'flow op add flowtable @ft ct count val 10 ct timeout set "quick" masquerade'
    assert fact.target == "masquerade"


@given(broken(capture("nft-j"), '{"nftables": [{"rule": {"expr": [{"counter": {"packets": true}}]}}]}'))
def test_any_text_is_an_answer(text):
    facts(read, text)


def test_time_is_linear():
    assert_linear(read, '{"nftables": [', '"nftables":\n')
    for tail in ("[", '{"a":', '"', "{", "\\", '{"rule":{}},', '{"rule":{"expr":[[[{"a":1}]]]}},\n'):
        assert_linear(read, '{"nftables": [' + tail * (999_000 // len(tail)))
