"""Namespaces beside each other."""

import os
from pathlib import Path

import pytest
from tests.realkernel.table_space import table_space

from tablefull.errors import UsageError
from tablefull.facts.origin import Hole
from tablefull.live.proc import Proc
from tablefull.live.spaces import all_of, count_of_files, one, place
from tablefull.live.table_look import OWN


@pytest.mark.realkernel
def test_each_with_its_count_and_one_limit() -> None:
    with table_space() as first, table_space() as second:
        first.fill(30)
        second.fill(20)
        for ask in (True, False):
            spaces, _ = all_of(Proc(), ask)
            counts = {space.key: space.count for space in spaces}
            assert (counts[first.name], counts[second.name]) == (30, 20)
            assert spaces[0].key == OWN
            assert len({space.limit for space in spaces if space.limit is not None}) == 1
        assert count_of_files(first.path)[0] == 30
        assert one(Proc(), first.name).count == 30
        assert one(Proc(), str(os.getpid())).inode
        assert place(Proc(), first.name) == (first.name, first.path)
        assert place(Proc(), str(os.getpid())) == (str(os.getpid()), f"/proc/{os.getpid()}/ns/net")


class NoProcesses(Proc):
    """A host on which nobody may go through the processes."""

    def names(self, folder: str) -> list[str] | Hole:
        assert folder != "proc"
        return super().names(folder)


def test_a_name_is_found_without_a_look_at_the_processes(tmp_path: Path) -> None:
    for name in ("proc/self/ns/net", "run/netns/blue", "var/run/netns/blue", "run/docker/netns/1a2b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    proc = NoProcesses(tmp_path)
    assert place(proc, "blue") == ("blue", str(tmp_path / "run/netns/blue"))
    assert place(proc, "1a2b") == ("1a2b", str(tmp_path / "run/docker/netns/1a2b"))
    (tmp_path / "run/netns/own").hardlink_to(tmp_path / "proc/self/ns/net")
    with pytest.raises(AssertionError):
        place(proc, "own")  # the long way, which leaves the own one out
    for other in ("../netns/blue", "..", "", "red"):
        with pytest.raises(UsageError, match="no such namespace"):
            place(Proc(tmp_path), other)


def test_no_such_namespace() -> None:
    for asked in (one, place):
        with pytest.raises(UsageError, match="no such namespace"):
            asked(Proc(), "nope\x1b[2J")
        with pytest.raises(UsageError, match="no process has this number"):
            asked(Proc(), "999999999")
