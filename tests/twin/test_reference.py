"""The way of a packet: everything but TCP and SCTP, in both engines. Expected: KERNEL.md 4.1, 8.1, 8.6 (measured)."""

import struct

import pytest
from tests.realkernel.headers import ACK, RST, SYN, peers
from tests.twin.both import HOSTS, HOSTS6, Both, Talk

from tablefull.twin import eras
from tablefull.twin import state as at
from tablefull.twin.reference import reference
from tablefull.twin.reference_packet import Reading, decode

THERE, BACK = HOSTS.link(0), HOSTS.link(1)


def query(side: int = 0, port: int = 4000) -> bytes:
    ports = (port, 53) if side == 0 else (53, port)
    return HOSTS.link(side).udp(*ports, b"dns")


def test_a_query_and_its_answer_are_never_assured() -> None:
    both = Both()
    assert [both.packet(1, query()), both.packet(1, query(1)), both.packet(2, query()), both.packet(2.9, query(1))] == [
        *("new original", "established reply", "established original", "established reply")
    ]
    assert both.only() == "30"


def test_a_stream_is_one_after_two_seconds() -> None:
    both = Both()
    both.packet(1, query())
    both.packet(3.3, query(1))
    assert both.only() == "30"
    both.packet(3.4, query())
    assert both.only() == "120 [ASSURED]"


def test_before_5_0_the_third_packet_made_a_stream() -> None:
    both = Both("4.19")
    for side in (0, 1, 0):
        both.packet(1, query(side))
    assert both.only() == "180 [ASSURED]"
    both = Both("5.4")
    for side in (0, 1, 0):
        both.packet(1, query(side))
    assert both.only() == "30 [ASSURED]"


def test_a_ping() -> None:
    both = Both()
    assert both.packet(1, BACK.icmp(0, 0, 7 << 16)) == "invalid"  # an answer first
    assert both.packet(1, THERE.icmp(8, 0, 7 << 16)) == "new original"
    assert both.packet(2, BACK.icmp(0, 0, 7 << 16)) == "established reply"
    assert both.only() == "30"
    assert both.packet(2, THERE.icmp(42, 0)) == "invalid"
    counters = both.same().counters()
    assert (counters["invalid"], counters["error"]) == (1, 1)


@pytest.mark.parametrize("hosts", [HOSTS, HOSTS6], ids=["ipv4", "ipv6"])
def test_an_error_belongs_to_the_entry_it_is_about(hosts) -> None:
    both = Both(settings={"nf_conntrack_acct": 1})
    first = hosts.link(0).udp(4000, 53, b"dns")
    both.packet(1, first)
    kind, code = (3, 1) if hosts is HOSTS else (1, 4)
    assert both.packet(5, hosts.link(1).icmp(kind, code, payload=first)) == "related reply"
    assert both.only() == "26 [UNREPLIED]"
    assert "packets=1" in both.table()[0]
    other = hosts.link(0).udp(4001, 53, b"dns")
    assert both.packet(5, hosts.link(1).icmp(kind, code, payload=other)) == "invalid"
    elsewhere = peers(3, 2, 4 if hosts is HOSTS else 6).link(1).icmp(kind, code, payload=first)
    assert both.packet(5, elsewhere) == "invalid"  # sent to somebody whom the packet inside does not concern
    assert both.same().counters()["error"] == 2


def test_a_protocol_without_a_tracker() -> None:
    both = Both()
    assert both.packet(1, THERE.packet(99, b"x" * 8)) == "new original"
    assert both.packet(1, BACK.packet(99, b"x" * 8)) == "established reply"
    assert both.table() == [
        "ipv4     2 unknown  99 600 src=10.1.0.1 dst=10.2.0.2 src=10.2.0.2 dst=10.1.0.1 mark=0 use=1"
    ]


