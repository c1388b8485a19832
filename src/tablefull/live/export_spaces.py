"""Every network namespace with its count and its losses, without a capability.

The trap: the limit is the host's and the counters are each namespace's own, so a container that loses packets shows in
no counter of the host. To enter a namespace takes CAP_SYS_ADMIN and to learn its number takes the right to trace one of
its processes; but ``/proc/PID/net`` shows anybody the files of that process's namespace, and the inode number of one of
them, which the kernel gives out anew for every namespace, tells the namespaces apart [fs/proc/generic.c 6.18:
proc_alloc_inum in proc_register; net/netfilter/nf_conntrack_standalone.c: mode 0444; measured on 6.18.44].
"""

import os
from collections.abc import Callable

from msgspec import Struct, field

from tablefull.facts.origin import Hole
from tablefull.live import netns, spaces
from tablefull.live.collection import Namespace, with_key
from tablefull.live.export_facts import STATISTICS
from tablefull.live.netlink import in_namespace
from tablefull.live.proc import Proc, missing
from tablefull.parsers import conntrack_stat

FILE = "net/stat/nf_conntrack"
HOST, OWN = "init", "own"  # the namespace of process 1, as live/netns.py has it; the exporter's, where it is another
MOST_NAMED_HOLES = 10


class Place(Struct, frozen=True):
    """Where a namespace is read: below ``folder`` of /proc, or by entering ``path``; one of them, or it is the own one.

    ``number`` tells it from others: the inode of the file, or that of the namespace below zero.
    """

    key: str
    number: int
    folder: str = ""
    path: str = ""
    role: str = "namespace"
    command: str = ""
    container: str = ""
    own: bool = False


class Counted(Struct, frozen=True):
    """A namespace as it was counted. ``counters`` None: only its count is known."""

    place: Place
    count: int
    counters: dict[str, int] | None = None


