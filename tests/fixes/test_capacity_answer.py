"""Keep, raise, instead, wrong, blind: which of them, and that it says what it stands on."""

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as some
from msgspec.structs import replace
from tests.fixes.plan_studies import SHORTER, given, held, study

from tablefull.fixes.capacity_answer import Capacity, answer, mib, span
from tablefull.live.plan_values import Measured

HALVED = Measured(change=SHORTER, peak=400, middle=400, end=400, refused=0)


def test_a_limit_that_is_too_low_is_raised() -> None:
    """1000 x 2 = 2000 and 3.09 x sqrt(2000) = 139: three thousand-twenty-fours."""
    found = answer(study(refused=7, options=[HALVED]), given(limit=900))
    assert found.standing == "raise"
    assert found.headline == "Raise nf_conntrack_max to 3,072 over 3,072 buckets."
    assert "tcp_time_wait=30 brings the need from 1,000 to 400" in found.advice


@pytest.mark.parametrize("limit", [0, 3072, 65536])
def test_a_limit_that_holds_is_left(limit: int) -> None:
    assert answer(study(), given(limit=limit)).standing == "keep"


def test_a_flood_is_said_first() -> None:
    found = answer(study(held=held(unreplied=1000), refused=5, options=[HALVED]), given(limit=900))
    assert found.standing == "wrong"
    assert found.headline.startswith("Do not raise the limit first: a flood fills any limit")
    assert "(tcp_time_wait=30: 400 entries at most)" in found.advice


def test_what_does_not_fit_is_not_raised() -> None:
    """1/8 of 5 MiB holds 2482 entries of 264 bytes: not the 3072 as it is, but the 1024 with the shorter timeout."""
    found = answer(study(options=[HALVED]), given(limit=900, ram_bytes=5 << 20))
    assert (found.standing, found.most) == ("instead", 2482)
    assert "which fits" in found.advice
    assert "scale out" in answer(study(), given(limit=900, ram_bytes=5 << 20)).advice


def test_nothing_seen_is_blind() -> None:
    assert answer(study(peak=0, held=None, idle=[]), given()).standing == "blind"


def said(found: Capacity) -> str:
    return " ".join(found.doubts)


def test_what_it_stands_on() -> None:
    assert "4.2% of a day" in said(answer(study(), given()))
    assert "made up" in said(answer(study(kind="workload"), given()))
    assert "every hour of a week" in said(answer(study(last_ns=8 * 86400 * 10**9), given()))
    one = study()
    one.base = replace(one.base, before=77, middle=1)
    told = said(answer(one, given(ram_bytes=None, kernel=None)))
    for part in (
        "77 entries were there before",
        "still rising",
        "--ram",
        "The kernel is not known",
        "how long they live",
    ):
        assert part in told


@drawn(some.integers(1, 1 << 22), some.floats(1, 20), some.floats(1, 20))
def test_more_growth_never_a_smaller_limit(peak: int, one: float, other: float) -> None:
    low, high = (answer(study(peak=peak), given(growth=growth)).options[0] for growth in sorted((one, other)))
    assert low.room.limit <= high.room.limit
    assert low.full_bytes <= high.full_bytes


def test_figures() -> None:
    assert (mib(1 << 20), mib(3 << 29)) == ("1.0 MiB", "1.5 GiB")
    assert (span(90), span(600), span(7200), span(3 * 86400)) == ("90 s", "10.0 min", "2.0 h", "3.0 days")
