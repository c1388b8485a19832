"""What a file is by its first bytes, unfolded, decoded and bounded; what is left of one that breaks off."""

import bz2
import gzip
import io
import lzma
import sys
import types
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.errors import Unreadable
from tablefull.facts.snapshot import Unread
from tablefull.live import streams
from tablefull.live.streams import Joined, binary, content, guarded

LINE = b"[11458852.811070] nf_conntrack: table full, dropping packet.\n"
LOG = b"".join(b"[%d.000000] nf_conntrack: table full, dropping packet %d\n" % (n, n * n) for n in range(40_000))
PACKERS = [gzip.compress, bz2.compress, lzma.compress]
NAMES = {gzip.compress: "gzip", bz2.compress: "bzip2", lzma.compress: "xz"}


def read(data: bytes) -> tuple[str, bytes, list[str]]:
    notes: list[Unread] = []
    told = content(io.BytesIO(data), "kern.log", notes)
    return told.kind, told.stream.read(), [note.why for note in notes]


def zst(data: bytes, block: int = 100_000) -> bytes:
    """A zstd frame of raw blocks, written by hand: RFC 8878, 3.1.1. The window of two megabytes is descriptor 0x58."""
    blocks = [data[at : at + block] for at in range(0, len(data), block)]
    frame = b"\x28\xb5\x2f\xfd\x00\x58"
    for index, each in enumerate(blocks):
        last = index == len(blocks) - 1
        frame += (last | len(each) << 3).to_bytes(3, "little") + each
    return frame


@pytest.fixture
def zstd() -> None:
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        try:
            __import__(name)
        except ImportError:
            continue
        return
    pytest.skip("needs backports.zstd (requirements/demo.in)")


@pytest.mark.parametrize("pack", PACKERS)
def test_a_packed_log_is_its_text(pack: Callable[[bytes], bytes]) -> None:
    assert read(pack(LOG)) == ("text", LOG, [])


@pytest.mark.parametrize("pack", PACKERS)
def test_packed_parts_one_after_another_are_one_text(pack: Callable[[bytes], bytes]) -> None:
    assert read(pack(LINE) + pack(LINE * 2)) == ("text", LINE * 3, [])


@pytest.mark.usefixtures("zstd")
def test_zstd_is_its_text() -> None:
    assert read(zst(LOG)) == ("text", LOG, [])


@pytest.mark.usefixtures("zstd")
def test_zstd_that_breaks_off_keeps_its_beginning() -> None:
    kind, data, whys = read(zst(LOG)[:450_000])
    assert kind == "text"
    assert LOG.startswith(data)
    assert len(data) >= 300_000
    assert len(whys) == 1
    assert whys[0].startswith("the zstd data break off or are damaged")
    assert whys[0].endswith(f"only its first {len(data)} bytes were read")


@pytest.mark.usefixtures("zstd")
def test_zstd_of_which_nothing_is_left() -> None:
    with pytest.raises(Unreadable, match="zstd data break off"):
        read(zst(LINE)[:8])


def test_the_library_of_zstd_may_fail_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    class ZstdFile(io.RawIOBase):
        def __init__(self, source: io.RawIOBase) -> None:
            self.answers = [LINE]

        def read(self, size: int = -1) -> bytes:
            if not self.answers:
                raise ZeroDivisionError
            return self.answers.pop()

    library = types.ModuleType("zstd")
    library.ZstdFile = ZstdFile  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "compression.zstd", library)
    monkeypatch.setitem(sys.modules, "compression", types.ModuleType("compression"))
    whys = ["the zstd data break off or are damaged (ZeroDivisionError); only its first 61 bytes were read"]
    assert len(LINE) == 61
    assert read(b"\x28\xb5\x2f\xfd rest") == ("text", LINE, whys)


def test_zstd_without_a_library_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Unreadable) as raised:
        read(zst(LINE))
    assert "zstd -dc kern.log | tablefull diagnose -" in raised.value.remedy


