"""One look at a made-up /proc: numbers, holes, and counters that wrap."""

from pathlib import Path

from tablefull.facts.origin import Hole
from tablefull.live.occupancy import created, look, moved, timeouts
from tablefull.live.proc import Proc

ROOT = Path(__file__).resolve().parents[2]
# Two CPUs of Linux 6.18, as the kernel prints them.
STAT = """\
entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart
00000400  00000000 00000000 00000000 0000000a 00000000 00000000 00000001 00000000 00000002 000000ff 00000003 00000000  00000000 00000000 00000000 00000000
00000400  00000000 00000000 00000000 00000001 00000000 00000000 00000000 00000000 00000000 00000001 00000000 00000000  00000000 00000000 00000000 00000000
"""
OLD = """\
entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete
00000400  00000010 00000020 00000123 00000000 00000000 00000100 00000000 00000000 00000000 00000000 00000000 00000000  00000000 00000000 00000000
"""


def tree(root: Path, files: dict[str, str]) -> Proc:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Proc(root)


def test_count_limit_and_counters(tmp_path: Path) -> None:
    proc = tree(
        tmp_path,
        {
            "proc/sys/net/netfilter/nf_conntrack_count": "1024\n",
            "proc/sys/net/netfilter/nf_conntrack_max": "65536\n",
            "proc/net/stat/nf_conntrack": STAT,
        },
    )
    held = look(proc)
    assert (held.count, held.limit, held.source) == (1024, 65536, "/proc/net/stat/nf_conntrack")
    assert not isinstance(held.counters, Hole)
    assert [row["drop"] for row in held.counters] == [255, 1]
    assert created(held.counters) is None


def test_a_kernel_that_counts_new_entries(tmp_path: Path) -> None:
    proc = tree(tmp_path, {"proc/net/stat/ip_conntrack": OLD, "proc/sys/net/ipv4/ip_conntrack_max": "10\n"})
    held = look(proc)
    assert held.limit == 10
    assert isinstance(held.count, Hole)
    assert created(held.counters) == 0x123


def test_nothing_there_is_holes_and_never_zero(tmp_path: Path) -> None:
    held = look(Proc(tmp_path))
    assert isinstance(held.count, Hole)
    assert isinstance(held.limit, Hole)
    assert isinstance(held.counters, Hole)


def test_garbage_is_a_hole(tmp_path: Path) -> None:
    proc = tree(
        tmp_path,
        {"proc/net/stat/nf_conntrack": "entries what\nzz\n", "proc/sys/net/netfilter/nf_conntrack_count": "many\n"},
    )
    held = look(proc)
    assert isinstance(held.count, Hole)
    assert isinstance(held.counters, Hole)


def test_a_namespace_that_is_gone(tmp_path: Path) -> None:
    held = look(Proc(tmp_path), str(tmp_path / "gone"))
    assert isinstance(held.count, Hole)
    assert held.count.remedy == "the namespace has ended"
    assert "no such file" in held.count.why


def test_moved_wraps_cpu_by_cpu() -> None:
    before = ({"drop": 0xFFFFFFFF}, {"drop": 5})
    assert moved(before, ({"drop": 4}, {"drop": 6})) == {"drop": 6}


def test_moved_is_unknown_where_counters_began_anew_or_cpus_came() -> None:
    assert moved(({"drop": 500},), ({"drop": 7},)) is None
    assert moved(({"drop": 5},), ({"drop": 5}, {"drop": 0})) is None
    assert moved(Hole("x", "y"), ({"drop": 5},)) is None


def test_timeouts_that_are_there(tmp_path: Path) -> None:
    proc = tree(tmp_path, {"proc/sys/net/netfilter/nf_conntrack_udp_timeout": "45\n"})
    names = ["nf_conntrack_udp_timeout", "nf_conntrack_generic_timeout"]
    assert timeouts(proc, names) == {"nf_conntrack_udp_timeout": 45.0}
