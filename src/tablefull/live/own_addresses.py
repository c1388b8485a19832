"""The addresses that a network namespace has itself.

The trap: on a NAT gateway one address stands in four entries of five, and it is the gateway's own: true, and no answer
to "who fills it". rtnetlink is part of every kernel with networking, so asking it loads nothing.

[include/uapi/linux/rtnetlink.h, if_addr.h]
"""

import struct

from tablefull.errors import KernelRefused
from tablefull.live.netlink import NETLINK_ROUTE, Netlink
from tablefull.wire import nlattr

GET_ADDRESS, NEW_ADDRESS = 22, 20
ADDRESS, LOCAL = 1, 2
HEADER_BYTES = 8
FAMILIES = {2: 4, 10: 6}
Key = tuple[int, int, int, int, int]  # four words of an address, and its family: as wire.dimensions has it


def key_of(packed: bytes) -> Key:
    """An address as the key of a dimension."""
    words = [int.from_bytes(packed[at : at + 4], "big") for at in range(0, len(packed), 4)] + [0, 0, 0]
    return words[0], words[1], words[2], words[3], 4 if len(packed) == 4 else 6


def own(namespace: str | None = None) -> frozenset[Key]:
    """Every address of the namespace's interfaces; empty where it is not told."""
    found = set()
    try:
        with Netlink(NETLINK_ROUTE, namespace) as link:
            for data, message in link.answers(_request):
                if message.type == NEW_ADDRESS:
                    found.update(_addresses(data, message))
    except KernelRefused:
        return frozenset()
    return frozenset(found)


def _request(sequence: int) -> bytes:
    return nlattr.message(
        GET_ADDRESS, nlattr.REQUEST | nlattr.ROOT | nlattr.MATCH, sequence, struct.pack("=BBBBI", 0, 0, 0, 0, 0)
    )


def _addresses(data: memoryview, message: nlattr.Message) -> list[Key]:
    """IFA_LOCAL is the own end of a point-to-point link, IFA_ADDRESS then the other one."""
    values = {
        kind: bytes(data[at:end])
        for kind, at, end in nlattr.attributes(data, message.begin + HEADER_BYTES, message.end)
        if kind in (ADDRESS, LOCAL)
    }
    packed = values.get(LOCAL) or values.get(ADDRESS) or b""
    return [key_of(packed)] if len(packed) in (4, 16) else []
