"""The stage without a kernel: rights, programs, and one line for whatever fails; with root in realkernel/test_lab.py."""

import subprocess
import sys
from pathlib import Path

import pytest

from tablefull.errors import KernelRefused
from tablefull.lab import guardian, stage


@pytest.mark.parametrize(
    ("bits", "missing"),
    [
        ("000001ffffffffff", ""),
        ("0000000000000000", "CAP_SYS_ADMIN and CAP_NET_ADMIN"),
        ("0000000000001000", "CAP_SYS_ADMIN"),
        ("0000000000200000", "CAP_NET_ADMIN"),
    ],
)
def test_which_right_is_missing(bits: str, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits 12 and 21: include/uapi/linux/capability.h."""
    monkeypatch.setattr(Path, "read_text", lambda *_: f"Name:\tpython\nCapEff:\t{bits}\n")
    assert stage.missing_right() == missing


def test_a_program_that_is_missing_is_named_with_its_package() -> None:
    with pytest.raises(KernelRefused, match="no-such-program is not installed"):
        stage.run("no-such-program")
    assert stage.package("iptables-legacy") == "iptables"


def test_a_program_that_fails_says_why_in_one_line() -> None:
    code = "import sys; sys.stderr.write('first reason\\nsecond\\n'); sys.exit(3)"
    with pytest.raises(KernelRefused) as caught:
        stage.run(sys.executable, "-c", code)
    assert str(caught.value).endswith(": first reason")


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(KernelRefused, match=r"no answer in 0\.2 s"):
        stage.run("sleep", "60", timeout_s=0.2)


def test_names_are_unmistakably_ours() -> None:
    made = stage.Stage("xen-dom0")
    machine = stage.Machine(made, "dom0")
    assert machine.space == f"tablefull-lab-{made.scene}-dom0"
    assert machine.words("ip", "link")[:2] == ["nsenter", f"--net=/run/netns/{machine.space}"]
    assert stage.Stage("xen-dom0").scene != made.scene


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    """A player that is killed takes its programs with it, before any guardian acts."""
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom tablefull.lab.stage import Stage\n"
        f"made = Stage('x')\nmade.folder = Path({str(tmp_path)!r})\n"
        "child = made.start(None, 'sleeper', 'sleep', '300')\nprint(child.process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    for _ in range(1000):
        if guardian.started(pid) is None:
            break
        subprocess.run(["true"], check=True)
    assert guardian.started(pid) is None


def test_without_a_guardian_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guardian, "STATES", tmp_path / "states")
    monkeypatch.setattr(guardian, "NAMES", tmp_path / "netns")
    monkeypatch.setattr(guardian, "MAX", tmp_path / "max")
    monkeypatch.setattr(stage, "_GUARDIAN", tmp_path / "none.py")
    with pytest.raises(KernelRefused, match="nothing was made"), stage.Stage("xen-dom0"):
        pass
    assert not (tmp_path / "states").exists()
