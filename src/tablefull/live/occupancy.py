"""How full a namespace's table is at this moment: count, limit and counters, in half a millisecond.

The trap: ``/proc/net`` is the namespace of the process and not of the thread that looks, so a thread that entered
another namespace reads its own folder below ``/proc/PID/task``. And every counter is 32 bits wide per CPU and wraps, so
what moved between two looks is worked out CPU by CPU before anything is added up.
"""

import threading
from collections.abc import Mapping, Sequence

from msgspec import Struct

from tablefull.errors import TablefullError
from tablefull.facts.counters import CpuCounters
from tablefull.facts.origin import Hole
from tablefull.live.netlink import Netlink, askable, cpu_statistics, in_namespace
from tablefull.live.proc import Proc
from tablefull.live.table_size import COUNTS, LIMITS, number
from tablefull.parsers import conntrack_stat
from tablefull.parsers.block import Context, Line

STATS = ("net/stat/nf_conntrack", "net/stat/ip_conntrack")
NOT_LOADED = "connection tracking is not loaded here, or this container hides it"
_WRAP = 1 << 32
_BACKWARDS = 1 << 31  # a counter that moved by more than this did not wrap: it began anew

Counters = tuple[Mapping[str, int], ...]


class Occupancy(Struct, frozen=True):
    """One look. ``counters``: a mapping for each CPU, as the kernel shows them; ``source`` says where they stood."""

    count: int | Hole
    limit: int | Hole
    counters: Counters | Hole
    source: str = ""


def look(proc: Proc, path: str | None = None) -> Occupancy:
    """How full the table is, of the namespace behind ``path`` (None: this one). Holes where it cannot be seen."""
    try:
        return in_namespace(path, lambda: _here(proc, path))
    except OSError as error:
        remedy = "the namespace has ended" if isinstance(error, FileNotFoundError) else "run it as root"
        gone = Hole(path or "this namespace", (error.strerror or str(error)).lower(), remedy)
        return Occupancy(gone, gone, gone)


def timeouts(proc: Proc, names: Sequence[str], path: str | None = None) -> dict[str, float]:
    """The timeouts of a namespace by sysctl name, those that could be read."""

    def read() -> dict[str, float]:
        found = {name: proc.number(f"proc/sys/net/netfilter/{name}") for name in names}
        return {name: float(value) for name, value in found.items() if isinstance(value, int)}

    try:
        return in_namespace(path, read)
    except OSError:
        return {}


def _here(proc: Proc, path: str | None) -> Occupancy:
    own = "proc" if path is None else f"proc/self/task/{threading.get_native_id()}"
    counters: Counters | Hole | None = None
    source = ""
    for name in STATS:
        found = _counters(proc, f"{own}/{name}")
        if not isinstance(found, Hole):
            counters, source = found, f"/proc/{name}"
            break
        counters = counters or found
    assert counters is not None
    if isinstance(counters, Hole) and str(proc.root) == "/":
        asked = _asked(proc)
        if asked is not None:
            counters, source = asked, "ctnetlink"
    return Occupancy(number(proc, COUNTS), number(proc, LIMITS), counters, source)


def _counters(proc: Proc, name: str) -> Counters | Hole:
    text = proc.text(name)
    if isinstance(text, Hole):
        return text
    lines = [Line(place + 1, line, line) for place, line in enumerate(text.splitlines())]
    found = conntrack_stat.read(lines, 0, Context(f"/{name}")) if lines else None
    rows = tuple(fact.values for fact in found.facts if isinstance(fact, CpuCounters)) if found else ()
    return rows or Hole(f"/{name}", "holds no counters that are known")


def _asked(proc: Proc) -> Counters | None:
    """The counters by ctnetlink, for a kernel without the file; None where asking is not allowed or loads a module."""
    try:
        askable(proc)
        with Netlink() as link:
            found = cpu_statistics(link)
    except (TablefullError, OSError):
        return None
    return tuple(found[cpu] for cpu in sorted(found)) or None


def moved(before: Counters | Hole, after: Counters | Hole) -> dict[str, int] | None:
    """How far each counter moved between two looks, over all CPUs; None where it cannot be told."""
    if isinstance(before, Hole) or isinstance(after, Hole) or len(before) != len(after):
        return None
    total: dict[str, int] = {}
    for old, new in zip(before, after, strict=True):
        for name in old.keys() & new.keys():
            step = (new[name] - old[name]) % _WRAP
            if step >= _BACKWARDS:
                return None
            total[name] = total.get(name, 0) + step
    return total


def created(counters: Counters | Hole) -> int | None:
    """Entries made since boot, where this kernel counts them: a kernel before 4.9 in its column ``new``, later none.

    The column is all zeros from 4.9 to 5.9 (KERNEL.md 3.2), so zero is unknown.
    """
    if isinstance(counters, Hole):
        return None
    total = sum(row.get("new", 0) for row in counters)
    return total or None
