"""Namespaces seen without a right: equal to what root is told, and what is hidden is said to be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.parsers.statistics_text import ROW, V515
from tests.realkernel.table_space import TableSpace, table_space

from tablefull.live import export_spaces
from tablefull.live.export_spaces import FILE, HOST, OWN, count, gone, places
from tablefull.live.proc import Proc
from tablefull.live.spaces import all_of

STAT = (V515 + "\n" + ROW + "\n").encode()
HOSTILE = 'a"b\\c\nd'


def process(root: Path, pid: str, content: bytes = STAT, cgroup: str = "0::/\n", comm: str = "sleep") -> Path:
    folder = root / "proc" / pid
    (folder / FILE).parent.mkdir(parents=True)
    (folder / FILE).write_bytes(content)
    (folder / "cgroup").write_text(cgroup)
    (folder / "comm").write_text(comm + "\n")
    return folder


def link(root: Path, pid: str, other: str) -> None:
    """A process in the namespace of another: the same file."""
    folder = root / "proc" / pid
    (folder / FILE).parent.mkdir(parents=True)
    os.link(root / "proc" / other / FILE, folder / FILE)


def always() -> bool:
    return True


def test_processes_with_the_same_file_are_one_namespace(tmp_path: Path) -> None:
    process(tmp_path, "1")
    link(tmp_path, "self", "1")
    process(tmp_path, "30", cgroup="0::/system.slice/docker-0123456789abcdef0123.scope\n", comm=HOSTILE)
    link(tmp_path, "31", "30")
    process(tmp_path, "40")
    found, holes = places(Proc(tmp_path), always)
    assert [place.key for place in found[:2]] == [HOST, "0123456789ab"]
    assert found[2].key == f"unnamed-{found[2].number}"  # without the right to trace its number is not shown
    assert [place.own for place in found] == [True, False, False]
    assert (found[1].role, found[1].container, found[1].command) == ("container", "0123456789ab", HOSTILE)
    assert holes == []
    counts = count(Proc(tmp_path), found, 2)
    assert [(one.place.key, one.count) for one in counts.shown] == [(HOST, 15), ("0123456789ab", 15)]
    assert (counts.rest, counts.rest_entries, counts.total) == (1, 15, 45)
    assert counts.shown[0].counters is not None
    assert counts.shown[0].counters["drop"] == 0x1A


def test_a_process_of_another_namespace_under_the_same_number(tmp_path: Path) -> None:
    process(tmp_path, "self")
    process(tmp_path, "30")
    found, _ = places(Proc(tmp_path), always)
    assert found[0].key == OWN
    assert not gone(Proc(tmp_path), found)
    (tmp_path / "proc/30" / FILE).rename(tmp_path / "kept")  # its inode is not given out again
    (tmp_path / "proc/30" / FILE).write_bytes(STAT.replace(b"0000000f", b"000000ff"))
    assert gone(Proc(tmp_path), found)
    assert [one.place.key for one in count(Proc(tmp_path), found, 9).shown] == [OWN]


def test_the_largest_are_shown_and_the_own_one_always(tmp_path: Path) -> None:
    process(tmp_path, "self", STAT.replace(b"0000000f", b"00000000"))
    for number in range(20):
        process(tmp_path, str(100 + number), STAT.replace(b"0000000f", f"{number:08x}".encode()))
    found, _ = places(Proc(tmp_path), always)
    counts = count(Proc(tmp_path), found, 4)
    assert [one.count for one in counts.shown] == [0, 19, 18, 17]
    assert counts.rest == 17
    assert counts.rest_entries == sum(range(17))


def test_time_that_ran_out_is_told(tmp_path: Path) -> None:
    process(tmp_path, "self")
    process(tmp_path, "30")
    found, holes = places(Proc(tmp_path), lambda: False)
    assert len(found) == 1
    assert "in the time given" in holes[0].why


def test_processes_that_are_hidden_and_that_ended(tmp_path: Path) -> None:
    process(tmp_path, "self")
    (tmp_path / "proc/30").mkdir()  # a zombie: its folder is there, its namespace is not
    _, holes = places(Proc(tmp_path), always)
    assert ["hidepid" in hole.why for hole in holes] == [True]
    process(tmp_path, "1")
    assert places(Proc(tmp_path), always)[1] == []
    (tmp_path / "proc/40").write_text("no folder")  # refused for another reason than that it is not there
    assert [hole.why for hole in places(Proc(tmp_path), always)[1]] == ["not shown for some processes"]


def test_no_proc(tmp_path: Path) -> None:
    found, holes = places(Proc(tmp_path), always)
    assert found == []
    assert holes[0].what == "network namespaces"


def sleeper(space: TableSpace) -> "subprocess.Popen[bytes]":
    held = subprocess.Popen(
        ["ip", "netns", "exec", space.name, "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE
    )
    assert held.stdout is not None
    held.stdout.readline()
    return held


@pytest.mark.realkernel
def test_root_is_told_the_same_as_by_entering_each() -> None:
    with table_space() as first, table_space() as second:
        first.fill(30)
        second.fill(20)
        held = sleeper(first)  # the second has a name and no process
        try:
            found, _ = places(Proc(), always)
            counts = count(Proc(), found, 1000)
            ours = {one.place.key: one.count for one in counts.shown}
            entered = {space.key: space.count for space in all_of(Proc())[0]}
        finally:
            held.kill()
            held.communicate()
        for space in (first, second):
            assert ours[space.name] == entered[space.name]
        assert (ours[first.name], ours[second.name]) == (30, 20)
        inserted = {one.place.key: (one.counters or {})["insert"] for one in counts.shown if one.place.key in ours}
        assert (inserted[first.name], inserted[second.name]) == (30, 20)  # counters are each namespace's own
        assert gone(Proc(), found)


@pytest.mark.realkernel
def test_nobody_sees_them_too() -> None:
    """Another user, no capability: counts of namespaces with a process; of the others that they are not seen."""
    code = (
        "import os, json\n"
        "from tablefull.live.export_spaces import count, places\n"
        "from tablefull.live.proc import Proc\n"
        "import tablefull.live.table, tablefull.kernel.uapi, ctypes\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "found, holes = places(Proc(), lambda: True)\n"
        "counts = count(Proc(), found, 1000)\n"
        "print(json.dumps([os.geteuid(), [[o.count, o.counters['insert']] for o in counts.shown], [h.what for h in holes]]))\n"
    )
    with table_space() as first, table_space() as second:
        first.fill(4321)
        second.fill(1234)
        held = sleeper(first)
        try:
            world = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=world)
        finally:
            held.kill()
            held.communicate()
    assert done.returncode == 0, done.stderr
    user, counts, holes = json.loads(done.stdout)
    assert user == 65534
    assert [4321, 4321] in counts
    assert [1234, 1234] not in counts
    assert "named network namespaces" in holes


@pytest.mark.realkernel
def test_a_kernel_without_the_statistics_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each namespace is entered, as on kernels without CONFIG_NF_CONNTRACK_PROCFS."""
    monkeypatch.setattr(export_spaces, "FILE", "net/stat/not_there")
    monkeypatch.setattr(export_spaces, "STATISTICS", "proc/net/stat/not_there")
    with table_space() as space:
        space.fill(77)
        found, _ = places(Proc(), always)
        for ask in (True, False):
            counts = count(Proc(), found, 1000, ask)
            told = {one.place.key: (one.count, one.counters) for one in counts.shown}
            assert told[space.name] == (77, None)
            assert counts.shown[0].place.own
