"""One loaded module and who uses it."""

import msgspec
import pytest

from tablefull.facts.modules import Module
from tablefull.facts.origin import Origin

ORIGIN = Origin("dmesg", 3, "as printed")
ONE = Module(origin=ORIGIN, name="nf_nat", references=1, used_by=("iptable_nat",))


def test_nobody_changes_what_was_observed() -> None:
    with pytest.raises(AttributeError):
        ONE.origin = Origin("elsewhere", 1, "")  # type: ignore[misc]


def test_it_goes_to_json_and_back_with_its_line() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ONE), type=Module) == ONE
    assert ONE.origin.line == 3


def test_nobody_uses_it_unless_shown() -> None:
    assert Module(origin=ORIGIN, name="nf_nat").used_by == ()
