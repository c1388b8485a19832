"""Addresses by serial number and arrivals by window."""

import itertools
from ipaddress import ip_address, ip_network

import numpy as np
import pytest

from tablefull.twin.workload_people import Arrivals, People, below, happens
from tablefull.twin.workload_spec import SECOND_NS, parse

SERIAL = np.arange(20_000, dtype=np.int64)


def address(row: np.ndarray) -> str:
    number = int.from_bytes(row.astype(">u4").tobytes(), "big")
    return str(ip_address(number) if len(row) == 1 else ip_address(number.to_bytes(16, "big")))


def arrivals(text: str, seed: int = 0, windows: int = 7, end_s: float = 10.0) -> np.ndarray:
    spec = parse(text)
    end_ns = int(end_s * SECOND_NS)
    found = Arrivals(spec, spec.number("rate"), spec.ns("start"), end_ns, np.random.Generator(np.random.PCG64(seed)))
    bounds = np.linspace(0, end_ns, windows + 1).astype(np.int64).tolist()
    return np.concatenate([found.window(low, high) for low, high in itertools.pairwise(bounds)])


def test_numbers_are_spread_and_repeat() -> None:
    found = below(SERIAL, 7, 10)
    assert np.array_equal(found, below(SERIAL, 7, 10))
    assert not np.array_equal(found, below(SERIAL, 8, 10))
    assert np.bincount(found, minlength=10).min() > 1800  # of 2000; six standard deviations are 254


def test_a_share_is_that_share() -> None:
    assert happens(SERIAL, 1, 0.0).sum() == 0
    assert happens(SERIAL, 1, 1.0).all()
    assert 4600 < happens(SERIAL, 1, 0.25).sum() < 5400


def test_no_pair_is_used_twice_before_the_ports_run_out() -> None:
    people = People(parse("http:clients=3,servers=2"), 0, 99)
    ends = people.pairs(SERIAL)
    assert len(set(zip(ends.src[:, 0].tolist(), ends.sport.tolist(), strict=True))) == len(SERIAL)
    assert ends.sport.min() >= 32768
    assert ends.sport.max() <= 60999
    assert {address(row) for row in ends.src[:9]} == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert {address(row) for row in ends.dst[:99]} == {"198.18.0.1", "198.18.0.2"}


def test_two_workloads_have_clients_of_their_own() -> None:
    first, second = (People(parse("http"), place, 1).pairs(SERIAL).src for place in (0, 1))
    assert not set(first[:, 0].tolist()) & set(second[:, 0].tolist())


def test_addresses_of_ipv6() -> None:
    ends = People(parse("http:family=6,clients=2"), 0, 1).pairs(SERIAL[:2])
    assert {address(row) for row in ends.src} == {"2001:db8::1", "2001:db8::2"}
    assert address(ends.dst[0]) == "2001:db8:ffff::1"


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("synflood:sources=192.168.0.0/16", "192.168.0.0/16"),
        ("synflood:sources=192.168.1.0/30", "192.168.1.0/30"),
        ("synflood", "0.0.0.0/0"),
        ("synflood:family=6", "2000::/3"),
        ("synflood:family=6,sources=2001:db8::/100", "2001:db8::/100"),
        ("synflood:family=6,sources=2001:db8::/33", "2001:db8::/33"),
    ],
)
def test_spoofed_sources_lie_in_their_network(text: str, network: str) -> None:
    rows = People(parse(text), 0, 5).spoofed(SERIAL[:3000]).src
    found = [ip_address(address(row)) for row in rows]
    assert all(one in ip_network(network) for one in found)
    assert not any(one.is_loopback or one.is_multicast for one in found)
    assert len(set(found)) > min(3, ip_network(network).num_addresses - 1)


def test_poisson_arrivals_have_their_rate() -> None:
    found = arrivals("http:rate=1000")
    assert 9500 < len(found) < 10500  # five standard deviations of a Poisson count of 10 000
    assert (np.diff(found) >= 0).all()
    assert np.array_equal(found, arrivals("http:rate=1000"))
    assert not np.array_equal(found, arrivals("http:rate=1000", seed=1)[: len(found)])


@pytest.mark.parametrize("windows", [1, 3, 7, 1000])
def test_uniform_arrivals_are_counted_exactly(windows: int) -> None:
    found = arrivals("http:rate=100,arrival=uniform", windows=windows)
    assert len(found) == 1000
    assert np.array_equal(np.diff(found), np.full(999, SECOND_NS // 100))


@pytest.mark.parametrize("windows", [1, 3, 1000])
def test_bursts(windows: int) -> None:
    found = arrivals("http:rate=100,arrival=burst,burst=50", windows=windows)
    assert len(found) == 1000
    # 20 bursts of 50, half a second apart, each within a millisecond.
    assert np.array_equal(np.unique(found // (SECOND_NS // 2)), np.arange(20))
    assert (found % (SECOND_NS // 2)).max() < 1_000_000


def test_a_day_has_its_middle() -> None:
    found = arrivals("http:rate=1000,arrival=diurnal,period=10s")
    by_second = np.bincount(found // SECOND_NS, minlength=10)
    assert 9300 < len(found) < 10700
    assert by_second[0] < 100
    assert by_second[4] > 1700


def test_nothing_before_the_start() -> None:
    found = arrivals("http:rate=1000,start=4s")
    assert found.min() >= 4 * SECOND_NS
    assert 5600 < len(found) < 6400
