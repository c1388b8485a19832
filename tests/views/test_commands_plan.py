"""``tablefull plan`` as a process: every kind of evidence, every exit code, one line for every mistake."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.live.plan_events import line, steady
from tests.live.replay_captures import at, query, written

Tablefull = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def events(tmp_path: Path) -> str:
    (tmp_path / "events.txt").write_text("\n".join(steady()))
    return str(tmp_path / "events.txt")


def told(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    return json.loads(done.stdout)


def test_events(tablefull: Tablefull, events: str) -> None:
    done = tablefull("plan", events, "--max", "20", "--format", "json")
    assert (done.returncode, done.stderr) == (1, "")
    found = told(done)
    assert (found["needed"], found["standing"]) == (30, "wrong")  # nobody answers these queries


def test_made_up_traffic(tablefull: Tablefull) -> None:
    words = ("plan", "--workload", "http:rate=10", "--duration", "5m", "--format", "json", "--max")
    low, high = tablefull(*words, "100"), tablefull(*words, "65536")
    assert (low.returncode, told(low)["standing"]) == (1, "raise")
    assert (high.returncode, told(high)["standing"]) == (0, "keep")
    assert 1200 <= told(low)["needed"] <= 2000


def test_a_flood_is_not_answered_by_a_number(tablefull: Tablefull) -> None:
    done = tablefull("plan", "--workload", "synflood:rate=100", "--duration", "2m")
    assert done.returncode == 1
    assert done.stdout.startswith("Do not raise the limit first: a flood fills any limit")


def test_a_capture_and_a_pipe_of_it(tablefull: Tablefull, tmp_path: Path) -> None:
    packets = at(*((port / 10, query(port)) for port in range(1, 51)))
    path = written(tmp_path / "x.pcap", packets)
    done = tablefull("plan", str(path), "--format", "json")
    assert told(done)["needed"] == 50
    piped = subprocess.run(
        ["sh", "-c", f"cat {path} | {' '.join(done.args)}".replace(f"plan {path}", "plan -")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told(piped)["needed"] == 50
    assert "A pipe is read once" in piped.stdout


def test_one_entry(tablefull: Tablefull, tmp_path: Path) -> None:
    (tmp_path / "one").write_text(line(1, "NEW", 9, 30) + "\n")
    found = told(tablefull("plan", str(tmp_path / "one"), "--format", "json"))
    assert (found["needed"], found["limit"]) == (1, 1024)


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        ((), 2, "plan needs evidence or --workload"),
        (("x", "--workload", "http"), 2, "not both"),
        (("nowhere",), 2, "nowhere"),
        (("--workload", "http", "--growth", "0.5"), 2, "--growth 0.5"),
        (("--workload", "http", "--growth", "nan"), 2, "--growth nan"),
        (("--workload", "http", "--quantile", "1"), 2, "--quantile 1"),
        (("--workload", "http", "--max", "many"), 2, "--max 'many'"),
        (("--workload", "http", "--ram", "lots"), 2, "--ram 'lots'"),
        (("--workload", "http", "--ram", "0"), 2, "--ram '0': no host has none"),
        (("--workload", "http", "--kernel", "no"), 2, "no kernel release"),
        (("--workload", "http", "--notrack", "port port"), 2, "port"),
        (("x", "--duration", "5s"), 2, "--duration belongs"),
    ],
)
def test_mistakes(tablefull: Tablefull, words: tuple[str, ...], code: int, part: str) -> None:
    done = tablefull("plan", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done
    assert part in done.stderr


def test_evidence_that_is_none(tablefull: Tablefull, tmp_path: Path) -> None:
    """An empty directory is wrong usage; a cut record and a capture of nothing are blindness."""
    assert tablefull("plan", str(tmp_path)).returncode == 2
    (tmp_path / "events-20260101T000000.000000Z-0000.parquet").write_bytes(b"PAR1 and no more")
    done = tablefull("plan", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert "cannot be read" in done.stderr
    empty = written(tmp_path / "empty.pcap", [])
    assert tablefull("plan", str(empty)).returncode == 3


def test_a_kernel_that_nobody_has_read_is_said(tablefull: Tablefull) -> None:
    done = tablefull("plan", "--workload", "http:rate=10", "--duration", "5s", "--kernel", "7.99")
    assert "no kernel as new as 7.99 was read" in " ".join(done.stdout.split())
