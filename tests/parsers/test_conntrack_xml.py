"""Flows in XML: the same table as the plain listing beside it, cut, laid out, hostile."""

import pytest
from conntrack_text import ACCOUNTED, COMMANDS, LINES, PLAIN, captured, facts_of, holds_for, is_linear, refuses
from hypothesis import given
from msgspec.structs import asdict

from tablefull.facts.entry import CtTuple, Entry
from tablefull.parsers import conntrack_entries
from tablefull.parsers.block import Context
from tablefull.parsers.clean import clean
from tablefull.parsers.conntrack_xml import read

FLOW = (
    '<flow type="new"><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>10.0.0.1</src><dst>10.0.0.2</dst>'
    '</layer3><layer4 protonum="6" protoname="tcp"><sport>40000</sport><dport>443</dport></layer4></meta>'
    '<meta direction="reply"><layer3 protonum="2" protoname="ipv4"><src>10.0.0.2</src><dst>10.0.0.1</dst></layer3>'
    '<layer4 protonum="6" protoname="tcp"><sport>443</sport><dport>40000</dport></layer4></meta>'
    '<meta direction="independent"><state>SYN_SENT</state><timeout>120</timeout><mark>7</mark><unreplied/></meta></flow>'
)


def comparable(entry: Entry) -> dict[str, object]:
    """What both listings print: XML has no ICMP numbers and wrong names for SCTP's states."""
    values = asdict(entry)
    for name in ("origin", "timestamp_s"):
        del values[name]
    if entry.l4proto in ("icmp", "icmpv6"):
        for name in ("original", "reply"):
            values[name] = (values[name].src, values[name].dst)
    if entry.l4proto == "sctp":
        del values["state"]
    return values


@pytest.mark.parametrize("capture", [PLAIN, ACCOUNTED])
@pytest.mark.parametrize(
    ("xml", "plain"),
    [
        ("commands/conntrack-L-o-xml", "commands/conntrack-L-o-extended"),
        ("commands/conntrack-E-o-xml", "commands/conntrack-E-o-timestamp-id-extended"),
    ],
)
def test_the_same_as_the_plain_listing(capture, xml, plain):
    rows = [f for f in facts_of(conntrack_entries.read, captured(capture, plain)) if isinstance(f, Entry)]
    flows = facts_of(read, captured(capture, xml))
    assert len(flows) == len(rows) > 12
    for flow, row in zip(flows, rows, strict=True):
        assert comparable(flow) == comparable(row)


def test_what_a_flow_says():
    (flow,) = facts_of(read, FLOW)
    assert flow.original == CtTuple("10.0.0.1", "10.0.0.2", 40000, 443)
    assert flow.reply == CtTuple("10.0.0.2", "10.0.0.1", 443, 40000)
    assert (flow.event, flow.state, flow.remaining_s, flow.mark, flow.unreplied) == ("NEW", "SYN_SENT", 120, 7, True)
    assert (flow.family, flow.l4proto, flow.protonum, flow.assured, flow.use) == ("ipv4", "tcp", 6, False, None)


def test_laid_out_or_in_one_line():
    (flow,) = facts_of(read, FLOW)
    laid_out = FLOW.replace("><", ">\n  <")
    (again,) = facts_of(read, laid_out)
    assert comparable(again) == comparable(flow)
    three = facts_of(read, "<conntrack>\n" + FLOW * 3 + "\n</conntrack>")
    assert [comparable(f) for f in three] == [comparable(flow)] * 3
    escaped = facts_of(read, FLOW.replace("<", "&lt;").replace(">", "&gt;"))
    assert [comparable(f) for f in escaped] == [comparable(flow)]


def test_cut():
    after_addresses = FLOW[: FLOW.index('<meta direction="reply"')]
    (flow,) = facts_of(read, after_addresses)
    assert (flow.original.dport, flow.reply, flow.remaining_s) == (443, None, None)
    answer = read(clean([FLOW, FLOW[:60]]), 0, Context("-"))
    assert answer is not None
    assert (answer.used, len(answer.facts), [line.number for line, _ in answer.unread]) == (2, 1, [2])


def test_entities_are_never_expanded():
    bomb = '<?xml version="1.0"?><!DOCTYPE c [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    (flow,) = facts_of(
        read, bomb + "\n<conntrack>\n" + FLOW.replace("10.0.0.1</src>", "&b;</src>", 1) + "\n</conntrack>"
    )
    assert flow.original.src == "&b;"


def test_expectations_and_other_xml_are_no_entries():
    expectation = FLOW.replace('"original"', '"expected"').replace('"reply"', '"mask"')
    assert facts_of(read, expectation) == []
    assert (
        refuses(read, "<flowchart><src>1</src></flowchart>")
        or facts_of(read, "<flowchart><src>1</src></flowchart>") == []
    )
    assert refuses(read, "in the xml there was a <src>")


@given(LINES, COMMANDS)
def test_any_text(texts, command):
    holds_for(read, texts, command)


def test_no_text_is_slow():
    is_linear(read)
