"""The table itself: chains of a keyed hash, the limit, who is evicted, when the expired leave, and what is logged.

The trap: an entry hangs in two chains, and everything that goes by chains (eviction, the refusal of long ones, what a
lookup collects in passing) meets it in either. The kernel's key is random, so a twin cannot say *which* entry is
evicted, only by which rule; its own hash is as even as the kernel's.

[core 6.12: early_drop, gc_worker, __nf_conntrack_confirm, nf_ct_resolve_clash; older rules from KERNEL.md 4]
"""

from bisect import insort_right

from tablefull.kernel import sctp, tcp
from tablefull.twin import eras
from tablefull.twin import state as at
from tablefull.twin.reference_entry import Entry, Key
from tablefull.twin.reference_packet import GRE, SCTP, TCP, UDP, UDPLITE, Packet

M64 = 0xFFFFFFFFFFFFFFFF
MIX_A, MIX_B = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9
RANDOM_STEP, RANDOM_ADD = 6364136223846793005, 1442695040888963407
# Protocols whose insertion race may be settled without loss. [udp 4.7, gre 6.6]
MAY_CLASH = (UDP, UDPLITE)
_FIRST_NS = at.GC_FIRST_S * at.SECOND_NS


def mix(word: int) -> int:
    """One round of the twin's hash: multiply, fold, multiply, fold."""
    word = word * MIX_A & M64
    word ^= word >> 32
    word = word * MIX_B & M64
    return word ^ word >> 29


def hash_key(seed: int, key: Key) -> int:
    """32 bits from a tuple and its zone."""
    turned = seed & M64
    if key.family == 4:
        turned = mix(turned ^ (key.src[0] << 32 | key.dst[0]))
    else:
        for high, low in ((0, 1), (2, 3)):
            turned = mix(turned ^ (key.src[high] << 32 | key.src[low]))
            turned = mix(turned ^ (key.dst[high] << 32 | key.dst[low]))
    turned = mix(turned ^ (key.ports << 32 | key.zone << 16 | key.family << 8 | key.proto))
    return turned >> 32


def _by_hash(node: tuple[int, Entry, int]) -> int:
    return node[0]


