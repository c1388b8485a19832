"""Messages and attributes put together by hand, taken apart, cut and mutilated."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.errors import ParseError
from tablefull.wire import nlattr

VALUES = st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=20)), max_size=8)


@given(VALUES)
def test_attributes_come_back(values: list[tuple[int, bytes]]) -> None:
    data = b"".join(nlattr.attribute(kind, value) for kind, value in values)
    assert len(data) % 4 == 0
    assert [(kind, data[at:end]) for kind, at, end in nlattr.attributes(data, 0, len(data))] == values


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_messages_come_back(payloads: list[bytes]) -> None:
    data = b"".join(
        nlattr.message(0x100, nlattr.MULTI, at, value) + bytes(-len(value) % 4) for at, value in enumerate(payloads)
    )
    found = list(nlattr.messages(data, len(data)))
    assert [(message.sequence, data[message.begin : message.end]) for message in found] == list(enumerate(payloads))


def test_by_hand() -> None:
    """include/uapi/linux/netlink.h: length with header, type, both in the machine's order; padded to four."""
    assert nlattr.attribute(3, b"ab") == struct.pack("=HH", 6, 3) + b"ab\0\0"
    assert nlattr.attribute(3, b"", nested=True) == struct.pack("=HH", 4, 0x8003)
    assert nlattr.message(0x101, 5, 7, b"xyz") == struct.pack("=IHHII", 19, 0x101, 5, 7, 0) + b"xyz"


@pytest.mark.parametrize("length", [0, 1, 15, 17, 1000, 0xFFFFFFFF])
def test_a_length_that_cannot_be(length: int) -> None:
    data = struct.pack("=IHHII", length, 1, 0, 0, 0)
    with pytest.raises(ParseError, match="a message of"):
        list(nlattr.messages(data, len(data)))


@pytest.mark.parametrize("length", [0, 3, 9, 0xFFFF])
def test_an_attribute_that_cannot_be(length: int) -> None:
    data = struct.pack("=HH", length, 1) + bytes(4)
    with pytest.raises(ParseError, match="an attribute of"):
        list(nlattr.attributes(data, 0, len(data)))


def test_what_is_left_over() -> None:
    with pytest.raises(ParseError, match="behind the last message"):
        list(nlattr.messages(nlattr.message(1, 0, 0, b"") + b"\0", 17))
    with pytest.raises(ParseError, match="behind the last attribute"):
        list(nlattr.attributes(nlattr.attribute(1, b"abcd") + b"\0\0", 0, 10))


@given(st.binary(max_size=80))
def test_garbage_ends(data: bytes) -> None:
    for walk in (nlattr.messages(data, len(data)), nlattr.attributes(data, 0, len(data))):
        try:
            assert len(list(walk)) <= len(data) // 4
        except ParseError:
            continue
