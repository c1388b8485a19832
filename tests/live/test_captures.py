"""A capture opened: plain, packed, through a pipe, cut short, shrinking under its reader, or something else.

The captures are put together by hand, so what is in them is known; a packed one is packed by the library, or the
program, that everybody uses.
"""

import bz2
import errno
import gzip
import io
import lzma
import mmap
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.wire import capture_bytes as made
from tests.wire.capture_bytes import Seen, ethernet, ip4, seen, udp

from tablefull.errors import ParseError, Unreadable, UsageError
from tablefull.live import captures
from tablefull.live.captures import Capture, open_capture

S = 1_000_000_000
AT = 1_700_000_000_000_000_000
DEADLINE_S = 60  # for a thread that should have ended long ago
RECORD = 16 + 14 + 20 + 8 + 4
COUNT = 300
PACKETS = [ip4(udp(number.to_bytes(4, "big")), ident=number) for number in range(COUNT)]
STAMPED = [(AT + number * S, ethernet(packet)) for number, packet in enumerate(PACKETS)]
PLAIN = made.pcap(STAMPED)
BLOCKS = made.section() + made.interface() + b"".join(made.enhanced(0, at // 1000, each) for at, each in STAMPED)
KNOWN = [Seen(AT + number * S, packet, len(packet)) for number, packet in enumerate(PACKETS)]


def zstd(data: bytes) -> bytes:
    """Packed by the program; skipped where it, or every library that unpacks it, is missing."""
    if not any(find_spec(name.split(".")[0]) and find_spec(name) for name in LIBRARIES):
        pytest.skip("needs backports.zstd (requirements/demo.in)")
    if shutil.which("zstd") is None:
        pytest.skip("needs zstd (scripts/test-packages names its package)")
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


LIBRARIES = ("compression.zstd", "backports.zstd", "zstandard")
PACKERS = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "zst": zstd}


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], str]:
    def put(data: bytes) -> str:
        (tmp_path / "x.pcap").write_bytes(data)
        return str(tmp_path / "x.pcap")

    return put


def read(target: str, stdin: BinaryIO | None = None) -> tuple[list[Seen], Capture]:
    with open_capture(target, stdin) as capture:
        return [each for frames in capture for each in seen(frames)], capture


@pytest.mark.parametrize(("data", "form"), [(PLAIN, "pcap, microseconds, little-endian"), (BLOCKS, "pcapng")])
def test_a_plain_file(put: Callable[[bytes], str], data: bytes, form: str) -> None:
    target = put(data)
    with open_capture(target) as capture:
        assert (capture.name, capture.format, capture.size_bytes) == (target, form, len(data))
        assert [each for frames in capture for each in seen(frames)] == KNOWN
        assert list(capture) == []  # once
        assert (capture.damage, capture.timeless, capture.read_bytes) == (None, 0, len(data))


