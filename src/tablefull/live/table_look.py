"""One look at a table with what belongs to it: own addresses, sockets, namespaces, and what could not be seen.

The trap: every part may be refused by itself (no capability, no /proc, a namespace that is gone), and what is left
still answers. A part that was refused is named, with what would make it visible; it is never an empty answer.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from tablefull.errors import KernelRefused, ParseError, TablefullError, Unreadable
from tablefull.facts.origin import Hole
from tablefull.live import own_addresses, table
from tablefull.live.netlink import askable
from tablefull.live.orphans import Orphans, among, own_connections, sockets
from tablefull.live.own_addresses import Key
from tablefull.live.proc import Proc
from tablefull.wire.dimensions import Dimension

if TYPE_CHECKING:
    from tablefull.live.spaces import Space

OWN = "this one"


class Look(Struct, kw_only=True):
    """What was seen of one namespace, and of all where that was asked for. ``reading`` None: nothing of the entries."""

    namespace: str
    reading: table.Reading | None = None
    own: frozenset[Key] = frozenset()
    orphans: Orphans | None = None
    spaces: "list[Space]" = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)


def look(
    proc: Proc,
    space: str | None,
    dimensions: Sequence[Dimension],
    where: table.Test | None = None,
    whole: bool | None = None,
    every_space: bool = False,
    tick: table.Tick | None = None,
) -> Look:
    """Look at the namespace behind ``space`` (None: this one). ``whole`` None: all where the table is not large."""
    path = None
    name = OWN
    if space is not None:
        from tablefull.live import spaces

        name, path = spaces.place(proc, space)
    result = Look(namespace=name)
    may_ask = True
    try:
        askable(proc)
    except Unreadable as error:
        may_ask = False
        result.holes.append(Hole(error.path, error.why, error.remedy))
    result.reading = _reading(result, path, dimensions, where, whole, may_ask, tick)
    result.own = own_addresses.own(path)
    if result.reading is not None:
        _orphans(result, result.reading, path)
    if every_space:
        from tablefull.live import spaces

        result.spaces, holes = spaces.all_of(proc, may_ask)
        result.holes += holes
    return result


def _orphans(result: Look, reading: table.Reading, path: str | None) -> None:
    """Compare with the sockets, where there is anything to compare: listing them takes the kernel a while."""
    mine = own_connections(reading.rows, result.own)
    there = sockets(path) if mine else set()
    if there is None:
        result.holes.append(Hole("/proc/net/tcp", "it is not there", "mount /proc to compare entries with sockets"))
    else:
        result.orphans = among(mine, there)


def _reading(
    result: Look,
    path: str | None,
    dimensions: Sequence[Dimension],
    where: table.Test | None,
    whole: bool | None,
    may_ask: bool,
    tick: table.Tick | None,
) -> table.Reading | None:
    """The entries by ctnetlink, else by the file in /proc."""
    refusal: TablefullError | None = None
    if may_ask:
        try:
            if whole is None:
                total, _ = table.counts(path)
                whole = total <= table.SAMPLE_ABOVE
            if whole:
                return table.full(path, dimensions, where, tick)
            return table.sample(path, dimensions, where=where)
        except (KernelRefused, ParseError) as error:
            refusal = error
            result.holes.append(_hole(error))
    try:
        return table.from_file(path, dimensions, None if whole else table.SAMPLE, where)
    except (OSError, ValueError) as error:
        why = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
        remedy = "run it as root" if refusal is not None else "this kernel tracks nothing, or does not show it"
        result.holes.append(Hole("/proc/net/nf_conntrack", why, remedy))
    return None


def _hole(error: TablefullError) -> Hole:
    what, _, rest = str(error).partition(": ")
    why, _, remedy = rest.partition("; ")
    return Hole(what, why or what, remedy)
