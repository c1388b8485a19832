"""The network namespaces of a machine: those with a name in ``/run/netns``, and those that only a process holds.

The trap: entering one changes the whole process for good, so it happens in a copy of this process that reads, writes
what it read into a pipe, and ends. ``setns`` moves a thread; the copy has one, and ``/proc/net`` and
``/proc/sys/net`` follow it.
"""

import os
import time
from collections.abc import Callable
from typing import NoReturn

from tablefull.facts.origin import Hole
from tablefull.live.collection import Artefact, Namespace, safe, with_key
from tablefull.live.proc import Proc, hole, missing
from tablefull.parsers.pattern import lazy

CLONE_NEWNET, CLONE_NEWUTS = 0x40000000, 0x04000000  # include/uapi/linux/sched.h
NAMED = ("run/netns", "var/run/netns", "run/docker/netns")
MOST_PROCESSES = 50_000
MOST_ANSWER_BYTES = 64 * 1024 * 1024
_INODE = lazy(r"net:\[(\d+)\]")
# docker-<id>.scope, cri-containerd-<id>.scope, crio-<id>.scope, libpod-<id>.scope, /docker/<id>, /lxc/<name>, kubepods
_CONTAINER = lazy(
    r"(?:docker|containerd|crio|libpod|podman|kubepods|garden|ecs)\b.*?([0-9a-f]{12,64})|/lxc(?:\.payload\.|/)([\w.-]+)"
)
_MACHINE = lazy(r"machine\.slice/(?:systemd-nspawn@|machine-)?([\w.\\-]+?)\.(?:service|scope)")

Answer = tuple[list[Artefact], list[Hole]]


def found(proc: Proc, still: Callable[[], bool]) -> tuple[list[Namespace], list[Hole]]:
    """Every namespace that can be told from ``/proc`` and ``/run/netns``, the own one left out; and what could not be
    told.
    """
    own = inode_of(proc, "proc/self/ns/net") or 0
    names = named(proc)
    holders, holes = _held(proc, still)
    first = inode_of(proc, "proc/1/ns/net")
    spaces: dict[int, Namespace] = {}
    for inode in [*names, *sorted(set(holders) - set(names))]:
        if inode == own:
            continue
        pids = holders.get(inode, [])
        spaces[inode] = described(proc, inode, names.get(inode), pids, first == inode)
    keys: set[str] = set()
    unique = []
    for space in spaces.values():
        key = space.key if space.key not in keys else f"{space.key}-{space.inode}"
        keys.add(key)
        unique.append(with_key(space, key))
    return unique, holes


def is_first_here(proc: Proc, *, shows: bool | None) -> bool | None:
    """Whether this process stands in the machine's first network namespace; None where that cannot be told.

    ``shows``: the kernel is 4.8 or newer. From there on the number of buckets may be written there, and is 0444 in
    every other one [KERNEL.md 2.2].
    """
    if not shows:
        return None
    try:
        mode = os.stat(proc.path("proc/sys/net/netfilter/nf_conntrack_buckets")).st_mode  # noqa: PTH116 - a path of Proc
    except OSError:
        return None
    return bool(mode & 0o222)


def inode_of(proc: Proc, name: str) -> int | None:
    """The number of the namespace that a link of ``/proc/PID/ns`` names; None where it is not shown."""
    link = proc.link(name)
    match = _INODE.fullmatch(link) if isinstance(link, str) else None
    return int(match[1]) if match else None


def named(proc: Proc) -> dict[int, str]:
    """Inode → name of the namespaces that have one."""
    names: dict[int, str] = {}
    for folder in NAMED:
        listed = proc.names(folder)
        for name in [] if isinstance(listed, Hole) else listed:
            inode = proc.inode(f"{folder}/{name}")
            if isinstance(inode, int):
                names.setdefault(inode, name)
    return names


def _held(proc: Proc, still: Callable[[], bool]) -> tuple[dict[int, list[int]], list[Hole]]:
    """Inode → processes in it, and one hole for the processes that may not be asked."""
    listed = proc.names("proc")
    if isinstance(listed, Hole):
        return {}, [listed]
    holders: dict[int, list[int]] = {}
    refused = 0
    holes: list[Hole] = []
    pids = sorted(int(name) for name in listed if name.isdecimal())
    for seen, pid in enumerate(pids):
        if seen >= MOST_PROCESSES or not still():
            holes.append(
                Hole("network namespaces", f"only {seen} of {len(pids)} processes were looked at in the time given")
            )
            break
        link = proc.link(f"proc/{pid}/ns/net")
        if isinstance(link, Hole):
            refused += not missing(link)
        elif match := _INODE.fullmatch(link):
            holders.setdefault(int(match[1]), []).append(pid)
    if refused:
        why = f"it is not shown for {refused} of {len(pids)} processes"
        remedy = "" if os.geteuid() == 0 else "run it as root: sudo tablefull"
        holes.append(Hole("network namespaces", why, remedy))
    return holders, holes


