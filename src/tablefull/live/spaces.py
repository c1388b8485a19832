"""The network namespaces of a host beside each other: who is in them, how many entries each holds.

The trap: the limit is one number for the whole host, and each namespace's own count is held against it (KERNEL.md
2.2): together they may hold more than it says, and one of them may be full, and lose packets, while the host's own
table looks idle.
"""

import time

from msgspec import Struct

from tablefull.errors import TablefullError, UsageError
from tablefull.facts.origin import Hole
from tablefull.live import netns
from tablefull.live.collection import Namespace, safe
from tablefull.live.netlink import in_namespace
from tablefull.live.proc import Proc
from tablefull.live.table import counts
from tablefull.live.table_look import OWN

TIME_S = 5.0
_COUNT = "/proc/sys/net/netfilter/nf_conntrack_count"
_MAX = "/proc/sys/net/netfilter/nf_conntrack_max"


class Space(Struct, frozen=True):
    """One namespace. ``count`` None: not told, and ``why``. ``path``: by which it is entered, None for this one."""

    key: str
    path: str | None
    inode: int
    count: int | None
    limit: int | None
    processes: int = 0
    command: str = ""
    role: str = "namespace"
    cgroup: str = ""
    why: str = ""


def all_of(proc: Proc, ask: bool = True) -> tuple[list[Space], list[Hole]]:
    """Every namespace, this one first; and what could not be told. ``ask``: whether ctnetlink may be asked."""
    deadline = time.monotonic() + TIME_S
    others, holes = netns.found(proc, lambda: time.monotonic() < deadline)
    found = [space_of(OWN, None, proc.inode("proc/self/ns/net"), ask)]
    found += [space_of(space.key, netns.path_of(proc, space), space.inode, ask, space) for space in others]
    return found, holes


def place(proc: Proc, name: str) -> tuple[str, str]:
    """Key and path of a namespace by its name, process id or path, without asking it anything.

    UsageError where there is none.
    """
    found = _by_name(proc, name)
    if found is not None:
        return found
    key, path, _, _ = _named(proc, name)
    return key, path


def _by_name(proc: Proc, name: str) -> tuple[str, str] | None:
    """Where ``ip netns`` keeps it, without a look at every process, of which a host has thousands.

    None where it is not there, or is the namespace that the program stands in.
    """
    if "/" in name or name in ("", ".", "..") or name.isdecimal():
        return None
    for folder in netns.NAMED:
        inode = proc.inode(f"{folder}/{name}")
        if isinstance(inode, int):
            return None if inode == proc.inode("proc/self/ns/net") else (safe(name), proc.path(f"{folder}/{name}"))
    return None


def one(proc: Proc, name: str) -> Space:
    """A namespace by name, process id or path, with its count. UsageError where there is none."""
    key, path, inode, told = _named(proc, name)
    return space_of(key, path, inode, True, told)


def _named(proc: Proc, name: str) -> tuple[str, str, int, Namespace | None]:
    """Key, path and inode, and what else was found out on the way."""
    if name.isdecimal():
        inode = proc.inode(f"proc/{name}/ns/net")
        if isinstance(inode, Hole):
            raise UsageError(f"--netns {name}: no process has this number, or it may not be asked")
        return name, proc.path(f"proc/{name}/ns/net"), inode, None
    others, _ = netns.found(proc, lambda: True)
    for space in others:
        if name in (space.key, space.name):
            return space.key, netns.path_of(proc, space), space.inode, space
    known = ", ".join(sorted(space.key for space in others)[:8]) or "none beside this one"
    raise UsageError(f"--netns {name[:60]!a}: no such namespace; there are {known}")


def space_of(key: str, path: str | None, inode: object, ask: bool, told: Namespace | None = None) -> Space:
    """One namespace with its count, by ctnetlink where that may be asked, else from its files."""
    count: int | None
    try:
        count, limit = counts(path) if ask else count_of_files(path)
        why = ""
    except (TablefullError, OSError) as error:
        try:
            count, limit = count_of_files(path)
            why = ""
        except (OSError, ValueError):
            count, limit, why = None, None, str(error)
    number = inode if isinstance(inode, int) else 0
    if told is None:
        return Space(key, path, number, count, limit, why=why)
    return Space(
        *(key, path, number, count, limit, told.processes, told.command, told.role, told.cgroup.strip()[-200:], why)
    )


def count_of_files(path: str | None) -> tuple[int, int | None]:
    """Count and limit from /proc/sys as seen in a namespace; OSError where they are not there."""

    def read() -> tuple[int, int | None]:
        with open(_COUNT, encoding="ascii") as file:  # noqa: PTH123 - in the thread that entered the namespace
            count = int(file.read())
        try:
            with open(_MAX, encoding="ascii") as file:  # noqa: PTH123
                return count, int(file.read())
        except OSError:
            return count, None

    return in_namespace(path, read)
