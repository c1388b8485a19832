"""The compiled table: find, insert, delete, evict, collect. Namesake of reference_room.

The trap: the chains are not lists. Every node (an entry's row and a direction) stands in one open-addressed array
that is kept *sorted by hash*, so that a kernel's bucket, which is a range of hashes, is a stretch of it: a lookup
touches one cache line, and whatever goes by buckets walks a few words. A node is hash << 31 | (row * 2 + direction +
1); 0 is empty.

``ent`` (rows), ``idx`` (nodes), ``cfg`` (settings), ``reg`` (registers), ``cnt`` (counters), ``log`` are addresses.
"""

from tablefull.loops.memory import compiled, i64, inlined, le32, put32, put64
from tablefull.twin import eras
from tablefull.twin import state as at
from tablefull.twin.eras import BIT
from tablefull.twin.loops_tuple import hash_reply, hash_row, inverse_ports

ROW = at.ENTRY_BYTES
STATUS, ZONES, PORTS, PROTO, DEADLINE = (
    4 * at.E_STATUS,
    4 * at.E_ZONES,
    4 * at.E_PORTS,
    4 * at.E_PROTO,
    8 * at.E_DEADLINE,
)
SERIAL, NEXT_FREE = 4 * at.E_SERIAL, 4 * at.E_NEXT_FREE
COUNT, PEAK, FREE = 8 * at.R_COUNT, 8 * at.R_PEAK, 8 * at.R_FREE
USED = 8 * at.R_USED
SLOTS, SEED = 8 * at.R_SLOTS, 8 * at.R_SEED
GC_EARLY, SWEPT = 8 * at.R_GC_EARLY, 8 * at.R_SWEPT
LOG_BEGIN, LOG_LEFT, LOG_MISSED, LOG_LINES = (
    8 * at.R_LOG_BEGIN,
    8 * at.R_LOG_LEFT,
    8 * at.R_LOG_MISSED,
    8 * at.R_LOG_LINES,
)
C_MAX, C_BUCKETS, C_SWITCHES, C_GC, C_RULE = (
    8 * at.S_MAX,
    8 * at.S_BUCKETS,
    8 * at.S_SWITCHES,
    8 * at.S_GC,
    8 * at.S_EARLY_DROP,
)
C_WHOLE, C_COST, C_BURST = 8 * at.S_WHOLE_BUCKET, 8 * at.S_COST_NS, 8 * at.S_BURST
N_EARLY, N_DELETE = 8 * at.C_EARLY_DROP, 8 * at.C_DELETE
ASSURED, CONFIRMED, NAT_CLASH = at.ASSURED, at.CONFIRMED, at.NAT_CLASH
K_NETLINK = BIT["insert-netlink-only"]
GC_TIMERS = eras.GC_TIMERS
OLDEST, NEWEST, EIGHT = eras.DROP_ENTRIES_OLDEST, eras.DROP_ENTRIES_NEWEST, eras.DROP_EIGHT_BUCKETS
RANGE = at.EVICTION_RANGE
TIMER_SWEEP_NS = at.TIMER_SWEEP_NS
NOTHING = at.NOTHING
NODE_BITS, NODE_MASK = 31, (1 << 31) - 1
LOG_ROOM = 1 << 16
FAR_NS = 1 << 62


@inlined
def add(base: int, field: int, number: int) -> None:
    """Add to a 64 bit word."""
    put64(base + field, i64(base + field) + number)


@inlined
def home(hashed: int, slots: int) -> int:
    """Where a node of this hash stands if nothing is in its way."""
    return hashed * slots >> 32


@inlined
def zone_of(e: int, d: int) -> int:
    """The zone of one direction of an entry."""
    zones = le32(e + ZONES)
    return zones & 0xFFFF if d else zones >> 16


