"""A capture opened for reading: a file, plain or compressed, or standard input; block by block, never whole.

The trap: a mapped file that another program cuts short kills whoever reads behind its new end (SIGBUS). So a plain file
is mapped a window at a time, and its size is asked for before each; a window is private, so that nothing written into
a block reaches the file. Everything else is read in pieces, and one that breaks off has given its packets by then.

numpy and numba are imported when a capture is opened, not with this module.
"""

import errno
import mmap
import os
import stat
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Self, cast

from tablefull.errors import ParseError, Unreadable, UsageError
from tablefull.facts.snapshot import Unread
from tablefull.live.streams import Content, content

if TYPE_CHECKING:
    from tablefull.wire.pcap import Damage, Frames, Reader

WINDOW_BYTES = 64 << 20
PIECE_BYTES = 16 << 20  # no block of a pcapng is larger (wire.loops.MOST_BLOCK)
LINGER_S = (
    0.5  # a slow pipe, such as a capture that is being made, is not waited for longer than this once it gave some
)
# What the streams hold at most: asked for more, one reads on although it holds some, and an error then loses that.
_HELD_BYTES = 128 * 1024

_INSTEAD = {"tar": "a tar archive", "zip": "a zip archive", "text": "a text"}


class Capture:
    """An opened capture; iterating gives its packets, once.

    ``format`` is known from the beginning. ``damage`` is None until the walk meets something wrong. ``timeless`` counts
    the packets that had no time of their own. ``size_bytes`` is that of the file as it lies there, None for a pipe;
    ``read_bytes`` how much of that was read, None where it cannot be told.
    """

    def __init__(self, name: str, raw: IO[bytes], reader: "Reader") -> None:
        self.name, self._raw, self._reader = name, raw, reader
        self._broken: Damage | None = None
        self._notes: list[Unread] = []
        self.size_bytes = _size(raw)
        head = _plain_head(raw)
        self._told = None if head else content(raw, name, self._notes)
        self._begin(head, self._told)
        self._blocks = self._mapped() if self._told is None else self._streamed(self._told.stream, 0)

    def __iter__(self) -> Iterator["Frames"]:
        return self._blocks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def format(self) -> str:
        """``pcap, microseconds, little-endian``, or ``pcapng``; empty where even the header breaks off."""
        return self._reader.format

    @property
    def damage(self) -> "Damage | None":
        """What is wrong, and where: counted in bytes of the uncompressed capture."""
        return self._reader.damage or self._broken

    @property
    def timeless(self) -> int:
        """Packets that had no time of their own."""
        return self._reader.timeless

    @property
    def read_bytes(self) -> int | None:
        """How far the file, as it lies there, was read."""
        if self._told is None:
            return self._reader.offset
        try:
            return self._raw.tell()
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Close the file; blocks that were given stay as they are."""
        self._blocks.close()
        (self._told.stream if self._told is not None else self._raw).close()

    def _begin(self, head: bytes, told: Content | None) -> None:
        """Read the header; ParseError that names what it is instead of a capture."""
        import numpy as np

        from tablefull.wire.pcap import HEADER_BYTES, MAGIC_BYTES, is_capture

        head = (told.head if told is not None else head)[:HEADER_BYTES]
        if told is not None and told.kind != "empty" and not is_capture(head):
            instead = _INSTEAD.get(told.kind, told.why)
            raise ParseError(f"{instead}, neither pcap nor pcapng; it begins with {head[:4].hex(' ')}", self.name)
        for _ in self._reader.walk(np.frombuffer(head, np.uint8), last=len(head) < MAGIC_BYTES):
            pass

    def _mapped(self) -> Generator["Frames", None, None]:
        """A plain file, window by window."""
        import numpy as np

        from tablefull.wire.pcap import Damage

        reader, fd, size = self._reader, self._raw.fileno(), self.size_bytes or 0
        while reader.offset < size and not reader.damage:
            left = os.fstat(fd).st_size
            if left < size:
                size, self._broken = left, Damage(left, "the file was cut short while it was read")
            base = reader.offset - reader.offset % mmap.ALLOCATIONGRANULARITY
            end = min(base + max(WINDOW_BYTES, reader.wants + mmap.ALLOCATIONGRANULARITY), size)
            if reader.offset >= end:
                return
            try:
                window = mmap.mmap(fd, end - base, access=mmap.ACCESS_COPY, offset=base)
            except (OSError, ValueError):  # not every file system can
                self._raw.seek(reader.offset)
                yield from self._streamed(cast("BinaryIO", self._raw), reader.offset)
                return
            window.madvise(mmap.MADV_SEQUENTIAL)
            data = np.frombuffer(window, np.uint8)[reader.offset - base :]
            yield from reader.walk(data, last=end == size and self._broken is None)
            if end == size:
                return

    def _streamed(self, stream: BinaryIO, at: int) -> Generator["Frames", None, None]:
        """What can only be read forwards, piece by piece; ``at`` is how far it was read."""
        import numpy as np

        from tablefull.wire.pcap import Damage

        reader, ended = self._reader, False
        stream.read(reader.offset - at)
        held = np.empty(0, np.uint8)
        while not ended and not reader.damage:
            piece = np.empty(max(PIECE_BYTES, reader.wants), np.uint8)
            piece[: len(held)] = held
            there, ended, why = _fill(stream, piece.data, len(held), reader.wants)
            if ended and (why or self._notes):
                self._broken = Damage(reader.offset + there, why or self._notes[-1].why)
            data, before = piece[:there], reader.offset
            yield from reader.walk(data, last=ended and self._broken is None)
            held = data[reader.offset - before :]


def open_capture(target: str, stdin: BinaryIO | None = None) -> Capture:
    """The capture that ``target`` names; its header has been read. ``stdin`` is ``-``, or a pipe that is open already.

    UsageError for what is not there or cannot be one, ParseError for what is something else or a kind of capture that
    is not read here, Unreadable for what cannot be opened or unfolded.
    """
    try:
        from tablefull.wire.pcap import Reader
    except ImportError as error:
        raise UsageError(f"reading a capture needs {error.name}: pip install 'tablefull[twin]'") from None
    if target == "-" and stdin is None:
        raise UsageError("-: there is no standard input here; name a capture")
    if stdin is not None:
        return Capture(target, stdin, Reader(target))
    raw = _open(target)
    try:
        return Capture(target, raw, Reader(target))
    except BaseException:
        raw.close()
        raise


def _open(target: str) -> IO[bytes]:
    try:
        if Path(target).is_dir():
            raise UsageError(f"{target}: a directory; name the capture in it")
        return Path(target).open("rb", buffering=0)
    except (OSError, ValueError) as error:
        code = error.errno if isinstance(error, OSError) else None
        if code in (None, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise UsageError(f"{target[:200]!a}: no such file; name a capture, or `-` for standard input") from None
        if code in (errno.EACCES, errno.EPERM):
            raise Unreadable(target, "permission denied", "run it as root, or as the owner of the file", code) from None
        why = (error.strerror or "it cannot be opened").lower() if isinstance(error, OSError) else "it cannot be opened"
        raise Unreadable(target, why, "copy it elsewhere and name the copy", code) from None


def _size(raw: IO[bytes]) -> int | None:
    """The size of the regular file behind ``raw``, None where there is none."""
    try:
        status = os.fstat(raw.fileno())
    except (OSError, ValueError):  # io.UnsupportedOperation is both: a stream in memory
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _plain_head(raw: IO[bytes]) -> bytes:
    """The first bytes of a regular file that is a capture as it lies there, not yet read from; empty for any other."""
    from tablefull.wire.pcap import HEADER_BYTES, is_capture

    if not _size(raw) or raw.tell():
        return b""
    head = os.pread(raw.fileno(), HEADER_BYTES, 0)
    return head if is_capture(head) else b""


def _fill(stream: BinaryIO, piece: memoryview, there: int, wanted: int) -> tuple[int, bool, str]:
    """Read until ``piece`` is full, the stream ends, or ``wanted`` bytes are there and it is slow: the bytes, whether
    it ended, and the error that ended it.
    """
    read = cast("IO[bytes]", stream)
    fill = getattr(read, "readinto1", None) or read.readinto  # type: ignore[attr-defined]
    began = time.monotonic()
    while there < len(piece):
        try:
            got = fill(piece[there : there + _HELD_BYTES])
        except OSError as error:
            return there, True, f"it cannot be read on ({(error.strerror or str(error)).lower()})"
        if not got:
            return there, True, ""
        there += got
        if there >= wanted and time.monotonic() - began > LINGER_S:
            break
    return there, False, ""
