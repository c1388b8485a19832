"""The kernel's log as it goes on: over a file that stands for it, and over a pipe that gives records one by one."""

import os
from pathlib import Path

import pytest

from tablefull.live.kmsg_tail import Tail
from tablefull.live.proc import Proc

FULL = "4,1,1000000,-;nf_conntrack: nf_conntrack: table full, dropping packet\n"
OTHER = "6,2,2000000,-;usb 1-1: new device\n"
SUPPRESSED = "4,3,3000000,-;net_ratelimit: 25 callbacks suppressed\n"


class Records:
    """What os.read gives, record by record; an error stands for itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *records: str | OSError) -> None:
        self.left = list(records)
        real = os.read
        monkeypatch.setattr("tablefull.live.kmsg_tail.os.read", lambda fd, size: self.next(real, fd, size))

    def next(self, _real: object, _fd: int, _size: int) -> bytes:
        if not self.left:
            raise BlockingIOError
        record = self.left.pop(0)
        if isinstance(record, OSError):
            raise record
        return record.encode()


def tail(tmp_path: Path) -> Tail:
    (tmp_path / "dev").mkdir(exist_ok=True)
    (tmp_path / "dev/kmsg").write_text("")
    return Tail(Proc(tmp_path))


def test_what_bears_on_tracking_and_when_it_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = tail(tmp_path)
    records = Records(monkeypatch, FULL, OTHER)
    (line,) = one.more()
    assert (line.says_full, line.tracks, line.came) == (True, True, False)
    assert line.text.endswith("table full, dropping packet")
    assert one.more() == []
    records.left = [SUPPRESSED]
    (line,) = one.more()
    assert (line.says_full, line.tracks, line.came) == (False, True, True)
    one.close()


def test_overwritten_lines_are_a_gap_but_not_those_from_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = tail(tmp_path)
    records = Records(monkeypatch, BrokenPipeError(), FULL)
    assert len(one.more()) == 1
    assert one.gaps == 0  # what the ring lost before anybody looked
    records.left = [BrokenPipeError(), FULL]
    assert len(one.more()) == 1
    assert one.gaps == 1


def test_no_log_and_one_that_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    none = Tail(Proc(tmp_path / "nothing"))
    assert none.hole is not None
    assert none.more() == []
    one = tail(tmp_path)
    Records(monkeypatch, PermissionError(13, "Permission denied"))
    assert one.more() == []
    assert one.hole is not None
    one.close()
