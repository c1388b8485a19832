"""Translation: races, ports, and entries that outlive their endpoint."""

import pytest
from rule_text import FULL, fired, found


def stats(failed: int) -> str:
    return f"cpu=0 found=9 invalid=120 insert=0 insert_failed={failed} drop=0 early_drop=0 search_restart=8\n"


@pytest.mark.parametrize("failed", [3, 300, 300_000])
def test_no_ratio_decides_the_race(failed: int) -> None:
    one = fired("DNS lookups from pods stall for 5 s now and then.\n" + stats(failed), "insert-race-dns")
    assert one.confidence >= 0.7
    assert f"insert_failed is {failed}" in one.why


def test_shown_and_zero_is_no_race() -> None:
    one = found("DNS lookups from pods stall for 5 s now and then.\n" + stats(0), "insert-race-dns")
    assert one is None or one.confidence < 0.2


def test_insert_failed_alone_is_a_weak_reason() -> None:
    assert fired(stats(400), "insert-race-dns").confidence < 0.5


def test_a_full_table_comes_before_the_race() -> None:
    full = fired(FULL + "DNS lookups from pods stall for 5 s.", "insert-race-dns")
    roomy = fired("DNS lookups from pods stall for 5 s.", "insert-race-dns")
    assert full.confidence < roomy.confidence


def test_a_count_that_stops_at_the_ports_of_one_address() -> None:
    text = "-A POSTROUTING -o eth0 -j MASQUERADE\nnet.netfilter.nf_conntrack_count = {}\nnet.netfilter.nf_conntrack_max = {}\n"
    one = fired(text.format(64_512, 1_048_576), "snat-port-exhaustion")
    assert "64512" in one.why
    near_the_limit = found(text.format(64_512, 65_536), "snat-port-exhaustion")
    assert near_the_limit is None or "64512" not in near_the_limit.why


def test_local_ports_are_no_translation() -> None:
    assert found("connect: cannot assign requested address", "snat-port-exhaustion") is None


def test_a_stale_entry_needs_two_reasons() -> None:
    assert found("We ran conntrack -D once.", "stale-nat-entries") is None
    one = fired(
        "After the pod is recreated UDP packets still go to the old pod IP; conntrack -D brings them back.",
        "stale-nat-entries",
    )
    assert one.fixes[0] == "flush-entries"
