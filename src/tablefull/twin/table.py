"""``Twin``: connection tracking as a library. Packets and settings in; verdicts, entries, counters and the log out.

The trap: one object, two engines. ``loops`` is compiled and fast, ``reference`` is plain and the definition; they agree
on every input, so which one runs is a matter of speed alone.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tablefull.errors import UsageError
from tablefull.facts.entry import Entry
from tablefull.kernel.messages import suppressed_line, table_full_line
from tablefull.twin import eras, listing
from tablefull.twin import state as at
from tablefull.twin.engine_reference import ReferenceEngine
from tablefull.twin.fragments import Fragments

Engine = Literal["loops", "reference"]
Column = npt.NDArray[np.int64]


class _Engine(Protocol):
    """What both engines offer; see ReferenceEngine."""

    @property
    def count(self) -> int: ...
    @property
    def peak(self) -> int: ...
    @property
    def created(self) -> int: ...
    def living(self) -> Column: ...
    def run(
        self,
        time_ns: Column,
        data: npt.NDArray[np.uint8],
        start: Column,
        captured: Column,
        wire: Column,
        flags: npt.NDArray[np.uint8],
        zones: tuple[int, int],
        offloaded: bool,
        first: int,
        states: npt.NDArray[np.uint8],
        directions: npt.NDArray[np.uint8],
    ) -> int: ...
    def begin(self, now_ns: int, ip: bytes, flags: int, zones: tuple[int, int]) -> tuple[int, int, Any] | None: ...
    def leave(self, now_ns: int, begun: Any, accept: bool) -> tuple[int, int]: ...
    def turn_to(self, now_ns: int) -> None: ...
    def counters(self) -> list[int]: ...
    def log(self) -> list[tuple[int, int]]: ...
    def bytes_used(self) -> int: ...
    def listed(self, now_ns: int) -> Iterator[listing.Listed]: ...
    def rows(self, now_ns: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]: ...


_SHOWN = (
    *("found", "invalid", "insert", "insert_failed", "drop", "early_drop", "error", "search_restart"),
    *("clash_resolve", "chain_toolong"),
)


class Verdict(NamedTuple):
    """What a packet is to the rules: ``state`` of state.STATES, ``direction`` None where it has no entry."""

    state: str
    direction: str | None


class InFlight:
    """A packet between its two hooks. ``verdict``: what the rules in between see."""

    __slots__ = ("begun", "verdict")

    def __init__(self, verdict: Verdict, begun: Any) -> None:
        self.verdict, self.begun = verdict, begun


class Verdicts(NamedTuple):
    """Verdicts of many packets as codes of state.STATES and DIRECTIONS (255: none).

    ``late``: fragments of earlier calls whose datagram was completed now, as (number of the packet, state, direction).
    """

    state: npt.NDArray[np.uint8]
    direction: npt.NDArray[np.uint8]
    late: list[tuple[int, int, int]]


def _named(state: int, direction: int) -> Verdict:
    return Verdict(at.STATES[state], None if direction == at.NO_DIRECTION else at.DIRECTIONS[direction])


class Twin:
    """One namespace of one kernel.

    ``kernel``: a series (``6.18``, ``5.15``) or a release string. ``settings``: sysctls by name, with or without
    ``net.netfilter.``. ``seed``: of the hash and of the random chain limit. ``netns``: the inode number in the log
    lines of a namespace that is not the first. UsageError for a kernel or a setting that cannot be.
    """

    def __init__(
        self,
        kernel: str = "6.18",
        settings: Mapping[str, int | str] | None = None,
        *,
        seed: int = 0,
        engine: Engine = "loops",
        netns: int | None = None,
    ) -> None:
        self.era = eras.era(kernel)
        self.settings = at.compile_settings(self.era, settings or {})
        self.netns = netns
        self._fragments = Fragments()
        self._given = 0
        self._now_ns: int | None = None
        if engine == "reference":
            self._engine: _Engine = ReferenceEngine(self.era, self.settings, seed)
        elif engine == "loops":
            from tablefull.twin.engine_loops import LoopsEngine

            self._engine = LoopsEngine(self.era, self.settings, seed)
        else:
            raise UsageError(f"there is no engine {engine!r}; there are loops and reference")

    def packet(
        self, now_ns: int, ip_bytes: bytes, *, accept: bool = True, untracked: bool = False, zone: int = 0
    ) -> Verdict:
        """One packet from its IP header on. ``accept``: whether it leaves the host or reaches a socket.

        A fragment is held, ``dropped`` until the last of its datagram, which gets the verdict of the whole.
        """
        data = np.frombuffer(ip_bytes, np.uint8)
        size = np.array([len(ip_bytes)], np.int64)
        found = self.packets(
            np.array([now_ns], np.int64),
            data,
            np.zeros(1, np.int64),
            size,
            accept=np.array([accept]),
            untracked=np.array([untracked]),
            zone=zone,
        )
        return _named(int(found.state[0]), int(found.direction[0]))

    def begin(self, now_ns: int, ip_bytes: bytes, *, untracked: bool = False, zone: int = 0) -> "InFlight":
        """A packet comes in and has not left yet: its entry, if it begins one, is counted and not in the table.

        Two of them in flight at once may race for one tuple. UsageError for a fragment: that is :meth:`packet`'s.
        """
        self._now_ns = max(now_ns, self._now_ns or 0)
        begun = self._engine.begin(self._now_ns, ip_bytes, at.FLAG_UNTRACKED if untracked else 0, (zone, zone))
        if begun is None:
            raise UsageError("a fragment is never in flight: reassembly holds it; give it to packet()")
        self._given += 1
        return InFlight(_named(*begun[:2]), begun[2])

    def confirm(self, now_ns: int, flight: "InFlight") -> Verdict:
        """It leaves the host or reaches a socket; ``dropped`` where its entry lost a race that cannot be settled."""
        return self._left(now_ns, flight, accept=True)

    def discard(self, now_ns: int, flight: "InFlight") -> Verdict:
        """A rule drops it: an entry that it began is gone."""
        return self._left(now_ns, flight, accept=False)

    def _left(self, now_ns: int, flight: "InFlight", accept: bool) -> Verdict:
        if flight.begun is None:
            raise UsageError("this packet has left already")
        begun, flight.begun = flight.begun, None
        self._now_ns = max(now_ns, self._now_ns or 0)
        return _named(*self._engine.leave(self._now_ns, begun, accept))

    def packets(
        self,
        time_ns: npt.NDArray[np.int64],
        data: npt.NDArray[np.uint8],
        start: npt.NDArray[np.int64],
        captured: npt.NDArray[np.int64],
        wire: npt.NDArray[np.int64] | None = None,
        *,
        accept: npt.NDArray[np.bool_] | None = None,
        untracked: npt.NDArray[np.bool_] | None = None,
        skip: npt.NDArray[np.bool_] | None = None,
        offloaded: bool = False,
        zone: int | tuple[int, int] = 0,
    ) -> Verdicts:
        """Many packets in order of time (ns; time never runs backwards: an earlier one happens at the time reached).

        ``start[i]`` is where the IP header of packet i begins in ``data`` (-1: no IP packet), ``captured[i]`` how many
        bytes of it are there, ``wire[i]`` how many there were. ``skip``: packets that were seen already.
        ``offloaded``: a checksum that holds the pseudo header's sum only is good. ``zone``: one, or one a direction.
        """
        total = len(start)
        flags = np.zeros(total, np.uint8)
        for mask, flag in ((untracked, at.FLAG_UNTRACKED), (skip, at.FLAG_SKIP)):
            if mask is not None:
                flags |= np.where(mask, np.uint8(flag), np.uint8(0))
        if accept is not None:
            flags |= np.where(accept, np.uint8(0), np.uint8(at.FLAG_REFUSED))
        zones = (zone, zone) if isinstance(zone, int) else zone
        wire = captured if wire is None else wire
        verdicts = Verdicts(np.full(total, at.UNTRACKED, np.uint8), np.full(total, at.NO_DIRECTION, np.uint8), [])
        done = 0
        while done < total:
            done = self._engine.run(
                *(time_ns, data, start, captured, wire, flags, zones, offloaded, done),
                *(verdicts.state, verdicts.direction),
            )
            if done < total:
                raw = data[start[done] : start[done] + captured[done]].tobytes()
                accepted = not flags[done] & at.FLAG_REFUSED
                now_ns = int(time_ns[: done + 1].max(initial=self._now_ns or 0))
                self._fragment(now_ns, raw, done, zones, offloaded, accepted, verdicts)
                done += 1
        self._given += total
        if total:
            self._now_ns = int(time_ns.max(initial=self._now_ns or 0))
        return verdicts

    def _fragment(
        self,
        now_ns: int,
        raw: bytes,
        number: int,
        zones: tuple[int, int],
        offloaded: bool,
        accepted: bool,
        verdicts: Verdicts,
    ) -> None:
        """Offer one fragment to reassembly; where it completes a datagram, all its fragments get that verdict."""
        end = int.from_bytes(raw[2:4], "big") if raw[0] >> 4 == 4 else int.from_bytes(raw[4:6], "big") + 40
        verdicts.state[number] = at.DROPPED
        offered = self._fragments.offer(now_ns, raw[:end], self._given + number)
        whole = raw[:end] if offered.as_is else offered.whole
        if whole is None:
            return
        flags = np.array([at.FLAG_WHOLE | (0 if accepted else at.FLAG_REFUSED)], np.uint8)
        size = np.array([len(whole)], np.int64)
        state, direction = np.zeros(1, np.uint8), np.full(1, at.NO_DIRECTION, np.uint8)
        self._engine.run(
            *(np.array([now_ns], np.int64), np.frombuffer(whole, np.uint8), np.zeros(1, np.int64), size, size, flags),
            *(zones, offloaded, 0, state, direction),
        )
        for index in offered.indices or (self._given + number,):
            if index >= self._given:
                verdicts.state[index - self._given] = state[0]
                verdicts.direction[index - self._given] = direction[0]
            else:
                verdicts.late.append((index, int(state[0]), int(direction[0])))

    def advance(self, now_ns: int) -> None:
        """Let time pass without a packet: the collector runs as often as it would have."""
        self._now_ns = max(now_ns, self._now_ns or 0)
        self._engine.turn_to(self._now_ns)

    @property
    def count(self) -> int:
        """nf_conntrack_count: live entries, expired ones not yet collected, and begun ones."""
        return self._engine.count

    @property
    def peak(self) -> int:
        """The highest count so far."""
        return self._engine.peak

    @property
    def created(self) -> int:
        """Entries made so far."""
        return self._engine.created

    def living(self) -> Column:
        """Of every entry in the table, expired ones not yet collected too: the how manieth it was, from 1 on."""
        return self._engine.living()

    @property
    def max(self) -> int:
        """nf_conntrack_max; 0 is no limit."""
        return self.settings[at.S_MAX]

    @property
    def bytes_used(self) -> int:
        """Bytes of memory that the table takes."""
        return self._engine.bytes_used()

    def counters(self) -> dict[str, int]:
        """The counters by their netlink names (kernel/uapi.py)."""
        return dict(zip(at.COUNTERS, self._engine.counters(), strict=True))

    def counters_text(self) -> str:
        """One line as ``conntrack -S`` prints it; a twin has one CPU."""
        named = self.counters()
        shown = " ".join(f"{'chaintoolong' if name == 'chain_toolong' else name}={named[name]}" for name in _SHOWN)
        return f"cpu=0   \t{shown} "

    @property
    def first_refusal_ns(self) -> int | None:
        """When the log first spoke of a full table; None where it never did."""
        return next((time_ns for time_ns, _ in self._engine.log()), None)

    def log(self) -> list[str]:
        """The kernel log a person would see, with the time of each line in seconds of the packets' clock."""
        lines = []
        for time_ns, suppressed in self._engine.log():
            kernel = self.era.kernel
            text = suppressed_line(kernel, suppressed) if suppressed else table_full_line(kernel, self.netns)
            lines.append(f"[{time_ns // at.SECOND_NS:5}.{time_ns % at.SECOND_NS // 1000:06}] {text}")
        return lines

    def _listed(self, now_ns: int | None) -> Iterator[listing.Listed]:
        return self._engine.listed(self._now_ns or 0 if now_ns is None else now_ns)

    def entries(self, now_ns: int | None = None) -> list[Entry]:
        """The live entries as facts; ``now_ns``: as seen then, else at the last packet."""
        return [listing.fact(each) for each in self._listed(now_ns)]

    def lines(self, now_ns: int | None = None, form: str = "extended") -> Iterator[str]:
        """The live entries as ``conntrack -L -o extended`` or, with ``proc``, /proc/net/nf_conntrack prints them."""
        if form not in listing.FORMS:
            raise UsageError(f"there is no form {form!r}; there are {', '.join(listing.FORMS)}")
        return (listing.line(each, form) for each in self._listed(now_ns))

    def columns(self, now_ns: int | None = None) -> dict[str, npt.NDArray[np.uint32]]:
        """The live entries as columns: l4proto family src dst (four words each) sport dport status state remaining_s
        zone. Ports are 0 where a protocol has none.
        """
        words, remaining_s = self._engine.rows(self._now_ns or 0 if now_ns is None else now_ns)
        proto, ports = words[:, at.E_PROTO], words[:, at.E_PORTS]
        ported = np.isin(proto & 0xFF, (6, 17, 132, 136))
        return {
            "l4proto": proto & np.uint32(0xFF),
            "family": proto >> np.uint32(8),
            "src": words[:, at.E_SRC : at.E_SRC + 4],
            "dst": words[:, at.E_DST : at.E_DST + 4],
            "sport": np.where(ported, ports >> np.uint32(16), np.uint32(0)),
            "dport": np.where(ported, ports & np.uint32(0xFFFF), np.uint32(0)),
            "status": words[:, at.E_STATUS],
            "tcp_state": words[:, at.B_STATE // 4] & np.uint32(0xFF),
            "remaining_s": remaining_s,
            "zone": words[:, at.E_ZONES] >> np.uint32(16),
        }
