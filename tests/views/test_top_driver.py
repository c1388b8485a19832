"""A terminal that is gone costs nobody the end."""

import io
from threading import Thread

import pytest
from textual.drivers._writer_thread import MAX_QUEUED_WRITES, WriterThread

from tablefull.views.top_driver import Forgiving


class Gone(io.StringIO):
    """Takes one line, and then nothing."""

    def write(self, text: str) -> int:
        if self.getvalue():
            raise OSError(5, "Input/output error")
        return super().write(text)

    def flush(self) -> None:
        if len(self.getvalue()) > 3:
            raise OSError(5, "Input/output error")


def test_what_is_written_to_nobody_is_no_error() -> None:
    held = Gone()
    terminal = Forgiving(held)
    assert terminal.write("one") == 3
    terminal.flush()
    assert not terminal.gone
    assert terminal.write("another") == 7
    assert terminal.gone
    terminal.flush()
    assert terminal.write("more") == 4
    assert held.getvalue() == "one"


def test_a_flush_may_be_the_first_to_know() -> None:
    terminal = Forgiving(Gone())
    terminal.write("long enough")
    terminal.flush()
    assert terminal.gone


def _written_and_ended(file: object) -> bool:
    """Whether Textual's writer comes to its end when more is written than its queue holds."""
    writer = WriterThread(file)  # type: ignore[arg-type]
    writer.start()

    def write() -> None:
        for _ in range(MAX_QUEUED_WRITES + 5):
            writer.write("line")
        writer.stop()

    program = Thread(target=write, daemon=True)
    program.start()
    program.join(3)
    return not program.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_textuals_writer_comes_to_its_end_only_so() -> None:
    assert _written_and_ended(Forgiving(Gone()))
    assert not _written_and_ended(Gone())
