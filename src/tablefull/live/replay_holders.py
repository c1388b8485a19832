"""Who holds a table: its entries by source, by destination port, by protocol and state, and whose host it may be.

The trap: a list of addresses tells a person nothing when most of it is the host itself. So an address that most entries
share, or that a capture shows as the sender of what goes out, is named as the host's own.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tablefull.kernel.sctp import STATES as SCTP_STATES
from tablefull.kernel.states import TCP_STATES
from tablefull.twin.listing import NAMES, address

MOST = 5
OWN_SHARE = 0.5
ASSURED, SEEN_REPLY = 1 << 2, 1 << 1
_TCP, _SCTP = 6, 132
Words = npt.NDArray[np.uint32]


class Holders(Struct, frozen=True):
    """The composition of a table at one moment: counts, largest first. ``own``: addresses that are the host's own."""

    time_ns: int
    count: int
    sources: tuple[tuple[str, int], ...]
    destinations: tuple[tuple[str, int], ...]
    ports: tuple[tuple[str, int], ...]
    states: tuple[tuple[str, int], ...]
    assured: int
    unreplied: int
    own: tuple[str, ...] = ()


def tallied(words: Words, family: Words, most: int) -> list[tuple[str, int]]:
    """The most frequent addresses and how often each is there."""
    if not len(words):
        return []
    if (family == 4).all():
        values, counts = np.unique(words[:, 0], return_counts=True)
        rows = np.zeros((len(values), 4), np.uint32)
        rows[:, 0] = values
        families = np.full(len(values), 4)
    else:
        keys = np.ascontiguousarray(np.column_stack([words, family]).astype(np.uint32)).view("V20").ravel()
        found, counts = np.unique(keys, return_counts=True)
        table = found.view(np.uint32).reshape(-1, 5)
        rows, families = table[:, :4], table[:, 4]
    best = np.argsort(-counts, kind="stable")[:most]
    return [
        (address(int(families[at]), (*(int(word) for word in rows[at]),)), int(counts[at]))  # type: ignore[arg-type]
        for at in best
        if families[at] in (4, 6)
    ]


def _ports(l4proto: Words, dport: Words) -> list[tuple[str, int]]:
    values, counts = np.unique(l4proto.astype(np.int64) << 16 | dport, return_counts=True)
    best = np.argsort(-counts, kind="stable")[:MOST]
    named = []
    for at in best:
        proto, port = int(values[at]) >> 16, int(values[at]) & 0xFFFF
        name = NAMES.get(proto, f"protocol {proto}")
        named.append((f"{name}/{port}" if port else name, int(counts[at])))
    return named


def _states(l4proto: Words, state: Words) -> list[tuple[str, int]]:
    """TCP and SCTP by state, the rest by protocol; all of them."""
    stated = np.isin(l4proto, (_TCP, _SCTP))
    values, counts = np.unique(l4proto.astype(np.int64) << 8 | np.where(stated, state, 0), return_counts=True)
    named = []
    for at in np.argsort(-counts, kind="stable"):
        proto, number = int(values[at]) >> 8, int(values[at]) & 0xFF
        name = NAMES.get(proto, f"protocol {proto}")
        if proto in (_TCP, _SCTP):
            states = TCP_STATES if proto == _TCP else SCTP_STATES
            name = f"{name} {states[number] if number < len(states) else number}"
        named.append((name, int(counts[at])))
    return named


def likely_own(ends: Iterable[tuple[str, int]], count: int) -> tuple[str, ...]:
    """The address at an end of most of ``count`` entries; none where two are there as often: either may be the host."""
    both: dict[str, int] = {}
    for name, number in ends:
        both[name] = both.get(name, 0) + number
    ranked = sorted(both.items(), key=lambda pair: -pair[1])
    if count < 2 or not ranked or ranked[0][1] <= OWN_SHARE * count:
        return ()
    return () if len(ranked) > 1 and ranked[1][1] == ranked[0][1] else (ranked[0][0],)


def holders(columns: Mapping[str, Words], time_ns: int, own: Sequence[str] = ()) -> Holders:
    """What :meth:`Twin.columns` holds, tallied. ``own``: addresses known to be the host's."""
    family, status = columns["family"], columns["status"]
    count = len(family)
    sources = tallied(columns["src"], family, 64)
    destinations = tallied(columns["dst"], family, 64)
    known = tuple(own)
    if not known:
        known = likely_own((*sources, *destinations), count)
    return Holders(
        time_ns,
        count,
        tuple(sources[:MOST]),
        tuple(destinations[:MOST]),
        tuple(_ports(columns["l4proto"], columns["dport"])),
        tuple(_states(columns["l4proto"], columns["tcp_state"])),
        int((status & ASSURED != 0).sum()),
        int((status & SEEN_REPLY == 0).sum()),
        known,
    )
