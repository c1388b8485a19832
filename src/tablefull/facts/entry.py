"""One row of the connection-tracking table as a listing prints it, and the composition of a whole listing.

The trap: an offloaded entry prints neither a timeout nor a state, so both are optional and absent is not zero. A listing may
hold 1.5 million rows, so :class:`Composition` counts them as they pass and keeps only a few.
"""

from collections import Counter
from typing import ClassVar

from msgspec import Struct, field

from tablefull.facts.origin import Fact, Origin


class CtTuple(Struct, frozen=True):
    """One direction: addresses as printed, ports or ICMP numbers where the protocol has them, else None."""

    src: str
    dst: str
    sport: int | None = None
    dport: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    icmp_id: int | None = None


class Entry(Fact, frozen=True, kw_only=True):
    """One row. ``remaining_s`` and ``state`` are None where the row prints none (offload, UDP has no state).

    ``l4proto`` is the kernel's lower-case word (tcp udp icmp icmpv6 gre sctp udplite dccp unknown), ``protonum`` its number.
    ``event`` is NEW, UPDATE or DESTROY for a line of ``conntrack -E``.
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


class Composition(Struct, kw_only=True):
    """What a listing holds: totals and tallies, and at most ``KEEP`` rows in full."""

    first: Origin
    rows: int = 0
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
        self.rows += 1
        self.by_l4proto[entry.l4proto] += 1
        state = entry.state
        if state:
            self.by_state[state] += 1
        if entry.unreplied:
            self.unreplied += 1
            self.unreplied_by_state[state or entry.l4proto] += 1
        if entry.assured:
            self.assured += 1
        if entry.offload or entry.hw_offload:
            self.offload += 1
        if entry.remaining_s is not None and entry.remaining_s > 3600:
            self.remaining_over_3600_s += 1
        original = entry.original
        if original.src:
            self.by_source[original.src] += 1
        if original.dst:
            self.by_destination[original.dst] += 1
        port = original.dport
        self.by_dport[f"{entry.l4proto}/{port}" if port is not None else entry.l4proto] += 1
        if len(self.kept) < self.KEEP:
            self.kept.append(entry)