@inlined
def matches(e: int, d: int, p: int, zones: int) -> bool:
    """Whether the tuple of this direction of an entry is the packet's, in its zone."""
    proto = le32(p + PROTO)
    if proto != le32(e + PROTO):
        return False
    if d == 0:
        same = le32(e + PORTS) == le32(p + PORTS) and i64(e) == i64(p) and i64(e + 16) == i64(p + 16)
        if not same or le32(e + ZONES) >> 16 != zones >> 16:
            return False
        return proto >> 8 == 4 or (i64(e + 8) == i64(p + 8) and i64(e + 24) == i64(p + 24))
    same = i64(e) == i64(p + 16) and i64(e + 16) == i64(p)
    if (
        not same
        or (le32(e + ZONES) ^ zones) & 0xFFFF
        or inverse_ports(proto & 0xFF, le32(e + PORTS)) != le32(p + PORTS)
    ):
        return False
    return proto >> 8 == 4 or (i64(e + 8) == i64(p + 24) and i64(e + 24) == i64(p + 8))


@inlined
def find(ent: int, idx: int, slots: int, p: int, hashed: int, zones: int, now_ns: int) -> int:
    """The node (row * 2 + direction) of a live entry under this hash, or NOTHING."""
    place = home(hashed, slots)
    while True:
        node = i64(idx + 8 * place)
        if node == 0 or node >> NODE_BITS > hashed:
            return NOTHING
        if node >> NODE_BITS == hashed:
            number = (node & NODE_MASK) - 1
            e = ent + ROW * (number >> 1)
            if matches(e, number & 1, p, zones) and i64(e + DEADLINE) > now_ns:
                return number
        place += 1


@inlined
def insert_node(idx: int, slots: int, hashed: int, number: int) -> None:
    """Put a node into its place among the sorted."""
    place = home(hashed, slots)
    node = i64(idx + 8 * place)
    while node != 0 and node >> NODE_BITS <= hashed:
        place += 1
        node = i64(idx + 8 * place)
    carried = hashed << NODE_BITS | number + 1
    while carried != 0:
        node = i64(idx + 8 * place)
        put64(idx + 8 * place, carried)
        carried = node
        place += 1


@inlined
def remove_node(idx: int, slots: int, hashed: int, number: int) -> None:
    """Take a node out; those that stood behind only because of it move up."""
    wanted = hashed << NODE_BITS | number + 1
    place = home(hashed, slots)
    while i64(idx + 8 * place) != wanted:
        place += 1
    while True:
        following = i64(idx + 8 * (place + 1))
        if following == 0 or home(following >> NODE_BITS, slots) > place:
            put64(idx + 8 * place, 0)
            return
        put64(idx + 8 * place, following)
        place += 1


@compiled
def delete(ent: int, idx: int, cfg: int, reg: int, cnt: int, row: int) -> None:
    """Take a confirmed entry out of the table."""
    e, slots, seed = ent + ROW * row, i64(reg + SLOTS), i64(reg + SEED)
    if le32(e + STATUS) & NAT_CLASH == 0:
        remove_node(idx, slots, hash_row(seed, e, zone_of(e, 0)), row * 2)
    remove_node(idx, slots, hash_reply(seed, e, zone_of(e, 1)), row * 2 + 1)
    put32(e + STATUS, 0)
    put32(e + NEXT_FREE, i64(reg + FREE) + 1)
    put64(reg + FREE, row)
    add(reg, COUNT, -1)
    if i64(cfg + C_SWITCHES) & K_NETLINK == 0:
        add(cnt, N_DELETE, 1)


@inlined
def take_row(reg: int, ent: int) -> int:
    """A free row: the last one given back, else a fresh one. There is one (the engine sees to it)."""
    row = i64(reg + FREE)
    if row != NOTHING:
        put64(reg + FREE, le32(ent + ROW * row + NEXT_FREE) - 1)
        return row
    row = i64(reg + USED)
    put64(reg + USED, row + 1)
    return row


@inlined
def first_hash(bucket: int, buckets: int) -> int:
    """The lowest hash of a bucket."""
    return ((bucket << 32) + buckets - 1) // buckets


