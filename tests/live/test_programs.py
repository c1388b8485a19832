import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tablefull.facts.origin import Hole
from tablefull.live import programs
from tablefull.live.programs import Ran, run


def ran(answer: Ran | Hole) -> Ran:
    assert isinstance(answer, Ran), answer
    return answer


def test_output_status_and_errors_come_back() -> None:
    answer = ran(run(("sh", "-c", "echo out; echo no >&2; exit 3"), timeout_s=30))
    assert (answer.out, answer.status, answer.errors, answer.cut) == (b"out\n", 3, "no", False)


def test_the_words_of_the_program_are_the_c_locale_s_and_its_input_is_empty() -> None:
    answer = ran(run(("sh", "-c", "echo $LC_ALL; cat; pwd"), timeout_s=30))
    assert answer.out == b"C\n/\n"


def test_no_program_is_a_hole() -> None:
    assert run(("no-such-program-here", "-x"), timeout_s=1) == Hole(
        "no-such-program-here -x", "the program no-such-program-here is not installed", ""
    )


def test_path_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trap = tmp_path / "nft"
    trap.write_text("#!/bin/sh\necho trapped\n")
    trap.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.find("nft") != str(trap)
    answer = run(("nft", "--version"), timeout_s=30)
    assert isinstance(answer, Hole) or b"trapped" not in answer.out


def test_endless_output_is_cut_at_whole_lines_and_the_program_ended() -> None:
    answer = ran(run(("sh", "-c", "while :; do echo a row of the table; done"), timeout_s=60, most_lines=100))
    assert answer.out == b"a row of the table\n" * 100
    assert answer.cut
    assert answer.status is None


def test_a_program_that_hangs_is_ended_with_everything_it_started(tmp_path: Path) -> None:
    left = tmp_path / "pids"
    answer = ran(run(("sh", "-c", f"sleep 1000 & echo $! $$ > {left}; echo first; wait"), timeout_s=1))
    assert answer.out in (b"", b"first\n")
    assert answer.cut
    deadline = time.monotonic() + 30
    for pid in left.read_text().split():
        while _alive(int(pid)):
            assert time.monotonic() < deadline


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def test_a_program_may_load_no_module() -> None:
    answer = ran(run(("cat", "/proc/self/status"), timeout_s=30))
    bounding = next(line for line in answer.out.decode().splitlines() if line.startswith("CapBnd:"))
    assert os.geteuid() != 0 or not int(bounding.split()[1], 16) >> 16 & 1  # CAP_SYS_MODULE, linux/capability.h


def test_ctrl_c_leaves_no_program_behind(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = (
        "from tablefull.live.programs import run\n"
        f"run(('sh', '-c', 'echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 1000'), timeout_s=900)\n"
    )
    world = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, env=world)
    deadline = time.monotonic() + 60
    while not mark.exists():
        assert child.poll() is None
        assert time.monotonic() < deadline
    child.send_signal(signal.SIGINT)
    child.wait(60)
    while _alive(int(mark.read_text())):
        assert time.monotonic() < deadline
