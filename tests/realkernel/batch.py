"""Packets as arrays: the bytes of all of them end to end, and where each starts.

The trap: a packet must be known again when it comes out on the other side. What tracking never looks at carries its
number: the identification of an IPv4 packet that is no fragment (the header's checksum follows, a wrong one stays
wrong by the same amount) and the flow label of IPv6, which survives reassembly where the IPv6 identification does not.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# What a generator yields: the side it enters by (0 left, 1 right), the packet, and milliseconds to wait before it.
Sent = tuple[int, bytes] | tuple[int, bytes, int]

IPV4_HEADER, IPV6_HEADER = 20, 40
NUMBERS = 1 << 16
FRAGMENT_BITS = 0x3FFF  # more fragments, offset
# Two bits nobody else uses tell the judge what to do with a packet (RFC 3168 names them).
NOT_TRACKED, IN_ZONE, NOT_ACCEPTED = 1, 2, 3
ZONE = 7
EXTENSIONS = frozenset((0, 43, 51, 60, 135))  # IPv6 headers that may stand before a fragment header


class Batch(NamedTuple):
    """``data`` holds packet i in ``start[i]`` .. ``start[i] + length[i]``."""

    data: npt.NDArray[np.uint8]
    start: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    side: npt.NDArray[np.uint8]
    pause_ms: npt.NDArray[np.int64]

    def __len__(self) -> int:  # type: ignore[override]
        return len(self.start)

    def packet(self, index: int) -> bytes:
        """The bytes of one packet."""
        start = int(self.start[index])
        return self.data[start : start + int(self.length[index])].tobytes()

    def __iter__(self) -> Iterator[bytes]:  # type: ignore[override]
        return (self.packet(index) for index in range(len(self.start)))


def collect(sent: Iterable[Sent]) -> Batch:
    """All packets of a generator."""
    packets: list[bytes] = []
    sides: list[int] = []
    pauses: list[int] = []
    for one in sent:
        sides.append(one[0])
        packets.append(one[1])
        pauses.append(one[2] if len(one) > 2 else 0)  # type: ignore[misc]
    return from_packets(packets, sides, pauses)


def from_packets(packets: list[bytes], sides: Iterable[int], pauses_ms: Iterable[int] | None = None) -> Batch:
    """Packets as arrays; they enter by ``sides``."""
    length = np.fromiter(map(len, packets), np.int64, len(packets))
    start = np.zeros(len(packets), np.int64)
    np.cumsum(length[:-1], out=start[1:])
    pause = np.zeros(len(packets), np.int64) if pauses_ms is None else np.array(list(pauses_ms), np.int64)
    data = np.frombuffer(bytearray().join(packets), np.uint8)
    return Batch(data, start, length, np.array(list(sides), np.uint8), pause)


def joined(batches: Iterable[Batch]) -> Batch:
    """Several batches as one."""
    parts = list(batches)
    offsets = np.cumsum([0, *(len(part.data) for part in parts)])
    return Batch(
        np.concatenate([part.data for part in parts]),
        np.concatenate([part.start + offset for part, offset in zip(parts, offsets, strict=False)]),
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("length", "side", "pause_ms")),
    )


def versions(batch: Batch) -> npt.NDArray[np.uint8]:
    """4 or 6 for a packet that carries a whole header of that version, else 0."""
    first = np.zeros(len(batch.start), np.uint8)
    some = batch.length > 0
    first[some] = batch.data[batch.start[some]] >> 4
    whole = ((first == 4) & (batch.length >= IPV4_HEADER)) | ((first == 6) & (batch.length >= IPV6_HEADER))
    return np.where(whole, first, 0).astype(np.uint8)


def marks(batch: Batch) -> npt.NDArray[np.uint8]:
    """What the judge is told to do with each packet: 0, NOT_TRACKED, IN_ZONE or NOT_ACCEPTED."""
    version = versions(batch)
    mark = np.zeros(len(batch.start), np.uint8)
    four, six = batch.start[version == 4], batch.start[version == 6]
    mark[version == 4] = batch.data[four + 1] & 3
    mark[version == 6] = batch.data[six + 1] >> 4 & 3
    return mark


def fragments(batch: Batch) -> npt.NDArray[np.bool_]:
    """Whether a packet is a fragment: IPv4 with an offset or more to come, IPv6 with a fragment header."""
    version = versions(batch)
    found = np.zeros(len(batch.start), np.bool_)
    four, six = batch.start[version == 4], batch.start[version == 6]
    found[version == 4] = (word(batch.data, four, 6) & FRAGMENT_BITS) != 0
    following = batch.data[six + 6]
    found[version == 6] = following == 44
    for index in np.flatnonzero(version == 6)[np.isin(following, list(EXTENSIONS))]:
        found[index] = fragment_header(batch.packet(int(index))) is not None
    return found


def fragment_header(packet: bytes) -> int | None:
    """Where the fragment header of an IPv6 packet stands; None where there is none."""
    following, at = packet[6], IPV6_HEADER
    while following in EXTENSIONS and at + 2 <= len(packet):
        size = (packet[at + 1] + 2) * 4 if following == 51 else (packet[at + 1] + 1) * 8
        following, at = packet[at], at + size
    return at if following == 44 and at + 8 <= len(packet) else None


def word(data: npt.NDArray[np.uint8], start: npt.NDArray[np.int64], offset: int) -> npt.NDArray[np.uint32]:
    """The 16 bit words at an offset of several packets."""
    return data[start + offset].astype(np.uint32) << 8 | data[start + offset + 1]


def number(batch: Batch) -> None:
    """Write each packet's number (its index, modulo NUMBERS) where it can be read when it comes out."""
    version = versions(batch)
    index = np.arange(len(batch.start), dtype=np.uint32) % NUMBERS
    data = batch.data
    six = version == 6
    at = batch.start[six]
    data[at + 1] = data[at + 1] & 0xF0
    data[at + 2] = index[six] >> 8
    data[at + 3] = index[six] & 0xFF
    four = (version == 4) & ~fragments(batch)
    at, new = batch.start[four], index[four]
    # RFC 1624, equation 3.
    total = (0xFFFF & ~word(data, at, 10)) + (0xFFFF & ~word(data, at, 4)) + new
    total = (total & 0xFFFF) + (total >> 16)
    total = 0xFFFF & ~((total & 0xFFFF) + (total >> 16))
    data[at + 4], data[at + 5] = new >> 8, new & 0xFF
    data[at + 10], data[at + 11] = total >> 8, total & 0xFF
