"""The running kernel as judge: packets enter a namespace by one TUN device and leave by the other, stamped.

Two devices, ``left`` and ``right``, forwarding between them. A rule behind tracking writes what ``ct state`` and
``ct direction`` say into the DSCP field, so each packet that comes out carries its verdict; one that does not come out
was dropped. A write to a TUN device returns after the whole way through the stack, so the order of writes is the order
in which the kernel saw them.

Three traps. Time: the kernel counts in ticks, so the time recorded for a packet is that of the tick it was written in
(the coarse clock moves with the tick). Fragments: they leave when the last one has come in, cut again, so after each
one the queues are read at once, which tells the datagram whose last part it was. Repeated or overlapping ones: nobody
can see from outside which of them the kernel kept, so their verdict is not determined.
"""

import os
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from tests.realkernel import batch as batches
from tests.realkernel.batch import Batch, Sent
from tests.realkernel.host_limits import BUCKETS, MAX
from tests.realkernel.namespace import Namespace
from tests.realkernel.record import DIRECTIONS, NO_DIRECTION, STATES, Recorded, about

DROPPED = STATES.index("dropped")
# DSCP -> (state, direction). 0 is a packet that no rule saw: the kernel's own.
STAMPS = {
    1: ("new", "original"),
    2: ("established", "original"),
    3: ("established", "reply"),
    4: ("related", "original"),
    5: ("related", "reply"),
    6: ("invalid", None),
    7: ("untracked", None),
    8: ("new", "reply"),
}
FRAGMENT_ROOM = ("net.ipv4.ipfrag_high_thresh", "net.netfilter.nf_conntrack_frag6_high_thresh")
MTU = 9000
QUEUE_PACKETS = 20_000
WINDOW = 512
SEEN_BYTES = 64
TOGETHER = 64  # windows matched in one go
COARSE_CLOCK = 6  # CLOCK_MONOTONIC_COARSE, include/uapi/linux/time.h
TICK_NS = 4_000_000  # HZ=250
LEFT, RIGHT = "left", "right"
# Addresses no router forwards are rewritten behind tracking, so that these packets come out too.
FORWARDABLE = {
    "ip": "ip daddr 224.0.0.0/3 ip daddr set 10.2.255.254",
    "ip6": "ip6 saddr fe80::/10 ip6 saddr set 2001:db8:a::fffe\n"
    "ip6 daddr { fe80::/10, ff00::/8 } ip6 daddr set 2001:db8:b::fffe",
}
REWRITTEN = 224  # first byte, from here on
PREFIXES = (("10.1.0.0/16", "2001:db8:a::/48"), ("10.2.0.0/16", "2001:db8:b::/48"))


class Run(NamedTuple):
    """What the kernel said of each packet. ``determined`` is False where it cannot be seen from outside."""

    batch: Batch
    time_ns: npt.NDArray[np.int64]
    state: npt.NDArray[np.uint8]
    direction: npt.NDArray[np.uint8]
    determined: npt.NDArray[np.bool_]


class Lost(OSError):
    """A packet that nobody read is no verdict: on a busy machine a queue overflows, and the run is to be made again."""


