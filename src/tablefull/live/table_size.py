"""How many entries there are and may be, from ``/proc/sys`` alone: nothing is asked, no capability is needed.

The trap: the files moved. Up to 4.8 they were ``ip_conntrack_*`` of IPv4, some kernels have both places, and a
container may show the count and hide the limit; so each is looked for by itself, newest place first.
"""

from tablefull.facts.origin import Hole
from tablefull.live.proc import Proc

# The names before 2.6.20 (ip_conntrack), and the one that needs no nf_conntrack_count beside it, last.
COUNTS = (
    "proc/sys/net/netfilter/nf_conntrack_count",
    "proc/sys/net/ipv4/netfilter/ip_conntrack_count",
)
LIMITS = (
    "proc/sys/net/netfilter/nf_conntrack_max",
    "proc/sys/net/nf_conntrack_max",
    "proc/sys/net/ipv4/netfilter/ip_conntrack_max",
    "proc/sys/net/ipv4/ip_conntrack_max",
)
BUCKETS = (
    "proc/sys/net/netfilter/nf_conntrack_buckets",
    "proc/sys/net/ipv4/netfilter/ip_conntrack_buckets",
)


def number(proc: Proc, names: tuple[str, ...]) -> int | Hole:
    """The first of the files that holds a number; the hole of the first name where none does."""
    first: Hole | None = None
    for name in names:
        value = proc.number(name)
        if isinstance(value, int):
            return value
        first = first or value
    assert first is not None
    return first
