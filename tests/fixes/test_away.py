"""A process that nobody takes along: asked of the process itself, and of trees that stand for other hosts."""

import os
import subprocess
import sys
from pathlib import Path

from tablefull.fixes import away

HYBRID = "12:cpu,cpuacct:/user.slice\n1:name=systemd:/user.slice/user-0.slice/session-3.scope\n0::/user.slice/x\n"
MOUNTS = (
    "30 23 0:26 / {root}/cg/unified rw shared:4 - cgroup2 cgroup2 rw\n"
    "31 23 0:27 / {root}/cg/systemd rw shared:5 - cgroup cgroup rw,xattr,name=systemd\n"
    "32 23 0:28 /sub {root}/cg/wrong rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 23 0:28 / {root}/cg/a\\040b rw - cgroup cgroup rw,cpu,cpuacct\n"
)


def tree(root: Path, groups: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    (root / "proc/self/mountinfo").write_text(MOUNTS.format(root=root))
    for name in ("unified", "systemd", "wrong", "a b"):
        (root / "cg" / name).mkdir(parents=True)
        (root / "cg" / name / "cgroup.procs").write_text("")
    return root


def test_every_hierarchy_is_left_at_its_own_top(tmp_path: Path) -> None:
    root = tree(tmp_path, HYBRID)
    assert away.leave_groups(str(root)) == ""
    moved = {one.parent.name for one in root.glob("cg/*/cgroup.procs") if one.read_text() == str(os.getpid())}
    assert moved == {"unified", "systemd", "a b"}


def test_who_is_at_the_top_moves_nowhere(tmp_path: Path) -> None:
    root = tree(tmp_path, "1:name=systemd:/\n0::/\n")
    assert away.leave_groups(str(root)) == ""
    assert not any(one.read_text() for one in root.glob("cg/*/cgroup.procs"))


def test_a_group_that_cannot_be_left_is_told(tmp_path: Path) -> None:
    root = tree(tmp_path, "0::/system.slice/ssh.service\n")
    (root / "proc/self/mountinfo").write_text("")
    assert "/system.slice/ssh.service" in away.leave_groups(str(root))


def test_a_controller_alone_is_no_reason_to_worry(tmp_path: Path) -> None:
    root = tree(tmp_path, "5:memory:/user.slice\n0::/\n")
    assert away.leave_groups(str(root)) == ""


def test_nothing_is_shown_nothing_is_done(tmp_path: Path) -> None:
    assert away.groups(str(tmp_path)) == []
    assert away.mounted("", str(tmp_path)) is None


def test_session_descriptors_and_signals_are_its_own() -> None:
    code = (
        "import os, signal, sys\nfrom tablefull.fixes import away\n"
        "kept, lost = os.pipe()\nsay = os.dup(1)\n"
        "if os.fork():\n    os.wait()\n    sys.exit()\n"
        "away.leave('tablefull-test', [kept, say])\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "def here(one):\n    try:\n        return bool(os.fstat(one))\n    except OSError:\n        return False\n"
        "words = [os.getsid(0) == os.getpid(), os.getcwd(), open('/proc/self/comm').read().strip(),\n"
        "  os.readlink('/proc/self/fd/1'), here(lost), here(kept)]\n"
        "os.write(say, repr(words).encode())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[True, '/', 'tablefull-test', '/dev/null', False, True]"
