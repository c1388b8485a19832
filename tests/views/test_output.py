"""Where answers go."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tablefull.errors import KernelRefused, UsageError
from tablefull.views import output
from tablefull.views.output import emit, emit_pieces


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    emit("ä\n", str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == "ä\n".encode()


def test_what_utf_8_cannot_hold_is_spelled(tmp_path: Path) -> None:
    emit("\udcff", str(tmp_path / "x"))
    assert (tmp_path / "x").read_text() == "\\udcff"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        emit("x", str(tmp_path))


def test_standard_output_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    emit("x\n", "-")
    assert capsys.readouterr().out == "x\n"


def test_a_device_that_takes_nothing_is_a_refusal() -> None:
    with pytest.raises(KernelRefused, match="no space left on device"):
        emit("x\n", "/dev/full")
    assert Path("/dev/full").is_char_device()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "answer"
    file.write_text("yesterday's")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(KernelRefused, match="no space left"):
        emit("x" * 100, str(file))
    assert [path.name for path in tmp_path.iterdir()] == ["answer"]
    assert file.read_text() == "yesterday's"


def test_a_replaced_file_keeps_its_mode_and_a_link_its_place(tmp_path: Path) -> None:
    file, link = tmp_path / "answer", tmp_path / "link"
    file.write_text("x")
    file.chmod(0o640)
    link.symlink_to(file)
    emit("y", str(link))
    assert link.is_symlink()
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("y", 0o640)


def test_closed_streams_get_stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    output.stand_in()
    output.say("nobody hears this")
    with pytest.raises(KernelRefused, match="standard output: cannot be written"):
        emit("x")


def test_pieces_are_written_one_by_one_and_whole(tmp_path: Path) -> None:
    place = tmp_path / "x"
    emit_pieces((b"one ", b"two"), str(place))
    assert place.read_bytes() == b"one two"

    def broken():
        yield b"half"
        raise UsageError("no more")

    with pytest.raises(UsageError):
        emit_pieces(broken(), str(place))
    assert place.read_bytes() == b"one two"
    assert list(tmp_path.iterdir()) == [place]


def test_pieces_to_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    emit_pieces((b"\xff", b"\x00\n"), "-")
    assert capfdbinary.readouterr().out == b"\xff\x00\n"


def test_no_piece_at_all_is_an_empty_file(tmp_path: Path) -> None:
    emit_pieces((), str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == b""


def test_pieces_go_where_a_link_leads_and_keep_the_mode(tmp_path: Path) -> None:
    file, link = tmp_path / "answer", tmp_path / "link"
    file.write_text("x")
    file.chmod(0o640)
    link.symlink_to(file)
    emit_pieces((b"y",), str(link))
    assert link.is_symlink()
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("y", 0o640)


def test_pieces_to_a_place_that_takes_none(tmp_path: Path) -> None:
    with pytest.raises(KernelRefused, match="/dev/full: cannot be written"):
        emit_pieces((b"x",), "/dev/full")
    with pytest.raises(UsageError, match="cannot be written"):
        emit_pieces((b"x",), str(tmp_path))
    with pytest.raises(UsageError, match="cannot be written"):
        emit_pieces((b"x",), str(tmp_path / "nowhere" / "x"))
    assert list(tmp_path.iterdir()) == []


def test_pieces_to_a_standard_output_that_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", output.Closed(refuses=True))
    with pytest.raises(KernelRefused, match="standard output: cannot be written"):
        emit_pieces((b"x",), "-")


def test_pieces_for_a_reader_that_went_away_end_silently() -> None:
    """More than a pipe holds, and nobody at its other end: as `| head` leaves it."""
    code = "from tablefull.views.output import emit_pieces\nemit_pieces((b'x' * 1000 for _ in range(1000)), '-')\n"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(output.__file__).parents[2])},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.read(4) == b"xxxx"
    child.stdout.close()
    said = child.stderr.read()
    child.stderr.close()
    assert (child.wait(60), said) == (0, b"")


def test_pieces_are_not_held_together_in_memory(tmp_path: Path) -> None:
    """The file grows while the pieces are still being made."""
    sizes = []

    def pieces() -> Iterator[bytes]:
        for _ in range(4):
            yield bytes(1 << 20)
            sizes.extend(path.stat().st_size for path in tmp_path.iterdir())

    emit_pieces(pieces(), str(tmp_path / "x"))
    assert sizes == [1 << 20, 2 << 20, 3 << 20, 4 << 20]
