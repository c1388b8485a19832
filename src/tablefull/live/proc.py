"""Files of ``/proc``, ``/sys`` and ``/etc`` under a root that is given: a value, or a hole with its reason.

The trap: nothing here may raise, and nothing may read without end. A file of ``/proc`` has no size to ask for, a
listing of the entry table may hold 1.5 million rows, and a file may vanish between its name and its reading.
"""

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from tablefull.facts.origin import Hole

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 4 * 1024 * 1024  # the largest file that is wanted whole is slabinfo, 40 kB; modprobe.d has had worse
CHUNK = 256 * 1024

_WHY = {
    errno.ENOENT: ("there is no such file", ""),
    errno.EACCES: ("permission denied", "run it as root"),
    errno.EPERM: ("operation not permitted", "run it as root"),
    errno.ELOOP: ("a chain of links", ""),
}


class Rows(Struct, frozen=True):
    """The first lines of a file: ``content`` in whole lines, how many, and whether more were there."""

    content: bytes
    count: int
    more: bool


class Proc:
    """The files below ``root``; a path is given without its leading slash."""

    def __init__(self, root: "str | Path" = "/") -> None:
        self.root = root

    def path(self, name: str) -> str:
        """The whole path of ``name`` on this machine."""
        return os.path.join(self.root, name.lstrip("/"))  # noqa: PTH118 - ten times as fast as Path, and called a thousand times

    def read(self, name: str, most: int = MOST_BYTES) -> bytes | Hole:
        """The content, at most ``most`` bytes of it; a hole where it cannot be read. Never blocks on a pipe or a
        device.
        """
        try:
            fd = os.open(self.path(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            return hole(name, error)
        parts: list[bytes] = []
        try:
            while most > 0:
                part = os.read(fd, min(most, CHUNK))
                if not part:
                    break
                parts.append(part)
                most -= len(part)
        except OSError as error:
            return hole(name, error)
        finally:
            os.close(fd)
        return b"".join(parts)

    def first_lines(self, name: str, most: int, still: Callable[[], bool]) -> Rows | Hole:
        """At most ``most`` whole lines, read while ``still()``; what was read until then where the time ran out."""
        try:
            fd = os.open(self.path(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            return hole(name, error)
        parts: list[bytes] = []
        count, more = 0, False
        try:
            while count <= most:
                part = os.read(fd, CHUNK)
                if not part:
                    break
                parts.append(part)
                count += part.count(b"\n")
                if not still():
                    more = True
                    break
        except OSError as error:
            return hole(name, error)
        finally:
            os.close(fd)
        lines = b"".join(parts).splitlines(keepends=True)
        if more and lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        more = more or len(lines) > most
        return Rows(b"".join(lines[:most]), min(len(lines), most), more)

    def text(self, name: str, most: int = MOST_BYTES) -> str | Hole:
        """The same as text without surrounding white space; bytes that are no UTF-8 are replaced."""
        content = self.read(name, most)
        return content if isinstance(content, Hole) else content.decode("utf-8", "replace").strip()

    def number(self, name: str) -> int | Hole:
        """The whole number a file of ``/proc/sys`` holds."""
        text = self.text(name, 100)
        if isinstance(text, Hole):
            return text
        if text.lstrip("-").isdecimal() and text.isascii():
            return int(text)
        return Hole("/" + name.lstrip("/"), f"holds no whole number: {text[:40]!r}")

    def names(self, folder: str) -> list[str] | Hole:
        """The names in a folder, sorted."""
        try:
            return sorted(os.listdir(self.path(folder)))  # noqa: PTH208 - names alone are wanted
        except (OSError, ValueError) as error:
            return hole(folder, error)

    def link(self, name: str) -> str | Hole:
        """Where a link points: ``net:[4026531840]`` for a namespace."""
        try:
            return os.readlink(self.path(name))  # noqa: PTH115 - text, not a path
        except (OSError, ValueError) as error:
            return hole(name, error)

    def inode(self, name: str) -> int | Hole:
        """The inode number behind a path: the number by which the kernel names a namespace."""
        try:
            return os.stat(self.path(name)).st_ino  # noqa: PTH116 - beside its neighbours
        except (OSError, ValueError) as error:
            return hole(name, error)

    def exists(self, name: str) -> bool:
        """True where the path is there; False also where it cannot be told."""
        return os.path.exists(self.path(name))  # noqa: PTH110 - beside its neighbours


def hole(name: str, error: OSError | ValueError) -> Hole:
    """The hole an error leaves: the path, the reason in words, and who could read it."""
    what = "/" + name.lstrip("/")
    if not isinstance(error, OSError) or error.errno is None:
        return Hole(what, str(error) or "cannot be read")
    why, remedy = _WHY.get(error.errno, (os.strerror(error.errno).lower(), ""))
    return Hole(what, why, remedy)


def missing(found: object) -> bool:
    """True for the hole of a file that does not exist: often an answer in itself."""
    return isinstance(found, Hole) and found.why == _WHY[errno.ENOENT][0]
