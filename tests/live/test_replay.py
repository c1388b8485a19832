"""The driver of a replay, on captures counted by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.live.replay_captures import BACK, BEGAN, SECOND, THERE, at, played, query, written
from tests.realkernel.headers import ACK, SYN, TCP, peers
from tests.wire.capture_bytes import ETHERNET, SLL, ethernet, pcap, sll

from tablefull.errors import UsageError
from tablefull.live import replay
from tablefull.live.replay import Piece, Setting
from tablefull.twin import state as states
from tablefull.twin.headers import Headers
from tablefull.twin.reference_packet import Reading, decode
from tablefull.twin.workload import Workload
from tablefull.twin.workload_spec import parse

NAMES = states.STATES


def verdicts(outcome: replay.Outcome) -> dict[str, int]:
    assert outcome.verdicts is not None
    return {name: count for name, count in zip(NAMES, outcome.verdicts, strict=True) if count}


def test_what_a_limit_refuses(tmp_path: Path) -> None:
    """Two connections that stay, a limit of two: a third host's query and a new connection's SYN are refused."""
    shake = [
        packet
        for port in (1, 2)
        for packet in (
            THERE.tcp(port, 80, 1, 0, SYN, 1000),
            BACK.tcp(80, port, 9, 2, SYN | ACK, 1000),
            THERE.tcp(port, 80, 2, 10, ACK, 1000),
        )
    ]
    packets = [(when / 10, packet) for when, packet in enumerate(shake)]
    packets += [(1.0, query(9)), (1.5, THERE.tcp(3, 80, 1, 0, SYN, 1000))]
    path = written(tmp_path / "x.pcap", at(*packets))
    found = played(path, Setting("two", sysctls={"max": "2"}), Setting("three", sysctls={"max": "3"}), Setting("all"))
    two, three, all_ = found.outcomes
    assert found.packets == 8
    assert verdicts(two) == {"new": 2, "established": 4, "dropped": 2}
    assert (two.refused, two.refused_openings, two.peak, two.count, two.limit) == (2, 1, 2, 2, 2)
    assert two.refused_from_ns == BEGAN + SECOND
    assert len(two.log) == 2
    assert verdicts(all_) == {"new": 4, "established": 4}
    assert (all_.refused, all_.peak, all_.log) == (0, 4, [])
    # A limit of three: the query finds room, and the SYN evicts it or not, as the chains have it.
    assert (three.refused, three.counters["early_drop"]) in ((1, 0), (0, 1))


def test_out_of_order_happens_at_the_time_reached(tmp_path: Path) -> None:
    path = written(tmp_path / "x.pcap", at((5, query(1)), (3, query(2)), (6, query(3))))
    found = played(path)
    assert (found.backwards, found.first_ns, found.last_ns) == (1, BEGAN + 5 * SECOND, BEGAN + 6 * SECOND)
    assert sorted(line.split()[4] for line in found.twins[0].lines()) == ["29", "29", "30"]


def test_frames_without_ip_and_cut_ones_are_counted(tmp_path: Path) -> None:
    arp = ethernet(bytes(28), 0x0806)
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap([(BEGAN, arp), (BEGAN, ethernet(query(1)))], ETHERNET))
    found = played(path)
    assert (found.packets, found.not_ip) == (2, 1)
    assert verdicts(found.outcomes[0]) == {"new": 1}


def test_what_a_capture_on_any_shows_twice_counts_once(tmp_path: Path) -> None:
    """In by one interface, out by another with one hop fewer: one packet."""
    forwarded = bytearray(query(1))
    came = bytes(forwarded)
    forwarded[8] -= 1
    forwarded[10:12] = (int.from_bytes(forwarded[10:12], "big") + 0x100).to_bytes(2, "big")
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap([(BEGAN, sll(came, 0)), (BEGAN + 1000, sll(bytes(forwarded), 4))], SLL))
    found = played(path, Setting("one", sysctls={"nf_conntrack_acct": "1"}))
    assert found.second_sightings == 1
    assert verdicts(found.outcomes[0]) == {"new": 1}
    assert "packets=1 " in next(iter(found.twins[0].lines()))


def test_an_own_address_is_told_from_what_goes_out(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap([(BEGAN + at_, sll(query(at_ + 1), 4)) for at_ in range(5)], SLL))
    held = played(path).outcomes[0].held
    assert held is not None
    assert held.own == ("10.1.0.1",)
    assert held.sources == (("10.1.0.1", 5),)


def test_notrack_exempts(tmp_path: Path) -> None:
    path = written(tmp_path / "x.pcap", at((0, query(1)), (1, THERE.udp(5, 123, b"")), (2, query(2))))
    found = played(path, Setting("x", notrack="udp port 53"))
    assert verdicts(found.outcomes[0]) == {"new": 1, "untracked": 2}
    with pytest.raises(UsageError):
        played(path, Setting("x", notrack="udp prt"))


def test_another_kernel_is_another_answer(tmp_path: Path) -> None:
    """KERNEL.md 8.6: to 4.19 the third packet of a UDP flow makes it a stream of 180 s; from 5.0 two seconds do."""
    path = written(tmp_path / "x.pcap", at((0, query(1)), (0.1, BACK.udp(53, 1, b"a")), (0.2, query(1))))
    found = played(path, Setting("new"), Setting("old", kernel="4.19"))
    assert [next(iter(twin.lines())).split()[4] for twin in found.twins] == ["30", "180"]


def test_samples_show_every_interval_and_the_highest_of_each(tmp_path: Path) -> None:
    """Three entries of ten seconds at 0, 1 and 2 s, one more at 50 s; an interval of ten seconds."""
    packets = at((0, query(1)), (1, query(2)), (2, query(3)), (50, query(4)))
    path = written(tmp_path / "x.pcap", packets)
    setting = Setting("old", kernel="4.4", sysctls={"nf_conntrack_udp_timeout": "10"})  # a timer an entry: exact
    (outcome,) = played(path, setting, interval_ns=10 * SECOND).outcomes
    assert [(sample.time_ns - BEGAN) // SECOND for sample in outcome.samples] == [10, 20, 30, 40, 50]
    assert [sample.entries for sample in outcome.samples] == [2, 0, 0, 0, 1]
    assert [sample.high for sample in outcome.samples][:2] == [3, 2]
    assert [sum(sample.verdicts) for sample in outcome.samples] == [3, 3, 3, 3, 4]


def test_a_long_capture_has_no_more_samples_than_fit() -> None:
    """Nobody named an interval: it doubles, and none of the peaks is lost."""
    packet = query(1)
    count = 5000
    data = np.frombuffer(packet, np.uint8)
    piece = Piece(np.arange(count) * SECOND, data, np.zeros(count, np.int64), np.full(count, len(packet), np.int64))
    found = replay.replay([piece], [Setting("x")])
    (outcome,) = found.outcomes
    assert replay.MOST_SAMPLES // 2 <= len(outcome.samples) <= replay.MOST_SAMPLES + 1
    assert found.interval_ns * len(outcome.samples) >= (count - 1) * SECOND - found.interval_ns
    assert max(sample.high for sample in outcome.samples) == outcome.peak == 1


def test_checksums_left_to_the_card_are_noticed(tmp_path: Path) -> None:
    """Ten of ten segments hold only the pseudo header's sum: they are taken as good, and it is said."""
    packets = []
    for port in range(1, 11):
        data = bytearray(THERE.tcp(port, 80, 1, 0, SYN, 1000))
        pseudo = sum(int.from_bytes(data[i : i + 2], "big") for i in range(12, 20, 2)) + 6 + len(data) - 20
        data[36:38] = ((pseudo & 0xFFFF) + (pseudo >> 16)).to_bytes(2, "big")
        packets.append((port / 100, bytes(data)))
    found = played(written(tmp_path / "x.pcap", at(*packets)))
    assert (found.offloaded, found.offloaded_packets, found.looked_at) == (True, 10, 10)
    assert verdicts(found.outcomes[0]) == {"new": 10}
    found = played(written(tmp_path / "y.pcap", at(*packets[:3])))  # too few to believe it
    assert found.offloaded is False
    assert verdicts(found.outcomes[0]) == {"invalid": 3}


