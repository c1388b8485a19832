"""``tablefull top`` as a process: where it does not start, and in a terminal of its own where it does."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
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


class Terminal:
    """A program in a terminal of its own; what it wrote, without the sequences that move the cursor."""

    def __init__(self, words: tuple[str, ...], size: tuple[int, int], **environment: str) -> None:
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        own = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TERM": "xterm-256color", "LANG": "C.UTF-8"} | environment
        self.program = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=own, close_fds=True)
        self.raw = b""

    def until(self, part: str, within_s: float = 30.0) -> str:
        """What was written, as soon as ``part`` is in it."""
        deadline = time.monotonic() + within_s
        while part not in self.text():
            left = deadline - time.monotonic()
            assert left > 0, f"{part!r} never came: {self.text()[-3000:]}"
            if select.select([self._own], [], [], left)[0]:
                try:
                    self.raw += os.read(self._own, 65536)
                except OSError:
                    assert part in self.text(), self.text()[-3000:]
        return self.text()

    def text(self) -> str:
        return re.sub(r"\x1b(\[[0-9;?<>=]*[a-zA-Z]|[()][A-Z0-9]|[=>78])", "", self.raw.decode("utf-8", "replace"))

    def press(self, keys: str) -> None:
        os.write(self._own, keys.encode())

    def ended(self, within_s: float = 20.0) -> int:
        """Its exit code; its last words are read meanwhile, or it could not say them."""
        deadline = time.monotonic() + within_s
        while self.program.poll() is None and time.monotonic() < deadline:
            if select.select([self._own], [], [], 0.05)[0]:
                self.raw += os.read(self._own, 65536)
        return self.program.wait(1)

    def restored(self) -> bool:
        """Whether the terminal is as it was."""
        return termios.tcgetattr(self._theirs)[:4] == self.before[:4]

    def close(self) -> None:
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        for one in (self._own, self._theirs):
            os.close(one)


@contextmanager
def terminal(*words: str, size: tuple[int, int] = (80, 24), **environment: str) -> Iterator[Terminal]:
    held = Terminal((sys.executable, "-m", "tablefull", "top", *words), size, **environment)
    try:
        yield held
    finally:
        held.close()


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
