"""Collecting leaves the kernel as it was: no module, table, setting, process or namespace more than before.

Everything runs in namespaces of its own (``room.py``), so that what other tests do meanwhile is not seen.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.realkernel import host_limits

from tablefull.live import script
from tablefull.live.collect import SAMPLE_ROWS

pytestmark = pytest.mark.realkernel

_SPEC = importlib.util.spec_from_file_location("room", Path(__file__).with_name("room.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
_ROOM = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_ROOM)
inside = _ROOM.inside

PROMISED_S = 30
ENTRIES = 100_000
PYTHON = (
    "from tablefull.live.collect import collect, snapshot\n"
    "c = collect(); snapshot(c); print(len(c.artefacts), len(c.namespaces))"
)
COLLECTORS = {
    "python": [sys.executable, "-c", PYTHON],
    "dash": ["dash", "-s"],
    "busybox ash": ["busybox", "ash", "-s"],
    "bash --posix": ["bash", "--posix", "-s"],
}


def command(collector: str) -> str:
    """The call of ``room.run`` for a collector, as code."""
    return f"run({COLLECTORS[collector]!r}, {None if collector == 'python' else script.text()!r})"


@pytest.fixture(autouse=True)
def programs(program: Callable[[str], str]) -> Iterator[None]:
    for name in ("unshare", "ip", "nft", "iptables-legacy", "conntrack", "busybox", "dash"):
        program(name)
    with host_limits.shared():  # another test may change the host's limits, and does not while this one looks
        yield


@pytest.mark.parametrize("collector", COLLECTORS)
@pytest.mark.parametrize("used", [False, True], ids=["bare", "with rules"])
def test_nothing_is_changed_by_looking(collector: str, used: bool) -> None:
    status, out, errors, before, after = inside(
        f"setup(legacy={used}, tracked={used})\n"
        "before = state()\n"
        f"status, out, errors, _ = {command(collector)}\n"
        "settled(before['processes'])\n"
        "tell([status, out, errors, before, state()])\n"
    )
    assert (status, errors) == (0, "")
    assert out.strip()
    for what in before:
        assert after[what] == before[what], what
    for space in ("None", "empty", "blue"):
        assert bool(before[f"nft {space}"]) == (used and space != "empty")
        assert before[f"ip_tables {space}"] == ("filter\n" if used and space == "None" else "")


def test_the_named_namespaces_are_collected_too() -> None:
    status, told, errors, _ = inside(f"setup(); tell({command('python')})")
    assert (status, errors) == (0, "")
    assert int(told.split()[1]) == 2


@pytest.mark.parametrize("collector", [name for name in COLLECTORS if name != "python"])
def test_and_by_the_script_each_as_a_host_of_its_own(collector: str) -> None:
    status, told, errors, _ = inside(f"setup(tracked=True); tell({command(collector)})")
    assert (status, errors) == (0, "")
    for space in ("blue", "empty"):
        assert f".netns.{space}:~# grep '' /proc/sys/net/netfilter/" in told
    assert told.count("ct state new counter") == 2


def test_a_namespace_without_a_name_is_found_by_its_process() -> None:
    inode, spaces, listed = inside(
        "setup()\n"
        "words = ['unshare', '--net', '--uts', 'sh', '-c', 'hostname pod-a1; echo; exec sleep 900']\n"
        "held = subprocess.Popen(words, stdout=subprocess.PIPE)\n"
        "held.stdout.readline()\n"
        "from tablefull.live.collect import collect\n"
        "spaces = collect().namespaces\n"
        "inode = os.stat(f'/proc/{held.pid}/ns/net').st_ino\n"
        f"script = {command('dash')}[1]\n"
        "held.kill(); held.wait()\n"
        "tell([inode, [[s.inode, s.hostname, s.name] for s in spaces], script.count(f'.netns.{inode}:') > 0])\n"
    )
    assert [inode, "pod-a1", None] in spaces
    assert {space[2] for space in spaces} == {"blue", "empty", None}
    assert listed


def test_collecting_stays_in_its_own_namespaces() -> None:
    before, after = inside(
        "setup()\n"
        "from tablefull.live.collect import collect\n"
        "def own(): return [os.readlink(f'/proc/self/ns/{kind}') for kind in ('net', 'uts', 'mnt')]\n"
        "before = own(); collect(); tell([before, own()])\n"
    )
    assert before == after


@pytest.mark.slow
@pytest.mark.parametrize("collector", COLLECTORS)
def test_a_long_table_costs_little_more_than_a_short_one(collector: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The figure is a ratio to reading the whole table once; the script's own promise is the only time asserted."""
    count, whole, cat_s, status, errors, took_s, rows = inside(
        "setup(tracked=True)\n"
        f"count = fill({ENTRIES})\n"
        "started = time.monotonic()\n"
        "done = subprocess.run(['cat', '/proc/net/nf_conntrack'], stdout=subprocess.PIPE)\n"
        "cat_s = time.monotonic() - started\n"
        f"status, out, errors, took_s = {command(collector)}\n"
        "whole = done.stdout.count(b'\\n')\n"
        "tell([count, whole, cat_s, status, errors, took_s, out.count('src=127.0.0.1') // 2])\n"
    )
    assert count > ENTRIES * 0.9
    assert (status, errors) == (0, "")
    assert took_s < PROMISED_S
    assert rows <= SAMPLE_ROWS
    assert collector == "python" or rows > 0
    with capsys.disabled():
        ratio = f"{took_s / cat_s:.1f} × `cat` of it"
        print(f"\n{collector}: {took_s:.2f} s beside a table of {count} ({whole} listed): {ratio}")


