"""A record of everything that happens to entries: events of namespaces, gaps declared, the table again after each gap.

The trap: a recorder that says nothing of what it missed is worse than none. An overflow is answered by a bigger buffer
and by a dump, whose rows are marked; the gap itself is a row that says from when to when and, where the kernel counts
it, how many. And a socket holds its namespace: one that nobody else is in any more is left, or it would never end.
"""

import os
import platform
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct, field

from tablefull import __version__
from tablefull.errors import KernelRefused, TablefullError
from tablefull.live import record_columns as columns
from tablefull.live.netlink import Netlink
from tablefull.live.proc import Proc
from tablefull.live.record_files import Folder
from tablefull.live.record_receiver import Batch, Ended, Item, Lost, Receiver, Source, opened, waiting
from tablefull.live.spaces import Space, all_of
from tablefull.live.table_bulk import Batches, matching

if TYPE_CHECKING:
    import polars as pl

    from tablefull.live.table import Test

SECOND_NS = 1_000_000_000
MOST_ROWS = 500_000  # of a file; in memory they take 90 MB
LOOK_S = 5.0  # between looks for namespaces that came or went
RESYNC_S = 10.0  # between two dumps of one namespace: a host in trouble is not to be read all the time
TELL_S = 10.0  # between two lines about gaps
RESYNCS = 3  # dumps that are tried where the table changes its size meanwhile
JUMP_NS = SECOND_NS  # of the clock against the one that only runs forward


class Wanted(Struct, kw_only=True):
    """How to record. ``every``: also namespaces that come later."""

    every: bool = False
    where: "Test | None" = None
    expression: str | None = None
    start_dump: bool = True
    rotate_bytes: int
    rotate_s: float
    room_bytes: int
    most_room_bytes: int


class Told(Struct):
    """What was recorded so far; goes into the metadata of each file and into the summary."""

    began_ns: int = 0
    until_ns: int = 0
    events: dict[str, int] = field(default_factory=lambda: dict.fromkeys(columns.KINDS[1:], 0))
    resync_rows: int = 0
    unmatched: int = 0
    gaps: int = 0
    lost: int = 0
    gaps_of_unknown_size: int = 0
    gap_s: float = 0.0
    unreadable: int = 0
    resyncs: int = 0
    resyncs_failed: int = 0
    clocks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(columns.CLOCKS, 0))
    clock_jumps: int = 0
    received_bytes: int = 0
    cpu_s: float = 0.0
    namespaces: dict[str, int] = field(default_factory=dict)
    buffers_bytes: dict[str, int] = field(default_factory=dict)


