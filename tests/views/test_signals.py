"""Signals are caught while a command goes on, and only then."""

import io
import os
import signal
from pathlib import Path

import pytest

from tablefull.views.signals import ENDING, Ending, Unread, caught


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


def test_where_there_is_no_output_at_all_it_is_an_event() -> None:
    stop = Unread(io.StringIO())
    assert not stop.is_set()
