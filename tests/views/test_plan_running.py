"""From the words of a call to its answer."""

from pathlib import Path

import pytest
from tests.live.plan_events import steady

from tablefull.errors import UsageError
from tablefull.views.plan_running import Asked, planned


def test_what_is_asked_reaches_the_answer(tmp_path: Path) -> None:
    """30 entries as they are, 15 with half the timeout, none of them tracked."""
    path = tmp_path / "events.txt"
    path.write_text("\n".join(steady()))
    found = planned(
        Asked(
            evidence=str(path), limit=20, ram="4GiB", exempt=("udp port 53",), others=("nf_conntrack_udp_timeout=15",)
        )
    )
    assert [one.peak for one in found.options[:3]] == [30, 0, 15]
    assert found.options[0].refused
    assert (found.given.ram_bytes, found.given.limit) == (4 << 30, 20)


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--max is what is in force"):
        planned(Asked(evidence=str(tmp_path), others=("max=5",)))
    with pytest.raises(UsageError, match="record -o"):
        planned(Asked(evidence=None))