class Counts(Struct, kw_only=True):
    """The own namespace and the largest others, with counters; the ``rest`` as one. ``limit`` holds for each alone."""

    shown: list[Counted] = field(default_factory=list)
    limit: int | None = None
    rest: int = 0
    rest_entries: int = 0
    holes: list[Hole] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Entries of all namespaces that were counted."""
        return self.rest_entries + sum(one.count for one in self.shown)


def places(proc: Proc, still: Callable[[], bool]) -> tuple[list[Place], list[Hole]]:
    """The namespaces that there are, the own one first; and what could not be told."""
    own = proc.inode("proc/self/" + FILE)
    if isinstance(own, Hole):
        return _by_number(proc, still)
    first = proc.inode("proc/1/" + FILE)
    groups, holes = _groups(proc, still)
    names = netns.named(proc)
    found = [_own(own, first == own, "proc/self")]
    known = {netns.inode_of(proc, "proc/self/ns/net")}
    keys = {found[0].key}
    for number, pids in groups.items():
        if number == own:
            continue
        inode = netns.inode_of(proc, f"proc/{pids[0]}/ns/net")
        known.add(inode)
        space = netns.described(proc, inode or number, names.get(inode or 0), pids, number == first)
        if inode is None and space.key == str(number):
            space = with_key(space, f"unnamed-{number}")  # its number is not the one that lsns and dmesg call it by
        found.append(_unique(keys, space, Place("", number, f"proc/{pids[0]}")))
    hidden = False
    for inode, name in names.items():
        if inode in known:
            continue
        if None in known or os.geteuid() != 0:
            hidden = True  # it may be one of those that a process showed
            continue
        space = netns.described(proc, inode, name, [], is_init=False)
        found.append(_unique(keys, space, Place("", -inode, path=netns.path_of(proc, space))))
    if hidden:
        why = "without the right to enter it cannot be told which namespaces these are"
        holes.append(Hole("named network namespaces", why, "run it as root"))
    return found, holes


def _own(number: int, is_init: bool, folder: str = "") -> Place:
    role = "host" if is_init else "namespace"
    return Place(HOST if is_init else OWN, number, folder, role=role, own=True)


def _by_number(proc: Proc, still: Callable[[], bool]) -> tuple[list[Place], list[Hole]]:
    """The same on a kernel without the statistics file, where each has to be entered."""
    own = netns.inode_of(proc, "proc/self/ns/net")
    if own is None:
        return [], [Hole("network namespaces", "/proc does not show them")]
    others, holes = netns.found(proc, still)
    found = [_own(-own, own == netns.inode_of(proc, "proc/1/ns/net"))]
    keys = {found[0].key}
    found += [_unique(keys, space, Place("", -space.inode, path=netns.path_of(proc, space))) for space in others]
    return found, holes


def _groups(proc: Proc, still: Callable[[], bool]) -> tuple[dict[int, list[int]], list[Hole]]:
    """Inode of the statistics file → the processes that show it."""
    listed = proc.names("proc")
    if isinstance(listed, Hole):
        return {}, [listed]
    groups: dict[int, list[int]] = {}
    refused = 0
    for seen, pid in enumerate(sorted(int(name) for name in listed if name.isdecimal())):
        if seen >= netns.MOST_PROCESSES or not still():
            return groups, [Hole("network namespaces", "not every process was looked at in the time given")]
        number = proc.inode(f"proc/{pid}/{FILE}")
        if isinstance(number, int):
            groups.setdefault(number, []).append(pid)
        elif not missing(number):  # one that ended, or a zombie, is in no namespace any more
            refused += 1
    if "1" not in listed:
        return groups, [Hole("network namespaces", "the processes of others are hidden (hidepid)", "run it as root")]
    holes = [Hole("network namespaces", "not shown for some processes", "run it as root")] if refused else []
    return groups, holes


def _unique(keys: set[str], space: Namespace, place: Place) -> Place:
    key = space.key if space.key not in keys else f"{space.key}-{abs(place.number)}"
    keys.add(key)
    space = with_key(space, key)
    container = netns.container_of(space.cgroup) or ""
    return Place(key, place.number, place.folder, place.path, space.role, space.command, container)


def count(proc: Proc, found: list[Place], most: int, ask: bool = False) -> Counts:
    """Each namespace's count, and the counters of the ``most`` largest; the own one is always among them.

    ``ask``: by ctnetlink where no file tells it.
    """
    result = Counts()
    read: list[tuple[int, Place, bytes | None]] = []
    for place in found:
        content = _content(proc, place)
        entries = None if isinstance(content, Hole) else conntrack_stat.entries(content)
        if entries is not None and isinstance(content, bytes):
            read.append((entries, place, content))
            continue
        told = _asked(place, ask)
        if told is not None:
            read.append((told, place, None))
        elif isinstance(content, Hole) and not place.folder:
            result.holes.append(Hole(f"network namespace {place.key}", content.why, content.remedy))
    del result.holes[MOST_NAMED_HOLES:]
    read.sort(key=lambda one: (not one[1].own, -one[0], one[1].key))
    for entries, place, whole in read[:most]:
        totals = None if whole is None else conntrack_stat.totals(whole)
        result.shown.append(Counted(place, entries, None if totals is None else totals.values))
    result.rest = len(read[most:])
    result.rest_entries = sum(entries for entries, _, _ in read[most:])
    return result


def gone(proc: Proc, found: list[Place]) -> bool:
    """Whether a process through which a namespace is read has ended, or moved: the places are to be looked up anew."""
    return any(place.folder and proc.inode(f"{place.folder}/{FILE}") != place.number for place in found)


def _content(proc: Proc, place: Place) -> bytes | Hole:
    if place.folder:
        # A process may end and its number be another's: only the file that was meant is read.
        if proc.inode(f"{place.folder}/{FILE}") != place.number:
            return Hole(f"network namespace {place.key}", "the process in it has ended")
        return proc.read(f"{place.folder}/{FILE}")
    try:
        path = place.path or None
        return in_namespace(path, lambda: proc.read("proc/thread-self/" + STATISTICS.removeprefix("proc/")))
    except OSError as error:
        return Hole(f"network namespace {place.key}", (error.strerror or str(error)).lower(), "run it as root")


def _asked(place: Place, ask: bool) -> int | None:
    """The count of a namespace that is entered, by other ways than its statistics file."""
    if place.folder:
        return None
    return spaces.space_of(place.key, place.path or None, abs(place.number), ask).count
