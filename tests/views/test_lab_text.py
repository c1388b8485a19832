"""A scene told in the terminal."""

import pytest
from tests.lab.played_scene import LINE, played

from tablefull.lab.claims import claims
from tablefull.lab.course import Look, Moment, Ran
from tablefull.lab.play import Begun, Logged, Note, Seen
from tablefull.lab.room import Room
from tablefull.lab.scenes import SCENES
from tablefull.lab.stage import Machine, Stage
from tablefull.views import lab_text
from tablefull.views.replay_chart import BLOCKS

SEEN = Seen(Look(8.4, 1000, 1000, 106, 0), Moment(7.4, 58, 29, 700.0, 1500.4), 200, 1000)


def test_acts_are_numbered_and_a_heading_stands_over_the_figures() -> None:
    teller = lab_text.Teller(80, BLOCKS)
    first = teller.page(Begun("calm", "All is well", "Visitors come.")).plain()
    assert "1. ALL IS WELL\n" in first
    lines = teller.page(SEEN).plain().splitlines()
    assert lines[0].split()[:3] == ["time", "taken", "entries"]
    assert lines[1].split() == ["8.4", "s", "█" * 12, "1,000", "29", "of", "58,", "50.0", "%", "1.5", "s", "106"]
    assert len(lines[1]) <= 80
    assert len(teller.page(SEEN).plain().splitlines()) == 1
    assert "2. FIX" in teller.page(Begun("fix", "Fix", "So.", ("tablefull fix x --apply",))).plain()


def test_what_was_not_seen_is_not_zero() -> None:
    blind = Seen(Look(1.0, None, None, None, None), Moment(0.0, 0, 0, None, None), 200, 1000)
    words = lab_text.Teller(80, BLOCKS).page(blind).plain()
    assert "nobody asked" in words
    assert words.count("?") == 3
    assert " 0 " not in words


@pytest.mark.parametrize(
    ("news", "words"),
    [
        (Logged(LINE), "kernel: [  100.000001]"),
        (Note("261,000 entries were put in by netlink."), "261,000 entries"),
        (Ran("wrk -t1", "0 requests\x1b[2J\n"), "0 requests\\x1b[2J"),
        (played().asked, "why: IPv4 yes, IPv6 no; asked for by stateful filter (iptables filter old)."),
        (played().counted, "table: 998 entries; tcp ESTABLISHED 90.0 %, tcp TIME_WAIT 10.0 %."),
        (played().diagnosed, "1. unneeded-tracking 0.94: no rule <i>needs</i> it."),
    ],
)
def test_everybodys_words_are_harmless(news: object, words: str) -> None:
    said = lab_text.Teller(100, BLOCKS).page(news).plain()  # type: ignore[arg-type]
    assert words in said
    assert "\x1b" not in said


def test_the_end_has_chart_figures_and_claims() -> None:
    scene = played()
    words = lab_text.ending(scene, claims(scene), 80, BLOCKS).plain()
    for wanted in ("THE SCENE", "WHAT WAS MEASURED", "52.0 % (13 of 25)", "WHAT WAS SHOWN", "yes  The table is full"):
        assert wanted in words
    assert "NO " not in words
    broken = played(broken_off=True, looks=())
    said = lab_text.ending(broken, claims(broken), 80, BLOCKS).plain()
    assert "THE SCENE" not in said.split("\n")
    assert "NO   The table is full" in said
    assert "broken off" in said


@pytest.mark.parametrize(
    ("room", "words"),
    [
        (Room("lowered", 1000, 400, 600, 262144), "lowered from 262,144 to 1,000"),
        (Room("ballast", 262144, 400, 261744, 262144), "stays 262,144. 261,744 entries"),
        (Room("shown", 262144, 400, 0, 262144, "too busy"), "does not get full: too busy. --touch-host-limit"),
    ],
)
def test_where_the_room_comes_from(room: Room, words: str) -> None:
    assert words in lab_text.limit(room)


def test_how_to_enter() -> None:
    stage = Stage("xen-dom0")
    for name in ("dom0", "guest"):
        stage.machines[name] = Machine(stage, name)
    words = lab_text.waiting(SCENES["xen-dom0"](stage), 80).plain()
    assert f"sudo ip netns exec tablefull-lab-{stage.scene}-guest bash\n" in words
    assert f"tablefull table --netns tablefull-lab-{stage.scene}-dom0\n" in words
    assert "Ctrl-C ends the scene" in words


def test_the_list() -> None:
    words = lab_text.scenes(list(SCENES.values()), 80).plain()
    assert all(name in words for name in SCENES)
