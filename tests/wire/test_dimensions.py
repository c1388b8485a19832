"""Keys in words."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.ctnetlink_bytes import FULL, PING, SIX, WHOLE
from tests.wire.test_ctnetlink import read

from tablefull.errors import UsageError
from tablefull.wire import ctnetlink as at
from tablefull.wire.dimensions import DIMENSIONS, address, named, state_name


def said(name: str, row: at.Row) -> str:
    dimension = named(name)
    masks = dimension.masks or (0xFFFFFFFF,) * len(dimension.words)
    return dimension.say(tuple(row[word] & mask for word, mask in zip(dimension.words, masks, strict=True)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("state", ("tcp ESTABLISHED", "udp", "icmp")),
        ("proto", ("tcp", "udp", "icmp")),
        ("source", ("10.0.0.1", "2001:db8::1", "10.0.0.1")),
        ("dst", ("10.0.0.2", "2001:db8::2", "10.0.0.2")),
        ("reply-source", ("10.0.0.2", "2001:db8::2", "10.0.0.2")),
        ("dport", ("tcp/443", "udp/53", "icmp")),
        ("status", ("assured", "unreplied", "seen_reply")),
        ("nat", ("none", "none", "none")),
        ("family", ("ipv4", "ipv6", "ipv4")),
        ("zone", ("0", "0", "original 3, reply 0")),
        ("mark", ("0x7", "0", "0")),
        ("helper", ("none", "none", "none")),
        ("source+dport", ("10.0.0.1  tcp/443", "2001:db8::1  udp/53", "10.0.0.1  icmp")),
    ],
)
def test_words(name: str, expected: tuple[str, ...]) -> None:
    assert tuple(said(name, read(*parts)) for parts in (WHOLE, SIX, PING)) == expected


def test_bits_that_say_nothing_are_left_out() -> None:
    """KERNEL.md 9.1: snat_done and dnat_done are set wherever NAT hooks exist."""
    row = list(read(*WHOLE))
    row[at.R_STATUS] = 0x18E
    assert said("status", tuple(row)) == "assured"
    assert said("nat", tuple(row)) == "none"
    row[at.R_STATUS] |= 1 << 4 | 1 << 5
    assert said("nat", tuple(row)) == "snat dnat"


def test_helper_and_offload() -> None:
    assert said("helper", read(*FULL)) == "ftp"
    assert state_name(6, at.ABSENT) == ""
    assert state_name(17, 3) == ""
    assert state_name(6, 99) == "99"


@given(st.binary(min_size=16, max_size=16))
def test_addresses(packed: bytes) -> None:
    words = [int.from_bytes(packed[i : i + 4], "big") for i in range(0, 16, 4)]
    assert socket.inet_pton(socket.AF_INET6, address(6, words)) == packed
    assert socket.inet_pton(socket.AF_INET, address(4, words)) == packed[:4]
    assert address(0, words) == "?"


def test_names() -> None:
    assert named("SRC") is DIMENSIONS["source"]
    with pytest.raises(UsageError, match="did you mean dport"):
        named("dportt")
    with pytest.raises(UsageError, match="there are"):
        named("source+zzz")
