"""What was measured, by a scene made by hand."""

import pytest
from tests.lab.played_scene import played, requests

from tablefull.lab.course import Look, Request, ended, moments, quantile, refusing, within


def test_a_moment_counts_those_who_began_in_it() -> None:
    moment = within(requests(), 4.0, 6.0)
    assert (moment.asked, moment.answered, moment.share) == (20, 10, 0.5)
    assert (moment.p50_ms, moment.p95_ms) == (1500.0, 1500.0)


def test_nobody_asked_is_no_rate() -> None:
    moment = within(requests(), 50.0, 60.0)
    assert (moment.asked, moment.share, moment.p50_ms, moment.p95_ms) == (0, None, None, None)


def test_the_present_counts_those_who_ended() -> None:
    waiting = [Request(0.0, 1500.0, False), Request(1.0, 10.0, True)]
    assert ended(waiting, 0.5, 1.2).asked == 1
    assert ended(waiting, 1.2, 2.0).answered == 0


@pytest.mark.parametrize(("share", "value"), [(0.5, 3.0), (0.95, 5.0), (0.0, 1.0)])
def test_quantiles_of_five(share: float, value: float) -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0, 5.0], share) == value


def test_no_quantile_of_none() -> None:
    assert quantile([], 0.5) is None


def test_the_steps_hold_every_request_once() -> None:
    steps = moments(requests(), 10.0, 0.5)
    assert len(steps) == 20
    assert sum(step.asked for step in steps) == 100
    assert {step.asked for step in steps} == {5}


def test_full_is_judged_while_it_refuses_and_up_to_the_fix() -> None:
    """From 4 s to 6.5 s: 25 requests, of which the 12 with odd numbers failed (41, 43 .. 63)."""
    moment = played().during("full")
    assert moment is not None
    assert (moment.asked, moment.answered) == (25, 13)


def test_a_stretch_without_refusals_does_not_count() -> None:
    looks = [Look(at / 2, 1000, 1000, refused, 0) for at, refused in enumerate([0, 5, 5, 9])]
    assert refusing(looks, 0.0, 10.0) == [(0.0, 0.5), (1.0, 1.5)]
    assert refusing(looks, 0.9, 10.0) == [(1.0, 1.5)]
    assert refusing([Look(0.0, 1, 1, None, None), Look(1.0, 1, 1, 5, 0)], 0.0, 10.0) == []


def test_peak_and_refused() -> None:
    assert (played().peak, played().refused, played().end_s) == (1000, 100, 10.0)
    assert (played(looks=()).peak, played(looks=()).refused) == (None, None)
    assert played().during("nothing") is None
