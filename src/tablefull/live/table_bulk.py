"""A whole table through the compiled reader: one thread receives, the other counts; nothing of it is held.

The trap: the kernel makes a dump only as fast as it is taken, and takes most of the time itself. So whatever is done
with the entries happens while the next ones come, and loading the compiled reader, too.
"""

import os
from collections.abc import Iterator, Sequence
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING

from tablefull.errors import TablefullError
from tablefull.live.netlink import Netlink, refused
from tablefull.live.receive_many import Block, Slot
from tablefull.live.table import MOST_HELD, Reading, Test, Tick, made
from tablefull.wire import ctnetlink as at
from tablefull.wire import nlattr
from tablefull.wire.dimensions import Dimension

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tablefull.wire.loops_tally import Tally

BLOCKS = 64  # that are filled ahead, a megabyte each: what comes while the reader is loaded
ROWS = 16384
KEPT_ROWS = 1000


class _Received:
    """Blocks filled ahead by a thread, and given back to be filled again."""

    def __init__(self, link: Netlink, sequence: int) -> None:
        self._filled: Queue[Block | TablefullError | None] = Queue()
        self._free: Queue[Block | None] = Queue()
        self._left = BLOCKS
        self._thread = Thread(target=self._run, args=(link, sequence), name="dump", daemon=True)
        self._thread.start()

    def _block(self) -> Block | None:
        """A block that was given back, else a new one while there may be more; None where nobody reads any more."""
        if self._left and self._free.empty():
            self._left -= 1
            return Block()
        return self._free.get()

    def _run(self, link: Netlink, sequence: int) -> None:
        try:
            ended = False
            while not ended:
                block = self._block()
                if block is None:
                    return
                block.fill(link)
                ended = any(_ends(block.data, slot, sequence) for slot in block.slots)
                self._filled.put(block)
            self._filled.put(None)
        except TablefullError as error:
            self._filled.put(error)
        except (OSError, ValueError) as error:  # ValueError: whoever read it closed the socket
            self._filled.put(refused(link.name, error if isinstance(error, OSError) else OSError(str(error))))

    def __iter__(self) -> Iterator[Block]:
        while True:
            block = self._filled.get()
            if block is None:
                return
            if isinstance(block, TablefullError):
                raise block
            yield block
            self._free.put(block)

    def leave(self) -> None:
        """Whoever read them has had enough: the thread ends with the block at hand."""
        self._left = 0
        self._free.put(None)
        self._thread.join()


def _ends(data: bytearray, slot: Slot, sequence: int) -> bool:
    """Whether the message that ends the answer is in this datagram: alone, or the last of it."""
    if slot.size < nlattr.HEADER_BYTES:
        return False
    _, kind, _, number, _ = nlattr.HEADER.unpack_from(data, slot.begin)
    if number == sequence and kind in (nlattr.DONE, nlattr.ERROR):
        return True
    for length in (20, 24, 28, 36):  # with its errno, and with what an extended acknowledgement adds
        if slot.size > length:
            size, kind, _, number, _ = nlattr.HEADER.unpack_from(data, slot.begin + slot.size - length)
            if (size, kind, number) == (length, nlattr.DONE, sequence):
                return True
    return False


class Batches:
    """Rows of ctnetlink.R_* batch by batch; a batch is overwritten by the next. ``broken`` counts unreadable messages.

    ``failed`` says why the dump broke off, None where it came to its end.
    """

    def __init__(self, link: Netlink, family: int = 0) -> None:
        self._link, self._family = link, family
        self.broken = 0
        self.failed: str | None = None

    def __iter__(self) -> "Iterator[npt.NDArray[np.uint32]]":
        sequence = self._link.ask(lambda number: at.dump_request(number, self._family))
        received = _Received(self._link, sequence)
        try:
            import numpy as np

            from tablefull.wire import loops_ctnetlink as loops

            held = np.zeros((ROWS, at.ROW_WORDS), np.uint32)
            flat, told, count = held.view(np.int64).reshape(-1), np.zeros(loops.REGISTERS, np.int64), 0
            try:
                for block in received:
                    data = np.frombuffer(block.data, np.uint8)
                    for slot in block.slots:
                        place, end = slot.begin, slot.begin + slot.size
                        while True:
                            count = loops.read(data, place, end, sequence, flat, count, told)
                            place = int(told[loops.G_AT])
                            if count < ROWS:
                                break
                            yield held
                            count = 0
            except TablefullError as error:
                self.failed = str(error)
            if count:
                yield held[:count]
            self._end(int(told[loops.G_BROKEN]), bool(told[loops.G_INTERRUPTED]), int(told[loops.G_ENDED]))
        finally:
            received.leave()

    def _end(self, broken: int, interrupted: bool, ended: int) -> None:
        self.broken = broken
        self._link.interrupted = self._link.interrupted or interrupted
        if ended > 1:
            self.failed = str(refused(self._link.name, OSError(ended, os.strerror(ended))))


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
    result.broken = batches.broken
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
