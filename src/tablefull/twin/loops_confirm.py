"""How a begun entry comes into the compiled table, or does not. Namesake of reference_room.confirm and its neighbours.

The trap: between its two hooks a packet's entry is counted and nowhere to be found. Another packet may take the tuple
meanwhile; then what happens depends on the protocol and on whether both mean the same flow.

[core 6.12: __nf_conntrack_confirm, nf_ct_resolve_clash; KERNEL.md 8.7]
"""

from tablefull.loops.memory import compiled, i64, inlined, le32, put32, put64
from tablefull.twin import state as at
from tablefull.twin.eras import BIT
from tablefull.twin.loops_table import (
    NODE_BITS,
    NODE_MASK,
    add,
    chain_length,
    home,
    insert_node,
    matches,
    take_row,
    zone_of,
)
from tablefull.twin.loops_tuple import hash_reply, inverse_ports

ROW = at.ENTRY_BYTES
STATUS, DEADLINE, ZONES, SERIAL = 4 * at.E_STATUS, 8 * at.E_DEADLINE, 4 * at.E_ZONES, 4 * at.E_SERIAL
PORTS = 4 * at.E_PORTS
E_PROTO, NEXT_FREE = 4 * at.E_PROTO, 4 * at.E_NEXT_FREE
CONFIRMED = at.CONFIRMED
FIXED, NAT_CLASH = at.FIXED_TIMEOUT, at.NAT_CLASH
NEW, ESTABLISHED, RELATED, BADLY, UNTRACKED, DROPPED = range(6)
N_DROP, N_FAILED = 8 * at.C_DROP, 8 * at.C_INSERT_FAILED
N_CLASH, N_LONG, N_INSERT = 8 * at.C_CLASH_RESOLVE, 8 * at.C_CHAIN_TOOLONG, 8 * at.C_INSERT
C_ICMP, C_ICMPV6, C_GENERIC, C_GRE, C_GRE_STREAM = (
    *(8 * at.S_ICMP, 8 * at.S_ICMPV6, 8 * at.S_GENERIC, 8 * at.S_GRE),
    8 * at.S_GRE_STREAM,
)
C_SWITCHES, C_BUCKETS = 8 * at.S_SWITCHES, 8 * at.S_BUCKETS
C_CHAIN_LEAST, C_CHAIN_SPAN = 8 * at.S_CHAIN_LEAST, 8 * at.S_CHAIN_SPAN
SLOTS, RANDOM, SEED, R_SERIAL, USED, ROWS, FREE = (
    *(8 * at.R_SLOTS, 8 * at.R_RANDOM, 8 * at.R_SEED, 8 * at.R_SERIAL, 8 * at.R_USED, 8 * at.R_ROWS),
    8 * at.R_FREE,
)
COUNT, EARLIEST = 8 * at.R_COUNT, 8 * at.R_EARLIEST
K_CLASH, K_REPLY_ONLY = BIT["clash-resolve-udp"], BIT["clash-reply-only"]
K_REVERSE, K_CLASH_COLUMN, K_NETLINK = BIT["reverse-clash"], BIT["clash-column"], BIT["insert-netlink-only"]
CLASH_NS, NOTHING = at.CLASH_NS, at.NOTHING
RANDOM_STEP, RANDOM_ADD = 6364136223846793005, 1442695040888963407


@inlined
def begin(ent: int, acct: int, reg: int, p: int, zones: int) -> int:
    """A fresh entry outside the table; its row."""
    row = take_row(reg, ent)
    e = ent + ROW * row
    for word in range(5):
        put64(e + 8 * word, i64(p + 8 * word))
    for word in range(5, 16):
        put64(e + 8 * word, 0)
    put32(e + ZONES, zones)
    serial = i64(reg + R_SERIAL) + 1
    put64(reg + R_SERIAL, serial)
    put32(e + SERIAL, serial)
    if acct:
        for word in range(4):
            put64(acct + 32 * row + 8 * word, 0)
    return row


@inlined
def forget(ent: int, reg: int, row: int) -> None:
    """An entry that never came into the table: its row is free again."""
    e = ent + ROW * row
    put32(e + STATUS, 0)
    put32(e + NEXT_FREE, i64(reg + FREE) + 1)
    put64(reg + FREE, row)
    add(reg, COUNT, -1)


