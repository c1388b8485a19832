"""Two packets between their hooks at once: who is merged, who is dropped. KERNEL.md 8.7, in both engines.

The kernel's selftests conntrack_clash and conntrack_reverse_clash are restated here.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.realkernel.headers import SYN
from tests.twin.both import HOSTS, HOSTS6, Both, Talk

from tablefull.errors import UsageError
from tablefull.twin import Twin

THERE, BACK = HOSTS.link(0), HOSTS.link(1)


def query(side: int = 0, port: int = 4000) -> bytes:
    return HOSTS.link(side).udp(*((port, 53) if side == 0 else (53, port)), b"dns")


@pytest.mark.parametrize("hosts", [HOSTS, HOSTS6], ids=["ipv4", "ipv6"])
def test_two_datagrams_of_one_flow(hosts) -> None:
    """conntrack_clash: the second entry is merged into the first, and both datagrams leave."""
    both = Both(settings={"nf_conntrack_acct": 1})
    data = hosts.link(0).udp(4000, 53, b"dns")
    one, two = both.begin(1, data), both.begin(1, data)
    assert both.count() == 2
    assert both.table() == []
    assert [both.leave(1, flight) for flight in (one, two)] == ["new", "new"]
    assert both.count() == 1
    assert "packets=2 " in both.table()[0]
    assert (both.counter("clash_resolve"), both.counter("insert_failed"), both.counter("drop")) == (1, 0, 0)
    both.same()


def test_before_the_column_a_merge_counted_as_a_failed_insert() -> None:
    """To 5.8 there is no clash_resolve: KERNEL.md 8.7."""
    both = Both("5.4")
    for flight in [both.begin(1, query()), both.begin(1, query())]:
        assert both.leave(1, flight) == "new"
    assert (both.counter("clash_resolve"), both.counter("insert_failed")) == (0, 1)


@pytest.mark.parametrize("kernel", ["6.18", "6.1", "4.19", "3.2"])
def test_a_connection_may_not_clash(kernel: str) -> None:
    both = Both(kernel)
    data = THERE.tcp(1, 2, 3, 0, SYN, 9)
    one, two = both.begin(1, data), both.begin(1, data)
    assert [both.leave(1, flight) for flight in (one, two)] == ["new", "dropped"]
    assert both.count() == 1
    assert both.counter("insert_failed") == 1
    assert both.counter("clash_resolve") == 0


@pytest.mark.parametrize(
    ("kernel", "state"), [("6.18", "new"), ("6.12", "new"), ("6.1", "dropped"), ("3.2", "dropped")]
)
def test_both_directions_at_once(kernel: str, state: str) -> None:
    """conntrack_reverse_clash: merged from 6.12 on, dropped before."""
    both = Both(kernel)
    there, back = both.begin(1, query(0)), both.begin(1, query(1))
    assert both.leave(1, there) == "new"
    assert both.leave(1, back) == state
    assert both.count() == 1
    both.same()


def test_a_begun_entry_that_a_rule_drops() -> None:
    both = Both()
    flight = both.begin(1, query())
    assert both.count() == 1
    assert both.leave(1, flight, accept=False) == "dropped"
    assert both.count() == 0
    assert both.packet(2, query()) == "new original"


def test_an_established_packet_that_a_rule_drops_leaves_its_entry() -> None:
    both = Both()
    both.packet(1, query())
    assert both.leave(2, both.begin(2, query(1)), accept=False) == "dropped"
    assert both.count() == 1
    assert both.packet(3, query()) == "established original"  # tracking had seen the reply


def test_the_lifetime_begins_when_it_leaves() -> None:
    both = Both(settings={"nf_conntrack_udp_timeout": 30})
    flight = both.begin(1, query())
    both.leave(6, flight)
    assert both.only(6) == "30 [UNREPLIED]"


def test_a_begun_entry_holds_a_place_of_the_limit() -> None:
    both = Both(settings={"nf_conntrack_max": 1})
    flight = both.begin(1, query(port=1))
    assert both.begin(1, query(port=2))[0].verdict.state == "dropped"
    assert both.leave(1, flight) == "new"
    assert both.counter("drop") == 1


def test_a_flow_that_ends_while_its_packet_is_in_flight() -> None:
    both = Both(settings={"nf_conntrack_udp_timeout": 1})
    both.packet(1, query())
    flight = both.begin(1.5, query())
    both.advance(80)
    assert both.leave(80, flight) == "new"
    assert both.count() == 0


def test_what_is_not_in_flight() -> None:
    fragment = THERE.packet(17, bytes(16), place=0x2000)
    for engine in ("reference", "loops"):
        twin = Twin(engine=engine)
        with pytest.raises(UsageError, match="a fragment is never in flight"):
            twin.begin(1, fragment)
        flight = twin.begin(1, query(), untracked=True)
        assert flight.verdict.state == "untracked"
        assert twin.confirm(1, flight).state == "untracked"
        with pytest.raises(UsageError, match="has left already"):
            twin.confirm(1, flight)
        assert twin.discard(1, twin.begin(1, b"\x45")).state == "dropped"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=40), st.sampled_from([0, 3]))
def test_packets_in_flight_in_any_order(steps: list[tuple[int, int, bool]], limit: int) -> None:
    """Some packets of few flows, begun and left at random: both engines say and hold the same."""
    for kernel in ("6.18", "6.1", "4.19"):
        both = Both(kernel, {"nf_conntrack_max": limit, "nf_conntrack_acct": 1, "nf_conntrack_buckets": 8})
        waiting: list[list] = []
        for number, (what, which, accept) in enumerate(steps):
            packets = [query(0, which + 1), query(1, which + 1), THERE.tcp(which + 1, 80, 1, 0, SYN, 9)]
            packets.append(THERE.packet(47, bytes(8)))
            if what < 4:
                waiting.append(both.begin(1 + number / 10, packets[what]))
            elif waiting:
                both.leave(1 + number / 10, waiting.pop(which % len(waiting)), accept)
        for flight in waiting:
            both.leave(9, flight)
        both.same()
        assert both.count() == len(both.table(9)) or both.count() > 0


def test_a_connection_opens_in_flight() -> None:
    both = Both()
    flight = both.begin(1, THERE.tcp(1000, 80, 100, 0, SYN, 1000))
    assert flight[0].verdict == ("new", "original")
    assert both.leave(1, flight) == "new"
    talk = Talk(both)
    assert talk.server(1, 0x12, 0, 1) == "established reply"
