"""The signals by which a command that goes on is told to end: Ctrl-C, SIGTERM, and a terminal that was closed.

The trap: a handler that is left behind catches the signals of whatever runs next in this process, so those from before
are put back, however the command ended.
"""

import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import Self, TextIO

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def caught(leave: Callable[[], None]) -> Iterator[None]:
    """``leave`` is called at each of :data:`ENDING`; at the end the handlers are as before."""
    before = {number: signal.signal(number, lambda *_: leave()) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Unread(Event):
    """An event that is set by itself when nobody reads ``out`` any more: who seldom writes would learn it late."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._poll = select.poll()
        with suppress(OSError, ValueError, AttributeError):  # closed, or not of a file at all: there is nothing to ask
            self._poll.register(out.fileno(), 0)  # POLLERR and POLLHUP are told unasked

    def is_set(self) -> bool:
        """Whether it was set, or the reader has gone."""
        if not super().is_set() and self._poll.poll(0):
            self.set()
        return super().is_set()


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
