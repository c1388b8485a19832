"""What undoes at boot: plain files, read by the programs that will read them where those are there."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tablefull.fixes import boot_undo
from tablefull.fixes.act import OwnFile


def files(init: str, environment: dict[str, str] | None = None) -> dict[str, OwnFile]:
    step = boot_undo.step(init, environment or {})
    assert step is not None
    assert step.when == "until-confirmed"
    return {act.path: act for act in step.acts if isinstance(act, OwnFile)}


@pytest.mark.parametrize("init", ["systemd", "upstart", "sysv", "openrc"])
def test_every_file_is_marked_and_starts_the_undoing(init: str) -> None:
    found = files(init)
    assert all(boot_undo.HEAD in act.after for act in found.values())
    assert any("fix --undo-pending" in act.after for act in found.values())
    assert all(act.before is None for act in found.values())


def test_an_init_that_is_not_known_is_told_by_the_caller() -> None:
    assert boot_undo.step("procd", {}) is None
    assert boot_undo.step("unknown", {}) is None
    assert boot_undo.step("sysv", {}, ()) is None


def test_sysv_has_it_in_every_runlevel_of_this_host() -> None:
    step = boot_undo.step("initscripts", {}, ("/etc/rc3.d", "/etc/rc5.d"))
    assert step is not None
    paths = [act.path for act in step.acts if isinstance(act, OwnFile)]
    assert paths == ["/etc/rc3.d/S99tablefull-undo-pending", "/etc/rc5.d/S99tablefull-undo-pending"]


@pytest.mark.parametrize("value", ["/a b", "/a%i", "/a;reboot", "/a$(id)", "/a\n[Service]"])
def test_a_place_that_needs_quoting_is_not_written(value: str) -> None:
    assert boot_undo.step("systemd", {"PYTHONPATH": value}) is None


def test_the_place_of_the_journal_is_kept() -> None:
    unit = files("systemd", {"TABLEFULL_STATE": "/srv/state"})["/etc/systemd/system/tablefull-undo-pending.service"]
    assert "ExecStart=/usr/bin/env TABLEFULL_STATE=/srv/state " in unit.after


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze (scripts/test-packages names its package)")
    unit = tmp_path / "tablefull-undo-pending.service"
    unit.write_text(files("systemd")["/etc/systemd/system/tablefull-undo-pending.service"].after)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert unit.name not in done.stderr, done.stderr


@pytest.mark.parametrize("init", ["sysv", "openrc"])
def test_the_scripts_are_of_the_shell(init: str) -> None:
    for act in files(init).values():
        assert act.mode == 0o755
        subprocess.run(["sh", "-n"], input=act.after, text=True, check=True)


def test_the_script_of_sysv_acts_at_start_only(tmp_path: Path) -> None:
    (act,) = files("sysv").values()
    script = act.after.replace("exec ", "echo ")
    for word, said in (("start", True), ("stop", False)):
        done = subprocess.run(["sh", "-s", word], input=script, capture_output=True, text=True, check=True)
        assert ("--undo-pending" in done.stdout) == said