class Room:
    """Chains, limit, collector and log. ``rows`` gives each entry a place, in the order the collector visits."""

    def __init__(self, era: eras.Era, settings: list[int], seed: int = 0) -> None:
        self.era, self.settings, self.seed = era, settings, seed
        self.count = self.peak = self.serial = 0
        self.counters = [0] * len(at.COUNTERS)
        self.chains: dict[int, list[tuple[int, Entry, int]]] = {}
        self.rows: list[Entry | None] = []
        self.free: list[int] = []
        self.log: list[tuple[int, int]] = []  # time; 0 for a table-full line, else how many were suppressed
        self.log_begin: int | None = None
        self.log_left = self.log_missed = 0
        self.now_ns: int | None = None
        self.random = (seed * RANDOM_STEP + RANDOM_ADD) & M64
        self.gc_next = self.gc_start = self.swept = 0
        self.gc_at = self.gc_mean = self.gc_weight = 0
        self.gc_early = False

    def turn_to(self, now_ns: int) -> int:
        """Let the collector run as often as it would have until now; the time it is, which never runs backwards."""
        if self.now_ns is None:
            self.now_ns, self.gc_next = now_ns, now_ns + _FIRST_NS
        self.now_ns = max(now_ns, self.now_ns)
        while self.gc_next <= self.now_ns:
            self._collect(self.gc_next)
        return self.now_ns

    def _collect(self, now_ns: int) -> None:
        """One run of the collector at its own time; sets when it runs next."""
        if self.settings[at.S_GC] == eras.GC_TIMERS:
            self.sweep(now_ns)
            self.gc_next = now_ns + at.SECOND_NS
        elif self.settings[at.S_GC] == eras.GC_SLICES:
            self._slice(now_ns)
        else:
            self._pass(now_ns)

    def sweep(self, now_ns: int) -> None:
        """Remove everything whose time is up: what a timer per entry does by itself."""
        self.swept = now_ns
        for entry in list(self.rows):
            if entry is not None and entry.expired(now_ns):
                self.delete(entry)

    def _slice(self, now_ns: int) -> None:
        """4.9 to 5.14: a 128th of the table a run; soon again where more than half was expired. [core 4.9.115]"""
        size = -(-len(self.rows) // at.GC_SLICES)
        seen = gone = 0
        for row in range(self.gc_at, min(self.gc_at + size, len(self.rows))):
            entry = self.rows[row]
            if entry is None:
                continue
            seen += 1
            if entry.expired(now_ns) or self._evicts(entry):
                self.delete(entry)
                gone += 1
        self.gc_at += size
        if self.gc_at >= len(self.rows):
            self.gc_at = 0
        self.gc_early = False  # one slice evicts for a refusal, whatever hangs in the others
        self.gc_mean = 1 if gone * 2 > seen else min(self.gc_mean + 1, 16)
        self.gc_next = now_ns + self.gc_mean * at.SECOND_NS // at.GC_SLICES

    def _pass(self, now_ns: int) -> None:
        """5.15 on: the whole table, until so many were expired that the next tick must go on. [core 6.12: gc_worker]"""
        tick = self.settings[at.S_TICK_NS]
        hz = at.SECOND_NS // tick
        if self.gc_at == 0:
            self.gc_mean, self.gc_weight, self.gc_start = at.GC_MOST_S * hz, at.GC_WEIGHT, now_ns
        gone = 0
        while self.gc_at < len(self.rows):
            if gone > at.GC_EXPIRED_RATE // hz:
                if now_ns - self.gc_start < at.GC_MOST_S * at.SECOND_NS:
                    self.gc_early = False
                    self.gc_next = now_ns + tick
                else:
                    self.gc_next = now_ns + 1
                return
            entry = self.rows[self.gc_at]
            self.gc_at += 1
            if entry is None:
                continue
            if entry.expired(now_ns):
                self.delete(entry)
                gone += 1
                continue
            left = min(max((entry.deadline_ns - now_ns) // tick, at.GC_LEAST_S * hz), at.GC_CLAMP_S * hz)
            for _ in range(1 if entry.fake else 2):  # it is met in each chain it hangs in
                self.gc_weight += 1
                self.gc_mean += int((left - self.gc_mean) / self.gc_weight)
            if self._evicts(entry):
                self.delete(entry)
                gone += 1
        self.gc_at, self.gc_early = 0, False
        if self.settings[at.S_GC] == eras.GC_FIXED:
            self.gc_next = now_ns + at.GC_FIXED_NS
            return
        wait = min(max(self.gc_mean, at.GC_LEAST_S * hz), at.GC_MOST_S * hz) * tick
        spent = now_ns - self.gc_start
        self.gc_next = now_ns + (wait - spent if wait > spent else tick)

    def _evicts(self, entry: Entry) -> bool:
        """The collector's own eviction after a packet was refused, at 95 % of the limit. [core 4.12..6.18]"""
        if not self.gc_early or not self.era.has("early-drop-closing"):
            return False
        threshold = self.settings[at.S_MAX] // 100 * 95
        if threshold == 0 or self.count < threshold:
            return False
        if not entry.status & at.ASSURED:
            return True
        proto = entry.keys[0].proto
        if proto == TCP:
            return entry.state in tcp.CLOSING
        return proto == SCTP and entry.state in sctp.CLOSING

    def bucket(self, hashed: int) -> int:
        """Which chain a hash belongs to."""
        return hashed * self.settings[at.S_BUCKETS] >> 32

    def find(self, now_ns: int, packet: Packet, zones: tuple[int, int]) -> tuple[Entry, int] | None:
        """The live entry of a tuple and its direction. A search that finds none collects the expired of the chain."""
        for zone in dict.fromkeys(zones):
            key = Key(packet.proto, packet.family, packet.src, packet.dst, packet.ports, zone)
            chain = self.chains.get(self.bucket(hash_key(self.seed, key)), [])
            for _, entry, direction in chain:
                same = entry.keys[direction] == key._replace(zone=zones[direction])
                if same and not entry.expired(now_ns):
                    return entry, direction
            self._collect_chain(chain, now_ns)
        return None

    def _collect_chain(self, chain: list[tuple[int, Entry, int]], now_ns: int) -> None:
        for _, entry, _ in list(chain):
            if entry.expired(now_ns) and not entry.status & at.DYING:
                self.delete(entry)

    def delete(self, entry: Entry) -> None:
        """Take a confirmed entry out of the table."""
        entry.status |= at.DYING
        for direction in (1,) if entry.fake else (0, 1):
            hashed = hash_key(self.seed, entry.keys[direction])
            chain = self.chains[self.bucket(hashed)]
            chain.remove((hashed, entry, direction))
            if not chain:
                del self.chains[self.bucket(hashed)]
        self.rows[entry.row] = None
        self.free.append(entry.row)
        self.count -= 1
        if not self.era.has("insert-netlink-only"):
            self.counters[at.C_DELETE] += 1

    def seat(self, entry: Entry) -> None:
        """Give a begun entry a place in the collector's order, which it shows in only once it is in the table."""
        entry.row = self.free.pop() if self.free else len(self.rows)
        if entry.row == len(self.rows):
            self.rows.append(None)

    def forget(self, entry: Entry) -> None:
        """A begun entry that never comes into the table."""
        self.free.append(entry.row)
        self.count -= 1

    def _place(self, entry: Entry, directions: tuple[int, ...]) -> None:
        self.rows[entry.row] = entry
        for direction in directions:
            hashed = hash_key(self.seed, entry.keys[direction])
            insort_right(self.chains.setdefault(self.bucket(hashed), []), (hashed, entry, direction), key=_by_hash)
        entry.status |= at.CONFIRMED
        if not self.era.has("insert-netlink-only"):
            self.counters[at.C_INSERT] += 1

    def confirm(self, now_ns: int, entry: Entry, length: int) -> bool:
        """Put a begun entry into the table; False where its packet is dropped instead.

        Refused where the tuple was taken meanwhile and the race cannot be settled, or where a chain is too long.
        """
        limit = self._chain_limit()
        for direction in (0, 1):
            hashed = hash_key(self.seed, entry.keys[direction])
            chain = self.chains.get(self.bucket(hashed), [])
            for _, other, where in chain:
                if other.keys[where] == entry.keys[direction]:
                    return self._clash(now_ns, entry, other, length)
            if limit is not None and len(chain) > limit + 1:
                self.counters[at.C_CHAIN_TOOLONG] += 1
                self.counters[at.C_INSERT_FAILED] += 1
                self.forget(entry)
                return False
        entry.deadline_ns += now_ns
        self._place(entry, (0, 1))
        return True

    def _chain_limit(self) -> int | None:
        if not self.settings[at.S_CHAIN_SPAN]:
            return None
        self.random = (self.random * RANDOM_STEP + RANDOM_ADD) & M64
        return self.settings[at.S_CHAIN_LEAST] + (self.random >> 33) % self.settings[at.S_CHAIN_SPAN]

    def _clash(self, now_ns: int, loser: Entry, winner: Entry, length: int) -> bool:
        """Another packet put the same tuple into the table first. [KERNEL.md 8.7]"""
        era, proto = self.era, loser.keys[0].proto
        allowed = proto in MAY_CLASH or (proto == GRE and era.has("reverse-clash"))
        if era.has("clash-resolve-udp") and allowed:
            if winner.keys == loser.keys or (era.has("reverse-clash") and winner.keys == loser.keys[::-1]):
                if self.settings[at.S_ACCT]:
                    winner.packets[0] += 1
                    winner.bytes[0] += length
                self.forget(loser)
                return self._settled()
            hashed = hash_key(self.seed, loser.keys[1])
            taken = any(o.keys[w] == loser.keys[1] for _, o, w in self.chains.get(self.bucket(hashed), []))
            if era.has("clash-reply-only") and not taken:
                loser.deadline_ns, loser.fake = now_ns + at.CLASH_NS, True
                loser.status |= at.FIXED_TIMEOUT | at.NAT_CLASH
                self._place(loser, (1,))
                return self._settled()
        if era.has("clash-resolve-udp"):
            self.counters[at.C_DROP] += 1
        self.counters[at.C_INSERT_FAILED] += 1
        self.forget(loser)
        return False

    def _settled(self) -> bool:
        self.counters[at.C_CLASH_RESOLVE if self.era.has("clash-column") else at.C_INSERT_FAILED] += 1
        return True

    def take_place(self, now_ns: int, key: Key) -> bool:
        """Count one more entry; at the limit evict for it, or log and refuse."""
        limit = self.settings[at.S_MAX]
        timers = self.settings[at.S_GC] == eras.GC_TIMERS
        if timers and limit and self.count >= limit and now_ns - self.swept >= at.TIMER_SWEEP_NS:
            self.sweep(now_ns)
        self.count += 1
        if limit and self.count > limit and not self._early_drop(now_ns, key):
            self.gc_early = True
            self.count -= 1
            self._warn(now_ns)
            return False
        self.peak = max(self.peak, self.count)
        return True

    def _early_drop(self, now_ns: int, key: Key) -> bool:
        """Evict entries that are not ASSURED, near the chain where the new one would hang. [KERNEL.md 4.2]"""
        first = self.bucket(hash_key(self.seed, key))
        rule = self.settings[at.S_EARLY_DROP]
        if rule in (eras.DROP_ENTRIES_OLDEST, eras.DROP_ENTRIES_NEWEST):
            return self._drop_one(now_ns, first, oldest=rule == eras.DROP_ENTRIES_OLDEST)
        reach = at.EVICTION_RANGE if rule == eras.DROP_EIGHT_BUCKETS else 1
        for step in range(reach):
            chain = list(self.chains.get((first + step) % self.settings[at.S_BUCKETS], []))
            self._collect_chain(chain, now_ns)
            victims = [e for _, e, _ in chain if not e.status & (at.ASSURED | at.DYING)]
            if victims and not self.settings[at.S_WHOLE_BUCKET]:
                victims = [max(victims, key=lambda each: each.serial)]
            dropped = 0
            for entry in victims:
                if not entry.status & at.DYING:  # both of its nodes may hang here
                    self.delete(entry)
                    dropped += 1
            if dropped:
                self.counters[at.C_EARLY_DROP] += dropped
                return True
        return False

    def _drop_one(self, now_ns: int, first: int, oldest: bool) -> bool:
        """To 4.6: walk on until eight entries were seen; one of the chain in which one may go. [KERNEL.md 4.2]"""
        seen = 0
        for step in range(self.settings[at.S_BUCKETS]):
            chain = self.chains.get((first + step) % self.settings[at.S_BUCKETS], [])
            victims = [e for _, e, _ in chain if not e.status & at.ASSURED and not e.expired(now_ns)]
            if victims:
                order = min if oldest else max
                self.delete(order(victims, key=lambda each: each.serial))
                self.counters[at.C_EARLY_DROP] += 1
                return True
            seen += len(chain)
            if seen >= at.EVICTION_RANGE:
                return False
            if not self.chains:
                return False
        return False

    def _warn(self, now_ns: int) -> None:
        """The table-full line through the kernel's rate limit: a burst in a window, then only counted. [ratelimit]"""
        interval = self.settings[at.S_COST_NS]
        if interval == 0:
            self.log.append((now_ns, 0))
            return
        if self.log_begin is None:
            self.log_begin, self.log_left = now_ns, self.settings[at.S_BURST]
        if now_ns > self.log_begin + interval:
            if self.log_missed:
                self.log.append((now_ns, self.log_missed))
            self.log_begin, self.log_left, self.log_missed = now_ns, self.settings[at.S_BURST], 0
        if self.log_left > 0:
            self.log_left -= 1
            self.log.append((now_ns, 0))
        else:
            self.log_missed += 1
