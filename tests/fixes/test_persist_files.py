"""Whose file it is."""

from pathlib import Path

import pytest
from tests.fixes.boot_trees import host

from tablefull.fixes.persist_files import NotOurs, head, ours, own_file


def test_a_mark_in_the_first_line_or_after_the_interpreter() -> None:
    assert ours(head("raise-max") + "\nx\n")
    assert ours("#!/bin/sh\n" + head("raise-max"))
    assert not ours("# a person's\n" + head("raise-max"))
    assert not ours("")


def test_a_new_file_one_of_ours_and_one_of_a_person(tmp_path: Path) -> None:
    mine = head("raise-max") + "\nold\n"
    here = host("debian-12", tmp_path, {"etc/a.conf": mine, "etc/b.conf": "a person's\n"})
    assert own_file(here, "/etc/new.conf", "x").before is None
    assert own_file(here, "/etc/a.conf", "x").before == mine
    with pytest.raises(NotOurs, match=r"/etc/b\.conf is there and does not carry the mark"):
        own_file(here, "/etc/b.conf", "x")


def test_a_link_is_never_ours(tmp_path: Path) -> None:
    here = host("debian-12", tmp_path)
    (Path(here.proc.root) / "etc/link.conf").symlink_to("nowhere")
    with pytest.raises(NotOurs, match="no plain file"):
        own_file(here, "/etc/link.conf", "x")
