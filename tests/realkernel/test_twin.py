"""The twin beside the running kernel, on the same packets: every verdict, the table at the end, the counters.

``TABLEFULL_PROVE_PACKETS`` packets in all (a million for ``make test``, ten for ``make prove``), shared out over the
settings; ``TABLEFULL_PROVE_SEEDS`` seeds, fresh ones where it is ``fresh:3``. How many packets were compared is
printed at the end of the run.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from itertools import islice

import pytest
from tests.realkernel import batch as batches
from tests.realkernel import compare, host_limits, traffic
from tests.realkernel.batch import Batch, Sent
from tests.realkernel.judge import Judge, Lost
from tests.realkernel.record import Recorded

from tablefull.twin import Twin

pytestmark = [pytest.mark.realkernel, pytest.mark.slow]

PACKETS = int(os.environ.get("TABLEFULL_PROVE_PACKETS", "1000000"))
AT_ONCE = 50_000
ATTEMPTS = 5
PAUSE_MS, PAUSES = 350, 24
SHORT = {
    **{f"nf_conntrack_tcp_timeout_{state}": 1 for state in ("syn_sent", "syn_recv", "fin_wait", "close_wait", "close")},
    **{f"nf_conntrack_tcp_timeout_{state}": 2 for state in ("last_ack", "time_wait", "established")},
    "nf_conntrack_tcp_timeout_max_retrans": 1,
    "nf_conntrack_tcp_timeout_unacknowledged": 1,
    "nf_conntrack_udp_timeout": 2,
    "nf_conntrack_udp_timeout_stream": 3,
    "nf_conntrack_icmp_timeout": 1,
    "nf_conntrack_icmpv6_timeout": 1,
    "nf_conntrack_generic_timeout": 2,
    "nf_conntrack_gre_timeout": 1,
    "nf_conntrack_gre_timeout_stream": 2,
    "nf_conntrack_sctp_timeout_established": 2,
}
# Settings and their share of the packets, in per cent.
SETTINGS: dict[str, tuple[dict[str, int], int]] = {
    "default": ({}, 40),
    "tcp_loose=0": ({"nf_conntrack_tcp_loose": 0}, 11),
    "be_liberal=1": ({"nf_conntrack_tcp_be_liberal": 1}, 11),
    "ignore_invalid_rst=1": ({"nf_conntrack_tcp_ignore_invalid_rst": 1}, 11),
    "acct=1": ({"nf_conntrack_acct": 1}, 11),
    "checksum=0": ({"nf_conntrack_checksum": 0}, 6),
    "short timeouts": (SHORT, 10),
}


def seeds() -> list[int]:
    """The seeds of this run; fresh ones are printed with what they were used for."""
    text = os.environ.get("TABLEFULL_PROVE_SEEDS", "20261125")
    if text.startswith("fresh:"):
        return [secrets.randbits(32) for _ in range(int(text.removeprefix("fresh:")))]
    return [int(word) for word in text.split(",")]


SEEDS = seeds()


def paused(sent: Iterator[Sent], every: int) -> Iterator[Sent]:
    """The same, with a pause before each ``every``-th packet."""
    for number, one in enumerate(sent):
        yield (one[0], one[1], PAUSE_MS) if number % every == every - 1 else one


def judged(settings: dict[str, int], name: str, batch: Batch) -> Recorded:
    """What the kernel says of them; again in a fresh namespace where a busy machine lost one on the way."""
    for attempt in range(ATTEMPTS):
        with host_limits.shared(), Judge(settings) as judge:
            try:
                return judge.judged(settings, name, judge.run(batch))
            except Lost:
                if attempt == ATTEMPTS - 1:
                    raise
    raise AssertionError("no attempt was made")


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_the_kernel_agrees(number: int, name: str, record_property: Callable[[str, object], None]) -> None:
    settings, share = SETTINGS[name]
    seed, left = SEEDS[number], max(2000, PACKETS * share // 100 // len(SEEDS))
    sent = traffic.mixed(seed, left)
    if settings is SHORT:
        sent = paused(sent, max(1, left // PAUSES))
    part = compared = 0
    while left > 0:
        batch = batches.collect(islice(sent, min(AT_ONCE, left)))
        recorded = judged(settings, name, batch)
        report = compare.compare(recorded, lambda given: Twin("6.18", given))
        assert not report, f"seed {seed}, part {part}, {name}:\n{report.text()}"
        compared += int(recorded.determined.sum())
        left -= len(batch)
        part += 1
    assert compared
    record_property(f"packets compared, {name}", compared)
    record_property("seed", seed)
