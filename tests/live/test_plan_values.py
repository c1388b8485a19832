"""What a change exempts, in tcpdump's words."""

import pytest

from tablefull.live.plan_values import NOTHING, Change
from tablefull.twin import notrack


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change(id="notrack", label="", port="udp/53"), "udp port 53"),
        (Change(id="notrack", label="", port="icmp"), "proto icmp"),
        (Change(id="notrack", label="", source="192.0.2.1"), "host 192.0.2.1"),
        (Change(id="notrack", label="", expression="udp or icmp"), "udp or icmp"),
    ],
)
def test_exempts(change: Change, words: str) -> None:
    assert change.exempts == words
    if not words.startswith("proto "):
        notrack.parse(words)


def test_nothing_exempts_nothing() -> None:
    assert NOTHING.exempts is None
