"""One verdict a packet, in the order of the capture: kept in a byte each, written out as ``index,state,direction``.

The trap: a verdict may change. A fragment counts as dropped until the rest of its datagram is there, which may be
blocks later, and the second sighting of a packet has the verdict of its first. So the codes lie in a temporary file,
where a late one overwrites its byte, and text is made of them only at the end.
"""

import tempfile
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from tablefull.twin.headers import Headers
from tablefull.twin.state import DIRECTIONS, DROPPED, NO_DIRECTION, STATES

if TYPE_CHECKING:
    from tablefull.live.replay import Piece

Bytes = npt.NDArray[np.uint8]
Prints = npt.NDArray[np.uint64]
HEADER = b"index,state,direction\n"
IN_MEMORY_BYTES = 64 << 20
ROWS = 1 << 17  # of text made at once
REMEMBERED = 1 << 17  # packets back that a second sighting's first is looked for
_NO_DIRECTION = 0xF
_NO_TYPE = 255
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Verdicts:
    """Verdicts as they come; :meth:`lines` gives the file's text in pieces, once."""

    def __init__(self) -> None:
        self._codes = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - closed by close()
        self.count = 0
        self._prints = np.zeros(0, np.uint64)
        self._recent = np.zeros(0, np.int64)
        self._recent_codes = np.zeros(0, np.uint8)
        self._copies: dict[int, list[int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything."""
        self._codes.close()

    def add(
        self, state: Bytes, direction: Bytes, late: Iterable[tuple[int, int, int]], piece: "Piece", part: slice
    ) -> None:
        """Verdicts of a part of a piece, and late ones of packets before it."""
        codes = state | np.where(direction == NO_DIRECTION, _NO_DIRECTION, direction).astype(np.uint8) << np.uint8(4)
        if piece.skip is not None:
            codes = self._as_first_seen(codes, piece, part, piece.skip[part])
        elif piece.packet_type is not None and (piece.packet_type != _NO_TYPE).any():
            # Nothing to look for in this part, but the next one may look for it here.
            self._remember(codes, _prints(piece, part), np.arange(self.count, self.count + len(codes), dtype=np.int64))
        self._codes.write(codes.tobytes())
        self.count += len(codes)
        changed = list(late)
        for index, one, way in changed:
            self._patch(index, one | (_NO_DIRECTION if way == NO_DIRECTION else way) << 4)
        if changed:
            self._codes.seek(0, 2)

    def _patch(self, index: int, code: int) -> None:
        for place in (index, *self._copies.pop(index, ())):
            self._codes.seek(place)
            self._codes.write(bytes([code]))

    def _remember(self, codes: Bytes, prints: Prints, index: npt.NDArray[np.int64]) -> None:
        self._prints = np.concatenate([self._prints, prints])[-REMEMBERED:]
        self._recent = np.concatenate([self._recent, index])[-REMEMBERED:]
        self._recent_codes = np.concatenate([self._recent_codes, codes])[-REMEMBERED:]

    def _as_first_seen(self, codes: Bytes, piece: "Piece", part: slice, skip: npt.NDArray[np.bool_]) -> Bytes:
        """The codes with those of second sightings replaced by what their first sighting had."""
        prints = _prints(piece, part)
        before = len(self._recent)
        all_prints = np.concatenate([self._prints, prints])
        all_codes = np.concatenate([self._recent_codes, codes])
        index = np.concatenate([self._recent, np.arange(self.count, self.count + len(codes), dtype=np.int64)])
        first = np.concatenate([np.ones(before, np.bool_), ~skip])
        order = np.argsort(all_prints, kind="stable")
        sorted_prints = all_prints[order]
        begins = np.concatenate([[True], sorted_prints[1:] != sorted_prints[:-1]])
        group = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
        latest = np.maximum.accumulate(np.where(first[order], np.arange(len(order)), -1))
        source = np.full(len(order), -1, np.int64)
        source[order] = np.where(latest >= group, order[latest], -1)
        wanted = np.flatnonzero(skip) + before
        wanted = wanted[source[wanted] >= 0]
        all_codes[wanted] = all_codes[source[wanted]]
        dropped = wanted[all_codes[wanted] & 0xF == DROPPED]
        for row in dropped.tolist():
            self._copies.setdefault(int(index[source[row]]), []).append(int(index[row]))
        codes = all_codes[before:]
        kept = ~skip
        self._remember(codes[kept], prints[kept], index[before:][kept])
        return codes

    def lines(self) -> Iterator[bytes]:
        """The text of the file, its header first."""
        self._codes.seek(0)
        yield HEADER
        first = 0
        while True:
            codes = np.frombuffer(self._codes.read(ROWS), np.uint8)
            if not len(codes):
                return
            yield rows(first, codes)
            first += len(codes)


def _prints(piece: "Piece", part: slice) -> Prints:
    """64 bits of what two sightings of a packet share: its first 56 bytes but for the hops and their checksum."""
    headers = Headers(piece.data, piece.start[part], piece.captured[part])
    value = np.zeros(len(headers), np.uint64)
    with np.errstate(over="ignore"):
        for offset in range(0, 56, 4):
            word = headers.number(offset, 4).astype(np.uint64)
            if offset == 8:
                four = headers.octet(9).astype(np.uint64)
                word = np.where(headers.family == 4, four, word)
            elif offset == 4:
                word = np.where(headers.family == 6, word >> np.uint64(8), word)
            value = (value ^ word) * _MULTIPLIER
            value ^= value >> np.uint64(29)
    return value


_LABELS = [
    f",{STATES[code & 0xF] if code & 0xF < len(STATES) else ''},"
    f"{DIRECTIONS[code >> 4] if code >> 4 < len(DIRECTIONS) else ''}\n".encode()
    for code in range(256)
]
_WIDEST = max(map(len, _LABELS))
_LABEL_BYTES = np.array([list(label.ljust(_WIDEST, b"\0")) for label in _LABELS], np.uint8)


def rows(first: int, codes: Bytes) -> bytes:
    """Lines of the file for packets from number ``first`` on."""
    numbers = np.arange(first, first + len(codes), dtype=np.int64)
    digits = len(str(first + len(codes)))
    text = np.zeros((len(codes), digits + _WIDEST), np.uint8)
    rest = numbers
    for place in range(digits - 1, -1, -1):
        text[:, place] = np.where((rest > 0) | (place == digits - 1), rest % 10 + ord("0"), 0)
        rest = rest // 10
    text[:, digits:] = _LABEL_BYTES[codes]
    flat = text.ravel()
    return bytes(flat[flat != 0])
