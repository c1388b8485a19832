"""The limit, the buckets, and the memory for them."""

import pytest
from rule_text import FULL, fired, found


def limit(number: int, count: int | None = None) -> str:
    return f"net.netfilter.nf_conntrack_max = {number}\n" + (
        f"net.netfilter.nf_conntrack_count = {count}\n" if count is not None else ""
    )


@pytest.mark.parametrize("number", [4096, 65536, 262144])
def test_a_shipped_limit_that_is_full(number: int) -> None:
    one = fired(FULL + limit(number), "table-undersized")
    assert one.fixes[0] == "raise-max"
    assert one.confidence == pytest.approx(1 - 0.55 * 0.6)
    assert str(number) in one.why


def test_a_limit_raised_far_above_every_default_is_doubted() -> None:
    assert fired(FULL + limit(2_000_000), "table-undersized").confidence < fired(FULL, "table-undersized").confidence


@pytest.mark.parametrize(("count", "fires"), [(7600, True), (7400, False)])
def test_nearness(count: int, fires: bool) -> None:
    assert (found(limit(10_000, count), "table-undersized") is not None) is fires


def test_not_full_is_never_worse_than_information() -> None:
    assert fired(limit(10_000, 8000), "table-undersized").severity == "info"
    assert fired(FULL, "table-undersized").severity == "degraded"


@pytest.mark.parametrize(
    ("number", "buckets", "fires"),
    [
        (65_536, 16_384, False),  # 8 nodes a chain: the kernel's own ratio before 5.15
        (131_072, 16_384, True),  # 16
        (1_000_000, 16_384, True),  # 122
        (262_144, 262_144, False),  # 2
    ],
)
def test_chains(number: int, buckets: int, fires: bool) -> None:
    one = found(limit(number) + f"net.netfilter.nf_conntrack_buckets = {buckets}\n", "hash-undersized")
    assert (one is not None) is fires
    if one is not None:
        assert f"{2 * number / buckets:.0f} nodes" in one.why
        assert one.fixes[0] == "raise-hashsize"


def test_vmalloc_is_harmless_and_said_to_be() -> None:
    one = fired("[3.1] nf_conntrack: falling back to vmalloc.", "memory-pressure")
    assert one.severity == "info"
    assert one.fixes[0] == "none"


def test_a_failed_allocation_elsewhere_is_weaker_than_one_of_an_entry() -> None:
    other = fired("[3.1] java: page allocation failure: order:4, mode:0x40d0", "memory-pressure")
    entry = fired(
        "[3.1] java: page allocation failure: order:0, mode:0x20\n[3.2]  nf_conntrack_alloc+0x1e/0x160",
        "memory-pressure",
    )
    assert other.confidence == pytest.approx(0.55)
    assert entry.confidence >= 1 - 0.45 * 0.5


def test_vmalloc_beside_a_full_table_is_not_the_cause() -> None:
    text = "[2.1] nf_conntrack: falling back to vmalloc.\n" + FULL + limit(65536)
    assert fired(text, "memory-pressure").confidence < fired(text, "table-undersized").confidence
