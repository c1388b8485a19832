"""A process that nobody takes along: its own session, its own descriptors, no signal of a terminal, no cgroup of it.

The trap: a session ends in more ways than a hang-up. systemd ends what is left in the session's control group
(logind's KillUserProcesses, `systemctl stop ssh@…`), whoever made a session of its own there or not; so the process
leaves that group too, where the kernel lets it, and says so where it does not.
"""

import os
import re
import signal
from collections.abc import Iterable
from contextlib import suppress

_SPECIAL = re.compile(r"\\([0-7]{3})")
_PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 15, 36  # include/uapi/linux/prctl.h
HIGHEST_FD = 1 << 16


def leave(name: str, keep: Iterable[int]) -> str:
    """Become such a process; ``keep`` are the descriptors that stay open. Empty, or what could still end it."""
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTSTP, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    _descriptors(set(keep))
    call(name)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write("-1000")  # Documentation/filesystems/proc.rst 3.1: never chosen
    return leave_groups()


def leave_groups(root: str = "/") -> str:
    """Move to the top of every hierarchy of control groups. Empty, or which could not be left, and what that means."""
    held = []
    for controllers, group in groups(root):
        if group == "/":
            continue
        place = mounted(controllers, root)
        try:
            if place is None:
                raise OSError
            with open(f"{place}/cgroup.procs", "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(str(os.getpid()))
        except OSError:
            if controllers in ("", "name=systemd"):
                held.append(group)
    if not held:
        return ""
    return f"it is still in the control group {held[0]}: what ends that whole group ends the undoing too"


def groups(root: str = "/") -> list[tuple[str, str]]:
    """Controllers ("" for version 2, ``name=systemd``, ``cpu,cpuacct``) and group of this process."""
    try:
        with open(f"{root}/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            lines = file.read().splitlines()
    except OSError:
        return []
    return [(parts[1], parts[2]) for line in lines if len(parts := line.split(":", 2)) == 3]


def mounted(controllers: str, root: str = "/") -> str | None:
    """Where the top of a hierarchy is mounted; None where it is not.

    Fields as in Documentation/filesystems/proc.rst 3.5: 4 is the root of the mount, 5 its place, and behind the
    hyphen the type and the options.
    """
    try:
        with open(f"{root}/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        front, _, back = line.partition(" - ")
        fields, kind = front.split(), back.split()
        if len(fields) < 5 or len(kind) < 3 or fields[3] != "/":
            continue
        fits = kind[0] == "cgroup2" if not controllers else kind[0] == "cgroup" and _same(controllers, kind[2])
        if fits:
            return _SPECIAL.sub(lambda found: chr(int(found[1], 8)), fields[4])
    return None


def _same(controllers: str, options: str) -> bool:
    return set(controllers.split(",")) <= set(options.split(","))


def _descriptors(keep: set[int]) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        if number not in keep:
            os.dup2(nowhere, number)
    begin = 3
    for number in sorted(one for one in keep if one > 2):
        os.closerange(begin, number)
        begin = number + 1
    os.closerange(begin, HIGHEST_FD)


def call(name: str) -> None:
    """What `ps` shows this process as."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def adopt() -> None:
    """Take the children of children that die: who goes on after one waits for what that one had started."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
