"""The kernel's log as it goes on: what is in the ring now, and each line that comes, without ever waiting.

The trap: the ring overwrites what nobody read, and says so once (EPIPE); under a flood of messages lines are lost that
way, and a view that shows what is left as if it were all would lie. So what was overwritten is counted as a gap.
"""

import os
from collections.abc import Iterator

from msgspec import Struct

from tablefull.facts.origin import Hole
from tablefull.kernel.messages import TABLE_FULL_KINDS, TRACKING_KINDS, classify
from tablefull.live.kmsg import dmesg_line, wanted
from tablefull.live.proc import Proc, hole

MOST_A_LOOK = 20_000  # records: more than a ring of 1 MiB holds; a flood that is faster goes on at the next look


class KernelLine(Struct, frozen=True):
    """One line as ``dmesg`` prints it. ``kind``: of kernel/messages.py. ``came``: while it was being looked at."""

    text: str
    kind: str | None
    came: bool

    @property
    def says_full(self) -> bool:
        """Whether an entry table refused an entry."""
        return self.kind in TABLE_FULL_KINDS

    @property
    def tracks(self) -> bool:
        """Whether it speaks of connection tracking, or of messages that were suppressed."""
        return self.kind in TRACKING_KINDS or "suppressed" in self.text


class Tail:
    """An open ``/dev/kmsg``. ``hole``: why there is none. ``gaps``: how often lines were overwritten unread."""

    def __init__(self, proc: Proc) -> None:
        self.hole: Hole | None = None
        self.gaps = 0
        self._came = False
        self._fd: int | None = None
        try:
            self._fd = os.open(proc.path("dev/kmsg"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self.hole = hole("dev/kmsg", error)

    def close(self) -> None:
        """Give the file back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def more(self) -> list[KernelLine]:
        """The lines that bear on tracking, since the last call; at the first call those of the whole ring."""
        found = []
        for record in self._records():
            line = dmesg_line(record)
            if line is not None and wanted(line):
                found.append(KernelLine(line, classify(line), self._came))
        self._came = True
        return found

    def _records(self) -> Iterator[str]:
        for _ in range(MOST_A_LOOK):
            if self._fd is None:
                return
            try:
                record = os.read(self._fd, 16384)
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.gaps += self._came
                continue
            except OSError as error:
                self.hole = hole("dev/kmsg", error)
                self.close()
                return
            if not record:
                return
            yield record.decode("utf-8", "replace")