class Judge:
    """A namespace that judges; use it in ``with``. ``settings`` are written before anything is tracked."""

    def __init__(self, settings: Mapping[str, object] | None = None) -> None:
        self.space = Namespace()
        self._ends: list[int] = []
        try:
            self._furnish(settings or {})
        except BaseException:
            self.close()
            raise
        self._room = np.zeros((8 * WINDOW, SEEN_BYTES), np.uint8)
        self._rows = [[memoryview(row)] for row in self._room]  # type: ignore[arg-type]
        self._started_ns: int | None = None
        self.strays = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """The end of the devices and of the namespace."""
        for descriptor in self._ends:
            os.close(descriptor)
        self._ends = []
        self.space.close()

    def _furnish(self, settings: Mapping[str, object]) -> None:
        space = self.space
        # No address, no router solicitation, no duplicate address detection: the kernel has nothing to say by itself.
        quiet = {"addr_gen_mode": 1, "accept_ra": 0, "router_solicitations": 0, "accept_dad": 0}
        space.write({f"net/ipv6/conf/default/{name}": value for name, value in quiet.items()})
        self._ends = [space.tun(LEFT), space.tun(RIGHT)]
        for device in ("all", "default", LEFT, RIGHT):
            space.write({f"net/ipv4/conf/{device}/{name}": 0 for name in ("rp_filter", "accept_source_route")})
            space.write({f"net/{family}/conf/{device}/forwarding": 1 for family in ("ipv4", "ipv6")})
        # Datagrams that never become whole wait for half a minute; there is room for all of them.
        space.write(dict.fromkeys(FRAGMENT_ROOM, 1 << 28))
        for device, prefixes in zip((LEFT, RIGHT), PREFIXES, strict=True):
            space.run("ip", "link", "set", "dev", device, "mtu", str(MTU), "txqueuelen", str(QUEUE_PACKETS), "up")
            for prefix in prefixes:
                space.run("ip", "route", "add", prefix, "dev", device)
        space.write(settings)
        space.run("nft", "-f", "-", text=RULES)

    def now_ns(self) -> int:
        """The time of the kernel's present tick, on the clock of the recorded times."""
        coarse = time.clock_gettime_ns(COARSE_CLOCK)
        if self._started_ns is None:
            self._started_ns = coarse
        return _ticks_ns(np.array([coarse]), self._started_ns)[0]

    def run(self, sent: Batch | Iterable[Sent], window: int = WINDOW) -> Run:
        """Write every packet, read what comes out, and match the two."""
        batch = sent if isinstance(sent, Batch) else batches.collect(sent)
        batches.number(batch)
        self.now_ns()
        assert self._started_ns is not None
        matcher = _Matcher(batch)
        times = np.zeros(len(batch), np.int64)
        piece = batches.fragments(batch)
        # A pause, and a fragment whose outcome is read at once, ends a window.
        stops = np.unique(
            np.concatenate(
                [
                    np.arange(0, len(batch), window),
                    np.flatnonzero(batch.pause_ms),
                    np.flatnonzero(piece),
                    np.flatnonzero(piece) + 1,
                    [len(batch)],
                ]
            )
        )
        self._drain()
        for first, last in zip(stops[:-1].tolist(), stops[1:].tolist(), strict=True):
            if pause_ms := int(batch.pause_ms[first]):
                time.sleep(pause_ms / 1000)
            self._write(batch, first, last, times)
            rows = self._drain()
            if piece[first]:
                matcher.fragment(first, rows)
            elif rows is not None:
                matcher.came_out(first, last, rows)
        if lost := self._lost():
            raise Lost(f"{lost} packets were lost on the way out: the queues are too small")
        result = matcher.result(_ticks_ns(times, self._started_ns))
        self.strays += matcher.strays
        return result

    def _write(self, batch: Batch, first: int, last: int, times: npt.NDArray[np.int64]) -> None:
        view = memoryview(batch.data)  # type: ignore[arg-type]
        starts = batch.start[first:last].tolist()
        ends = (batch.start[first:last] + batch.length[first:last]).tolist()
        sides = batch.side[first:last].tolist()
        ways, write, clock = self._ends, os.write, time.clock_gettime_ns
        stamps = []
        for start, end, side in zip(starts, ends, sides, strict=True):
            stamps.append(clock(COARSE_CLOCK))
            try:
                write(ways[side], view[start:end])
            except OSError:
                # Neither version 4 nor 6, or empty: the device refuses it before the stack sees it.
                continue
        times[first:last] = stamps

    def _drain(self) -> npt.NDArray[np.uint8] | None:
        """What came out, a row each; the side it came out of does not matter for it."""
        rows, read, filled = self._rows, os.readv, 0
        for way in self._ends:
            try:
                while True:
                    read(way, rows[filled])
                    filled += 1
            except BlockingIOError:
                continue
            except IndexError:
                raise OSError("more packets came out than a window can cause") from None
        return self._room[:filled] if filled else None

    def _lost(self) -> int:
        text = self.space.proc("dev")
        return sum(int(line.split(":")[1].split()[11]) for line in text.splitlines() if ":" in line)

    def judged(self, settings: Mapping[str, object], traffic: str, run: Run) -> Recorded:
        """A run with the table and the counters as they are now; what is expired leaves when they are listed."""
        facts = about(settings, traffic, {path.name: int(path.read_text()) for path in (MAX, BUCKETS)})
        facts |= {"count": self.space.count(), "counters": self.space.counters(), "proc_ns": int(self.now_ns())}
        proc = self.lines("proc")
        facts["entries_ns"] = int(self.now_ns())
        batch = run.batch
        return Recorded(
            facts, batch.data, batch.start, batch.length, run.time_ns, run.state, run.direction, run.determined,
            self.lines(), proc,
        )  # fmt: skip

    def lines(self, source: str = "extended") -> list[str]:
        """The table: ``extended`` as conntrack -L -o extended, ``proc`` as /proc/net/nf_conntrack."""
        return self.space.entries() if source == "extended" else self.space.proc("nf_conntrack").splitlines()


