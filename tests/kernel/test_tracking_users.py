"""Which families a rule turns on; expected values are what the kernel did (tests/realkernel/test_why.py asks it)."""

import pytest

from tablefull.kernel.identity import parse_release
from tablefull.kernel.tracking_users import BRIDGE, CALLERS, IPV4, IPV6, families_asked, use_of

NOW, OLD = parse_release("6.18.44"), parse_release("5.2.0")


@pytest.mark.parametrize(
    ("family", "text", "wanted"),
    [
        ("ip", "ct state", (IPV4,)),
        ("ip6", "masquerade", (IPV6,)),
        ("inet", "ct state", (IPV4, IPV6)),
        ("inet", "masquerade", (IPV4, IPV6)),
        ("inet", "dnat ip to", (IPV4,)),
        ("inet", "dnat ip6 to", (IPV6,)),
        ("inet", "ct state dnat ip to", (IPV4, IPV6)),
        ("bridge", "ct state", (IPV4, IPV6, BRIDGE)),
        ("arp", "ct state", ()),
        ("netdev", "ct state", ()),
    ],
)
def test_the_family_of_the_table_decides(family: str, text: str, wanted: tuple[str, ...]) -> None:
    assert families_asked(family, text, NOW) == wanted


def test_a_bridge_table_tracks_nothing_before_5_3() -> None:
    assert families_asked("bridge", "ct state", OLD) == ()


def test_what_costs_most_to_lose_weighs_most() -> None:
    order = ("state", "MASQUERADE", "DNAT", "SYNPROXY", "CONNMARK", "connlimit", "ct zone")
    weights = [use_of(word).weight for word in order]
    assert weights == sorted(weights, reverse=True)
    assert use_of("a word of tomorrow").without


def test_of_the_callers_only_those_that_hand_packets_in_ask() -> None:
    assert {name for name, caller in CALLERS.items() if caller.asks} == {"openvswitch", "act_ct"}
