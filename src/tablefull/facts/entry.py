"""One row of the connection-tracking table as a listing prints it, and the composition of a whole listing.

The trap: an offloaded entry prints neither a timeout nor a state, so both are optional and absent is not zero. A
listing may hold 1.5 million rows, so :class:`Composition` counts them as they pass and keeps only a few.
"""

from collections import Counter
from typing import ClassVar, NamedTuple

from msgspec import Struct, field

from tablefull.facts.origin import Fact, Origin

# Remaining life beyond which a row counts as long: of the default timeouts only that of ESTABLISHED is above an hour.
LONG_S = 3600


class CtTuple(Struct, frozen=True, gc=False):
    """One direction: addresses as printed, ports or ICMP numbers where the protocol has them, else None."""

    src: str
    dst: str
    sport: int | None = None
    dport: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    icmp_id: int | None = None


class Entry(Fact, frozen=True, kw_only=True, gc=False):
    """One row. ``remaining_s`` and ``state`` are None where the row prints none (offload, UDP has no state).

    ``l4proto`` is the kernel's lower-case word (tcp udp icmp icmpv6 gre sctp udplite dccp unknown), ``protonum`` its
    number. ``event`` is NEW, UPDATE or DESTROY for a line of ``conntrack -E``: something that happened, not a row of
    the table.
    """

    l4proto: str
    original: CtTuple
    family: str | None = None
    protonum: int | None = None
    reply: CtTuple | None = None
    remaining_s: int | None = None
    state: str | None = None
    unreplied: bool = False
    assured: bool = False
    offload: bool = False
    hw_offload: bool = False
    packets_original: int | None = None
    bytes_original: int | None = None
    packets_reply: int | None = None
    bytes_reply: int | None = None
    mark: int | None = None
    zone: int | None = None
    use: int | None = None
    helper: str | None = None
    event: str | None = None
    timestamp_s: float | None = None


class EntryCount(Fact, frozen=True, kw_only=True):
    """How many entries something said there are: ``conntrack -C``, ``wc -l``, 'N flow entries have been shown'.

    ``how`` is ``count`` where the kernel's counter was read and ``listed`` where rows were counted.
    """

    count: int
    how: str


class Shape(NamedTuple):
    """What a tally needs to know of a row beside its addresses: few distinct values, whatever the size of the table."""

    l4proto: str
    state: str | None
    unreplied: bool
    assured: bool
    offload: bool
    long: bool


def port_key(l4proto: str, dport: int | None) -> str:
    """The key of ``by_dport``: ``tcp/443``, or the protocol alone where a row has no port."""
    return l4proto if dport is None else f"{l4proto}/{dport}"


class Composition(Struct, kw_only=True):
    """What a listing holds: totals and tallies, and at most ``KEEP`` rows in full. Events are counted apart."""

    first: Origin
    rows: int = 0
    events: int = 0
    unreplied: int = 0
    assured: int = 0
    offload: int = 0
    by_l4proto: Counter[str] = field(default_factory=Counter)
    by_state: Counter[str] = field(default_factory=Counter)
    by_source: Counter[str] = field(default_factory=Counter)
    by_destination: Counter[str] = field(default_factory=Counter)
    by_dport: Counter[str] = field(default_factory=Counter)
    unreplied_by_state: Counter[str] = field(default_factory=Counter)
    remaining_over_3600_s: int = 0
    kept: list[Entry] = field(default_factory=list)

    KEEP: ClassVar[int] = 200

    def add(self, entry: Entry) -> None:
        """Count one row. ``by_dport`` keys are ``tcp/443``; a row without a port counts under its protocol."""
        if entry.event is not None:
            self.events += 1
            return
        original = entry.original
        remaining = entry.remaining_s
        self.tally(
            Shape(
                entry.l4proto,
                entry.state,
                entry.unreplied,
                entry.assured,
                entry.offload or entry.hw_offload,
                remaining is not None and remaining > LONG_S,
            ),
            1,
        )
        if original.src:
            self.by_source[original.src] += 1
        if original.dst:
            self.by_destination[original.dst] += 1
        self.by_dport[port_key(entry.l4proto, original.dport)] += 1
        if len(self.kept) < self.KEEP:
            self.kept.append(entry)

    def tally(self, shape: Shape, rows: int) -> None:
        """Count ``rows`` rows of one shape; their addresses and ports are the caller's to count."""
        self.rows += rows
        self.by_l4proto[shape.l4proto] += rows
        if shape.state:
            self.by_state[shape.state] += rows
        if shape.unreplied:
            self.unreplied += rows
            self.unreplied_by_state[shape.state or shape.l4proto] += rows
        if shape.assured:
            self.assured += rows
        if shape.offload:
            self.offload += rows
        if shape.long:
            self.remaining_over_3600_s += rows
