"""A tree of files as a boot finds it: the host's own, a recorded one, and the files that we have not yet written.

The trap: a link. ``/etc/sysctl.d/99-sysctl.conf`` is one on most hosts, a link to ``/dev/null`` takes a file of the
vendor out, and below another root an absolute link points out of the tree. So links are followed here, inside the tree.
"""

import os
import stat
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from tablefull.facts.origin import Hole
from tablefull.live.proc import Proc

MOST_LINKS = 40  # as the kernel follows them (path_resolution(7))
MOST_BYTES = 1 << 20
NOWHERE = "/dev/null"


class Fragment(Struct, frozen=True):
    """One file of a folder of settings: its name, its path as listed, what is in it."""

    name: str
    path: str
    text: str

    @property
    def lines(self) -> list[tuple[int, str]]:
        """Numbered lines."""
        return list(enumerate(self.text.split("\n"), 1))


class Tree:
    """The files below ``root``; ``planned`` are texts by path that stand there in thought only."""

    def __init__(self, root: str | Path = "/", planned: Mapping[str, str] | None = None) -> None:
        self.root = Path(root)
        self.planned = dict(planned or {})
        self.holes: list[Hole] = []
        self._proc = Proc(root)

    @cached_property
    def _planned_folders(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self.planned:
            while path:
                path, _, name = path.rpartition("/")
                found.setdefault(path, []).append(name)
        return found

    def resolve(self, path: str) -> str | None:
        """The path behind every link, inside the tree; None where nothing is there. ``/dev/null`` is itself."""
        wanted = [part for part in path.split("/") if part and part != "."]
        done: list[str] = []
        links = 0
        while wanted:
            if [*done, *wanted] == NOWHERE.split("/")[1:]:
                return NOWHERE
            part = wanted.pop(0)
            if part == "..":
                done = done[:-1]
                continue
            here = "/" + "/".join([*done, part])
            if here in self.planned:
                return here if not wanted else None
            if here in self._planned_folders and not os.path.lexists(self._proc.path(here)):
                done.append(part)
                continue
            try:
                mode = os.lstat(self._proc.path(here)).st_mode
                target = str(Path(self._proc.path(here)).readlink()) if stat.S_ISLNK(mode) else None
            except (OSError, ValueError):
                return None
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > MOST_LINKS:
                return None
            if target.startswith("/"):
                done = []
            wanted = [part for part in target.split("/") if part and part != "."] + wanted
        return "/" + "/".join(done)

    def exists(self, path: str) -> bool:
        """Whether something is there, behind links."""
        return self.resolve(path) is not None

    def is_link(self, path: str) -> bool:
        """Whether the last part of the path is a link."""
        return path not in self.planned and os.path.islink(self._proc.path(path))  # noqa: PTH114 - inside the tree

    def is_file(self, path: str) -> bool:
        """Whether a regular file stands there, behind links."""
        found = self.resolve(path)
        if found is None or found == NOWHERE:
            return False
        return found in self.planned or os.path.isfile(self._proc.path(found))  # noqa: PTH113 - resolved by hand

    def executable(self, path: str) -> bool:
        """Whether a regular file that may be run stands there; a planned one may."""
        found = self.resolve(path)
        if found is None or not self.is_file(path):
            return False
        return found in self.planned or bool(os.stat(self._proc.path(found)).st_mode & 0o111)  # noqa: PTH116

    def text(self, path: str) -> str | None:
        """The content; None where there is no regular file. One that cannot be read is noted in ``holes``."""
        found = self.resolve(path)
        if found is None or found == NOWHERE or not self.is_file(path):
            return None
        if found in self.planned:
            return self.planned[found]
        content = self._proc.read(found, MOST_BYTES)
        if isinstance(content, Hole):
            self.holes.append(content)
            return None
        return content.decode("utf-8", "replace")

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted by byte; empty where there is none."""
        found = self.resolve(folder)
        names: set[str] = set()
        if found is not None:
            listed = self._proc.names(found)
            if isinstance(listed, list):
                names |= set(listed)
            names |= set(self._planned_folders.get(found, ()))
        names |= set(self._planned_folders.get(folder, ()))
        return sorted(names, key=os.fsencode)

    def fragment(self, path: str) -> Fragment | None:
        """One file of settings; None where there is none."""
        text = self.text(path)
        return None if text is None else Fragment(path.rpartition("/")[2], path, text)

    def fragments(
        self, folders: tuple[str, ...], suffix: str = ".conf", *, every: bool = False, files: bool = False
    ) -> list[Fragment]:
        """The files of these folders in order of their names; of several with one name the first folder's counts.

        That is the order of systemd's programs, of kmod and of procps since 3.3 (sysctl.d(5), modprobe.d(5),
        sysctl(8)). Whatever has the name takes it out of the later folders: a link to ``/dev/null``, one that leads
        nowhere, a folder. Hidden names are passed over, save by procps (``every``); a folder of such a name is
        passed over by kmod alone (``files``).
        """
        chosen: dict[str, str] = {}
        for folder in folders:
            for name in self.names(folder):
                path = f"{folder}/{name}"
                if not name.endswith(suffix) or (name.startswith(".") and not every):
                    continue
                if not files or self.is_file(path) or self.is_link(path):
                    chosen.setdefault(name, path)
        found = (self.fragment(chosen[name]) for name in sorted(chosen, key=os.fsencode))
        return [fragment for fragment in found if fragment is not None]
