"""What a table is made of: against what was put in, and not at any price."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.realkernel.filled import Kind
from tests.realkernel.table_space import table_space

from tablefull.live import export_composition, table
from tablefull.live.export_composition import MOST_WALKED, OTHER, compose, parts, walked
from tablefull.live.proc import Proc
from tablefull.wire.dimensions import named

BY = (named("state"), named("dport"))


@given(st.integers(1, 10**7), st.integers(0, 10**7))
def test_never_more_than_all_and_never_less_than_the_sample(own: int, others: int) -> None:
    total = own + others
    assert min(own, export_composition.SAMPLE) <= walked(own, total) <= total


def test_by_hand() -> None:
    assert walked(100_000, 100_000) == 2000
    assert walked(100_000, 1_000_000) == 20_000
    assert walked(1000, 1_500_000) == 1_500_000  # fewer than a sample: all buckets are walked


@given(st.lists(st.integers(1, 1000), max_size=30), st.integers(1, 12))
def test_the_parts_add_up(counts: list[int], top: int) -> None:
    ranked = [((number,), count) for number, count in enumerate(sorted(counts, reverse=True))]
    total = sum(counts)
    made = table.made(BY[0]._replace(say=lambda key: OTHER if not key[0] else "x"), ranked, len(ranked), total, total)
    found = parts(made, total, total, top)
    assert len(found) <= top + 1
    assert len({part.key for part in found}) == len(found)
    assert not counts or abs(sum(part.share for part in found) - 1) < 1e-9
    assert all(part.low <= part.share + 1e-12 and part.share <= part.high + 1e-12 for part in found)
    assert found[-1].key == OTHER if len(counts) > top else True


def test_an_empty_table_was_seen() -> None:
    made, holes = compose(Proc(), "x", "/nonexistent", 0, 10**9, BY, 3)
    assert [(one.by, one.read, one.parts) for one in made] == [("state", 0, ()), ("dport", 0, ())]
    assert holes == []


def test_a_small_part_of_a_large_table_is_not_read() -> None:
    began = time.monotonic()
    made, holes = compose(Proc(), "x", None, 10, MOST_WALKED + 1, BY, 3)
    assert made == []
    assert "small part of a large table" in holes[0].why
    assert time.monotonic() - began < 1


def test_a_namespace_that_is_gone() -> None:
    made, holes = compose(Proc(), "x", "/run/netns/not-there", 10, 10, BY, 3)
    assert made == []
    assert (holes[0].what, "not-there" in holes[0].why) == ("composition of x", False)


@pytest.mark.realkernel
def test_what_was_put_in() -> None:
    kinds = (Kind(0.6, 6, 443, 3, 9000), Kind(0.3, 17, 53, 0, 9000, 0), Kind(0.1, 6, 80, 7, 9000))
    with table_space() as space:
        space.fill(1500, kinds)
        made, holes = compose(Proc(), "x", space.path, 1500, 1500, BY, 2)
        listed = space.run("conntrack", "-C").split()
        established = space.run("conntrack", "-L", "-p", "tcp", "--state", "ESTABLISHED").count("\n")
    assert holes == []
    assert listed == ["1500"]
    assert [one.read for one in made] == [1500, 1500]
    (first, second, third) = made[0].parts
    assert (first.key, first.share) == ("tcp ESTABLISHED", established / 1500)
    assert (second.key, third.key) == ("udp", OTHER)
    assert first.low == first.share == first.high  # all of it was read
