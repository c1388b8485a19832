"""The program a person names to be run when an alarm changes: told the facts, given some seconds, never waited for.

The trap: whatever it does must not stop the watch, and what it is told must not become code. It runs beside the watch
in a session of its own, is killed with all its children when its time is over, is found on no shell's terms (one
program, no words of ours on its command line), and gets its facts as environment variables and one JSON object on its
input.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from queue import Empty, Full, Queue
from threading import Thread

from tablefull.errors import UsageError

TIME_S = 10.0
MOST_WAITING = 64
BRIEF_S = 0.1  # between two looks whether it is over
PREFIX = "TABLEFULL_"


def program(words: str) -> str:
    """The whole path of the program; UsageError where there is none that may be run."""
    found = shutil.which(words)
    if found is None:
        raise UsageError(f"--exec {words[:200]!a}: there is no such program, or it may not be run")
    return os.path.abspath(found)  # noqa: PTH100 - a link stays what it is


class Hook:
    """``tell`` takes one line about a run that failed; it is called from another thread."""

    def __init__(self, path: str, tell: Callable[[str], None], time_s: float = TIME_S) -> None:
        self.path, self._tell, self._time_s = path, tell, time_s
        self._waiting: Queue[tuple[dict[str, str], bytes] | None] = Queue(MOST_WAITING)
        self._ending = self._closing = False
        self._group: int | None = None  # of the run at hand
        self._thread = Thread(target=self._work, name="hook", daemon=True)
        self._thread.start()

    def run(self, facts: Mapping[str, str], content: bytes) -> None:
        """Run it with these facts, after the runs that wait already; ``content`` is its standard input."""
        try:
            self._waiting.put_nowait((dict(facts), content))
        except Full:
            self._tell(f"{self.path}: {MOST_WAITING} runs of it wait already; this one is left out")

    def close(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """Let what waits run, as long as one run may last at most or until ``hurry()``; what then still runs is ended.

        Nobody would end it later: it is in a session of its own.
        """
        self._closing = True
        until_s = time.monotonic() + self._time_s + 1.0
        try:
            self._waiting.put_nowait(None)
        except Full:
            self._ending = True
        self._thread.join(BRIEF_S)
        if self._thread.is_alive():
            self._tell(f"{self.path}: runs still; it is waited for, {self._time_s:g} s at most, or until Ctrl-C again")
        while self._thread.is_alive() and time.monotonic() < until_s and not hurry():
            self._thread.join(BRIEF_S)
        self._ending = True
        if self._thread.is_alive():
            if (group := self._group) is not None:
                _end(group)
            self._thread.join(1.0)

    def _work(self) -> None:
        while not self._ending:
            try:
                job = self._waiting.get(timeout=1.0)
            except Empty:
                continue
            if job is None:
                return
            try:
                why = self._one(*job)
            except OSError as error:
                why = (error.strerror or str(error)).lower()
            except ValueError as error:
                why = str(error)
            if why:
                self._tell(f"{self.path}: {why}" + ("" if self._closing else "; the watch goes on"))

    def _one(self, facts: Mapping[str, str], content: bytes) -> str:
        """What went wrong, in words; nothing where it went well."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        with subprocess.Popen(
            [self.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=own | {PREFIX + name: value.replace("\0", "") for name, value in facts.items()},
            start_new_session=True,
        ) as child:
            self._group = child.pid
            try:
                if self._ending:
                    _end(child.pid)
                _, said = child.communicate(content, timeout=self._time_s)
            except subprocess.TimeoutExpired:
                return f"was ended after {self._time_s:g} s"
            finally:
                # Also what it left behind: its group is its own.
                self._group = None
                _end(child.pid)
        if child.returncode == 0:
            return ""
        last = said.decode("utf-8", "replace").strip().splitlines()[-1:]
        words = f" ({last[0][:200]})" if last else ""
        if child.returncode < 0:
            return f"was ended by signal {-child.returncode}{words}"
        return f"ended with {child.returncode}{words}"


def _end(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
