"""The compiled twin: many packets through the table. Namesake of reference, function by function.

The trap: a table of a million entries is in no cache, so a loop that waits for one entry after the other spends its
time waiting. Each packet is therefore read some packets ahead and its place in the index asked for, then its entry,
and when its turn comes both are there. Nothing is decided ahead.
"""

import numpy as np
import numpy.typing as npt

from tablefull.loops.memory import Bytes, Words, address, compiled, i64, inlined, le32, prefetch, put8, put32, put64, u8
from tablefull.twin import loops_sctp, loops_tcp
from tablefull.twin import state as at
from tablefull.twin.eras import BIT
from tablefull.twin.loops_collect import collect
from tablefull.twin.loops_confirm import begin, confirm, forget
from tablefull.twin.loops_packet import decode
from tablefull.twin.loops_table import (
    LOG_ROOM,
    NODE_BITS,
    NODE_MASK,
    add,
    collect_chain,
    delete,
    find,
    home,
    matches,
    take_place,
    zone_of,
)
from tablefull.twin.loops_tuple import hash_reply, hash_row
from tablefull.twin.reference_entry import ACCEPT, INVALID, KILL, REPEAT

# Decoded packets wait in a ring; how far ahead they are read, and their entries asked for. [measured: 24 and 12 hide a
# memory of 100 ns behind a packet of 50 ns; more gains nothing]
RING = 63
READ_AHEAD, ASK_AHEAD = 24, 12
ROW, PACKET = at.ENTRY_BYTES, 4 * at.PACKET_WORDS
STATUS, DEADLINE = 4 * at.E_STATUS, 8 * at.E_DEADLINE
PORTS, STREAM = 4 * at.E_PORTS, 8 * at.E_STREAM
GRE_TIMEOUT, GRE_STREAM = 8 * 8, 8 * 9  # 64 bit words of the second line, free in an entry without sides
P_PROTO, P_KIND, P_HASH, P_WINDOW, P_LENGTH = (
    4 * at.P_PROTO,
    4 * at.P_KIND,
    4 * at.P_HASH,
    4 * at.P_WINDOW,
    4 * at.P_LENGTH,
)
P_HINT = 4 * at.P_HINT
SEEN_REPLY, ASSURED, CONFIRMED, EXPECTED = at.SEEN_REPLY, at.ASSURED, at.CONFIRMED, at.EXPECTED
FIXED, NAT_CLASH, BAD = at.FIXED_TIMEOUT, at.NAT_CLASH, at.BAD
NEW, ESTABLISHED, RELATED, BADLY, UNTRACKED, DROPPED = range(6)
NONE = at.NO_DIRECTION
K_TRACK, K_INVALID, K_ICMP_INVALID, K_ICMP_ERROR = (
    at.KIND_TRACK,
    at.KIND_INVALID,
    at.KIND_ICMP_INVALID,
    at.KIND_ICMP_ERROR,
)
K_DROPPED, K_HELD = at.KIND_DROPPED, at.KIND_HELD
N_INVALID, N_ERROR, N_DROP = 8 * at.C_INVALID, 8 * at.C_ERROR, 8 * at.C_DROP
C_UDP, C_STREAM, C_LITE, C_LITE_STREAM = 8 * at.S_UDP, 8 * at.S_UDP_STREAM, 8 * at.S_UDPLITE, 8 * at.S_UDPLITE_STREAM
C_ICMP, C_ICMPV6, C_GENERIC, C_GRE, C_GRE_STREAM = (
    *(8 * at.S_ICMP, 8 * at.S_ICMPV6, 8 * at.S_GENERIC, 8 * at.S_GRE),
    8 * at.S_GRE_STREAM,
)
C_SWITCHES = 8 * at.S_SWITCHES
SLOTS, RANDOM, SEED, R_SERIAL, USED, ROWS, FREE = (
    *(8 * at.R_SLOTS, 8 * at.R_RANDOM, 8 * at.R_SEED, 8 * at.R_SERIAL, 8 * at.R_USED, 8 * at.R_ROWS),
    8 * at.R_FREE,
)
COUNT, NOW, GC_NEXT, EARLIEST = 8 * at.R_COUNT, 8 * at.R_NOW, 8 * at.R_GC_NEXT, 8 * at.R_EARLIEST
K_STREAM, K_ASSURED_2S, K_NOT_REUSE = BIT["udp-stream-2s"], BIT["udp-assured-2s"], BIT["invalid-not-reuse"]
K_ERROR = BIT["error-icmp-only"]
STOPPED, LOG_LINES, BEGUN = 8 * at.R_STOPPED, 8 * at.R_LOG_LINES, 8 * at.R_BEGUN
KEEP_BEGUN = 8  # of the mode: the first packet is received only; what became of it stands in a register
STOPPED_NOT, STOPPED_FRAGMENT, STOPPED_ROOM = at.STOPPED_NOT, at.STOPPED_FRAGMENT, at.STOPPED_ROOM
K_RELATED = BIT["icmp-related-invalid"]
STREAM_NS, NOTHING = at.STREAM_NS, at.NOTHING
RANDOM_STEP, RANDOM_ADD = 6364136223846793005, 1442695040888963407
F_REFUSED = at.FLAG_REFUSED
SHORTEN = loops_tcp.SHORTEN


