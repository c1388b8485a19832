"""``tablefull top`` in a terminal of its own."""

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[2]


class Terminal:
    """A program in a terminal of its own: all that it wrote, and what a person sees now.

    The program writes only what changed: a word that is on the screen may never have been written in one piece.
    """

    def __init__(self, words: tuple[str, ...], size: tuple[int, int], **environment: str) -> None:
        self._blank(size)
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        own = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TERM": "xterm-256color", "LANG": "C.UTF-8"} | environment
        self.program = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=own, close_fds=True)
        self.raw = b""

    def _blank(self, size: tuple[int, int]) -> None:
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)

    def _read(self) -> None:
        piece = os.read(self._own, 65536)
        self.raw += piece
        self._stream.feed(piece)

    def until(self, part: str, within_s: float = 60.0) -> str:
        """The screen, as soon as ``part`` is on it."""
        deadline = time.monotonic() + within_s
        while part not in self.screen():
            left = deadline - time.monotonic()
            assert left > 0, f"{part!r} never came:\n{self.screen()}"
            if select.select([self._own], [], [], left)[0]:
                try:
                    self._read()
                except OSError:
                    assert part in self.screen(), self.screen()
        return self.screen()

    def screen(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def text(self) -> str:
        return re.sub(r"\x1b(\[[0-9;?<>=]*[a-zA-Z]|[()][A-Z0-9]|[=>78])", "", self.raw.decode("utf-8", "replace"))

    def resize(self, columns: int, rows: int) -> None:
        """As a window does; what it showed is gone, so that only what is drawn anew is seen."""
        self._blank((columns, rows))
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.program.send_signal(signal.SIGWINCH)

    def press(self, keys: str) -> None:
        os.write(self._own, keys.encode())

    def ended(self, within_s: float = 20.0) -> int:
        """Its exit code; its last words are read meanwhile, or it could not say them."""
        deadline = time.monotonic() + within_s
        while self.program.poll() is None and time.monotonic() < deadline:
            if select.select([self._own], [], [], 0.05)[0]:
                self._read()
        return self.program.wait(1)

    def restored(self) -> bool:
        """Whether the terminal is as it was."""
        return termios.tcgetattr(self._theirs)[:4] == self.before[:4]

    def vanish(self) -> None:
        """Close it, without a signal."""
        for one in (self._own, self._theirs):
            if one >= 0:
                os.close(one)
        self._own = self._theirs = -1

    def close(self) -> None:
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        self.vanish()


@contextmanager
def terminal(*words: str, size: tuple[int, int] = (80, 24), **environment: str) -> Iterator[Terminal]:
    held = Terminal((sys.executable, "-m", "tablefull", "top", *words), size, **environment)
    try:
        yield held
    finally:
        held.close()


def children(pid: int) -> list[int]:
    """The processes that it started and that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found
