"""Which kernel a name stands for, and what it has. Expected: KERNEL.md 1.1, 4.2, 4.3, 8.7, 8.8."""

import pytest

from tablefull.errors import UsageError
from tablefull.twin import eras


@pytest.mark.parametrize(
    ("name", "gc", "early", "whole", "chain"),
    [
        ("6.18", eras.GC_ADAPTIVE, eras.DROP_EIGHT_BUCKETS, True, (50, 79)),
        ("6.1", eras.GC_ADAPTIVE, eras.DROP_EIGHT_BUCKETS, True, (50, 79)),
        ("6.1.5", eras.GC_ADAPTIVE, eras.DROP_EIGHT_BUCKETS, True, (8, 31)),
        ("5.15.16", eras.GC_FIXED, eras.DROP_EIGHT_BUCKETS, True, (8, 31)),
        ("4.19", eras.GC_SLICES, eras.DROP_EIGHT_BUCKETS, True, (0, -1)),
        ("4.16.13", eras.GC_SLICES, eras.DROP_ONE_BUCKET, True, (0, -1)),
        ("4.4", eras.GC_TIMERS, eras.DROP_ENTRIES_NEWEST, False, (0, -1)),
        ("3.2", eras.GC_TIMERS, eras.DROP_ENTRIES_OLDEST, False, (0, -1)),
    ],
)
def test_what_a_kernel_does(name: str, gc: int, early: int, whole: bool, chain: tuple[int, int]) -> None:
    era = eras.era(name)
    assert (era.gc, era.early_drop, era.drop_whole_bucket) == (gc, early, whole)
    assert (era.chain_least, era.chain_least + era.chain_span - 1) == chain


@pytest.mark.parametrize(
    ("switch", "since", "before"),
    [
        ("ignore-old-data", "6.1", "5.19"),
        ("wscale-on-reply", "6.8.1", "6.6"),
        ("udp-stream-2s", "5.0.1", "4.19"),
        ("window-zero-timeout", "4.16.13", "4.14"),
        ("challenge-ack-last-ack", "4.2.8", "4.0"),
        ("unack-cap", "3.11", "3.10"),
        ("rst-other-direction", "6.18", "6.12.33"),
    ],
)
def test_switches_by_version(switch: str, since: str, before: str) -> None:
    assert eras.era(since).has(switch)
    assert not eras.era(before).has(switch)


def test_a_series_is_played_at_a_tree_that_was_read() -> None:
    assert eras.era("6.18").kernel.release == "6.18.44"
    assert eras.era("5.15").kernel.patch == 135
    assert eras.era("5.15.0-91-generic").kernel.vendor == "ubuntu"
    assert eras.era("6.18").unsure == ()
    assert "rst-other-direction" in eras.era("6.18.2").unsure


@pytest.mark.parametrize("name", ["", "six", "2.4.20", "2.6.18"])
def test_no_kernel(name: str) -> None:
    with pytest.raises(UsageError):
        eras.era(name)


def test_what_is_not_known_of_a_kernel_is_said() -> None:
    assert eras.doubts("6.18") == eras.doubts("5.4.200") == eras.doubts("6.19") == []
    (later,) = eras.doubts("7.99")
    assert "no kernel as new as 7.99" in later
    (between,) = eras.doubts("6.1.50")  # the stable points that were read are 6.1.1 and 6.1.192
    assert "rst-other-direction" in between
