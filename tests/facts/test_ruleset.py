"""A rule that was listed is in force unless its standing says otherwise."""

import msgspec
import pytest

from tablefull.facts.origin import Origin
from tablefull.facts.ruleset import FwRule

ORIGIN = Origin("dmesg", 3, "as printed")
ONE = FwRule(
    origin=ORIGIN,
    tool="iptables",
    family="ip",
    table="nat",
    chain="POSTROUTING",
    text="-o eth0 -j MASQUERADE",
    target="MASQUERADE",
)


def test_nobody_changes_what_was_observed() -> None:
    with pytest.raises(AttributeError):
        ONE.origin = Origin("elsewhere", 1, "")  # type: ignore[misc]


def test_it_goes_to_json_and_back_with_its_line() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ONE), type=FwRule) == ONE
    assert ONE.origin.line == 3


def test_in_force_and_without_counters_unless_shown() -> None:
    assert (ONE.standing, ONE.packets, ONE.bytes) == ("shown", None, None)
