"""A stated quantity: what a person said, with its rate where one was given."""

import msgspec
import pytest

from tablefull.facts.claims import Claim
from tablefull.facts.origin import Origin

ORIGIN = Origin("dmesg", 3, "as printed")
ONE = Claim(origin=ORIGIN, quantity="hit", value=1e7, per_s=1e7 / 86400)


def test_nobody_changes_what_was_observed() -> None:
    with pytest.raises(AttributeError):
        ONE.origin = Origin("elsewhere", 1, "")  # type: ignore[misc]


def test_it_goes_to_json_and_back_with_its_line() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ONE), type=Claim) == ONE
    assert ONE.origin.line == 3


def test_an_amount_has_no_rate() -> None:
    assert Claim(origin=ORIGIN, quantity="user", value=300.0).per_s is None
