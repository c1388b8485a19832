"""The signals by which a command that goes on is told to end: Ctrl-C, SIGTERM, and a terminal that was closed.

The trap: a handler that is left behind catches the signals of whatever runs next in this process, so those from before
are put back, however the command ended.
"""

import math
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import Self, TextIO

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONGEST_MS = 2**31 - 1  # poll(2) counts in an int


@contextmanager
def caught(leave: Callable[[], None]) -> Iterator[None]:
    """``leave`` is called at each of :data:`ENDING`; at the end the handlers are as before."""
    before = {number: signal.signal(number, lambda *_: leave()) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Bell(Event):
    """An event that a signal's handler may set.

    One of ``threading`` is not: whoever waits for it holds its lock for a moment, and a handler that runs in that
    moment, in the same thread, waits for the lock for ever. So what wakes a waiter here is a byte in a pipe.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rung = False
        self._receive, self._send = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def __del__(self) -> None:
        os.close(self._receive)
        os.close(self._send)

    def set(self) -> None:
        """From now on it is set, and whoever waits goes on."""
        self._rung = True
        with suppress(OSError):  # full of bytes: then there is one to wake for
            os.write(self._send, b"!")

    def clear(self) -> None:
        """Not set any more."""
        self._rung = False  # first: who rings from now on is heard
        with suppress(OSError):
            while os.read(self._receive, 4096):
                pass

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._rung

    def wait(self, timeout: float | None = None) -> bool:
        """Return once it is set or after ``timeout`` seconds; whether it is set."""
        if not self.is_set():
            self._poll().poll(None if timeout is None else min(LONGEST_MS, max(0, math.ceil(timeout * 1000))))
        return self.is_set()

    def _poll(self) -> select.poll:
        """What a waiter waits for; one of its own, for two threads may not share it."""
        found = select.poll()
        found.register(self._receive, select.POLLIN)
        return found


class Unread(Bell):
    """A bell that rings by itself when nobody reads ``out`` any more: who seldom writes would learn it late."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out

    def is_set(self) -> bool:
        """Whether it was set, or the reader has gone."""
        if not super().is_set() and self._poll().poll(0):
            self.set()
        return super().is_set()

    def _poll(self) -> select.poll:
        found = super()._poll()
        with suppress(OSError, ValueError, AttributeError):  # closed, or not of a file at all: there is nothing to ask
            found.register(self._out.fileno(), 0)  # POLLERR and POLLHUP are told unasked
        return found


class Ending:
    """A context in which :meth:`told` is called at each of :data:`ENDING`."""

    def __init__(self) -> None:
        self._signals = caught(self.told)

    def __enter__(self) -> Self:
        self._signals.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._signals.__exit__(None, None, None)

    def told(self) -> None:
        """One of the signals came."""
        raise NotImplementedError
