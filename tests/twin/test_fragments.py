"""Reassembly by hand: RFC 791 and 8200, and what nf_defrag does beside them; beside the kernel in tests/realkernel."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.realkernel.headers import UDP
from tests.twin.both import HOSTS, HOSTS6, SECOND, Both

from tablefull.twin import Twin
from tablefull.twin.fragments import Fragments

LINK, LINK6 = HOSTS.link(0), HOSTS6.link(0)
BODY = LINK.datagram(UDP, 4000, 53, bytes(range(40)))  # 48 bytes
BODY6 = LINK6.datagram(UDP, 4000, 53, bytes(range(40)))


def piece(begin: int, end: int, more: bool = True, ident: int = 7, body: bytes = BODY) -> bytes:
    """Bytes ``begin`` to ``end`` of a datagram, as a fragment of IPv4."""
    return LINK.packet(UDP, body[begin:end], place=begin // 8 | (0x2000 if more else 0), ident=ident)


def piece6(begin: int, end: int, more: bool = True, ident: int = 7) -> bytes:
    head = struct.pack(">BBHI", UDP, 0, begin | int(more), ident)
    return LINK6.packet(44, head + BODY6[begin:end])


@pytest.mark.parametrize("make", [piece, piece6])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_the_last_to_come_completes_it(make, order: tuple[int, ...]) -> None:
    pieces = [make(0, 16), make(16, 32), make(32, 48, False)]
    fragments = Fragments()
    offered = [fragments.offer(1, pieces[which], which) for which in order]
    assert [each.whole for each in offered[:2]] == [None, None]
    whole = LINK.packet(UDP, BODY, ident=7) if make is piece else LINK6.packet(UDP, BODY6)
    assert offered[2].whole == whole
    assert sorted(offered[2].indices) == [0, 1, 2]
    assert not fragments.queues


def test_datagrams_are_told_apart() -> None:
    fragments = Fragments()
    assert fragments.offer(1, piece(0, 16, ident=1), 0).whole is None
    assert fragments.offer(1, piece(16, 48, False, ident=2), 1).whole is None
    assert fragments.offer(1, piece(16, 48, False, ident=1), 2).indices == (0, 2)


def test_an_exact_repeat_is_only_itself_gone() -> None:
    fragments = Fragments()
    for index in (0, 1):
        fragments.offer(1, piece(0, 16), index)
    assert fragments.offer(1, piece(16, 48, False), 2).indices == (0, 2)


@pytest.mark.parametrize("make", [piece, piece6])
def test_an_overlap_discards_the_datagram(make) -> None:
    """RFC 5722, and IPv4 as Linux has it since 4.18: nothing of it is delivered."""
    fragments = Fragments()
    fragments.offer(1, make(0, 24), 0)
    assert fragments.offer(1, make(16, 40), 1).whole is None
    assert fragments.offer(1, make(40, 48, False), 2).whole is None


def test_half_a_minute_and_it_is_forgotten() -> None:
    fragments = Fragments()
    fragments.offer(0, piece(0, 16), 0)
    assert fragments.offer(30 * SECOND, piece(16, 48, False), 1).whole is None
    fragments = Fragments()
    fragments.offer(0, piece(0, 16), 0)
    assert fragments.offer(30 * SECOND - 1, piece(16, 48, False), 1).whole is not None


def test_a_whole_one_in_a_fragment_header() -> None:
    """An atomic fragment (RFC 6946) is whole by itself."""
    assert Fragments().offer(1, piece6(0, 48, False), 0).whole == LINK6.packet(UDP, BODY6)


@pytest.mark.parametrize("engine", ["reference", "loops"])
def test_all_of_a_datagram_get_its_verdict(engine: str) -> None:
    twin = Twin(engine=engine)  # type: ignore[arg-type]
    assert twin.packet(1, piece(0, 16)).state == "dropped"
    assert twin.packet(1, piece(16, 32)).state == "dropped"
    assert twin.count == 0
    assert twin.packet(1, piece(32, 48, False)) == ("new", "original")
    assert twin.count == 1


def test_verdicts_that_come_later() -> None:
    """In an array the earlier ones are corrected; of earlier calls they are told with their numbers."""
    import numpy as np

    for engine in ("reference", "loops"):
        twin = Twin(engine=engine)
        twin.packet(1, LINK.udp(1, 1, b""))
        twin.packet(1, piece(0, 16))
        packets = [piece(16, 32), LINK.udp(2, 2, b""), piece(32, 48, False)]
        sizes = np.array([len(each) for each in packets])
        found = twin.packets(
            np.ones(3, np.int64), np.frombuffer(b"".join(packets), np.uint8), np.cumsum(sizes) - sizes, sizes
        )
        assert found.state.tolist() == [0, 0, 0]
        assert found.direction.tolist() == [0, 0, 0]
        assert found.late == [(1, 0, 0)]


def test_a_rule_that_drops_the_datagram_leaves_nothing() -> None:
    both = Both()
    both.packet(1, piece(0, 16))
    assert both.packet(1, piece(16, 48, False), accept=False) == "dropped"
    assert both.same().count == 0


@given(st.permutations(range(6)), st.booleans())
def test_any_order(order: list[int], six: bool) -> None:
    make = piece6 if six else piece
    fragments = Fragments()
    offered = [fragments.offer(1, make(at * 8, at * 8 + 8, at < 5), at) for at in order]
    assert [each.whole is not None for each in offered] == [False] * 5 + [True]
    assert sorted(offered[5].indices) == [0, 1, 2, 3, 4, 5]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 7), st.booleans()), max_size=30), st.booleans())
def test_nothing_but_the_datagram_comes_out(parts: list[tuple[int, int, bool]], six: bool) -> None:
    """Whatever pieces come, of true content: what is delivered is the datagram up to one of its ends."""
    make, body, link = (piece6, BODY6, LINK6) if six else (piece, BODY, LINK)
    fragments = Fragments()
    for index, (begin, size, more) in enumerate(parts):
        whole = fragments.offer(1, make(begin * 8, begin * 8 + size * 8, more), index).whole
        if whole is not None:
            delivered = whole[40 if six else 20 :]
            assert body.startswith(delivered)
            assert delivered
    assert link.family == (6 if six else 4)


@given(st.binary(max_size=90), st.booleans())
def test_garbage_is_no_error(data: bytes, six: bool) -> None:
    raw = bytearray((LINK6 if six else LINK).packet(44 if six else UDP, data, **({} if six else {"place": 0x2001})))
    Fragments().offer(1, bytes(raw), 0)