@compiled
def _settle(
    ent: int, idx: int, acct: int, cfg: int, reg: int, cnt: int, row: int, other: int, length: int, now_ns: int
) -> bool:
    """Another packet put the same tuple into the table first; ``other`` is the winner's node."""
    e, switches = ent + ROW * row, i64(cfg + C_SWITCHES)
    w, proto = ent + ROW * (other >> 1), le32(e + E_PROTO) & 0xFF
    allowed = proto == 17 or proto == 136 or (proto == 47 and switches & K_REVERSE != 0)
    zones = le32(e + ZONES)
    if switches & K_CLASH and allowed:
        same = matches(w, 0, e, zones) and (le32(w + ZONES) ^ zones) & 0xFFFF == 0
        turned = (zones >> 16 | zones << 16) & 0xFFFFFFFF
        reverse = matches(w, 1, e, turned) and zones >> 16 == zones & 0xFFFF and switches & K_REVERSE != 0
        column = N_CLASH if switches & K_CLASH_COLUMN else N_FAILED
        if same or reverse:
            if acct:
                add(acct + 32 * (other >> 1), 0, 1)
                add(acct + 32 * (other >> 1), 8, length)
            add(cnt, column, 1)
            forget(ent, reg, row)
            return True
        if switches & K_REPLY_ONLY and not _reply_taken(ent, idx, reg, e):
            put64(e + DEADLINE, now_ns + CLASH_NS)
            put64(reg + EARLIEST, min(i64(reg + EARLIEST), now_ns + CLASH_NS))
            put32(e + STATUS, le32(e + STATUS) | FIXED | NAT_CLASH | CONFIRMED)
            seed = i64(reg + SEED)
            insert_node(idx, i64(reg + SLOTS), hash_reply(seed, e, zone_of(e, 1)), row * 2 + 1)
            add(cnt, column, 1)
            return True
    if switches & K_CLASH:
        add(cnt, N_DROP, 1)
    add(cnt, N_FAILED, 1)
    forget(ent, reg, row)
    return False


@compiled
def _taken(ent: int, idx: int, reg: int, e: int, d: int, hashed: int) -> int:
    """The node that has this direction's tuple already, expired or not; or NOTHING."""
    place = home(hashed, i64(reg + SLOTS))
    while True:
        node = i64(idx + 8 * place)
        if node == 0 or node >> NODE_BITS > hashed:
            return NOTHING
        if node >> NODE_BITS == hashed:
            number = (node & NODE_MASK) - 1
            other = ent + ROW * (number >> 1)
            if _same_tuple(e, d, other, number & 1):
                return number
        place += 1


@inlined
def _same_tuple(a: int, da: int, b: int, db: int) -> bool:
    """Whether one direction of an entry is one of another."""
    if le32(a + E_PROTO) != le32(b + E_PROTO) or zone_of(a, da) != zone_of(b, db):
        return False
    sa, sb = a + 16 * da, b + 16 * db
    ta, tb = a + 16 * (1 - da), b + 16 * (1 - db)
    same = i64(sa) == i64(sb) and i64(sa + 8) == i64(sb + 8) and i64(ta) == i64(tb) and i64(ta + 8) == i64(tb + 8)
    proto = le32(a + E_PROTO) & 0xFF
    return same and _ports(a, da, proto) == _ports(b, db, proto)


@inlined
def _ports(e: int, d: int, proto: int) -> int:
    return inverse_ports(proto, le32(e + PORTS)) if d else le32(e + PORTS)


@inlined
def _reply_taken(ent: int, idx: int, reg: int, e: int) -> bool:
    return _taken(ent, idx, reg, e, 1, hash_reply(i64(reg + SEED), e, zone_of(e, 1))) != NOTHING


@inlined
def confirm(
    ent: int, idx: int, acct: int, cfg: int, reg: int, cnt: int, row: int, hashed: int, length: int, now_ns: int
) -> bool:
    """Put a begun entry into the table; False where its packet is dropped instead."""
    e, slots, buckets = ent + ROW * row, i64(reg + SLOTS), i64(cfg + C_BUCKETS)
    answer = hash_reply(i64(reg + SEED), e, zone_of(e, 1))
    span, limit = i64(cfg + C_CHAIN_SPAN), 0
    if span:
        drawn = i64(reg + RANDOM) * RANDOM_STEP + RANDOM_ADD
        put64(reg + RANDOM, drawn)
        limit = i64(cfg + C_CHAIN_LEAST) + (drawn >> 33 & 0x7FFFFFFF) % span
    for d in range(2):
        chosen = answer if d else hashed
        other = _taken(ent, idx, reg, e, d, chosen)
        if other != NOTHING:
            return _settle(ent, idx, acct, cfg, reg, cnt, row, other, length, now_ns)
        if span and chain_length(idx, slots, chosen, buckets) > limit + 1:
            add(cnt, N_LONG, 1)
            add(cnt, N_FAILED, 1)
            forget(ent, reg, row)
            return False
    deadline = i64(e + DEADLINE) + now_ns
    put64(e + DEADLINE, deadline)
    if deadline < i64(reg + EARLIEST):
        put64(reg + EARLIEST, deadline)
    insert_node(idx, slots, hashed, row * 2)
    insert_node(idx, slots, answer, row * 2 + 1)
    put32(e + STATUS, le32(e + STATUS) | CONFIRMED)
    if i64(cfg + C_SWITCHES) & K_NETLINK == 0:
        add(cnt, N_INSERT, 1)
    return True
