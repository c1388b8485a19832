"""What a plan for a table's size is made from, whichever evidence it came from: values, without a library.

The trap: a look at the running host must answer where no library is installed, so nothing here knows how it was
measured.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from tablefull.twin.planning import Little

if TYPE_CHECKING:
    from tablefull.live.replay_holders import Holders


class Change(Struct, frozen=True, kw_only=True):
    """Something done instead of raising the limit. ``id`` is of the fix taxonomy, "" for nothing at all.

    ``port`` (``udp/53``), ``source`` and ``expression`` name traffic that is not tracked.
    """

    id: str
    label: str
    sysctls: Mapping[str, str] = {}
    port: str | None = None
    source: str | None = None
    expression: str | None = None

    @property
    def exempts(self) -> str | None:
        """What is not tracked, in tcpdump's words."""
        if self.expression is not None:
            return self.expression
        if self.source is not None:
            return f"host {self.source}"
        if self.port is None:
            return None
        proto, _, number = self.port.partition("/")
        return f"{proto} port {number}" if number else f"proto {proto}"


NOTHING = Change(id="", label="as it is")


class Idle(Struct, frozen=True):
    """Entries at the peak under one timeout: how many, and for how long those whose silence is told were silent."""

    name: str
    timeout_s: int
    entries: int
    idle_s: tuple[int, ...]


class Measured(Struct, kw_only=True):
    """One run without a limit.

    ``middle`` and ``end``: counts halfway and at the end. ``births``: in equal windows. ``before``: entries that were
    there already, None where nobody can tell. ``refused``, ``evicted``: under the limit that was asked about.
    """

    change: Change
    peak: int = 0
    peak_ns: int = 0
    middle: int = 0
    end: int = 0
    little: Little | None = None
    births: list[float] = field(default_factory=list)
    before: int | None = None
    refused: int | None = None
    evicted: int | None = None


class Study(Struct, kw_only=True):
    """What was measured: as it is, and under the changes. ``idle``: of the entries near the peak."""

    source: str
    kind: str  # packets, events, workload
    first_ns: int
    last_ns: int
    amount: int
    base: Measured
    held: "Holders | None" = None
    idle: list[Idle] = field(default_factory=list)
    options: list[Measured] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    blind: bool = False

    @property
    def span_s(self) -> float:
        """How long the evidence is."""
        return (self.last_ns - self.first_ns) / 1e9
