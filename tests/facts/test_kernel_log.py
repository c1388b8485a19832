"""A message, its number and its two clocks."""

import msgspec
import pytest

from tablefull.facts.kernel_log import LogLine, Stamp
from tablefull.facts.origin import Origin

ORIGIN = Origin("dmesg", 3, "as printed")
ONE = LogLine(origin=ORIGIN, kind="suppressed", number=321, stamp=Stamp(uptime_s=11458852.81))


def test_nobody_changes_what_was_observed() -> None:
    with pytest.raises(AttributeError):
        ONE.origin = Origin("elsewhere", 1, "")  # type: ignore[misc]


def test_it_goes_to_json_and_back_with_its_line() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ONE), type=LogLine) == ONE
    assert ONE.origin.line == 3


def test_a_line_stands_for_itself_and_was_printed() -> None:
    assert (ONE.repeated, ONE.quoted, ONE.netns) == (1, False, None)
    assert Stamp().uptime_s is None
