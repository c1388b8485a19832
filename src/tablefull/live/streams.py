"""Any bytes as plain text bytes: what a file is by its first bytes, decompressed, decoded, and bounded.

The trap: a name lies. ``messages.gz`` may be plain, ``dmesg`` may be xz, and a kilobyte may unfold to a gigabyte of
zeros. So the first bytes decide, every unfolding is bounded by size and by ratio, and an archive that breaks off
still yields what came before the break, with a note.
"""

import io
from collections.abc import Callable
from typing import IO, BinaryIO, NamedTuple, cast

from tablefull.errors import Unreadable
from tablefull.facts.origin import Origin
from tablefull.facts.snapshot import Unread

HEAD = 16 * 1024  # bytes looked at before anything is believed
LAYERS = 3  # compressions inside each other
FREE_BYTES = 1 << 30  # below this any ratio is believed: a log of one repeated line shrinks a thousandfold
RATIO = 200  # above it, more than this is a bomb; real logs shrink ten- to fiftyfold
MOST_BYTES = 64 << 30

_CODECS = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"))
_BINARIES = (
    (b"\x7fELF", "a program (ELF)"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"LPKSHHRH", "a systemd journal (try: journalctl -k --file FILE | tablefull diagnose -)"),
    (b"\xd4\xc3\xb2\xa1", "a packet capture"),
    (b"\xa1\xb2\xc3\xd4", "a packet capture"),
    (b"\x0a\x0d\x0d\x0a", "a packet capture"),
    (b"KDUMP", "a kernel crash dump"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xed\xab\xee\xdb", "an RPM package"),
    (b"!<arch>\n", "an ar archive or Debian package"),
)
_TEXT_CONTROLS = b"\t\n\r\x0b\x0c\x1b\x08\x07"
_NOT_TEXT = bytes(byte for byte in range(0x20) if byte not in _TEXT_CONTROLS)


class Content(NamedTuple):
    """``kind`` is text, tar, zip, empty or binary; ``why`` names a binary; ``packed`` says that it had to be
    unfolded.
    """

    kind: str
    stream: BinaryIO
    head: bytes
    why: str = ""
    packed: bool = False


class Joined(io.RawIOBase):
    """Bytes already read, then the rest they were read from; ``passed`` counts what went through."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest, self.passed = head, rest, 0
        self._read = cast("Callable[[int], bytes]", getattr(rest, "read1", rest.read))  # a slow pipe is not waited for

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill from the head first."""
        data = self._head[: len(buffer)] if self._head else self._read(len(buffer)) or b""
        self._head = self._head[len(data) :] if self._head else b""
        buffer[: len(data)] = data
        self.passed += len(data)
        return len(data)

    def close(self) -> None:
        """Close the rest too."""
        if not self.closed:
            self._rest.close()
        super().close()


class _Unfolded(io.RawIOBase):
    """A decompressed stream that ends, with a note, where its archive breaks off or becomes a bomb."""

    def __init__(self, source: IO[bytes], packed: Joined, codec: str, name: str, notes: list[Unread]) -> None:
        self._read = cast("Callable[[int], bytes]", getattr(source, "read1", source.read))
        self._source, self._packed, self._codec, self._name, self._notes = source, packed, codec, name, notes
        self._total, self._ended = 0, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        if self._ended:
            return 0
        try:
            data = self._read(len(buffer))
        except Exception as error:  # noqa: BLE001 - four decompressors, each with errors of its own
            return self._end(f"the {self._codec} data break off or are damaged ({_words(error)})")
        buffer[: len(data)] = data
        self._total += len(data)
        if self._total > MOST_BYTES or (self._total > FREE_BYTES and self._total > RATIO * self._packed.passed):
            self._end(f"it unfolds to more than {RATIO} times its size")
        return len(data)

    def _end(self, why: str) -> int:
        self._ended = True
        if not self._total:
            raise Unreadable(self._name, why, f"copy it again, or unpack it with {self._codec} and name the result")
        note = Unread(Origin(self._name, 0, ""), f"{why}; only its first {self._total} bytes were read")
        if note not in self._notes:
            self._notes.append(note)
        return 0

    def close(self) -> None:
        if not self.closed:
            self._source.close()
            self._packed.close()
        super().close()


def guarded(
    source: IO[bytes], below: IO[bytes], packed_bytes: int, codec: str, name: str, notes: list[Unread]
) -> BinaryIO:
    """A member of an archive, which ends, with a note, where the archive breaks off or unfolds too far.

    ``below`` is closed with it; ``packed_bytes`` is the room it takes in the archive. Unreadable where not one byte
    can be had.
    """
    packed = Joined(b"", below)
    packed.passed = packed_bytes
    return io.BufferedReader(_Unfolded(source, packed, codec, name, notes), 128 * 1024)


class _Recoded(io.RawIOBase):
    """UTF-16 as UTF-8."""

    def __init__(self, source: IO[bytes], encoding: str) -> None:
        import codecs

        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._source, self._waiting = source, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        while not self._waiting:
            data = self._source.read(len(buffer)) or b""
            self._waiting = self._decoder.decode(data, final=not data).removeprefix("\ufeff").encode("utf-8", "replace")
            if not data:
                break
        data, self._waiting = self._waiting[: len(buffer)], self._waiting[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def _words(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__


def _zstd(source: Joined, name: str) -> IO[bytes]:
    """A zstd reader from whichever library is there; Unreadable that says what to do where none is."""
    try:
        from compression.zstd import ZstdFile
    except ImportError:
        try:
            from backports.zstd import ZstdFile
        except ImportError:
            try:
                import zstandard
            except ImportError:
                remedy = f"run `zstd -dc {name} | tablefull diagnose -` or `pip install 'tablefull[zst]'`"
                raise Unreadable(name, "zstd needs a library that is not installed", remedy) from None
            reader = zstandard.ZstdDecompressor().stream_reader(cast("IO[bytes]", source), read_across_frames=True)
            return cast("IO[bytes]", reader)
    return cast("IO[bytes]", ZstdFile(source))


def _unfold(codec: str, source: Joined, name: str) -> IO[bytes]:
    if codec == "gzip":
        import gzip

        return cast("IO[bytes]", gzip.GzipFile(fileobj=source))
    if codec == "bzip2":
        import bz2

        return cast("IO[bytes]", bz2.BZ2File(cast("IO[bytes]", source)))
    if codec == "xz":
        import lzma

        return cast("IO[bytes]", lzma.LZMAFile(cast("IO[bytes]", source)))
    return _zstd(source, name)


def _read_head(stream: IO[bytes]) -> bytes:
    head = b""
    read = cast("Callable[[int], bytes]", getattr(stream, "read1", stream.read))
    while len(head) < HEAD:
        data = read(HEAD - len(head))
        if not data:
            break
        head += data
        if len(head) >= 512 and not head.startswith(tuple(magic for magic, _ in _CODECS)):
            break  # enough to tell, and a pipe may be slow to give more
    return head


def content(raw: IO[bytes], name: str, notes: list[Unread]) -> Content:
    """What ``raw`` holds, opened at its first byte; ``notes`` takes what is found out later (a break, a bomb).

    Raises Unreadable where not one byte can be had.
    """
    packed = False
    for _ in range(LAYERS + 1):
        head = _read_head(raw)
        codec = next((codec for magic, codec in _CODECS if head.startswith(magic) and len(head) > len(magic)), None)
        joined = Joined(head, raw)
        if codec is None:
            return _told(head, joined, packed)
        packed = True
        raw = _Unfolded(_unfold(codec, joined, name), joined, codec, name, notes)  # type: ignore[assignment]
    return Content("binary", cast("BinaryIO", raw), b"", "compressed more than three times over", packed)


def _told(head: bytes, stream: Joined, packed: bool) -> Content:
    buffered = io.BufferedReader(stream, 128 * 1024)
    if not head:
        return Content("empty", buffered, head, packed=packed)
    if head[257:262] == b"ustar":
        return Content("tar", buffered, head, packed=packed)
    if head.startswith(b"PK\x03\x04"):
        return Content("zip", buffered, head, packed=packed)
    encoding = _utf16(head)
    if encoding:
        recoded = _Recoded(cast("IO[bytes]", buffered), encoding)
        return Content("text", io.BufferedReader(recoded, 128 * 1024), head, packed=True)
    why = binary(head)
    return Content("binary" if why else "text", buffered, head, why or "", packed)


def _utf16(head: bytes) -> str | None:
    """The UTF-16 encoding of a text, by its mark or by a zero in every other byte; None for any other."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and len(head) > 2:
        return "utf-16-le" if head[0] == 0xFF else "utf-16-be"
    half = len(head[:512]) // 2
    if half >= 8:
        for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            if head[offset:512:2].count(0) > 0.9 * half and head[1 - offset : 512 : 2].count(0) == 0:
                return encoding
    return None


def binary(head: bytes) -> str | None:
    """What kind of thing that is not text begins so; None for text, also for a log with runs of zero bytes from a
    crash.
    """
    for magic, what in _BINARIES:
        if head.startswith(magic):
            return what
    text = head.replace(b"\0", b"")
    if not text:
        return None
    zero_runs = sum(1 for piece in head.split(b"\0") if piece) - 1
    controls = len(text) - len(text.translate(None, _NOT_TEXT))
    undecoded = text.decode("utf-8", "replace").count("\ufffd")
    if controls > len(text) // 16 or zero_runs > max(2, len(text) // 64) or undecoded > len(text) // 4:
        return "a binary file"
    return None
