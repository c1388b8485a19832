"""The table from ``/proc/net/nf_conntrack``, where ctnetlink may not be asked or is not there.

The trap: the file says in words what netlink says in numbers, and is slow (before 6.15 its time grows with the square
of the table; KERNEL.md 9.5). So it is the second choice, and read only as far as is needed.
"""

import ipaddress
from collections.abc import Iterator
from itertools import islice

from tablefull.facts.entry import CtTuple, Entry
from tablefull.facts.origin import Origin
from tablefull.kernel.sctp import STATES as SCTP_STATES
from tablefull.kernel.states import TCP_STATES, tcp_state
from tablefull.live.netlink import in_namespace
from tablefull.parsers.conntrack_entries import decode
from tablefull.wire import ctnetlink as at
from tablefull.wire.dimensions import NAMES

PATHS = ("/proc/thread-self/net/nf_conntrack", "/proc/thread-self/net/ip_conntrack")
SEEN_REPLY, ASSURED, CONFIRMED, SNAT, DNAT, OFFLOAD, HW_OFFLOAD = (1 << bit for bit in (1, 2, 3, 4, 5, 14, 15))
_NUMBERS = {name: number for number, name in NAMES.items()}
_ORIGIN = Origin("/proc/net/nf_conntrack", 0, "")


def listed(namespace: str | None, size: int | None) -> list[at.Row]:
    """The first ``size`` entries (None: all) of the namespace behind that path (None: this one). OSError as below."""
    return in_namespace(namespace, lambda: list(islice(rows(), size)))


def rows() -> Iterator[at.Row]:
    """Entries of the namespace of this thread. OSError where the file is not there."""
    error: OSError | None = None
    for path in PATHS:
        try:
            with open(path, encoding="ascii", errors="replace") as lines:  # noqa: PTH123 - read line by line
                for line in lines:
                    entry = decode(line, _ORIGIN)
                    if entry is not None:
                        yield row(entry)
            return
        except OSError as failed:
            error = error or failed
    if error is not None:
        raise error


def _address(text: str) -> tuple[int, list[int]]:
    try:
        packed = ipaddress.ip_address(text).packed
    except ValueError:
        return 0, [0, 0, 0, 0]
    words = [int.from_bytes(packed[begin : begin + 4], "big") for begin in range(0, len(packed), 4)]
    return (4, [*words, 0, 0, 0]) if len(words) == 1 else (6, words)


def _ends(found: list[int], ends: CtTuple, reply: bool) -> int:
    base = 8 * reply
    family, found[base + at.R_SRC : base + at.R_SRC + 4] = _address(ends.src)
    _, found[base + at.R_DST : base + at.R_DST + 4] = _address(ends.dst)
    ports = at.R_REPLY * reply
    found[at.R_SPORT + ports] = ends.sport if ends.sport is not None else ends.icmp_id or 0
    found[at.R_DPORT + ports] = ends.dport or 0
    found[at.R_TYPE + ports], found[at.R_CODE + ports] = ends.icmp_type or 0, ends.icmp_code or 0
    return family


def _state(entry: Entry) -> int:
    if entry.state is None:
        return at.ABSENT
    names = SCTP_STATES if entry.l4proto == "sctp" else TCP_STATES
    name = entry.state if entry.l4proto == "sctp" else tcp_state(entry.state)
    return names.index(name) if name in names else at.ABSENT


def row(entry: Entry) -> at.Row:
    """An entry that a listing printed, as ctnetlink would tell it."""
    found = [0] * at.ROW_WORDS
    found[at.R_FAMILY] = _ends(found, entry.original, reply=False)
    found[at.R_PROTO] = entry.protonum if entry.protonum is not None else _NUMBERS.get(entry.l4proto, 0)
    found[at.R_STATE] = _state(entry)
    found[at.R_TIMEOUT] = at.ABSENT if entry.remaining_s is None else entry.remaining_s
    status = CONFIRMED | (0 if entry.unreplied else SEEN_REPLY) | (ASSURED if entry.assured else 0)
    status |= (OFFLOAD if entry.offload else 0) | (HW_OFFLOAD if entry.hw_offload else 0)
    if entry.reply is not None:
        _ends(found, entry.reply, reply=True)
        status |= SNAT if entry.reply.dst != entry.original.src else 0
        status |= DNAT if entry.reply.src != entry.original.dst else 0
    found[at.R_STATUS] = status
    found[at.R_MARK], found[at.R_USE], found[at.R_ZONE] = entry.mark or 0, entry.use or 0, entry.zone or 0
    counters = (entry.packets_original, entry.bytes_original, entry.packets_reply, entry.bytes_reply)
    for word, value in zip(range(at.R_PACKETS, at.R_START, 2), counters, strict=True):
        if value is not None:
            found[word], found[word + 1] = value >> 32, value & 0xFFFFFFFF
            found[at.R_PRESENT] |= at.HAS_COUNTERS
    return tuple(found)
