"""SCTP associations packet by packet, both engines: RFC 9260, KERNEL.md 2.4 and 10 (conntrack_sctp_collision)."""

import struct

import pytest
from tests.realkernel.headers import SCTP
from tests.twin.both import HOSTS, HOSTS6, Both

from tablefull.kernel import sctp
from tablefull.twin.reference_packet import crc32c


def chunk(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack(">BBH", kind, flags, 4 + len(body)) + body + bytes(-len(body) % 4)


def init(kind: int, tag: int) -> bytes:
    return chunk(kind, struct.pack(">IIHHI", tag, 65535, 1, 1, 1))


def send(both: Both, time_s: float, side: int, tag: int, *chunks: bytes, hosts=HOSTS) -> str:
    ports = (5000, 6000) if side == 0 else (6000, 5000)
    head = struct.pack(">HHI", *ports, tag)
    body = head + bytes(4) + b"".join(chunks)
    check = struct.pack("<I", crc32c(body))
    return both.packet(time_s, hosts.link(side).packet(SCTP, head + check + b"".join(chunks)))


def opened(hosts=HOSTS) -> Both:
    both = Both()
    assert send(both, 1, 0, 0, init(1, 11), hosts=hosts) == "new original"
    assert send(both, 1, 1, 11, init(2, 22), hosts=hosts) == "established reply"
    assert send(both, 1, 0, 22, chunk(10, b"cookie"), hosts=hosts) == "established original"
    assert send(both, 1, 1, 11, chunk(11), hosts=hosts) == "established reply"
    return both


@pytest.mark.parametrize("hosts", [HOSTS, HOSTS6], ids=["ipv4", "ipv6"])
def test_an_association_opens_lives_and_ends(hosts) -> None:
    both = opened(hosts)
    assert both.only() == "ESTABLISHED 210 [ASSURED]"
    assert send(both, 2, 0, 22, chunk(0, b"data"), hosts=hosts) == "established original"
    assert send(both, 2, 0, 22, chunk(7, bytes(4)), hosts=hosts) == "established original"
    assert both.only() == "SHUTDOWN_SENT 3 [ASSURED]"
    assert send(both, 2, 1, 11, chunk(8), hosts=hosts) == "established reply"
    assert both.only() == "SHUTDOWN_ACK_SENT 3 [ASSURED]"
    assert send(both, 2, 0, 22, chunk(14), hosts=hosts) == "established original"
    assert both.only() == "CLOSED 10 [ASSURED]"
    both.same()


def test_a_wrong_tag_is_invalid_and_changes_nothing() -> None:
    both = opened()
    assert send(both, 2, 0, 23, chunk(0, b"data")) == "invalid"
    assert send(both, 2, 0, 23, chunk(6)) == "invalid"
    assert both.only(1) == "ESTABLISHED 210 [ASSURED]"
    assert send(both, 2, 0, 11, chunk(6, flags=sctp.CHUNK_T)) == "established original"
    assert both.only() == "CLOSED 10 [ASSURED]"


@pytest.mark.parametrize(
    "chunks",
    [
        (chunk(6),),  # ABORT, SHUTDOWN COMPLETE and COOKIE ACK begin nothing
        (chunk(14),),
        (chunk(11),),
        (chunk(0, b"data"),),
        (init(1, 5), chunk(0, b"data")),  # INIT stands alone
        (chunk(0, b"data"), chunk(10, b"cookie")),  # COOKIE ECHO comes first
        (struct.pack(">BBH", 1, 0, 0),),  # a chunk of no length
        (),
    ],
)
def test_what_begins_nothing(chunks: tuple[bytes, ...]) -> None:
    both = Both()
    assert send(both, 1, 0, 0, *chunks) == "invalid"
    assert both.same().count == 0


def test_a_heartbeat_begins_a_second_path() -> None:
    both = Both()
    assert send(both, 1, 0, 77, chunk(4, b"beat")) == "new original"
    assert both.only() == "HEARTBEAT_SENT 30 [UNREPLIED]"
    assert send(both, 1, 1, 88, chunk(5, b"beat")) == "established reply"
    assert both.only() == "ESTABLISHED 210 [ASSURED]"


def test_inits_that_cross() -> None:
    """Both sides open at once: the later INIT ACK must carry the tag that the crossing INIT announced."""
    both = Both()
    assert send(both, 1, 0, 0, init(1, 11)) == "new original"
    assert send(both, 1, 1, 0, init(1, 22)) == "established reply"
    assert send(both, 1, 0, 22, init(2, 11)) == "established original"
    assert send(both, 1, 1, 11, init(2, 99)) == "invalid"
    assert send(both, 1, 1, 11, init(2, 22)) == "established reply"
    assert send(both, 1, 0, 22, chunk(10, b"cookie")) == "established original"
    assert send(both, 1, 1, 11, chunk(11)) == "established reply"
    assert both.only() == "ESTABLISHED 210 [ASSURED]"


def test_a_bad_crc_is_invalid() -> None:
    both = Both()
    body = struct.pack(">HHII", 5000, 6000, 0, 12345) + init(1, 11)
    assert both.packet(1, HOSTS.link(0).packet(SCTP, body)) == "invalid"
    assert Both(settings={"nf_conntrack_checksum": 0}).packet(1, HOSTS.link(0).packet(SCTP, body)) == "new original"
