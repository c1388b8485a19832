"""Packets through one twin or several at once: what each packet was, what the tables held over time, who held them.

The trap: a capture is larger than memory, so it is read once, whatever the number of settings that are compared, and
what is kept of it is one sample an interval. Where nobody named an interval it doubles as the capture turns out longer.

Time never runs backwards for a kernel. Packets that a capture shows out of order (several queues, several interfaces)
happen at the time already reached; how many they were is said.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from queue import Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from tablefull.kernel import sizing
from tablefull.live.replay_holders import Holders, holders, tallied
from tablefull.live.replay_verdicts import Verdicts
from tablefull.twin import Twin, notrack
from tablefull.twin import state as at
from tablefull.twin.headers import TCP, Headers, offloaded

if TYPE_CHECKING:
    from tablefull.twin import Verdicts as Found
    from tablefull.twin.workload import Workload
    from tablefull.wire.pcap import Frames

Bytes = npt.NDArray[np.uint8]
Column = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LOOKED_AT = 65536  # packets that decide about checksum offload
OFFLOAD_LEAST, OFFLOAD_SHARE = 8, 0.01
FIRST_INTERVAL_NS = 10_000_000
MOST_SAMPLES = 512  # where nobody named an interval
MOST_SAMPLES_NAMED = 1 << 20
# The table is looked through again when it has grown by this; a large one less often.
GROWTH, GROWTH_LARGE, LARGE = 1.1, 1.5, 50_000
COUNTED = ("drop", "early_drop", "insert_failed", "chain_toolong")
_OUTGOING = 4  # packet type of a cooked capture
_SYN_ACK = 0x12
_SYN = 0x02
_FRAGMENT = 44  # the IPv6 header of one


class Piece(NamedTuple):
    """Some packets. ``skip``: second sightings. ``packet_type``: of a cooked capture, 255 where there is none."""

    time_ns: Column
    data: Bytes
    start: Column
    captured: Column
    wire: Column | None = None
    skip: Mask | None = None
    packet_type: Bytes | None = None


class Setting(Struct, frozen=True):
    """What one twin is: a kernel, sysctls by name, and which packets a NOTRACK rule exempts."""

    label: str
    kernel: str = "6.18"
    sysctls: Mapping[str, str] = {}
    notrack: str | None = None


class Sample(NamedTuple):
    """The end of one interval. ``entries``: the count then, ``high`` the highest within it; the rest since the start.

    ``verdicts`` are packets by state.STATES, ``counted`` the counters of :data:`COUNTED`.
    """

    time_ns: int
    entries: int
    high: int
    verdicts: tuple[int, ...]
    counted: tuple[int, ...]


class Outcome(Struct):
    """What became of one setting. ``limit`` 0: there is none, None: nobody knows. ``verdicts``: by state.STATES."""

    setting: Setting
    limit: int | None
    buckets: int | None = None
    verdicts: tuple[int, ...] | None = None
    counters: dict[str, int] = field(default_factory=dict)
    count: int = 0
    peak: int = 0
    peak_ns: int = 0
    refused: int = 0
    refused_openings: int = 0
    refused_from_ns: int | None = None
    refused_to_ns: int | None = None
    refused_s: float = 0.0
    log: list[str] = field(default_factory=list)
    bytes_used: int | None = None
    kernel_bytes: int | None = None
    samples: list[Sample] = field(default_factory=list)
    held: Holders | None = None
    notes: list[str] = field(default_factory=list)


class Replay(Struct):
    """The whole of one run; packets are counted over the capture, outcomes are in the order of the settings."""

    outcomes: list[Outcome]
    first_ns: int = 0
    last_ns: int = 0
    interval_ns: int = 0
    packets: int = 0
    not_ip: int = 0
    second_sightings: int = 0
    backwards: int = 0
    cut_short: int = 0
    looked_at: int = 0
    offloaded_packets: int = 0
    offloaded: bool = False
    twins: list[Twin] = field(default_factory=list)


Tick = Callable[[int, int], None]  # packets so far, time reached
Watch = Callable[[int, Twin], None]  # the end of an interval, and the table at that moment


class _Run:
    """One setting's twin and what is remembered of it."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting = setting
        self.twin = Twin(setting.kernel, dict(setting.sysctls), seed=seed)
        self.exempt = None if setting.notrack is None else notrack.parse(setting.notrack)
        self.verdicts = np.zeros(len(at.STATES), np.int64)
        self.samples: list[Sample] = []
        self.peak = self.peak_ns = 0
        self.refused_openings = 0
        self.held: Holders | None = None

    def counted(self) -> tuple[int, ...]:
        named = self.twin.counters()
        return tuple(named[name] for name in COUNTED)

    def sample(self, now_ns: int, look: bool, own: Sequence[str]) -> None:
        self.twin.advance(now_ns)
        count, peak = self.twin.count, self.twin.peak
        before = self.samples[-1].entries if self.samples else 0
        high = peak if peak > self.peak else max(count, before)
        if peak > self.peak:
            self.peak, self.peak_ns = peak, now_ns
        first_refusal = look and self.refusing() and not (self.samples and self.samples[-1].counted[0])
        self.samples.append(Sample(now_ns, count, high, tuple(self.verdicts.tolist()), self.counted()))
        growth = GROWTH if count < LARGE else GROWTH_LARGE
        if look and count and (first_refusal or self.held is None or count >= self.held.count * growth):
            self.held = holders(self.twin.columns(now_ns), now_ns, own)

    def end(self, now_ns: int, look: bool, own: Sequence[str]) -> None:
        """The last sample; one of that very moment did not hold the packets of that moment yet."""
        early = self.samples.pop() if self.samples and self.samples[-1].time_ns == now_ns else None
        self.sample(now_ns, look, own)
        if early is not None:
            self.samples[-1] = self.samples[-1]._replace(high=max(early.high, self.samples[-1].high))

    def refusing(self) -> bool:
        return self.counted()[0] > 0

    def packets(self, times: Column, piece: Piece, part: slice, ahead: "_Ahead") -> "Found":
        """Verdicts of a part of a piece."""
        untracked, before = None, self.counted()[0]
        if self.exempt is not None:
            untracked = notrack.matches(self.exempt, ahead.headers())[part]
        skip = None if piece.skip is None else piece.skip[part]
        found = self.twin.packets(
            times[part],
            piece.data,
            piece.start[part],
            piece.captured[part],
            None if piece.wire is None else piece.wire[part],
            untracked=untracked,
            skip=skip,
            offloaded=ahead.offloaded,
        )
        counted = found.state if ahead.all_counted else found.state[ahead.counted[part]]
        self.verdicts += np.bincount(counted, minlength=len(at.STATES))[: len(at.STATES)]
        for _, state, _ in found.late:
            self.verdicts[at.DROPPED] -= 1
            self.verdicts[state] += 1
        dropped = np.flatnonzero(found.state == at.DROPPED)
        refused = self.counted()[0] - before
        if refused:
            self.refused_openings += min(refused, _openings(piece, dropped + part.start, ahead.offloaded))
        return found


