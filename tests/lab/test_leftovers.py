"""``lab --clean`` without root: what it takes for left over, and what it leaves alone."""

import os
from pathlib import Path

import pytest

from tablefull.errors import KernelRefused
from tablefull.lab import guardian, leftovers


@pytest.fixture
def states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(guardian, "STATES", tmp_path / "states")
    monkeypatch.setattr(guardian, "NAMES", tmp_path / "netns")
    monkeypatch.setattr(guardian, "MAX", tmp_path / "max")
    monkeypatch.setattr(leftovers, "missing_right", lambda: "")
    monkeypatch.setattr(leftovers, "WAIT_S", 0.2)
    (tmp_path / "netns").mkdir()
    return tmp_path / "states"


def made(states: Path, number: str, **state: object) -> None:
    (states / number).mkdir(parents=True)
    guardian.write(states / number, {"scene": "xen-dom0", **state})


def test_dead_runs_go_and_living_ones_stay(states: Path) -> None:
    me = {"player": os.getpid(), "player_started": guardian.started(os.getpid())}
    made(states, "aaaaaa", player=os.getpid(), player_started="1")
    made(states, "bbbbbb", **me)
    made(states, "cccccc", guardian=me["player"], guardian_started=me["player_started"])
    found = leftovers.clean()
    assert found.removed == ("xen-dom0 aaaaaa",)
    assert found.running == ("xen-dom0 bbbbbb", "xen-dom0 cccccc (its guardian is removing it)")
    assert found.left == ()
    assert sorted(path.name for path in states.iterdir()) == ["bbbbbb", "cccccc"]


def test_a_name_without_a_folder_is_left_over_too(states: Path) -> None:
    for name in ("tablefull-lab-dddddd-guest", "tablefull-labour", "tablefull-lab-notours-x", "web1"):
        (guardian.NAMES / name).touch()
    assert leftovers.clean().removed == ("a scene dddddd",)
    assert sorted(path.name for path in guardian.NAMES.iterdir()) == [
        "tablefull-lab-notours-x",
        "tablefull-labour",
        "web1",
    ]


def test_nothing_is_left(states: Path) -> None:
    assert leftovers.clean() == leftovers.Found()


def test_without_the_right_it_says_which(states: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "missing_right", lambda: "CAP_SYS_ADMIN")
    with pytest.raises(KernelRefused, match="needs CAP_SYS_ADMIN; run it as root"):
        leftovers.clean()
