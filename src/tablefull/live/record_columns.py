"""Rows of events as the columns of a record: what a file of it holds, and how rows of numbers become that.

The trap: at 200,000 events a second there is a microsecond for all of it. So no value is spelled out twice: addresses
are numbered first and only different ones become text, states and the like are picked out of lists of words, and the
reply's addresses and ports are null where they are just the original's turned round, as they are without NAT.

An absent value is null, never 0: the state of UDP, counters without accounting, the timeout of an offloaded entry.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tablefull.kernel.sctp import STATES as SCTP_STATES
from tablefull.kernel.states import TCP_STATES, status_names
from tablefull.wire import ctnetlink as at
from tablefull.wire import loops_events as loops
from tablefull.wire.dimensions import PORTED, SCTP, TCP, address, proto_name

if TYPE_CHECKING:
    import polars as pl

Rows = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

FORMAT = "tablefull/events/1"
# Kinds of rows: events; entries of a dump; and what happened to the recording itself (`netns` says where).
NEW, UPDATE, DESTROY, RESYNC = "NEW", "UPDATE", "DESTROY", "resync"
GAP = "gap"  # from time_ns to until_ns messages were lost; lost: how many, null where nobody knows
SYNCED = "synced"  # all entries of the dump begun at time_ns are there: others had ended by then
JOINED, LEFT, GONE = "joined", "left", "gone"  # followed from then on, no more; the namespace ended with all it held
KINDS = (RESYNC, NEW, UPDATE, DESTROY)  # by ctnetlink.R_EVENT
CONTROLS = (GAP, SYNCED, JOINED, LEFT, GONE)
# Where time_ns is from: the kernel's stamp of the event (Linux 6.14), of the entry's start or stop, or of receipt.
CLOCKS = ("event", "start", "stop", "received")
BY_EVENT, BY_START, BY_STOP, BY_RECEIPT = range(4)
ICMPS = (1, 58)
MANY = 256  # addresses of IPv4 from which on they are spelled all at once

_TEXT, _NUMBER = "String", "Int64"
SCHEMA: dict[str, str] = {
    "time_ns": _NUMBER, "time_from": _TEXT, "netns": _TEXT, "kind": _TEXT, "family": _TEXT, "proto": _TEXT,
    "state": _TEXT, "remaining_s": "UInt32", "src": _TEXT, "dst": _TEXT, "sport": "UInt16", "dport": "UInt16",
    "reply_src": _TEXT, "reply_dst": _TEXT, "reply_sport": "UInt16", "reply_dport": "UInt16", "icmp_type": "UInt8",
    "icmp_code": "UInt8", "icmp_id": "UInt16", "status": _TEXT, "zone": "UInt16", "zone_orig": "UInt16",
    "zone_reply": "UInt16", "mark": "UInt32", "helper": _TEXT, "packets": _NUMBER, "bytes": _NUMBER,
    "reply_packets": _NUMBER, "reply_bytes": _NUMBER, "start_ns": _NUMBER, "stop_ns": _NUMBER, "id": "UInt32",
    "until_ns": _NUMBER, "lost": _NUMBER,
}  # fmt: skip


def schema() -> "dict[str, Any]":
    """The columns of a record as polars types."""
    import polars as pl

    return {name: getattr(pl, kind) for name, kind in SCHEMA.items()}


def control(
    kind: str, netns: str, time_ns: int, until_ns: int | None = None, lost: int | None = None
) -> "pl.DataFrame":
    """One row about the recording itself."""
    import polars as pl

    given = {
        "time_ns": time_ns,
        "time_from": "received",
        "netns": netns,
        "kind": kind,
        "until_ns": until_ns,
        "lost": lost,
    }
    return pl.DataFrame({name: [given.get(name)] for name in SCHEMA}, schema=schema())


class Columns:
    """Makes frames out of rows; it keeps the lists of words and the memory that it works in."""

    def __init__(self) -> None:
        import polars as pl

        self._octets = pl.Series([str(number) for number in range(256)], dtype=pl.String)
        self._kinds = pl.Series(KINDS, dtype=pl.String)
        self._clocks = pl.Series(CLOCKS, dtype=pl.String)
        self._families = pl.Series(
            [f"ipv{number}" if number in (4, 6) else None for number in range(8)], dtype=pl.String
        )
        self._protos = pl.Series([proto_name(number) for number in range(256)], dtype=pl.String)
        states = [None, *TCP_STATES, *SCTP_STATES]
        self._states = pl.Series(states, dtype=pl.String)
        self._table = np.zeros(0, np.int64)
        self._firsts = np.zeros(0, np.int64)
        # How many rows there were of each kind, and from each clock.
        self.kinds, self.clocks = np.zeros(len(KINDS), np.int64), np.zeros(len(CLOCKS), np.int64)

    def frame(self, rows: Rows, received_ns: Numbers, netns: Numbers, names: Sequence[str]) -> "pl.DataFrame":
        """The rows as :data:`SCHEMA`. ``netns``: the number of each row's namespace in ``names``."""
        import polars as pl

        def word(number: int) -> npt.NDArray[np.uint32]:
            return np.ascontiguousarray(rows[:, number])

        count = len(rows)
        present, proto, status, family = word(at.R_PRESENT), word(at.R_PROTO), word(at.R_STATUS), word(at.R_FAMILY)
        kind = word(at.R_EVENT) & np.uint32(3)
        time_ns, clock = _times(rows, kind, present, received_ns)
        self.kinds += np.bincount(kind, minlength=len(KINDS))
        self.clocks += np.bincount(clock[kind != 0], minlength=len(CLOCKS))
        ported = np.isin(proto, tuple(PORTED))
        icmp = np.isin(proto, ICMPS)
        mirrored = _mirrored(rows, proto)
        there = np.arange(count)
        natted = np.flatnonzero(~mirrored)
        state = np.where(word(at.R_STATE) == at.ABSENT, 255, word(at.R_STATE))
        counted, stamped = (present & at.HAS_COUNTERS) != 0, (present & at.HAS_TIMESTAMP) != 0
        zones = [word(number) for number in (at.R_ZONE, at.R_ZONE_ORIG, at.R_ZONE_REPLY)]
        start, stop = _wide(rows, at.R_START), _wide(rows, at.R_STOP)
        columns = {
            "time_ns": pl.Series(time_ns),
            "time_from": self._clocks.gather(clock),
            "netns": pl.Series(list(names), dtype=pl.String).gather(netns),
            "kind": self._kinds.gather(kind),
            "family": self._families.gather(np.minimum(family, 7)),
            "proto": self._protos.gather(proto & 255),
            "state": self._states.gather(_state_numbers(proto, state)),
            "remaining_s": self._some(word(at.R_TIMEOUT), word(at.R_TIMEOUT) != at.ABSENT),
            "src": self._addresses(rows, there, at.R_SRC, count),
            "dst": self._addresses(rows, there, at.R_DST, count),
            "sport": self._some(word(at.R_SPORT).astype(np.uint16), ported),
            "dport": self._some(word(at.R_DPORT).astype(np.uint16), ported),
            "reply_src": self._addresses(rows, natted, at.R_REPLY_SRC, count),
            "reply_dst": self._addresses(rows, natted, at.R_REPLY_DST, count),
            "reply_sport": self._some(word(at.R_SPORT + at.R_REPLY).astype(np.uint16), ported & ~mirrored),
            "reply_dport": self._some(word(at.R_DPORT + at.R_REPLY).astype(np.uint16), ported & ~mirrored),
            "icmp_type": self._some(word(at.R_TYPE).astype(np.uint8), icmp),
            "icmp_code": self._some(word(at.R_CODE).astype(np.uint8), icmp),
            "icmp_id": self._some(word(at.R_SPORT).astype(np.uint16), icmp),
            "status": self._words(status & np.uint32(0xFFFF), lambda bits: " ".join(status_names(bits))),
            "zone": pl.Series(zones[0].astype(np.uint16)),
            "zone_orig": self._some(zones[1].astype(np.uint16), zones[1] != 0),
            "zone_reply": self._some(zones[2].astype(np.uint16), zones[2] != 0),
            "mark": self._some(word(at.R_MARK), (present & at.HAS_MARK) != 0),
            "helper": self._helpers(rows, (present & at.HAS_HELPER) != 0),
            **{
                name: self._some(_wide(rows, number), counted)
                for name, number in (
                    *(("packets", at.R_PACKETS), ("bytes", at.R_BYTES)),
                    *(("reply_packets", at.R_REPLY_PACKETS), ("reply_bytes", at.R_REPLY_BYTES)),
                )
            },
            "start_ns": self._some(start, stamped & (start != 0)),
            "stop_ns": self._some(stop, stamped & (stop != 0)),
            "id": pl.Series(word(at.R_ID)),
            "until_ns": self._none("Int64", count),
            "lost": self._none("Int64", count),
        }
        return pl.DataFrame(columns)

    def _none(self, kind: str, count: int) -> "pl.Series":
        import polars as pl

        return pl.Series([None], dtype=getattr(pl, kind)).new_from_index(0, count)

    def _some(self, values: "npt.NDArray[Any]", have: Flags) -> "pl.Series":
        """The values, null where there is none."""
        import polars as pl

        held = pl.Series(values)
        if have.all():
            return held
        nothing = pl.Series([None], dtype=held.dtype).new_from_index(0, len(values))
        return held.zip_with(pl.Series(have), nothing) if have.any() else nothing

    def _words(self, bits: npt.NDArray[np.uint32], say: Callable[[int], str]) -> "pl.Series":
        """Numbers of 16 bits in words, each different one once."""
        import polars as pl

        there = np.zeros(65536, np.bool_)
        there[bits] = True
        different = np.flatnonzero(there)
        place = np.zeros(65536, np.uint32)
        place[different] = np.arange(len(different))
        return pl.Series([say(int(one)) for one in different], dtype=pl.String).gather(place[bits])

    def _helpers(self, rows: Rows, have: Flags) -> "pl.Series":
        import polars as pl

        if not have.any():
            return self._none(_TEXT, len(rows))
        text: list[str | None] = [None] * len(rows)
        for row in np.flatnonzero(have).tolist():
            raw = rows[row, at.R_HELPER : at.R_HELPER + 4].astype(">u4").tobytes()
            text[row] = raw.split(b"\0", 1)[0].decode("ascii", "backslashreplace")
        return pl.Series(text, dtype=pl.String)

    def _addresses(self, rows: Rows, chosen: Numbers, word: int, count: int) -> "pl.Series":
        """The addresses in a word of the chosen rows, null in the others."""
        if not len(chosen):
            return self._none(_TEXT, count)
        slots = 1 << (2 * len(chosen) - 1).bit_length()
        if len(self._table) < slots or len(self._firsts) < len(chosen):
            self._table, self._firsts = np.zeros(slots, np.int64), np.zeros(slots, np.int64)
        table = self._table[:slots]
        table.fill(-1)
        codes = np.zeros(len(chosen), np.uint32)
        used = loops.number_addresses(rows, chosen, word, table, self._firsts, codes)
        texts = self._spelled(rows[self._firsts[:used]], word)
        if len(chosen) == count:
            return texts.gather(codes)
        places = np.full(count, used, np.uint32)
        places[chosen] = codes
        return texts.append(self._none(_TEXT, 1)).gather(places)

    def _spelled(self, rows: Rows, word: int) -> "pl.Series":
        import polars as pl

        family, values = rows[:, at.R_FAMILY], rows[:, word : word + 4]
        four = family == 4
        if len(rows) < MANY or not four.any():
            spelled = [address(kind, words) for kind, words in zip(family.tolist(), values.tolist(), strict=True)]
            return pl.Series(spelled, dtype=pl.String)
        first = values[:, 0]
        parts = {str(shift): self._octets.gather(first >> shift & 255) for shift in (24, 16, 8, 0)}
        texts = pl.DataFrame(parts).select(pl.concat_str(pl.all(), separator=".")).to_series()
        if not four.all():
            others = np.flatnonzero(~four)
            spelled = [
                address(kind, words)
                for kind, words in zip(family[others].tolist(), values[others].tolist(), strict=True)
            ]
            texts = texts.scatter(others, pl.Series(spelled, dtype=pl.String))
        return texts