def test_reading_ahead_loses_nothing_and_hands_on_what_went_wrong() -> None:
    def broken():
        yield 1
        raise UsageError("here")

    assert list(replay.read_ahead(iter(range(20)))) == list(range(20))  # type: ignore[arg-type]
    ahead = replay.read_ahead(broken())
    assert next(ahead) == 1
    with pytest.raises(UsageError, match="here"):
        next(ahead)
    left = replay.read_ahead(iter(range(1000)))  # type: ignore[arg-type]
    next(left)
    left.close()  # whoever reads may leave; the thread ends


def test_made_up_traffic_and_nothing_at_all() -> None:
    traffic = Workload([parse("dns:rate=50")], seed=1, duration_s=10)
    found = replay.replay(replay.of_workload(traffic), [Setting("x", sysctls={"max": "0"})], span_ns=traffic.end_ns)
    (outcome,) = found.outcomes
    assert outcome.limit == 0
    assert 300 < verdicts(outcome)["new"] < 700  # 500 expected, Poisson: 9 standard deviations
    empty = replay.replay([], [Setting("x")])
    assert (empty.packets, empty.outcomes[0].peak, empty.outcomes[0].samples) == (0, 0, [])


def connection(port: int) -> list[bytes]:
    """Three segments; the entry is assured by the third."""
    return [
        THERE.tcp(port, 80, 1, 0, SYN, 1000),
        BACK.tcp(80, port, 9, 2, SYN | ACK, 1000),
        THERE.tcp(port, 80, 2, 10, ACK, 1000),
    ]


