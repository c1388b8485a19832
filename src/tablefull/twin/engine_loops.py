"""The fast twin behind the same door as the plain one: it owns the memory that the loops run over.

The trap: the loops take whatever memory they are given. Before a chunk could run out of rows the arrays grow here,
and a limit above what fits is not reserved in advance: a table of a few entries is small whatever nf_conntrack_max
says.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tablefull.twin import eras, loops, loops_collect, loops_packet, loops_table
from tablefull.twin import state as at
from tablefull.twin.listing import Listed

FIRST_ROWS = 1024
# Nodes stand at most this close in the index: 5 places for 3 nodes. Closer saves memory and lengthens every search.
PLACES, NODES = 5, 3
TAIL = 4096
FAR_NS = loops_table.FAR_NS
Begun = tuple[int, int]  # what the loop said of a packet, and its bytes


def _aligned(count: int, width: int) -> npt.NDArray[np.uint32]:
    """``count`` rows of ``width`` words, each begins at a cache line; memory is taken when it is touched."""
    raw = np.zeros(count * width + 16, np.uint32)
    shift = -(raw.ctypes.data // 4) % 16
    return raw[shift : shift + count * width].reshape(count, width)


class _Memory(NamedTuple):
    """What the loops work on, in the order of their arguments."""

    entries: npt.NDArray[np.uint32]
    nodes: npt.NDArray[np.int64]
    counted: npt.NDArray[np.int64]
    settings: npt.NDArray[np.int64]
    registers: npt.NDArray[np.int64]
    counters: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    states_table: npt.NDArray[np.uint8]
    scratch: npt.NDArray[np.uint32]


class LoopsEngine:
    """One table in compiled loops."""

    def __init__(self, era: eras.Era, settings: list[int], seed: int) -> None:
        self.era, self.settings = era, np.array(settings, np.int64)
        self.acct = bool(settings[at.S_ACCT])
        self.registers = np.zeros(at.REGISTERS, np.int64)
        self.counters_row = np.zeros(len(at.COUNTERS), np.int64)
        self.lines = np.zeros((loops_table.LOG_ROOM, 2), np.int64)
        self.states_table = np.array(era.tcp, np.uint8).reshape(-1)
        self.scratch = _aligned(loops.RING + 1, at.PACKET_WORDS)
        self.old_lines: list[tuple[int, int]] = []
        wide = (1 << 64) - 1
        drawn = (seed * loops.RANDOM_STEP + loops.RANDOM_ADD) & wide
        for register, value in (
            *((at.R_FREE, at.NOTHING), (at.R_GC_NEXT, at.NOTHING), (at.R_LOG_BEGIN, at.NOTHING)),
            *((at.R_SEED, _signed(seed & wide)), (at.R_RANDOM, _signed(drawn))),
            (at.R_EARLIEST, FAR_NS if settings[at.S_GC] in (eras.GC_FIXED, eras.GC_ADAPTIVE) else 0),
        ):
            self.registers[register] = value
        self.entries = _aligned(0, at.ENTRY_WORDS)
        self.index = np.zeros(0, np.int64)
        self.counted = np.zeros((0, 4), np.int64)
        self._grow(FIRST_ROWS)

    def _grow(self, rows: int) -> None:
        """Room for that many rows; what is there moves along."""
        entries = _aligned(rows, at.ENTRY_WORDS)
        used = int(self.registers[at.R_USED])
        entries[:used] = self.entries[:used]
        if self.acct:
            counted = np.zeros((rows, 4), np.int64)
            counted[:used] = self.counted[:used]
            self.counted = counted
        slots = rows * 2 * PLACES // NODES
        index = np.zeros(slots + TAIL, np.int64)
        old_slots = int(self.registers[at.R_SLOTS])
        loops_table.rebuild(self.index.ctypes.data, old_slots, len(self.index), index.ctypes.data, slots)
        self.entries, self.index = entries, index
        self.registers[at.R_ROWS], self.registers[at.R_SLOTS] = rows, slots

    def _more_rows(self) -> None:
        """Twice as many, but no more than the limit asks for: one is begun before another is evicted for it."""
        rows, limit = int(self.registers[at.R_ROWS]), int(self.settings[at.S_MAX])
        wanted = rows * 2
        if rows < limit + 1 < wanted:
            wanted = limit + 1
        self._grow(min(wanted, at.MOST_ENTRIES))

    def _make_room(self) -> None:
        """A row for one more entry, and room for more lines of the log."""
        if self.registers[at.R_LOG_LINES] > loops_table.LOG_ROOM // 2:
            self._keep_lines()
        if self.registers[at.R_ROWS] <= self.registers[at.R_COUNT]:
            self._more_rows()

    def _held(self) -> _Memory:
        return _Memory(
            *(self.entries, self.index, self.counted, self.settings, self.registers),
            *(self.counters_row, self.lines, self.states_table, self.scratch),
        )

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
        mode = int(self.settings[at.S_CHECKSUM]) * loops_packet.READ_CHECKSUM
        mode |= loops_packet.READ_OFFLOADED * offloaded
        mode |= loops_packet.READ_REDIRECTS * self.era.has("ignore-old-data")
        done, total = first, len(start)
        arrays = (
            np.ascontiguousarray(time_ns),
            np.ascontiguousarray(data),
            np.ascontiguousarray(start),
            np.ascontiguousarray(captured),
            np.ascontiguousarray(wire),
            np.ascontiguousarray(flags),
        )
        while done < total:
            self._make_room()
            done = int(
                loops.run(
                    *self._held(),
                    *arrays,
                    zones[0] << 16 | zones[1],
                    mode,
                    done,
                    states,
                    directions,
                )
            )
            if self.registers[at.R_STOPPED] == at.STOPPED_FRAGMENT and done < total:
                return done
        return total

    def begin(self, now_ns: int, ip: bytes, flags: int, zones: tuple[int, int]) -> tuple[int, int, Begun] | None:
        """The first hook of one packet: state, direction, and what :meth:`leave` needs. None for a fragment."""
        mode = int(self.settings[at.S_CHECKSUM]) * loops_packet.READ_CHECKSUM | loops.KEEP_BEGUN
        mode |= loops_packet.READ_REDIRECTS * self.era.has("ignore-old-data")
        state, direction = np.zeros(1, np.uint8), np.zeros(1, np.uint8)
        size, none = np.array([len(ip)], np.int64), np.zeros(1, np.int64)
        self._make_room()
        loops.run(
            *self._held(),
            np.array([now_ns], np.int64),
            np.frombuffer(ip, np.uint8),
            none,
            size,
            size,
            np.array([flags], np.uint8),
            zones[0] << 16 | zones[1],
            mode,
            0,
            state,
            direction,
        )
        if self.registers[at.R_STOPPED] == at.STOPPED_FRAGMENT:
            return None
        got = int(self.registers[at.R_BEGUN])
        return got & 0xFF, got >> 8 & 0xFF, (got, len(ip))

    def leave(self, now_ns: int, begun: Begun, accept: bool) -> tuple[int, int]:
        """The last hook of a packet that was begun: its final state and direction."""
        acct = self.counted.ctypes.data if self.acct else 0
        verdict = int(
            loops.leave(
                self.entries.ctypes.data,
                self.index.ctypes.data,
                acct,
                self.settings.ctypes.data,
                self.registers.ctypes.data,
                self.counters_row.ctypes.data,
                *begun,
                accept,
                now_ns,
            )
        )
        return verdict & 0xFF, verdict >> 8 & 0xFF

    def _keep_lines(self) -> None:
        filled = int(self.registers[at.R_LOG_LINES])
        self.old_lines += [(int(when), int(hidden)) for when, hidden in self.lines[:filled]]
        self.registers[at.R_LOG_LINES] = 0

    def turn_to(self, now_ns: int) -> None:
        """Let time pass."""
        self.registers[at.R_NOW] = max(now_ns, int(self.registers[at.R_NOW]))
        entries, index = self.entries.ctypes.data, self.index.ctypes.data
        settings, registers = self.settings.ctypes.data, self.registers.ctypes.data
        counters = self.counters_row.ctypes.data
        loops_collect.collect(entries, index, settings, registers, counters, now_ns)
        if self.settings[at.S_GC] == eras.GC_TIMERS:
            loops_table.sweep(entries, index, settings, registers, counters, now_ns)

    @property
    def count(self) -> int:
        """Entries counted now."""
        return int(self.registers[at.R_COUNT])

    @property
    def peak(self) -> int:
        """Most entries ever counted."""
        return int(self.registers[at.R_PEAK])

    @property
    def created(self) -> int:
        """Entries made so far."""
        return int(self.registers[at.R_SERIAL])

    def living(self) -> npt.NDArray[np.int64]:
        """Order of creation of every entry in the table."""
        used = self.entries[: int(self.registers[at.R_USED])]
        serials: npt.NDArray[np.int64] = used[used[:, at.E_STATUS] & at.CONFIRMED != 0, at.E_SERIAL].astype(np.int64)
        return serials

    def counters(self) -> list[int]:
        """By state.COUNTERS."""
        return [int(each) for each in self.counters_row]

    def log(self) -> list[tuple[int, int]]:
        """Time, and how many lines were suppressed before it (0: a table-full line)."""
        self._keep_lines()
        return list(self.old_lines)

    def bytes_used(self) -> int:
        """Rows, index and counters."""
        return int(self.entries.nbytes + self.index.nbytes + self.counted.nbytes)

    def live(self, now_ns: int) -> npt.NDArray[np.int64]:
        """Rows of the entries that a listing shows: in the table, not expired, not the loser of a race."""
        used = self.entries[: int(self.registers[at.R_USED])]
        status = used[:, at.E_STATUS]
        deadline = used.view(np.int64)[:, at.E_DEADLINE]
        shown = (status & at.CONFIRMED != 0) & (status & at.NAT_CLASH == 0) & (deadline > now_ns)
        return np.flatnonzero(shown)

    def rows(self, now_ns: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Copies of the rows that a listing shows, and how many seconds each has left."""
        live = self.live(now_ns)
        rows = self.entries[live]
        left = rows.view(np.int64)[:, at.E_DEADLINE] - now_ns
        return rows, (left // at.SECOND_NS).astype(np.uint32)

    def listed(self, now_ns: int) -> Iterator[Listed]:
        """Live entries in the order of their rows."""
        numbers = self.entries.view(np.int64)
        octets = self.entries.view(np.uint8)
        for row in self.live(now_ns).tolist():
            words = self.entries[row].tolist()
            s0, s1, s2, s3, d0, d1, d2, d3, ports, proto, zones, status = words[:12]
            gre = (int(numbers[row, 8]) // at.SECOND_NS, int(numbers[row, 9]) // at.SECOND_NS)
            yield Listed(
                *(proto & 0xFF, proto >> 8, (s0, s1, s2, s3), (d0, d1, d2, d3), ports, (zones >> 16, zones & 0xFFFF)),
                *(status, int(octets[row, at.B_STATE]), (int(numbers[row, at.E_DEADLINE]) - now_ns) // at.SECOND_NS),
                tuple(self.counted[row].tolist()) if self.acct else None,
                gre,
            )


def _signed(word: int) -> int:
    """A 64 bit word as a signed number."""
    return word - (1 << 64) if word >> 63 else word
