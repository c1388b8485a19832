"""The compiled collector against the plain one at every moment: counts, registers' effect, who is evicted by it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.both import HOSTS, Both, Talk

KERNELS = ["6.18", "5.15.16", "5.10", "4.14", "4.9", "4.4", "3.2"]


@given(
    kernel=st.sampled_from(KERNELS),
    timeouts=st.tuples(st.sampled_from([1, 3, 50]), st.sampled_from([1, 20, 400])),
    steps=st.lists(st.tuples(st.integers(0, 40), st.floats(0, 90, allow_nan=False)), min_size=1, max_size=25),
    limit=st.sampled_from([0, 10, 100]),
)
def test_counts_are_equal_whenever_somebody_looks(
    kernel: str, timeouts: tuple[int, int], steps: list[tuple[int, float]], limit: int
) -> None:
    given_settings = {"nf_conntrack_udp_timeout": timeouts[0], "nf_conntrack_icmp_timeout": timeouts[1]}
    both = Both(kernel, given_settings | {"nf_conntrack_max": limit, "nf_conntrack_buckets": 16})
    now_s, port = 1.0, 0
    for many, gap_s in steps:
        for _ in range(many):
            port += 1
            data = HOSTS.link(0).udp(port, 53, b"x") if port % 3 else HOSTS.link(0).icmp(8, 0, port << 16)
            both.packet(now_s, data)
        now_s += gap_s
        both.advance(now_s)
        both.count()
    both.same()


@pytest.mark.parametrize("kernel", ["6.18", "6.1", "5.15"])
def test_eviction_by_the_collector_spares_the_established(kernel: str) -> None:
    """At 95 % of the limit, after a refusal: 10 closing of 100 go, 90 stay. From 4.12 on. [core 4.12..6.18]"""
    both = Both(kernel, {"nf_conntrack_max": 100, "nf_conntrack_tcp_timeout_close_wait": 3600})
    for port in range(1, 101):
        Talk(both, port=port).open(1)
    for port in range(1, 11):
        Talk(both, port=port).client(2, 0x11, 1, 1)
        Talk(both, port=port).server(2, 0x10, 1, 2)
    assert both.packet(3, HOSTS.link(0).udp(9, 9, b"")) == "dropped"
    both.advance(200)
    # The collector stops evicting once fewer than 95 are left; the six that made it so are closing ones.
    states = [line.split()[5] for line in both.table()]
    assert states.count("ESTABLISHED") == 90
    assert states.count("CLOSE_WAIT") == 4
    both.same()


def test_before_5_15_one_slice_evicts_for_a_refusal() -> None:
    """The flag goes with the run that a 128th of the table makes: here one entry of 100. [core 4.19]"""
    both = Both("4.19", {"nf_conntrack_max": 100, "nf_conntrack_tcp_timeout_close_wait": 3600})
    for port in range(1, 101):
        Talk(both, port=port).open(1)
    for port in range(1, 101):
        Talk(both, port=port).client(2, 0x11, 1, 1)
        Talk(both, port=port).server(2, 0x10, 1, 2)
    for refusals in (1, 2):
        assert both.packet(2 + refusals, HOSTS.link(0).udp(9, 9, b"")) == "dropped"
        both.advance(2.9 + refusals)
        assert both.count() == 99
        Talk(both, port=5000 + refusals).open(2.95 + refusals)  # full again, and ASSURED
        assert both.count() == 100


def test_a_large_table_is_left_as_the_kernel_leaves_it() -> None:
    """100,000 dead at once, 64000 a second: after one second of ticks of 4 ms 250 times 257 are gone."""
    from tablefull.twin import Twin

    twin = Twin("6.18", {"nf_conntrack_udp_timeout": 1, "nf_conntrack_max": 200000})
    packets = [HOSTS.link(0).udp(port, host, b"") for host in (1, 2) for port in range(1, 50001)]
    data = np.frombuffer(b"".join(packets), np.uint8)
    start = np.arange(len(packets)) * 28
    twin.packets(np.zeros(len(packets), np.int64), data, start, np.full(len(packets), 28))
    assert twin.count == 100_000
    twin.advance(1_000_000_000)
    assert twin.count == 100_000 - 257
    twin.advance(1_996_000_000)
    assert twin.count == 100_000 - 250 * 257
    twin.advance(3_000_000_000)
    assert twin.count == 0
