"""Counters by name; a column that was not shown is not among them."""

import msgspec
import pytest

from tablefull.facts.counters import CpuCounters
from tablefull.facts.origin import Origin

ORIGIN = Origin("dmesg", 3, "as printed")
ONE = CpuCounters(origin=ORIGIN, cpu=0, values={"drop": 3}, layout="conntrack -S")


def test_nobody_changes_what_was_observed() -> None:
    with pytest.raises(AttributeError):
        ONE.origin = Origin("elsewhere", 1, "")  # type: ignore[misc]


def test_it_goes_to_json_and_back_with_its_line() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ONE), type=CpuCounters) == ONE
    assert ONE.origin.line == 3


def test_an_unshown_column_is_absent() -> None:
    assert "insert_failed" not in ONE.values