@inlined
def _verdict(state: int, direction: int) -> int:
    return state | direction << 8


@inlined
def look_up(ent: int, idx: int, cfg: int, reg: int, cnt: int, p: int, zones: int, now_ns: int) -> int:
    """The node of a live entry of this tuple; a search that finds none collects the expired of the chain."""
    hint = le32(p + P_HINT)
    if hint:
        e = ent + ROW * ((hint - 1) >> 1)
        if matches(e, (hint - 1) & 1, p, zones) and le32(e + STATUS) & CONFIRMED and i64(e + DEADLINE) > now_ns:
            return hint - 1
    slots, hashed = i64(reg + SLOTS), le32(p + P_HASH)
    number = find(ent, idx, slots, p, hashed, zones, now_ns)
    if number != NOTHING:
        return number
    expired = i64(reg + EARLIEST) <= now_ns
    if expired:
        collect_chain(ent, idx, cfg, reg, cnt, hashed, now_ns)
    if zones >> 16 != zones & 0xFFFF:
        hashed = hash_row(i64(reg + SEED), p, zones & 0xFFFF)
        number = find(ent, idx, slots, p, hashed, zones, now_ns)
        if number == NOTHING and expired:
            collect_chain(ent, idx, cfg, reg, cnt, hashed, now_ns)
    return number


@inlined
def _refused_error(cfg: int, cnt: int) -> int:
    add(cnt, N_ERROR, 1)
    if i64(cfg + C_SWITCHES) & K_RELATED == 0:
        add(cnt, N_INVALID, 1)
    return _verdict(BADLY, NONE)


@inlined
def _both_ways(e: int, one_way_ns: int, both_ns: int) -> int:
    status = le32(e + STATUS)
    if status & SEEN_REPLY == 0:
        return ACCEPT + 8 * one_way_ns
    if status & NAT_CLASH == 0:
        put32(e + STATUS, status | ASSURED)
    return ACCEPT + 8 * both_ns


@inlined
def _udp(e: int, cfg: int, now_ns: int) -> int:
    switches, status = i64(cfg + C_SWITCHES), le32(e + STATUS)
    short, stream = i64(cfg + C_UDP), i64(cfg + C_STREAM)
    if switches & K_STREAM == 0:
        return _both_ways(e, short, stream)
    if status & CONFIRMED == 0:
        put64(e + STREAM, now_ns + STREAM_NS)
    if status & SEEN_REPLY == 0:
        return ACCEPT + 8 * short
    lasting = now_ns > i64(e + STREAM)
    if (lasting or switches & K_ASSURED_2S == 0) and status & NAT_CLASH == 0:
        put32(e + STATUS, status | ASSURED)
    return ACCEPT + 8 * (stream if lasting else short)


