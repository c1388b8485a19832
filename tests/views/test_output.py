"""Where answers go."""

from pathlib import Path

import pytest

from tablefull.errors import UsageError
from tablefull.views.output import emit


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