def described(proc: Proc, inode: int, name: str | None, pids: list[int], is_init: bool) -> Namespace:
    """A namespace with what its first process and that process's cgroup tell of it."""
    cgroup = command = ""
    container: str | None = None
    if pids:
        told = proc.text(f"proc/{pids[0]}/cgroup", 4096)
        cgroup = told if isinstance(told, str) else ""
        container = container_of(cgroup)
        comm = proc.text(f"proc/{pids[0]}/comm", 100)
        command = comm if isinstance(comm, str) else ""
    key = name or container or ("init" if is_init else str(inode))
    return Namespace(
        key=safe(key), inode=inode, name=name, pid=pids[0] if pids else None, processes=len(pids), command=command,
        cgroup=cgroup, role="container" if container else "host" if is_init else "namespace",
    )  # fmt: skip


def container_of(cgroup: str) -> str | None:
    """The container that a ``/proc/PID/cgroup`` names: twelve digits of its id, or its name; None for no container."""
    for line in cgroup.splitlines():
        path = line.split(":", 2)[-1]
        if match := _CONTAINER.search(path):
            return match[1][:12] if match[1] else match[2]
        if match := _MACHINE.search(path):
            return match[1]
    return None


def with_hostname(space: Namespace, hostname: str | None, own: str) -> Namespace:
    """The same namespace called by its container's host name, where that is not the machine's."""
    if not hostname or hostname in (own, "localhost", "(none)"):
        return space
    return with_key(space, safe(hostname) if space.name is None and space.role == "container" else space.key, hostname)


def path_of(proc: Proc, space: Namespace) -> str:
    """The file by which a namespace is entered: its name's, else that of a process in it."""
    if space.name is not None:
        for folder in NAMED:
            path = proc.path(f"{folder}/{space.name}")
            if os.access(path, os.R_OK):
                return path
    return proc.path(f"proc/{space.pid}/ns/net")


def _open(proc: Proc, space: Namespace) -> int:
    return os.open(path_of(proc, space), os.O_RDONLY | os.O_CLOEXEC)


def _setns(fd: int, kind: int) -> None:
    if hasattr(os, "setns"):
        os.setns(fd, kind)
        return
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(fd, kind) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def inside(
    proc: Proc,
    space: Namespace,
    look: Callable[[], Answer],
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """What ``look`` answers inside ``space``; a hole where it cannot be entered or does not answer before
    ``deadline``.
    """
    import select
    import signal

    what = f"network namespace {space.key}"
    try:
        fd = _open(proc, space)
    except OSError as error:
        refused = hole(what, error)
        return [], [Hole(what, refused.why, refused.remedy)]
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        os.close(receive)
        _answer(proc, space, fd, look, send)
    os.close(fd)
    os.close(send)
    parts: list[bytes] = []
    whole = False
    try:
        size = 0
        while size < MOST_ANSWER_BYTES:
            ready, _, _ = select.select([receive], [], [], max(deadline - clock(), 0))
            if not ready:
                break
            part = os.read(receive, 1 << 20)
            if not part:
                whole = True
                break
            parts.append(part)
            size += len(part)
    finally:
        os.close(receive)
        if not whole:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    from msgspec import DecodeError, msgpack

    try:
        answer: Answer = msgpack.decode(b"".join(parts), type=Answer)
    except DecodeError:
        why = "reading it broke off" if whole else "there was not enough time to read it"
        return [], [Hole(what, why, "give it more time, or read this one alone: ip netns exec")]
    return answer


def _answer(proc: Proc, space: Namespace, fd: int, look: Callable[[], Answer], send: int) -> NoReturn:
    """In the copy: enter, look, write, and end without running anything that the parent has to run."""
    try:
        import signal

        from msgspec import msgpack

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is the one who ends this
        _die_with_parent()
        try:
            _setns(fd, CLONE_NEWNET)
            answer: Answer = look()
            hostname = _hostname(proc, space)
            if hostname:
                answer[0].append(Artefact("proc/sys/kernel/hostname", hostname.encode() + b"\n"))
        except OSError as error:
            refused = hole("setns", error)
            answer = [], [Hole(f"network namespace {space.key}", f"cannot be entered: {refused.why}", refused.remedy)]
        packed = memoryview(msgpack.encode(answer))
        while packed:
            packed = packed[os.write(send, packed) :]
    finally:
        os._exit(0)


def _die_with_parent() -> None:
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)  # PR_SET_PDEATHSIG: include/uapi/linux/prctl.h


def _hostname(proc: Proc, space: Namespace) -> str | None:
    """The host name that the processes of ``space`` have; None where it has none or it cannot be entered."""
    if space.pid is None:
        return None
    try:
        fd = os.open(proc.path(f"proc/{space.pid}/ns/uts"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(fd, CLONE_NEWUTS)
        finally:
            os.close(fd)
    except OSError:
        return None
    return os.uname().nodename
