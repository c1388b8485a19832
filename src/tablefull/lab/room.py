"""How much room a scene's table has: the host's limit as it is, lowered with consent, and ballast up to it.

The trap: ``nf_conntrack_max`` is the host's, not the scene's (KERNEL.md 2.2), and every namespace's own count is
compared with it. So it is lowered only where a person said so, to well above what anything on the host holds, under the
lock that whoever else changes it takes too; and without consent the scene's own table is filled up to the last thousand
with entries put in by netlink, which costs memory and nobody's connection.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from tablefull.errors import KernelRefused
from tablefull.lab import guardian
from tablefull.live.proc import Proc
from tablefull.live.spaces import all_of

LOCK = Path("/run/lock/tablefull-nf_conntrack.lock")
LOCK_WAIT_S = 120.0
SPARE = 1000  # entries beyond twice the fullest namespace, that a lowered limit leaves to the host
MOST_LOWERED = 60_000  # a host that needs a higher limit than this is too busy to lower it at all
MOST_BALLAST = 600_000
MOST_NODES_A_CHAIN = 8  # mean length with ballast, 2 nodes an entry; inserts are refused from 50 on (KERNEL.md 8.7)
ENTRY_BYTES = 256  # KERNEL.md 7, Linux 6.18
MEMORY_SHARE = 0.1  # of what is available, that ballast may take
BUCKETS = Path("/proc/sys/net/netfilter/nf_conntrack_buckets")


class Room(Struct, frozen=True):
    """``limit``: what the kernel compares with. ``wanted``: entries that live traffic is to fill. ``ballast``: put in
    beforehand. ``how``: ``lowered``, ``ballast`` or ``shown``, where the table fills visibly and never to the end.
    """

    how: str
    limit: int
    wanted: int
    ballast: int
    before: int
    why: str = ""

    @property
    def fills(self) -> bool:
        """Whether the scene reaches the limit."""
        return self.how != "shown"


@contextlib.contextmanager
def locked(alone: bool, wait: Callable[[float], bool], tell: Callable[[str], None]) -> Iterator[int]:
    """The lock of the host's limits: one who changes them is alone, those who only need them as they are share it.

    ``wait`` sleeps that many seconds and says whether to go on waiting.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    how = (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB
    end = time.monotonic() + LOCK_WAIT_S
    told = False
    try:
        while True:
            try:
                fcntl.flock(descriptor, how)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            if not told:
                tell("another lab or test on this host holds nf_conntrack_max; waiting for its end")
                told = True
            if time.monotonic() > end:
                raise KernelRefused(
                    f"another lab or test on this host still holds nf_conntrack_max after {LOCK_WAIT_S:g} s"
                )
            if not wait(0.2):
                raise KeyboardInterrupt
        yield descriptor
    finally:
        os.close(descriptor)


def number(path: Path) -> int:
    """A sysctl of the host; KernelRefused where connection tracking is not there."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        raise KernelRefused(
            f"{path}: connection tracking is not loaded here, and the lab loads no module; load it yourself: "
            "modprobe nf_conntrack"
        ) from None


def choose(wanted: int, consent: bool, limit: int, fullest: int, buckets: int, available_bytes: int) -> Room:
    """How the scene gets its room, from what the host has and holds. ``fullest``: the fullest namespace's count."""
    if consent:
        lowered = max(wanted, 2 * fullest + SPARE)
        if limit and lowered >= limit:
            return Room("ballast" if limit - wanted > 0 else "lowered", limit, wanted, max(0, limit - wanted), limit)
        if lowered > MOST_LOWERED:
            why = f"a namespace of this host holds {fullest:,} entries, so the limit cannot be lowered far enough"
            return Room("shown", limit, wanted, 0, limit, why)
        return Room("lowered", lowered, wanted, lowered - wanted, limit)
    if not limit:
        return Room("shown", limit, wanted, 0, limit, "nf_conntrack_max is 0 here, which is no limit at all")
    ballast = max(0, limit - wanted)
    if ballast > MOST_BALLAST:
        why = f"the limit of this host is {limit:,}, and {ballast:,} entries of ballast are too many"
    elif 2 * limit > MOST_NODES_A_CHAIN * buckets:
        why = (
            f"the table has {buckets:,} buckets for {limit:,} entries: ballast would make its chains long for everybody"
        )
    elif ballast * ENTRY_BYTES > MEMORY_SHARE * available_bytes:
        why = f"{ballast:,} entries of ballast are more than a tenth of the memory that is free"
    else:
        return Room("ballast", limit, wanted, ballast, limit)
    return Room("shown", limit, wanted, 0, limit, why)


def look(wanted: int, consent: bool) -> Room:
    """The choice on this host."""
    proc = Proc(Path("/"))
    fullest = max((space.count or 0 for space in all_of(proc)[0]), default=0)
    memory = proc.text("proc/meminfo")
    lines = memory.splitlines() if isinstance(memory, str) else []
    available = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)
    return choose(wanted, consent, number(guardian.MAX), fullest, number(BUCKETS), available)


def lower(room: Room, note: Callable[..., None]) -> None:
    """Lower the limit; the guardian knows of it first."""
    if room.how != "lowered":
        return
    note(max_before=room.before, max_lowered=room.limit)
    guardian.MAX.write_text(f"{room.limit}\n")
