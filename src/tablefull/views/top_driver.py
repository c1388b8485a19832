"""The terminal of ``tablefull top``: Textual's own, which outlives a terminal that is gone.

The trap: Textual writes in a thread that ends at the first error, and hands it lines through a queue with an end. Where
the terminal vanished without a signal the queue is soon full, and whoever writes the last words waits for ever.
"""

from typing import IO, TYPE_CHECKING, Any

from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from textual.app import App


class Forgiving:
    """A terminal to write to; ``gone`` once it takes nothing any more, and what is written then is nobody's."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self.gone = file, False

    def write(self, text: str) -> int:
        """As a file's."""
        if not self.gone:
            try:
                return self._file.write(text)
            except (OSError, ValueError):
                self.gone = True
        return len(text)

    def flush(self) -> None:
        """As a file's."""
        if not self.gone:
            try:
                self._file.flush()
            except (OSError, ValueError):
                self.gone = True

    def fileno(self) -> int:
        """As a file's."""
        return self._file.fileno()


class TopDriver(LinuxDriver):
    """Textual's driver, writing to a :class:`Forgiving` terminal."""

    def __init__(self, app: "App[Any]", **more: Any) -> None:
        super().__init__(app, **more)
        self._file: Any = Forgiving(self._file)
