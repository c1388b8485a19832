"""The compiled collector: how expired entries leave, and who is evicted by it. Namesake of reference_room.

The trap: the collector is lazy on purpose, and the count shows it. It runs when the packets' clock reaches its time,
stops after so many expired entries and goes on a tick later; what it left stays counted.

[core 6.12: gc_worker; 4.9.115 for the slices]
"""

from tablefull.kernel import sctp, tcp
from tablefull.loops.memory import compiled, i64, inlined, le32, put64, u8
from tablefull.twin import eras
from tablefull.twin import state as at
from tablefull.twin.eras import BIT
from tablefull.twin.loops_table import FAR_NS, delete, sweep

ROW = at.ENTRY_BYTES
STATUS, PROTO, DEADLINE = 4 * at.E_STATUS, 4 * at.E_PROTO, 8 * at.E_DEADLINE
STATE = at.B_STATE
COUNT, USED = 8 * at.R_COUNT, 8 * at.R_USED
GC_NEXT, GC_AT, GC_MEAN, GC_WEIGHT = 8 * at.R_GC_NEXT, 8 * at.R_GC_AT, 8 * at.R_GC_MEAN, 8 * at.R_GC_WEIGHT
GC_START, GC_EARLY = 8 * at.R_GC_START, 8 * at.R_GC_EARLY
EARLIEST = 8 * at.R_EARLIEST
C_MAX, C_SWITCHES, C_GC = 8 * at.S_MAX, 8 * at.S_SWITCHES, 8 * at.S_GC
C_TICK = 8 * at.S_TICK_NS
ASSURED, CONFIRMED, NAT_CLASH = at.ASSURED, at.CONFIRMED, at.NAT_CLASH
K_CLOSING = BIT["early-drop-closing"]
GC_TIMERS, GC_SLICES_MODE, GC_FIXED = eras.GC_TIMERS, eras.GC_SLICES, eras.GC_FIXED
SECOND_NS, SLICES, EXPIRED_RATE = at.SECOND_NS, at.GC_SLICES, at.GC_EXPIRED_RATE
WEIGHT = at.GC_WEIGHT
LEAST_S, MOST_S, CLAMP_S = at.GC_LEAST_S, at.GC_MOST_S, at.GC_CLAMP_S
FIXED_NS = at.GC_FIXED_NS
FIRST_S, NOTHING = at.GC_FIRST_S, at.NOTHING
FIN_WAIT, CLOSE = tcp.FIN_WAIT, tcp.CLOSE
SHUTDOWN_SENT, SHUTDOWN_ACK_SENT = sctp.SHUTDOWN_SENT, sctp.SHUTDOWN_ACK_SENT


@inlined
def _evicts(e: int, cfg: int, reg: int) -> bool:
    if i64(reg + GC_EARLY) == 0 or i64(cfg + C_SWITCHES) & K_CLOSING == 0:
        return False
    threshold = i64(cfg + C_MAX) // 100 * 95
    if threshold == 0 or i64(reg + COUNT) < threshold:
        return False
    if le32(e + STATUS) & ASSURED == 0:
        return True
    proto, state = le32(e + PROTO) & 0xFF, u8(e + STATE)
    if proto == 6:
        return FIN_WAIT <= state <= CLOSE
    return proto == 132 and SHUTDOWN_SENT <= state <= SHUTDOWN_ACK_SENT