def test_gre_and_udplite_are_assured_after_an_answer() -> None:
    both = Both()
    for side in (0, 1, 0):
        both.packet(1, HOSTS.link(side).packet(47, bytes(8)))
    assert both.only() == "180 [ASSURED]"
    assert "timeout=30, stream_timeout=180" in both.table(form="proc")[0]
    call = struct.pack(">HHHHI", 0x3081, 0x880B, 0, 77, 0)
    both.packet(1, THERE.packet(47, call))
    assert any("srckey=0x0 dstkey=0x4d" in line for line in both.table())
    assert both.packet(1, THERE.packet(47, struct.pack(">HHHHI", 0x3081, 0x0800, 0, 77, 0))) == "invalid"


def test_untracked_and_dropped_packets_leave_nothing() -> None:
    both = Both()
    assert both.packet(1, query(), untracked=True) == "untracked"
    assert both.packet(1, query(), accept=False) == "dropped"
    assert both.same().count == 0
    assert both.packet(1, query()) == "new original"
    assert both.packet(1, query(1), accept=False) == "dropped"
    assert both.packet(1, query()) == "established original"  # the drop came after tracking had seen the reply


def test_zones_keep_equal_tuples_apart() -> None:
    both = Both()
    assert [both.packet(1, query(), zone=zone) for zone in (0, 5, 5)] == ["new original"] * 3
    assert [line.split("mark=0 ")[1] for line in both.table()] == ["use=1", "zone=5 use=1"]
    assert both.packet(1, query(1), zone=5) == "established reply"
    assert both.packet(1, query(1), zone=6) == "new original"


def test_time_never_runs_backwards() -> None:
    both = Both()
    both.packet(100, query())
    both.packet(50, query(port=4001))
    assert [line.split()[4] for line in both.table(100)] == ["30", "30"]


def test_at_a_full_table_garbage_is_dropped_not_invalid() -> None:
    both = Both(settings={"nf_conntrack_max": 1})
    Talk(both).open()
    assert both.packet(2, THERE.tcp(9, 80, 1, 1, RST, 10)) == "dropped"
    assert both.packet(2, THERE.tcp(9, 80, 1, 1, SYN | RST, 10)) == "dropped"
    assert both.packet(2, THERE.icmp(42, 0)) == "invalid"  # refused before the table is asked
    assert Talk(both).client(2, ACK, 1, 1) == "established original"
    assert both.same().counters()["drop"] == 2


def test_two_packets_of_one_flow_in_flight_at_once() -> None:
    """The kernel's conntrack_clash selftest, restated: both begin an entry, the later is merged into the earlier."""
    table = reference(era := eras.era("6.18"), at.compile_settings(era, {}))
    packet = decode(data := query(), len(data), Reading())
    one, two = table.receive(1, packet), table.receive(1, packet)
    assert table.count == 2
    assert table.leave(2, one) == table.leave(2, two) == (at.NEW, 0)
    assert table.count == 1
    assert table.counters[at.C_CLASH_RESOLVE] == 1
    segment = decode(data := THERE.tcp(1, 2, 3, 0, SYN, 9), len(data), Reading())
    one, two = table.receive(3, segment), table.receive(3, segment)
    assert table.leave(3, one) == (at.NEW, 0)
    assert table.leave(3, two)[0] == at.DROPPED  # TCP may not clash
    assert (table.counters[at.C_DROP], table.counters[at.C_INSERT_FAILED]) == (1, 1)


def test_both_directions_in_flight_at_once() -> None:
    """conntrack_reverse_clash, restated: the reversed entry is merged from 6.12 on, before it was dropped."""
    for kernel, state in (("6.18", at.NEW), ("6.1", at.DROPPED)):
        table = reference(era := eras.era(kernel), at.compile_settings(era, {}))
        packets = [decode(data, len(data), Reading()) for data in (query(), query(1))]
        begun = [table.receive(1, packet) for packet in packets]
        assert table.leave(1, begun[0]) == (at.NEW, 0)
        assert table.leave(1, begun[1])[0] == state


def test_a_begun_entry_that_a_rule_drops() -> None:
    table = reference(era := eras.era("6.18"), at.compile_settings(era, {}))
    begun = table.receive(1, decode(data := query(), len(data), Reading()))
    assert table.count == 1
    assert table.discard(begun)[0] == at.DROPPED
    assert table.count == 0
