"""ctnetlink: requests, and a dump's or event's entries as rows of numbers. The plain definition of how they are read.

The trap: a listing of 5,000 entries is to be there in the time a person does not notice, in plain Python. Almost all
messages of a dump have one of a handful of shapes (which attributes stand where), so a shape is worked out once and
then recognised by comparing every header of a message at once; what fits no shape goes the long way.
``loops_ctnetlink`` does the same compiled and must agree on every input.

[netlink 6.18.2, nfnetlink_conntrack.h; KERNEL.md 9; measured on 6.18.44]
"""

import struct
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import NamedTuple

from tablefull.errors import ParseError
from tablefull.wire import nlattr

SUBSYSTEM = 1
NEW, GET, DELETE, GET_ZERO, GET_STATS_CPU, GET_STATS = range(6)
GROUP_NEW, GROUP_UPDATE, GROUP_DESTROY = 1, 2, 3
_ENTRIES = frozenset((SUBSYSTEM << 8 | NEW, SUBSYSTEM << 8 | DELETE))
_GENERIC = struct.Struct(">BBH")

# Attributes. [enum ctattr_type and its neighbours]
TUPLE_ORIG, TUPLE_REPLY, STATUS, PROTOINFO, HELP, TIMEOUT, MARK, COUNTERS_ORIG, COUNTERS_REPLY = (
    *(1, 2, 3, 4, 5, 7, 8, 9, 10),
)
USE, ID, TUPLE_MASTER, ZONE, SECCTX, TIMESTAMP, MARK_MASK, LABELS = 11, 12, 14, 18, 19, 20, 21, 22
FILTER, STATUS_MASK, TIMESTAMP_EVENT = 25, 26, 27
TUPLE_IP, TUPLE_PROTO, TUPLE_ZONE = 1, 2, 3

# A row: words of 32 bits. Addresses take four, IPv4 the first of them; numbers of 64 bits two, the higher first.
R_SRC, R_DST, R_REPLY_SRC, R_REPLY_DST = 0, 4, 8, 12
# Ports, or of ICMP the id in the source port's place, type and code; the reply's four words further on.
R_SPORT, R_DPORT, R_TYPE, R_CODE, R_REPLY = 16, 17, 18, 19, 4
R_PROTO, R_FAMILY = 24, 25  # the family as IP version
R_STATE, R_STATUS, R_TIMEOUT, R_MARK = 26, 27, 28, 29
R_ZONE, R_ZONE_ORIG, R_ZONE_REPLY = 30, 31, 32  # of both directions, or of one
R_USE, R_ID = 33, 34
R_PACKETS, R_BYTES, R_REPLY_PACKETS, R_REPLY_BYTES = 36, 38, 40, 42
R_START, R_STOP = 44, 46
R_LABELS, R_HELPER = 48, 52  # 16 bytes each
R_WHEN = 56  # of an event, where the kernel stamps it (6.14)
R_EVENT, R_PRESENT = 58, 59
ROW_WORDS = 60
ABSENT = 0xFFFFFFFF  # R_STATE, R_TIMEOUT: not told
EVENTS = ("dump", "NEW", "UPDATE", "DESTROY")
EVENT_NEW, EVENT_UPDATE, EVENT_DESTROY = 1, 2, 3
HAS_COUNTERS, HAS_TIMESTAMP, HAS_LABELS, HAS_HELPER, HAS_MASTER, HAS_SECCTX, HAS_MARK, HAS_WHEN = (
    1 << bit for bit in range(8)
)

Row = tuple[int, ...]
Data = bytes | bytearray | memoryview

# path → (struct code, first word). A path is the attribute numbers from the outside in.
_FIELDS: dict[tuple[int, ...], tuple[str, int]] = {
    (STATUS,): (">I", R_STATUS),
    (TIMEOUT,): (">I", R_TIMEOUT),
    (MARK,): (">I", R_MARK),
    (USE,): (">I", R_USE),
    (ID,): (">I", R_ID),
    (PROTOINFO, 1, 1): (">B", R_STATE),
    (PROTOINFO, 3, 1): (">B", R_STATE),
    (COUNTERS_ORIG, 1): (">II", R_PACKETS),
    (COUNTERS_ORIG, 2): (">II", R_BYTES),
    (COUNTERS_REPLY, 1): (">II", R_REPLY_PACKETS),
    (COUNTERS_REPLY, 2): (">II", R_REPLY_BYTES),
    (TIMESTAMP, 1): (">II", R_START),
    (TIMESTAMP, 2): (">II", R_STOP),
    (TIMESTAMP_EVENT,): (">II", R_WHEN),
}
# Of the protocol's part of a tuple: size and word. [enum ctattr_l4proto]
_PARTS = {
    1: (1, R_PROTO),
    2: (2, R_SPORT),
    3: (2, R_DPORT),
    4: (2, R_SPORT),
    5: (1, R_TYPE),
    6: (1, R_CODE),
    7: (2, R_SPORT),
    8: (1, R_TYPE),
    9: (1, R_CODE),
}
_PRESENT = {
    COUNTERS_ORIG: HAS_COUNTERS,
    TIMESTAMP: HAS_TIMESTAMP,
    LABELS: HAS_LABELS,
    HELP: HAS_HELPER,
    TUPLE_MASTER: HAS_MASTER,
    SECCTX: HAS_SECCTX,
    MARK: HAS_MARK,
    TIMESTAMP_EVENT: HAS_WHEN,
}
_NESTED = frozenset((TUPLE_ORIG, TUPLE_REPLY, PROTOINFO, HELP, COUNTERS_ORIG, COUNTERS_REPLY, TIMESTAMP))


