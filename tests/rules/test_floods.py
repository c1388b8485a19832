"""Attack traffic against scans and busy listen queues."""

import pytest
from rule_text import FULL, fired, found, rows, tcp

CAUSE = "syn-flood-or-ddos"
OUTWARDS = (
    "ipv4     2 tcp      6 60 SYN_SENT src=10.0.0.9 dst=198.51.{i}.1 sport=4{i:04} dport=23 [UNREPLIED] "
    "src=198.51.{i}.1 dst=10.0.0.9 sport=23 dport=4{i:04} mark=0 use=2"
)


@pytest.mark.parametrize("state", ["SYN_RECV", "SYN_SENT"])
def test_half_open_from_many_sources(state: str) -> None:
    one = fired(FULL + tcp(30, state, assured="") + tcp(20, "ESTABLISHED", left=431000), CAUSE)
    assert "30 of 50" in one.why
    assert one.fixes[0] == "rate-limit-or-block-source"


def test_half_open_from_one_source_to_many_is_a_scan() -> None:
    assert found(FULL + rows(40, OUTWARDS), CAUSE) is None


def test_below_the_share_it_is_quiet() -> None:
    # 19 of 50 are 38 %, and the share asked for is more than 40 %.
    assert found(FULL + tcp(19, "SYN_RECV", assured="") + tcp(31, "ESTABLISHED", left=431000), CAUSE) is None


def test_an_example_is_not_a_composition() -> None:
    assert found(FULL + tcp(19, "SYN_RECV", assured=""), CAUSE) is None


def test_cookies_alone_are_no_attack() -> None:
    assert found("TCP: Possible SYN flooding on port 80. Sending cookies.", CAUSE) is None


@pytest.mark.parametrize(("number", "fires"), [(10_000, True), (9_999, False)])
def test_suppressed_callbacks_by_the_thousand(number: int, fires: bool) -> None:
    text = f"[5.0] net_ratelimit: {number} callbacks suppressed\n[5.0] nf_conntrack: table full, dropping packet\n"
    assert (found(text, CAUSE) is not None) is fires
