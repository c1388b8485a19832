"""Each kind of traffic: how many packets, in which order, with which flags. Counted by hand from what it says it does."""

import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import itertools

from packet_bytes import Plain, read

from tablefull.twin.workload import Workload
from tablefull.twin.workload_spec import parse

S, SA, A, PA, FA, RA = 0x02, 0x12, 0x10, 0x18, 0x11, 0x14


def packets(*texts: str, duration_s: float = 10.0, seed: int = 0) -> list[Plain]:
    return list(read(Workload([parse(text) for text in texts], seed=seed, duration_s=duration_s).blocks()))


def flows(found: list[Plain]) -> dict[tuple[str, int, str, int], list[Plain]]:
    """By the pair of ends, whichever way; the key is what the first packet has."""
    by_key: dict[tuple[str, int, str, int], list[Plain]] = defaultdict(list)
    for one in found:
        key, back = (one.src, one.sport, one.dst, one.dport), (one.dst, one.dport, one.src, one.sport)
        by_key[back if back in by_key else key].append(one)
    return by_key


def test_one_connection_from_beginning_to_end() -> None:
    found = packets("http:rate=1,arrival=uniform,duration=0.5,keepalive=5s,requests=1,rtt=20ms")
    assert all(one.right for one in found)
    assert [one.flags for one in found] == [S, SA, A, PA, PA, A, FA, FA, A]
    client = found[0].src
    assert [one.src == client for one in found] == [True, False, True, True, False, True, False, True, False]
    # Handshake and exchange take a round trip each, the server waits 5 s more and a round trip.
    assert [one.time_ns // 1_000_000 for one in found] == [0, 10, 20, 20, 30, 40, 5040, 5050, 5060]
    base_c, base_s = found[0].seq, found[1].seq
    assert [(one.seq - (base_c if one.src == client else base_s)) % 2**32 for one in found] == [
        0, 0, 1, 1, 1, 251, 1001, 251, 1002,
    ]  # fmt: skip
    assert [(one.ack - (base_s if one.src == client else base_c)) % 2**32 for one in found[1:]] == [
        1, 1, 1, 251, 1001, 251, 1002, 252,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("close", "last"), [("client", [FA, FA, A]), ("server", [FA, FA, A]), ("rst", [RA]), ("none", [])]
)
def test_ways_to_close(close: str, last: list[int]) -> None:
    found = packets(f"http:rate=1,arrival=uniform,duration=0.5,close={close}")
    assert [one.flags for one in found[6:]] == last
    if last:
        assert (found[6].src == found[0].src) == (close != "server")


def test_several_requests_and_long_answers() -> None:
    found = packets("http:rate=1,arrival=uniform,duration=0.5,requests=3,response=4000,think=1s", duration_s=20)
    # 1460 + 1460 + 1080 bytes: three segments, acknowledgements after the second and the last.
    assert Counter(one.payload for one in found) == Counter({0: 3 + 3 * 2 + 3, 250: 3, 1460: 6, 1080: 3})
    starts = [one.time_ns for one in found if one.payload == 250]
    assert [later - earlier for earlier, later in itertools.pairwise(starts)] == [10**9, 10**9]


def test_a_lifetime_ends_a_connection() -> None:
    found = packets("http:rate=1,arrival=uniform,duration=0.5,requests=2,lifetime=6s", duration_s=20)
    fin = next(one for one in found if one.flags == FA)
    first = next(one for one in found if one.payload == 250)
    assert fin.time_ns - first.time_ns == 6 * 10**9


def test_many_connections_are_counted() -> None:
    found = packets("http:rate=50,arrival=uniform,duration=4s")
    assert len(found) == 50 * 4 * 9
    assert len(flows(found)) == 200
    assert all(one.right for one in found)


def test_loss_sends_again() -> None:
    found = packets("http:rate=200,arrival=uniform,duration=4s,loss=20%", duration_s=60)
    again = len(found) - 200 * 4 * 9
    # 7200 segments, a fifth lost, half of those seen twice: 720; five standard deviations are 127.
    assert 590 < again < 850
    repeated = Counter((one.src, one.sport, one.dst, one.dport, one.seq, one.flags, one.payload) for one in found)
    assert sum(count - 1 for count in repeated.values()) == again
    assert all(one.right for one in found)


def test_pickup_is_seen_from_the_middle() -> None:
    found = packets("pickup:rate=5,arrival=uniform,duration=1s")
    assert len(found) == 5 * 6
    assert not any(one.flags & S for one in found)


@pytest.mark.parametrize(("seen", "a_connection"), [("original", 5), ("reply", 4)])
def test_asymmetric_shows_one_direction(seen: str, a_connection: int) -> None:
    found = packets(f"asymmetric:rate=5,arrival=uniform,duration=1s,seen={seen}")
    assert len(found) == 5 * a_connection
    assert len({one.src for one in found if one.src.startswith("198.18.")}) == (seen == "reply")


def test_dns_asks_again_until_it_is_answered() -> None:
    found = packets("dns:rate=10,arrival=uniform,duration=1s,timeout=2s,retries=2,answered=0")
    assert len(found) == 10 * 3
    for asked in flows(found).values():
        assert [one.time_ns - asked[0].time_ns for one in asked] == [0, 2 * 10**9, 4 * 10**9]
    answered = packets("dns:rate=10,arrival=uniform,duration=1s")
    assert len(answered) == 20
    assert all(len(pair) == 2 and pair[1].src == pair[0].dst for pair in flows(answered).values())


def test_streams_keep_their_pace() -> None:
    found = packets("udpstream:rate=1,arrival=uniform,duration=0.5,pps=100,lifetime=2s,answered=0")
    assert len(found) == 1 + 200
    assert {later.time_ns - one.time_ns for one, later in itertools.pairwise(found)} == {10_000_000}


def test_streams_answered_by_half() -> None:
    found = packets("udpstream:rate=10,arrival=uniform,duration=1s,pps=100,lifetime=2s,answered=50%")
    answers = sum(one.src.startswith("198.18.") for one in found)
    assert 850 < answers < 1160  # half of 2010


def test_idle_connections_probe_and_stay() -> None:
    found = packets("idle:count=20,ramp=2s,probe=3s,arrival=uniform", duration_s=8)
    by_flow = flows(found)
    assert len(by_flow) == 20
    for one in by_flow.values():
        # The answer of a last probe may lie beyond the end.
        assert [packet.flags for packet in one[:5]] == [S, SA, A, A, A]
        assert one[3].time_ns - one[0].time_ns == 3 * 10**9
        assert one[3].seq == one[0].seq
        assert one[4].ack == one[0].seq + 1


def test_synflood_is_answered_or_not() -> None:
    silent = packets("synflood:rate=500,arrival=uniform,answered=0", duration_s=2)
    assert {one.flags for one in silent} == {S}
    assert len(silent) == len({one.src for one in silent}) == 1000
    answered = packets("synflood:rate=500,arrival=uniform", duration_s=2)
    assert Counter(one.flags for one in answered) == Counter({S: 1000, SA: 1000})
    assert all(one.right for one in answered)


def test_udpflood_from_a_network_to_a_port() -> None:
    found = packets("udpflood:rate=500,arrival=uniform,sources=203.0.113.0/24,port=123", duration_s=1)
    assert len(found) == 500
    assert all(one.src.startswith("203.0.113.") and one.dport == 123 for one in found)
    assert len({one.dport for one in packets("udpflood:rate=500,arrival=uniform", duration_s=1)}) > 400


def test_a_scan_has_one_source_and_many_targets() -> None:
    found = packets("scan:rate=100,arrival=uniform,targets=50,ports=3,answered=100%", duration_s=2)
    asked = [one for one in found if one.flags == S]
    assert len(asked) == 200
    assert len({one.src for one in asked}) == 1
    assert len({one.dst for one in asked}) == 50
    assert sorted({one.dport for one in asked}) == [22, 23, 24]
    assert sum(one.flags == RA for one in found) >= 198


def test_ping_asks_and_is_answered() -> None:
    found = packets("ping:rate=2,arrival=uniform,duration=1s,count=3,every=1s")
    assert len(found) == 2 * 3 * 2
    assert all(one.right and one.proto == 1 for one in found)


@pytest.mark.parametrize("kind", ["http", "dns", "udpstream", "ping", "synflood", "udpflood", "scan", "idle:count=50"])
def test_ipv6_of_every_kind(kind: str) -> None:
    found = packets(f"{kind}{',' if ':' in kind else ':'}family=6", duration_s=10)
    assert found
    assert all(one.right and ":" in one.src for one in found)
