"""The signals by which a command that goes on is told to end: Ctrl-C, SIGTERM, and a terminal that was closed.

The trap: a handler that is left behind catches the signals of whatever runs next in this process, so those from before
are put back, however the command ended.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

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