@pytest.mark.parametrize("data", [PLAIN, BLOCKS], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("kind", PACKERS)
def test_a_packed_file_whatever_its_name(put: Callable[[bytes], str], kind: str, data: bytes) -> None:
    packed = PACKERS[kind](data)
    with open_capture(put(packed)) as capture:
        assert capture.format.startswith("pcap")
        assert [each for frames in capture for each in seen(frames)] == KNOWN
        assert capture.damage is None
        assert capture.size_bytes == capture.read_bytes == len(packed)


def test_packed_twice_over_and_parts_one_after_another(put: Callable[[bytes], str]) -> None:
    half = len(PLAIN) // 2
    assert read(put(gzip.compress(bz2.compress(PLAIN))))[0] == KNOWN
    assert read(put(gzip.compress(PLAIN[:half]) + gzip.compress(PLAIN[half:])))[0] == KNOWN


def test_a_window_at_a_time(put: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "WINDOW_BYTES", mmap.ALLOCATIONGRANULARITY)
    for data in (PLAIN, BLOCKS):
        with open_capture(put(data)) as capture:
            blocks = [seen(frames) for frames in capture]
        assert len(blocks) >= len(data) // mmap.ALLOCATIONGRANULARITY > 3
        assert [each for block in blocks for each in block] == KNOWN


def test_a_record_larger_than_a_window_or_a_piece(put: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "WINDOW_BYTES", mmap.ALLOCATIONGRANULARITY)
    monkeypatch.setattr(captures, "PIECE_BYTES", 512)
    large = ip4(udp(bytes(60_000)))
    comment = made.block(5, bytes(1_000_000))
    data = made.section() + made.interface(101) + comment + made.enhanced(0, 1, large) + made.enhanced(0, 2, PACKETS[0])
    for each in (data, gzip.compress(data)):
        found, capture = read(put(each))
        assert [one.ip for one in found] == [large, PACKETS[0]]
        assert capture.damage is None


@pytest.mark.parametrize("piece", [1, 7, 100, 5000])
def test_a_stream_piece_by_piece(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(captures, "PIECE_BYTES", piece)
    for data in (PLAIN, BLOCKS, gzip.compress(BLOCKS)):
        assert read("-", io.BytesIO(data))[0] == KNOWN


def test_a_file_system_that_maps_nothing(put: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(mmap, "mmap", refuse)
    for data in (PLAIN, BLOCKS):
        found, capture = read(put(data))
        assert (found, capture.damage) == (KNOWN, None)


def test_what_is_written_into_a_block_does_not_reach_the_file(put: Callable[[bytes], str]) -> None:
    target = put(PLAIN)
    with open_capture(target) as capture:
        for frames in capture:
            frames.data[:] = 0
    assert Path(target).read_bytes() == PLAIN


def test_blocks_outlive_the_capture(put: Callable[[bytes], str]) -> None:
    with open_capture(put(PLAIN)) as capture:
        blocks = list(capture)
    assert [each for frames in blocks for each in seen(frames)] == KNOWN


def test_standard_input_in_memory() -> None:
    for data in (PLAIN, lzma.compress(BLOCKS)):
        found, capture = read("-", io.BytesIO(data))
        assert (found, capture.name, capture.size_bytes, capture.damage) == (KNOWN, "-", None, None)


def test_standard_input_from_a_file(put: Callable[[bytes], str]) -> None:
    target = put(PLAIN)
    with Path(target).open("rb") as stdin:
        found, capture = read("-", stdin)
    assert (found, capture.size_bytes) == (KNOWN, len(PLAIN))
    # Of which something was read before, though that was a capture too: it begins where it is.
    Path(target).write_bytes(made.header(101) + PLAIN)
    with Path(target).open("rb") as stdin:
        assert stdin.read(24) == made.header(101)
        assert read("-", stdin)[0] == KNOWN


def written(descriptor: int, data: bytes) -> threading.Thread:
    def write() -> None:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("data", [PLAIN, gzip.compress(BLOCKS)], ids=["plain", "gzip"])
def test_standard_input_from_a_pipe(data: bytes) -> None:
    ours, theirs = os.pipe()
    thread = written(theirs, data)
    found, capture = read("-", os.fdopen(ours, "rb"))
    thread.join(DEADLINE_S)
    assert (found, capture.size_bytes, capture.read_bytes, capture.damage) == (KNOWN, None, None, None)


def test_a_named_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    thread = threading.Thread(target=lambda: (tmp_path / "fifo").write_bytes(BLOCKS), daemon=True)
    thread.start()
    found, capture = read(str(tmp_path / "fifo"))
    thread.join(DEADLINE_S)
    assert (found, capture.size_bytes, capture.damage) == (KNOWN, None, None)


def test_a_capture_that_is_being_made_is_not_waited_for_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer goes on only when the packets before were given."""
    monkeypatch.setattr(captures, "LINGER_S", -1.0)
    ours, theirs = os.pipe()
    first = 24 + 20 * RECORD  # enough to tell what it is, and all of it was read to tell that
    found, written = [], first
    os.write(theirs, PLAIN[:first])
    with open_capture("-", os.fdopen(ours, "rb", buffering=0)) as capture:
        for frames in capture:
            found += seen(frames)
            if written == first and len(found) == 20:
                written += os.write(theirs, PLAIN[first:])
                os.close(theirs)
    assert written == len(PLAIN)
    assert found == KNOWN


CUTS = [24, 24 + RECORD, 24 + RECORD + 1, 24 + 10 * RECORD + 17, len(PLAIN) - 1]


@pytest.mark.parametrize("cut", CUTS)
def test_cut_short(put: Callable[[bytes], str], cut: int) -> None:
    whole, rest = divmod(cut - 24, RECORD)
    for found, capture in (read(put(PLAIN[:cut])), read("-", io.BytesIO(PLAIN[:cut]))):
        assert found == KNOWN[:whole]
        assert (None if capture.damage is None else capture.damage.offset) == (cut - rest if rest else None)


@pytest.mark.parametrize("data", [b"\xd4\xc3\xb2\xa1", PLAIN[:23], BLOCKS[:20]])
def test_cut_short_in_its_header(put: Callable[[bytes], str], data: bytes) -> None:
    for target, stdin in ((put(data), None), ("-", io.BytesIO(data)), (put(gzip.compress(data)), None)):
        found, capture = read(target, stdin)
        assert (found, capture.format) == ([], "")
        assert capture.damage is not None
        assert capture.damage == (0, f"the header of the file breaks off: {len(data)} of 24 bytes are there")


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("data", [PLAIN, BLOCKS], ids=["pcap", "pcapng"])
def test_a_packed_file_cut_short_says_so_and_where(put: Callable[[bytes], str], kind: str, data: bytes) -> None:
    """The first of two parts is whole; of the second, only some packers give what is there."""
    packed = PACKERS[kind](data[:9001]) + PACKERS[kind](data[9001:])
    found, capture = read(put(packed[:-30]))
    assert found == KNOWN[: len(found)]
    assert len(found) >= (9001 - 24) // (RECORD if data is PLAIN else 100)
    assert capture.damage is not None
    assert 9001 <= capture.damage.offset <= len(data)
    assert "data break off or are damaged" in capture.damage.what


def test_an_error_of_the_disk_ends_it_and_is_named() -> None:
    class Breaks(io.RawIOBase):
        left = PLAIN[: 24 + 20 * RECORD + 5]

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            if not self.left:
                raise OSError(errno.EIO, "Input/output error")
            data, self.left = self.left[: len(buffer)], self.left[len(buffer) :]
            buffer[: len(data)] = data
            return len(data)

    found, capture = read("-", Breaks())  # type: ignore[arg-type]
    assert found == KNOWN[:20]
    assert capture.damage == (24 + 20 * RECORD + 5, "it cannot be read on (input/output error)")


@pytest.mark.parametrize("left", [0, 24, 24 + 70 * RECORD + 3, 24 + 200 * RECORD + 30, len(PLAIN) - 1])
def test_a_file_that_shrinks_while_it_is_read(
    put: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """Behind its new end a mapped file has no bytes, and a look at them ends the process."""
    monkeypatch.setattr(captures, "WINDOW_BYTES", mmap.ALLOCATIONGRANULARITY)
    target = put(PLAIN)
    with open_capture(target) as capture:
        found = seen(next(iter(capture)))
        given = len(found)
        assert 0 < given < 70
        os.truncate(target, left)
        for frames in capture:
            found += seen(frames)
        assert found == KNOWN[: max(given, (left - 24) // RECORD)]
        assert capture.damage == (left, "the file was cut short while it was read")


def test_a_file_that_grows_is_read_as_far_as_it_was(put: Callable[[bytes], str]) -> None:
    target = put(PLAIN)
    with open_capture(target) as capture, Path(target).open("ab") as more:
        more.write(made.record(AT, ethernet(PACKETS[0])))
        more.flush()
        assert [each for frames in capture for each in seen(frames)] == KNOWN


def instead() -> Iterator[tuple[str, bytes, str]]:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("x.pcap"), io.BytesIO())
    yield "tar", packed.getvalue(), "a tar archive, neither pcap nor pcapng"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x.pcap", PLAIN)
    yield "zip", packed.getvalue(), "a zip archive, neither pcap nor pcapng; it begins with 50 4b 03 04"
    yield "text", b"[1.0] nf_conntrack: table full\n", "a text, neither pcap nor pcapng; it begins with 5b 31 2e 30"
    yield (
        "program",
        b"\x7fELF\2\1\1" + bytes(90),
        "a program (ELF), neither pcap nor pcapng; it begins with 7f 45 4c 46",
    )
    yield "noise", bytes(range(128, 256)) * 9, "a binary file, neither pcap nor pcapng; it begins with 80 81 82 83"
    yield "empty", b"", "neither pcap nor pcapng: it is empty"
    yield "snoop", b"snoop\0\0\0" + bytes(90), "a capture of snoop, which is not read here; convert it: editcap -F pcap"
    yield "wlan", made.header(105), "IEEE 802.11 (105) is not read here"
    yield "old", made.header(version=(2, 2)), "an old pcap, version 2.2"


@pytest.mark.parametrize(("data", "what"), [pytest.param(data, what, id=name) for name, data, what in instead()])
def test_something_else_is_named(put: Callable[[bytes], str], data: bytes, what: str) -> None:
    for each in (data, gzip.compress(data)):
        target = put(each)
        with pytest.raises(ParseError) as raised:
            open_capture(target)
        assert str(raised.value).startswith(f"{target}: {what}")
    with pytest.raises(ParseError, match=r"^-: "):
        open_capture("-", io.BytesIO(data))


def test_packed_too_often_or_broken_at_once(put: Callable[[bytes], str]) -> None:
    packed = PLAIN
    for _ in range(4):
        packed = gzip.compress(packed)
    with pytest.raises(ParseError, match="compressed more than three times over"):
        open_capture(put(packed))
    with pytest.raises(Unreadable, match="the gzip data break off or are damaged"):
        open_capture(put(gzip.compress(PLAIN)[:11]))


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in ("no-such-file", str(tmp_path / "file/x"), "x" * 5000, "a\0b"):
        with pytest.raises(UsageError, match="no such file; name a capture, or `-` for standard input"):
            open_capture(target)
    with pytest.raises(UsageError, match="a directory; name the capture in it"):
        open_capture(str(tmp_path))
    with pytest.raises(UsageError, match="there is no standard input here"):
        open_capture("-")


@pytest.mark.parametrize(
    ("code", "what"), [(errno.EACCES, "permission denied; run it as root"), (errno.EIO, "input/output error; copy it")]
)
def test_what_cannot_be_opened(
    put: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch, code: int, what: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    target = put(PLAIN)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(Unreadable, match=what) as raised:
        open_capture(target)
    assert raised.value.errno == code


@pytest.mark.parametrize("data", [b"a text\n", PLAIN])
def test_no_file_is_left_open(put: Callable[[bytes], str], data: bytes) -> None:
    target, before = put(data), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        try:
            read(target)
        except ParseError:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_numpy_comes_with_a_capture_not_with_the_module() -> None:
    script = (
        "import sys\n"
        "from tablefull.live.captures import open_capture\n"
        "assert not {'numpy', 'numba'} & set(sys.modules)\n"
        "sys.modules['numba'] = None\n"
        "try:\n open_capture('x')\n"
        "except Exception as error:\n print(type(error).__name__, error)\n"
    )
    world = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=world)
    assert child.stdout == "UsageError reading a capture needs numba: pip install 'tablefull[twin]'\n"
