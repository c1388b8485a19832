"""The folder of a record: whole files or none, bounded, held by one, and what an earlier one left."""

import errno
import json
import os
from pathlib import Path

import polars as pl
import pytest

from tablefull.errors import KernelRefused, UsageError
from tablefull.live import record_files
from tablefull.live.record_files import Folder

SECOND_NS = 10**9
BEGAN_NS = 1_700_000_000 * SECOND_NS  # 2023-11-14 22:13:20 UTC
BIG = 1 << 30


def frame(rows: int) -> pl.DataFrame:
    """Rows that do not shrink."""
    return pl.DataFrame({"kind": ["NEW"] * rows, "raw": [os.urandom(100) for _ in range(rows)]})


def test_a_file_is_named_for_its_beginning_and_holds_its_rows_and_what_is_said(tmp_path: Path) -> None:
    with Folder(tmp_path, BIG) as folder:
        folder.begin(BEGAN_NS)
        assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
        size = folder.finish(frame(5), {"gaps": 3})
    (path,) = tmp_path.iterdir()
    assert path.name == "events-20231114T221320.000000Z-0001.parquet"
    assert path.stat().st_size == size == folder.kept.bytes
    assert pl.read_parquet(path).height == 5
    assert json.loads(pl.read_parquet_metadata(path)[record_files.KEY]) == {"gaps": 3}


def test_the_oldest_make_room(tmp_path: Path) -> None:
    with Folder(tmp_path, 100_000) as folder:
        for second in range(20):
            folder.begin(BEGAN_NS + second * SECOND_NS)
            folder.finish(frame(150), {})
            assert sum(path.stat().st_size for path in folder.files()) <= 100_000
        names = [path.name for path in folder.files()]
        assert names[-1].startswith("events-20231114T221339")
        assert folder.kept.removed_rows == 150 * (20 - len(names))


def test_rows_that_are_too_many_go_into_several_files(tmp_path: Path) -> None:
    with Folder(tmp_path, 100_000) as folder:
        folder.begin(BEGAN_NS)
        folder.finish(frame(700), {})
        kept = sum(pl.read_parquet(path).height for path in folder.files())
        assert kept == 700
        assert len(folder.files()) == 2


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.parquet").write_bytes(b"x" * 200_000)
    with Folder(tmp_path, 100_000) as folder:
        folder.begin(BEGAN_NS)
        folder.finish(frame(100), {})
    assert (tmp_path / "notes.parquet").exists()


def test_a_second_recorder_is_refused(tmp_path: Path) -> None:
    with Folder(tmp_path, BIG), pytest.raises(UsageError, match="another recorder writes there"):
        Folder(tmp_path, BIG)
    Folder(tmp_path, BIG).close()


def test_a_part_that_was_cut_off_is_told_and_taken_away(tmp_path: Path) -> None:
    folder = Folder(tmp_path, BIG)
    folder.begin(BEGAN_NS)
    os.close(folder._held)  # as when the process is killed
    with Folder(tmp_path, BIG) as again:
        (left,) = again.left
        assert (left.since_ns, left.whole) == (BEGAN_NS, False)
        assert list(tmp_path.iterdir()) == []


def test_a_part_that_was_whole_is_kept(tmp_path: Path) -> None:
    part = tmp_path / "events-20231114T221320.000000Z-0001.parquet.part"
    frame(3).write_parquet(part)
    with Folder(tmp_path, BIG) as folder:
        assert folder.left[0].whole
        assert [pl.read_parquet(path).height for path in folder.files()] == [3]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{", b"\xff" * 5000, b"PAR1" + bytes(500) + b"PAR1"])
def test_a_part_of_anything_else_goes(tmp_path: Path, content: bytes) -> None:
    part = tmp_path / "events-20231114T221320.000000Z-0001.parquet.part"
    part.write_bytes(content)
    with Folder(tmp_path, BIG) as folder:
        (left,) = folder.left
        assert (left.since_ns, left.whole) == (None, False)
    assert not part.exists()


def test_no_place_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="name a folder"):
        Folder(tmp_path / "file" / "below", BIG)


def test_a_full_disk_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Folder(tmp_path, BIG) as folder:
        folder.begin(BEGAN_NS)

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(record_files.os, "fsync", full)
        with pytest.raises(KernelRefused, match=r"no space left on device.*make room"):
            folder.finish(frame(3), {})
        assert list(tmp_path.iterdir()) == []
