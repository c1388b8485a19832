"""A whole table through the compiled reader: one thread receives, the other counts; nothing of it is held.

The trap: the kernel makes a dump only as fast as it is taken, and takes most of the time itself. So whatever is done
with the entries happens while the next ones come, and loading the compiled reader, too.
"""

from collections.abc import Iterator, Sequence
from queue import Queue
from threading import Event, Thread
from typing import TYPE_CHECKING

from tablefull.errors import TablefullError
from tablefull.live.netlink import Netlink, refused
from tablefull.live.table import MOST_HELD, Reading, Tick, datagrams, made
from tablefull.wire.dimensions import Dimension
from tablefull.wire.selection import Test

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tablefull.wire.loops_tally import Tally

BLOCKS = 96  # that may wait for the reader, a megabyte each: what comes while it is loaded
KEPT_ROWS = 1000
Block = tuple[bytearray, int, int]


class _Received:
    """Blocks received ahead by a thread. Closing the socket's owner ends it."""

    def __init__(self, link: Netlink) -> None:
        self._blocks: Queue[Block | TablefullError | None] = Queue(BLOCKS)
        self._left = Event()
        self._thread = Thread(target=self._run, args=(link,), name="dump", daemon=True)
        self._thread.start()

    def _run(self, link: Netlink) -> None:
        try:
            for block in datagrams(link):
                if self._left.is_set():
                    return
                self._blocks.put(block)
            self._blocks.put(None)
        except TablefullError as error:
            self._blocks.put(error)
        except OSError as error:
            self._blocks.put(refused(link.name, error))

    def __iter__(self) -> Iterator[Block]:
        while True:
            block = self._blocks.get()
            if block is None:
                return
            if isinstance(block, TablefullError):
                raise block
            yield block

    def leave(self) -> None:
        """Whoever read them has had enough."""
        self._left.set()
        while not self._blocks.empty():
            self._blocks.get_nowait()


class Batches:
    """Rows of ctnetlink.R_* batch by batch; a batch is overwritten by the next. ``broken`` and ``interrupted`` grow."""

    def __init__(self, link: Netlink) -> None:
        self._link = link
        self.broken = 0
        self.interrupted = False
        self.failed: str | None = None

    def __iter__(self) -> "Iterator[npt.NDArray[np.uint32]]":
        received = _Received(self._link)
        try:
            import os

            import numpy as np

            from tablefull.wire import ctnetlink as at
            from tablefull.wire import loops_ctnetlink as loops

            held = np.zeros((8192, at.ROW_WORDS), np.uint32)
            told = np.zeros(loops.REGISTERS, np.int64)
            try:
                for block, filled, sequence in received:
                    data, place = np.frombuffer(block, np.uint8), 0
                    while place < filled and not told[loops.G_ENDED]:
                        count = loops.read(data, place, filled, sequence, held.view(np.int64).reshape(-1), 0, told)
                        place = int(told[loops.G_AT])
                        if count:
                            yield held[:count]
            except TablefullError as error:
                self.failed = str(error)
            self.broken, self.interrupted = int(told[loops.G_BROKEN]), bool(told[loops.G_INTERRUPTED])
            if told[loops.G_ENDED] > 1:
                code = int(told[loops.G_ENDED])
                self.failed = str(refused(self._link.name, OSError(code, os.strerror(code))))
        finally:
            received.leave()


def read(link: Netlink, dimensions: Sequence[Dimension], where: Test | None, tick: Tick | None) -> Reading:
    """Every entry, counted by each dimension as it comes."""
    batches = Batches(link)
    tallies: list[Tally] = []
    result = Reading(total=None, limit=None)
    for batch in batches:
        import numpy as np

        from tablefull.wire import loops_tally

        if not tallies:
            tallies = [loops_tally.Tally(dimension.words, dimension.masks) for dimension in dimensions]
        result.read += len(batch)
        chosen = matching(batch, where) if where is not None else np.arange(len(batch))
        result.matched += len(chosen)
        if len(result.rows) < KEPT_ROWS:
            result.rows += [tuple(row) for row in batch[chosen[: KEPT_ROWS - len(result.rows)]].tolist()]
        for tally in tallies:
            tally.add(batch, chosen)
        if tick is not None:
            tick(result.read)
    result.broken, link.interrupted = batches.broken, link.interrupted or batches.interrupted
    for dimension, tally in zip(dimensions, tallies, strict=False):
        result.made.append(made(dimension, tally.most(MOST_HELD), tally.distinct, result.matched, result.matched))
    if not tallies:
        result.made = [made(dimension, (), 0, 0, 0) for dimension in dimensions]
    if batches.failed:
        result.notes.append(f"it broke off: {batches.failed}; what had come by then was used")
    return result


def matching(batch: "npt.NDArray[np.uint32]", where: Test) -> "npt.NDArray[np.int64]":
    """The numbers of the rows that are meant."""
    import numpy as np

    columns: dict[int, npt.NDArray[np.int64]] = {}

    def get(word: int) -> "npt.NDArray[np.int64]":
        if word not in columns:
            columns[word] = batch[:, word].astype(np.int64)
        return columns[word]

    return np.flatnonzero(where(get))
