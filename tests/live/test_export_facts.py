"""What a scrape reads: each kernel's columns, what is missing, and the running kernel beside conntrack and the sysctls."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.parsers.statistics_text import COMMON, EL6, OLD, ROW, V26, V510, V515

from tablefull.live.export_facts import STATISTICS, full_share, meaning, table_facts
from tablefull.live.proc import Proc

SYSCTLS = "proc/sys/net/netfilter/"


def host(root: Path, statistics: str | None = V515 + "\n" + ROW + "\n", **sysctls: int) -> Proc:
    for name, value in sysctls.items():
        path = root / f"{SYSCTLS}nf_conntrack_{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    if statistics is not None:
        path = root / STATISTICS
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(statistics)
    return Proc(root)


@pytest.mark.parametrize(
    ("header", "row", "values", "dead"),
    [
        (EL6, ROW.rsplit(" ", 1)[0], {k: v for k, v in (COMMON | OLD).items() if k != "search_restart"}, ()),
        (V26, ROW, COMMON | OLD, ()),
        (V510, ROW, COMMON | OLD | {"clash_resolve": 0x11}, ("new", "ignore", "delete", "delete_list")),
        (V515, ROW, COMMON | OLD | {"clash_resolve": 0x11, "chain_toolong": 0x17}, ("new", "ignore", "delete")),
    ],
)
def test_each_era_summed_over_two_cpus(
    tmp_path: Path, header: str, row: str, values: dict[str, int], dead: tuple[str, ...]
) -> None:
    if header in (V510, V515):
        values = {k: v for k, v in values.items() if k != "searched"}
    if header == V515:
        values = {k: v for k, v in values.items() if k != "delete_list"}
    facts = table_facts(host(tmp_path, f"{header}\n{row}\n{row}\n", count=15, max=100, buckets=64))
    assert facts.counters == {name: 2 * value for name, value in values.items()}
    assert set(facts.dead) == set(dead)
    assert (facts.count, facts.limit, facts.buckets) == (15, 100, 64)
    assert [hole.what for hole in facts.holes] == []


def test_the_count_of_the_statistics_where_the_sysctl_is_hidden(tmp_path: Path) -> None:
    facts = table_facts(host(tmp_path, max=100, buckets=1))
    assert facts.count == 0x0F
    assert facts.holes == []


def test_nothing_is_there(tmp_path: Path) -> None:
    facts = table_facts(Proc(tmp_path))
    assert (facts.count, facts.limit, facts.buckets, facts.counters) == (None, None, None, {})
    assert {hole.what for hole in facts.holes} == {
        "/" + STATISTICS, *(f"/{SYSCTLS}nf_conntrack_{name}" for name in ("count", "max", "buckets"))
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "entries\n",
        "a b c\n1 2 3\n",
        V515 + "\n",
        V515 + "\n" + ROW[:60] + "\n",
        V515 + "\n" + ROW.replace("1a", "zz"),
    ],
)
def test_a_damaged_file_is_a_hole_and_no_zero(tmp_path: Path, text: str) -> None:
    facts = table_facts(host(tmp_path, text, count=1, max=2, buckets=3))
    assert facts.counters == {}
    assert [hole.what for hole in facts.holes] == ["/" + STATISTICS]


def test_shares() -> None:
    assert full_share(25, 100) == 0.25
    assert full_share(25, 0) is None  # 0 is no limit
    assert full_share(None, 100) is None
    assert full_share(25, None) is None


def test_meanings_by_version() -> None:
    assert "always 0" in meaning("ignore", "6.1.0-41-amd64")
    assert "already had an entry" in meaning("ignore", "4.19.0")
    assert meaning("nonsense", "6.1.0") == ""
    assert meaning("insert", "") == ""


@pytest.mark.realkernel
def test_the_running_kernel(program: Callable[[str], str]) -> None:
    """Count and limit as the sysctls have them; counters as conntrack -S sums to."""
    import subprocess
    import sys

    from tests.realkernel.table_space import table_space

    conntrack = program("conntrack")
    code = (
        "import json; from tablefull.live.export_facts import table_facts; from tablefull.live.proc import Proc\n"
        "f = table_facts(Proc(), {}); print(json.dumps([f.count, f.limit, f.buckets, f.counters, len(f.holes)]))"
    )
    with table_space() as space:
        space.fill(1234)
        import json

        count, limit, buckets, counters, holes = json.loads(space.run(sys.executable, "-c", code.format(False)))
        listed = space.run("sysctl", "-n", *(f"net.netfilter.nf_conntrack_{n}" for n in ("count", "max", "buckets")))
        assert [count, limit, buckets] == [int(word) for word in listed.split()]
        assert (count, holes) == (1234, 0)
        told: dict[str, int] = {}
        for line in space.run(conntrack, "-S").splitlines():
            for word in line.split()[1:]:
                name, _, value = word.partition("=")
                told[name] = told.get(name, 0) + int(value)
        assert told["insert"] == 1234
        for name, value in told.items():
            ours = {"chaintoolong": "chain_toolong"}.get(name, name)
            assert counters[ours] == value, name
        done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
        assert space.name in done.stdout
