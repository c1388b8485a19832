"""perf events: the attribute that asks for a tracepoint, and the records of its ring.

The trap: each processor has a ring of its own, and a process changes its name on one and is seen on another: only the
time in each record puts them in order. A ring's numbers only grow, so a record may begin at its end and go on at its
beginning; and where nobody reads in time the kernel leaves records out and says how many.

[include/uapi/linux/perf_event.h]
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

TRACEPOINT = 2  # PERF_TYPE_TRACEPOINT
_TID, _TIME = 1 << 1, 1 << 2  # PERF_SAMPLE_TID, _TIME
_DISABLED, _COMM, _TIMED, _NAMESPACES = 1 << 0, 1 << 9, 1 << 18, 1 << 28  # the last from 4.12
ENABLE, SET_FILTER = 0x2400, 0x40082406  # PERF_EVENT_IOC_ENABLE, _SET_FILTER; the same on all but MIPS, PowerPC, SPARC
HEAD, TAIL = 1024, 1032  # offsets of data_head and data_tail in struct perf_event_mmap_page
_RECORD_LOST, _RECORD_COMM, _RECORD_SAMPLE, _RECORD_NAMESPACES = 2, 3, 9, 16
_TRAILER_BYTES = 16  # process, thread and time, behind every record [sample_id_all]
_HEADER = struct.Struct("=IHH")
_ATTR = struct.Struct("=IIQQQQQIIQ")  # PERF_ATTR_SIZE_VER0, 64 bytes: every kernel takes it


class Sample(NamedTuple):
    """The tracepoint was reached by this process and thread."""

    time: int
    pid: int
    tid: int


class Named(NamedTuple):
    """A process or thread calls itself by this name from now on."""

    time: int
    pid: int
    tid: int
    name: str


class Entered(NamedTuple):
    """A process or thread is in the network namespace of this number from now on."""

    time: int
    pid: int
    tid: int
    inode: int


class Lost(NamedTuple):
    """So many records were left out."""

    time: int
    records: int


Record = Sample | Named | Entered | Lost


def attribute(tracepoint: int, *, namespaces: bool = True) -> bytes:
    """Every time it is reached, the process; of every process the name and (``namespaces``, 4.12) the network namespace
    that it takes. Off until enabled.
    """
    flags = _DISABLED | _COMM | _TIMED | (_NAMESPACES if namespaces else 0)
    return _ATTR.pack(TRACEPOINT, _ATTR.size, tracepoint, 1, _TID | _TIME, 0, flags, 1, 0, 0)


def records(ring: bytes | memoryview, tail: int, head: int) -> Iterator[Record]:
    """The records between two numbers of a ring; what is of another kind, or makes no sense, ends or is passed over."""
    size = len(ring)
    if head - tail > size:  # cannot be, where the reader moves the tail
        return
    while tail + _HEADER.size <= head:
        kind, _, length = _HEADER.unpack(_cut(ring, tail % size, _HEADER.size))
        if length < _HEADER.size or tail + length > head:
            return
        body = _cut(ring, (tail + _HEADER.size) % size, length - _HEADER.size)
        tail += length
        if len(body) < _TRAILER_BYTES:
            continue
        (when,) = struct.unpack_from("=Q", body, len(body) - 8)
        told = body[:-_TRAILER_BYTES]
        if kind == _RECORD_SAMPLE:
            yield Sample(when, *struct.unpack_from("=II", body))
        elif kind == _RECORD_COMM and len(told) >= 8:
            pid, tid = struct.unpack_from("=II", told)
            yield Named(when, pid, tid, told[8:].partition(b"\0")[0].decode("utf-8", "backslashreplace"))
        elif kind == _RECORD_NAMESPACES and len(told) >= 32:
            pid, tid, count, _, inode = struct.unpack_from("=IIQQQ", told)  # the network namespace is the first
            if count:
                yield Entered(when, pid, tid, inode)
        elif kind == _RECORD_LOST and len(told) >= 16:
            yield Lost(when, struct.unpack_from("=QQ", told)[1])


def _cut(ring: bytes | memoryview, begin: int, length: int) -> bytes:
    part = bytes(ring[begin : begin + length])
    return part if len(part) == length else part + bytes(ring[: length - len(part)])
