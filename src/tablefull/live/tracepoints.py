"""A tracepoint of the kernel, watched on every processor: which process reached it, by number and name.

The trap: tracefs tells the tracepoint's number, and is often not mounted. Mounting it would change the host, and an
instance of tracefs outlives whoever made it; so the number is read in a copy of this process with mounts of its own,
and the tracepoint is watched by perf_event_open, whose descriptors end with the process.

[perf_event_open(2); Documentation/trace/events.rst]
"""

import ctypes
import errno
import fcntl
import mmap
import os
import platform
from collections.abc import Callable
from typing import NamedTuple, Self, TypeVar

from tablefull.errors import Unreadable
from tablefull.live.proc import Proc
from tablefull.wire import perf

TRACEFS = "sys/kernel/tracing"
_CALL = {
    "x86_64": 298, "i386": 336, "i686": 336, "aarch64": 241, "riscv64": 241, "loongarch64": 241, "armv7l": 364,
    "s390x": 331,
}  # fmt: skip
_CLOEXEC = 8  # PERF_FLAG_FD_CLOEXEC
_PAGES = 64
_MOST_KNOWN = 4096
_MOST_PASSES = 8
T = TypeVar("T")
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE = 0x20000, 0x4000, 1 << 18
_MOST_DIGITS = 32


class Reached(NamedTuple):
    """A process reached the tracepoint. ``name`` is empty and ``inode``, its network namespace, None where not told."""

    pid: int
    name: str
    inode: int | None


class Tracepoint:
    """One tracepoint with a filter. ``lost``: records that the kernel left out because nobody read in time."""

    def __init__(self, proc: Proc, group: str, name: str, condition: str) -> None:
        self.lost = 0
        self._names: dict[int, str] = {}
        self._inodes: dict[int, int] = {}
        self._rings: list[tuple[int, mmap.mmap]] = []
        what = f"tracepoint {group}:{name}"
        number = _number(proc, group, name, what)
        call = _CALL.get(platform.machine())
        if call is None:
            raise Unreadable(what, f"its system call is not known on {platform.machine()}", "")
        try:
            for cpu in _processors(proc):
                self._watch(call, number, cpu, condition)
        except OSError as error:
            self.close()
            why = "not permitted: CAP_PERFMON or root is needed, and no lockdown"
            refused = error.errno in (errno.EPERM, errno.EACCES)
            raise Unreadable(what, why if refused else (error.strerror or str(error)).lower(), "") from None

    def _watch(self, call: int, number: int, cpu: int, condition: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = code = -1
        for namespaces in (True, False):
            held = ctypes.create_string_buffer(perf.attribute(number, namespaces=namespaces))
            descriptor = libc.syscall(call, held, -1, cpu, -1, ctypes.c_ulong(_CLOEXEC))
            code = ctypes.get_errno()
            if descriptor >= 0 or code != errno.EINVAL:
                break
        if descriptor < 0:
            raise OSError(code, os.strerror(code))
        try:
            ring = mmap.mmap(descriptor, (1 + _PAGES) * mmap.PAGESIZE)
        except OSError:
            os.close(descriptor)
            raise
        self._rings.append((descriptor, ring))
        text = ctypes.create_string_buffer(condition.encode())
        if libc.ioctl(descriptor, ctypes.c_ulong(perf.SET_FILTER), text) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        fcntl.ioctl(descriptor, perf.ENABLE, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Watch no longer."""
        for descriptor, ring in self._rings:
            ring.close()
            os.close(descriptor)
        self._rings = []

    def descriptors(self) -> list[int]:
        """To wait on: readable when the tracepoint was reached."""
        return [descriptor for descriptor, _ in self._rings]

    def read(self) -> list[Reached]:
        """Each time since the last call. The rings are read once more after a sample was found: what came before it may
        stand in one that was read already.
        """
        records: list[perf.Record] = []
        for _ in range(_MOST_PASSES):
            found = [record for _, ring in self._rings for record in _drained(ring)]
            records += found
            if not any(isinstance(record, perf.Sample) for record in found):
                break
        reached: list[Reached] = []
        for record in sorted(records, key=lambda one: one.time):
            if isinstance(record, perf.Sample):
                tid = record.tid
                reached.append(Reached(record.pid, self._names.get(tid, ""), self._inodes.get(tid)))
            elif isinstance(record, perf.Named):
                _keep(self._names, record.tid, record.name)
            elif isinstance(record, perf.Entered):
                _keep(self._inodes, record.tid, record.inode)
            else:
                self.lost += record.records
        return reached


def _drained(ring: mmap.mmap) -> list[perf.Record]:
    # Eight bytes at once: the kernel counts on while they are read, and half of an old number is no number.
    with (
        memoryview(ring) as whole,
        whole[mmap.PAGESIZE :] as data,
        whole[perf.HEAD : perf.TAIL + 8] as place,
        place.cast("Q") as numbers,
    ):
        head, tail = numbers[0], numbers[1]
        found = list(perf.records(data, tail, head))
        numbers[1] = head
    return found


def _keep(known: dict[int, T], tid: int, value: T) -> None:
    """The newest :data:`_MOST_KNOWN`."""
    known.pop(tid, None)
    known[tid] = value
    if len(known) > _MOST_KNOWN:
        del known[next(iter(known))]


def _processors(proc: Proc) -> list[int]:
    """The processors that are on, from a list such as ``0-3,8``."""
    text = proc.text("sys/devices/system/cpu/online", 4096)
    found: list[int] = []
    for part in (text if isinstance(text, str) else "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (not last or last.isdecimal()):
            found += range(int(first), int(last or first) + 1)
    return found or list(range(os.cpu_count() or 1))


def _number(proc: Proc, group: str, name: str, what: str) -> int:
    path = f"{TRACEFS}/events/{group}/{name}/id"
    if proc.exists(f"{TRACEFS}/events"):
        number = proc.number(path)
        if isinstance(number, int):
            return number
        raise Unreadable(what, number.why, number.remedy)
    text = _apart(proc, path)
    if text.isdigit():
        return int(text)
    raise Unreadable(what, "tracefs does not tell it: " + (text.decode("ascii", "replace") or "no answer"), "")


def _apart(proc: Proc, path: str) -> bytes:
    """The content of a file of tracefs, or why not, read by a copy of this process that has mounts of its own."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            place = proc.path(TRACEFS).encode()
            steps: tuple[Callable[[], int], ...] = (
                lambda: libc.unshare(_CLONE_NEWNS),
                lambda: libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None),
                lambda: libc.mount(b"tracefs", place, b"tracefs", ctypes.c_ulong(0), None),
            )
            answer = b""
            for step in steps:
                if not answer and step() != 0:
                    answer = os.strerror(ctypes.get_errno()).lower().encode()
            if not answer:
                number = proc.text(path, _MOST_DIGITS)
                answer = number.encode() if isinstance(number, str) else number.why.encode()
            os.write(send, answer)
        finally:
            os._exit(0)
    os.close(send)
    answer = os.read(receive, 256)
    os.close(receive)
    os.waitpid(child, 0)
    return answer
