"""Programs that change a host: no shell, a bound on their time, no life beyond the one who runs them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tablefull.errors import KernelRefused
from tablefull.fixes import programs
from tablefull.fixes.act import Command


def test_status_and_words() -> None:
    assert programs.run(Command(("echo", "a b", "$(id)"))) == (0, "a b $(id)\n")
    assert programs.run(Command(("cat",), "typed\n")) == (0, "typed\n")
    status, said = programs.run(Command(("ls", "/nowhere")))
    assert status == 2
    assert "nowhere" in str(programs.failed(Command(("ls", "/nowhere")), status, said))


def test_one_that_is_not_there_is_named() -> None:
    with pytest.raises(KernelRefused, match="no-such-program is not installed"):
        programs.run(Command(("no-such-program", "x")))


def test_the_environment_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD_NOT", "1")
    _, said = programs.run(Command(("env",)))
    assert "LD_PRELOAD_NOT" not in said
    assert "LC_ALL=C" in said


def test_one_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "LOOK_S", 0.2)
    began = time.monotonic()
    with pytest.raises(KernelRefused, match=r"was ended after 0\.2 s"):
        programs.run(Command(("sleep", "60")), looking=True)
    assert time.monotonic() - began < 60


def test_a_daemon_that_keeps_the_output_open_is_not_waited_for() -> None:
    began = time.monotonic()
    assert programs.run(Command(("sh", "-c", "sleep 60 & echo started")))[1] == "started\n"
    assert time.monotonic() - began < 60


def test_it_dies_with_the_one_who_runs_it(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = (
        "from tablefull.fixes import programs\nfrom tablefull.fixes.act import Command\n"
        f"programs.run(Command(('sh', '-c', 'echo $$ >{mark}.part; mv {mark}.part {mark}; exec sleep 60')))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    until = time.monotonic() + 20
    while not mark.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    pid = int(mark.read_text())
    child.send_signal(signal.SIGKILL)
    child.wait()
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("it outlived the one who ran it")


def test_words_are_shown_as_they_would_be_typed() -> None:
    assert programs.shown(Command(("nft", "add", "a b; rm"))) == "nft add 'a b; rm'"
