"""The other ways to lose a host: a terminal that is closed, Ctrl-C, both guardians killed, a restart in between."""

import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from tests.realkernel.fix_space import FixSpace, fix_space, step, until

from tablefull.fixes import boot_undo
from tablefull.fixes.act import OwnFile

pytestmark = pytest.mark.realkernel

LONGEST_S = 30.0


@pytest.fixture
def space(tmp_path: Path, program: Callable[[str], str]) -> Iterator[FixSpace]:
    program("nft")
    with fix_space(tmp_path) as made:
        yield made


def on_terminal(words: list[str], space: FixSpace) -> tuple[int, int]:
    """The program on a terminal of its own: its process and our end of the terminal."""
    pid, terminal = pty.fork()
    if not pid:
        os.execve(words[0], words, space.environment({"TERM": "dumb"}))
    return pid, terminal


def read_until(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        seen += os.read(terminal, 65536)
    return seen


def test_a_terminal_that_is_closed_takes_nobody_along(space: FixSpace) -> None:
    before = space.everything()
    words = space.words("--plan", space.plan_file(space.plan()), "--apply", "--confirm-within", "8s")
    pid, terminal = on_terminal([*words, "--verify-for", "2s"], space)
    assert b"one of every kind" in read_until(terminal, b"[y/N]")
    os.write(terminal, b"y\n")
    until(lambda: space.reached("applied"))
    os.close(terminal)  # the kernel sends SIGHUP to whoever is in the foreground
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) != 0
    journal = space.over()
    assert journal is not None
    assert journal.why == "it was not confirmed within 8 s"
    assert space.everything() == before


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"\x04"])
def test_who_does_not_say_yes_changes_nothing(space: FixSpace, answer: bytes) -> None:
    before = space.everything()
    pid, terminal = on_terminal(space.words("--plan", space.plan_file(space.plan()), "--apply"), space)
    read_until(terminal, b"[y/N]")
    os.write(terminal, answer)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 4
    assert space.everything() == before
    assert not space.state.exists()


def test_ctrl_c_leaves_the_host_as_it_was(space: FixSpace) -> None:
    before = space.everything()
    words = space.words("--plan", space.plan_file(space.plan()), "--apply", "--confirm-within", "300s")
    with subprocess.Popen(
        [*words, "--verify-for", "60s"], env=space.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        until(lambda: space.reached("applied"))
        child.send_signal(signal.SIGINT)
        assert child.wait(LONGEST_S) == 4
        assert child.stdout is not None
        assert "Why: Ctrl-C" in child.stdout.read()
    assert space.everything() == before


def test_both_guardians_killed_and_the_next_start_of_the_host(space: FixSpace) -> None:
    """What only a power cut or an administrator does: nobody is left, and the unit at boot runs this command."""
    before = space.everything()
    boot = step(OwnFile(str(space.files / "boot.conf"), "x\n"), scope="host")
    plan = space.plan()
    steps = (msgspec.structs.replace(boot, when="until-confirmed"), *plan.steps)
    done = space.apply(msgspec.structs.replace(plan, steps=steps), "--confirm-within", "300s", "--verify-for", "100ms")
    assert done.returncode == 0
    for name in ("tablefull-keep", "tablefull-undo"):
        for pid in space.processes(name):
            os.kill(pid, signal.SIGSTOP)
    for name in ("tablefull-undo", "tablefull-keep"):
        for pid in space.processes(name):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not space.store.held())
    assert space.everything() != before
    assert "nobody is left to undo it" in space.fix("--status").stderr
    again = space.apply(space.plan())
    assert again.returncode == 4
    assert "--undo-pending" in again.stderr
    # As after a restart.
    journal = space.store.all()[0]
    journal.boot_id = "of before"
    space.store.write(journal)
    assert space.fix("--confirm").returncode == 4
    done = space.fix("--undo-pending")
    assert done.returncode == 0, done.stderr
    assert space.everything() == before
    assert "nothing is pending" in space.fix("--undo-pending").stderr


def fill(path: Path) -> None:
    """Until nothing more fits."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("when", ["before the act", "before the end"])
def test_a_disk_that_is_full_ends_what_is_done_and_not_what_is_undone(space: FixSpace, when: str) -> None:
    space.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "none", space.state], check=True)
    try:
        before = space.everything()
        filler = space.state / "filler"
        if when == "before the act":
            filler.write_bytes(bytes(56 << 10))
            assert space.apply(space.plan(), "--confirm-within", "1s", "--verify-for", "100ms").returncode == 4
        else:
            words = ("--confirm-within", "6s", "--verify-for", "100ms")
            assert space.apply(space.plan(), *words).returncode == 0
            fill(filler)
            assert space.everything() != before
        until(lambda: not space.store.held())
        assert space.everything() == before
        filler.unlink()
        assert space.fix("--undo-pending").returncode == 0
        assert all(one.over for one in space.store.all())
        assert space.everything() == before
    finally:
        subprocess.run(["umount", space.state], check=True)


def test_the_words_of_the_unit_are_the_ones_that_undo(space: FixSpace) -> None:
    """What stands in the file for the boot is run as it stands there, with an empty environment."""
    before = space.everything()
    done = space.apply(space.plan(), "--confirm-within", "300s", "--verify-for", "100ms")
    assert done.returncode == 0
    for name in ("tablefull-keep", "tablefull-undo"):
        for pid in space.processes(name):
            os.kill(pid, signal.SIGSTOP)
    for name in ("tablefull-undo", "tablefull-keep"):
        for pid in space.processes(name):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not space.store.held())
    words = boot_undo.command(space.environment())
    assert words is not None
    done = subprocess.run(words.split(" "), env={}, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert space.everything() == before


def test_confirmations_at_the_last_moment_are_one_thing_or_the_other(space: FixSpace) -> None:
    """Confirmed while the time runs out: kept or undone, and the one who confirmed was told which."""
    plan = space.plan()
    before = space.everything()
    heard = set()
    for number in range(20):
        assert space.apply(plan, "--confirm-within", "1s", "--verify-for", "50ms").returncode == 0
        deadline = space.store.read(str(number + 1)).deadline_at or 0.0
        time.sleep(max(0.0, deadline - time.time() - 0.9 + 0.06 * number))
        done = space.fix("--confirm", str(number + 1))
        journal = space.over()
        assert journal is not None
        assert (done.returncode == 0) == (journal.state == "confirmed"), done.stderr
        heard.add(journal.state)
        if journal.state == "confirmed":
            assert space.fix("--undo", journal.id).returncode == 0
        assert space.everything() == before
    assert heard == {"confirmed", "undone"}
