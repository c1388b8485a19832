"""Where an answer goes: standard output or a file.

The trap: ``tablefull diagnose … | head -3`` closes the pipe in the middle of the answer. That is the reader's right: no
word is said about it, and the exit code stays the diagnosis's own.
"""

import os
import sys
from pathlib import Path

from tablefull.errors import UsageError


def emit(text: str, path: str | None = None) -> None:
    """Write the answer; UsageError where ``path`` cannot be written."""
    if path is not None and path != "-":
        try:
            Path(path).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({(error.strerror or str(error)).lower()})") from None
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()


def flush() -> None:
    """Hand over what is still held; silent where nobody reads any more."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        _silence()


def say(line: str) -> None:
    """One line of progress or warning, on standard error."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        return


def _silence() -> None:
    # The interpreter flushes once more on its way out; that must find somebody who reads.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