@pytest.mark.parametrize("pack", PACKERS)
def test_what_breaks_off_keeps_its_beginning_and_says_so(pack: Callable[[bytes], bytes]) -> None:
    # bzip2 gives whole blocks of 900 kB, so every packer gets a first part that is whole.
    kind, data, whys = read(pack(LOG) + pack(LOG)[:-20])
    assert kind == "text"
    assert (LOG * 2).startswith(data)
    assert len(data) >= len(LOG)
    assert len(whys) == 1
    assert whys[0].startswith(f"the {NAMES[pack]} data break off or are damaged")
    assert whys[0].endswith(f"only its first {len(data)} bytes were read")


@pytest.mark.parametrize("pack", PACKERS)
def test_a_packed_file_of_which_nothing_is_left(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Unreadable, match=f"the {NAMES[pack]} data break off") as raised:
        read(pack(LINE)[:10])
    assert NAMES[pack] in raised.value.remedy
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("pack", PACKERS)
def test_damage_in_the_middle_is_noted_once(pack: Callable[[bytes], bytes]) -> None:
    packed = bytearray(pack(LOG) + pack(LOG))
    at = len(packed) * 3 // 4
    packed[at : at + 64] = bytes(64)
    _, data, whys = read(bytes(packed))
    assert data[: len(LOG)] == LOG
    assert len(whys) == 1


def test_a_magic_alone_is_not_a_packed_file() -> None:
    assert read(b"BZh") == ("text", b"BZh", [])


@pytest.mark.parametrize("pack", PACKERS)
def test_a_bomb_ends_at_its_ratio(pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 1 << 20)
    kind, data, whys = read(pack(LINE + bytes(64 << 20)))
    assert kind == "text"
    assert data.startswith(LINE)
    assert len(data) < 24 << 20  # what a ratio of 200 leaves of some ten to sixty kilobytes
    assert len(whys) == 1
    assert whys[0].startswith("it unfolds to more than 200 times its size; only its first ")


def test_the_most_that_is_ever_unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_BYTES", 100_000)
    _, data, whys = read(gzip.compress(LOG))
    assert 100_000 < len(data) < 400_000
    assert len(whys) == 1


def test_a_real_log_of_one_repeated_line_is_no_bomb() -> None:
    assert read(gzip.compress(LINE * 200_000)) == ("text", LINE * 200_000, [])


def test_three_packings_are_unfolded_and_a_fourth_is_not() -> None:
    packed = LINE
    for _ in range(3):
        packed = gzip.compress(packed)
    assert read(packed) == ("text", LINE, [])
    told = content(io.BytesIO(gzip.compress(packed)), "x", [])
    assert (told.kind, told.why, told.packed) == ("binary", "compressed more than three times over", True)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_utf16_is_utf8(encoding: str, mark: str) -> None:
    assert read((mark + LOG.decode()).encode(encoding)) == ("text", LOG, [])


def test_utf16_beyond_ascii_and_beyond_its_plane() -> None:
    text = "nf_conntrack: größe ✓ 𝄞 full\n" * 900
    assert read(("\ufeff" + text).encode("utf-16-le"))[1].decode() == text


def test_utf16_inside_gzip_and_cut_in_half_a_character() -> None:
    data = ("\ufeff" + LINE.decode()).encode("utf-16-le") + b"\x41"
    assert read(gzip.compress(data)) == ("text", LINE + "\ufffd".encode(), [])


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.integers(1, 50))
def test_utf16_in_any_pieces(text: str, piece: int) -> None:
    class Pieces(io.RawIOBase):
        left = ("\ufeff" + text.lstrip("\ufeff") + ".").encode("utf-16-be")

        def read(self, size: int = -1) -> bytes:
            data, self.left = self.left[: min(size, piece)], self.left[min(size, piece) :]
            return data

    told = content(Pieces(), "x", [])  # type: ignore[arg-type]
    # A mark at the beginning of a later piece is a character that nobody sees.
    assert told.stream.read().decode().replace("\ufeff", "") == text.replace("\ufeff", "") + "."


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"\x7fELF\x02\x01", "ELF"),
        (b"\x89PNG\r\n", "PNG"),
        (b"%PDF-1.7", "PDF"),
        (b"LPKSHHRH", "journalctl"),
        (b"\xd4\xc3\xb2\xa1", "packet capture"),
        (b"\x0a\x0d\x0d\x0a", "packet capture"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (bytes(range(256)) * 4, "a binary file"),
        (b"\x80\x81\x82\x83" * 200, "a binary file"),
    ],
)
def test_what_is_no_text_is_named(head: bytes, word: str) -> None:
    assert word in (binary(head) or "")
    assert content(io.BytesIO(head), "x", []).kind == "binary"


