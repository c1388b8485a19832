"""The compiled SCTP tracker. Namesake of reference_sctp, function by function; the rules and their sources stand
there.

The trap: unlike every other protocol it goes through the packet's bytes again, so it takes their address and how many
of them are there.
"""

import numpy as np

from tablefull.kernel import sctp
from tablefull.loops.memory import be16, be32, compiled, i64, inlined, le32, put8, put32, put64, u8
from tablefull.twin import state as at
from tablefull.twin.reference_entry import ACCEPT, INVALID, KEEP
from tablefull.twin.reference_sctp import NEVER_FIRST, OWN_RULE

_ROWS = np.array([sctp.ROWS.get(kind, -1) for kind in range(256)], np.int64)
_TABLE = np.array(sctp.TABLE, np.int64)
TAGS, INITS, SCTP_FLAGS, STATE, LAST_DIR = 4 * at.E_VTAG, at.B_INIT, at.B_SCTP_FLAGS, at.B_STATE, at.B_LAST_DIR
STATUS = 4 * at.E_STATUS
CHUNKS, TAG, LENGTH, L4 = 4 * at.P_CHUNKS, 4 * at.P_TAG, 4 * at.P_LENGTH, 4 * at.P_L4
C_SCTP = 8 * at.S_SCTP
CONFIRMED, ASSURED, FAILED = at.CONFIRMED, at.ASSURED, at.SCTP_HEARTBEAT_FAILED
INIT, INIT_ACK, HEARTBEAT, HEARTBEAT_ACK = (
    sctp.CHUNK_INIT,
    sctp.CHUNK_INIT_ACK,
    sctp.CHUNK_HEARTBEAT,
    sctp.CHUNK_HEARTBEAT_ACK,
)
ABORT, COMPLETE, ECHO, COOKIE_ACK = (
    sctp.CHUNK_ABORT,
    sctp.CHUNK_SHUTDOWN_COMPLETE,
    sctp.CHUNK_COOKIE_ECHO,
    sctp.CHUNK_COOKIE_ACK,
)
SHUTDOWN_ACK, T_BIT, DATA = sctp.CHUNK_SHUTDOWN_ACK, sctp.CHUNK_T, 1 << sctp.CHUNK_DATA
NONE, CLOSED, ESTABLISHED, REFUSED = sctp.NONE, sctp.CLOSED, sctp.ESTABLISHED, sctp.INVALID


@inlined
def next_state(d: int, state: int, kind: int) -> int:
    """The state after this chunk type; REFUSED where the table refuses it."""
    row = _ROWS[kind]
    return state if row < 0 else _TABLE[d, row, state]


@inlined
def init_tag(data: int, offset: int, held: int) -> int:
    """The initiate tag of an INIT or INIT ACK chunk; -1 where its header is cut off."""
    return -1 if offset + 20 > held else be32(data + offset + 4)


@compiled
def begin(e: int, p: int, data: int, held: int) -> bool:
    """What a first packet makes of a fresh entry; False where none may begin with it."""
    if le32(p + CHUNKS) & NEVER_FIRST:
        return False
    tag = le32(p + TAG)
    put64(e + TAGS, 0)
    put32(e + INITS, 0)
    put8(e + STATE, NONE)
    end, offset = min(le32(p + LENGTH), held), le32(p + L4) + 12
    while offset + 4 <= end:
        kind = u8(data + offset)
        opens = next_state(0, NONE, kind)
        if opens == NONE or opens == REFUSED:
            return False
        if kind == INIT:
            own = init_tag(data, offset, end)
            if tag or own < 0:
                return False
            put32(e + TAGS + 4, own)
        elif kind == HEARTBEAT:
            put32(e + TAGS, tag)
        elif kind == SHUTDOWN_ACK:
            put32(e + TAGS + 4, tag)
        size = be16(data + offset + 2)
        offset += (size + 3) & ~3
    return True


