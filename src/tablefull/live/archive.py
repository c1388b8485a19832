"""Tar and zip bundles read where they lie: members become byte streams, nothing is ever written to disk.

The trap: an archive from elsewhere is hostile input. A member named ``../../etc/passwd``, a link, a device or an
absolute name is refused with a note, sizes are bounded, and small members are held in memory, because a compressed
archive can only be read forwards. A member that breaks off, or that is mostly holes, fails only when it is read: its
stream then ends with a note (``guarded``).
"""

import io
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple

from tablefull.errors import Unreadable
from tablefull.facts.origin import Origin
from tablefull.facts.snapshot import Unread

SMALL_BYTES = 1 << 20  # a member up to this size is held in memory while the archive passes
HELD_BYTES = 40 << 20  # all held members together; further ones are read from the archive again when they are opened
STREAM_BYTES = 48 << 20  # of one member of an archive that cannot be read twice (standard input)
HEADER_BYTES = 1 << 20  # of one extended header, which tarfile holds in memory; a path has at most 4096 (PATH_MAX)
MEMBERS = 200_000  # looked at
REFUSALS = 5  # told one by one; the rest in one line

if TYPE_CHECKING:
    import tarfile
    import zipfile

Again = Callable[[], IO[bytes]]


class Member(NamedTuple):
    """One regular file of an archive; ``open`` gives its bytes as they stand there, still compressed if they were."""

    name: str
    size: int
    open: Callable[[], BinaryIO]


class _Refusals:
    """Members that are not followed: the first few by name, the others counted."""

    def __init__(self, archive: str, notes: list[Unread]) -> None:
        self.archive, self.notes, self.told, self.links, self.more = archive, notes, 0, 0, 0

    def refuse(self, name: str, why: str) -> None:
        if self.told < REFUSALS:
            self.told += 1
            self.notes.append(Unread(Origin(self.archive, 0, name[:200]), f"member refused: {why}"))
        else:
            self.more += 1

    def close(self) -> None:
        if self.links:
            self.notes.append(
                Unread(Origin(self.archive, 0, ""), f"{self.links} links in the archive were not followed")
            )
        if self.more:
            self.notes.append(Unread(Origin(self.archive, 0, ""), f"{self.more} more members were refused"))


def unsafe(name: str) -> str | None:
    """Why a member of this name is refused; None where it is a plain name below the archive's root."""
    if name.startswith(("/", "\\")) or name[1:3] == ":\\":
        return "an absolute name"
    if ".." in name.replace("\\", "/").split("/"):
        return "its name leads out of the archive"
    return "an empty or unprintable name" if not name.strip("./") or not name.isprintable() else None


def _tar(stream: IO[bytes]) -> "tarfile.TarFile":
    """A tar as a stream. A damaged header, which ``tarfile`` takes for the end, and one that would fill the memory
    raise ReadError.
    """
    import tarfile

    extended = (b"x", b"g", b"X", b"L", b"K")  # pax, pax global, Solaris, GNU long name, GNU long link

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Header":
            try:
                info = super().frombuf(buf, encoding, errors)
            except tarfile.HeaderError as error:
                if any(buf):
                    raise tarfile.ReadError(str(error)) from None
                raise
            if info.type in extended and info.size > HEADER_BYTES:
                raise tarfile.ReadError(f"a header of {info.size} bytes")
            return info

    return tarfile.open(fileobj=stream, mode="r|", errorlevel=0, tarinfo=Header)


