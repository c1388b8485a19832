"""Where a file holds data: a sparse file of ten gigabytes may hold one page, and reading its holes yields only zero
bytes.
"""

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
