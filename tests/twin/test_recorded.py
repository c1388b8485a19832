"""The kernel's recorded verdicts, where there is no root to ask it: both engines must say the same, and so must the CLI.

How the runs were made: tests/realkernel/record_runs.py. Each holds the packets, a verdict a packet, the table at the end
in both listings, and the counters.
"""

import csv
import tarfile
from pathlib import Path

import pytest
from tests.realkernel import compare, record

from tablefull.twin import Twin
from tablefull.views.cli import run

RUNS = sorted((Path(__file__).parent.parent / "captures/verdicts").glob("*.tar.xz"))


def test_there_are_runs_of_every_kind() -> None:
    names = {path.name.removesuffix(".tar.xz") for path in RUNS}
    assert {"mixed-default", "mixed-acct-1", "mixed-short-timeouts", "tcp-states", "fragments", "full-table"} <= names


@pytest.mark.parametrize("engine", ["loops", "reference"])
@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_the_recorded_kernel_agrees(path: Path, engine: str) -> None:
    recorded = record.read(path)
    assert recorded.about["kernel"].startswith("6.18.")
    assert recorded.determined.mean() > 0.8
    report = compare.compare(recorded, lambda settings: Twin("6.18", settings, engine=engine))  # type: ignore[arg-type]
    assert not report, report.text()


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_the_command_agrees(path: Path, tmp_path: Path) -> None:
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    recorded = record.read(path)
    settings = {**recorded.about["host"], **recorded.about["settings"]}
    words = [word for name, value in settings.items() for word in ("--sysctl", f"{name}={value}")]
    ours, table = tmp_path / "ours.csv", tmp_path / "ours.txt"
    files = ["--verdicts", str(ours), "--entries", str(table)]
    code = run(["replay", str(tmp_path / "packets.pcap"), *words, *files, "--format", "json"])
    assert code == (1 if recorded.about["counters"]["drop"] else 0)
    with (tmp_path / "verdicts.csv").open() as theirs, ours.open() as mine:
        rows = list(zip(csv.reader(theirs), csv.reader(mine), strict=True))
    assert [pair for pair in rows if pair[0] != pair[1] and pair[0][1] != record.UNKNOWN] == []
    # The listing is of the moment of the last packet, the kernel's of a little later.
    assert compare.rows_differ(recorded.entries, table.read_text().splitlines(), within_s=2) == []
