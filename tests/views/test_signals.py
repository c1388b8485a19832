"""Signals are caught while a command goes on, and only then."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest

from tablefull.views.signals import ENDING, Bell, Ending, Unread, caught


@pytest.mark.parametrize("number", ENDING)
def test_each_is_told_and_what_was_before_is_put_back(number: signal.Signals) -> None:
    heard: list[bool] = []
    before = [signal.getsignal(each) for each in ENDING]
    with caught(lambda: heard.append(True)):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert heard == [True, True]
    assert [signal.getsignal(each) for each in ENDING] == before


def test_also_where_the_command_fails() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), caught(lambda: None):
        _ = 1 // 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_context_of_its_own() -> None:
    class Counting(Ending):
        heard = 0

        def told(self) -> None:
            self.heard += 1

    before = signal.getsignal(signal.SIGHUP)
    with Counting() as counting:
        os.kill(os.getpid(), signal.SIGHUP)
    assert counting.heard == 1
    assert signal.getsignal(signal.SIGHUP) is before


def test_a_reader_that_goes_ends_it() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as out:
        stop = Unread(out)
        assert not stop.is_set()
        os.close(read)
        assert stop.is_set()


def test_a_file_is_no_reader_that_went(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        stop = Unread(out)
        assert not stop.is_set()
        stop.set()
        assert stop.is_set()


# A signal at every line of the waiting, and of what it calls: the moment that hangs is met each time, not by chance.
STORM = """
import signal, sys
from threading import Event
from tablefull.views.signals import Bell
bell = Bell() if sys.argv[1] == "bell" else Event()
heard, ringing = 0, False
def ring(*_):
    global heard, ringing
    heard, ringing = heard + 1, True
    bell.set()
    ringing = False
def line(frame, event, arg):
    if frame.f_code.co_name == "clear":
        return None
    if event == "line" and not ringing:
        signal.raise_signal(signal.SIGALRM)
    return line
signal.signal(signal.SIGALRM, ring)
print("waits", flush=True)
sys.settrace(line)
for longest in (0, 5):
    bell.clear()
    woken = bell.wait(longest)
sys.settrace(None)
print(heard > 1, woken)
"""


def storm(kind: str, most_s: float) -> str:
    words = [sys.executable, "-c", STORM, kind]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=most_s).stdout


def test_a_handler_may_ring_while_it_is_waited_for() -> None:
    assert storm("bell", 60) == "waits\nTrue True\n"


def test_threading_s_own_event_is_none_for_a_handler() -> None:
    """Why there is another: this one is waited for by the thread that holds it."""
    with pytest.raises(subprocess.TimeoutExpired) as hung:
        storm("event", 6)
    assert hung.value.stdout == b"waits\n"


def test_a_bell_is_an_event() -> None:
    bell = Bell()
    begun = time.monotonic()
    assert not bell.wait(0.05)
    assert time.monotonic() - begun >= 0.05
    assert not bell.wait(-1)
    for _ in range(70_000):  # more than a pipe takes
        bell.set()
    assert bell.is_set()
    assert bell.wait()
    assert bell.wait(0.0)
    bell.clear()
    assert not bell.is_set()
    assert not bell.wait(0.0)
    Timer(0.05, bell.set).start()
    assert bell.wait(30)
    pipe = (bell._receive, bell._send)
    del bell
    for descriptor in pipe:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_a_reader_that_goes_ends_the_waiting() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as out:
        stop = Unread(out)
        Timer(0.05, os.close, (read,)).start()
        assert stop.wait(30)


def test_where_there_is_no_output_at_all_it_is_an_event() -> None:
    stop = Unread(io.StringIO())
    assert not stop.is_set()
