"""Netlink messages and attributes: split, walked, put together. Bytes in, bytes out; no socket here.

The trap: lengths come from outside. A message or an attribute that is shorter than its own header, or longer than what
is there, ends the walk with an error that says where, and never moves the walk backwards or past the end.

Headers are in the machine's byte order, values of netfilter's attributes in the network's.
[include/uapi/linux/netlink.h, include/linux/netfilter/nfnetlink.h]
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from tablefull.errors import ParseError

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
ATTRIBUTE = struct.Struct("=HH")
HEADER_BYTES, ATTRIBUTE_BYTES, GENERIC_BYTES = 16, 4, 4
ERROR, DONE, OVERRUN, FIRST_TYPE = 2, 3, 4, 0x10
REQUEST, MULTI, ACK, DUMP_INTERRUPTED, ROOT, MATCH = 0x1, 0x2, 0x4, 0x10, 0x100, 0x200
CREATE, EXCLUSIVE = 0x400, 0x200
NESTED, TYPE_MASK = 0x8000, 0x3FFF


class Message(NamedTuple):
    """Where a message's payload lies, behind its header."""

    type: int
    flags: int
    sequence: int
    begin: int
    end: int


def messages(data: bytes | bytearray | memoryview, size: int, source: str = "netlink") -> Iterator[Message]:
    """The messages of one datagram of ``size`` bytes, in order; ParseError where one breaks off."""
    at = 0
    while at + HEADER_BYTES <= size:
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, at)
        if length < HEADER_BYTES or at + length > size:
            raise ParseError(f"a message of {length} bytes at byte {at} of {size}", source)
        yield Message(kind, flags, sequence, at + HEADER_BYTES, at + length)
        at += (length + 3) & ~3
    if at < size:
        raise ParseError(f"{size - at} bytes behind the last message", source)


def attributes(
    data: bytes | bytearray | memoryview, begin: int, end: int, source: str = "netlink"
) -> Iterator[tuple[int, int, int]]:
    """Type (without its flags), begin and end of each attribute's value; ParseError where one breaks off."""
    at = begin
    while at + ATTRIBUTE_BYTES <= end:
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if length < ATTRIBUTE_BYTES or at + length > end:
            raise ParseError(f"an attribute of {length} bytes at byte {at} of {end}", source)
        yield kind & TYPE_MASK, at + ATTRIBUTE_BYTES, at + length
        at += (length + 3) & ~3
    if at < end:
        raise ParseError(f"{end - at} bytes behind the last attribute", source)


def attribute(kind: int, value: bytes, nested: bool = False) -> bytes:
    """One attribute with its padding."""
    return ATTRIBUTE.pack(4 + len(value), kind | (NESTED if nested else 0)) + value + bytes(-len(value) % 4)


def message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    """One message with its header."""
    return HEADER.pack(HEADER_BYTES + len(payload), kind, flags, sequence, 0) + payload