@compiled
def _others(e: int, d: int, p: int, data: int, held: int, cfg: int, now_ns: int) -> int:
    """The trackers of everything but TCP."""
    proto, confirmed = le32(p + P_PROTO) & 0xFF, le32(e + STATUS) & CONFIRMED != 0
    if proto == 17:
        return _udp(e, cfg, now_ns)
    if proto == 136:
        return _both_ways(e, i64(cfg + C_LITE), i64(cfg + C_LITE_STREAM))
    if proto == 47:
        if not confirmed:
            put64(e + GRE_TIMEOUT, i64(cfg + C_GRE))
            put64(e + GRE_STREAM, i64(cfg + C_GRE_STREAM))
        return _both_ways(e, i64(e + GRE_TIMEOUT), i64(e + GRE_STREAM))
    if proto == 132:
        if not confirmed and not loops_sctp.begin(e, p, data, held):
            return INVALID
        return loops_sctp.track(e, d, p, data, held, cfg)
    if proto == 1:
        kind = le32(e + PORTS) >> 8 & 0xFF
        query = kind == 8 or kind == 13 or kind == 15 or kind == 17
        return ACCEPT + 8 * i64(cfg + C_ICMP) if query else INVALID
    if proto == 58:
        kind = le32(e + PORTS) >> 8 & 0xFF
        query = confirmed or kind == 128 or kind == 139
        return ACCEPT + 8 * i64(cfg + C_ICMPV6) if query else INVALID
    return ACCEPT + 8 * i64(cfg + C_GENERIC)


@inlined
def _refresh(e: int, reg: int, acct: int, row: int, d: int, timeout: int, length: int, now_ns: int) -> None:
    status = le32(e + STATUS)
    if status & FIXED == 0:
        deadline = timeout
        if status & CONFIRMED:
            deadline += now_ns
            if deadline < i64(reg + EARLIEST):
                put64(reg + EARLIEST, deadline)
        put64(e + DEADLINE, deadline)
    if acct:
        counted = acct + 32 * row + 16 * d
        put64(counted, i64(counted) + 1)
        put64(counted + 8, i64(counted + 8) + length)


@inlined
def _track(
    ent: int,
    idx: int,
    acct: int,
    cfg: int,
    reg: int,
    cnt: int,
    log: int,
    table: int,
    p: int,
    data: int,
    held: int,
    zones: int,
    now_ns: int,
) -> int:
    """Find or begin the entry and let its protocol judge: the verdict, and above it one more than the begun row."""
    while True:
        number = look_up(ent, idx, cfg, reg, cnt, p, zones, now_ns)
        fresh = number == NOTHING
        if fresh:
            if not take_place(ent, idx, cfg, reg, cnt, log, le32(p + P_HASH), now_ns):
                add(cnt, N_DROP, 1)
                return _verdict(DROPPED, NONE)
            row, d = begin(ent, acct, reg, p, zones), 0
        else:
            row, d = number >> 1, number & 1
        e = ent + ROW * row
        status = le32(e + STATUS)
        state = NEW
        if d or status & SEEN_REPLY:
            state = ESTABLISHED
        elif status & EXPECTED:
            state = RELATED
        if le32(p + P_KIND) & BAD:
            result = INVALID
        elif le32(p + P_PROTO) & 0xFF == 6:
            if fresh and not loops_tcp.begin(e, p, cfg, table):
                result = INVALID
            else:
                result = loops_tcp.track(e, d, p, cfg, table)
        else:
            result = _others(e, d, p, data, held, cfg, now_ns)
        action = result & 7
        if action == REPEAT:
            delete(ent, idx, cfg, reg, cnt, row)
            if i64(cfg + C_SWITCHES) & K_NOT_REUSE == 0:
                add(cnt, N_INVALID, 1)
            continue
        if action == INVALID or action == SHORTEN:
            if action == SHORTEN and not fresh:
                loops_tcp.shorten(e, d, le32(p + P_WINDOW) >> 16 & 0xFF, now_ns, cfg)
                put64(reg + EARLIEST, min(i64(reg + EARLIEST), i64(e + DEADLINE)))
            add(cnt, N_INVALID, 1)
            if fresh:
                forget(ent, reg, row)
            return _verdict(BADLY, NONE)
        if action == ACCEPT:
            _refresh(e, reg, acct, row, d, result >> 3, le32(p + P_LENGTH), now_ns)
        elif action == KILL:
            delete(ent, idx, cfg, reg, cnt, row)
            return _verdict(state, d)
        if d:
            status = le32(e + STATUS)
            if status & SEEN_REPLY == 0:
                put32(e + STATUS, status | SEEN_REPLY)
        return _verdict(state, d) | ((row + 1) << 16 if fresh else 0)