def _wide(rows: Rows, word: int) -> Numbers:
    return rows[:, word].astype(np.int64) << 32 | rows[:, word + 1]


def _times(
    rows: Rows, kind: npt.NDArray[np.uint32], present: npt.NDArray[np.uint32], received_ns: Numbers
) -> tuple[Numbers, npt.NDArray[np.uint32]]:
    """The time of each row, and which clock told it."""
    time_ns = received_ns.copy()
    clock = np.full(len(rows), BY_RECEIPT, np.uint32)
    if not (present & (at.HAS_TIMESTAMP | at.HAS_WHEN)).any():
        return time_ns, clock
    told = [
        (BY_START, (present & at.HAS_TIMESTAMP != 0) & (kind == at.EVENT_NEW), at.R_START),
        (BY_STOP, (present & at.HAS_TIMESTAMP != 0) & (kind == at.EVENT_DESTROY), at.R_STOP),
        (BY_EVENT, (present & at.HAS_WHEN != 0) & (kind != 0), at.R_WHEN),
    ]
    for number, have, word in told:
        if have.any():
            values = _wide(rows, word)
            chosen = have & (values != 0)
            time_ns[chosen] = values[chosen]
            clock[chosen] = number
    return time_ns, clock


def _mirrored(rows: Rows, proto: npt.NDArray[np.uint32]) -> Flags:
    """Where the reply is the original turned round. Of ICMP the id stays where it is; a type turns into its answer."""
    there = rows[:, at.R_SRC : at.R_SRC + 8]
    back = rows[:, at.R_REPLY_SRC : at.R_REPLY_SRC + 8]
    same = np.ones(len(rows), np.bool_)
    for word in range(4):
        same &= (there[:, word] == back[:, word + 4]) & (there[:, word + 4] == back[:, word])
    sport, dport = rows[:, at.R_SPORT], rows[:, at.R_DPORT]
    reply_sport, reply_dport = rows[:, at.R_SPORT + at.R_REPLY], rows[:, at.R_DPORT + at.R_REPLY]
    icmp = np.isin(proto, ICMPS)
    found: Flags = same & (icmp | ((sport == reply_dport) & (dport == reply_sport)))
    return found


def _state_numbers(proto: npt.NDArray[np.uint32], state: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Places in the list of states: none, TCP's, SCTP's."""
    tcp = (proto == TCP) & (state < len(TCP_STATES))
    sctp = (proto == SCTP) & (state < len(SCTP_STATES))
    return np.where(tcp, 1 + state, np.where(sctp, 1 + len(TCP_STATES) + state, 0)).astype(np.uint32)
