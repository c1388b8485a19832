"""What all scenes have, without a kernel: configuration files and words of programs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tablefull.lab import scene as base
from tablefull.lab.scene import Scene
from tablefull.lab.scene_xen_dom0 import XenDom0
from tablefull.lab.stage import Machine, Stage


class Recorded(Stage):
    """A stage that notes what would be started."""

    def __init__(self, folder: Path) -> None:
        super().__init__("xen-dom0")
        self.folder = folder
        self.started: list[tuple[str, tuple[str, ...], str]] = []

    def start(self, machine, name, *words, output=True, group=""):  # type: ignore[no-untyped-def]
        self.started.append((name, words, group))


@pytest.fixture
def stage(tmp_path: Path) -> Recorded:
    made = Recorded(tmp_path)
    for name in ("client1", "client2", "client3", "guest"):
        made.machines[name] = Machine(made, name)
    return made


def test_visitors_at_the_rate_that_was_asked_for(stage: Recorded) -> None:
    XenDom0(stage, 40.0).traffic()
    rates = [words[words.index("--rate") + 1] for _, words, _ in stage.started]
    assert sum(map(float, rates)) == 40.0
    assert ["--vanish" in words for _, words, _ in stage.started] == [False, True]


def test_the_reports_own_rate_is_the_default(stage: Recorded) -> None:
    """Ten million hits a day."""
    assert XenDom0(stage).requests_per_s == round(10_000_000 / 86400) == 116


def test_what_was_used_is_said_once(stage: Recorded) -> None:
    scene = XenDom0(stage)
    scene.uses("nginx serves")
    scene.uses("nginx serves")
    assert scene.used == ["nginx serves"]


def test_the_server_is_said_to_be_built_in_where_nginx_is_missing(
    stage: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "found", lambda name: None)
    monkeypatch.setattr(Scene, "ready", lambda *_: None)
    monkeypatch.setattr(
        stage, "start", lambda machine, name, *words, **_: type("Child", (), {"name": name, "words": words})
    )
    scene = XenDom0(stage)
    scene.web_server(stage.machines["guest"])
    assert scene.used == ["the built-in server serves (nginx is not installed)"]
    assert scene.witness() is None


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if nginx is None:
        pytest.skip("needs nginx (scripts/test-packages names its package)")
    config = tmp_path / "nginx.conf"
    config.write_text(base.nginx_conf(tmp_path))
    done = subprocess.run([nginx, "-t", "-e", "stderr", "-c", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_wrk_is_bounded(stage: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "found", lambda name: f"/usr/bin/{name}")
    witness = XenDom0(stage).witness()
    assert witness is not None
    assert "-d2s" in witness.words
    assert "return 100" in (stage.folder / "pause.lua").read_text()
    assert witness.shown.startswith("wrk ")