@inlined
def _receive(
    ent: int,
    idx: int,
    acct: int,
    cfg: int,
    reg: int,
    cnt: int,
    log: int,
    table: int,
    p: int,
    data: int,
    held: int,
    zones: int,
    now_ns: int,
) -> int:
    """The first hook, whatever the packet is; packed as by :func:`_track`."""
    if i64(reg + GC_NEXT) <= now_ns:
        collect(ent, idx, cfg, reg, cnt, now_ns)
    kind = le32(p + P_KIND) & 0xFF
    if kind == K_TRACK and not (le32(p + P_KIND) & BAD and i64(cfg + C_SWITCHES) & K_ERROR == 0):
        return _track(ent, idx, acct, cfg, reg, cnt, log, table, p, data, held, zones, now_ns)
    if kind == K_ICMP_ERROR:
        number = look_up(ent, idx, cfg, reg, cnt, p, zones, now_ns)
        if number == NOTHING:
            return _refused_error(cfg, cnt)
        return _verdict(RELATED, number & 1)
    if kind == K_INVALID:
        add(cnt, N_INVALID, 1)
        return _verdict(BADLY, NONE)
    if kind == K_ICMP_INVALID or kind == K_TRACK:
        return _refused_error(cfg, cnt)
    return _verdict(DROPPED if kind == K_DROPPED else UNTRACKED, NONE)


@inlined
def _leave(
    ent: int,
    idx: int,
    acct: int,
    cfg: int,
    reg: int,
    cnt: int,
    got: int,
    hashed: int,
    length: int,
    accept: bool,
    now_ns: int,
) -> int:
    """The last hook: a begun entry enters the table, or is forgotten where a rule drops the packet."""
    row = (got >> 16) - 1
    if not accept:
        if row >= 0:
            forget(ent, reg, row)
        return _verdict(DROPPED, NONE)
    if row >= 0 and not confirm(ent, idx, acct, cfg, reg, cnt, row, hashed, length, now_ns):
        return _verdict(DROPPED, NONE)
    return got & 0xFFFF


@compiled
def leave(
    ent: int,
    idx: int,
    acct: int,
    cfg: int,
    reg: int,
    cnt: int,
    got: int,
    length: int,
    accept: bool,
    now_ns: int,
) -> int:
    """The last hook of a packet that :func:`run` only received; its verdict, packed."""
    hashed, row = 0, (got >> 16) - 1
    if row >= 0:
        e = ent + ROW * row
        hashed = hash_row(i64(reg + SEED), e, zone_of(e, 0))
    put64(reg + NOW, max(now_ns, i64(reg + NOW)))
    return _leave(ent, idx, acct, cfg, reg, cnt, got, hashed, length, accept, now_ns)


