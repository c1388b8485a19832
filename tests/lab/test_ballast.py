"""Ballast: messages read back by the project's own reader of netlink, and by the running kernel in test_lab.py."""

import socket
import struct

import pytest

from tablefull.lab.ballast import ASSURED, PORTS, SEEN_REPLY, Kind, message, messages
from tablefull.wire import ctnetlink, nlattr

KIND = Kind(server="10.77.0.80", dport=80, least_s=100, most_s=200)


def told(data: bytes) -> dict[int, bytes]:
    (one,) = nlattr.messages(data, len(data))
    assert one.type == ctnetlink.SUBSYSTEM << 8 | ctnetlink.NEW
    assert data[one.begin] == socket.AF_INET
    return {kind: data[begin:end] for kind, begin, end in nlattr.attributes(data, one.begin + 4, one.end)}


def ends(data: bytes) -> tuple[str, str, int, int, int]:
    """Source, destination, protocol and ports of a tuple (nf_conntrack.h: CTA_TUPLE_IP, CTA_TUPLE_PROTO)."""
    parts = {kind: data[begin:end] for kind, begin, end in nlattr.attributes(data, 0, len(data))}
    ip = {kind: parts[1][begin:end] for kind, begin, end in nlattr.attributes(parts[1], 0, len(parts[1]))}
    proto = {kind: parts[2][begin:end] for kind, begin, end in nlattr.attributes(parts[2], 0, len(parts[2]))}
    ports = tuple(struct.unpack(">H", proto[kind])[0] for kind in (2, 3))
    return socket.inet_ntoa(ip[1]), socket.inet_ntoa(ip[2]), proto[1][0], *ports  # type: ignore[return-value]


def test_one_entry_both_ways() -> None:
    parts = told(message(KIND, 0xC6120001, 40000, 150))
    assert ends(parts[ctnetlink.TUPLE_ORIG]) == ("198.18.0.1", "10.77.0.80", 6, 40000, 80)
    assert ends(parts[ctnetlink.TUPLE_REPLY]) == ("10.77.0.80", "198.18.0.1", 6, 80, 40000)
    assert struct.unpack(">I", parts[ctnetlink.TIMEOUT])[0] == 150
    assert struct.unpack(">I", parts[ctnetlink.STATUS])[0] == SEEN_REPLY | ASSURED | 1 << 3


def test_no_two_are_alike_and_all_are_within_the_network_for_benchmarks() -> None:
    count = 3 * PORTS + 5
    seen = set()
    for data in messages(KIND, count):
        parts = told(data)
        source, server, _, sport, dport = ends(parts[ctnetlink.TUPLE_ORIG])
        assert ends(parts[ctnetlink.TUPLE_REPLY]) == (server, source, 6, dport, sport)
        seen.add((source, sport))
        if len(seen) < 2000:
            assert source.startswith(("198.18.", "198.19."))
            assert 100 <= struct.unpack(">I", parts[ctnetlink.TIMEOUT])[0] < 200
        elif len(seen) == 2000:
            break
    words = {data[20:] for data in messages(KIND, count)}
    assert len(words) == count


@pytest.mark.parametrize(("proto", "has_state"), [(6, True), (17, False)])
def test_a_state_is_tcps_alone(proto: int, has_state: bool) -> None:
    parts = told(message(Kind(server="10.0.0.1", dport=53, proto=proto), 0xC6120001, 1024, 30))
    assert (ctnetlink.PROTOINFO in parts) is has_state
