"""Expressions about entries: what they choose, in plain Python and over columns, and what is said of a mistake."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.ctnetlink_bytes import FULL, PING, SIX, WHOLE
from tests.wire.test_ctnetlink import read

from tablefull.errors import UsageError
from tablefull.wire import ctnetlink as at
from tablefull.wire.selection import asks_counters, parse

ROWS = [read(*parts) for parts in (WHOLE, FULL, SIX, PING)]


def chosen(text: str) -> list[int]:
    """The numbers of the rows, found both ways."""
    test = parse(text)
    plain = [number for number, row in enumerate(ROWS) if test(row.__getitem__)]
    table = np.array(ROWS, np.int64)
    mask = np.broadcast_to(test(lambda word: table[:, word]), len(ROWS))
    assert np.flatnonzero(mask).tolist() == plain
    return plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("proto=tcp", [0, 1]),
        ("proto != tcp", [2, 3]),
        ("proto=1", [3]),
        ("state=ESTABLISHED", [0, 1]),
        ("state=established and zone=5", [1]),
        ("not state=ESTABLISHED", [2, 3]),
        ("dport=443 or dport=53", [0, 1, 2]),
        ("port=4000", [0, 1, 2]),
        ("src=10.0.0.1", [0, 1, 3]),
        ("src in 10.0.0.0/24", [0, 1, 3]),
        ("src in 2001:db8::/32", [2]),
        ("host=10.0.0.2", [0, 1, 3]),
        ("dst != 10.0.0.2", [2]),
        ("src in 0.0.0.0/0", [0, 1, 3]),
        ("remaining > 100", [0, 1]),
        ("remaining < 100", [2]),  # the ping tells no time
        ("assured", [0, 1]),
        ("unreplied", [2]),
        ("seen_reply and not assured", [3]),
        ("ipv6", [2]),
        ("nat", []),
        ("bytes > 1000000", [1]),
        ("packets = 21", [1]),
        ("mark = 0x7", [0, 1]),
        ("(proto=tcp or proto=udp) and not (dport=53)", [0, 1]),
        ("proto=tcp and dport=443 or ipv6", [0, 1, 2]),
        ("! ipv4", [2]),
        ("family=ipv6", [2]),
        ("family!=inet6", [0, 1, 3]),
        ("status=assured", [0, 1]),
        ("status!=UNREPLIED", [0, 1, 3]),
        ("packets < 1000000", [1]),  # the others tell no counters
        ("packets = 0", []),
    ],
)
def test_what_is_chosen(text: str, expected: list[int]) -> None:
    assert chosen(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("proto", "column 1: 'proto' needs a comparison"),
        ("foo", "column 1: nothing is called 'foo'"),
        ("foo=1", "nothing is called 'foo'"),
        ("proto=tcp dport=1", "column 11: `and` or `or` is wanted"),
        ("(proto=tcp", "a parenthesis is not closed"),
        ("proto=tcp)", "`and` or `or` is wanted"),
        ("proto=", "a value is wanted"),
        ("dport=http", "a number is wanted"),
        ("dport=99999", "column 7: dport is 0 to 65535, never 99999"),
        ("dport>-1", "dport is 0 to 65535"),
        ("zone=70000", "zone is 0 to 65535"),
        ("mark=0x100000000", "mark is 0 to 4294967295"),
        ("proto=300", "proto is 0 to 255"),
        ("proto=foo", "no protocol is called 'foo'; there are "),
        ("family=x", "a family is ipv4 or ipv6"),
        ("family>ipv4", "equal or not"),
        ("status=open", "no status is called 'open'; there are unreplied, "),
        ("src=1.2.3", "an address or a network is wanted"),
        ("src>1.2.3.4", "an address is equal"),
        ("dport in 5", "`in` goes with an address"),
        ("state=OPEN", "no state is called 'OPEN'"),
        ("state>ESTABLISHED", "equal or not"),
        ("and", "a name is wanted"),
        ("(" * 100, "too many parentheses"),
        ("assured " * 600, "cannot be read on"),
    ],
)
def test_mistakes_name_their_column(text: str, why: str) -> None:
    with pytest.raises(UsageError) as told:
        parse(text)
    assert why in str(told.value)
    assert "\n" not in str(told.value)


@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_a_mistake(text: str) -> None:
    try:
        test = parse(text)
    except UsageError:
        return
    test(ROWS[0].__getitem__)


def test_an_offloaded_entry_has_no_time_left_to_compare() -> None:
    assert ROWS[3][at.R_TIMEOUT] == at.ABSENT
    assert 3 not in chosen("remaining > 0")


def test_what_needs_counters_is_known() -> None:
    assert asks_counters("proto=tcp and (Bytes>1)")
    assert not asks_counters("proto=tcp and status=assured")