class _Ahead:
    """What every run asks of a piece, worked out once."""

    def __init__(self, piece: Piece, is_offloaded: bool) -> None:
        self.piece, self.offloaded = piece, is_offloaded
        self.counted: Mask = piece.start >= 0
        if piece.skip is not None:
            self.counted = self.counted & ~piece.skip
        self.all_counted = bool(self.counted.all())
        self._headers: Headers | None = None

    def headers(self) -> Headers:
        if self._headers is None:
            self._headers = Headers(self.piece.data, self.piece.start, self.piece.captured, self.piece.wire)
        return self._headers


def _openings(piece: Piece, rows: Column, is_offloaded: bool) -> int:
    """How many of these packets are a TCP connection's first; not those that the stack drops before tracking."""
    headers = Headers(
        piece.data, piece.start[rows], piece.captured[rows], None if piece.wire is None else piece.wire[rows]
    )
    flags = headers.number(headers.transport + 13, 1)
    first = (headers.protocol == TCP) & (flags >= 0) & (flags & _SYN_ACK == _SYN)
    return int((first & ~_dropped_before(headers, is_offloaded)).sum())


def _dropped_before(headers: Headers, is_offloaded: bool) -> Mask:
    """Packets with a header the stack refuses, and fragments: they reach tracking as a datagram or not at all.

    twin.reference_packet.decode is the definition.
    """
    size, total = (headers.octet(0) & 0xF) * 4, headers.number(2, 2)
    words = [np.where(at < size, headers.number(at, 2), 0) for at in range(0, 60, 2)]
    wrong = (headers.captured >= size) & (sum(words) % 0xFFFF != 0)
    if is_offloaded:
        wrong &= headers.number(10, 2) != 0
        total = np.where(total == 0, headers.length, total)
    four = wrong | (total < size) | (total > headers.length) | (headers.number(6, 2) & 0x3FFF != 0)
    payload, following = headers.number(4, 2), headers.first_protocol
    longer = (payload + 40 > headers.length) & ((payload != 0) | (following != 0))  # a jumbo payload says 0
    six = longer | (headers.octet(8) == 0xFF) | (following == _FRAGMENT)
    dropped: Mask = np.where(headers.family == 4, four, six).astype(np.bool_)
    return dropped


