"""The command as a process: bad words, leaving, a reader that goes away, the hook, and a state that is printed once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from view_texts import ROOT

from tablefull.errors import UsageError
from tablefull.views.commands_watch import seconds
from tablefull.watch.hook import TIME_S

Tablefull = Callable[..., subprocess.CompletedProcess[str]]


def tree(root: Path, count: int, limit: int) -> list[str]:
    for name, value in (("count", count), ("max", limit)):
        path = root / f"proc/sys/net/netfilter/nf_conntrack_{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    boot = root / "proc/sys/kernel/random/boot_id"
    boot.parent.mkdir(parents=True, exist_ok=True)
    boot.write_text("boot-1\n")
    return ["--root", str(root), "--history", str(root / "history.db")]


class Running:
    """A watch in the background; its lines as they come."""

    def __init__(self, *words: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tablefull", "watch", "--every", "1", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        )  # fmt: skip

    def line(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline()

    def end(self, number: int | None = signal.SIGTERM) -> tuple[int, str, str]:
        if number is not None:
            self.child.send_signal(number)
        out, errors = self.child.communicate(timeout=30)
        return self.child.returncode, out, errors


def test_a_history_that_cannot_even_be_looked_at_ends_no_watch(tablefull: Tablefull, tmp_path: Path) -> None:
    """A name of 300 bytes, for the folder of another user: stat of either fails."""
    words = tree(tmp_path, 100, 1000)
    words[-1] = str(tmp_path / ("h" * 300))
    done = tablefull("watch", "--once", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "100 of 1000" in done.stdout
    assert "cannot be opened (file name too long)" in done.stdout
    assert "no history yet" not in done.stdout


def test_a_second_signal_ends_what_is_waited_for(tmp_path: Path) -> None:
    hook = tmp_path / "page-me"
    hook.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nsleep 300\n")
    hook.chmod(0o755)
    running = Running(*tree(tmp_path, 960, 1000), "--exec", str(hook))
    assert "ALARM critical full" in running.line()
    deadline = time.monotonic() + 5
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    begun = time.monotonic()
    running.child.send_signal(signal.SIGINT)
    while "waited for" not in (line := running.line()):
        assert line
    code, _, errors = running.end(signal.SIGINT)
    assert (code, errors) == (0, "")
    assert time.monotonic() - begun < TIME_S / 2
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_leaves_cleanly_and_what_it_saw_is_kept(tablefull: Tablefull, tmp_path: Path, number: int) -> None:
    words = tree(tmp_path, 100, 1000)
    running = Running(*words)
    assert "100 of 1000 (10.0 %)" in running.line()
    code, _, errors = running.end(number)
    assert (code, errors) == (0, "")
    done = tablefull("watch", "--once", *words)
    assert done.returncode == 0
    assert "looks kept in" in done.stdout


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    running = Running(*tree(tmp_path, 100, 1000))
    running.line()
    assert running.child.stdout is not None
    running.child.stdout.close()
    assert running.child.wait(timeout=30) == 0
    assert running.child.stderr is not None
    assert running.child.stderr.read() == ""
    running.child.stderr.close()


def test_a_full_output_is_told(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tablefull", "watch", *tree(tmp_path, 1, 10)],
            stdout=full, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr


def test_the_hook_gets_the_alarm_and_a_failing_one_does_not_end_the_watch(tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\nenv | grep TABLEFULL_ > {tmp_path}/env\ncat > {tmp_path}/object\nexit 7\n")
    hook.chmod(0o755)
    words = tree(tmp_path / "root", 960, 1000)
    running = Running(*words, "--format", "json", "--exec", str(hook))
    deadline, lines = time.monotonic() + 20, [json.loads(running.line())]
    while not any("ended with 7" in line.get("text", "") for line in lines) and time.monotonic() < deadline:
        lines.append(json.loads(running.line()))
    after = json.loads(running.line())
    code, _, errors = running.end()
    assert (code, errors) == (0, "")
    assert after["type"] in ("sample", "note")
    alarm = next(line for line in lines if line["type"] == "alarm")
    assert (alarm["alarm"], alarm["event"], alarm["level"]) == ("full", "raised", "critical")
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert environment["TABLEFULL_ALARM"] == "full"
    assert environment["TABLEFULL_COUNT"] == "960"
    assert environment["TABLEFULL_MAX"] == "1000"
    assert environment["TABLEFULL_SPACE"] == "this one"
    assert json.loads((tmp_path / "object").read_text())["alarm"] == "full"


def test_once_is_one_where_an_alarm_is_up_and_three_where_nothing_is_seen(tablefull: Tablefull, tmp_path: Path) -> None:
    words = tree(tmp_path, 960, 1000)
    done = tablefull("watch", "--once", *words)
    assert done.returncode == 1
    assert "ALARM critical full" in done.stdout
    assert not (tmp_path / "history.db").exists()
    tree(tmp_path, 860, 1000)
    assert tablefull("watch", "--once", "-w", "87", "-c", "90", *words).returncode == 0
    blind = tablefull("watch", "--once", "--root", str(tmp_path / "none"), "--history", str(tmp_path / "h"))
    assert blind.returncode in (1, 3)
    assert "cannot be seen" in blind.stdout


def test_once_as_json_is_one_object(tablefull: Tablefull, tmp_path: Path) -> None:
    done = tablefull("watch", "--once", "--format", "json", *tree(tmp_path, 5, 1000))
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout)["count"] == 5


@pytest.mark.parametrize(
    "words",
    [
        ["--every", "0"], ["--every", "soon"], ["--every", "2d"], ["-w", "95", "-c", "85"], ["-w", "nan"],
        ["--horizon", "1s"], ["--exec", "/no/such/program"], ["--once", "--exec", "true"], ["--history", "/tmp"],
        ["--netns", "no-such-namespace"], ["--netns", "4194304"],
    ],
)  # fmt: skip
def test_wrong_words_are_one_line_and_two(tablefull: Tablefull, words: list[str]) -> None:
    done = tablefull("watch", *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


def test_quiet_is_quiet(tmp_path: Path) -> None:
    running = Running("--quiet", *tree(tmp_path, 100, 1000))
    deadline = time.monotonic() + 20
    while not (tmp_path / "history.db").exists() and time.monotonic() < deadline:
        os.sched_yield()
    assert running.end() == (0, "", "")


def test_times() -> None:
    assert seconds("10", "--x", 1, 100) == 10
    assert seconds("1.5m", "--x", 1, 100) == 90
    assert seconds("500ms", "--x", 0.1, 1) == 0.5
    for wrong in ("", "s", "-5", "nan", "1e99", "5 parsecs"):
        with pytest.raises(UsageError):
            seconds(wrong, "--x", 1, 100)
