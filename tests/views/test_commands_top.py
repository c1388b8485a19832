"""``tablefull top`` as a process: where it does not start, and in a terminal of its own where it does."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.views.top_terminal import Terminal, terminal
from view_texts import ROOT

from tablefull.views.commands_top import glyphs
from tablefull.views.top_chart import ASCII

Tablefull = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "needs a terminal"),
        (("--every", "0"), "--every"),
        (("--every", "often"), "a time is wanted"),
        (("--by", "sourc"), "did you mean source"),
        (("--where", "prot"), "column 1"),
        (("--netns", "nope\x1b[2J"), "no such namespace"),
        (("--snapshots", "/nonexistent"), "does not exist"),
        (("x",), "unexpected"),
    ],
)
def test_one_line_and_2_where_it_cannot_start(tablefull: Tablefull, words: tuple[str, ...], part: str) -> None:
    done = tablefull("top", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr
    assert "\x1b" not in done.stderr


def test_an_old_terminal_gets_plain_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    assert glyphs(True) is ASCII
    monkeypatch.setenv("TERM", "linux")
    assert glyphs(False) is ASCII


def test_it_starts_where_nothing_can_be_seen_and_says_why(tmp_path: Path) -> None:
    """An empty root: no /proc, no log."""
    with terminal("--root", str(tmp_path), "--no-diagnose") as held:
        held.until("the count cannot be seen")
        held.until("not seen")
        held.press("4")
        held.until("the kernel's log: ")
        held.press("q")
        assert held.ended() == 0
        assert held.restored()
        assert "Traceback" not in held.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_and_the_terminal_is_as_before(tmp_path: Path, number: signal.Signals) -> None:
    with terminal("--root", str(tmp_path), "--no-diagnose") as held:
        held.until("the count cannot be seen")
        held.program.send_signal(number)
        assert held.ended() == 0
        assert held.restored()


def test_a_window_that_changes_its_size(tmp_path: Path) -> None:
    with terminal("--root", str(tmp_path), "--no-diagnose", COLUMNS="80", LINES="24") as held:
        held.until("the count cannot be seen")
        held.resize(60, 15)
        held.until("60x15 is too small")
        held.resize(140, 50)
        held.until("Kernel log  * came")
        held.resize(80, 24)
        held.until("Enter only these")
        held.press("q")
        assert held.ended() == 0
        assert "Traceback" not in held.text()


def test_a_terminal_that_vanishes_without_a_word_ends_it(tmp_path: Path) -> None:
    with terminal("--root", str(tmp_path), "--no-diagnose") as held:
        held.until("the count cannot be seen")
        held.vanish()
        held.program.wait(30)


def test_a_history_that_cannot_be_read_is_said_and_no_reason_to_end(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_text("junk" * 5000)
    with terminal("--no-diagnose", "--history", str(tmp_path / "history.db"), size=(140, 50)) as held:
        held.until("no history, or a damaged one")
        held.until("Per second")
        held.press("q")
        assert held.ended() == 0
    assert (tmp_path / "history.db").read_text() == "junk" * 5000


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    with terminal("--root", str(tmp_path), "--no-diagnose", "--ascii") as held:
        text = held.until("the count cannot be seen")
        held.press("\x03")
        assert held.ended() == 0
        assert "█" not in text


def test_a_terminal_without_a_cursor_is_refused(tmp_path: Path) -> None:
    with terminal("--root", str(tmp_path), TERM="dumb") as held:
        held.until("TERM")
        assert held.ended() == 2


def test_without_the_library_it_names_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['textual'] = None\n"
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'textual' else real(name, *a)\n"
        "from tablefull.views.cli import main; sys.argv = ['tablefull', 'top']; main()"
    )
    held = Terminal((sys.executable, "-c", code), (80, 24))
    try:
        held.until("tablefull[tui]")
        assert held.ended() == 2
    finally:
        held.close()


def test_the_command_does_not_load_what_the_screen_needs() -> None:
    code = "import sys, tablefull.views.commands_top; print('textual' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.stdout.split() == ["False", "False"]