class _Clock:
    """Where intervals end. ``most`` samples are kept; beyond that every second one is, and the interval doubles."""

    def __init__(self, first_ns: int, interval_ns: int, most: int) -> None:
        self.first_ns, self.interval_ns, self.most, self.passed = first_ns, interval_ns, most, 0

    @property
    def next_ns(self) -> int:
        return self.first_ns + (self.passed + 1) * self.interval_ns

    def until(self, time_ns: int, runs: Sequence[_Run]) -> Iterator[int]:
        """The interval ends up to ``time_ns`` in order, thinned out first where they would be too many."""
        while self.passed + (time_ns - self.next_ns) // self.interval_ns + 1 > self.most:
            for run in runs:
                run.samples = _halved(run.samples)
            self.passed //= 2
            self.interval_ns *= 2
        while self.next_ns <= time_ns:
            yield self.next_ns
            self.passed += 1


def _halved(samples: list[Sample]) -> list[Sample]:
    """Every second sample, with the higher of the two highs; a last one without its partner is left out."""
    return [
        second._replace(high=max(first.high, second.high))
        for first, second in zip(samples[::2], samples[1::2], strict=False)
    ]


def replay(
    pieces: Iterable[Piece],
    settings: Sequence[Setting],
    *,
    seed: int = 0,
    interval_ns: int | None = None,
    span_ns: int | None = None,
    verdicts: Verdicts | None = None,
    tick: Tick | None = None,
    watches: Sequence[Watch] = (),
) -> Replay:
    """Every packet through a twin for each setting. ``span_ns``: how long it will take in the packets' time, if known.

    ``verdicts`` takes those of the first setting; ``watches``, one a setting, look at its table after each interval.
    UsageError for a setting that cannot be.
    """
    runs = [_Run(setting, seed) for setting in settings]
    found = Replay([])
    pieces = _told_of_offload(iter(pieces), found)
    clock: _Clock | None = None
    reached, own = 0, _Own()
    for piece in pieces:
        if not len(piece.start):
            continue
        if clock is None:
            reached = found.first_ns = int(piece.time_ns[0])
            clock = _clock(found.first_ns, interval_ns, span_ns)
        times = np.maximum.accumulate(np.maximum(piece.time_ns, reached))
        found.backwards += int((piece.time_ns < times).sum())
        reached = int(times[-1])
        _count(found, piece)
        own.learn(piece)
        ahead = _Ahead(piece, found.offloaded)
        done = 0
        for end_ns in chain(clock.until(reached, runs), (None,)):
            to = len(times) if end_ns is None else int(np.searchsorted(times, end_ns))
            if to > done:
                _step(runs, times, piece, slice(done, to), ahead, verdicts)
                done = to
            if end_ns is not None:
                for number, run in enumerate(runs):
                    run.sample(end_ns, number == 0, own.addresses())
                for run, watch in zip(runs, watches, strict=False):
                    watch(end_ns, run.twin)
        found.packets += len(times)
        if tick is not None:
            tick(found.packets, reached)
    found.last_ns = reached
    found.interval_ns = clock.interval_ns if clock is not None else 0
    for number, run in enumerate(runs):
        if clock is not None:
            run.end(reached, number == 0, own.addresses())
            if number < len(watches):
                watches[number](reached, run.twin)
        found.outcomes.append(_outcome(run))
        found.twins.append(run.twin)
    return found


