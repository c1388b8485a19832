"""How something is known: combining keeps the weakest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.facts.origin import BASES, Fact, Origin, weakest

bases = st.lists(st.sampled_from(BASES), min_size=1)


def test_the_order_of_the_house() -> None:
    assert BASES == ("probed", "shown", "vendor", "version", "unknown")


@given(bases)
def test_weakest_of_all(some: list[str]) -> None:
    assert BASES.index(weakest(*some)) == max(BASES.index(one) for one in some)  # type: ignore[arg-type]


def test_nothing_at_all_is_unknown() -> None:
    assert weakest() == "unknown"


def test_a_fact_has_its_line() -> None:
    with pytest.raises(TypeError):
        Fact()  # type: ignore[call-arg]
    assert Fact(origin=Origin("-", 3, "text")).origin.line == 3
