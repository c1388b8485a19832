"""Make the recorded runs of tests/captures/verdicts anew: ``python -m tests.realkernel.record_runs`` as root.

The trap: a recorded run is evidence of one kernel. Its name says what it exercises, run.json inside which kernel judged.
"""

from collections.abc import Iterator
from pathlib import Path

from tests.realkernel import batch as batches
from tests.realkernel import host_limits, record, traffic
from tests.realkernel.batch import Sent
from tests.realkernel.judge import Judge
from tests.realkernel.test_full_table import handshake, syns
from tests.realkernel.test_twin import SHORT, paused

FOLDER = Path(__file__).parent.parent / "captures/verdicts"
PACKETS = 6000
RUNS: dict[str, tuple[dict[str, int], str]] = {
    "mixed-default": ({}, "mixed"),
    "mixed-loose-0": ({"nf_conntrack_tcp_loose": 0}, "mixed"),
    "mixed-liberal-1": ({"nf_conntrack_tcp_be_liberal": 1}, "mixed"),
    "mixed-ignore-invalid-rst-1": ({"nf_conntrack_tcp_ignore_invalid_rst": 1}, "mixed"),
    "mixed-acct-1": ({"nf_conntrack_acct": 1}, "mixed"),
    "mixed-checksum-0": ({"nf_conntrack_checksum": 0}, "mixed"),
    "mixed-short-timeouts": (SHORT, "mixed"),
    "tcp-states": ({}, "states"),
    "tcp-connections": ({}, "connections"),
    "fragments": ({}, "fragments"),
}


def full() -> Iterator[Sent]:
    """A table of assured entries, and what is refused then."""
    for port in range(1000, 1100):
        yield from handshake(port)
    yield from syns(4000, 60)
    for port in range(1000, 1100):
        yield handshake(port)[2]


def main() -> None:
    """Write every run."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for number, (name, (settings, kind)) in enumerate(RUNS.items()):
        sent = traffic.mixed(100 + number, PACKETS) if kind == "mixed" else traffic.only(kind, 100 + number, PACKETS)
        if settings is SHORT:
            sent = paused(sent, PACKETS // 12)
        with host_limits.shared(), Judge(settings) as judge:
            record.keep(FOLDER / f"{name}.tar.xz", judge.judged(settings, kind, judge.run(batches.collect(sent))))
    with host_limits.limits(maximum=100), Judge() as judge:
        record.keep(FOLDER / "full-table.tar.xz", judge.judged({}, "full table", judge.run(batches.collect(full()))))


if __name__ == "__main__":
    main()
