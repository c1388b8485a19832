"""The folder of a record: Parquet files that are whole or absent, the oldest of which make room for the newest.

The trap: a recorder dies in the middle of a night, of a full disk or of a signal nobody catches. So a file is written
beside its place, made durable and moved there; what is being collected has a name of its own that ends in ``.part`` and
says since when, so that the next start can tell what is missing; and a part that was written to its end is kept.
"""

import errno
import fcntl
import io
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from msgspec import Struct, ValidationError, json

from tablefull.errors import KernelRefused, UsageError
from tablefull.live.record_columns import FORMAT

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

PREFIX, SUFFIX, PART = "events-", ".parquet", ".part"
_NAME = re.compile(r"events-\d{8}T\d{6}\.\d{6}Z-\d{4}\.parquet")
MAGIC = b"PAR1"
KEY = "tablefull"  # of what is said about the record in a file's metadata
ROW_GROUP = 131_072
SECOND_NS = 1_000_000_000


class Open(Struct):
    """What stands in a part while its events are still collected in memory."""

    pid: int
    began_ns: int
    format: str = FORMAT


class Left(NamedTuple):
    """A part that somebody left behind: since when its events are lost (None: not told), or that it was whole."""

    name: str
    since_ns: int | None
    whole: bool


class Kept(Struct):
    """What became of the files of this run."""

    files: int = 0
    bytes: int = 0
    removed_files: int = 0
    removed_bytes: int = 0
    removed_rows: int = 0


class Folder:
    """The folder, held by one recorder at a time. ``left``: what an earlier one did not bring to its end.

    UsageError where it cannot be used or another recorder holds it.
    """

    def __init__(self, path: Path, keep_bytes: int) -> None:
        self.path, self.keep_bytes, self.kept = path, keep_bytes, Kept()
        self.left: list[Left] = []
        self._part: Path | None = None
        self._number = 0
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}; name a folder with -o") from None
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._held)
            raise UsageError(f"{path}: another recorder writes there; name another folder with -o") from None
        self._tidy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder; an open part that holds nothing is taken away."""
        if self._part is not None:
            self._part.unlink(missing_ok=True)
            self._part = None
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def _tidy(self) -> None:
        """Parts of recorders that are gone: a whole one is moved to its place, the others go."""
        for part in sorted(self.path.glob(f"{PREFIX}*{SUFFIX}{PART}")):
            since, whole = _look(part)
            try:
                if whole:
                    part.replace(part.with_suffix(""))
                else:
                    part.unlink()
            except OSError:
                continue
            self.left.append(Left(part.name, since, whole))

    def files(self) -> list[Path]:
        """The whole files, the oldest first: names begin with the time."""
        return sorted(path for path in self.path.iterdir() if _NAME.fullmatch(path.name))

    def begin(self, now_ns: int) -> None:
        """Name the part whose events are collected from now on."""
        moment = datetime.fromtimestamp(now_ns // SECOND_NS, UTC)
        stamp = f"{moment:%Y%m%dT%H%M%S}.{now_ns % SECOND_NS // 1000:06d}Z"
        self._number += 1
        self._part = self.path / f"{PREFIX}{stamp}-{self._number % 10000:04d}{SUFFIX}{PART}"
        self._write(self._part, json.encode(Open(os.getpid(), now_ns)) + b"\n")

    def finish(self, frame: "pl.DataFrame", about: "Mapping[str, object]", now_ns: int | None = None) -> int:
        """Write the rows into the part, move it to its place, and make room; the bytes it takes.

        Rows that would take more than the folder may hold go into two files. KernelRefused where it cannot be written;
        nothing of it is left then.
        """
        began = time.time_ns() if now_ns is None else now_ns
        if self._part is None:
            self.begin(began)
        assert self._part is not None
        held = io.BytesIO()
        frame.write_parquet(
            *(held,),
            compression="zstd",
            compression_level=1,
            row_group_size=ROW_GROUP,
            metadata={KEY: json.encode(about).decode()},
        )
        size = held.tell()
        if size > self.keep_bytes // 2 and frame.height > 1:
            middle = frame.height // 2
            first = self.finish(frame[:middle], about, began)
            return first + self.finish(frame[middle:], about, began + 1)
        self._make_room(size)
        part, place = self._part, self._part.with_suffix("")
        self._write(part, held.getbuffer())
        try:
            part.replace(place)
            os.fsync(self._held)
        except OSError as error:
            raise _failed(place, error) from None
        self._part = None
        self.kept.files += 1
        self.kept.bytes += size
        return size

    def _write(self, path: Path, data: bytes | memoryview) -> None:
        try:
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _failed(path, error) from None

    def _make_room(self, wanted: int) -> None:
        """Remove whole files, the oldest first, until the next one fits into what may be kept."""
        sizes = [(path, path.stat().st_size) for path in self.files()]
        total = sum(size for _, size in sizes)
        for path, size in sizes:
            if total + wanted <= self.keep_bytes:
                return
            rows = _rows(path)
            try:
                path.unlink()
            except OSError as error:
                raise _failed(path, error) from None
            total -= size
            self.kept.removed_files += 1
            self.kept.removed_bytes += size
            self.kept.removed_rows += rows


def _rows(path: Path) -> int:
    """How many rows a file holds; 0 where it is none of ours."""
    import polars as pl

    try:
        return int(pl.scan_parquet(path).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError):
        return 0


def _look(part: Path) -> tuple[int | None, bool]:
    """Since when a part was collected, and whether it is a whole file by now."""
    try:
        size = part.stat().st_size
        with part.open("rb") as file:
            head = file.read(4096)
            if head.startswith(MAGIC) and size > 12:
                file.seek(size - 4)
                return None, file.read() == MAGIC and _rows(part) > 0
    except OSError:
        return None, False
    try:
        return json.decode(head, type=Open).began_ns, False
    except (ValidationError, ValueError):
        return None, False


def _failed(path: Path, error: OSError) -> KernelRefused:
    why = (error.strerror or str(error)).lower()
    hint = "; make room, or keep less with --keep" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return KernelRefused(f"{path}: cannot be written ({why}){hint}")
