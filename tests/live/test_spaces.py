"""Namespaces beside each other."""

import os

import pytest
from tests.realkernel.table_space import table_space

from tablefull.errors import UsageError
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


def test_no_such_namespace() -> None:
    for asked in (one, place):
        with pytest.raises(UsageError, match="no such namespace"):
            asked(Proc(), "nope\x1b[2J")
        with pytest.raises(UsageError, match="no process has this number"):
            asked(Proc(), "999999999")