@pytest.mark.parametrize(
    "head",
    [
        LINE,
        b"",
        b"\0" * 4096,
        LINE * 40 + bytes(4096) + LINE * 40,
        "nf_conntrack: größe überschritten ✓\n".encode(),
        "größe\n".encode("latin-1") * 3 + LINE,
        b"\x1b[31mnf_conntrack: table full\x1b[0m\r\n\x07",
        b"a\tb\x0cc\x08\n",
    ],
)
def test_what_is_text_however_odd(head: bytes) -> None:
    assert binary(head) is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"PK\x03\x04rest", "zip"),
        (b"\0" * 600, "text"),
        (LINE, "text"),
    ],
)
def test_kinds(data: bytes, kind: str) -> None:
    assert read(data) == (kind, b"" if kind == "empty" else data, [])


def test_a_tar_is_told_by_its_word() -> None:
    assert content(io.BytesIO(b"x" * 257 + b"ustar" + b"x" * 500), "x", []).kind == "tar"


def test_the_head_is_read_again_with_the_rest_and_closed_with_it() -> None:
    rest = io.BytesIO(b"rest")
    joined = Joined(b"head", rest)
    assert joined.read() == b"headrest"
    assert joined.passed == 8
    joined.close()
    joined.close()
    assert rest.closed


def test_closing_a_text_closes_what_is_below_it() -> None:
    for data in (LINE, gzip.compress(LINE), LINE.decode().encode("utf-16")):
        below = io.BytesIO(data)
        content(below, "x", []).stream.close()
        assert below.closed


class Breaks(io.RawIOBase):
    """``before``, then an error of its reader's own."""

    def __init__(self, before: bytes) -> None:
        self.before = before

    def read(self, size: int = -1) -> bytes:
        if not self.before:
            raise RuntimeError("unexpected end of data.")
        data, self.before = self.before[:size], self.before[size:]
        return data


def test_a_member_that_breaks_off_ends_with_a_note() -> None:
    notes: list[Unread] = []
    below = io.BytesIO()
    with guarded(Breaks(LINE), below, 61, "tar", "dmesg", notes) as stream:
        assert stream.read() == LINE
    why = "the tar data break off or are damaged (unexpected end of data); only its first 61 bytes were read"
    assert [(note.origin.source, note.why) for note in notes] == [("dmesg", why)]
    assert below.closed


def test_the_same_break_is_noted_once_however_often_it_is_read() -> None:
    notes: list[Unread] = []
    for _ in range(3):
        guarded(Breaks(LINE), io.BytesIO(), 61, "tar", "dmesg", notes).read()
    assert len(notes) == 1


def test_a_member_of_which_nothing_is_left() -> None:
    with pytest.raises(Unreadable, match="dmesg: the zip data break off"):
        guarded(Breaks(b""), io.BytesIO(), 61, "zip", "dmesg", []).read()


def test_a_member_that_unfolds_too_far_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 1000)
    notes: list[Unread] = []
    data = guarded(io.BytesIO(LINE * 100_000), io.BytesIO(), 61, "tar", "x", notes).read()
    assert len(data) < 1 << 20
    assert notes[0].why.startswith("it unfolds to more than 200 times its size")


@given(st.sampled_from([b"", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\xff\xfe", b"\xfe\xff"]), st.binary())
def test_any_bytes_are_content_or_one_line(magic: bytes, rest: bytes) -> None:
    said = ""
    try:
        kind, _, whys = read(magic + rest)
        assert kind in {"text", "tar", "zip", "empty", "binary"}
        said = " ".join(whys)
    except Unreadable as error:
        said = str(error)
    assert "\n" not in said
