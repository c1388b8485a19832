"""Archives from elsewhere: what is refused, what is bounded, and what is left of one that breaks off."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.errors import Unreadable
from tablefull.facts.snapshot import Unread
from tablefull.live import archive, streams
from tablefull.live.archive import tar_members, unsafe, zip_members

LINE = b"[11458852.811070] nf_conntrack: table full, dropping packet.\n"
BLOCK = 512


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info.tobuf(tarfile.GNU_FORMAT)


def member(name: str, data: bytes) -> bytes:
    return header(name, len(data)) + data + bytes(-len(data) % BLOCK)


def tar(*parts: bytes) -> bytes:
    return b"".join(parts) + bytes(2 * BLOCK)


def held(data: bytes, wanted: Callable[[str], bool] = lambda _: True) -> tuple[dict[str, bytes], list[str]]:
    """An archive that can be read only once."""
    notes: list[Unread] = []
    found = {each.name: each.open().read() for each in tar_members(io.BytesIO(data), "x.tar", notes, None, wanted)}
    return found, [note.why for note in notes]


def reopened(data: bytes) -> tuple[dict[str, bytes], list[str]]:
    """An archive on disk, of which nothing is held in memory."""
    notes: list[Unread] = []
    members = list(tar_members(io.BytesIO(data), "x.tar", notes, lambda: io.BytesIO(data), lambda _: True))
    return {each.name: each.open().read() for each in members}, [note.why for note in notes]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("../etc/passwd", "leads out"),
        ("a/../../b", "leads out"),
        ("a/..", "leads out"),
        ("a\\..\\b", "leads out"),
        ("/etc/shadow", "absolute"),
        ("\\\\server\\share", "absolute"),
        ("C:\\boot.ini", "absolute"),
        ("", "empty"),
        ("./", "empty"),
        (".", "empty"),
        ("a\x1b[31m", "unprintable"),
        ("a\nb", "unprintable"),
        ("a\udcff", "unprintable"),
    ],
)
def test_names_that_are_refused(name: str, word: str) -> None:
    why = unsafe(name)
    assert why is not None
    assert word in why


@pytest.mark.parametrize("name", ["dmesg", "./proc/version", "a/..b", "a..", "...x/y", "größe.log", "a b"])
def test_names_that_are_plain(name: str) -> None:
    assert unsafe(name) is None


@given(st.lists(st.sampled_from(["..", ".", "a", "", "b"]), max_size=6).map("/".join))
def test_no_name_that_is_let_through_leaves_its_folder(name: str) -> None:
    if unsafe(name) is None:
        here = Path("/a/folder")
        depth = 0
        for part in (here / name).relative_to(here).parts:
            depth += -1 if part == ".." else 1
            assert depth > 0


def test_what_is_no_regular_file_is_not_followed() -> None:
    hostile = tar(
        header("soft", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        header("hard", kind=tarfile.LNKTYPE, link="../../etc/passwd"),
        header("null", kind=tarfile.CHRTYPE),
        header("disk", kind=tarfile.BLKTYPE),
        header("pipe", kind=tarfile.FIFOTYPE),
        header("folder", kind=tarfile.DIRTYPE),
        member("../../etc/passwd", LINE),
        member("dmesg", LINE),
    )
    for found, whys in (held(hostile), reopened(hostile)):
        assert found == {"dmesg": LINE}
        assert whys == [
            "member refused: a device or a special file",
            "member refused: a device or a special file",
            "member refused: a device or a special file",
            "member refused: its name leads out of the archive",
            "2 links in the archive were not followed",
        ]


def test_five_refusals_are_told_and_the_rest_counted() -> None:
    found, whys = held(tar(*(member(f"/absolute/{n}", LINE) for n in range(12)), member("dmesg", LINE)))
    assert list(found) == ["dmesg"]
    assert whys == ["member refused: an absolute name"] * 5 + ["7 more members were refused"]


def test_only_wanted_members_are_opened_and_all_are_in_order() -> None:
    data = tar(*(member(name, name.encode()) for name in ("c", "a", "b")))
    assert list(held(data)[0].items()) == [("c", b"c"), ("a", b"a"), ("b", b"b")]
    assert held(data, lambda name: name == "a") == ({"a": b"a"}, [])


def test_members_past_the_bound_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MEMBERS", 2)
    assert held(tar(*(member(name, LINE) for name in "abc"))) == (
        {"a": LINE, "b": LINE},
        ["only the first 2 members were looked at"],
    )


def test_of_a_stream_only_so_much_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "HELD_BYTES", 100)
    monkeypatch.setattr(archive, "SMALL_BYTES", 100)
    found, whys = held(tar(member("a", b"a" * 70), member("b", b"b" * 70)))
    assert found == {"a": b"a" * 70, "b": b"b" * 30}
    assert whys == ["only its first 30 of 70 bytes were read"]


def test_a_member_too_large_to_hold_is_read_from_the_archive_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SMALL_BYTES", 4)
    data = tar(member("a", b"a" * 2000), member("s", b"1\n"), member("b", b"b" * 3000))
    assert reopened(data) == ({"a": b"a" * 2000, "s": b"1\n", "b": b"b" * 3000}, [])


def test_an_archive_that_breaks_off_inside_a_small_member_keeps_the_ones_before() -> None:
    whole = tar(member("a", LINE), member("b", LINE * 40))
    found, whys = held(whole[: 3 * BLOCK + 700])
    assert found == {"a": LINE}
    assert whys == ["the archive breaks off after 2 members (unexpected end of data)"]


def test_an_archive_that_breaks_off_inside_a_large_member_keeps_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SMALL_BYTES", 100)
    large = b"0123456789abcdef" * 65_536
    found, whys = reopened(tar(member("a", LINE), member("b", large))[: 3 * BLOCK + 500_000])
    assert found["a"] == LINE
    assert large.startswith(found["b"])
    assert len(found["b"]) > 300_000
    assert whys[0] == "the archive breaks off after 2 members (unexpected end of data)"
    assert whys[1].startswith("the tar data break off or are damaged (unexpected end of data); only its first ")


@pytest.mark.parametrize("damage", [b"\xff" * BLOCK, b"garbage!" * 64])
def test_a_damaged_header_is_not_the_end(damage: bytes) -> None:
    found, whys = held(member("a", LINE) + damage + tar(member("b", LINE)))
    assert found == {"a": LINE}
    assert len(whys) == 1
    assert whys[0].startswith("the archive breaks off after 1 members")


def test_an_archive_without_its_end_mark_is_whole() -> None:
    assert held(member("a", LINE)) == ({"a": LINE}, [])


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_header_that_would_fill_the_memory_is_refused(kind: bytes) -> None:
    found, whys = held(member("a", LINE) + header("x", 700 << 20, kind) + bytes(1 << 20))
    assert found == {"a": LINE}
    assert whys == ["the archive breaks off after 1 members (a header of 734003200 bytes)"]


def test_a_long_name_and_a_pax_header_of_usual_size_are_read() -> None:
    name = "/".join(["folder"] * 40) + "/dmesg"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=form) as made:
            info = tarfile.TarInfo(name)
            info.size = len(LINE)
            made.addfile(info, io.BytesIO(LINE))
        assert held(data.getvalue()) == ({name: LINE}, [])


def sparse_member(name: str, data: bytes, size: int) -> bytes:
    """The old GNU format: one run of data at 0, then a hole to ``size``. Fields: tar.h of GNU tar, ``struct sparse``."""
    info = tarfile.TarInfo(name)
    info.type, info.size = tarfile.GNUTYPE_SPARSE, len(data)
    made = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    numbers = ((386, 0), (398, len(data)), (410, size), (422, 0), (483, size))
    for at, number in numbers:
        made[at : at + 12] = b"\x80" + number.to_bytes(11, "big")
    made[482] = 0
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made) + data + bytes(-len(data) % BLOCK)


def test_a_member_of_a_petabyte_of_holes_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 1 << 20)
    found, whys = reopened(tar(sparse_member("lastlog", LINE * 9, 1 << 50)))
    assert found["lastlog"].startswith(LINE * 9)
    assert len(found["lastlog"]) < 4 << 20
    assert len(whys) == 1
    assert whys[0].startswith("it unfolds to more than 200 times its size")


def test_a_sparse_member_that_is_small_is_read_whole() -> None:
    data = tar(sparse_member("kern.log", LINE, 2000))
    assert held(data) == reopened(data) == ({"kern.log": LINE + bytes(2000 - len(LINE))}, [])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_archive_reaches_the_reader_unpacked(pack: Callable[[bytes], bytes]) -> None:
    told = streams.content(io.BytesIO(pack(tar(member("a", LINE)))), "x", [])
    assert (told.kind, told.packed) == ("tar", True)
    assert held(told.stream.read()) == ({"a": LINE}, [])


def test_an_archive_that_changed_since_it_was_listed() -> None:
    data = tar(member("a", b"a" * (2 << 20)))
    (found,) = tar_members(io.BytesIO(data), "x.tar", [], lambda: io.BytesIO(b"changed!" * 64), lambda _: True)
    with pytest.raises(Unreadable, match="breaks off"):
        found.open()


@given(st.binary(max_size=1500), st.integers(0, 3))
def test_any_bytes_give_members_or_a_note(data: bytes, valid: int) -> None:
    found, whys = held(b"".join(member(f"m{n}", LINE) for n in range(valid)) + data)
    assert [found.get(f"m{n}") for n in range(valid)] == [LINE] * valid
    assert all("\n" not in why for why in whys)


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members:
            made.writestr(name, content)
    return data.getvalue()


def of_zip(data: bytes) -> tuple[dict[str, bytes], list[str]]:
    notes: list[Unread] = []
    found = {each.name: each.open().read() for each in zip_members(io.BytesIO(data), "x.zip", notes, lambda _: True)}
    return found, [note.why for note in notes]


def test_a_zip_refuses_what_a_tar_refuses() -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16  # S_IFLNK: include/uapi/linux/stat.h
    found, whys = of_zip(zipped(("../up", LINE), ("/root", LINE), (link, b"/etc/passwd"), ("d/", b""), ("dmesg", LINE)))
    assert found == {"dmesg": LINE}
    assert whys == [
        "member refused: its name leads out of the archive",
        "member refused: an absolute name",
        "1 links in the archive were not followed",
    ]


def test_an_encrypted_member_is_refused() -> None:
    data = bytearray(zipped(("a", LINE)))
    directory = data.index(b"PK\x01\x02")
    data[directory + 8] |= 1  # general purpose bit 0: APPNOTE.TXT 4.4.4
    assert of_zip(bytes(data)) == ({}, ["member refused: it is encrypted"])


def test_a_zip_that_is_cut_has_no_directory() -> None:
    data = zipped(("a", LINE * 40))
    found, whys = of_zip(data[: len(data) // 2])
    assert found == {}
    assert len(whys) == 1
    assert whys[0].startswith("the zip archive breaks off or is damaged")


def test_a_zip_bomb_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 1 << 20)
    found, whys = of_zip(zipped(("bomb", bytes(8 << 20)), ("dmesg", LINE)))
    assert found == {"bomb": b"", "dmesg": LINE}
    assert whys == ["it unfolds to more than 200 times its size"]


def test_a_damaged_member_of_a_zip_is_unreadable_in_one_line() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as made:
        made.writestr("a", LINE)
    changed = data.getvalue().replace(b"table full", b"table fuLL", 1)
    with pytest.raises(Unreadable, match=r"damaged.*CRC") as raised:
        of_zip(changed)
    assert "\n" not in str(raised.value)


def test_a_way_of_packing_that_nobody_knows_is_unreadable() -> None:
    data = bytearray(zipped(("a", LINE)))
    for at in (8, data.index(b"PK\x01\x02") + 10):  # the method: APPNOTE.TXT 4.3.7, 4.3.12
        data[at : at + 2] = b"\x63\x00"
    with pytest.raises(Unreadable, match="cannot be unpacked"):
        of_zip(bytes(data))