def test_what_is_assured_stays_and_what_is_not_makes_room(tmp_path: Path) -> None:
    """KERNEL.md 4.2: eight buckets are looked through, which with four is all of them; only unassured entries go."""
    few = {"buckets": "4", "max": "2"}
    assured = at(*((when / 10, packet) for when, packet in enumerate(connection(1) + connection(2))), (9, query(3)))
    (outcome,) = played(written(tmp_path / "x.pcap", assured), Setting("x", sysctls=few)).outcomes
    assert (outcome.refused, outcome.counters["early_drop"], outcome.count, len(outcome.log)) == (1, 0, 2, 1)
    asked = written(tmp_path / "y.pcap", at((0, query(1)), (1, query(2)), (2, query(3))))
    (outcome,) = played(asked, Setting("x", sysctls=few)).outcomes
    assert verdicts(outcome) == {"new": 3}
    # One or two entries: all the unassured ones of the first bucket that holds any.
    assert (outcome.refused, outcome.log, outcome.counters["early_drop"] + outcome.count) == (0, [], 3)


def test_only_what_the_table_refused_is_called_refused(tmp_path: Path) -> None:
    """A SYN with a wrong IP checksum and one in two fragments are dropped by the stack, whatever room there is."""
    wrong = bytearray(THERE.tcp(2, 80, 1, 0, SYN, 1000))
    wrong[10] ^= 0xFF
    segment = THERE.tcp(3, 80, 1, 0, SYN, 1000, payload=bytes(20))[20:]
    half = THERE.packet(TCP, segment[:24], place=0x2000)
    packets = at((0, query(1)), (0.1, bytes(wrong)), (0.2, half), (0.3, query(4)))
    path = written(tmp_path / "x.pcap", packets)
    (outcome,) = played(path, Setting("x", sysctls={"max": "1"}), interval_ns=60 * SECOND).outcomes
    assert verdicts(outcome) == {"new": 1, "dropped": 3}
    assert (outcome.refused, outcome.refused_openings) == (1, 0)
    path = written(tmp_path / "y.pcap", [*packets, *at((0.4, THERE.tcp(5, 80, 1, 0, SYN, 1000)))])
    (outcome,) = played(path, Setting("x", sysctls={"max": "1"}), interval_ns=60 * SECOND).outcomes
    assert (outcome.refused, outcome.refused_openings) == (2, 1)


