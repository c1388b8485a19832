"""The graph as /proc/modules and /sys/module print it; the order is counted by hand."""

from pathlib import Path

from tablefull.live.module_graph import Loaded, above, read
from tablefull.live.proc import Proc

MODULES = """\
iptable_nat 13182 0 - Live 0xffffffffa0231000
nf_nat 25891 1 iptable_nat, Live 0xffffffffa0229000
nf_conntrack_ipv4 19716 3 iptable_nat,nf_nat, Live 0xffffffffa0223000
nf_conntrack 81926 5 iptable_nat,nf_nat,nf_conntrack_ipv4, Live 0xffffffffa020e000
x 1 1 [permanent], Live 0x0
"""


def planted(root: Path) -> Proc:
    (root / "proc").mkdir()
    (root / "proc/modules").write_text(MODULES)
    return Proc(root)


def test_who_holds_whom(tmp_path: Path) -> None:
    graph = read(planted(tmp_path))
    assert graph["nf_conntrack"] == Loaded("nf_conntrack", 5, ("iptable_nat", "nf_nat", "nf_conntrack_ipv4"))
    assert graph["nf_conntrack"].others == 2
    assert graph["iptable_nat"].others == 0
    assert graph["x"].holders == ()


def test_sys_beats_proc_where_it_is_there(tmp_path: Path) -> None:
    proc = planted(tmp_path)
    (tmp_path / "sys/module/nf_nat/holders/xt_nat").mkdir(parents=True)
    (tmp_path / "sys/module/nf_nat/refcnt").write_text("4\n")
    assert read(proc)["nf_nat"] == Loaded("nf_nat", 4, ("xt_nat",))


def test_a_kernel_that_cannot_unload_tells_no_count(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/modules").write_text("nf_conntrack 81926 - - Live 0x0\n")
    (one,) = read(Proc(tmp_path)).values()
    assert one.references is None
    assert one.others is None


def test_who_holds_leaves_first(tmp_path: Path) -> None:
    graph = read(planted(tmp_path))
    assert above(graph, ("nf_conntrack",)) == ("iptable_nat", "nf_nat", "nf_conntrack_ipv4", "nf_conntrack")
    assert above(graph, ("nothing",)) == ()


def test_a_circle_ends() -> None:
    graph = {"a": Loaded("a", 1, ("b",)), "b": Loaded("b", 1, ("a",))}
    assert set(above(graph, ("a",))) == {"a", "b"}


def test_no_modules_at_all(tmp_path: Path) -> None:
    assert read(Proc(tmp_path)) == {}