def _ask(kind: int, flags: int, sequence: int, family: int, attributes: bytes = b"") -> bytes:
    return nlattr.message(
        SUBSYSTEM << 8 | kind, nlattr.REQUEST | flags, sequence, _GENERIC.pack(family, 0, 0) + attributes
    )


def dump_request(sequence: int, family: int = 0, mark: tuple[int, int] | None = None) -> bytes:
    """All entries; ``family`` 2 or 10 for one of IPv4 and IPv6, ``mark``: value and mask.

    Filters by address are never asked for: the kernel inverts those of IPv6 from 5.8 to 6.19 (KERNEL.md 9.2).
    """
    wanted = b""
    if mark is not None:
        wanted = nlattr.attribute(MARK, struct.pack(">I", mark[0])) + nlattr.attribute(
            MARK_MASK, struct.pack(">I", mark[1])
        )
    return _ask(GET, nlattr.ROOT | nlattr.MATCH, sequence, family, wanted)


def one_request(kind: int, sequence: int, family: int, key: bytes, flags: int = 0) -> bytes:
    """``GET`` or ``DELETE`` the one entry whose tuple is ``key`` (:func:`tuple_attributes`); ENOENT for none."""
    return _ask(kind, flags, sequence, family, key)


def tuple_attributes(source: bytes, target: bytes, proto: int, sport: int, dport: int, zone: int = 0) -> bytes:
    """The original direction of an entry, addresses of 4 or 16 bytes, as an attribute; and its zone, 0 being none."""
    src, dst = (1, 2) if len(source) == 4 else (3, 4)
    ip = nlattr.attribute(src, source) + nlattr.attribute(dst, target)
    parts = nlattr.attribute(1, bytes((proto,)))
    parts += nlattr.attribute(2, struct.pack(">H", sport)) + nlattr.attribute(3, struct.pack(">H", dport))
    inner = nlattr.attribute(TUPLE_IP, ip, nested=True) + nlattr.attribute(TUPLE_PROTO, parts, nested=True)
    key = nlattr.attribute(TUPLE_ORIG, inner, nested=True)
    return key + (nlattr.attribute(ZONE, struct.pack(">H", zone)) if zone else b"")


def stats_cpu_request(sequence: int) -> bytes:
    """The counters of every CPU of the namespace. [3.6]"""
    return _ask(GET_STATS_CPU, nlattr.ROOT | nlattr.MATCH, sequence, 0)


def stats_request(sequence: int) -> bytes:
    """How many entries there are, and the limit. [3.6; the limit from 4.18]"""
    return _ask(GET_STATS, 0, sequence, 0)


def stats(data: Data, message: nlattr.Message) -> dict[int, int]:
    """Numbers of a statistics message by attribute (kernel/uapi.py names them)."""
    begin = message.begin + nlattr.GENERIC_BYTES
    return {kind: int.from_bytes(data[at:end], "big") for kind, at, end in nlattr.attributes(data, begin, message.end)}


def cpu_of(data: Data, message: nlattr.Message) -> int:
    """Which CPU a statistics message speaks of: res_id."""
    return int.from_bytes(data[message.begin + 2 : message.begin + 4], "big")


class _Shape(NamedTuple):
    """What is known of messages that agree in every header: ``mask`` leaves only those, ``pick`` makes a row."""

    mask: int
    headers: int
    values: struct.Struct
    constants: Row
    pick: Callable[[Row], Row]


