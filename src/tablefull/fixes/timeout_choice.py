"""Which timeouts are too long for this table, by how long its entries have been silent.

The trap: a remaining time tells how long an entry is idle only while its deadline was set from the timeout of its
state. An established connection with unacknowledged data or repeated segments is set to 300 s, and an entry may be
older than the timeout that is in force: both are counted apart, never as idle for days.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from tablefull.fixes.timeout_plans import DAY_S, TCP, THREE_HOURS_S, UDP, UDP_STREAM
from tablefull.kernel.states import STATUS_BITS, TCP_STATES
from tablefull.kernel.timeouts import TIMEOUT_OF_TCP_STATE
from tablefull.wire import ctnetlink as at

GENERIC = "nf_conntrack_generic_timeout"
# Seconds to choose from, the mildest first. The last is the shortest that harms nobody who behaves: above a keepalive's
# 7875 s for open connections, above the retransmissions of a SYN or a FIN (1, 2, 4, 8 s) for the rest.
LADDERS: dict[str, tuple[int, ...]] = {
    TCP + "established": (DAY_S, DAY_S // 2, THREE_HOURS_S),
    TCP + "syn_sent": (60, 30),
    TCP + "syn_recv": (30, 20),
    TCP + "fin_wait": (60, 30),
    TCP + "close_wait": (3600, 60),
    TCP + "last_ack": (30, 15),
    TCP + "time_wait": (60, 30),
    UDP: (20, 10),
    UDP_STREAM: (120, 60),
    GENERIC: (120, 60),
}
WORTH = 0.01  # of the table's entries: what frees less is not worth a risk
MOST_OF = 0.9  # of what the shortest would free: the mildest that frees so much is chosen
_SHORT_S = 300  # max_retrans and unacknowledged [nf_conntrack_proto_tcp.c]
_ASSURED = 1 << STATUS_BITS.index("assured")
_OFFLOAD = (1 << STATUS_BITS.index("offload")) | (1 << STATUS_BITS.index("hw_offload"))
_WITH_TRACKER = frozenset((1, 6, 17, 33, 47, 58, 132, 136))


class Class(Struct, kw_only=True):
    """Entries under one timeout: how many were read, and the idle times of those that tell it."""

    name: str
    timeout_s: int
    entries: int = 0
    idle_s: list[int] = []
    unclear: int = 0

    def freed(self, seconds: int) -> int:
        """How many of these would be gone by now had the timeout been so short."""
        return sum(idle >= seconds for idle in self.idle_s)


class Choice(Struct, frozen=True, kw_only=True):
    """A timeout to shorten: of ``entries`` of the sample under it, ``freed`` have been silent for longer than that."""

    name: str
    before_s: int
    after_s: int
    entries: int
    freed: int
    sampled: int


def expression(choice: Choice) -> str:
    """The entries that would be gone by now, as ``--where`` of flush-entries; empty where it cannot say."""
    idle = f"remaining<={choice.before_s - choice.after_s}"
    if choice.name in (UDP, UDP_STREAM):
        return f"proto=udp and {'' if choice.name == UDP_STREAM else 'not '}assured and {idle}"
    state = next((state for state, name in TIMEOUT_OF_TCP_STATE.items() if name == choice.name), "")
    if not state:
        return ""
    short = f" and remaining>{_SHORT_S}" if choice.name == TCP + "established" and choice.before_s > _SHORT_S else ""
    return f"proto=tcp and state={state} and {idle}{short}"


def timeout_of(row: Sequence[int]) -> str | None:
    """The canonical name of the timeout an entry lives by; None where it has none of these."""
    if row[at.R_STATUS] & _OFFLOAD:
        return None
    proto = row[at.R_PROTO]
    if proto == 6:
        state = row[at.R_STATE]
        return TIMEOUT_OF_TCP_STATE.get(TCP_STATES[state]) if state < len(TCP_STATES) else None
    if proto == 17:
        return UDP_STREAM if row[at.R_STATUS] & _ASSURED else UDP
    return None if proto in _WITH_TRACKER else GENERIC


def classes(rows: Sequence[Sequence[int]], timeouts: Mapping[str, int]) -> list[Class]:
    """The sample by timeout, those with most entries first."""
    found: dict[str, Class] = {}
    for row in rows:
        name = timeout_of(row)
        if name is None or name not in timeouts or name not in LADDERS:
            continue
        one = found.setdefault(name, Class(name=name, timeout_s=timeouts[name]))
        one.entries += 1
        remaining = row[at.R_TIMEOUT]
        short = name == TCP + "established" and one.timeout_s > _SHORT_S and remaining <= _SHORT_S
        if remaining == at.ABSENT or remaining > one.timeout_s or short:
            one.unclear += 1
        else:
            one.idle_s.append(one.timeout_s - remaining)
    return sorted(found.values(), key=lambda one: (-one.entries, one.name))


def choose(rows: Sequence[Sequence[int]], timeouts: Mapping[str, int]) -> list[Choice]:
    """What to shorten and by how much, most freed first; nothing that frees less than 1 % of the table."""
    return chosen_of(classes(rows, timeouts), len(rows))


def chosen_of(found: Iterable[Class], sampled: int) -> list[Choice]:
    """The same from what is under each timeout; ``sampled`` entries were read in all."""
    chosen = []
    for one in found:
        steps = [seconds for seconds in LADDERS[one.name] if seconds < one.timeout_s]
        if not steps:
            continue
        most = one.freed(steps[-1])
        if most < max(1, WORTH * sampled):
            continue
        after = next(seconds for seconds in steps if one.freed(seconds) >= MOST_OF * most)
        chosen.append(
            Choice(
                name=one.name, before_s=one.timeout_s, after_s=after, entries=one.entries, freed=one.freed(after),
                sampled=sampled,
            )
        )  # fmt: skip
    return sorted(chosen, key=lambda one: (-one.freed, one.name))
