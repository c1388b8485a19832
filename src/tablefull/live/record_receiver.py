"""Events taken out of sockets as fast as they come: a thread that receives and decodes, and hands over rows.

The trap: a listener that is too slow for a moment loses events, and the kernel says so once, before it hands over what
it still had. So an overflow is a gap from the last moment that was surely whole up to the one in which the socket was
found empty: in between the kernel delivers nothing. It counts what it throws away, and so the gap has a number.

[netlink_overrun, netlink_rcv_wake: af_netlink 6.18.2; SO_MEMINFO's drops: 4.12]
"""

import errno
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tablefull.errors import TablefullError
from tablefull.live.netlink import SOL_NETLINK, Netlink, refused
from tablefull.live.receive_many import LAYOUT, Block
from tablefull.live.record_start import GROUPS
from tablefull.wire import ctnetlink as at
from tablefull.wire import loops_ctnetlink
from tablefull.wire import loops_events as loops

if TYPE_CHECKING:
    from tablefull.live.record_columns import Numbers, Rows

SO_MEMINFO, MEMINFO = 55, struct.Struct("=9I")  # include/uapi/linux/sock_diag.h: the ninth is drops
DROP_MEMBERSHIP = 2
SLOTS, STRIDE_BYTES = 1024, 2048
CHUNK_ROWS, CHUNKS = 65536, 8
# While many come, a nap lets some gather: a call for each costs five times as much as a call for a hundred.
NAP_S, WAIT_S, HAND_OVER_S = 0.002, 0.2, 1.0
NAP_ROOM_BYTES = 8_000_000  # a smaller buffer may be full before the nap is over


