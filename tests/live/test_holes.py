"""Sparse files: only data are read, on a file system that tells where they are and on one that does not."""

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.live import holes
from tablefull.live.holes import Segments, extents

MIB = 1 << 20
LINE = b"[11458852.811070] nf_conntrack: table full, dropping packet.\n"


@pytest.fixture
def sparse(tmp_path: Path) -> Iterator[int]:
    """Data at 0, at 4 MiB and at 10 GiB, then a hole of 1 MiB."""
    fd = os.open(tmp_path / "sparse", os.O_RDWR | os.O_CREAT)
    for at in (0, 4 * MIB, 10 << 30):
        os.pwrite(fd, LINE, at)
    os.ftruncate(fd, (10 << 30) + MIB)
    yield fd
    os.close(fd)


def size_of(fd: int) -> int:
    return os.fstat(fd).st_size


def test_every_run_of_data_and_nothing_else(sparse: int) -> None:
    found = extents(sparse, size_of(sparse))
    assert [start for start, _ in found] == [0, 4 * MIB, 10 << 30]
    # A file system keeps whole blocks; none has one larger than a megabyte here.
    assert all(len(LINE) <= end - start < MIB for start, end in found)


def test_nothing_but_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "hole"
    path.touch()
    os.truncate(path, 10 << 30)
    fd = os.open(path, os.O_RDONLY)
    assert extents(fd, 10 << 30) == []
    with Segments(fd, 10 << 30) as stream:
        assert stream.read() == b""


def test_a_file_without_holes_is_one_run(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(LINE * 1000)
    fd = os.open(path, os.O_RDONLY)
    assert extents(fd, len(LINE) * 1000) == [(0, len(LINE) * 1000)]
    with Segments(fd, len(LINE) * 1000) as stream:
        assert stream.read() == LINE * 1000


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    fd = os.open(tmp_path / "empty", os.O_RDONLY)
    assert extents(fd, 0) == []
    os.close(fd)


def test_a_line_ends_where_a_hole_is(sparse: int) -> None:
    with Segments(os.dup(sparse), size_of(sparse)) as stream:
        data = io.BufferedReader(stream).read()
    assert data.replace(b"\0", b"") == LINE + b"\n" + LINE + b"\n" + LINE
    assert len(data) < 4 * MIB


def test_the_descriptor_is_given_back_once(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(LINE)
    fd = os.open(tmp_path / "log", os.O_RDONLY)
    stream = Segments(fd, len(LINE))
    stream.close()
    stream.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_file_that_shrank_ends_early(sparse: int) -> None:
    size = size_of(sparse)
    stream = Segments(os.dup(sparse), size)
    os.ftruncate(sparse, len(LINE))
    with stream:
        assert stream.read().strip(b"\n") == LINE.strip(b"\n")


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_tell_is_read_whole(sparse: int, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: int) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "lseek", refuse)
    assert extents(sparse, 5000) == [(0, 5000)]


def test_a_system_without_seek_data_is_read_whole(sparse: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "SEEK_DATA")
    assert extents(sparse, 5000) == [(0, 5000)]
    assert extents(sparse, 0) == []


def test_past_so_many_runs_the_rest_is_one(sparse: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holes, "MOST", 2)
    found = extents(sparse, size_of(sparse))
    assert [start for start, _ in found[:2]] == [0, 4 * MIB]
    assert found[2:] == [(found[1][1], size_of(sparse))]


@given(st.sets(st.integers(0, 40), max_size=12), st.integers(1, 70_000))
def test_no_byte_of_data_is_lost(tmp_path_factory: pytest.TempPathFactory, where: set[int], reading: int) -> None:
    path = tmp_path_factory.mktemp("holes") / "file"
    size = 41 * 65_536
    with path.open("wb") as file:
        for index in where:
            file.seek(index * 65_536)
            file.write(b"%02d" % index * 32_768)
        file.truncate(size)
    fd = os.open(path, os.O_RDONLY)
    with Segments(fd, size) as stream:
        data = b"".join(iter(lambda: stream.read(reading), b""))
    path.unlink()
    wanted = b"".join(b"%02d" % index * 32_768 for index in sorted(where))
    assert data.replace(b"\n", b"").replace(b"\0", b"") == wanted
