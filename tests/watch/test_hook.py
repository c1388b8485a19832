"""A program that is told the facts, bounded in time, and never able to stop the watch."""

import json
import os
import time
from pathlib import Path

import pytest

from tablefull.errors import UsageError
from tablefull.watch.hook import Hook, program


def script(folder: Path, words: str) -> str:
    path = folder / "hook"
    path.write_text(f"#!/bin/sh\n{words}\n")
    path.chmod(0o755)
    return str(path)


def ran(path: str, facts: dict[str, str], content: bytes = b"{}", time_s: float = 5.0) -> list[str]:
    told: list[str] = []
    hook = Hook(path, told.append, time_s)
    hook.run(facts, content)
    hook.close()
    return told


def test_it_gets_the_facts_and_the_object(tmp_path: Path) -> None:
    path = script(tmp_path, f"env > {tmp_path}/env; cat > {tmp_path}/stdin")
    assert ran(path, {"ALARM": "full", "WHY": "$(touch /tmp/x) `id`; 'a' \"b\""}, b'{"count": 5}') == []
    environment = (tmp_path / "env").read_text().splitlines()
    assert "TABLEFULL_ALARM=full" in environment
    assert "TABLEFULL_WHY=$(touch /tmp/x) `id`; 'a' \"b\"" in environment
    assert json.loads((tmp_path / "stdin").read_text()) == {"count": 5}


def test_a_failure_is_one_line_with_its_last_word(tmp_path: Path) -> None:
    told = ran(script(tmp_path, "echo first >&2; echo no route to pager >&2; exit 3"), {})
    assert len(told) == 1
    assert "ended with 3 (no route to pager)" in told[0]


def test_one_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    path = script(tmp_path, f"sleep 300 & echo $! > {tmp_path}/pid; wait")
    begun = time.monotonic()
    told = ran(path, {}, time_s=0.5)
    assert time.monotonic() - begun < 300
    assert len(told) == 2  # that it is waited for, and how that ended
    assert told[1].endswith("was ended after 0.5 s")
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while _lives(child) and time.monotonic() < deadline:
        os.sched_yield()
    assert not _lives(child)


def test_what_runs_at_the_end_is_waited_for_and_can_be_cut_short(tmp_path: Path) -> None:
    told: list[str] = []
    hook = Hook(script(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 300"), told.append, 60.0)
    hook.run({}, b"")
    deadline = time.monotonic() + 5
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    begun = time.monotonic()
    hook.close(hurry=lambda: True)
    assert time.monotonic() - begun < 60 / 2
    assert "runs still; it is waited for, 60 s at most" in told[0]
    assert "goes on" not in " ".join(told)
    assert not _lives(int((tmp_path / "pid").read_text()))


def test_runs_that_wait_when_it_ends_leave_nothing_behind(tmp_path: Path) -> None:
    """The first is ended by its time, the second had none left when the watch ended."""
    told: list[str] = []
    hook = Hook(script(tmp_path, f"echo $$ >> {tmp_path}/pids; sleep 300"), told.append, 1.5)
    for _ in range(3):
        hook.run({}, b"")
    hook.close()
    time.sleep(0.2)
    assert [pid for pid in (tmp_path / "pids").read_text().split() if _lives(int(pid))] == []


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] not in "ZX"
    except OSError:
        return False


def test_one_that_reads_nothing_and_one_that_talks_much(tmp_path: Path) -> None:
    assert ran(script(tmp_path, "exit 0"), {}, b"x" * 1_000_000) == []
    assert ran(script(tmp_path, "head -c 1000000 /dev/zero; exit 0"), {}) == []


def test_one_that_cannot_be_started(tmp_path: Path) -> None:
    path = tmp_path / "hook"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    told = ran(str(path), {})
    assert len(told) == 1
    assert "no such file" in told[0]


def test_asking_does_not_wait(tmp_path: Path) -> None:
    told: list[str] = []
    hook = Hook(script(tmp_path, f"sleep 60; touch {tmp_path}/over"), told.append, 90.0)
    for _ in range(200):
        hook.run({}, b"")
    assert "is left out" in told[0]
    hook.close(hurry=lambda: True)
    assert not (tmp_path / "over").exists()  # not even the first had come to its end


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such program"):
        program(str(tmp_path / "none"))
    with pytest.raises(UsageError):
        program("true; id")
    assert program("sh").startswith("/")