@inlined
def _tag_fits(e: int, d: int, tag: int, kind: int, flags: int) -> bool:
    if kind == INIT:
        return tag == 0
    if kind == ABORT or kind == COMPLETE:
        return tag == le32(e + TAGS + 4 * (1 - d if flags & T_BIT else d))
    return kind != ECHO or tag == le32(e + TAGS + 4 * d)


@compiled
def _heartbeat(e: int, d: int, p: int, kind: int, ignored: bool) -> int:
    """1: believed, 0: let through without a trace, -1: refused."""
    tag, own, flags = le32(p + TAG), le32(e + TAGS + 4 * d), u8(e + SCTP_FLAGS)
    if own == 0:
        put32(e + TAGS + 4 * d, tag)
        return 1
    if tag == own:
        put8(e + SCTP_FLAGS, flags & ~FAILED)
        return 1
    if le32(p + CHUNKS) & DATA or ignored:
        return -1
    if kind == HEARTBEAT:
        put8(e + SCTP_FLAGS, flags | FAILED)
        put8(e + LAST_DIR, d)
        return 0
    if flags & FAILED == 0 or u8(e + LAST_DIR) == d:
        return -1
    put8(e + SCTP_FLAGS, flags & ~FAILED)
    put32(e + TAGS + 4 * d, tag)
    put32(e + TAGS + 4 * (1 - d), 0)
    return 1


@inlined
def _init(e: int, d: int, old: int, tag: int) -> None:
    other = 1 - d
    if old == NONE or le32(e + TAGS + 4 * other) != tag:
        if u8(e + INITS + d) and u8(e + INITS + other):
            put8(e + INITS + other, 0)
        put8(e + INITS + d, 1)
    put32(e + TAGS + 4 * other, tag)


@inlined
def _init_ack(e: int, d: int, tag: int) -> bool:
    other = 1 - d
    known, mine, crossed = le32(e + TAGS + 4 * other), u8(e + INITS + d), u8(e + INITS + other)
    if crossed == 0 and known and known != tag:
        return False
    if mine and crossed and known != tag:
        return False
    put32(e + TAGS + 4 * other, tag)
    return True


@compiled
def track(e: int, d: int, p: int, data: int, held: int, cfg: int) -> int:
    """One packet: an action plus eight times the timeout."""
    tag = le32(p + TAG)
    if le32(p + CHUNKS) & OWN_RULE == 0 and tag != le32(e + TAGS + 4 * d):
        return INVALID
    ignore, new = False, NONE
    end, offset = min(le32(p + LENGTH), held), le32(p + L4) + 12
    while offset + 4 <= end:
        kind, flags, here = u8(data + offset), u8(data + offset + 1), offset
        offset += (be16(data + offset + 2) + 3) & ~3
        if kind == HEARTBEAT or kind == HEARTBEAT_ACK:
            believed = _heartbeat(e, d, p, kind, ignore)
            if believed < 0:
                return INVALID
            if believed == 0:
                ignore = True
                continue
        elif not _tag_fits(e, d, tag, kind, flags):
            return INVALID
        elif kind == COOKIE_ACK:
            put8(e + INITS, 0)
            put8(e + INITS + 1, 0)
        old = u8(e + STATE)
        new = next_state(d, old, kind)
        if new == REFUSED:
            return INVALID
        if kind == INIT:
            own = init_tag(data, here, end)
            if own < 0:
                return INVALID
            _init(e, d, old, own)
            if new == CLOSED and old == CLOSED and le32(e + STATUS) & CONFIRMED:
                ignore = True
        elif kind == INIT_ACK:
            own = init_tag(data, here, end)
            if own < 0 or not _init_ack(e, d, own):
                return INVALID
        put8(e + STATE, new)
        if old != new and new == ESTABLISHED:
            put32(e + STATUS, le32(e + STATUS) | ASSURED)
    return KEEP if ignore else ACCEPT + 8 * i64(cfg + C_SCTP + 8 * new)
