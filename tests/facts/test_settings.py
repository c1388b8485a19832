"""A value as found and as a number; in force unless its standing says otherwise."""

import msgspec
import pytest

from tablefull.facts.origin import Origin
from tablefull.facts.settings import Refusal, Setting

ORIGIN = Origin("dmesg", 3, "as printed")
ONE = Setting(origin=ORIGIN, name="nf_conntrack_max", spelled="net.nf_conntrack_max", value="65536", number=65536)


def test_nobody_changes_what_was_observed() -> None:
    with pytest.raises(AttributeError):
        ONE.origin = Origin("elsewhere", 1, "")  # type: ignore[misc]


def test_it_goes_to_json_and_back_with_its_line() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ONE), type=Setting) == ONE
    assert ONE.origin.line == 3


def test_in_force_unless_said_otherwise() -> None:
    assert ONE.standing == "shown"
    assert Refusal(origin=ORIGIN, name=ONE.name, error="read-only file system").error