class Source(Struct, eq=False):
    """A socket that follows one namespace. ``number`` tells its rows apart."""

    number: int
    key: str
    path: str | None
    inode: int
    link: Netlink
    room_bytes: int
    most_bytes: int
    drops: int | None = None
    whole_ns: int = 0  # up to here nothing was lost
    gap_ns: int | None = None  # an overflow is known, and its gap began here

    def dropped(self) -> int | None:
        """What the kernel threw away for this socket so far; None where it does not tell."""
        try:
            return int(MEMINFO.unpack(self.link.socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))[8])
        except (OSError, struct.error):
            return None

    def larger(self) -> None:
        """A bigger buffer, while it may grow. The kernel doubles what is asked for, for its own upkeep."""
        if self.room_bytes < self.most_bytes:
            self.room_bytes = max(self.room_bytes, self.link.room(min(self.room_bytes, self.most_bytes // 2)))


class Batch(Struct, frozen=True, eq=False):
    """Rows, and for each span of them its last row (excluded), the time of receipt and the number of its source."""

    rows: "Rows"
    count: int
    spans: list[tuple[int, int, int]]

    def columns(self) -> "tuple[Numbers, Numbers]":
        """The time of receipt and the source's number, row by row."""
        ends = np.array([span[0] for span in self.spans], np.int64)
        lengths = np.diff(ends, prepend=0)
        times = np.array([span[1] for span in self.spans], np.int64)
        numbers = np.array([span[2] for span in self.spans], np.int64)
        return np.repeat(times, lengths), np.repeat(numbers, lengths)


class Lost(Struct, frozen=True, eq=False):
    """Messages that were lost: between which times, how many (None: not known), and whether the kernel dropped them."""

    source: Source
    from_ns: int
    until_ns: int
    count: int | None
    dropped: bool


class Ended(Struct, frozen=True, eq=False):
    """A source that is followed no more: left on purpose, or why."""

    source: Source
    why: str | None


Item = Batch | Lost | Ended


def compile_all() -> None:
    """Load or compile what is needed, before the first event can come."""
    rows = np.zeros((1, at.ROW_WORDS), np.uint32)
    words = rows.view(np.int64).reshape(-1)
    told = np.zeros(loops.TAKE_REGISTERS, np.int64)
    block = Block(1, STRIDE_BYTES)
    headers, layout = np.frombuffer(memoryview(block.headers), np.uint8), np.array(LAYOUT, np.int64)
    loops.take(np.frombuffer(block.data, np.uint8), STRIDE_BYTES, headers, layout, 0, 1, words, 0, told)
    table = np.full(2, -1, np.int64)
    loops.number_addresses(rows, np.arange(1), at.R_SRC, table, np.zeros(1, np.int64), np.zeros(1, np.uint32))


class Receiver:
    """The thread. What it has comes out of :meth:`get`; a batch is given back with :meth:`done`."""

    def __init__(self) -> None:
        self._block = Block(SLOTS, STRIDE_BYTES)
        self._data = np.frombuffer(self._block.data, np.uint8)
        self._headers = np.frombuffer(memoryview(self._block.headers), np.uint8)
        self._layout = np.array(LAYOUT, np.int64)
        self._told = np.zeros(loops.TAKE_REGISTERS, np.int64)
        self._out: Queue[Item | None] = Queue()
        self._free: Queue[Rows] = Queue()
        self._made = 0
        self._rows = self._chunk()
        self._words: npt.NDArray[np.int64] = self._rows.view(np.int64).reshape(-1)
        self._count, self._since = 0, 0.0
        self._spans: list[tuple[int, int, int]] = []
        self._sources: dict[int, Source] = {}
        self._orders: deque[tuple[str, Source | None]] = deque()
        self._poll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake, select.EPOLLIN)
        self._roomy, self._over_and_closed = True, False
        self.messages = 0
        self.failed: str | None = None  # why the thread ended by itself
        self._thread = Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def _chunk(self) -> "Rows":
        """Memory for rows: given back, else new while there may be more, else what comes back next."""
        if self._made < CHUNKS and self._free.empty():
            self._made += 1
            return np.zeros((CHUNK_ROWS, at.ROW_WORDS), np.uint32)
        return self._free.get()

    def _order(self, what: str, source: Source | None) -> None:
        if self._over_and_closed:
            return
        self._orders.append((what, source))
        os.eventfd_write(self._wake, 1)

    def follow(self, source: Source) -> None:
        """Receive the events of a source from now on. KernelRefused where it may not join."""
        source.link.socket.setblocking(False)
        source.drops = source.dropped()
        source.whole_ns = time.time_ns()
        for group in GROUPS:
            source.link.join(group)
        self._order("follow", source)

    def leave(self, source: Source) -> None:
        """Take what the source still has, and close it."""
        self._order("leave", source)

    def stop(self) -> None:
        """Leave every source; after what they still had, :meth:`get` raises StopIteration."""
        self._order("stop", None)

    def get(self, timeout_s: float) -> Item | None:
        """What came next; None where nothing did in that time. StopIteration behind the end."""
        try:
            item = self._out.get(timeout=timeout_s)
        except Empty:
            return None
        if item is None:
            if not self._over_and_closed:
                self._over_and_closed = True
                self._thread.join()
                self._poll.close()
                os.close(self._wake)
            self._out.put(None)  # whoever asks again hears it again
            raise StopIteration
        return item

    def done(self, batch: Batch) -> None:
        """The rows of a batch may be used again."""
        self._free.put(batch.rows)

    @property
    def bytes(self) -> int:
        """Of all datagrams so far."""
        return int(self._told[loops.G_BYTES])

    def _run(self) -> None:
        try:
            going = True
            while going:
                ready = self._poll.poll(WAIT_S)
                busy = False
                for descriptor, _ in ready:
                    source = self._sources.get(descriptor)
                    if source is not None:
                        busy = self._take(source) or busy
                    elif descriptor == self._wake:
                        going = self._obey()
                if self._count and time.monotonic() - self._since > HAND_OVER_S:
                    self._hand_over()
                if ready and not busy and going and self._roomy:
                    time.sleep(NAP_S)
            for source in list(self._sources.values()):
                self._end(source, None)
            self._hand_over()
        except Exception as error:  # noqa: BLE001 - whoever waits for the rows has to hear of it, whatever it is
            self.failed = f"{type(error).__name__}: {error}"
        finally:
            self._out.put(None)

    def _obey(self) -> bool:
        """Carry out orders; False where the thread is to end."""
        os.eventfd_read(self._wake)
        while self._orders:
            what, source = self._orders.popleft()
            if source is None:
                return False
            if what == "follow":
                self._sources[source.link.socket.fileno()] = source
                self._roomy = self._roomy and source.room_bytes >= NAP_ROOM_BYTES
                self._poll.register(source.link.socket, select.EPOLLIN | select.EPOLLERR)
            elif self._sources.get(source.link.socket.fileno()) is source:
                self._end(source, None)
        return True

    def _end(self, source: Source, why: str | None) -> None:
        """Hear nothing more, take what is there, close."""
        for group in GROUPS:
            try:
                source.link.socket.setsockopt(SOL_NETLINK, DROP_MEMBERSHIP, struct.pack("=I", group))
            except OSError:
                break
        if why is None:
            while self._take(source):
                continue
        if self._sources.get(source.link.socket.fileno()) is not source:
            return  # taking what was there met its end
        drops = source.dropped()
        if drops is not None and source.drops is not None and drops > source.drops:
            source.gap_ns = source.gap_ns or source.whole_ns
            self._over(source, time.time_ns())
        self._poll.unregister(source.link.socket)
        del self._sources[source.link.socket.fileno()]
        source.link.close()
        self._hand_over()
        self._out.put(Ended(source, why))

    def _take(self, source: Source) -> bool:
        """One call's worth, or all that is there after an overflow; whether there may be more."""
        descriptor = source.link.socket.fileno()
        while True:
            asked_ns = time.time_ns()
            count = self._block.receive(descriptor)
            now_ns = time.time_ns()
            if count > 0:
                self._decode(source, count, now_ns)
            if count == -errno.ENOBUFS:
                source.gap_ns = source.gap_ns or source.whole_ns
                source.larger()
            elif count in (-errno.EAGAIN, 0) or 0 < count < SLOTS:
                source.whole_ns = asked_ns
                if source.gap_ns is not None:
                    self._over(source, now_ns)
                return False
            elif count == SLOTS:
                if source.gap_ns is None:
                    source.whole_ns = asked_ns
                    return True
            elif count != -errno.EINTR:
                self._end(source, str(refused(source.link.name, OSError(-count, os.strerror(-count)))))
                return False

    def _over(self, source: Source, now_ns: int) -> None:
        """The gap is over: the socket was found empty."""
        drops, before, began = source.dropped(), source.drops, source.gap_ns
        count = None if drops is None or before is None else (drops - before) & 0xFFFFFFFF
        source.drops, source.gap_ns = drops, None
        self._hand_over()
        self._out.put(Lost(source, began or now_ns, now_ns, count or None, dropped=True))

    def _decode(self, source: Source, count: int, now_ns: int) -> None:
        slot, told = 0, self._told
        unread = int(told[loops_ctnetlink.G_BROKEN] + told[loops.G_TRUNCATED])
        while True:
            first = self._count
            if not first:
                self._since = time.monotonic()
            self._count = loops.take(
                *(self._data, STRIDE_BYTES, self._headers, self._layout, slot, count, self._words, first, told)
            )
            if self._count > first:
                self._spans.append((self._count, now_ns, source.number))
            slot = int(told[loops_ctnetlink.G_AT])
            if slot >= count:
                break
            self._hand_over()
        self.messages += count
        unread = int(told[loops_ctnetlink.G_BROKEN] + told[loops.G_TRUNCATED]) - unread
        if unread:
            self._hand_over()
            self._out.put(Lost(source, source.whole_ns, now_ns, unread, dropped=False))

    def _hand_over(self) -> None:
        if not self._count:
            return
        batch = Batch(self._rows, self._count, self._spans)
        self._out.put(batch)
        self._rows = self._chunk()
        self._words = self._rows.view(np.int64).reshape(-1)
        self._count, self._spans = 0, []


def waiting(receiver: Receiver) -> Iterator[Item]:
    """Everything until the end, after :meth:`Receiver.stop`."""
    while True:
        try:
            item = receiver.get(1.0)
        except StopIteration:
            return
        if item is not None:
            yield item


def opened(number: int, key: str, path: str | None, inode: int, room_bytes: int, most_bytes: int) -> Source:
    """A socket in a namespace, with its buffer; it follows nothing yet. KernelRefused where it may not be made."""
    link = Netlink(namespace=path)
    try:
        room = link.room(room_bytes // 2)
        return Source(number, key, path, inode, link, room, most_bytes)
    except TablefullError:
        link.close()
        raise
