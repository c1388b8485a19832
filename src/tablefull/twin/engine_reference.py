"""The plain twin behind the same door as the fast one: arrays in, arrays out, one packet after the other."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tablefull.twin import eras
from tablefull.twin import state as at
from tablefull.twin.listing import Listed
from tablefull.twin.reference import Passing, Reference
from tablefull.twin.reference_packet import Packet, Reading, decode


class ReferenceEngine:
    """One table in plain Python. Meant for reading and for judging the fast one, not for speed."""

    def __init__(self, era: eras.Era, settings: list[int], seed: int) -> None:
        self.table = Reference(era, settings, seed)
        self.era, self.settings = era, settings

    def reading(self, offloaded: bool) -> Reading:
        """How packets are read under these settings."""
        return Reading(bool(self.settings[at.S_CHECKSUM]), offloaded, self.era.has("ignore-old-data"))

    def run(
        self,
        time_ns: npt.NDArray[np.int64],
        data: npt.NDArray[np.uint8],
        start: npt.NDArray[np.int64],
        captured: npt.NDArray[np.int64],
        wire: npt.NDArray[np.int64],
        flags: npt.NDArray[np.uint8],
        zones: tuple[int, int],
        offloaded: bool,
        first: int,
        states: npt.NDArray[np.uint8],
        directions: npt.NDArray[np.uint8],
    ) -> int:
        """Track from packet ``first`` on; the number of the fragment it stopped at, or the number of packets."""
        reading, raw = self.reading(offloaded), data.tobytes()
        for i in range(first, len(start)):
            packet = self.read(raw, int(start[i]), int(captured[i]), int(wire[i]), int(flags[i]), reading)
            if packet.kind & 0xFF == at.KIND_HELD:
                return i
            accept = not flags[i] & at.FLAG_REFUSED
            states[i], directions[i] = self.table.pass_packet(int(time_ns[i]), packet, zones, accept)
        return len(start)

    def read(self, raw: bytes, start: int, captured: int, wire: int, flags: int, reading: Reading) -> Packet:
        """One packet of the data as tracking sees it."""
        if flags & at.FLAG_SKIP or start < 0:
            return Packet(at.KIND_SKIP)
        packet = decode(raw[start : start + captured], wire, reading, whole=bool(flags & at.FLAG_WHOLE))
        if flags & at.FLAG_UNTRACKED and packet.kind & 0xFF != at.KIND_DROPPED:
            return packet._replace(kind=at.KIND_UNTRACKED)
        return packet

    def begin(self, now_ns: int, ip: bytes, flags: int, zones: tuple[int, int]) -> tuple[int, int, Passing] | None:
        """The first hook of one packet: state, direction, and what :meth:`leave` needs. None for a fragment."""
        packet = self.read(ip, 0, len(ip), len(ip), flags, self.reading(False))
        if packet.kind & 0xFF == at.KIND_HELD:
            return None
        passing = self.table.receive(now_ns, packet, zones)
        return passing.state, passing.direction, passing

    def leave(self, now_ns: int, begun: Passing, accept: bool) -> tuple[int, int]:
        """The last hook of a packet that was begun: its final state and direction."""
        now_ns = self.table.turn_to(now_ns)
        return self.table.leave(now_ns, begun) if accept else self.table.discard(begun)

    def turn_to(self, now_ns: int) -> None:
        """Let time pass."""
        self.table.turn_to(now_ns)
        if self.settings[at.S_GC] == eras.GC_TIMERS:
            self.table.sweep(now_ns)

    @property
    def count(self) -> int:
        """Entries counted now."""
        return self.table.count

    @property
    def peak(self) -> int:
        """Most entries ever counted."""
        return self.table.peak

    @property
    def created(self) -> int:
        """Entries made so far."""
        return self.table.serial

    def living(self) -> npt.NDArray[np.int64]:
        """Order of creation of every entry in the table."""
        return np.array([entry.serial for entry in self.table.rows if entry is not None], np.int64)

    def counters(self) -> list[int]:
        """By state.COUNTERS."""
        return list(self.table.counters)

    def log(self) -> list[tuple[int, int]]:
        """Time, and how many lines were suppressed before it (0: a table-full line)."""
        return list(self.table.log)

    def bytes_used(self) -> int:
        """Objects have no fixed size here; what the entries would take as rows."""
        return at.ENTRY_BYTES * len(self.table.rows)

    def rows(self, now_ns: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """The entries that a listing shows as rows of state.E_*, and how many seconds each has left."""
        listed = list(self.listed(now_ns))
        rows = np.zeros((len(listed), at.ENTRY_WORDS), np.uint32)
        for row, each in zip(rows, listed, strict=True):
            row[at.E_SRC : at.E_SRC + 4], row[at.E_DST : at.E_DST + 4] = each.src, each.dst
            row[at.E_PORTS], row[at.E_PROTO] = each.ports, each.proto | each.family << 8
            row[at.E_ZONES] = each.zones[0] << 16 | each.zones[1]
            row[at.E_STATUS], row[at.B_STATE // 4] = each.status, each.state
        return rows, np.array([each.remaining_s for each in listed], np.uint32)

    def listed(self, now_ns: int) -> Iterator[Listed]:
        """Live entries in the order of their places; clash entries and expired ones are not shown."""
        acct = bool(self.settings[at.S_ACCT])
        for entry in self.table.rows:
            if entry is None or entry.fake or entry.expired(now_ns):
                continue
            key = entry.keys[0]
            yield Listed(
                *(key.proto, key.family, key.src, key.dst, key.ports, (key.zone, entry.keys[1].zone)),
                *(entry.status, entry.state, (entry.deadline_ns - now_ns) // at.SECOND_NS),
                (entry.packets[0], entry.bytes[0], entry.packets[1], entry.bytes[1]) if acct else None,
                (entry.timeouts_ns[0] // at.SECOND_NS, entry.timeouts_ns[1] // at.SECOND_NS),
            )
