from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.facts.origin import Hole
from tablefull.live import kmsg
from tablefull.live.proc import Proc


# Documentation/ABI/testing/dev-kmsg: "prio,sequence,microseconds,flags;text", continuation lines with a blank.
@pytest.mark.parametrize(
    ("record", "line"),
    [
        ("4,1043,11458852811070,-;nf_conntrack: table full, dropping packet", "[11458852.811070] nf_conntrack: table full, dropping packet"),
        ("6,0,5,-,caller=T1;first\n SUBSYSTEM=net\n", "[    0.000005] first"),
        ("12,9,77,-;a program wrote this", None),
        ("no record at all", None),
        ("x,y,z;text", None),
    ],
)  # fmt: skip
def test_a_record_reads_as_dmesg_prints_it(record: str, line: str | None) -> None:
    assert kmsg.dmesg_line(record) == line


@given(st.text())
def test_any_record_is_a_line_or_nothing(record: str) -> None:
    assert kmsg.dmesg_line(record) is None or kmsg.dmesg_line(record)


def test_the_journal_reads_as_dmesg_does() -> None:
    objects = [
        b'{"MESSAGE":"nf_conntrack: table full, dropping packet","_SOURCE_MONOTONIC_TIMESTAMP":"12000001","_HOSTNAME":"web01"}',
        b'{"MESSAGE":"eth0: link up","__MONOTONIC_TIMESTAMP":"1"}',
        b'{"MESSAGE":[1,2,3],"__MONOTONIC_TIMESTAMP":"1"}',
        b"not json",
    ]
    assert list(kmsg.journal_lines(objects)) == ["[   12.000001] nf_conntrack: table full, dropping packet"]


def test_only_lines_that_can_matter_are_kept(tmp_path: Path) -> None:
    (tmp_path / "var/log").mkdir(parents=True)
    (tmp_path / "var/log/messages").write_text(
        "Jan  1 00:00:00 web01 kernel: nf_conntrack: table full, dropping packet\n"
        "Jan  1 00:00:00 web01 kernel: eth0: link up\n"
        "Jan  1 00:00:00 web01 app: nf_conntrack is a word here\n"
    )
    assert kmsg.log_file(Proc(tmp_path)) == (
        "var/log/messages",
        b"Jan  1 00:00:00 web01 kernel: nf_conntrack: table full, dropping packet\n",
    )


def test_no_ring_is_a_hole(tmp_path: Path) -> None:
    assert isinstance(kmsg.read(Proc(tmp_path), lambda: True), Hole)
    assert isinstance(kmsg.log_file(Proc(tmp_path)), Hole)


def test_the_ring_is_read_without_waiting_for_its_next_message() -> None:
    assert isinstance(kmsg.read(Proc(), lambda: True), bytes | Hole)
