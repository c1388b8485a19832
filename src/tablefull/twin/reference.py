"""Connection tracking in plain Python: what a packet is to the table, and what it leaves in it. The definition.

The trap: the order of things. The place for a new entry is taken before the packet is judged, so at a full table even
garbage is dropped; the reply bit is set after the tracker has run; expired entries stay counted until somebody walks
over them. ``loops.py`` does the same over arrays and must agree on every input, and this file is graded by the
kernel.

Read beside KERNEL.md 4 and 8. [core, udp, icmp, gre 6.12 read; measured on 6.18.44]
"""

from tablefull.kernel import sctp, tcp
from tablefull.twin import eras, reference_sctp, reference_tcp
from tablefull.twin import state as at
from tablefull.twin.reference_entry import ACCEPT, INVALID, KILL, REPEAT, Entry, Key, Result
from tablefull.twin.reference_packet import (
    GRE,
    ICMP,
    ICMP_QUERIES,
    ICMPV6,
    ICMPV6_QUERIES,
    SCTP,
    TCP,
    UDP,
    UDPLITE,
    Packet,
)
from tablefull.twin.reference_room import Room

Verdict = tuple[int, int]  # state, direction
_NONE = at.NO_DIRECTION


class Passing:
    """A packet between its two hooks: with an entry that may not be in the table yet."""

    __slots__ = ("direction", "entry", "packet", "state")

    def __init__(self, state: int, direction: int, entry: Entry | None, packet: Packet) -> None:
        self.state, self.direction, self.entry, self.packet = state, direction, entry, packet


