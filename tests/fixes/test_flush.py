"""Entries deleted one by one: the requests as bytes; the kernel's own answer is in tests/realkernel."""

import struct

from tablefull.fixes import flush
from tablefull.wire import ctnetlink as at
from tablefull.wire import nlattr


def entry() -> bytes:
    """An entry as a dump has it: original and reply tuple, status, zone, id."""
    ip = nlattr.attribute(1, nlattr.attribute(1, b"\x0a\0\0\1") + nlattr.attribute(2, b"\x0a\0\0\2"), nested=True)
    tuple_of = nlattr.attribute(at.TUPLE_ORIG, ip, nested=True)
    reply = nlattr.attribute(at.TUPLE_REPLY, ip, nested=True)
    rest = nlattr.attribute(at.STATUS, bytes(4)) + nlattr.attribute(at.ZONE, b"\0\7") + nlattr.attribute(at.ID, b"abcd")
    return nlattr.message(at.SUBSYSTEM << 8 | at.NEW, 0, 1, struct.pack(">BBH", 2, 0, 0) + tuple_of + reply + rest)


def test_an_entry_is_named_by_its_original_tuple_its_zone_and_its_id() -> None:
    data = entry()
    (message,) = nlattr.messages(data, len(data))
    name = flush._name(data, message)
    kinds = {kind: bytes(name[begin:end]) for kind, begin, end in nlattr.attributes(name, 0, len(name))}
    assert set(kinds) == {at.TUPLE_ORIG, at.ZONE, at.ID}
    assert kinds[at.ZONE] == b"\0\7"
    assert kinds[at.ID] == b"abcd"
    assert b"\x0a\0\0\1" in kinds[at.TUPLE_ORIG]