@inlined
def chain_length(idx: int, slots: int, hashed: int, buckets: int) -> int:
    """How many nodes hang in the bucket of a hash."""
    bucket = hashed * buckets >> 32
    low, high = first_hash(bucket, buckets), first_hash(bucket + 1, buckets)
    place, last, length = home(low, slots), home(high - 1, slots), 0
    while True:
        node = i64(idx + 8 * place)
        if node == 0:
            if place >= last:
                return length
        else:
            found = node >> NODE_BITS
            if found >= high:
                return length
            if found >= low:
                length += 1
        place += 1


@compiled
def collect_chain(ent: int, idx: int, cfg: int, reg: int, cnt: int, hashed: int, now_ns: int) -> None:
    """Delete the expired entries of one bucket."""
    buckets, slots = i64(cfg + C_BUCKETS), i64(reg + SLOTS)
    bucket = hashed * buckets >> 32
    low, high = first_hash(bucket, buckets), first_hash(bucket + 1, buckets)
    place, last = home(low, slots), home(high - 1, slots)
    while True:
        node = i64(idx + 8 * place)
        if node == 0:
            if place >= last:
                return
        else:
            found = node >> NODE_BITS
            if found >= high:
                return
            row = ((node & NODE_MASK) - 1) >> 1
            if found >= low and i64(ent + ROW * row + DEADLINE) <= now_ns:
                delete(ent, idx, cfg, reg, cnt, row)
                place = home(low, slots)
                continue
        place += 1


@compiled
def _drop_bucket(ent: int, idx: int, cfg: int, reg: int, cnt: int, bucket: int, now_ns: int) -> int:
    """Evict from one bucket what is not ASSURED; how many went."""
    buckets, slots = i64(cfg + C_BUCKETS), i64(reg + SLOTS)
    low, high = first_hash(bucket, buckets), first_hash(bucket + 1, buckets)
    collect_chain(ent, idx, cfg, reg, cnt, low, now_ns)
    dropped, newest, victim = 0, -1, NOTHING
    place, last = home(low, slots), home(high - 1, slots)
    while True:
        node = i64(idx + 8 * place)
        if node == 0:
            if place >= last:
                break
        else:
            found = node >> NODE_BITS
            if found >= high:
                break
            row = ((node & NODE_MASK) - 1) >> 1
            e = ent + ROW * row
            if found >= low and le32(e + STATUS) & ASSURED == 0:
                if i64(cfg + C_WHOLE):
                    delete(ent, idx, cfg, reg, cnt, row)
                    dropped += 1
                    place = home(low, slots)
                    continue
                if le32(e + SERIAL) > newest:
                    newest, victim = le32(e + SERIAL), row
        place += 1
    if victim != NOTHING:
        delete(ent, idx, cfg, reg, cnt, victim)
        dropped = 1
    return dropped


@compiled
def _drop_one(ent: int, idx: int, cfg: int, reg: int, cnt: int, bucket: int, now_ns: int) -> int:
    """To 4.6: walk on until eight entries were seen; one of the chain in which one may go."""
    buckets, slots, rule = i64(cfg + C_BUCKETS), i64(reg + SLOTS), i64(cfg + C_RULE)
    seen = 0
    for _ in range(buckets):
        low, high = first_hash(bucket, buckets), first_hash(bucket + 1, buckets)
        place, last, victim, chosen = home(low, slots), home(high - 1, slots), NOTHING, 0
        while True:
            node = i64(idx + 8 * place)
            if node == 0:
                if place >= last:
                    break
            else:
                found = node >> NODE_BITS
                if found >= high:
                    break
                row = ((node & NODE_MASK) - 1) >> 1
                e = ent + ROW * row
                if found >= low:
                    seen += 1
                    if le32(e + STATUS) & ASSURED == 0 and i64(e + DEADLINE) > now_ns:
                        serial = le32(e + SERIAL)
                        if victim == NOTHING or (serial < chosen if rule == OLDEST else serial > chosen):
                            victim, chosen = row, serial
            place += 1
        if victim != NOTHING:
            delete(ent, idx, cfg, reg, cnt, victim)
            return 1
        if seen >= RANGE:
            return 0
        bucket = bucket + 1 if bucket + 1 < buckets else 0
    return 0