@given(
    st.sampled_from([THERE, peers(1, 2, 6).link(0)]),
    st.lists(st.tuples(st.integers(0, 47), st.integers(0, 255)), max_size=3),
    st.integers(20, 60),
    st.booleans(),
)
def test_what_the_stack_drops_is_what_the_reference_says(
    link, changed: list[tuple[int, int]], captured: int, offload: bool
) -> None:
    packet = bytearray(link.tcp(1, 80, 1, 0, SYN, 1000))
    for place, value in changed:
        packet[place % len(packet)] = value
    there, size = min(captured, len(packet)), len(packet)
    held = np.frombuffer(bytes(packet[:there]), np.uint8)
    headers = Headers(held, np.zeros(1, np.int64), np.array([there]), np.array([size]))
    kind = decode(bytes(packet[:there]), size, Reading(offloaded=offload)).kind
    flags = int(headers.number(headers.transport + 13, 1)[0])
    if int(headers.protocol[0]) != TCP or flags < 0 or (packet[0] >> 4 == 6 and packet[6] != TCP):
        return  # asked of SYNs alone; an extension header is the reference's to skip
    (dropped,) = replay._dropped_before(headers, offload).tolist()
    assert dropped == (kind in (states.KIND_DROPPED, states.KIND_HELD))


def test_where_a_piece_ends_makes_no_difference() -> None:
    """The same packets at once, one by one, and several settings together or each alone."""
    packets = [packet for port in range(1, 9) for packet in connection(port)] + [query(port) for port in range(20, 30)]
    data = np.frombuffer(b"".join(packets), np.uint8)
    captured = np.array([len(packet) for packet in packets], np.int64)
    start, times = np.cumsum(captured) - captured, BEGAN + np.arange(len(packets)) * (SECOND // 10)
    whole = [Piece(times, data, start, captured)]
    single = [
        Piece(times[row : row + 1], data, start[row : row + 1], captured[row : row + 1]) for row in range(len(packets))
    ]
    settings = [Setting("few", sysctls={"max": "5"}), Setting("old", kernel="4.19", sysctls={"max": "9"})]
    together = replay.replay(whole, settings, interval_ns=SECOND).outcomes
    assert together[0].refused > together[1].refused > 0
    for pieces in (whole, single):
        for setting, expected in zip(settings, together, strict=True):
            (alone,) = replay.replay(pieces, [setting], interval_ns=SECOND).outcomes
            assert (alone.verdicts, alone.counters, alone.samples, alone.log) == (
                expected.verdicts, expected.counters, expected.samples, expected.log,
            )  # fmt: skip
            assert alone.refused_openings == expected.refused_openings


def test_ipv6_is_held_like_ipv4(tmp_path: Path) -> None:
    there = peers(1, 2, 6).link(0)
    packets = [(port / 10, there.tcp(port, 80, 1, 0, SYN, 1000)) for port in (1, 2)]
    found = played(written(tmp_path / "x.pcap", at(*packets)), Setting("x", sysctls={"max": "1"}))
    (outcome,) = found.outcomes
    assert (outcome.refused, outcome.refused_openings) in ((1, 1), (0, 0))  # 0: the first was evicted
    assert next(iter(found.twins[0].lines())).startswith("ipv6     10 tcp      6 ")
    assert outcome.held is not None
    assert outcome.held.sources == ((str(there.src), 1),)


def test_a_jump_of_the_clock_makes_the_named_interval_longer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(replay, "MOST_SAMPLES_NAMED", 100)
    path = written(tmp_path / "x.pcap", at((0, query(1)), (365 * 86400, query(2))))
    found = played(path, interval_ns=SECOND)
    assert found.interval_ns == SECOND << 19  # the first power of two of which a year holds 100 at most
    assert len(found.outcomes[0].samples) <= 101
    assert found.outcomes[0].samples[-1].time_ns == found.last_ns == BEGAN + 365 * 86400 * SECOND
