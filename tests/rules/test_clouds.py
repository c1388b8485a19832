"""Tables that are not the kernel's."""

import pytest
from rule_text import FULL, fired, found


def test_the_allowance_counter() -> None:
    one = fired("     conntrack_allowance_exceeded: 5511", "cloud-allowance")
    assert one.confidence >= 0.9
    assert "5511" in one.why


def test_zero_is_not_exceeded() -> None:
    one = found("     conntrack_allowance_exceeded: 0", "cloud-allowance")
    assert one is None or one.confidence < 0.2


def test_another_allowance_is_said_to_be_another() -> None:
    one = fired("     pps_allowance_exceeded: 99120\n     conntrack_allowance_exceeded: 0", "cloud-allowance")
    assert "not the one for connections" in one.why


@pytest.mark.parametrize(
    "text",
    ['level=warning msg="CT: Map insertion failed"', 'cilium_drop_count_total{reason="CT: Map insertion failed"} 9'],
)
def test_ciliums_map(text: str) -> None:
    one = fired(text, "ebpf-ct-map-full")
    assert one.confidence >= 0.9
    assert one.fixes[0] == "raise-max"


def test_cilium_alone_is_not_a_full_map() -> None:
    assert found(FULL + "We run cilium.", "ebpf-ct-map-full") is None