class _Walk:
    """One message taken apart the long way: values by word, and where each came from."""

    def __init__(self, data: Data, message: nlattr.Message) -> None:
        self.data, self.message = data, message
        self.values: dict[int, int] = {R_STATE: ABSENT, R_TIMEOUT: ABSENT}
        self.places: list[tuple[int, str, tuple[int, ...]]] = []  # offset, code of struct, words
        self.headers: list[int] = []
        self.values[R_EVENT] = _event(message)
        self._read()

    def _take(self, at: int, code: str, *words: int) -> None:
        for word, value in zip(words, struct.unpack_from(code, self.data, at), strict=True):
            self.values[word] = value
        self.places.append((at, code, words))

    def _attributes(self, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        for found in nlattr.attributes(self.data, begin, end, "ctnetlink"):
            self.headers.append(found[1] - nlattr.ATTRIBUTE_BYTES)
            yield found

    def _read(self) -> None:
        begin = self.message.begin
        if begin + nlattr.GENERIC_BYTES > self.message.end:
            raise ParseError("a message without its family", "ctnetlink")
        for kind, at, end in self._attributes(begin + nlattr.GENERIC_BYTES, self.message.end):
            self.values[R_PRESENT] = self.values.get(R_PRESENT, 0) | _PRESENT.get(kind, 0)
            if kind in (TUPLE_ORIG, TUPLE_REPLY):
                self._tuple(at, end, kind == TUPLE_REPLY)
            elif kind == ZONE:
                self._number(at, end, 2, R_ZONE)
            elif kind == LABELS:
                self._bytes(at, end, R_LABELS)
            elif kind == HELP:
                for inner, first, last in self._attributes(at, end):
                    if inner == 1:
                        self._bytes(first, last, R_HELPER)
            elif kind in _NESTED:
                self._nested((kind,), at, end)
            else:
                self._field((kind,), at, end)

    def _nested(self, path: tuple[int, ...], begin: int, end: int) -> None:
        for kind, at, last in self._attributes(begin, end):
            if path == (PROTOINFO,) and kind in (1, 3):
                self._nested((*path, kind), at, last)
            else:
                self._field((*path, kind), at, last)

    def _field(self, path: tuple[int, ...], at: int, end: int) -> None:
        known = _FIELDS.get(path)
        if known is None:
            return
        code, word = known
        if end - at < struct.calcsize(code):
            raise ParseError(f"attribute {path} has {end - at} bytes", "ctnetlink")
        self._take(at, code, *range(word, word + len(code) - 1))

    def _number(self, at: int, end: int, size: int, word: int) -> None:
        if end - at < size:
            raise ParseError(f"a number of {end - at} bytes", "ctnetlink")
        self._take(at, ">B" if size == 1 else ">H", word)

    def _bytes(self, at: int, end: int, word: int) -> None:
        """Up to 16 bytes as four words, padded with zeros."""
        size = min(end - at, 16)
        padded = bytes(self.data[at : at + size]) + bytes(16 - size)
        for index in range(4):
            self.values[word + index] = int.from_bytes(padded[index * 4 : index * 4 + 4], "big")
        # Fewer than 16 bytes have no fixed place in a row, so such a message is always read the long way.
        self.places.append((at, ">IIII", tuple(range(word, word + 4))) if size == 16 else (-1, ">", ()))

    def _tuple(self, begin: int, end: int, reply: bool) -> None:
        base = 8 * reply
        for kind, at, last in self._attributes(begin, end):
            if kind == TUPLE_IP:
                for inner, first, stop in self._attributes(at, last):
                    if inner in (1, 2) and stop - first >= 4:
                        self._take(first, ">I", base + (R_SRC if inner == 1 else R_DST))
                        self.values[R_FAMILY] = 4
                    elif inner in (3, 4) and stop - first >= 16:
                        word = base + (R_SRC if inner == 3 else R_DST)
                        self._take(first, ">IIII", *range(word, word + 4))
                        self.values[R_FAMILY] = 6
            elif kind == TUPLE_PROTO:
                self._proto(at, last, reply)
            elif kind == TUPLE_ZONE:
                self._number(at, last, 2, R_ZONE_REPLY if reply else R_ZONE_ORIG)

    def _proto(self, begin: int, end: int, reply: bool) -> None:
        for kind, at, last in self._attributes(begin, end):
            if kind in _PARTS and not (reply and kind == 1):  # the protocol is the same both ways
                size, word = _PARTS[kind]
                self._number(at, last, size, word + R_REPLY * reply)

    def row(self) -> Row:
        """What was found; a word that nothing told is 0, the state and the timeout ABSENT."""
        found = [0] * ROW_WORDS
        for word, value in self.values.items():
            found[word] = value
        return tuple(found)

    def shape(self) -> _Shape | None:
        """What other messages with the same headers have in common with this one; None where it has no fixed shape."""
        size = len(self.data)
        mask = bytearray(size)
        mask[0:8] = b"\xff" * 8  # length, type, flags
        for at in self.headers:
            mask[at : at + 4] = b"\xff\xff\xff\xff"
        codes: list[str] = []
        words: list[int] = []
        at = 0
        for offset, code, targets in sorted(self.places):
            if offset < at:
                return None
            codes.append(f"{offset - at}x{code[1:]}" if offset > at else code[1:])
            words.extend(targets)
            at = offset + struct.calcsize(code)
        codes.append(f"{size - at}x")
        if len(set(words)) < len(words):
            return None  # an attribute that is there twice
        said = [self.values.get(word, 0) for word in range(ROW_WORDS)]
        at_word = {word: index for index, word in enumerate(words)}
        constants = tuple({said[word] for word in range(ROW_WORDS) if word not in at_word})
        pick = itemgetter(
            *(
                at_word[word] if word in at_word else len(words) + constants.index(said[word])
                for word in range(ROW_WORDS)
            )
        )
        bits = int.from_bytes(mask, "big")
        headers = int.from_bytes(self.data, "big") & bits
        return _Shape(bits, headers, struct.Struct(">" + "".join(codes)), constants, pick)


def _event(message: nlattr.Message) -> int:
    if message.type & 0xFF == DELETE:
        return EVENT_DESTROY
    if message.flags & nlattr.MULTI:
        return 0
    return EVENT_NEW if message.flags & nlattr.CREATE else EVENT_UPDATE


def row(data: Data, message: nlattr.Message) -> Row:
    """One entry the long way; ParseError for a message that breaks its own lengths."""
    return _Walk(data, message).row()


def is_entry(message: nlattr.Message) -> bool:
    """Whether a message is about an entry: of a dump or an event."""
    return message.type in _ENTRIES


class Reader:
    """Entries of many messages; it remembers the shapes that it has met. ``broken`` counts what could not be read.

    Of the last datagram that :meth:`entries` was given: ``end`` is the message that ends the answer, None while there
    is more; ``interrupted``: one of its messages was marked as inconsistent (NLM_F_DUMP_INTR).
    """

    MOST_SHAPES = 64

    def __init__(self) -> None:
        self.broken = 0
        self.end: nlattr.Message | None = None
        self.interrupted = False
        self._shapes: dict[int, list[_Shape]] = {}
        self._count = 0

    def row(self, data: Data, message: nlattr.Message) -> Row | None:
        """One entry; None for a message that breaks its own lengths."""
        return self._row(bytes(data[message.begin - nlattr.HEADER_BYTES : message.end]))

    def entries(self, raw: bytes, sequence: int, source: str = "ctnetlink") -> Iterator[Row]:
        """The entries of one datagram of the answer to a request; ParseError where a message breaks off.

        The same as :meth:`row` of each of its messages, without what that costs a message.
        """
        header, header_bytes, size, at = nlattr.HEADER.unpack_from, nlattr.HEADER_BYTES, len(raw), 0
        shapes, from_bytes = self._shapes, int.from_bytes
        self.end, self.interrupted = None, False
        while at + header_bytes <= size:
            length, kind, flags, number, _ = header(raw, at)
            if length < header_bytes or at + length > size:
                raise ParseError(f"a message of {length} bytes at byte {at} of {size}", source)
            if number == sequence:
                if flags & nlattr.DUMP_INTERRUPTED:
                    self.interrupted = True
                if kind in _ENTRIES:
                    one = raw[at : at + length]
                    bits = from_bytes(one, "big")
                    for mask, headers, values, constants, pick in shapes.get(length, ()):
                        if bits & mask == headers:
                            yield pick(values.unpack(one) + constants)
                            break
                    else:
                        row = self._row(one)
                        if row is not None:
                            yield row
                if kind in (nlattr.DONE, nlattr.ERROR) or not flags & nlattr.MULTI:
                    self.end = nlattr.Message(kind, flags, number, at + header_bytes, at + length)
                    return
            at += (length + 3) & ~3
        if at < size:
            raise ParseError(f"{size - at} bytes behind the last message", source)

    def _row(self, raw: bytes) -> Row | None:
        """A whole message with its header."""
        if known := self._shapes.get(len(raw)):
            bits = int.from_bytes(raw, "big")
            for mask, headers, values, constants, pick in known:
                if bits & mask == headers:
                    return pick(values.unpack(raw) + constants)
        _, kind, flags, sequence, _ = nlattr.HEADER.unpack_from(raw)
        inner = nlattr.Message(kind, flags, sequence, nlattr.HEADER_BYTES, len(raw))
        try:
            walk = _Walk(raw, inner)
        except ParseError:
            self.broken += 1
            return None
        if self._count < self.MOST_SHAPES and (shape := walk.shape()) is not None:
            self._shapes.setdefault(len(raw), []).insert(0, shape)
            self._count += 1
        return walk.row()
