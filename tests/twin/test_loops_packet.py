"""The compiled reader against the plain one, row by row, on packets that are right, cut, changed and made of nothing."""

from functools import cache
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.realkernel import traffic
from tests.twin.both import HOSTS, HOSTS6

from tablefull.twin import loops_packet, reference_packet
from tablefull.twin import state as at
from tablefull.twin.reference_packet import Reading

READ = loops_packet.READ_CHECKSUM, loops_packet.READ_OFFLOADED, loops_packet.READ_REDIRECTS
KINDS = list(traffic.KINDS)
TUPLED = (at.KIND_TRACK, at.KIND_ICMP_ERROR)


@cache
def packets(kind: str) -> list[bytes]:
    """Some of what the kernel is asked about."""
    return [sent[1] for sent in traffic.only(kind, 7, 400)]


def compare(data: bytes, wire: int, flags: int, reading: Reading) -> int:
    """Read it both ways; the kind that both say."""
    held = np.frombuffer(data + bytes(1), np.uint8)
    row = np.zeros(at.PACKET_WORDS, np.uint32)
    mode = sum(bit * int(on) for bit, on in zip(READ, reading, strict=True))
    kind = loops_packet.decode(held.ctypes.data, 0, len(data), wire, flags, mode, 5, 0, row.ctypes.data)
    plain = reference_packet.decode(data, wire, reading, whole=bool(flags & at.FLAG_WHOLE))
    assert kind & ~at.CUT == plain.kind & ~at.CUT, (data.hex(), plain)
    if kind & 0xFF in TUPLED:
        assert tuple(row[at.P_SRC : at.P_SRC + 4]) == plain.src
        assert tuple(row[at.P_DST : at.P_DST + 4]) == plain.dst
        assert int(row[at.P_PORTS]) == plain.ports
        assert int(row[at.P_PROTO]) == plain.proto | plain.family << 8
        assert int(row[at.P_LENGTH]) == plain.length
    if kind == at.KIND_TRACK and plain.proto == 6:
        assert tuple(int(row[word]) for word in (at.P_SEQ, at.P_ACK, at.P_END, at.P_SACK)) == (
            *(plain.seq, plain.ack, plain.end, plain.sack),
        )
        window = int(row[at.P_WINDOW])
        assert (window & 0xFFFF, window >> 16 & 0xFF, window >> 24) == (plain.window, plain.segment, plain.flags)
    if kind == at.KIND_TRACK and plain.proto == 132:
        assert (int(row[at.P_CHUNKS]), int(row[at.P_TAG])) == (plain.chunks, plain.tag)
    return kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reading", [Reading(), Reading(False), Reading(True, True), Reading(True, False, False)])
def test_every_generator(kind: str, reading: Reading) -> None:
    seen = {compare(data, len(data), 0, reading) & 0xFF for data in packets(kind)}
    assert at.KIND_TRACK in seen or (kind == "neighbours" and at.KIND_UNTRACKED in seen) or at.KIND_HELD in seen


@settings(max_examples=400)
@given(st.sampled_from(KINDS), st.integers(0, 399), st.integers(0, 2**32), st.booleans(), st.sampled_from([0, 8]))
def test_changed_and_cut(kind: str, number: int, seed: int, checked: bool, flags: int) -> None:
    found = packets(kind)
    data, chance = bytearray(found[number % len(found)]), Random(seed)
    wire = len(data)
    for _ in range(chance.randrange(4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    del data[chance.randrange(len(data) + 1) if chance.random() < 0.4 else len(data) :]
    compare(bytes(data), wire if chance.random() < 0.5 else len(data), flags, Reading(checked, chance.random() < 0.3))


@settings(max_examples=400)
@given(st.binary(max_size=100), st.sampled_from([b"", b"\x45", b"\x46", b"\x60"]), st.integers(0, 40))
def test_garbage(data: bytes, first: bytes, more: int) -> None:
    compare(first + data, len(first + data) + more, 0, Reading(False))


def test_flags_by_hand() -> None:
    """What is skipped, exempted or reassembled is said before anything else is read."""
    data = HOSTS.link(0).udp(1, 2, b"x")
    held, row = np.frombuffer(data, np.uint8), np.zeros(at.PACKET_WORDS, np.uint32)

    def kind(flags: int, base: int = 0, size: int = len(data)) -> int:
        return loops_packet.decode(held.ctypes.data, base, size, size, flags, 0, 5, 0, row.ctypes.data)

    assert kind(0) == at.KIND_TRACK
    assert kind(at.FLAG_SKIP) == at.KIND_SKIP
    assert kind(0, base=-1) == at.KIND_SKIP
    assert kind(at.FLAG_UNTRACKED) == at.KIND_UNTRACKED
    assert kind(at.FLAG_UNTRACKED, size=10) == at.KIND_DROPPED
    assert tuple(row[:2]) == (0x0A010001, 0)
    assert int(row[at.P_PORTS]) == 1 << 16 | 2


@pytest.mark.parametrize("hosts", [HOSTS, HOSTS6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 31, 32, 33, 63, 64, 65, 1459, 1460])
def test_checksums_of_every_length(hosts, size: int) -> None:
    """The sum goes word by word and has odd ends; one bit flipped anywhere is seen."""
    payload = bytes((index * 37 + 11) % 256 for index in range(size))
    data = hosts.link(0).udp(4000, 53, payload)
    assert compare(data, len(data), 0, Reading()) == at.KIND_TRACK
    for at_byte in {len(data) - 1, len(data) // 2 + 1, 8 if hosts is HOSTS6 else 12}:
        wrong = bytearray(data)
        wrong[at_byte] ^= 0x10
        assert compare(bytes(wrong), len(data), 0, Reading()) in (at.KIND_TRACK | at.BAD, at.KIND_DROPPED)
