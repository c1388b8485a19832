"""A look at a table: shares against what was put in, intervals against chance, the sample against the whole."""

from math import comb
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.realkernel.filled import Kind
from tests.realkernel.table_space import table_space
from tests.wire.ctnetlink_bytes import SIX, WHOLE
from tests.wire.test_ctnetlink import read

from tablefull.errors import KernelRefused
from tablefull.live import table
from tablefull.live.table import from_file, full, interval, pick, sample
from tablefull.wire.dimensions import named
from tablefull.wire.selection import parse

BY = [named(name) for name in ("state", "source", "dport", "status")]


@given(st.integers(0, 300), st.integers(0, 300), st.one_of(st.none(), st.integers(0, 10**7)))
def test_an_interval_holds_its_share(one: int, other: int, more: int | None) -> None:
    count, of = min(one, other), max(one, other)
    population = None if more is None else of + more
    low, high = interval(count, of, population)
    assert 0 <= low <= high <= 1
    if of:
        assert low - 1e-12 <= count / of <= high + 1e-12
    if population == of and of:
        assert low == high  # everything was read: nothing is uncertain


def test_known_intervals() -> None:
    """Wilson (1927) as textbooks have it: 10 of 50 is 0.112 to 0.330; none of 20 is 0 to 0.161."""
    low, high = interval(10, 50, None)
    assert (round(low, 3), round(high, 3)) == (0.112, 0.330)
    assert round(interval(0, 20, None)[1], 3) == 0.161
    assert interval(0, 0, None) == (0.0, 1.0)


@pytest.mark.parametrize(("share", "population"), [(0.5, 10_000), (0.03, 1_500_000), (0.3, 4000)])
def test_ninety_five_times_in_a_hundred(share: float, population: int) -> None:
    """Drawn without putting back, 2,000 of them: the share lies in the interval in 93.5 % of a thousand times at least.

    With exactly 95 % a thousand trials give fewer than 935 once in fifty years of such tests (binomial).
    """
    chance, size = Random(7), table.SAMPLE
    marked = round(share * population)
    inside = 0
    for _ in range(1000):
        picked = sum(1 for number in chance.sample(range(population), size) if number < marked)
        low, high = interval(picked, size, population)
        inside += low <= marked / population <= high
    assert inside >= 935
    unlikely = sum(comb(1000, at) * 0.95**at * 0.05 ** (1000 - at) for at in range(935))
    assert unlikely < 0.03


def test_keys() -> None:
    row = read(*WHOLE)
    assert pick((0,))(row) == (0x0A000001,)
    assert pick((24, 17))(row) == (6, 443)
    assert pick((27,), (0x04,))(row) == (4,)


@pytest.mark.realkernel
def test_all_of_a_table_is_what_was_put_in() -> None:
    kinds = (Kind(0.5, 6, 443, 3, 9000), Kind(0.25, 17, 53, 0, 9000, 0), Kind(0.25, 6, 80, 7, 9000, six=True))
    with table_space() as space:
        space.fill(4000, kinds)
        for reading in (
            full(space.path, BY, compiled=False), full(space.path, BY, compiled=True), from_file(space.path, BY),
        ):  # fmt: skip
            assert (reading.total, reading.read, reading.matched, reading.sampled) == (4000, 4000, 4000, False)
            assert (reading.interrupted, reading.broken, reading.notes) == (False, 0, [])
            states = {share.label: share.count for share in reading.made[0].shares}
            assert sum(states.values()) == 4000
            assert set(states) == {"tcp ESTABLISHED", "udp", "tcp TIME_WAIT"}
            assert 1800 < states["tcp ESTABLISHED"] < 2200  # six standard deviations of what was drawn
            counts = {made.dimension: [(share.label, share.count) for share in made.shares] for made in reading.made}
            first = counts if reading.source == "ctnetlink" else first  # noqa: F821 - the ones before were it
            assert counts == first
            assert all(share.low == share.high == share.share for made in reading.made for share in made.shares)


