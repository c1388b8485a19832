"""The limit, who is evicted, the log and the collector: counted by hand from KERNEL.md 1.1, 4.2, 4.3, in both engines."""

import pytest
from tests.realkernel.headers import ACK, FIN, SYN
from tests.twin.both import HOSTS, Both, Talk

from tablefull.twin import eras
from tablefull.twin import state as at
from tablefull.twin.reference_room import Room, hash_key

THERE = HOSTS.link(0)
ONE_CHAIN = {"nf_conntrack_buckets": 1}
FULL = "nf_conntrack: nf_conntrack: table full, dropping packet"


def datagram(port: int) -> bytes:
    return THERE.udp(port, 53, b"x")


def filled(limit: int, kernel: str = "6.18", **more: int) -> Both:
    """A table of ``limit`` ASSURED connections."""
    both = Both(kernel, {"nf_conntrack_max": limit} | more)
    for port in range(1, limit + 1):
        Talk(both, port=port).open(1)
    return both


def test_no_limit_refuses_nothing() -> None:
    both = Both(settings={"nf_conntrack_max": 0})
    assert {both.packet(1, datagram(port)) for port in range(1, 300)} == {"new original"}
    assert both.count() == 299
    assert both.log() == []


def test_the_counters_of_a_refusal() -> None:
    both = filled(3)
    assert [both.packet(2, datagram(port)) for port in (9, 10)] == ["dropped"] * 2
    assert both.same().counters()["drop"] == 2
    assert both.same().counters()["insert_failed"] == 0
    assert both.count() == 3


def test_an_entry_that_nobody_answered_makes_room_for_the_next() -> None:
    both = Both(settings={"nf_conntrack_max": 2} | ONE_CHAIN)
    Talk(both, port=1).open(1)
    assert both.packet(2, datagram(2)) == "new original"
    assert both.packet(3, datagram(3)) == "new original"
    assert "sport=3 " in both.table()[1]
    assert both.counter("early_drop") == 1
    assert both.counter("drop") == 0
    assert both.count() == 2


def test_a_whole_bucket_goes_from_4_7_on_and_one_entry_before() -> None:
    """KERNEL.md 4.2: from 4.7 all that may go in the first bucket that has any; before, one of its chain."""
    gone = {}
    for kernel in ("6.18", "5.15", "4.19", "4.4", "3.2"):
        both = Both(kernel, {"nf_conntrack_max": 6} | ONE_CHAIN)
        for port in range(1, 7):
            both.packet(1, datagram(port))
        assert both.packet(2, datagram(7)) == "new original"
        gone[kernel] = both.counter("early_drop")
        assert both.count() == 7 - gone[kernel]
    assert gone == {"6.18": 6, "5.15": 6, "4.19": 6, "4.4": 1, "3.2": 1}


def test_which_one_went_before_4_7() -> None:
    """To 3.15 the oldest of the chain, from 3.16 the newest: KERNEL.md 4.2."""
    for kernel, victim in (("3.2", 1), ("4.4", 3)):
        both = Both(kernel, {"nf_conntrack_max": 3} | ONE_CHAIN)
        for port in (1, 2, 3):
            both.packet(1, datagram(port))
        both.packet(2, datagram(4))
        left = {line.split("sport=")[1].split()[0] for line in both.table()}
        assert left == {"1", "2", "3", "4"} - {str(victim)}


def test_only_eight_buckets_are_looked_at() -> None:
    """One entry that may go, somewhere among 4096 chains: a newcomer finds it only within eight of its own."""
    both = Both(settings={"nf_conntrack_max": 2, "nf_conntrack_buckets": 4096})
    Talk(both, port=1).open(1)
    both.packet(1, datagram(2))
    room = both.same()._engine.table  # type: ignore[attr-defined]
    victim = next(entry for entry in room.rows if entry is not None and entry.keys[0].proto == 17)
    chains = {room.bucket(hash_key(room.seed, key)) for key in victim.keys}

    def near(port: int) -> bool:
        own = room.bucket(hash_key(room.seed, victim.keys[0]._replace(ports=port << 16 | 53)))
        return any((chain - own) % 4096 < 8 for chain in chains)

    ports = range(1000, 60000)
    far = [port for port in ports if not near(port)][:4000]
    assert {both.packet(2, datagram(port)) for port in far} == {"dropped"}
    assert both.packet(3, datagram(next(port for port in ports if near(port)))) == "new original"
    assert both.counter("early_drop") == 1


