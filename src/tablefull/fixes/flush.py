"""Entries taken out of the table by ctnetlink: those that an expression chooses, one by one.

The trap: the kernel's own filters delete too much or nothing (it inverts those by IPv6 address from 5.8 to 6.19,
KERNEL.md 9.2), and between listing and deleting an entry's place may be taken by another one with the same addresses
and ports. So each is named by its whole original tuple, its zone and its id, and one that is gone is no failure.
"""

import errno
import struct

from tablefull.errors import KernelRefused
from tablefull.live.netlink import Netlink, askable
from tablefull.live.proc import Proc
from tablefull.live.table import rows
from tablefull.wire import ctnetlink as at
from tablefull.wire import nlattr
from tablefull.wire.selection import parse

BATCH = 100
_NAMED = (at.TUPLE_ORIG, at.ZONE, at.ID)


def flush(where: str, space: str | None = None) -> str:
    """Delete the entries that ``where`` chooses, in the namespace behind ``space``; how many, in words."""
    test = parse(where)
    askable(Proc())
    wanted: list[tuple[int, bytes]] = []
    reader = at.Reader()
    with Netlink(namespace=space) as link:
        for data, message in link.answers(at.dump_request):
            if not at.is_entry(message):
                continue
            row = reader.row(data, message)
            if row is not None and test(row.__getitem__):
                wanted.append((data[message.begin], _name(data, message)))
    deleted = gone = 0
    with Netlink(namespace=space) as link:
        for begin in range(0, len(wanted), BATCH):
            done, lost = _delete(link, wanted[begin : begin + BATCH])
            deleted, gone = deleted + done, gone + lost
    told = f"{deleted} of {len(wanted)} chosen entries deleted"
    return told + (f", {gone} were gone already" if gone else "")


def some(where: str, space: str | None = None) -> bool:
    """Whether any entry of the whole table is one that ``where`` chooses."""
    test = parse(where)
    askable(Proc())
    with Netlink(namespace=space) as link:
        return any(test(row.__getitem__) for row in rows(link, at.Reader()))


def _name(data: at.Data, message: nlattr.Message) -> bytes:
    """The attributes of an entry that say which one it is, as the kernel sent them."""
    begin = message.begin + nlattr.GENERIC_BYTES
    return b"".join(
        nlattr.attribute(kind, bytes(data[first:end]), nested=kind == at.TUPLE_ORIG)
        for kind, first, end in nlattr.attributes(data, begin, message.end, "ctnetlink")
        if kind in _NAMED
    )


def _delete(link: Netlink, named: list[tuple[int, bytes]]) -> tuple[int, int]:
    flags = nlattr.REQUEST | nlattr.ACK
    kind = at.SUBSYSTEM << 8 | at.DELETE
    sent = b"".join(
        nlattr.message(kind, flags, number + 1, struct.pack(">BBH", family, 0, 0) + name)
        for number, (family, name) in enumerate(named)
    )
    link.socket.send(sent)
    answered = deleted = gone = 0
    data = memoryview(bytearray(1 << 16))
    while answered < len(named):
        size = link.receive(data)
        for message in nlattr.messages(data, size, link.name):
            if message.type != nlattr.ERROR:
                continue
            answered += 1
            code = -struct.unpack_from("=i", data, message.begin)[0]
            if code == 0:
                deleted += 1
            elif code == errno.ENOENT:
                gone += 1
            else:
                raise KernelRefused(f"{link.name}: an entry could not be deleted: {errno.errorcode.get(code, code)}")
    return deleted, gone