class Recorder:
    """One recording. ``say`` gets one line for whatever is to be told while it runs."""

    def __init__(self, folder: Folder, wanted: Wanted, proc: Proc, say: Callable[[str], None]) -> None:
        self.told = Told()
        self._folder, self._wanted, self._proc, self._say = folder, wanted, proc, say
        self._columns = columns.Columns()
        self._receiver = Receiver()
        self._sources: dict[int, Source] = {}
        self._names: list[str] = []
        self._frames: list[pl.DataFrame] = []
        self._rows = 0
        self._row_bytes = 20.0  # in a file; each file corrects it
        self._dropped_rows = 0  # came after the disk was full
        self._refused: set[int] = set()
        self._gone: set[int] = set()  # sources whose namespace has ended
        self._told_gaps, self._told_gaps_s = (0, 0), -TELL_S
        self._due: dict[int, float] = {}  # sources whose table is to be read again, and when
        self._resynced: dict[int, float] = {}
        self._before: dict[str, int] = {}  # counts at the beginning of this file
        self._looked = self._opened_s = time.monotonic()
        self._clock_ns = time.time_ns() - time.monotonic_ns()
        self._cpu_s = time.process_time()
        self.failed: str | None = None
        self.told.began_ns = time.time_ns()
        folder.begin(self.told.began_ns)

    def follow(self, space: Space) -> Source:
        """Follow a namespace. KernelRefused where the kernel does not allow it."""
        number = len(self._names)
        wanted = self._wanted
        source = opened(number, space.key, space.path, space.inode, wanted.room_bytes, wanted.most_room_bytes)
        try:
            self._receiver.follow(source)
        except TablefullError:
            source.link.close()
            raise
        self._names.append(space.key)
        self._sources[number] = source
        self.told.namespaces[space.key] = space.inode
        self.told.buffers_bytes[space.key] = source.room_bytes
        self._add(columns.control(columns.JOINED, space.key, time.time_ns()))
        if wanted.start_dump:
            self._resync(source)
        return source

    def run(self, going: Callable[[], bool], tick: Callable[[Told], None]) -> None:
        """Record while ``going()``, then take what is still there and write all of it."""
        try:
            while going() and self._sources:
                try:
                    item = self._receiver.get(0.2)
                except StopIteration:
                    break
                if item is not None:
                    self._take(item)
                self._upkeep()
                tick(self.told)
            self._leave_ended()
        except KernelRefused as error:  # the disk is full, or it is not to be written to
            self.failed = str(error)
        followed = list(self._sources.values())
        self._receiver.stop()
        for item in waiting(self._receiver):
            if self.failed is None:
                try:
                    self._take(item)
                except KernelRefused as error:
                    self.failed = str(error)
            elif isinstance(item, Batch):
                self._dropped_rows += item.count
                self._receiver.done(item)
        if self._receiver.failed is not None and self.failed is None:
            self.failed = f"receiving broke off: {self._receiver.failed}"
        if self.failed is None or self._receiver.failed is not None:
            try:
                for source in followed:
                    if source.number in self._due:
                        self._resync(source)
                self._rotate(last=True)
            except KernelRefused as error:
                self.failed = str(error)
        tick(self.told)

    @property
    def unwritten(self) -> int:
        """Rows that found no place on the disk."""
        return self._rows + self._dropped_rows

    def _take(self, item: Item) -> None:
        if isinstance(item, Batch):
            self._batch(item)
        elif isinstance(item, Lost):
            self._lost(item)
        else:
            self._ended(item)

    def _batch(self, batch: Batch) -> None:
        received_ns, numbers = batch.columns()
        rows = batch.rows[: batch.count]
        if self._wanted.where is not None:
            chosen = matching(rows, self._wanted.where)
            self.told.unmatched += batch.count - len(chosen)
            rows, received_ns, numbers = rows[chosen], received_ns[chosen], numbers[chosen]
        if len(rows):
            self._add(self._columns.frame(rows, received_ns, numbers, self._names))
        self._receiver.done(batch)
        self._measure()

    def _lost(self, lost: Lost) -> None:
        source, told = lost.source, self.told
        self._add(columns.control(columns.GAP, source.key, lost.from_ns, lost.until_ns, lost.count))
        told.gaps += 1
        told.gap_s += (lost.until_ns - lost.from_ns) / SECOND_NS
        if lost.count is None:
            told.gaps_of_unknown_size += 1
        else:
            told.lost += lost.count
        if not lost.dropped:
            told.unreadable += lost.count or 0
            self._say(f"{source.key}: {lost.count} messages of the kernel could not be read; noted as a gap")
            self._told_gaps = (self._told_gaps[0] + 1, self._told_gaps[1] + (lost.count or 0))
            return
        told.buffers_bytes[source.key] = source.room_bytes
        self._tell_gaps(source)
        self._due.setdefault(source.number, max(time.monotonic(), self._resynced.get(source.number, 0.0) + RESYNC_S))

    def _tell_gaps(self, source: Source | None = None) -> None:
        """The first gap at once, those behind it together: in a flood there are hundreds."""
        told, now = self.told, time.monotonic()
        gaps, lost = told.gaps - self._told_gaps[0], told.lost - self._told_gaps[1]
        if not gaps or (now - self._told_gaps_s < TELL_S and source is not None):
            return
        where = "" if source is None else f" in {source.key}, whose buffer is {_size(source.room_bytes)} now"
        many = f"{lost:,} events were lost" if lost else "an unknown number of events was lost"
        self._say(f"{many}{where}: {gaps} gap{'s' * (gaps > 1)} noted; the table is read again")
        self._told_gaps, self._told_gaps_s = (told.gaps, told.lost), now

    def _ended(self, ended: Ended) -> None:
        source = ended.source
        self._sources.pop(source.number, None)
        kind = columns.GONE if source.number in self._gone else columns.LEFT
        self._add(columns.control(kind, source.key, time.time_ns()))
        if ended.why is not None:
            self._say(f"{ended.why}; it is followed no more")

    def _resync(self, source: Source) -> None:
        """The table of a namespace as rows that are marked, and the row that says that they are all.

        Events that come meanwhile are taken meanwhile: rows are in the order of their times, not of their places.
        """
        self._due.pop(source.number, None)
        for left in reversed(range(RESYNCS)):
            began_ns = time.time_ns()
            frames: list[pl.DataFrame] = []
            try:
                with Netlink(namespace=source.path) as link:
                    dump = Batches(link)
                    for rows in dump:
                        chosen = rows if self._wanted.where is None else rows[matching(rows, self._wanted.where)]
                        if len(chosen):
                            times = np.full(len(chosen), began_ns, np.int64)
                            numbers = np.full(len(chosen), source.number, np.int64)
                            frames.append(self._columns.frame(chosen, times, numbers, self._names))
                        self._meanwhile()
                    failed, again = dump.failed, link.interrupted
            except TablefullError as error:
                failed, again = str(error), False
            if failed is None and again and left:
                continue  # it changed its size meanwhile: some entries may be missing
            self._resynced[source.number] = time.monotonic()
            for frame in frames:
                self._add(frame)
            if failed is None and not again:
                self._add(columns.control(columns.SYNCED, source.key, began_ns))
                self.told.resyncs += 1
            else:
                self.told.resyncs_failed += 1
                why = failed or "the table changed its size while it was read"
                self._say(f"{source.key}: the table could not be read whole ({why}); what came of it is in the record")
            return

    def _meanwhile(self) -> None:
        """What came while something else was done."""
        try:
            while (item := self._receiver.get(0)) is not None:
                self._take(item)
        except StopIteration:
            return

    def _add(self, frame: "pl.DataFrame") -> None:
        self._frames.append(frame)
        self._rows += frame.height
        if self._rows >= MOST_ROWS or self._rows * self._row_bytes >= self._wanted.rotate_bytes:
            self._rotate()

    def _measure(self) -> None:
        told, made = self.told, self._columns
        told.until_ns = time.time_ns()
        told.cpu_s = round(time.process_time() - self._cpu_s, 3)
        told.received_bytes = self._receiver.bytes
        for number, kind in enumerate(columns.KINDS[1:], 1):
            told.events[kind] = int(made.kinds[number])
        told.resync_rows = int(made.kinds[0])
        told.clocks = {name: int(made.clocks[number]) for number, name in enumerate(columns.CLOCKS)}

    def _rotate(self, last: bool = False) -> None:
        """The rows so far as a file of their own."""
        import polars as pl

        self._opened_s = time.monotonic()
        if not self._rows:
            return
        self._measure()
        frame = pl.concat(self._frames, rechunk=False)
        began = self._folder.kept.bytes
        self._folder.finish(frame, self._about())
        self._row_bytes = max(1.0, (self._folder.kept.bytes - began) / self._rows)
        self._frames, self._rows, self._before = [], 0, self._counts()
        if not last:
            self._folder.begin(time.time_ns())

    def _counts(self) -> dict[str, int]:
        told = self.told
        return {**told.events, columns.RESYNC: told.resync_rows, columns.GAP: told.gaps}

    def _about(self) -> dict[str, object]:
        from msgspec import to_builtins

        return {
            "format": columns.FORMAT,
            "tool": __version__,
            "host": platform.node(),
            "kernel": platform.release(),
            "where": self._wanted.expression,
            "so_far": to_builtins(self.told),
            "in_this_file": {kind: count - self._before.get(kind, 0) for kind, count in self._counts().items()},
        }

    def _upkeep(self) -> None:
        now = time.monotonic()
        if now - self._opened_s > self._wanted.rotate_s:
            self._rotate()
        offset = time.time_ns() - time.monotonic_ns()
        if abs(offset - self._clock_ns) > JUMP_NS:
            self._say(
                f"the clock jumped by {(offset - self._clock_ns) / SECOND_NS:+.1f} s; times in the record jump with it"
            )
            self.told.clock_jumps += 1
        self._clock_ns = offset
        for number, due in list(self._due.items()):
            if number not in self._sources:
                del self._due[number]
            elif now >= due:
                self._resync(self._sources[number])
        if now - self._told_gaps_s > TELL_S:
            self._tell_gaps()
        if now - self._looked > LOOK_S:
            self._look()
            self._looked = time.monotonic()

    def _look(self) -> None:
        """Leave namespaces that only this recorder holds, follow those that came."""
        by_inode = self._leave_ended()
        if self._wanted.every:
            known = {source.inode for source in self._sources.values()}
            for inode, space in by_inode.items():
                if inode not in known and inode not in self._refused:
                    try:
                        self.follow(space)
                    except KernelRefused as error:
                        self._refused.add(inode)
                        self._say(f"{space.key}: {error}")

    def _leave_ended(self) -> dict[int, Space]:
        """Leave namespaces that only this recorder holds; those that there are, where they had to be looked for."""
        lost = [source for source in self._sources.values() if source.path is not None and not self._there(source)]
        if not lost and not self._wanted.every:
            return {}
        spaces, _ = all_of(self._proc, ask=False)
        by_inode = {space.inode: space for space in spaces if space.path is not None}
        for source in lost:
            found = by_inode.get(source.inode)
            if found is None:
                self._say(f"{source.key}: the namespace has ended")
                self._gone.add(source.number)
                self._receiver.leave(source)
                self._sources.pop(source.number)
            else:
                source.path = found.path
        return by_inode

    def _there(self, source: Source) -> bool:
        """Whether the file by which a namespace was entered still leads to it."""
        try:
            return os.stat(source.path or "").st_ino == source.inode  # noqa: PTH116 - beside proc's own
        except OSError:
            return False


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 10_000_000 else f"{size_bytes / 1e3:.0f} kB"
