"""What an exporter reads at every scrape: count, limit, buckets and counters of its own namespace.

The trap: an exporter is asked four times a minute for years, on the hosts that are worst off, and as nobody. So this
is three short files and no listing, needs no capability, and costs the same whatever the table holds.
"""

from msgspec import Struct, field

from tablefull.errors import TablefullError
from tablefull.facts.origin import Hole
from tablefull.kernel.identity import parse_release
from tablefull.live.proc import Proc
from tablefull.live.table_size import BUCKETS, COUNTS, LIMITS, number
from tablefull.parsers import conntrack_stat

STATISTICS = "proc/net/stat/nf_conntrack"


class TableFacts(Struct, kw_only=True):
    """One look. None, or no key in ``counters``: it was not told, and a hole says why.

    ``counters`` are sums over the CPUs by uapi names; those in ``dead`` are 0 on this kernel whatever happens.
    """

    count: int | None = None
    limit: int | None = None
    buckets: int | None = None
    counters: dict[str, int] = field(default_factory=dict)
    dead: tuple[str, ...] = ()
    release: str = ""
    holes: list[Hole] = field(default_factory=list)


def table_facts(proc: Proc, ask: bool = False) -> TableFacts:
    """The own namespace's table. ``ask``: by ctnetlink what the files do not show, where that is allowed."""
    facts = TableFacts()
    for name, places in (("count", COUNTS), ("limit", LIMITS), ("buckets", BUCKETS)):
        value = number(proc, places)
        if isinstance(value, Hole):
            facts.holes.append(value)
        else:
            setattr(facts, name, value)
    release = proc.text("proc/sys/kernel/osrelease", 200)
    facts.release = release if isinstance(release, str) else ""
    content = proc.read(STATISTICS)
    told = None if isinstance(content, Hole) else conntrack_stat.totals(content)
    if told is not None:
        facts.counters, facts.dead = told.values, told.dead
        if facts.count is None:
            facts.count = told.entries
            facts.holes = [hole for hole in facts.holes if hole.what != "/" + COUNTS[0]]
    elif not (ask and _asked(facts)):
        facts.holes.append(content if isinstance(content, Hole) else Hole("/" + STATISTICS, "it is not understood"))
    return facts


def _asked(facts: TableFacts) -> bool:
    """The counters by ctnetlink, for a kernel without CONFIG_NF_CONNTRACK_PROCFS; False where it is refused."""
    from tablefull.live.netlink import Netlink, cpu_statistics

    try:
        with Netlink() as link:
            per_cpu = cpu_statistics(link)
    except (TablefullError, OSError):
        return False
    for values in per_cpu.values():
        for name, value in values.items():
            facts.counters[name] = facts.counters.get(name, 0) + value
    return bool(per_cpu)


def meaning(name: str, release: str) -> str:
    """What a counter counts on this kernel, as one sentence; empty where that is not known."""
    from tablefull.kernel import uapi

    return uapi.meaning(name, parse_release(release)).value or ""


def full_share(count: int | None, limit: int | None) -> float | None:
    """Count by limit; None where one is not known, or where 0 says that there is no limit."""
    return None if count is None or not limit or limit < 0 else count / limit