def _rules() -> str:
    text = []
    for family in ("ip", "ip6"):
        stamps = []
        for value, (state, direction) in STAMPS.items():
            way = f"ct direction {direction} " if direction else ""
            stamps.append(f"ct state {state} {way}{family} dscp set {value} accept")
        # The most frequent first.
        stamps.sort(key=lambda rule: "established" not in rule)
        text.append(
            f"table {family} judge {{\n"
            f"chain before {{ type filter hook prerouting priority -300;\n"
            f"{family} ecn {batches.NOT_TRACKED} notrack\n"
            f"{family} ecn {batches.IN_ZONE} ct zone set {batches.ZONE}\n}}\n"
            f"chain tracked {{ type filter hook prerouting priority -150;\n{FORWARDABLE[family]}\n}}\n"
            f"chain behind {{ type filter hook forward priority 0;\n"
            f"{family} ecn {batches.NOT_ACCEPTED} drop\n" + "\n".join(stamps) + "\n}\n"
            # What the kernel itself would send is dropped before tracking (-200) and defragmentation (-400).
            "chain own { type filter hook output priority -450; drop; }\n}\n"
        )
    return "".join(text)


RULES = _rules()


def _ticks_ns(coarse_ns: npt.NDArray[np.int64], started_ns: int) -> npt.NDArray[np.int64]:
    """Times as whole ticks: the coarse clock moves by a tick, give or take a nanosecond."""
    base = round(started_ns / TICK_NS)
    return (base + np.rint((coarse_ns - started_ns) / TICK_NS).astype(np.int64)) * TICK_NS


