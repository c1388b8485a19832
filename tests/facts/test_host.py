"""What the machine is; what was not shown is None and not zero."""

import msgspec
import pytest

from tablefull.facts.host import Memory
from tablefull.facts.origin import Origin

ORIGIN = Origin("dmesg", 3, "as printed")
ONE = Memory(origin=ORIGIN, total_bytes=1 << 30)


def test_nobody_changes_what_was_observed() -> None:
    with pytest.raises(AttributeError):
        ONE.origin = Origin("elsewhere", 1, "")  # type: ignore[misc]


def test_it_goes_to_json_and_back_with_its_line() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ONE), type=Memory) == ONE
    assert ONE.origin.line == 3


def test_unshown_is_none() -> None:
    assert ONE.available_bytes is None
    assert not ONE.stated
