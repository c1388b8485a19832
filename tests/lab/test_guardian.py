"""The guardian without root: what it makes of states, limits and processes; with root it is in realkernel/test_lab.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tablefull.lab import guardian


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scene's folder on a host of files."""
    monkeypatch.setattr(guardian, "STATES", tmp_path / "states")
    monkeypatch.setattr(guardian, "NAMES", tmp_path / "netns")
    monkeypatch.setattr(guardian, "MAX", tmp_path / "max")
    monkeypatch.setattr(guardian, "COUNT", tmp_path / "count")
    monkeypatch.setattr(guardian, "REMOVAL_S", 0.2)
    folder = tmp_path / "states" / "0a1b2c"
    folder.mkdir(parents=True)
    (tmp_path / "netns").mkdir()
    (tmp_path / "max").write_text("1000\n")
    guardian.write(folder, {"scene": "xen-dom0", "max_before": 262144, "max_lowered": 1000})
    return folder


def test_a_process_is_told_by_number_and_birth() -> None:
    born = guardian.started(os.getpid())
    assert born is not None
    assert born.isdecimal()
    assert guardian.alive({"player": os.getpid(), "player_started": born}, "player")
    assert not guardian.alive({"player": os.getpid(), "player_started": "1"}, "player")
    assert not guardian.alive({}, "player")
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert guardian.started(gone.pid) is None


def test_the_limit_is_put_back(scene: Path) -> None:
    assert guardian.restore_limit(scene) == "nf_conntrack_max is 262144 again"
    assert guardian.MAX.read_text() == "262144\n"
    assert guardian.restore_limit(scene) == ""


def test_a_limit_that_somebody_else_wrote_is_left(scene: Path) -> None:
    guardian.MAX.write_text("500000\n")
    assert "somebody else" in guardian.restore_limit(scene)
    assert guardian.MAX.read_text() == "500000\n"


def test_a_limit_that_was_not_lowered_is_not_written(scene: Path) -> None:
    guardian.write(scene, {"scene": "xen-dom0"})
    assert guardian.restore_limit(scene) == ""
    assert guardian.MAX.read_text() == "1000\n"


@pytest.mark.parametrize(("count", "limit"), [(801, "262144\n"), (800, "1000\n")])
def test_the_host_is_spared(scene: Path, count: int, limit: str) -> None:
    guardian.COUNT.write_text(f"{count}\n")
    guardian.spare_the_host(scene)
    assert guardian.MAX.read_text() == limit


def test_names_of_this_scene_alone(scene: Path) -> None:
    for name in ("tablefull-lab-0a1b2c-dom0", "tablefull-lab-0a1b2d-dom0", "mine", "tablefull-0a1b2c"):
        (guardian.NAMES / name).touch()
    assert guardian.spaces("0a1b2c") == ["tablefull-lab-0a1b2c-dom0"]


def test_everything_of_a_scene_goes_and_nothing_else(scene: Path) -> None:
    """Plain files stand for names that were made and not mounted yet; a process bears the scene's mark."""
    for name in ("tablefull-lab-0a1b2c-dom0", "mine"):
        (guardian.NAMES / name).touch()
    own, other = (
        subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=os.environ | {guardian.MARK: name}
        )
        for name in ("0a1b2c", "ffffff")
    )
    with own, other:
        assert guardian.remove(scene) == []
        assert own.wait(5) == -9
        assert other.poll() is None
        assert other.stdin is not None
        other.communicate(b"\n", timeout=5)
    assert [path.name for path in guardian.NAMES.iterdir()] == ["mine"]
    assert not guardian.STATES.exists()
    assert guardian.MAX.read_text() == "262144\n"


def test_an_unreadable_state_says_nothing(tmp_path: Path) -> None:
    (tmp_path / guardian.STATE).write_text("[1")
    assert guardian.read(tmp_path) == {}
    assert guardian.read(tmp_path / "none") == {}


def test_it_needs_nothing_but_the_standard_library() -> None:
    code = "import sys, runpy; runpy.run_path(sys.argv[1]); print(any(n.startswith('tablefull') for n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, guardian.__file__], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
