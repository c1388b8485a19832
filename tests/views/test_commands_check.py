"""The monitoring plugin: codes 0 1 2 3, one line, performance data."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tablefull.facts.origin import Hole
from tablefull.views.commands_check import judge

Tablefull = Callable[..., subprocess.CompletedProcess[str]]
PERFDATA = re.compile(r"\|'count'=\d+;\d*;\d*;0;\d*$")


def tree(root: Path, count: int, limit: int) -> list[str]:
    folder = root / "proc/sys/net/netfilter"
    folder.mkdir(parents=True)
    (folder / "nf_conntrack_count").write_text(f"{count}\n")
    (folder / "nf_conntrack_max").write_text(f"{limit}\n")
    return ["--root", str(root)]


@pytest.mark.parametrize(
    ("count", "code"), [(0, 0), (849, 0), (850, 1), (949, 1), (950, 2), (1000, 2), (1010, 2)]
)  # fmt: skip
def test_thresholds_hold_from_their_value_on(tablefull: Tablefull, tmp_path: Path, count: int, code: int) -> None:
    done = tablefull("check", *tree(tmp_path, count, 1000))
    assert done.returncode == code
    assert done.stdout.count("\n") == 1
    assert PERFDATA.search(done.stdout.strip())
    assert f"'count'={count};850;950;0;1000" in done.stdout


def test_own_thresholds(tablefull: Tablefull, tmp_path: Path) -> None:
    done = tablefull("check", "-w", "10", "-c", "20.5", *tree(tmp_path, 150, 1000))
    assert done.returncode == 1
    assert "'count'=150;100;205;0;1000" in done.stdout


@pytest.mark.parametrize(
    "thresholds", [["-w", "95", "-c", "85"], ["-w", "-1"], ["-c", "101"], ["-w", "many"], ["-w", "nan"]]
)
def test_a_mistake_in_the_call_is_unknown_and_never_critical(tablefull: Tablefull, thresholds: list[str]) -> None:
    done = tablefull("check", *thresholds)
    assert done.returncode == 3
    assert done.stdout.startswith("CONNTRACK UNKNOWN: ")


def test_no_table_is_unknown(tablefull: Tablefull, tmp_path: Path) -> None:
    done = tablefull("check", "--root", str(tmp_path))
    assert done.returncode == 3
    assert "nf_conntrack_count" in done.stdout


def test_a_limit_of_zero_is_none() -> None:
    assert judge(5, 0, 85, 95).code == 0
    assert judge(Hole("/x", "permission denied", "run it as root"), 5, 85, 95).line == (
        "CONNTRACK UNKNOWN: /x: permission denied; run it as root"
    )