@compiled
def _slice(ent: int, idx: int, cfg: int, reg: int, cnt: int, now_ns: int) -> None:
    """4.9 to 5.14: a 128th of the table a run."""
    used, first = i64(reg + USED), i64(reg + GC_AT)
    size = (used + SLICES - 1) // SLICES
    seen, gone = 0, 0
    for row in range(first, min(first + size, used)):
        e = ent + ROW * row
        if le32(e + STATUS) & CONFIRMED:
            seen += 1
            if i64(e + DEADLINE) <= now_ns or _evicts(e, cfg, reg):
                delete(ent, idx, cfg, reg, cnt, row)
                gone += 1
    put64(reg + GC_AT, first + size)
    if first + size >= used:
        put64(reg + GC_AT, 0)
    put64(reg + GC_EARLY, 0)
    pace = 1 if gone * 2 > seen else min(i64(reg + GC_MEAN) + 1, 16)
    put64(reg + GC_MEAN, pace)
    put64(reg + GC_NEXT, now_ns + pace * SECOND_NS // SLICES)


@inlined
def _truncated(a: int, b: int) -> int:
    """Division towards zero, as C has it."""
    return a // b if a >= 0 else -(-a // b)


@compiled
def _pass(ent: int, idx: int, cfg: int, reg: int, cnt: int, now_ns: int) -> None:
    """5.15 on: the whole table, until so many were expired that the next tick must go on."""
    tick = i64(cfg + C_TICK)
    hz = SECOND_NS // tick
    row, used = i64(reg + GC_AT), i64(reg + USED)
    if row == 0:
        put64(reg + GC_MEAN, MOST_S * hz)
        put64(reg + GC_WEIGHT, WEIGHT)
        put64(reg + GC_START, now_ns)
        put64(reg + EARLIEST, FAR_NS)
    mean, weight, earliest, gone = i64(reg + GC_MEAN), i64(reg + GC_WEIGHT), i64(reg + EARLIEST), 0
    while row < used:
        if gone > EXPIRED_RATE // hz:
            put64(reg + GC_AT, row)
            put64(reg + GC_MEAN, mean)
            put64(reg + GC_WEIGHT, weight)
            put64(reg + EARLIEST, 0)
            if now_ns - i64(reg + GC_START) < MOST_S * SECOND_NS:
                put64(reg + GC_EARLY, 0)
                put64(reg + GC_NEXT, now_ns + tick)
            else:
                put64(reg + GC_NEXT, now_ns + 1)
            return
        e = ent + ROW * row
        row += 1
        if le32(e + STATUS) & CONFIRMED == 0:
            continue
        deadline = i64(e + DEADLINE)
        if deadline <= now_ns:
            delete(ent, idx, cfg, reg, cnt, row - 1)
            gone += 1
            continue
        earliest = min(earliest, deadline)
        left = min(max((deadline - now_ns) // tick, LEAST_S * hz), CLAMP_S * hz)
        for _ in range(1 if le32(e + STATUS) & NAT_CLASH else 2):
            weight += 1
            mean += _truncated(left - mean, weight)
        if _evicts(e, cfg, reg):
            delete(ent, idx, cfg, reg, cnt, row - 1)
            gone += 1
    put64(reg + GC_AT, 0)
    put64(reg + GC_EARLY, 0)
    put64(reg + GC_MEAN, mean)
    put64(reg + GC_WEIGHT, weight)
    put64(reg + EARLIEST, earliest)
    if i64(cfg + C_GC) == GC_FIXED:
        put64(reg + GC_NEXT, now_ns + FIXED_NS)
        return
    wait = min(max(mean, LEAST_S * hz), MOST_S * hz) * tick
    spent = now_ns - i64(reg + GC_START)
    put64(reg + GC_NEXT, now_ns + (wait - spent if wait > spent else tick))


@compiled
def collect(ent: int, idx: int, cfg: int, reg: int, cnt: int, now_ns: int) -> None:
    """Let the collector run as often as it would have until now."""
    if i64(reg + GC_NEXT) == NOTHING:
        put64(reg + GC_NEXT, now_ns + FIRST_S * SECOND_NS)
    while i64(reg + GC_NEXT) <= now_ns:
        when = i64(reg + GC_NEXT)
        if i64(cfg + C_GC) == GC_TIMERS:
            sweep(ent, idx, cfg, reg, cnt, when)
            put64(reg + GC_NEXT, when + SECOND_NS)
        elif i64(cfg + C_GC) == GC_SLICES_MODE:
            _slice(ent, idx, cfg, reg, cnt, when)
        else:
            _pass(ent, idx, cfg, reg, cnt, when)