def test_a_listing_program_is_ended_when_it_has_said_enough() -> None:
    lines, cut, left = inside(
        "setup(tracked=True)\n"
        f"fill({ENTRIES})\n"
        "from tablefull.live.programs import run as ask\n"
        "ran = ask(('conntrack', '-L'), timeout_s=60, most_lines=100)\n"
        "tell([ran.out.count(b'\\n'), ran.cut, alive('conntrack')])\n"
    )
    assert (lines, cut, left) == (100, True, [])


def test_ctrl_c_in_the_middle_leaves_no_process() -> None:
    """The interrupt comes while a namespace is being read by a program that never ends."""
    code = (
        "import os\n"
        "from tablefull.live import collect, programs\n"
        "own = os.readlink('/proc/self/ns/net')\n"
        "collect.NAMESPACE_S = collect.PROGRAM_S = 900\n"
        "def run(argv, **more):\n"
        "    if os.readlink('/proc/self/ns/net') != own:\n"
        "        argv = ('sleep', '900')\n"
        "    return programs.run(argv, **more)\n"
        "collect.collect(budget_s=900, run=run)\n"
    )
    assert inside(
        "import signal\n"
        "setup()\n"
        f"held = subprocess.Popen([sys.executable, '-c', {code!r}], stderr=subprocess.DEVNULL)\n"
        "deadline = time.monotonic() + 60\n"
        "while not alive('sleep'):\n"
        "    assert time.monotonic() < deadline and held.poll() is None\n"
        "held.send_signal(signal.SIGINT)\n"
        "held.wait(60)\n"
        "while alive('sleep'):\n"
        "    assert time.monotonic() < deadline, 'left behind'\n"
        "tell('none left')\n"
    ) == "none left"  # fmt: skip


def test_another_user_gets_holes_and_no_error() -> None:
    code = (
        "import os, json, sys\n"
        "from tablefull.live.collect import collect, snapshot\n"
        "snapshot(collect())\n"  # everything is imported before the rights go: the interpreter may be root's alone
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "c = collect()\n"
        "print(json.dumps([c.root, len(c.artefacts), [[h.what, h.remedy] for h in c.holes]]))\n"
    )
    world = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=world)
    assert done.returncode == 0, done.stderr
    root, artefacts, holes = json.loads(done.stdout)
    assert not root
    assert artefacts
    assert any("sudo tablefull" in remedy for _, remedy in holes)
    assert any(what == "nft list ruleset" for what, _ in holes)


def test_what_there_was_no_time_for_is_named() -> None:
    took_s, read, late = inside(
        "setup()\n"
        "for n in range(40): subprocess.run(['ip', 'netns', 'add', f'n{n}'], check=True)\n"
        "from tablefull.live.collect import collect\n"
        "started = time.monotonic(); c = collect(budget_s=0.2); took_s = time.monotonic() - started\n"
        "tell([took_s, len(c.namespaces), [h.what for h in c.holes if 'no time' in h.why]])\n"
    )
    assert took_s < PROMISED_S
    assert read < 42
    assert any("network namespaces" in what for what in late)
