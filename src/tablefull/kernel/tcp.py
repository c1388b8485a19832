"""The TCP state machine of connection tracking: one table of data, rows (direction, segment kind), columns the
states.

The trap: the table alone decides little. ``IGNORE`` lets a packet through without believing it, ``INVALID`` cuts it
from its entry, and what a cell says may be overruled by what the window check, an earlier ignored SYN or a RST's
sequence number show; those rules live with the tracker. The states count in uapi order, where SYN_SENT2 comes last.

[tcp, identical in 3.18.20..6.19, EL7.7 and RHEL 8.1; the older tables from 2.6.32..3.16 and the stables 3.2.71,
3.4.113]
"""

from typing import Literal

from tablefull.kernel.identity import KernelVersion, at_least, enterprise
from tablefull.kernel.states import TCP_STATES

NONE, SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE, SYN_SENT2 = range(10)
# What a cell may hold beside a state.
IGNORE, INVALID = 10, 11

# Segment kinds, in the order in which a segment's flags decide: RST, SYN+ACK or SYN, FIN, ACK, none of them.
SYN, SYNACK, FIN, ACK, RST, NO_FLAG = range(6)
SEGMENTS = ("syn", "synack", "fin", "ack", "rst", "none")

ORIGINAL, REPLY = 0, 1

# Flag bits of the thirteenth and fourteenth octet of the header. [RFC 9293]
FLAG_FIN, FLAG_SYN, FLAG_RST, FLAG_PSH, FLAG_ACK, FLAG_URG, FLAG_ECE, FLAG_CWR = (1 << bit for bit in range(8))

# PSH, ECE and CWR are free; of the rest only these combinations are believed. [tcp 6.18; measured on 6.18.44]
VALID_FLAGS = frozenset(
    (
        FLAG_SYN,
        FLAG_SYN | FLAG_URG,
        FLAG_SYN | FLAG_ACK,
        FLAG_RST,
        FLAG_RST | FLAG_ACK,
        FLAG_FIN | FLAG_ACK,
        FLAG_FIN | FLAG_ACK | FLAG_URG,
        FLAG_ACK,
        FLAG_ACK | FLAG_URG,
    )
)

# Closing states: an entry in one of them may be evicted by the collector although ASSURED. [tcp 4.12..6.18]
CLOSING = frozenset((FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE))

# Windows are tracked at most this far back for acknowledgements, and scaled by 14 at most. [tcp 6.18; RFC 7323]
MAX_ACK_WINDOW = 66000
MAX_SCALE = 14

# Flags of one side of a connection. The first four are the uapi's (IP_CT_TCP_FLAG_*), seen in a netlink dump.
SIDE_SCALE, SIDE_SACK, SIDE_CLOSE_INIT, SIDE_LIBERAL, SIDE_UNACKED, SIDE_MAXACK = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
# Beside the flags of a remembered SYN: an answer in LAST_ACK may be a challenge ACK; both sides opened at once.
LAST_CHALLENGE, LAST_SIMULTANEOUS = 0x40, 0x80

Row = tuple[int, int, int, int, int, int, int, int, int, int]
Table = tuple[tuple[Row, Row, Row, Row, Row, Row], tuple[Row, Row, Row, Row, Row, Row]]

_NAMES = {
    "NO": NONE,
    "SS": SYN_SENT,
    "SR": SYN_RECV,
    "ES": ESTABLISHED,
    "FW": FIN_WAIT,
    "CW": CLOSE_WAIT,
    "LA": LAST_ACK,
    "TW": TIME_WAIT,
    "CL": CLOSE,
    "S2": SYN_SENT2,
    "ig": IGNORE,
    "iv": INVALID,
}


def _row(text: str) -> Row:
    return tuple(_NAMES[word] for word in text.split())  # type: ignore[return-value]  # ten words a line, held by tests/kernel/test_tcp.py


def _table(original: str, reply: str) -> Table:
    return tuple(tuple(_row(line) for line in side.strip().splitlines()) for side in (original, reply))  # type: ignore[return-value]


# Columns: NO SS SR ES FW CW LA TW CL S2; rows: syn synack fin ack rst none.
TABLE: Table = _table(
    """
    SS SS ig ig ig ig ig SS SS S2
    iv iv SR iv iv iv iv iv iv SR
    iv iv FW FW LA LA LA TW CL iv
    ES iv ES ES CW CW TW TW CL iv
    iv CL CL CL CL CL CL CL CL CL
    iv iv iv iv iv iv iv iv iv iv
    """,
    """
    iv S2 iv iv iv iv iv SS iv S2
    iv SR ig ig ig ig ig ig ig SR
    iv iv FW FW LA LA LA TW CL iv
    iv ig SR ES CW CW TW TW CL ig
    iv CL CL CL CL CL CL CL CL CL
    iv iv iv iv iv iv iv iv iv iv
    """,
)


def _changed(table: Table, *cells: tuple[int, int, int, int]) -> Table:
    """The table with some cells (direction, segment, state, value) replaced."""
    sides = [[list(row) for row in side] for side in table]
    for direction, segment, state, value in cells:
        sides[direction][segment][state] = value
    return tuple(tuple(tuple(row) for row in side) for side in sides)  # type: ignore[return-value]


# To 3.16: a SYN of the other side in TIME_WAIT was no new connection.
_TABLE_3_6 = _changed(TABLE, (REPLY, SYN, TIME_WAIT, INVALID))
# 3.5.0 and before (not the late stables 3.2.71, 3.4.113): a SYN/ACK of the originator is let through.
_TABLE_3_5 = _changed(
    _TABLE_3_6,
    *((ORIGINAL, SYNACK, state, IGNORE) for state in (SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK)),
    *((ORIGINAL, SYNACK, state, IGNORE) for state in (TIME_WAIT, CLOSE)),
)
_TABLE_2_6_38 = _changed(_TABLE_3_5, (REPLY, SYNACK, SYN_RECV, SYN_RECV))


def table(kernel: KernelVersion | None) -> Table:
    """The table of this kernel; the current one where the version is not known. 2.6.32 is the oldest told apart."""
    if kernel is None or at_least(kernel, 3, 17) or enterprise(kernel) == 7:
        return TABLE
    late_stable = (kernel.major, kernel.minor) in ((3, 2), (3, 4)) and kernel.patch >= 71
    if at_least(kernel, 3, 6) or late_stable:
        return _TABLE_3_6
    return _TABLE_3_5 if at_least(kernel, 3, 0) else _TABLE_2_6_38


def segment_kind(flags: int) -> int:
    """Which row a segment with these flag bits belongs to."""
    if flags & FLAG_RST:
        return RST
    if flags & FLAG_SYN:
        return SYNACK if flags & FLAG_ACK else SYN
    if flags & FLAG_FIN:
        return FIN
    return ACK if flags & FLAG_ACK else NO_FLAG


def cell_name(value: int) -> str:
    """A cell in words: a state, IGNORE or INVALID."""
    named: dict[int, Literal["IGNORE", "INVALID"]] = {IGNORE: "IGNORE", INVALID: "INVALID"}
    return named.get(value) or TCP_STATES[value]
