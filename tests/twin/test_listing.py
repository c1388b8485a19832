"""Entries in words: lines that a kernel (6.18.44, conntrack-tools 1.4.7) printed, and the facts our own parser reads.

The recorded runs (test_recorded.py) compare thousands of lines; here stands one of each kind.
"""

import ipaddress
import socket

import pytest
from msgspec import structs

from tablefull.facts.entry import CtTuple
from tablefull.parsers.conntrack_entries import decode
from tablefull.twin import listing
from tablefull.twin import state as at
from tablefull.twin.listing import Listed

HOST, OTHER = (0x0A010001, 0, 0, 0), (0x0A020002, 0, 0, 0)
HOST6, OTHER6 = (0x20010DB8, 0x000A0000, 0, 1), (0x20010DB8, 0x000B0000, 0, 2)
BOTH = at.SEEN_REPLY | at.CONFIRMED

LINES = [
    (
        Listed(6, 4, HOST, OTHER, 1000 << 16 | 80, (0, 0), BOTH | at.ASSURED, 3, 431999),
        (
            "ipv4     2 tcp      6 431999 ESTABLISHED src=10.1.0.1 dst=10.2.0.2 sport=1000 dport=80 "
            "src=10.2.0.2 dst=10.1.0.1 sport=80 dport=1000 [ASSURED] mark=0 use=1"
        ),
        (
            "ipv4     2 tcp      6 431999 ESTABLISHED src=10.1.0.1 dst=10.2.0.2 sport=1000 dport=80 "
            "src=10.2.0.2 dst=10.1.0.1 sport=80 dport=1000 [ASSURED] mark=0 zone=0 use=2"
        ),
    ),
    (
        Listed(17, 6, HOST6, OTHER6, 4000 << 16 | 53, (5, 5), at.CONFIRMED, 0, 29, (1, 60, 0, 0)),
        (
            "ipv6     10 udp      17 29 src=2001:db8:a::1 dst=2001:db8:b::2 sport=4000 dport=53 packets=1 bytes=60 "
            "[UNREPLIED] src=2001:db8:b::2 dst=2001:db8:a::1 sport=53 dport=4000 packets=0 bytes=0 mark=0 zone=5 use=1"
        ),
        (
            "ipv6     10 udp      17 29 src=2001:0db8:000a:0000:0000:0000:0000:0001 "
            "dst=2001:0db8:000b:0000:0000:0000:0000:0002 sport=4000 dport=53 packets=1 bytes=60 [UNREPLIED] "
            "src=2001:0db8:000b:0000:0000:0000:0000:0002 dst=2001:0db8:000a:0000:0000:0000:0000:0001 "
            "sport=53 dport=4000 packets=0 bytes=0 mark=0 zone=5 use=2"
        ),
    ),
    (
        Listed(1, 4, HOST, OTHER, 7 << 16 | 8 << 8, (0, 0), BOTH, 0, 28),
        (
            "ipv4     2 icmp     1 28 src=10.1.0.1 dst=10.2.0.2 type=8 code=0 id=7 "
            "src=10.2.0.2 dst=10.1.0.1 type=0 code=0 id=7 mark=0 use=1"
        ),
        None,
    ),
    (
        Listed(132, 4, HOST, OTHER, 5000 << 16 | 6000, (0, 0), BOTH, 1, 9),
        (
            "ipv4     2 sctp     132 9 CLOSED src=10.1.0.1 dst=10.2.0.2 sport=5000 dport=6000 "
            "src=10.2.0.2 dst=10.1.0.1 sport=6000 dport=5000 mark=0 use=1"
        ),
        None,
    ),
    (
        Listed(47, 4, HOST, OTHER, 0, (0, 0), at.CONFIRMED, 0, 30, None, (30, 180)),
        (
            "ipv4     2 gre      47 30 src=10.1.0.1 dst=10.2.0.2 srckey=0x0 dstkey=0x0 [UNREPLIED] "
            "src=10.2.0.2 dst=10.1.0.1 srckey=0x0 dstkey=0x0 mark=0 use=1"
        ),
        (
            "ipv4     2 gre      47 30 timeout=30, stream_timeout=180 src=10.1.0.1 dst=10.2.0.2 srckey=0x0 dstkey=0x0 "
            "[UNREPLIED] src=10.2.0.2 dst=10.1.0.1 srckey=0x0 dstkey=0x0 mark=0 zone=0 use=2"
        ),
    ),
    (
        Listed(99, 4, HOST, OTHER, 0, (0, 0), at.CONFIRMED, 0, 600),
        "ipv4     2 unknown  99 600 src=10.1.0.1 dst=10.2.0.2 [UNREPLIED] src=10.2.0.2 dst=10.1.0.1 mark=0 use=1",
        None,
    ),
    (
        Listed(17, 4, HOST, OTHER, 1 << 16 | 2, (3, 0), at.CONFIRMED, 0, 5),
        (
            "ipv4     2 udp      17 5 src=10.1.0.1 dst=10.2.0.2 sport=1 dport=2 zone-orig=3 [UNREPLIED] "
            "src=10.2.0.2 dst=10.1.0.1 sport=2 dport=1 mark=0 use=1"
        ),
        None,
    ),
]


@pytest.mark.parametrize(("entry", "extended", "proc"), LINES)
def test_lines(entry: Listed, extended: str, proc: str | None) -> None:
    assert listing.line(entry, "extended") == extended
    if proc is not None:
        assert listing.line(entry, "proc") == proc


def short(ends: CtTuple) -> CtTuple:
    """The addresses as conntrack writes them; the file spells out those of IPv6."""
    return structs.replace(ends, **{name: str(ipaddress.ip_address(getattr(ends, name))) for name in ("src", "dst")})


@pytest.mark.parametrize("entry", [each[0] for each in LINES])
@pytest.mark.parametrize("form", ["extended", "proc"])
def test_a_listing_of_it_gives_the_same_fact(entry: Listed, form: str) -> None:
    """Our parser of listings, tested on other programs' output, reads what the twin says of the entry itself."""
    fact = listing.fact(entry)
    read = decode(listing.line(entry, form), fact.origin)
    assert read is not None
    if form == "proc":  # one more user, and always a zone
        read = structs.replace(read, use=1, zone=read.zone or None)
        read = structs.replace(read, original=short(read.original), reply=short(read.reply))
    assert read == fact


def test_addresses_as_libc_writes_them() -> None:
    for text in ("::", "::1", "2001:db8::1:0:0:1", "fe80::1", "1:0:0:2::", "::ffff:10.0.0.1"):
        packed = ipaddress.IPv6Address(text).packed
        words = tuple(int.from_bytes(packed[at_ : at_ + 4], "big") for at_ in (0, 4, 8, 12))
        written = listing.address(6, words)  # type: ignore[arg-type]
        assert socket.inet_pton(socket.AF_INET6, written) == packed
        full = listing.address(6, words, full=True)  # type: ignore[arg-type]
        assert socket.inet_pton(socket.AF_INET6, full) == packed
        assert len(full) == 39
