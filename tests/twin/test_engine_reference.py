"""The plain engine behind the library: what it makes of columns and flags."""

import numpy as np
from tests.twin.both import HOSTS, SECOND

from tablefull.twin import eras
from tablefull.twin import state as at
from tablefull.twin.engine_reference import ReferenceEngine
from tablefull.twin.reference_packet import Reading

MODERN = eras.era("6.18")
QUERY = HOSTS.link(0).udp(4000, 53, b"q")


def engine(kernel: str = "6.18", **given: int) -> ReferenceEngine:
    era = eras.era(kernel)
    return ReferenceEngine(era, at.compile_settings(era, given), 0)


def test_how_packets_are_read_is_a_setting_and_an_era() -> None:
    assert engine().reading(False) == Reading(checksum=True, offloaded=False, redirects=True)
    assert engine(nf_conntrack_checksum=0).reading(True) == Reading(checksum=False, offloaded=True, redirects=True)
    assert engine("5.15").reading(False).redirects is False


def test_it_stops_before_a_fragment() -> None:
    fragment = HOSTS.link(0).packet(17, bytes(16), place=0x2000)
    data = np.frombuffer(QUERY + fragment + QUERY, np.uint8)
    size = np.array([len(QUERY), len(fragment), len(QUERY)], np.int64)
    start = np.cumsum(size) - size
    states, directions = np.full(3, 77, np.uint8), np.full(3, 77, np.uint8)
    one = engine()
    when, flags = np.full(3, SECOND, np.int64), np.zeros(3, np.uint8)
    assert one.run(when, data, start, size, size, flags, (0, 0), False, 0, states, directions) == 1
    assert states.tolist() == [at.NEW, 77, 77]
    assert one.run(when, data, start, size, size, flags, (0, 0), False, 2, states, directions) == 3
    assert states.tolist() == [at.NEW, 77, at.NEW]


def test_flags_become_kinds() -> None:
    one, reading = engine(), Reading()
    for flags, start, kind in (
        (0, 0, at.KIND_TRACK),
        (at.FLAG_SKIP, 0, at.KIND_SKIP),
        (0, -1, at.KIND_SKIP),
        (at.FLAG_UNTRACKED, 0, at.KIND_UNTRACKED),
    ):
        assert one.read(QUERY, start, len(QUERY), len(QUERY), flags, reading).kind == kind
    assert one.read(b"\x45", 0, 1, 1, at.FLAG_UNTRACKED, reading).kind == at.KIND_DROPPED


def test_a_timer_takes_the_dead_away_when_time_is_let_pass() -> None:
    """To 4.8: KERNEL.md 4.3."""
    for kernel, left in (("4.4", 0), ("6.18", 1)):
        one = engine(kernel, nf_conntrack_udp_timeout=5)
        began = one.begin(SECOND, QUERY, 0, (0, 0))
        assert began is not None
        assert one.leave(SECOND, began[2], accept=True) == (at.NEW, 0)
        one.turn_to(7 * SECOND)
        assert one.count == left
        assert list(one.listed(7 * SECOND)) == []


def test_rows_hold_what_a_listing_shows() -> None:
    one = engine()
    began = one.begin(SECOND, QUERY, 0, (4, 4))
    assert began is not None
    one.leave(SECOND, began[2], accept=True)
    rows, remaining_s = one.rows(3 * SECOND)
    assert remaining_s.tolist() == [28]
    assert rows[0, at.E_SRC] == 0x0A010001
    assert rows[0, at.E_ZONES] == 4 << 16 | 4
    assert rows[0, at.E_PORTS] == 4000 << 16 | 53
    assert one.bytes_used() == at.ENTRY_BYTES
