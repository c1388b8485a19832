"""The page: the judgement first, every number with its arithmetic, names of evidence harmless, no line too wide."""

import msgspec
import pytest
from tests.fixes.plan_studies import given, held, study
from tests.fixes.test_capacity_answer import HALVED

from tablefull.fixes.capacity_answer import answer
from tablefull.live.plan_values import Change, Measured
from tablefull.twin.planning import Little
from tablefull.views.plan_text import as_object, render, when

LAW = Little(begun=36000, window_s=1800, rate_per_s=20, lifetime_s=50, mean=990, lives=9, open_lives=0)


@pytest.mark.parametrize("width", [80, 140])
def test_arithmetic_is_shown(width: int) -> None:
    one = study(refused=7, options=[HALVED])
    one.base.little = LAW
    text = render(answer(one, given(limit=900)), width).plain()
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    assert "3,072 = 1,000 x 2 (growth) + 139 (bursts" in flat
    assert "20 new entries/s x 50 s mean lifetime = 1,000; on average in the second half: 990 (+1.0%)" in flat
    assert "the limit is 900, and refuses 7 entries" in flat


def test_what_is_wrong_comes_first() -> None:
    text = render(answer(study(held=held(unreplied=900)), given()), 80).plain()
    assert text.startswith("Do not raise the limit first")
    assert text.index("900 of 1000") < text.index("HOW HIGH")


def test_nothing_seen_gives_no_number() -> None:
    found = answer(study(peak=0, held=None, idle=[]), given())
    assert "HOW HIGH" not in render(found, 80).plain()
    told = as_object(found)
    assert (told["limit"], told["needed"], told["options"]) == (None, None, [])


def test_hostile_names() -> None:
    evil = "\x1b]0;x\x07<b>" + "n" * 200
    tried = Measured(change=Change(id="notrack", label=evil, port="udp/53"), peak=1)
    one = study(held=held(sources=((evil, 900),)), options=[tried])
    text = render(answer(one, given()), 80).plain()
    assert "\x1b" not in text
    assert "\x07" not in text


def test_the_object() -> None:
    told = msgspec.json.decode(msgspec.json.encode(as_object(answer(study(options=[HALVED]), given(limit=900)))))
    assert (told["schema"], told["standing"], told["limit"]) == ("tablefull/plan/1", "raise", 3072)
    assert [one["peak"] for one in told["options"]] == [1000, 400]


def test_moments() -> None:
    assert when(5 * 10**9, 0) == "5.0 s"
    assert when(1_700_000_001 * 10**9, 1_700_000_000 * 10**9) == "1.0 s (2023-11-14 22:13:21 UTC)"
