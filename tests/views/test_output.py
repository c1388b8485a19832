"""Where answers go."""

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
