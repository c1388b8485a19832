"""Messages byte by byte after rtnetlink.h and if_link.h; that the kernel takes them shows in tests/live/test_prove.py."""

import struct

from tablefull.wire import nlattr, rtnetlink


def parts(data: bytes) -> tuple[nlattr.Message, tuple[int, ...], dict[int, bytes]]:
    (message,) = nlattr.messages(data, len(data))
    info = struct.unpack_from("=BxHiII", data, message.begin)
    found = {kind: data[at:end] for kind, at, end in nlattr.attributes(data, message.begin + 16, message.end)}
    return message, info, found


def inner(data: bytes) -> dict[int, bytes]:
    return {kind: data[at:end] for kind, at, end in nlattr.attributes(data, 0, len(data))}


def test_a_pair_with_its_peer_elsewhere() -> None:
    message, info, found = parts(rtnetlink.pair_request(7, "tfw1a", "tfw1b", 5))
    assert (message.type, message.sequence) == (16, 7)
    assert message.flags == nlattr.REQUEST | nlattr.ACK | nlattr.CREATE | nlattr.EXCLUSIVE
    assert info[3] == 0x80  # IFF_NOARP, and not up
    assert found[3] == b"tfw1a\0"
    link = inner(found[18])
    assert link[1] == b"veth\0"
    peer = inner(link[2])[1]
    names = inner(peer[16:])
    assert names[3] == b"tfw1b\0"
    assert struct.unpack("=I", names[28]) == (5,)


def test_up_quiet_and_away_name_the_link_by_its_index() -> None:
    message, info, _ = parts(rtnetlink.up_request(1, 42))
    assert (message.type, info[2], info[3], info[4]) == (16, 42, 0x81, 0x81)
    message, info, found = parts(rtnetlink.quiet_request(1, 42))
    assert (message.type, info[2], info[4]) == (16, 42, 0)
    assert inner(inner(found[26])[10])[8] == b"\1"  # IFLA_AF_SPEC, AF_INET6, addr_gen_mode none
    message, info, _ = parts(rtnetlink.remove_request(1, 42))
    assert (message.type, info[2]) == (17, 42)


def test_the_kind_of_a_link() -> None:
    data = rtnetlink.pair_request(7, "tfw1a", "tfw1b", 5)
    (message,) = nlattr.messages(data, len(data))
    assert rtnetlink.kind_of(data, message) == "veth"
    data = rtnetlink.up_request(1, 42)
    (message,) = nlattr.messages(data, len(data))
    assert rtnetlink.kind_of(data, message) == ""
    data = rtnetlink.links(3)
    (message,) = nlattr.messages(data, len(data))
    assert (message.type, message.flags) == (18, nlattr.REQUEST | 0x300)
    assert rtnetlink.kind_of(data, message) == ""


def test_tc_actions_of_a_kind() -> None:
    data = rtnetlink.actions(3, "ct")
    (message,) = nlattr.messages(data, len(data))
    assert message.type == 50
    table = inner(data[message.begin + 4 : message.end])[1]
    assert inner(inner(table)[1])[1] == b"ct\0"
    one = nlattr.attribute(1, nlattr.attribute(1, b"ct\0"), nested=True)
    tab = nlattr.attribute(1, one + one, nested=True)
    answer = nlattr.message(50, 2, 3, bytes(4) + nlattr.attribute(3, bytes(4)) + tab)
    (message,) = nlattr.messages(answer, len(answer))
    assert rtnetlink.action_count(answer, message) == 2
    empty = nlattr.message(50, 2, 3, b"")
    (message,) = nlattr.messages(empty, len(empty))
    assert rtnetlink.action_count(empty, message) == 0


def test_an_address_without_a_network() -> None:
    data = rtnetlink.address_request(1, 42, bytes((192, 0, 2, 1)))
    (message,) = nlattr.messages(data, len(data))
    assert message.type == 20
    assert struct.unpack_from("=BBBBI", data, message.begin) == (2, 32, 0, 0, 42)
    found = {kind: data[at:end] for kind, at, end in nlattr.attributes(data, message.begin + 8, message.end)}
    assert found[1] == found[2] == bytes((192, 0, 2, 1))
    assert struct.unpack("=I", found[8]) == (0x202,)
