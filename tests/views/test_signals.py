"""Signals are caught while a command goes on, and only then."""

import os
import signal

import pytest

from tablefull.views.signals import ENDING, caught


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