class Reference(Room):
    """One namespace's table. Times are nanoseconds; ``settings`` is a row of state.compile_settings."""

    def pass_packet(self, now_ns: int, packet: Packet, zones: tuple[int, int] = (0, 0), accept: bool = True) -> Verdict:
        """A packet comes in and leaves (or is dropped by a rule in between): its state and direction."""
        now_ns = self.turn_to(now_ns)
        passing = self.receive(now_ns, packet, zones)
        return self.leave(now_ns, passing) if accept else self.discard(passing)

    def receive(self, now_ns: int, packet: Packet, zones: tuple[int, int] = (0, 0)) -> Passing:
        """The first hook: find or begin the entry and let its protocol judge."""
        now_ns = self.turn_to(now_ns)
        kind = packet.kind & 0xFF
        if packet.kind & at.BAD and not self.era.has("error-icmp-only"):
            return self._refused_error(packet)  # to 4.19 a bad header or checksum was found before the table was asked
        if kind == at.KIND_TRACK:
            return self._track(now_ns, packet, zones)
        if kind == at.KIND_ICMP_ERROR:
            return self._icmp_error(now_ns, packet, zones)
        if kind == at.KIND_INVALID:
            self.counters[at.C_INVALID] += 1
            return Passing(at.INVALID, _NONE, None, packet)
        if kind == at.KIND_ICMP_INVALID:
            return self._refused_error(packet)
        dropped = kind in (at.KIND_DROPPED, at.KIND_HELD)
        return Passing(at.DROPPED if dropped else at.UNTRACKED, _NONE, None, packet)

    def leave(self, now_ns: int, passing: Passing) -> Verdict:
        """The last hook: the packet leaves the host or reaches a socket, and its entry enters the table."""
        entry = passing.entry
        new = entry is not None and not entry.status & at.CONFIRMED and passing.direction == tcp.ORIGINAL
        if entry is not None and new and not self.confirm(now_ns, entry, passing.packet.length):
            return at.DROPPED, _NONE
        return passing.state, passing.direction

    def discard(self, passing: Passing) -> Verdict:
        """A rule drops the packet: an entry that was only begun is gone."""
        if passing.entry is not None and not passing.entry.status & at.CONFIRMED:
            self.forget(passing.entry)
        return at.DROPPED, _NONE

    def _refused_error(self, packet: Packet) -> Passing:
        self.counters[at.C_ERROR] += 1
        if not self.era.has("icmp-related-invalid"):
            self.counters[at.C_INVALID] += 1
        return Passing(at.INVALID, _NONE, None, packet)

    def _icmp_error(self, now_ns: int, packet: Packet, zones: tuple[int, int]) -> Passing:
        """An error belongs to the entry of the packet it is about, which it neither renews nor counts on."""
        found = self.find(now_ns, packet, zones)
        if found is None:
            return self._refused_error(packet)
        return Passing(at.RELATED, found[1], None, packet)

    def _track(self, now_ns: int, packet: Packet, zones: tuple[int, int]) -> Passing:
        found = self.find(now_ns, packet, zones)
        entry, direction = found if found is not None else (self.begin(now_ns, packet, zones), tcp.ORIGINAL)
        if entry is None:
            self.counters[at.C_DROP] += 1
            return Passing(at.DROPPED, _NONE, None, packet)
        state = at.NEW
        if direction == tcp.REPLY or entry.status & at.SEEN_REPLY:
            state = at.ESTABLISHED
        elif entry.status & at.EXPECTED:
            state = at.RELATED
        confirmed = bool(entry.status & at.CONFIRMED)
        result = Result(INVALID) if packet.kind & at.BAD else self._judge(now_ns, entry, direction, packet)
        if result.action == REPEAT:
            self.delete(entry)
            if not self.era.has("invalid-not-reuse"):
                self.counters[at.C_INVALID] += 1
            return self._track(now_ns, packet, zones)
        if result.action == INVALID:
            if result.shorten and confirmed:
                reference_tcp.shorten(entry, direction, packet.segment, now_ns, self.settings)
            self.counters[at.C_INVALID] += 1
            if not confirmed:
                self.forget(entry)
            return Passing(at.INVALID, _NONE, None, packet)
        if result.action == ACCEPT:
            self._refresh(now_ns, entry, direction, packet, result.timeout_ns)
        elif result.action == KILL:
            self.delete(entry)
        if direction == tcp.REPLY:
            entry.status |= at.SEEN_REPLY
        gone = result.action == KILL
        return Passing(state, direction, None if gone else entry, packet)

    def _refresh(self, now_ns: int, entry: Entry, direction: int, packet: Packet, timeout_ns: int) -> None:
        if not entry.status & at.FIXED_TIMEOUT:
            entry.deadline_ns = timeout_ns + (now_ns if entry.status & at.CONFIRMED else 0)
        if self.settings[at.S_ACCT]:
            entry.packets[direction] += 1
            entry.bytes[direction] += packet.length

    def _judge(self, now_ns: int, entry: Entry, direction: int, packet: Packet) -> Result:
        """The tracker of the entry's protocol."""
        confirmed = bool(entry.status & at.CONFIRMED)
        proto = packet.proto
        if proto == TCP:
            if not confirmed and not reference_tcp.begin(entry, packet, self.settings, self.era):
                return Result(INVALID)
            return reference_tcp.track(entry, direction, packet, self.settings, self.era)
        if proto == UDP:
            return self._udp(now_ns, entry)
        if proto == UDPLITE:
            return self._both_ways(entry, self.settings[at.S_UDPLITE], self.settings[at.S_UDPLITE_STREAM])
        if proto == GRE:
            if not confirmed:
                entry.timeouts_ns = (self.settings[at.S_GRE], self.settings[at.S_GRE_STREAM])
            return self._both_ways(entry, *entry.timeouts_ns)
        if proto == SCTP:
            if not confirmed and not reference_sctp.begin(entry, packet):
                return Result(INVALID)
            return reference_sctp.track(entry, direction, packet, self.settings)
        if proto == ICMP:
            query = entry.keys[0].ports >> 8 & 0xFF in ICMP_QUERIES
            return Result(ACCEPT, self.settings[at.S_ICMP]) if query else Result(INVALID)
        if proto == ICMPV6:
            query = confirmed or entry.keys[0].ports >> 8 & 0xFF in ICMPV6_QUERIES
            return Result(ACCEPT, self.settings[at.S_ICMPV6]) if query else Result(INVALID)
        return Result(ACCEPT, self.settings[at.S_GENERIC])

    def _udp(self, now_ns: int, entry: Entry) -> Result:
        """A flow that is still active two seconds after it began is a stream. [udp 6.18; KERNEL.md 8.6]"""
        short, stream = self.settings[at.S_UDP], self.settings[at.S_UDP_STREAM]
        if not self.era.has("udp-stream-2s"):
            return self._both_ways(entry, short, stream)
        if not entry.status & at.CONFIRMED:
            entry.stream_ns = now_ns + at.STREAM_NS
        if not entry.status & at.SEEN_REPLY:
            return Result(ACCEPT, short)
        lasting = now_ns > entry.stream_ns
        if (lasting or not self.era.has("udp-assured-2s")) and not entry.status & at.NAT_CLASH:
            entry.status |= at.ASSURED
        return Result(ACCEPT, stream if lasting else short)

    def _both_ways(self, entry: Entry, one_way_ns: int, both_ns: int) -> Result:
        """UDP-Lite, GRE and UDP before 5.0: assured by the first packet after a reply."""
        if not entry.status & at.SEEN_REPLY:
            return Result(ACCEPT, one_way_ns)
        if not entry.status & at.NAT_CLASH:
            entry.status |= at.ASSURED
        return Result(ACCEPT, both_ns)

    def begin(self, now_ns: int, packet: Packet, zones: tuple[int, int]) -> Entry | None:
        """A fresh entry outside the table; None where it is full and nothing could be evicted."""
        original = Key(packet.proto, packet.family, packet.src, packet.dst, packet.ports, zones[0])
        if not self.take_place(now_ns, original):
            return None
        self.serial += 1
        entry = Entry(original, zones[1], self.serial)
        self.seat(entry)
        return entry


def closing(entry: Entry) -> bool:
    """Whether the collector may evict this entry although it is ASSURED. [core 4.12..6.18: can_early_drop]"""
    proto = entry.keys[0].proto
    if proto == TCP:
        return entry.state in tcp.CLOSING
    return proto == SCTP and entry.state in sctp.CLOSING


def reference(era: eras.Era, settings: list[int], seed: int = 0) -> Reference:
    """A fresh table for a kernel and its settings."""
    return Reference(era, settings, seed)
