"""Where an answer goes: standard output or a file.

The trap: ``tablefull diagnose … | head -3`` closes the pipe in the middle of the answer. That is the reader's right: no
word is said about it, and the exit code stays the diagnosis's own. A full disk or a closed output is no such right: the
answer did not arrive, and the exit code says so.
"""

import errno
import io
import os
import stat
import sys
from collections.abc import Iterable

from tablefull.errors import KernelRefused, UsageError

_NO_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)


class Closed(io.TextIOBase):
    """Stands in for a stream that the caller closed (``>&-``), where Python has None.

    Standard output refuses what is written to it. Standard error swallows it: ``print`` to None would go to standard
    output.
    """

    def __init__(self, *, refuses: bool) -> None:
        self._refuses = refuses

    def writable(self) -> bool:
        """Always, or ``print`` would find another stream."""
        return True

    def write(self, text: str, /) -> int:
        """Refuse with EBADF, or swallow."""
        if self._refuses:
            raise OSError(errno.EBADF, "it is closed", "standard output")
        return len(text)


def stand_in() -> None:
    """Give this process a standard output and a standard error where the caller closed them."""
    if sys.stdout is None:
        sys.stdout = Closed(refuses=True)
    if sys.stderr is None:
        sys.stderr = Closed(refuses=False)


def emit(text: str, path: str | None = None, *, utf8: bool = False) -> None:
    """Write the answer, to standard output in UTF-8 whatever the locale where ``utf8``.

    Raises UsageError where ``path`` is no place for a file, KernelRefused where the answer could not be written whole;
    a file is then as it was before.
    """
    if path is not None and path != "-":
        _write(path, (text.encode("utf-8", "backslashreplace"),))
        return
    try:
        held = getattr(sys.stdout, "buffer", None) if utf8 else None
        if held is None:
            sys.stdout.write(text)
        else:
            sys.stdout.flush()
            held.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.flush()
    except BrokenPipeError:
        silence()
    except OSError as error:
        raise refused(error) from None


def emit_pieces(pieces: Iterable[bytes], path: str) -> None:
    """Write bytes piece by piece, as :func:`emit` writes text."""
    if path != "-":
        _write(path, pieces)
        return
    held = getattr(sys.stdout, "buffer", None)
    try:
        if held is None:
            raise OSError(errno.EBADF, "it is closed")
        sys.stdout.flush()
        for piece in pieces:
            held.write(piece)
        held.flush()
    except BrokenPipeError:
        silence()
    except OSError as error:
        raise refused(error) from None


def refused(error: OSError) -> KernelRefused:
    """The failure of a write to standard output; what is held back is given up."""
    silence()
    return KernelRefused(f"standard output: cannot be written ({(error.strerror or str(error)).lower()})")


def _write(place: str, pieces: Iterable[bytes]) -> None:
    """Write beside the place and move there whole; a device or a pipe is written to as it is."""
    from pathlib import Path

    path = Path(place)
    if not path.name:
        raise UsageError(f"{str(path)!a}: no name for a file")
    try:
        try:
            special = not stat.S_ISREG(path.stat().st_mode)
        except FileNotFoundError:
            special = False
        if special:
            with path.open("wb", buffering=0) as stream:
                for piece in pieces:
                    stream.write(piece)
            return
        # Through a link, and with the mode of the file that is replaced; a new one has what the umask leaves.
        real = Path(os.path.realpath(path))
        beside = real.with_name(f".{real.name[:200]}.{os.getpid()}.part")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(fd, "wb") as stream:
                for piece in pieces:
                    stream.write(piece)
                if real.exists():
                    os.fchmod(stream.fileno(), stat.S_IMODE(real.stat().st_mode))
            beside.replace(real)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        line = f"{path}: cannot be written ({(error.strerror or str(error)).lower()})"
        raise UsageError(line) if error.errno in _NO_PLACE else KernelRefused(line) from None


def flush() -> None:
    """Hand over what is still held; silent where nobody reads any more."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        silence()


def say(line: str) -> None:
    """One line of progress or warning, on standard error."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        return


def silence() -> None:
    """Give up what is still held for standard output."""
    # The interpreter flushes once more on its way out; that must find somebody who reads.
    try:
        where = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
    except OSError:
        return
    os.dup2(nowhere, where)
    os.close(nowhere)
