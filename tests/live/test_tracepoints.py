"""The tracepoint beside real processes; the kernel names them."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.realkernel.namespace import Namespace

from tablefull.errors import Unreadable
from tablefull.live.proc import Proc
from tablefull.live.rule_news import REPLACES
from tablefull.live.tracepoints import Reached, Tracepoint, _processors


def heard(tracepoint: Tracepoint, inode: int, count: int) -> list[Reached]:
    found: list[Reached] = []
    deadline = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        select.select(tracepoint.descriptors(), [], [], 0.2)
        found += [one for one in tracepoint.read() if one.inode == inode]
    return found


@pytest.mark.realkernel
def test_who_replaces_a_table_is_named_with_the_namespace(program: Callable[[str], str]) -> None:
    program("iptables-legacy")
    mounts = Path("/proc/self/mounts").read_text()
    with Namespace() as space, Tracepoint(Proc(), "syscalls", "sys_enter_setsockopt", REPLACES) as tracepoint:
        space.run("iptables-legacy", "-L")  # lists, and replaces nothing
        space.run("iptables-legacy", "-A", "INPUT", "-j", "ACCEPT")
        space.run("ip6tables-legacy", "-A", "INPUT", "-j", "ACCEPT")
        found = heard(tracepoint, space.inode, 2)
    assert [one.name for one in found] == ["iptables-legacy"[:15], "ip6tables-legacy"[:15]]
    assert tracepoint.descriptors() == []
    assert Path("/proc/self/mounts").read_text() == mounts


@pytest.mark.realkernel
def test_a_tracepoint_that_is_not_there() -> None:
    with pytest.raises(Unreadable, match="no_such_call"):
        Tracepoint(Proc(), "syscalls", "no_such_call", REPLACES)


@pytest.mark.realkernel
def test_without_rights() -> None:
    code = (
        "import os, signal\n"
        "from tablefull.live import tracepoints\n"
        "from tablefull.live.proc import Proc\n"
        "from tablefull.errors import Unreadable\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: tracepoints.Tracepoint(Proc(), 'syscalls', 'sys_enter_setsockopt', 'optname == 64')\n"
        "except Unreadable as error: print(error)\n"
    )
    world = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=world)
    assert told.stdout.startswith("tracepoint syscalls:sys_enter_setsockopt"), told.stderr
    assert told.stdout.count("\n") == 1


def test_processors(tmp_path: Path) -> None:
    folder = tmp_path / "sys/devices/system/cpu"
    folder.mkdir(parents=True)
    (folder / "online").write_text("0-2,5\n")
    assert _processors(Proc(tmp_path)) == [0, 1, 2, 5]
