"""Count and limit from each place where a kernel has them."""

from pathlib import Path

from tablefull.facts.origin import Hole
from tablefull.live.proc import Proc
from tablefull.live.table_size import COUNTS, LIMITS, number


def put(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_the_newest_place_that_there_is(tmp_path: Path) -> None:
    hole = number(Proc(tmp_path), LIMITS)
    assert isinstance(hole, Hole)
    assert (hole.what, hole.why) == ("/proc/sys/net/netfilter/nf_conntrack_max", "there is no such file")
    put(tmp_path, "proc/sys/net/ipv4/ip_conntrack_max", "65536\n")
    assert number(Proc(tmp_path), LIMITS) == 65536
    put(tmp_path, "proc/sys/net/nf_conntrack_max", "262144\n")
    assert number(Proc(tmp_path), LIMITS) == 262144
    put(tmp_path, COUNTS[0], "0\n")
    assert number(Proc(tmp_path), COUNTS) == 0  # zero is a number, and no reason to look further


def test_a_file_that_holds_something_else(tmp_path: Path) -> None:
    put(tmp_path, COUNTS[0], "many\n")
    assert isinstance(number(Proc(tmp_path), COUNTS), Hole)
    put(tmp_path, COUNTS[1], "7\n")
    assert number(Proc(tmp_path), COUNTS) == 7
