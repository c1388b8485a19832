import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.facts.origin import Hole
from tablefull.live.proc import Proc, Rows, missing


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/sys").mkdir(parents=True)
    (tmp_path / "proc/sys/max").write_bytes(b"1548576\n")
    (tmp_path / "proc/sys/words").write_bytes(b"32768\t60999\n")
    (tmp_path / "proc/table").write_bytes(b"row\n" * 10)
    return tmp_path


def test_a_value_is_read_below_the_given_root(root: Path) -> None:
    proc = Proc(root)
    assert proc.number("proc/sys/max") == 1548576
    assert proc.number("/proc/sys/max") == 1548576
    assert proc.text("proc/sys/words") == "32768\t60999"
    assert proc.read("proc/table", 6) == b"row\nro"
    assert proc.names("proc/sys") == ["max", "words"]
    assert proc.exists("proc/table")


def test_an_absent_file_is_a_hole_that_says_so(root: Path) -> None:
    hole = Proc(root).number("proc/sys/net/netfilter/nf_conntrack_max")
    assert hole == Hole("/proc/sys/net/netfilter/nf_conntrack_max", "there is no such file", "")
    assert missing(hole)


def test_what_is_no_number_is_a_hole_and_not_zero(root: Path) -> None:
    hole = Proc(root).number("proc/sys/words")
    assert isinstance(hole, Hole)
    assert not missing(hole)


@pytest.mark.parametrize("name", ["proc", "proc/table/below", "a\0b", "x" * 300])
def test_odd_paths_are_holes(root: Path, name: str) -> None:
    proc = Proc(root)
    for answer in (proc.read(name), proc.number(name), proc.link(name), proc.first_lines(name, 3, lambda: True)):
        assert isinstance(answer, Hole)
        assert answer.why


def test_a_loop_of_links_and_a_pipe_do_not_hold_it_up(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    assert isinstance(Proc(root).read("loop"), Hole)
    assert Proc(root).read("pipe") == b""


def test_a_refused_file_says_who_may_read_it(root: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root is refused nothing")
    (root / "proc/table").chmod(0)
    assert Proc(root).read("proc/table") == Hole("/proc/table", "permission denied", "run it as root")


@given(rows=st.integers(0, 30), most=st.integers(1, 30), whole=st.booleans())
def test_first_lines_are_whole_lines_and_say_whether_there_were_more(
    tmp_path_factory: pytest.TempPathFactory, rows: int, most: int, whole: bool
) -> None:
    root = tmp_path_factory.mktemp("rows")
    content = b"".join(b"%d\n" % n for n in range(rows)) + (b"" if whole else b"tail")
    (root / "t").write_bytes(content)
    lines = content.splitlines(keepends=True)
    assert Proc(root).first_lines("t", most, lambda: True) == Rows(
        b"".join(lines[:most]), min(most, len(lines)), len(lines) > most
    )


def test_reading_rows_ends_when_the_time_does(root: Path) -> None:
    (root / "long").write_bytes(b"a row of the table\n" * 100_000)
    rows = Proc(root).first_lines("long", 1_000_000, lambda: False)
    assert isinstance(rows, Rows)
    assert rows.more
    assert 0 < rows.count < 100_000
    assert rows.content.endswith(b"\n")