def test_assured_connections_are_never_evicted_by_a_newcomer() -> None:
    for kernel in ("6.18", "6.1", "5.15", "4.19", "4.4", "3.2"):
        both = filled(5, kernel, **ONE_CHAIN)
        assert {both.packet(2, datagram(port)) for port in range(1000, 1030)} == {"dropped"}
        assert both.counter("early_drop") == 0
        assert both.count() == 5


def test_a_closing_connection_goes_after_a_refusal_but_only_from_the_collector() -> None:
    """From 4.12 the collector evicts what is closing once a packet was refused at 95 %; ESTABLISHED stays."""
    both = filled(100)
    for port in range(1, 11):
        talk = Talk(both, port=port)
        talk.client(2, FIN | ACK, 1, 1)
        talk.server(2, ACK, 1, 2)
    assert both.packet(2.5, datagram(9999)) == "dropped"
    both.advance(70)  # at least one pass, no timeout of CLOSE_WAIT (60 s from second 2 on is over at 62)
    states = [line.split()[5] for line in both.table()]
    assert states == ["ESTABLISHED"] * 90
    older = filled(100, "4.9")
    for port in range(1, 11):
        Talk(older, port=port).client(2, FIN | ACK, 1, 1)
    assert older.packet(2.5, datagram(9999)) == "dropped"
    older.advance(30)
    assert older.count() == 100  # 4.9 knows no eviction by the collector


def test_the_log_is_a_burst_and_then_a_number() -> None:
    """Ten lines within five seconds, the rest is counted; the next window says how many, and begins with its own ten."""
    both = filled(1)
    for number in range(25):
        both.packet(2 + number / 100, datagram(100 + number))
    assert both.log() == [f"[    2.{number * 10000:06}] {FULL}" for number in range(10)]
    both.packet(7.0, datagram(500))  # not more than five seconds after the first: hidden too
    assert len(both.log()) == 10
    both.packet(7.5, datagram(501))
    assert both.log()[10:] == ["[    7.500000] net_ratelimit: 16 callbacks suppressed", f"[    7.500000] {FULL}"]
    assert both.counter("drop") == 27


@pytest.mark.parametrize(
    ("kernel", "line"),
    [
        ("2.6.32", "nf_conntrack: table full, dropping packet."),
        ("3.2", "nf_conntrack: table full, dropping packet."),
        ("4.19", FULL),
        ("5.15", FULL),
        ("6.18", FULL),
    ],
)
def test_the_words_of_the_line(kernel: str, line: str) -> None:
    """KERNEL.md 1.1."""
    both = filled(1, kernel)
    both.packet(2, datagram(9))
    assert both.log() == [f"[    2.000000] {line}"]


def test_the_rate_limit_is_a_setting() -> None:
    both = Both(settings={"nf_conntrack_max": 1, "net.core.message_cost": 0})
    Talk(both).open(1)
    for port in range(100, 140):
        both.packet(2, datagram(port))
    assert len(both.log()) == 40
    both = Both(settings={"nf_conntrack_max": 1, "net.core.message_burst": 3})
    Talk(both).open(1)
    for port in range(100, 140):
        both.packet(2, datagram(port))
    assert len(both.log()) == 3


def test_what_has_expired_stays_counted_until_the_collector_comes() -> None:
    """From 4.9 on an expired entry is only dead, not gone; before, a timer took it away in its very moment."""
    counts = {}
    for kernel in ("6.18", "5.15.16", "4.19", "4.4"):
        both = Both(kernel, {"nf_conntrack_udp_timeout": 30})
        for port in range(1, 101):
            both.packet(0, datagram(port))
        both.advance(31)
        assert both.table(31) == []
        counts[kernel] = both.count()
    # 6.18: at second 1 the mean of 100 times 60 s and 200 times 29 s is 39.3 s, so the next pass is at 40.3.
    # 5.15.16 passes every 120 s; 4.19 looks at a 128th of the table, here one entry, every 8 to 125 ms.
    assert counts["6.18"] == counts["5.15.16"] == 100
    assert counts["4.19"] < 100
    assert counts["4.4"] == 0


