"""The arrays behind the compiled twin: they grow, are used again, and lose neither entries, counters nor log lines."""

import numpy as np
from tests.twin.both import HOSTS, SECOND

from tablefull.twin import Twin, eras, loops_table
from tablefull.twin import state as at
from tablefull.twin.engine_loops import FIRST_ROWS, LoopsEngine

THERE = HOSTS.link(0)


def test_rows_double_and_stop_at_the_limit() -> None:
    era = eras.era("6.18")
    engine = LoopsEngine(era, at.compile_settings(era, {"nf_conntrack_max": 3000}), 0)
    sizes = []
    for _ in range(3):
        sizes.append(int(engine.registers[at.R_ROWS]))
        engine._more_rows()
    assert sizes == [FIRST_ROWS, 2 * FIRST_ROWS, 3001]
    assert engine.entries.ctypes.data % 64 == 0  # an entry is two cache lines, and begins at one


def test_more_log_lines_than_there_is_room_for() -> None:
    """Without a rate limit every refusal is a line; none is lost when the array is emptied in between."""
    twin = Twin(settings={"nf_conntrack_max": 1, "net.core.message_cost": 0})
    for flags, link, ports, numbers in (
        (2, THERE, (1000, 80), (1, 0)),
        (18, HOSTS.link(1), (80, 1000), (5, 2)),
        (16, THERE, (1000, 80), (2, 6)),
    ):
        twin.packet(SECOND, link.tcp(*ports, *numbers, flags, 1000))
    packet = THERE.udp(9, 53, b"x")
    count = loops_table.LOG_ROOM * 2 + 17
    start = np.zeros(count, np.int64)
    twin.packets(np.arange(count) + SECOND, np.frombuffer(packet, np.uint8), start, start + len(packet))
    assert len(twin.log()) == twin.counters()["drop"] == count


def test_what_has_grown_is_still_found() -> None:
    twin = Twin(settings={"nf_conntrack_acct": 1, "nf_conntrack_max": 0})
    ports = range(1, 5 * FIRST_ROWS)
    for port in ports:
        assert twin.packet(SECOND, THERE.udp(port, 53, b"x")).state == "new"
    for port in ports:
        assert twin.packet(SECOND, THERE.udp(port, 53, b"x")).state == "new"  # nobody has answered yet
    assert twin.count == len(ports)
    assert all(" packets=2 bytes=58 " in line for line in twin.lines())


def test_bytes_an_entry() -> None:
    """At most 160 with everything, where the rows are full: 128 for the entry, two nodes of 8 bytes in 3.3 places."""
    twin = Twin(settings={"nf_conntrack_max": 8191})
    for port in range(1, 8192):
        twin.packet(SECOND, THERE.udp(port, 53, b""))
    assert twin.count == 8191
    assert twin.bytes_used / 8192 <= 160


def test_a_seed_of_any_size() -> None:
    for seed in (0, 1, -1, 2**63, 2**64 - 1, 12345678901234567890):
        one, other = Twin(seed=seed), Twin(seed=seed, engine="reference")
        for twin in (one, other):
            twin.packet(SECOND, THERE.udp(1, 53, b""))
        assert list(one.lines()) == list(other.lines())