class _Matcher:
    """Finds for each packet that came out the one that went in."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._state = np.full(len(batch), DROPPED, np.uint8)
        self._direction = np.full(len(batch), NO_DIRECTION, np.uint8)
        self._determined = np.ones(len(batch), np.bool_)
        self._waiting: dict[bytes, list[int]] = {}
        self._seen: list[tuple[int, int, npt.NDArray[np.uint8]]] = []
        self.strays = 0
        self._code = np.full((64, 2), NO_DIRECTION, np.uint8)
        for value, (state, direction) in STAMPS.items():
            self._code[value, 0] = STATES.index(state)
            if direction:
                self._code[value, 1] = DIRECTIONS.index(direction)

    def came_out(self, first: int, last: int, rows: npt.NDArray[np.uint8]) -> None:
        """``rows`` came out after the packets ``first`` .. ``last`` had gone in."""
        self._seen.append((first, last, rows.copy()))
        if len(self._seen) >= TOGETHER:
            self._match()

    def _match(self) -> None:
        if not self._seen:
            return
        counts = [len(rows) for _, _, rows in self._seen]
        first = np.repeat([one[0] for one in self._seen], counts)
        last = np.repeat([one[1] for one in self._seen], counts)
        rows = np.concatenate([one[2] for one in self._seen])
        self._seen = []
        version, stamp = rows[:, 0] >> 4, _stamps(rows)
        self.strays += int((stamp == 0).sum())
        mine = stamp != 0
        rows, stamp, version, first, last = rows[mine], stamp[mine], version[mine], first[mine], last[mine]
        wide = rows.astype(np.int64)
        carried = np.where(version == 4, wide[:, 4] << 8 | wide[:, 5], wide[:, 2] << 8 | wide[:, 3])
        index = first + (carried - first) % batches.NUMBERS
        if not (index < last).all() or len(np.unique(index)) != len(index):
            raise OSError(f"a packet came out that did not go in: {index[index >= last][:3]} of {first}..{last}")
        # The addresses and the protocol of what came out are those of what went in, unless they were rewritten.
        for family, columns, source, target in ((4, [9, *range(12, 20)], 12, 16), (6, [6, *range(8, 40)], 8, 24)):
            chosen = np.flatnonzero(version == family)
            starts = self._batch.start[index[chosen]]
            ordinary = (self._batch.data[starts + source] < REWRITTEN) & (self._batch.data[starts + target] < REWRITTEN)
            chosen, starts = chosen[ordinary], starts[ordinary]
            if not np.array_equal(rows[chosen][:, columns], self._batch.data[starts[:, None] + np.array(columns)]):
                raise OSError("a packet came out under another's number")
        self._state[index] = self._code[stamp, 0]
        self._direction[index] = self._code[stamp, 1]

    def fragment(self, index: int, rows: npt.NDArray[np.uint8] | None) -> None:
        """A fragment went in, and ``rows`` came out: nothing, or the datagram it was the last part of, cut again."""
        part = _part(self._batch.packet(index))
        if part is None:
            return
        waiting = self._waiting.setdefault(part[0], [])
        waiting.append(index)
        stamp = 0 if rows is None else int(_stamps(rows).max())
        if not stamp:
            return
        # An empty part is never kept, so it never comes out, unless it did just now.
        waiting = [
            one
            for one in waiting
            if (place := _part(self._batch.packet(one))) and (place[1] < place[2] or one == index)
        ]
        parts = sorted(_part(self._batch.packet(one))[1:] for one in waiting)  # type: ignore[index]
        ends = [0, *(end for _, end, _ in parts)]
        if rows is not None and rows[0, 0] >> 4 == 6 and _size_out(rows) < parts[-1][1]:
            # Less came out than the datagram holds: this part alone, which reassembly handed on as it was.
            self._state[index], self._direction[index] = self._code[stamp]
            self._waiting[part[0]] = [one for one in waiting if one != index]
            return
        whole = all(begin == end for (begin, _, _), end in zip(parts, ends, strict=False)) and not parts[-1][2]
        if whole:
            self._state[waiting], self._direction[waiting] = self._code[stamp]
        else:
            self._determined[waiting[:-1]] = False
            self._state[index], self._direction[index] = self._code[stamp]
        del self._waiting[part[0]]

    def result(self, time_ns: npt.NDArray[np.int64]) -> Run:
        """Every packet's verdict."""
        self._match()
        return Run(self._batch, time_ns, self._state, self._direction, self._determined)


def _stamps(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.where(rows[:, 0] >> 4 == 4, rows[:, 1] >> 2, (rows[:, 0] & 0xF) << 2 | rows[:, 1] >> 6)


def _size_out(rows: npt.NDArray[np.uint8]) -> int:
    """Bytes of the datagram in these IPv6 packets, whether they carry a fragment header or not."""
    lengths = rows[:, 4].astype(np.int64) << 8 | rows[:, 5]
    return int((lengths - 8 * (rows[:, 6] == 44)).sum())


def _part(packet: bytes) -> tuple[bytes, int, int, bool] | None:
    """Which datagram a fragment belongs to, where its part begins and ends, and whether more follow."""
    if packet[0] >> 4 == 4:
        key = b"4" + packet[4:6] + packet[9:10] + packet[12:20]
        place = int.from_bytes(packet[6:8], "big")
        begin, more = (place & 0x1FFF) * 8, bool(place & 0x2000)
        return key, begin, begin + int.from_bytes(packet[2:4], "big") - (packet[0] & 15) * 4, more
    at = batches.fragment_header(packet)
    if at is None:
        return None
    place = int.from_bytes(packet[at + 2 : at + 4], "big")
    begin, more = place & 0xFFF8, bool(place & 1)
    key = b"6" + packet[8:40] + packet[at + 4 : at + 8]
    return key, begin, begin + batches.IPV6_HEADER + int.from_bytes(packet[4:6], "big") - at - 8, more
