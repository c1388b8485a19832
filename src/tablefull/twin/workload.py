"""Synthetic traffic as blocks of packets in order of time, for ``--workload http:rate=116,keepalive=5s``.

The trap: hours of traffic at millions of packets must neither be held nor come out of order. Time is cut into windows
of about as many packets each; what a window causes behind its own end waits in ``pending`` for the window it falls in,
so what is held is one window, what is in flight, and one row for each living flow.

The same specs, seed and duration give the same packets. What each kind of traffic is: workload_sources.py.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tablefull.errors import UsageError
from tablefull.twin.workload_frames import Block, Packets, assemble
from tablefull.twin.workload_sources import source
from tablefull.twin.workload_spec import SECOND_NS, Spec

DEFAULT_S = 60.0
BLOCK = 1 << 17  # packets of a block at most
WINDOW = 100_000  # packets of a window, about
MOST_WORKLOADS = 16  # each has a sixteenth of 10.0.0.0/8 for its clients
SHORTEST_NS = 1_000_000
_PARTS = 64


class Workload:
    """Several sources at once. ``duration_s``: where not said, until the last one's ``duration``, else a minute."""

    def __init__(self, specs: Sequence[Spec], *, seed: int = 0, duration_s: float | None = None) -> None:
        if not 0 < len(specs) <= MOST_WORKLOADS:
            raise UsageError(f"--workload: 1 to {MOST_WORKLOADS} of them are possible, not {len(specs)}")
        if duration_s is None:
            ends = [DEFAULT_S + spec.number("start") if spec.end_s is None else spec.end_s for spec in specs]
            duration_s = max(ends)
        if not 0 < duration_s <= 1e9:
            raise UsageError(f"a workload of {duration_s:g} s: more than 0 and at most 1e9 s are possible")
        self.end_ns = round(duration_s * SECOND_NS)
        self._sources = [source(spec, place, seed, self.end_ns) for place, spec in enumerate(specs)]
        rate = sum(one.packets_per_s() for one in self._sources)
        self.window_ns = max(SHORTEST_NS, min(self.end_ns, int(WINDOW / max(rate, 1e-9) * SECOND_NS)))

    def blocks(self) -> Iterator[Block]:
        """Every packet before the end, in order of time; at most ``BLOCK`` in a block."""
        pending: list[Packets] = []
        begin_ns = 0
        while begin_ns < self.end_ns:
            end_ns = min(begin_ns + self.window_ns, self.end_ns)
            parts = pending
            for one in self._sources:
                parts += one.window(begin_ns, end_ns)
            ready: list[Packets] = []
            pending = []
            for part in parts:
                here = part.time_ns < end_ns
                if here.all():
                    ready.append(part)
                    continue
                ready.append(part.rows(here))
                # What lies behind the end of all is nobody's.
                kept = part.rows(~here & (part.time_ns < self.end_ns))
                if len(kept.time_ns):
                    pending.append(kept)
            if len(pending) > _PARTS:
                pending = _joined(pending)
            yield from _pieces([part for part in ready if len(part.time_ns)])
            begin_ns = end_ns


def _joined(parts: list[Packets]) -> list[Packets]:
    """The same packets in one part a layout."""
    widths = sorted({part.words.shape[1] for part in parts})
    alike = [[part for part in parts if part.words.shape[1] == width] for width in widths]
    return [Packets(*(np.concatenate(columns) for columns in zip(*group, strict=True))) for group in alike]


def _pieces(parts: list[Packets]) -> Iterator[Block]:
    """Blocks of at most ``BLOCK`` packets: a burst may put any number of them into one window."""
    total = sum(len(part.time_ns) for part in parts)
    if not total:
        return
    if total <= BLOCK:
        yield assemble(parts)
        return
    times = np.sort(np.concatenate([part.time_ns for part in parts]))
    bounds = np.unique(times[BLOCK // 2 :: BLOCK // 2])
    for low, high in zip([times[0], *bounds], [*bounds, times[-1] + 1], strict=True):
        chosen = [part.rows((part.time_ns >= low) & (part.time_ns < high)) for part in parts]
        chosen = [part for part in chosen if len(part.time_ns)]
        if chosen:
            yield from _cut(assemble(chosen))


def _cut(block: Block) -> Iterator[Block]:
    """A block in pieces, where more packets than ``BLOCK`` have one and the same time."""
    for low in range(0, len(block.start), BLOCK):
        piece = slice(low, low + BLOCK)
        yield Block(block.time_ns[piece], block.data, block.start[piece], block.captured[piece])
