"""Where a file holds data: a sparse file of ten gigabytes may hold one page, and reading its holes yields only zero
bytes.
"""

import io
import os

MOST = 4096  # extents looked up; a file with more is read whole from there on


def extents(fd: int, size: int) -> list[tuple[int, int]]:
    """``[start, end)`` of every run of data, ascending; the whole file where the file system does not say."""
    if size <= 0 or not hasattr(os, "SEEK_DATA"):
        return [(0, size)] if size > 0 else []
    found: list[tuple[int, int]] = []
    at = 0
    while at < size:
        if len(found) >= MOST:
            found.append((at, size))
            break
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            import errno

            # ENXIO: no data from here to the end; anything else: this file system cannot tell.
            return found if error.errno == errno.ENXIO else [*found, (at, size)]
        end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        if end <= start:
            found.append((start, size))
            break
        found.append((start, end))
        at = end
    return found


class Segments(io.RawIOBase):
    """A sparse file as a stream of its data alone; a line's end stands for each hole."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd, self._parts = fd, extents(fd, size)
        self._at = self._parts[0][0] if self._parts else 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill from the run of data at hand."""
        while self._parts:
            end = self._parts[0][1]
            data = os.pread(self._fd, min(len(buffer), end - self._at), self._at)
            if data:
                self._at += len(data)
                buffer[: len(data)] = data
                return len(data)
            del self._parts[0]
            if self._parts:
                self._at = self._parts[0][0]
                buffer[:1] = b"\n"
                return 1
        return 0

    def close(self) -> None:
        """Give the descriptor back."""
        if not self.closed:
            os.close(self._fd)
        super().close()
