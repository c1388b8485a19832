"""Entries as rows: each field by hand; the short way and the long way say the same."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.ctnetlink_bytes import FULL, PING, SAMPLES, SIX, WHOLE, entry, nest, number

from tablefull.errors import ParseError
from tablefull.wire import ctnetlink as at
from tablefull.wire import nlattr
from tablefull.wire.ctnetlink import Reader, row


def only(data: bytes) -> nlattr.Message:
    (message,) = nlattr.messages(data, len(data))
    return message


def read(*parts: bytes, **how: int) -> at.Row:
    data = entry(*parts, **how)
    return row(data, only(data))


def test_a_connection() -> None:
    found = read(*FULL)
    assert (found[at.R_SRC], found[at.R_DST], found[at.R_FAMILY]) == (0x0A000001, 0x0A000002, 4)
    assert (found[at.R_REPLY_SRC], found[at.R_REPLY_DST]) == (0x0A000002, 0x0A000001)
    assert (found[at.R_PROTO], found[at.R_SPORT], found[at.R_DPORT]) == (6, 4000, 443)
    assert (found[at.R_SPORT + at.R_REPLY], found[at.R_DPORT + at.R_REPLY]) == (443, 4000)
    assert (found[at.R_STATE], found[at.R_STATUS], found[at.R_TIMEOUT]) == (3, 0x0E, 431999)
    assert (found[at.R_MARK], found[at.R_ID], found[at.R_USE], found[at.R_ZONE]) == (7, 0x1234, 1, 5)
    assert found[at.R_BYTES] << 32 | found[at.R_BYTES + 1] == 1 << 40
    assert found[at.R_REPLY_PACKETS + 1] == 11
    assert found[at.R_START] << 32 | found[at.R_START + 1] == 1_700_000_000_000_000_000
    assert b"".join(word.to_bytes(4, "big") for word in found[at.R_LABELS : at.R_LABELS + 4]) == bytes(range(16))
    assert found[at.R_HELPER] == int.from_bytes(b"ftp\0", "big")
    wanted = at.HAS_COUNTERS | at.HAS_TIMESTAMP | at.HAS_LABELS | at.HAS_HELPER | at.HAS_MARK
    assert found[at.R_PRESENT] == wanted


def test_what_is_not_told_is_not_zero() -> None:
    found = read(*SIX)
    assert found[at.R_STATE] == at.ABSENT
    assert found[at.R_PRESENT] == 0
    assert found[at.R_SRC : at.R_SRC + 4] == (0x20010DB8, 0, 0, 1)
    assert read(*PING)[at.R_TIMEOUT] == at.ABSENT  # as of an offloaded entry


def test_a_ping_and_a_zone_of_one_direction() -> None:
    found = read(*PING)
    assert (found[at.R_SPORT], found[at.R_TYPE], found[at.R_CODE]) == (77, 8, 0)
    assert (found[at.R_ZONE], found[at.R_ZONE_ORIG], found[at.R_ZONE_REPLY]) == (0, 3, 0)


@pytest.mark.parametrize(
    ("kind", "flags", "event"),
    [
        (at.NEW, nlattr.MULTI, 0),
        (at.NEW, nlattr.CREATE | nlattr.EXCLUSIVE, at.EVENT_NEW),
        (at.NEW, 0, at.EVENT_UPDATE),
        (at.DELETE, 0, at.EVENT_DESTROY),
    ],
)
def test_events(kind: int, flags: int, event: int) -> None:
    when = number(at.TIMESTAMP_EVENT, 5 << 32 | 6, 8)
    found = read(*WHOLE, when, kind=kind, flags=flags)
    assert found[at.R_EVENT] == event
    assert found[at.R_WHEN : at.R_WHEN + 2] == (5, 6)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**32 - 1), st.booleans()), max_size=30))
def test_the_short_way_is_the_long_way(order: list[tuple[int, int, bool]]) -> None:
    """Shapes that are met again and again, with other values in them."""
    reader = Reader()
    for which, value, event in order:
        parts = (*SAMPLES[which], number(at.ID, value))
        data = entry(*parts, flags=0 if event else nlattr.MULTI)
        assert reader.row(data, only(data)) == row(data, only(data))
    assert reader.broken == 0


@given(
    st.integers(0, 3), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4), st.integers(0, 400)
)
def test_mutilated(which: int, changes: list[tuple[int, int]], cut: int) -> None:
    """A reader that knows the shapes says of a changed message what one that does not says: a row, or nothing."""
    known = Reader()
    for parts in SAMPLES:
        whole = entry(*parts)
        known.row(whole, only(whole))
    data = bytearray(entry(*SAMPLES[which]))
    for place, value in changes:
        data[16 + place % (len(data) - 16)] = value
    size = 16 + cut % (len(data) - 16) if cut % 3 == 0 else len(data)
    struct.pack_into("=I", data, 0, size)
    message = nlattr.Message(at.SUBSYSTEM << 8, nlattr.MULTI, 1, 16, size)
    short = known.row(bytes(data), message)
    try:
        assert short == row(bytes(data), message)
    except ParseError:
        assert short is None
        assert known.broken == 1


def one_by_one(data: bytes) -> tuple[list[at.Row], nlattr.Message | None, bool, bool]:
    """The entries of an answer to request 1, the message that ends it, whether interrupted, and whether it breaks off."""
    rows: list[at.Row] = []
    interrupted = False
    reader = Reader()
    try:
        for message in nlattr.messages(data, len(data)):
            if message.sequence != 1:
                continue
            interrupted |= bool(message.flags & nlattr.DUMP_INTERRUPTED)
            if at.is_entry(message) and (found := reader.row(data, message)) is not None:
                rows.append(found)
            if message.type in (nlattr.DONE, nlattr.ERROR) or not message.flags & nlattr.MULTI:
                return rows, message, interrupted, False
    except ParseError:
        return rows, None, interrupted, True
    return rows, None, interrupted, False


PARTS = st.one_of(
    st.builds(
        lambda which, kind, flags, sequence: entry(*SAMPLES[which], kind=kind, flags=flags, sequence=sequence),
        st.integers(0, 3),
        st.sampled_from((at.NEW, at.NEW, at.NEW, at.DELETE, 4)),
        st.sampled_from((nlattr.MULTI, nlattr.MULTI, nlattr.MULTI, nlattr.MULTI | nlattr.DUMP_INTERRUPTED, 0)),
        st.sampled_from((1, 1, 1, 2)),
    ),
    st.sampled_from([nlattr.message(kind, nlattr.MULTI, 1, bytes(4)) for kind in (nlattr.DONE, nlattr.ERROR, 1)]),
)


@given(
    st.lists(PARTS, max_size=12),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=3),
    st.integers(0, 40),
)
def test_a_datagram_at_once_is_its_messages_one_by_one(
    parts: list[bytes], changes: list[tuple[int, int]], cut: int
) -> None:
    """Whole, changed and cut off; and by a reader that knows the shapes already."""
    data = bytearray(b"".join(parts))
    for place, value in changes:
        if data:
            data[place % len(data)] = value
    raw = bytes(data[: max(0, len(data) - cut)] if cut % 4 == 3 else data)
    wanted, end, interrupted, torn = one_by_one(raw)
    reader = Reader()
    for _ in range(2):
        found: list[at.Row] = []
        if torn:
            with pytest.raises(ParseError):
                found.extend(reader.entries(raw, 1))
        else:
            found.extend(reader.entries(raw, 1))
        assert found == wanted
        assert (reader.end, reader.interrupted) == (end, interrupted)


def test_no_more_shapes_than_are_worth_it() -> None:
    reader = Reader()
    for count in range(at.Reader.MOST_SHAPES + 20):
        data = entry(*WHOLE, *(number(100 + extra, 0) for extra in range(count)))
        assert reader.row(data, only(data)) == row(data, only(data))


def test_requests_and_statistics() -> None:
    """nfnetlink_conntrack.h: subsystem 1; GET 1, statistics of CPUs 4, of the table 5."""
    for request, kind, dump in (
        (at.dump_request(9), 0x101, True), (at.stats_cpu_request(9), 0x104, True), (at.stats_request(9), 0x105, False),
    ):  # fmt: skip
        message = only(request)
        assert (message.type, message.sequence) == (kind, 9)
        assert bool(message.flags & (nlattr.ROOT | nlattr.MATCH)) == dump
    data = nlattr.message(0x104, 2, 9, struct.pack(">BBH", 0, 0, 3) + number(10, 77) + number(14, 5))
    assert at.cpu_of(data, only(data)) == 3
    assert at.stats(data, only(data)) == {10: 77, 14: 5}
    marked = at.dump_request(1, 2, (5, 0xFF))
    assert marked.endswith(number(at.MARK, 5) + number(at.MARK_MASK, 0xFF))
    assert not at.is_entry(only(data))
    assert nest(1) == nlattr.attribute(1, b"", nested=True)
