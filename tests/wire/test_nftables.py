"""Rules put together expression by expression after nf_tables.h; what the kernel itself sends: tests/live."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.ctnetlink_bytes import nest, number

from tablefull.errors import ParseError
from tablefull.wire import nftables as at
from tablefull.wire import nlattr
from tablefull.wire.nlattr import attribute


def word(kind: int, text: str) -> bytes:
    return attribute(kind, text.encode() + b"\0")


def expression(name: str, *parts: bytes) -> bytes:
    return nest(1, word(1, name), nest(2, *parts))


def packed(kind: int, *parts: bytes, family: int = 2) -> tuple[bytes, nlattr.Message]:
    data = nlattr.message(10 << 8 | kind, nlattr.MULTI, 1, struct.pack(">BBH", family, 0, 0) + b"".join(parts))
    (message,) = nlattr.messages(data, len(data))
    return data, message


def text_of(*expressions: bytes) -> str:
    data, message = packed(at.RULE, word(1, "t"), word(2, "c"), number(3, 9, 8), nest(4, *expressions))
    found = at.rule(data, message)
    assert (found.family, found.table, found.chain, found.handle) == ("ip", "t", "c", 9)
    return found.text


@pytest.mark.parametrize(
    ("expressions", "text"),
    [
        ((expression("ct", number(1, 1), number(2, 0)),), "ct state"),
        ((expression("ct", number(2, 3), number(4, 1)),), "ct mark set"),
        ((expression("masq"),), "masquerade"),
        ((expression("redir"),), "redirect"),
        ((expression("nat", number(1, 1), number(2, 2)),), "dnat ip to"),
        ((expression("nat", number(1, 0), number(2, 10)),), "snat ip6 to"),
        ((expression("notrack"),), "notrack"),
        ((expression("connlimit"),), "ct count"),
        ((expression("objref", number(1, 3), word(2, "ftp")),), 'ct helper set "ftp"'),
        ((expression("objref", number(1, 1), word(2, "hits")),), "object"),
        ((expression("match", word(1, "conntrack")),), 'xt match "conntrack"'),
        ((expression("flow_offload", word(1, "f")),), 'flow add "@f"'),
        ((expression("dynset", word(1, "s"), nest(7, word(1, "connlimit"))),), 'update "@s" ct count'),
        ((expression("meta"), expression("cmp"), expression("counter")), "meta cmp counter"),
    ],
)
def test_an_expression_in_nfts_words(expressions: tuple[bytes, ...], text: str) -> None:
    assert text_of(*expressions) == text


@pytest.mark.parametrize(
    ("flags", "zone", "helper", "text"),
    [(1, 0, b"", "notrack"), (0, 7, b"", "ct zone set"), (0, 0, b"ftp", "ct helper set"), (0, 0, b"", "ct zone set")],
)
def test_the_ct_target_is_told_apart_by_its_flags(flags: int, zone: int, helper: bytes, text: str) -> None:
    info = struct.pack("=HHII16s", flags, zone, 0, 0, helper)
    assert text_of(expression("target", word(1, "CT"), number(2, 2), attribute(3, info))) == text


def test_a_name_is_no_word_of_a_rule() -> None:
    text = text_of(expression("dynset", word(1, 's" masquerade "')))
    assert text == "update \"@s' masquerade '\""


def test_objects_chains_tables_and_sets() -> None:
    assert at.named(*packed(at.OBJECT, word(1, "t"), word(2, "ftp"), number(3, 3))).kind == "ct helper"
    chain = at.named(*packed(at.CHAIN, word(1, "t"), word(3, "c"), nest(4, number(1, 4)), word(7, "nat"), family=1))
    assert (chain.family, chain.name, chain.kind, chain.hook) == ("inet", "c", "nat", 4)
    table = at.named(*packed(at.TABLE, word(1, "t"), number(2, 1)))
    assert (table.table, table.kind) == ("t", "dormant")
    one = at.named(*packed(at.SET, word(1, "t"), word(2, "s"), nest(17, word(1, "connlimit"))))
    assert (one.name, one.text) == ("s", "ct count")


def test_who_made_a_ruleset() -> None:
    found = at.generation(*packed(at.GEN, number(1, 8), number(2, 4711), word(3, "nft")))
    assert found == (8, 4711, "nft")
    assert at.generation(*packed(at.GEN, number(1, 8))) == (8, None, "")


@pytest.mark.parametrize("read", [at.rule, at.named, at.generation])
@given(st.binary(max_size=200), st.sampled_from((at.TABLE, at.CHAIN, at.RULE, at.SET, at.GEN, at.OBJECT)))
def test_whatever_comes_is_read_or_refused(read: object, payload: bytes, kind: int) -> None:
    data = nlattr.message(10 << 8 | kind, 0, 1, payload)
    (message,) = nlattr.messages(data, len(data))
    with suppress(ParseError):
        read(data, message)  # type: ignore[operator]
