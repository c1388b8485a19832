"""Packets that one capture shows twice: taken on ``any``, it sees what is forwarded once coming in and once going out.

The trap: tracking sees such a packet once, and a twin that is given it twice sees a retransmission. But what is sent
again on the wire looks almost alike, so a second sighting needs a reason in the headers: one hop fewer on the way out,
or another interface. Only cooked captures say which way a packet went; in others nothing is marked.

Frames for other hosts (packet type 3) are neither marked nor remembered: IP of this host never takes them, and the
packet that it does take, when a bridge hands it up, is the first sighting. A packet whose addresses were translated
between the sightings is two packets here.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tablefull.wire import loops_twice
from tablefull.wire.loops import NO_TYPE
from tablefull.wire.pcap import Frames

Marks: TypeAlias = npt.NDArray[np.bool_]

# Room for 131072 packets within NEAR_NS, that is for two million a second; the oldest make room for more.
_BUCKETS = 1 << 15


class Twice:
    """Told all frames of a capture in their order, it marks second sightings; ``marked`` counts them."""

    def __init__(self) -> None:
        self.marked = 0
        self._prints = np.empty(loops_twice.AHEAD, np.int64)
        self._keys: npt.NDArray[np.int64] | None = None
        self._places: npt.NDArray[np.int64] | None = None

    def mark(self, frames: Frames) -> Marks:
        """True for each packet that was seen before, at another place of this host."""
        marks = np.zeros(len(frames.start), np.uint8)
        if (frames.packet_type != NO_TYPE).any():
            if self._keys is None or self._places is None:
                self._keys = np.zeros((_BUCKETS, 2 * loops_twice.WAYS), np.int64)
                self._places = np.zeros((_BUCKETS * loops_twice.WAYS, loops_twice.PLACES), np.int64)
            self.marked += loops_twice.mark(
                *(frames.data, frames.time_ns, frames.start, frames.captured, frames.interface, frames.packet_type),
                *(self._prints, self._keys, self._places, marks),
            )
        return marks.view(np.bool_)