def _clock(first_ns: int, interval_ns: int | None, span_ns: int | None) -> _Clock:
    if interval_ns is not None:
        return _Clock(first_ns, interval_ns, MOST_SAMPLES_NAMED)
    if span_ns is not None:
        return _Clock(first_ns, max(1, -(-span_ns // (MOST_SAMPLES // 2))), MOST_SAMPLES)
    return _Clock(first_ns, FIRST_INTERVAL_NS, MOST_SAMPLES)


def _step(
    runs: Sequence[_Run], times: Column, piece: Piece, part: slice, ahead: _Ahead, verdicts: Verdicts | None
) -> None:
    for number, run in enumerate(runs):
        found = run.packets(times, piece, part, ahead)
        if number == 0 and verdicts is not None:
            verdicts.add(found.state, found.direction, found.late, piece, part)


def _count(found: Replay, piece: Piece) -> None:
    found.not_ip += int((piece.start < 0).sum())
    if piece.skip is not None:
        found.second_sightings += int(piece.skip.sum())
    if piece.wire is not None:
        cut = (piece.captured < piece.wire) & (piece.start >= 0)
        found.cut_short += int(cut.sum())


def _told_of_offload(pieces: Iterator[Piece], found: Replay) -> Iterator[Piece]:
    """The same pieces; before the first, enough of them were looked at to tell offloaded checksums."""
    held: list[Piece] = []
    seen = whole = only_pseudo = 0
    for piece in pieces:
        held.append(piece)
        rows = slice(0, LOOKED_AT - seen)
        seen += len(piece.start)
        headers = Headers(
            piece.data, piece.start[rows], piece.captured[rows], None if piece.wire is None else piece.wire[rows]
        )
        more = offloaded(headers)
        whole, only_pseudo = whole + more[0], only_pseudo + more[1]
        if seen >= LOOKED_AT:
            break
    found.looked_at, found.offloaded_packets = whole, only_pseudo
    found.offloaded = only_pseudo >= OFFLOAD_LEAST and only_pseudo >= whole * OFFLOAD_SHARE
    yield from held
    del held
    yield from pieces


class _Own:
    """The addresses that a cooked capture shows as this host's own: the sources of what goes out."""

    MOST_PIECES = 16

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._pieces = 0

    def learn(self, piece: Piece) -> None:
        if piece.packet_type is None or self._pieces >= self.MOST_PIECES:
            return
        rows = np.flatnonzero((piece.packet_type == _OUTGOING) & (piece.start >= 0))[:LOOKED_AT]
        # What is forwarded goes out too, but with a source of somebody else: it came in before.
        if piece.skip is not None:
            rows = rows[~piece.skip[rows]]
        if not len(rows):
            return
        self._pieces += 1
        headers = Headers(piece.data, piece.start[rows], piece.captured[rows])
        for address, count in tallied(headers.src, headers.family.astype(np.uint32), 16):
            self._seen[address] = self._seen.get(address, 0) + count

    def addresses(self) -> tuple[str, ...]:
        return tuple(sorted(self._seen, key=lambda address: -self._seen[address])[:16])


def _outcome(run: _Run) -> Outcome:
    twin = run.twin
    buckets = int(twin.settings[at.S_BUCKETS])
    memory = sizing.table_bytes(
        twin.peak, buckets, twin.era.kernel, extension=True if twin.settings[at.S_ACCT] else None
    )
    counters = twin.counters()
    rising = [
        (earlier, later)
        for earlier, later in zip([None, *run.samples], run.samples, strict=False)
        if later.counted[0] > (earlier.counted[0] if earlier is not None else 0)
    ]
    begins = [earlier.time_ns if earlier is not None else later.time_ns for earlier, later in rising]
    return Outcome(
        run.setting,
        limit=twin.max,
        buckets=buckets,
        verdicts=tuple(run.verdicts.tolist()),
        counters=counters,
        count=twin.count,
        peak=twin.peak,
        peak_ns=run.peak_ns,
        refused=counters["drop"],
        refused_openings=run.refused_openings,
        refused_from_ns=(twin.first_refusal_ns or begins[0]) if rising else None,
        refused_to_ns=rising[-1][1].time_ns if rising else None,
        refused_s=sum(later.time_ns - begin for (_, later), begin in zip(rising, begins, strict=True)) / 1e9,
        log=twin.log(),
        bytes_used=twin.bytes_used,
        kernel_bytes=memory.value,
        samples=run.samples,
        held=run.held,
    )


def read_ahead(pieces: Iterable[Piece], depth: int = 2) -> Iterator[Piece]:
    """The same pieces, read in a thread while the one before is tracked: both leave the interpreter's lock."""
    waiting: Queue[Piece | BaseException | None] = Queue(depth)
    over = Event()

    def hand(item: Piece | BaseException | None) -> bool:
        while not over.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for piece in pieces:
                if not hand(piece):
                    return
            hand(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the pieces are wanted
            hand(error)

    thread = Thread(target=read, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        over.set()
        thread.join()


def of_workload(workload: "Workload") -> Iterator[Piece]:
    """The packets of a synthetic workload."""
    for block in workload.blocks():
        yield Piece(block.time_ns, block.data, block.start, block.captured)


def of_capture(blocks: Iterable["Frames"]) -> Iterator[Piece]:
    """The packets of a capture, second sightings marked."""
    from tablefull.wire.twice import Twice

    twice = Twice()
    for frames in blocks:
        marks = twice.mark(frames)
        yield Piece(
            frames.time_ns,
            frames.data,
            frames.start,
            frames.captured,
            frames.wire,
            marks if marks.any() else None,
            frames.packet_type,
        )