def tar_members(
    stream: IO[bytes], name: str, notes: list[Unread], again: Again | None, wanted: Callable[[str], bool]
) -> Iterator[Member]:
    """The regular files of a tar for which ``wanted`` is true, in archive order.

    ``again`` opens the whole archive anew at its first byte; None where it can be read only once. An archive that
    breaks off yields what came before, and a note.
    """
    import tarfile

    refusals, held, count = _Refusals(name, notes), 0, 0
    try:
        with _tar(stream) as tar:
            for index, info in enumerate(tar):
                if index >= MEMBERS:
                    notes.append(Unread(Origin(name, 0, ""), f"only the first {MEMBERS} members were looked at"))
                    break
                count = index + 1
                # The reader remembers every header for random access, which a stream of members has no use for.
                tar.members.clear()  # type: ignore[attr-defined]
                why = unsafe(info.name)
                if info.issym() or info.islnk():
                    refusals.links += 1
                    continue
                if why or not (info.isreg() or info.isdir()):
                    refusals.refuse(info.name, why or "a device or a special file")
                    continue
                if info.isdir() or not wanted(info.name):
                    continue
                small = info.size <= SMALL_BYTES and held + info.size <= HELD_BYTES
                if again is not None and not small:
                    yield Member(info.name, info.size, _reopen(again, index, name, notes))
                    continue
                room = min(info.size, STREAM_BYTES if not held else max(0, HELD_BYTES - held))
                file = tar.extractfile(info)
                data = file.read(room) if file is not None else b""
                held += len(data)
                if len(data) < info.size:
                    why = f"only its first {len(data)} of {info.size} bytes were read"
                    notes.append(Unread(Origin(info.name, 0, ""), why))
                yield Member(info.name, info.size, _held(data))
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
        notes.append(Unread(Origin(name, 0, ""), f"the archive breaks off after {count} members ({error})"))
    finally:
        refusals.close()


def _held(data: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(data)


def _reopen(again: Again, index: int, name: str, notes: list[Unread]) -> Callable[[], BinaryIO]:
    """Read the archive again up to its ``index``-th member."""

    def opened() -> BinaryIO:
        import tarfile

        from tablefull.live.streams import guarded

        stream = again()
        try:
            # Not closed here: the member's stream reads through it.
            tar = _tar(stream)
            for at, info in enumerate(tar):
                if at == index:
                    file = tar.extractfile(info)
                    data = sum(size for _, size in getattr(info, "sparse", None) or [(0, info.size)])
                    return guarded(file or io.BytesIO(), stream, data, "tar", info.name, notes)
        except tarfile.TarError as error:
            raise Unreadable(name, f"the archive breaks off ({error})", "copy it again") from None
        return io.BytesIO()

    return opened


def zip_members(stream: BinaryIO, name: str, notes: list[Unread], wanted: Callable[[str], bool]) -> Iterator[Member]:
    """The same of a zip; ``stream`` must seek and stays open as long as its members are used."""
    import zipfile

    refusals = _Refusals(name, notes)
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        notes.append(Unread(Origin(name, 0, ""), f"the zip archive breaks off or is damaged ({error})"))
        return
    for info in archive.infolist()[:MEMBERS]:
        why = unsafe(info.filename.rstrip("/"))
        if why or info.flag_bits & 1:
            refusals.refuse(info.filename, why or "it is encrypted")
        elif info.external_attr >> 28 == 0xA:  # S_IFLNK in the upper half, as Unix zips store it
            refusals.links += 1
        elif not info.is_dir() and wanted(info.filename):
            yield Member(info.filename, info.file_size, _zipped(archive, info, notes))
    refusals.close()


def _zipped(archive: "zipfile.ZipFile", info: "zipfile.ZipInfo", notes: list[Unread]) -> Callable[[], BinaryIO]:
    import zipfile

    from tablefull.live.streams import FREE_BYTES, RATIO, guarded

    def opened() -> BinaryIO:
        if info.file_size > FREE_BYTES and info.file_size > RATIO * max(1, info.compress_size):
            notes.append(Unread(Origin(info.filename, 0, ""), f"it unfolds to more than {RATIO} times its size"))
            return io.BytesIO()
        try:
            source = archive.open(info)
        except (zipfile.BadZipFile, RuntimeError) as error:
            raise Unreadable(
                info.filename, f"it cannot be unpacked ({error})", "unpack it and name the folder"
            ) from None
        return guarded(source, io.BytesIO(), info.compress_size, "zip", info.filename, notes)

    return opened