def test_the_fixed_pace_of_5_15() -> None:
    """KERNEL.md 4.3: a pass every two minutes; the first a second after the beginning."""
    both = Both("5.15.16", {"nf_conntrack_udp_timeout": 5})
    both.packet(0, datagram(1))
    for second, count in ((0.9, 1), (1.1, 1), (120.9, 1), (121.1, 0)):
        both.advance(second)
        assert both.count() == count


def test_the_adaptive_pace_by_hand() -> None:
    """One entry, 100 s left at the pass: the mean of 100 times 60 s and twice 99 s is 60.76 s, so 60 s at most."""
    both = Both("6.18", {"nf_conntrack_udp_timeout": 50})
    both.packet(0, datagram(1))
    both.advance(1)  # the first pass: 49 s left, twice, on a mean that begins at 60 s with a weight of 100
    # 60 s and 100 weights, then twice 49 s: 60 - 11/101 = 59.89, then - 10.89/102 = 59.78 s: the next pass is at 60.8
    both.advance(60.7)
    assert both.count() == 1  # dead since 50
    both.advance(60.9)
    assert both.count() == 0


def test_a_pass_stops_after_so_many_expired_and_goes_on_a_tick_later() -> None:
    """64000 a second at most: with a tick of 4 ms that is 256, and the one more that shows it. [core 6.12]"""
    both = Both("6.18", {"nf_conntrack_udp_timeout": 1})
    for port in range(1, 1001):
        both.packet(0, datagram(port))
    both.advance(1.0)  # the pass finds all of them expired
    assert both.count() == 1000 - 257
    both.advance(1.004)
    assert both.count() == 1000 - 2 * 257
    both.advance(1.1)
    assert both.count() == 0


def test_a_lookup_takes_the_expired_of_its_chain_along() -> None:
    """A search that finds nothing collects what it walked over, so a busy table cleans itself: KERNEL.md 4.3."""
    both = Both("6.18", {"nf_conntrack_udp_timeout": 20} | ONE_CHAIN)
    for port in range(1, 6):
        both.packet(2, datagram(port))
    both.advance(22.5)
    assert both.count() == 5
    assert both.packet(22.6, datagram(9)) == "new original"
    assert both.count() == 1


def test_a_chain_that_is_too_long() -> None:
    """Past 50 to 79 nodes in the bucket an insert is refused: from 5.15 on; the packet goes with it."""
    both = Both("6.18", ONE_CHAIN)
    verdicts = [both.packet(1, datagram(port)) for port in range(1, 101)]
    first = verdicts.index("dropped")
    assert 25 < first <= 41  # two nodes an entry: more than 51 to 80 of them
    assert both.counter("chain_toolong") == both.counter("insert_failed") == verdicts.count("dropped") > 0
    assert both.counter("drop") == 0
    assert both.log() == []  # the table is not full, and nobody says anything
    old = Both("5.10", ONE_CHAIN)
    assert {old.packet(1, datagram(port)) for port in range(1, 101)} == {"new original"}


def test_a_bucket_is_a_range_of_hashes() -> None:
    room = Room(eras.era("6.18"), at.compile_settings(eras.era("6.18"), {"nf_conntrack_buckets": 7}))
    assert room.bucket(0) == 0
    assert room.bucket(0xFFFFFFFF) == 6
    assert [room.bucket((1 << 32) * each // 7 + 1) for each in range(7)] == list(range(7))


def test_syns_flood_and_the_established_stay() -> None:
    """The incident in small: 50 connections and 5000 SYNs at a limit of 100; not one connection is lost."""
    both = Both(settings={"nf_conntrack_max": 100, "nf_conntrack_buckets": 64})
    for port in range(1, 51):
        Talk(both, port=port).open(1)
    for number in range(5000):
        Talk(both, port=10000 + number).client(2 + number / 5000, SYN, 0)
    assured = [line for line in both.table() if "[ASSURED]" in line]
    assert len(assured) == 50
    assert both.count() <= 100
    drops, evictions = both.counter("drop"), both.counter("early_drop")
    assert 5000 - drops - evictions - both.counter("chain_toolong") == both.count() - 50
    assert {Talk(both, port=port).client(4, ACK, 1, 1) for port in range(1, 51)} == {"established original"}
