"""From a line to the expression that means it, and from what one types to an expression."""

import pytest
from tests.views.top_gauge import entry

from tablefull.errors import UsageError
from tablefull.live.table import pick
from tablefull.views.top_filter import ORDER, expression, narrowed, understood, why_not
from tablefull.wire.dimensions import named
from tablefull.wire.selection import parse

ROWS = [entry(0x0A010203, 443), entry(0x0A010204, 80, state=7), entry(0x0A010203, 53, proto=17)]


@pytest.mark.parametrize("name", ORDER)
def test_the_expression_of_a_key_takes_the_entries_of_that_key_and_no_others(name: str) -> None:
    dimension = named(name)
    key_of = pick(dimension.words, dimension.masks)
    for row in ROWS:
        key = key_of(row)
        text = expression(name, key)
        if text is None:
            assert name in ("status", "helper", "reply-source", "reply-destination")
            continue
        test = parse(text)
        assert [bool(test(one.__getitem__)) for one in ROWS] == [key_of(one) == key for one in ROWS]


def test_conditions_are_joined_without_changing_either() -> None:
    assert narrowed("", "proto=tcp") == "proto=tcp"
    assert narrowed("proto=tcp", "dport=80") == "proto=tcp and dport=80"
    assert narrowed("proto=tcp or proto=udp", "dport=80") == "(proto=tcp or proto=udp) and dport=80"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("443", "port=443"),
        ("udp 53", "proto=udp and port=53"),
        ("tcp/443", "(proto=tcp and dport=443)"),
        ("10.", "host in 10.0.0.0/8"),
        ("10.1.2.", "host in 10.1.2.0/24"),
        ("10.1.2.3", "host in 10.1.2.3/32"),
        ("2001:db8:", "host in 2001:db8::/32"),
        ("time_wait", "state=time_wait"),
        ("not udp", "not proto=udp"),
        ("assured", "assured"),
        ("src=10.0.0.1 and not nat", "src=10.0.0.1 and not nat"),
    ],
)
def test_what_one_has_at_hand_is_understood(typed: str, meant: str) -> None:
    assert understood(typed)[0] == meant


@pytest.mark.parametrize("typed", ["fo", "proto", "(443", "443 and", "10.1.2.3.4", "\x1b[2J", "[bold]", "."])
def test_half_a_word_means_nothing_and_says_where(typed: str) -> None:
    with pytest.raises(UsageError) as error:
        understood(typed)
    assert "column" in why_not(error.value)
    assert "\x1b" not in why_not(error.value)
