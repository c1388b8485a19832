"""What a scene showed: each claim holds and fails where it must."""

import pytest
from tests.lab.played_scene import LINE, played, requests

from tablefull.lab.claims import claims, milliseconds, percent
from tablefull.lab.course import Asked, Cause, Counted, Diagnosed, Look, Played, Request


def held(scene: Played) -> dict[str, bool]:
    return {one.id: one.holds for one in claims(scene)}


def test_all_of_it_was_seen() -> None:
    assert held(played()) == dict.fromkeys(
        ("before", "full", "log", "during", "why", "table", "diagnose", "after"), True
    )
    figures = {one.id: one.figures for one in claims(played())}
    assert figures["during"].startswith("52.0 % (13 of 25)")
    assert figures["full"] == "1,000 entries of 1,000, 100 packets refused"
    assert LINE in figures["log"]


@pytest.mark.parametrize(
    ("changes", "fails"),
    [
        ({"looks": (Look(1.0, 999, 1000, 0, 0),)}, {"full", "during"}),
        ({"log": ("net_ratelimit: 5 callbacks suppressed",)}, {"log"}),
        ({"requests": tuple(Request(one.at_s, 1.0, True) for one in requests())}, {"during"}),
        ({"requests": tuple(Request(one.at_s, 1.0, one.at_s < 9.9 and one.fine) for one in requests())}, {"after"}),
        ({"requests": ()}, {"before", "during", "after"}),
        ({"asked": Asked(("IPv4 no",), ())}, {"why"}),
        ({"asked": Asked(("IPv4 yes",), ())}, {"why"}),
        ({"counted": Counted(900, 1000, False, ())}, {"table"}),
        ({"asked": None, "counted": None}, {"why", "table"}),
        ({"diagnosed": None}, {"diagnose"}),
        ({"diagnosed": Diagnosed("no", "", (Cause("unneeded-tracking", 0.9, ""),), ())}, {"diagnose"}),
        ({"diagnosed": Diagnosed("yes", "", tuple(Cause(x, 0.9, "") for x in "abc"), ())}, {"diagnose"}),
    ],
    ids=[
        "never full",
        "no line",
        "nobody waited",
        "one of the last lost",
        "nobody asked",
        "tracking off",
        "nobody asks",
        "another count",
        "not asked",
        "not diagnosed",
        "not full",
        "other causes",
    ],
)
def test_what_was_not_seen_does_not_hold(changes: dict[str, object], fails: set[str]) -> None:
    assert {name for name, holds in held(played(**changes)).items() if not holds} == fails


def test_a_table_that_cannot_be_filled_claims_nothing_of_it() -> None:
    assert set(held(played(room="shown", why="too large"))) == {"before", "after"}


def test_the_neighbour_is_served_meanwhile() -> None:
    fine = tuple(Request(one.at_s, 1.0, True) for one in requests())
    assert held(played(neighbour="neighbour", beside=fine))["beside"]
    assert not held(played(neighbour="neighbour", beside=requests()))["beside"]


@pytest.mark.parametrize(
    ("share", "words"), [(1.0, "100 %"), (0.0, "0 %"), (0.9999, "99.9 %"), (0.00001, "0.1 %"), (0.525, "52.5 %")]
)
def test_all_is_said_only_of_all(share: float, words: str) -> None:
    assert percent(share) == words


@pytest.mark.parametrize(("value", "words"), [(0.42, "0.4 ms"), (11.4, "11 ms"), (1500.4, "1.5 s")])
def test_times(value: float, words: str) -> None:
    assert milliseconds(value) == words
