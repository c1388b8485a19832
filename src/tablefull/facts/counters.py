"""Numbers the kernel or a driver counts: per-CPU conntrack counters, protocol counters, driver statistics."""

from tablefull.facts.origin import Fact


class CpuCounters(Fact, frozen=True, kw_only=True):
    """One CPU's conntrack counters by their uapi names; ``layout`` says which listing they came from.

    ``cpu`` is None for a row of ``/proc/net/stat/nf_conntrack`` that carries no number. Values of that file are
    32 bits wide and wrap; a column the file does not have is absent here.
    """

    cpu: int | None
    values: dict[str, int]
    layout: str  # "conntrack -S" | "/proc/net/stat/nf_conntrack" | "/proc/net/stat/ip_conntrack"


class NetCounter(Fact, frozen=True, kw_only=True):
    """One named counter of another source: ``group`` is ``netstat -s``, ``ethtool -S``, ``ss -s``, ``sockstat`` or
    ``cilium``.

    A protocol counter has ``nstat``'s name (``TcpExtListenOverflows``) whichever tool printed it.
    """

    group: str
    name: str
    value: int


class SocketStates(Fact, frozen=True, kw_only=True):
    """How many sockets stand in each state, spelled as ``netstat`` does (``ESTABLISHED``, ``FIN_WAIT1``).

    ``tool`` is ``ss``, ``ss -s``, ``netstat``, or ``unknown`` where the command was not shown.
    """

    tool: str
    by_state: dict[str, int]


class EntryStates(Fact, frozen=True, kw_only=True):
    """How many entries of the table stand in each state, where somebody counted them (``… | sort | uniq -c``).

    ``UNREPLIED`` and ``ASSURED`` are among the keys where the count was made of those words.
    """

    by_state: dict[str, int]