@compiled
def early_drop(ent: int, idx: int, cfg: int, reg: int, cnt: int, hashed: int, now_ns: int) -> bool:
    """Evict entries that are not ASSURED, near the chain where the new one would hang."""
    buckets, rule = i64(cfg + C_BUCKETS), i64(cfg + C_RULE)
    bucket = hashed * buckets >> 32
    dropped = 0
    if rule == OLDEST or rule == NEWEST:
        dropped = _drop_one(ent, idx, cfg, reg, cnt, bucket, now_ns) if i64(reg + COUNT) else 0
    else:
        for _ in range(RANGE if rule == EIGHT else 1):
            dropped = _drop_bucket(ent, idx, cfg, reg, cnt, bucket, now_ns)
            if dropped:
                break
            bucket = bucket + 1 if bucket + 1 < buckets else 0
    add(cnt, N_EARLY, dropped)
    return dropped > 0


@compiled
def warn(cfg: int, reg: int, log: int, now_ns: int) -> None:
    """The table-full line through the kernel's rate limit."""
    interval, lines = i64(cfg + C_COST), i64(reg + LOG_LINES)
    if lines + 2 > LOG_ROOM:
        return
    if interval == 0:
        put64(log + 16 * lines, now_ns)
        put64(log + 16 * lines + 8, 0)
        put64(reg + LOG_LINES, lines + 1)
        return
    if i64(reg + LOG_BEGIN) == NOTHING:
        put64(reg + LOG_BEGIN, now_ns)
        put64(reg + LOG_LEFT, i64(cfg + C_BURST))
    if now_ns > i64(reg + LOG_BEGIN) + interval:
        if i64(reg + LOG_MISSED):
            put64(log + 16 * lines, now_ns)
            put64(log + 16 * lines + 8, i64(reg + LOG_MISSED))
            lines += 1
        put64(reg + LOG_BEGIN, now_ns)
        put64(reg + LOG_LEFT, i64(cfg + C_BURST))
        put64(reg + LOG_MISSED, 0)
    if i64(reg + LOG_LEFT) > 0:
        add(reg, LOG_LEFT, -1)
        put64(log + 16 * lines, now_ns)
        put64(log + 16 * lines + 8, 0)
        lines += 1
    else:
        add(reg, LOG_MISSED, 1)
    put64(reg + LOG_LINES, lines)


@compiled
def take_place(ent: int, idx: int, cfg: int, reg: int, cnt: int, log: int, hashed: int, now_ns: int) -> bool:
    """Count one more entry; at the limit evict for it, or log and refuse."""
    limit, count = i64(cfg + C_MAX), i64(reg + COUNT)
    if limit and count >= limit:
        if i64(cfg + C_GC) == GC_TIMERS and now_ns - i64(reg + SWEPT) >= TIMER_SWEEP_NS:
            sweep(ent, idx, cfg, reg, cnt, now_ns)
        add(reg, COUNT, 1)
        if i64(reg + COUNT) > limit and not early_drop(ent, idx, cfg, reg, cnt, hashed, now_ns):
            put64(reg + GC_EARLY, 1)
            add(reg, COUNT, -1)
            warn(cfg, reg, log, now_ns)
            return False
    else:
        put64(reg + COUNT, count + 1)
    if i64(reg + COUNT) > i64(reg + PEAK):
        put64(reg + PEAK, i64(reg + COUNT))
    return True


@compiled
def sweep(ent: int, idx: int, cfg: int, reg: int, cnt: int, now_ns: int) -> None:
    """Remove everything whose time is up."""
    put64(reg + SWEPT, now_ns)
    for row in range(i64(reg + USED)):
        e = ent + ROW * row
        if le32(e + STATUS) & CONFIRMED and i64(e + DEADLINE) <= now_ns:
            delete(ent, idx, cfg, reg, cnt, row)


@compiled
def rebuild(old: int, old_slots: int, old_end: int, new: int, slots: int) -> int:
    """Move the sorted nodes into a larger array; where the last of them stands."""
    place = -1
    for at_old in range(old_end):
        node = i64(old + 8 * at_old)
        if node:
            place = max(place + 1, home(node >> NODE_BITS, slots))
            put64(new + 8 * place, node)
    return place
