"""rtnetlink: the few messages that make a pair of virtual links, bring one up and take it away.

The trap: a link that comes up speaks. IPv6 gives it an address, looks whether somebody has it, and asks for routers; so
the pair is made without an address mode, and without ARP nothing asks who is at the other end.

[include/uapi/linux/rtnetlink.h, if_link.h, veth.h]
"""

import struct

from tablefull.wire import nlattr

NEWLINK, DELLINK, GETLINK, NEWADDR, GETACTION = 16, 17, 18, 20, 50
_ACT_TAB, _ACT_KIND = 1, 1  # TCA_ROOT_TAB, TCA_ACT_KIND
_TCA_BYTES = 4  # struct tcamsg
_INFO = struct.Struct("=BxHiII")  # struct ifinfomsg
_IFNAME, _NET_NS_FD, _LINKINFO, _AF_SPEC = 3, 28, 18, 26
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_AF_INET, _AF_INET6, _ADDR_GEN_MODE, _GEN_NONE = 2, 10, 8, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_NODAD, _NOPREFIXROUTE = 0x02, 0x200  # include/uapi/linux/if_addr.h
UP, NOARP = 0x1, 0x80


def pair_request(sequence: int, name: str, peer: str, peer_namespace: int) -> bytes:
    """A pair of links, down: ``name`` here, ``peer`` in the namespace of the open file ``peer_namespace``."""
    other = _INFO.pack(0, 0, 0, NOARP, NOARP) + nlattr.attribute(_IFNAME, peer.encode() + b"\0")
    other += nlattr.attribute(_NET_NS_FD, struct.pack("=I", peer_namespace))
    data = nlattr.attribute(_VETH_PEER, other, nested=True)
    info = nlattr.attribute(_INFO_KIND, b"veth\0") + nlattr.attribute(_INFO_DATA, data, nested=True)
    payload = _INFO.pack(0, 0, 0, NOARP, NOARP) + nlattr.attribute(_IFNAME, name.encode() + b"\0")
    payload += nlattr.attribute(_LINKINFO, info, nested=True)
    flags = nlattr.REQUEST | nlattr.ACK | nlattr.CREATE | nlattr.EXCLUSIVE
    return nlattr.message(NEWLINK, flags, sequence, payload)


def quiet_request(sequence: int, index: int) -> bytes:
    """The link of this index makes no IPv6 address of its own. EAFNOSUPPORT where it has no IPv6."""
    mode = nlattr.attribute(_ADDR_GEN_MODE, bytes((_GEN_NONE,)))
    spec = nlattr.attribute(_AF_SPEC, nlattr.attribute(_AF_INET6, mode, nested=True), nested=True)
    return nlattr.message(NEWLINK, nlattr.REQUEST | nlattr.ACK, sequence, _INFO.pack(0, 0, index, 0, 0) + spec)


def up_request(sequence: int, index: int) -> bytes:
    """The link of this index goes up, without ARP."""
    payload = _INFO.pack(0, 0, index, UP | NOARP, UP | NOARP)
    return nlattr.message(NEWLINK, nlattr.REQUEST | nlattr.ACK, sequence, payload)


def address_request(sequence: int, index: int, address: bytes) -> bytes:
    """The link of this index has this one address, with no network behind it and nobody asked whether it is free."""
    family = _AF_INET if len(address) == 4 else _AF_INET6
    payload = struct.pack("=BBBBI", family, 8 * len(address), 0, 0, index)
    payload += nlattr.attribute(_IFA_LOCAL, address) + nlattr.attribute(_IFA_ADDRESS, address)
    payload += nlattr.attribute(_IFA_FLAGS, struct.pack("=I", _NODAD | _NOPREFIXROUTE))
    flags = nlattr.REQUEST | nlattr.ACK | nlattr.CREATE | nlattr.EXCLUSIVE
    return nlattr.message(NEWADDR, flags, sequence, payload)


def links(sequence: int) -> bytes:
    """All links of the namespace."""
    return nlattr.message(GETLINK, nlattr.REQUEST | nlattr.ROOT | nlattr.MATCH, sequence, _INFO.pack(0, 0, 0, 0, 0))


def kind_of(data: bytes | bytearray | memoryview, message: nlattr.Message) -> str:
    """bridge, veth, openvswitch and the like; empty for a link of no kind."""
    if message.type != NEWLINK or message.begin + _INFO.size > message.end:
        return ""
    for kind, at, end in nlattr.attributes(data, message.begin + _INFO.size, message.end, "rtnetlink"):
        if kind == _LINKINFO:
            for inner, begin, until in nlattr.attributes(data, at, end, "rtnetlink"):
                if inner == _INFO_KIND:
                    return bytes(data[begin:until]).rstrip(b"\0").decode("ascii", "replace")
    return ""


def actions(sequence: int, kind: str) -> bytes:
    """All tc actions of one kind in the namespace. A kind that is not loaded is refused and not loaded by asking.
    [tc_dump_action: tc_lookup_action, 2.6.18..6.18]
    """
    inner = nlattr.attribute(_ACT_KIND, kind.encode() + b"\0")
    table = nlattr.attribute(_ACT_TAB, nlattr.attribute(1, inner, nested=True), nested=True)
    return nlattr.message(GETACTION, nlattr.REQUEST | nlattr.ROOT | nlattr.MATCH, sequence, bytes(_TCA_BYTES) + table)


def action_count(data: bytes | bytearray | memoryview, message: nlattr.Message) -> int:
    """How many actions a message of the answer holds. Its own count is 0 for a short answer [measured on 6.18.44]."""
    if message.begin + _TCA_BYTES > message.end:
        return 0
    for kind, at, end in nlattr.attributes(data, message.begin + _TCA_BYTES, message.end, "rtnetlink"):
        if kind == _ACT_TAB:
            return sum(1 for _ in nlattr.attributes(data, at, end, "rtnetlink"))
    return 0


def remove_request(sequence: int, index: int) -> bytes:
    """The link of this index, and with it its peer, is taken away."""
    return nlattr.message(DELLINK, nlattr.REQUEST | nlattr.ACK, sequence, _INFO.pack(0, 0, index, 0, 0))