@pytest.mark.realkernel
def test_a_sample_of_a_large_table() -> None:
    with table_space(limit=300_000) as space:
        space.fill(150_000)
        seen = sample(space.path, BY)
        whole = full(space.path, BY)
    assert (seen.total, seen.read, seen.sampled) == (150_000, table.SAMPLE, True)
    assert whole.read == 150_000
    true = {(made.dimension, share.key): share.share for made in whole.made for share in made.shares}
    shares = [(made.dimension, share) for made in seen.made for share in made.shares]
    outside = sum(not share.low <= true[name, share.key] <= share.high for name, share in shares)
    assert len(shares) > 15
    assert outside <= 4  # of twenty or so, one is to be expected; more than four comes once in three hundred runs


@pytest.mark.realkernel
def test_the_kernels_own_order_is_a_fair_one() -> None:
    """Many tables: their shares lie in the stated intervals 95 times in 100. Those of one table hang together, so the
    spread is about that of 25 times 8 independent ones: 5 % outside are to be expected, more than 10 % come once in a thousand runs.
    """
    outside = shares = 0
    for seed in range(25):
        with table_space() as space:
            space.fill(6000, seed=seed)
            seen, whole = sample(space.path, BY), full(space.path, BY, compiled=False)
        assert (seen.read, whole.read) == (table.SAMPLE, 6000)
        true = {(made.dimension, share.key): share.share for made in whole.made for share in made.shares}
        for made in seen.made:
            outside += sum(not share.low <= true[made.dimension, share.key] <= share.high for share in made.shares)
            shares += len(made.shares)
    assert shares > 300
    assert outside / shares <= 0.1


@pytest.mark.realkernel
def test_only_those_asked_for() -> None:
    where = parse("proto=tcp and dport=443")
    with table_space(limit=300_000) as space:
        space.fill(120_000)
        seen, whole = sample(space.path, BY, where=where), full(space.path, BY, where)
        small = full(space.path, BY, where, compiled=False)
    assert whole.matched == small.matched
    assert {share.label for share in whole.made[2].shares} == {"tcp/443"}
    low, high = interval(seen.matched, seen.read, seen.total)
    assert low * 0.97 <= whole.matched / whole.read <= high * 1.03


@pytest.mark.realkernel
def test_every_reader_sees_the_same_entries() -> None:
    """table --full, conntrack -L, /proc and conntrack -C agree entry for entry on a quiet table."""
    from tablefull.live.netlink import Netlink
    from tablefull.live.table import rows
    from tablefull.views.table_rows import line
    from tablefull.wire import ctnetlink as at

    with table_space() as space:
        space.fill(3000)
        space.run("conntrack", "-I", "-p", "icmp", "-s", "10.9.0.1", "-d", "10.9.0.2", "--icmp-type", "8",
                  "--icmp-code", "0", "--icmp-id", "5", "-t", "500")  # fmt: skip
        with Netlink(namespace=space.path) as link:
            ours = sorted(_timeless(line(row)) for row in rows(link, at.Reader()))
        theirs = sorted(
            _timeless(each.rstrip())
            for family in ("ipv4", "ipv6")
            for each in space.run("conntrack", "-L", "-o", "extended", "-f", family).splitlines()
        )
        count = int(space.run("conntrack", "-C"))
        proc = from_file(space.path, [])
    assert ours == theirs
    assert len(ours) == count == proc.read == 3001


def _timeless(text: str) -> str:
    """Without the seconds left, which go on between two listings."""
    words = text.split()
    return " ".join([*words[:4], *words[5:]])


def test_a_namespace_that_is_gone() -> None:
    with pytest.raises(KernelRefused, match="it is gone"):
        sample("/nonexistent", BY)
    with pytest.raises(KernelRefused):
        full("/nonexistent", BY)
    assert read(*SIX)[25] == 6