@inlined
def _ahead(ent: int, idx: int, reg: int, p: int) -> None:
    """Ask for the entry of a packet, or for where a new one would stand."""
    slots, hashed = i64(reg + SLOTS), le32(p + P_HASH)
    place = home(hashed, slots)
    put32(p + P_HINT, 0)
    while True:
        node = i64(idx + 8 * place)
        if node == 0 or node >> NODE_BITS > hashed:
            prefetch(idx + 8 * home(hash_reply(i64(reg + SEED), p, 0), slots))
            return
        if node >> NODE_BITS == hashed:
            put32(p + P_HINT, node & NODE_MASK)
            e = ent + ROW * (((node & NODE_MASK) - 1) >> 1)
            prefetch(e)
            prefetch(e + 64)
            return
        place += 1


@compiled
def run(
    entries: npt.NDArray[np.uint32],
    index: Words,
    counted: Words,
    settings: Words,
    registers: Words,
    counters: Words,
    lines: Words,
    states_table: Bytes,
    scratch: npt.NDArray[np.uint32],
    time_ns: Words,
    data: Bytes,
    start: Words,
    captured: Words,
    wire: Words,
    flags: Bytes,
    zones: int,
    mode: int,
    first: int,
    states: Bytes,
    directions: Bytes,
) -> int:
    """Track packets from ``first`` on; stops before a fragment, and where no row is left for a new entry.

    The number of the packet it stopped at: the number of packets where it is done.
    """
    ent, idx, acct = address(entries), address(index), address(counted) if len(counted) else 0
    cfg, reg, cnt, log = address(settings), address(registers), address(counters), address(lines)
    table, rows, raw = address(states_table), address(scratch), address(data)
    times, begins, helds, sents = address(time_ns), address(start), address(captured), address(wire)
    flagged, out_state, out_direction = address(flags), address(states), address(directions)
    seed, zone, limit = i64(reg + SEED), zones >> 16, len(start)
    slots = i64(reg + SLOTS)
    put64(reg + STOPPED, STOPPED_NOT)
    i = first - READ_AHEAD
    while i < limit:
        j = i + READ_AHEAD
        if j < limit:
            p = rows + PACKET * (j & RING)
            kind = decode(
                raw, i64(begins + 8 * j), i64(helds + 8 * j), i64(sents + 8 * j), u8(flagged + j), mode, seed, zone, p
            )
            put32(p + P_KIND, kind)
            if kind & 0xFF == K_TRACK:
                prefetch(idx + 8 * home(le32(p + P_HASH), slots))
            elif kind & 0xFF == K_HELD:
                limit = j
                put64(reg + STOPPED, STOPPED_FRAGMENT)
        j = i + ASK_AHEAD
        if first <= j < limit:
            p = rows + PACKET * (j & RING)
            if le32(p + P_KIND) & 0xFF == K_TRACK:
                _ahead(ent, idx, reg, p)
            else:
                put32(p + P_HINT, 0)
        if i >= first:
            if i64(reg + ROWS) <= i64(reg + COUNT) or i64(reg + LOG_LINES) > LOG_ROOM - 4:
                put64(reg + STOPPED, STOPPED_ROOM)
                return i
            p, accept = rows + PACKET * (i & RING), u8(flagged + i) & F_REFUSED == 0
            base, held = raw + i64(begins + 8 * i), i64(helds + 8 * i)
            now_ns = max(i64(times + 8 * i), i64(reg + NOW))  # time never runs backwards
            put64(reg + NOW, now_ns)
            got = _receive(ent, idx, acct, cfg, reg, cnt, log, table, p, base, held, zones, now_ns)
            if mode & KEEP_BEGUN:
                put64(reg + BEGUN, got)
                return i + 1
            hashed, length = le32(p + P_HASH), le32(p + P_LENGTH)
            verdict = _leave(ent, idx, acct, cfg, reg, cnt, got, hashed, length, accept, now_ns)
            put8(out_state + i, verdict)
            put8(out_direction + i, verdict >> 8)
        i += 1
    return limit
