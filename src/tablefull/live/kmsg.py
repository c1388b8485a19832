"""The kernel's log as it stands: ``/dev/kmsg`` read without waiting, the journal or a log file where that is refused.

The trap: ``/dev/kmsg`` waits for the next message at its end unless opened non-blocking, gives one record a read, and
answers EPIPE where the ring overwrote what was next; reading goes on after that (Documentation/ABI/testing/dev-kmsg).
"""

import os
from collections.abc import Callable, Iterable, Iterator

from tablefull.facts.origin import Hole
from tablefull.live.proc import Proc, hole

# Every word by which a line can matter to the entry table, its look-alikes, or the memory and modules behind it.
WANTED = (
    "conntrack", "nf_", "ip_tables", "ip6_tables", "ipt_", "ebtable", "netfilter", "br_netfilter", "bridge:",
    "suppressed", "overflow",
    "orphaned", "SYN flooding", "martian", "ut of memory", "ut of socket memory", "oom-killer",
    "page allocation failure",
    "allocation failed", "Linux version", "table full", "neighbour", "neighbor", "limit of", "vmalloc", "bad checksum",
    "repeated",
)  # fmt: skip
MOST_LINES = 4000
LOG_FILES = ("var/log/kern.log", "var/log/messages", "var/log/syslog")
LOG_TAIL_BYTES = 8 * 1024 * 1024


def wanted(line: str) -> bool:
    """True where one of the words stands in the line."""
    return any(word in line for word in WANTED)


def read(proc: Proc, still: Callable[[], bool]) -> bytes | Hole:
    """The wanted lines of the ring as ``dmesg`` prints them, the latest ``MOST_LINES``; a hole where it may not be
    read.
    """
    from collections import deque

    try:
        fd = os.open(proc.path("dev/kmsg"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return hole("dev/kmsg", error)
    kept: deque[str] = deque(maxlen=MOST_LINES)
    try:
        for record in _records(fd, still):
            line = dmesg_line(record)
            if line is not None and wanted(line):
                kept.append(line)
    except OSError as error:
        if not kept:
            return hole("dev/kmsg", error)
    finally:
        os.close(fd)
    return "".join(f"{line}\n" for line in kept).encode()


def _records(fd: int, still: Callable[[], bool]) -> Iterator[str]:
    while still():
        try:
            record = os.read(fd, 16384)
        except BlockingIOError:
            return
        except BrokenPipeError:
            continue
        if not record:
            return
        yield record.decode("utf-8", "replace")


def dmesg_line(record: str) -> str | None:
    """``[11458852.811070] text`` of one record; None for a record of a program (its facility is not the kernel's)."""
    head, mark, text = record.partition(";")
    fields = head.split(",")
    if not mark or len(fields) < 3 or not fields[0].isdecimal() or not fields[2].isdecimal():
        return None
    if int(fields[0]) >> 3 != 0:
        return None
    microseconds = int(fields[2])
    return f"[{microseconds // 1_000_000:5d}.{microseconds % 1_000_000:06d}] {text.partition(chr(10))[0]}"


def journal_lines(objects: Iterable[bytes]) -> Iterator[str]:
    """The wanted lines of ``journalctl -k -o json``, in ``dmesg``'s form: the kernel's own clock and no host name."""
    from msgspec import DecodeError, Struct, field, json

    class Row(Struct):
        message: str | list[int] | None = field(name="MESSAGE", default=None)
        source: str | None = field(name="_SOURCE_MONOTONIC_TIMESTAMP", default=None)
        monotonic: str | None = field(name="__MONOTONIC_TIMESTAMP", default=None)

    decoder = json.Decoder(Row)
    for line in objects:
        try:
            row = decoder.decode(line)
        except (DecodeError, UnicodeDecodeError):
            continue
        stamp = row.source or row.monotonic or ""
        if isinstance(row.message, str) and stamp.isdecimal() and wanted(row.message):
            yield f"[{int(stamp) // 1_000_000:5d}.{int(stamp) % 1_000_000:06d}] {row.message}"


def log_file(proc: Proc) -> tuple[str, bytes] | Hole:
    """Name and wanted kernel lines of the end of the first log file that can be read."""
    first: Hole | None = None
    for name in LOG_FILES:
        try:
            fd = os.open(proc.path(name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            first = first or hole(name, error)
            continue
        try:
            size = os.fstat(fd).st_size
            tail = os.pread(fd, LOG_TAIL_BYTES, max(size - LOG_TAIL_BYTES, 0))
        except OSError as error:
            first = first or hole(name, error)
            continue
        finally:
            os.close(fd)
        lines = [line for line in tail.decode("utf-8", "replace").splitlines() if "kernel" in line and wanted(line)]
        return name, "".join(f"{line}\n" for line in lines[-MOST_LINES:]).encode()
    return first or Hole("/var/log", "no log file of the kernel")
