"""``tablefull replay`` of what flows: pipes, recorded events, a terminal, and Ctrl-C."""

import csv
import fcntl
import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.live.replay_captures import at, query, written
from tests.wire.capture_bytes import RAW, pcap

Tablefull = Callable[..., subprocess.CompletedProcess[str]]
WORLD = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
EVENT = (
    "[{}.000000]\t    [NEW] udp      17 30 src={} dst=10.0.0.2 sport={} dport=53 [UNREPLIED]"
    " src=10.0.0.2 dst=10.0.0.1 sport=53 dport={}\n"
)
EVENTS = "".join(EVENT.format(1_733_000_000 + port, "10.0.0.1", port, port) for port in range(1, 5))


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Six queries of six ports."""
    return written(tmp_path / "six.pcap", at(*((port / 10, query(port)) for port in range(1, 7))))


def told(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Four entries, one a second, none of which ends."""
    path = tmp_path / "events.txt"
    path.write_text(EVENTS)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_pipe_is_opened_once(capture: Path, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """As bash's <(ssh host tcpdump -w -) gives one: what was read to tell what it is would be gone."""
    for data, packets in ((capture.read_bytes(), 6), (EVENTS.encode(), 4)):
        (tmp_path / "data").write_bytes(pack(data))
        command = f"{sys.executable} -m tablefull replay <(cat {tmp_path / 'data'}) --format json"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=WORLD, check=False)
        assert (done.returncode, told(done)["packets"]) == (0, packets)


def test_events_that_break_off_are_used_up_to_there(tablefull: Tablefull, tmp_path: Path) -> None:
    text = "".join(EVENT.format(1_733_000_000 + port, "10.0.0.1", port, port) for port in range(1, 2000))
    path = tmp_path / "events.txt.gz"
    packed = gzip.compress(text.encode())
    path.write_bytes(packed[: len(packed) // 2])
    for done in (
        tablefull("replay", str(path), "--format", "json"),
        tablefull("replay", "-", "--format", "json", stdin=path.read_bytes()),
    ):
        assert done.returncode == 3
        assert 100 < told(done)["packets"] < 1999
        assert "the gzip data break off" in told(done)["notes"][0]


def test_events_without_a_time_are_left_out_and_counted(tablefull: Tablefull, events: Path) -> None:
    events.write_text(EVENTS + EVENTS.split("\t", 1)[1].splitlines()[0] + "\n")
    found = told(tablefull("replay", str(events), "--format", "json"))
    assert found["packets"] == 4
    assert found["notes"][0].startswith("1 events have no time and were left out")


def test_what_events_cannot_tell_is_empty_and_not_zero(tablefull: Tablefull, events: Path, tmp_path: Path) -> None:
    done = tablefull("replay", str(events), "--max", "2", "--interval", "1s", "--timeline", "-")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [(row["count"], row["drop"]) for row in rows] == [("2", "0"), ("2", "1"), ("2", "2")]
    assert {row[name] for row in rows for name in ("new", "dropped", "early_drop", "insert_failed")} == {""}
    polars = pytest.importorskip("polars")
    tablefull("replay", str(events), "--max", "2", "--interval", "1s", "--timeline", str(tmp_path / "t.parquet"))
    table = polars.read_parquet(tmp_path / "t.parquet")
    assert table["drop"].to_list() == [0, 1, 2]
    assert (table["new"].dtype, table["new"].to_list()) == (polars.Int64, [None] * 3)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--max", "-1"), "nf_conntrack_max=-1"),
        (("--sysctl", "nf_conntrack_udp_timeot=5"), "did you mean"),
        (("--kernel", "six"), "no kernel release"),
        (("--vs", "kernel=six"), "no kernel release"),
        (("--notrack", "udp"), "needs packets"),
        (("--entries", "x.txt"), "recorded events hold no packets"),
    ],
)
def test_mistakes_about_events(tablefull: Tablefull, events: Path, words: tuple[str, ...], part: str) -> None:
    done = tablefull("replay", str(events), *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert part in done.stderr


def on_terminal(*words: str, stdout: bool = False) -> Iterator[bytes]:
    """What a terminal is given on standard error, and on standard output too where asked, until the program ends."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "tablefull", "replay", *words],
        stdout=theirs if stdout else subprocess.DEVNULL, stderr=theirs, env=WORLD | {"TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(theirs)
    with suppress(OSError):  # EIO: the other end was closed
        while data := os.read(ours, 65536):
            yield data
    os.close(ours)
    yield b"exit %d" % child.wait(60)


def test_a_bar_on_a_terminal_goes_away_again(capture: Path) -> None:
    for words in ((str(capture),), ("--workload", "dns:rate=20", "--duration", "2s")):
        shown = b"".join(on_terminal(*words))
        assert b" packets " in shown
        assert shown.rstrip().endswith(b"\x1b[2Kexit 0")  # the line is erased


def test_strangers_events_do_not_act_on_a_terminal(events: Path) -> None:
    strange = EVENT.format(1_733_000_009, "\x1b]0;owned\x07[red]", 9, 9)
    events.write_text(EVENTS + strange)
    shown = b"".join(on_terminal(str(events), "--vs", "max=7", stdout=True))
    assert b"exit 0" in shown
    assert b"[red]" in shown
    assert b"\x1b]" not in shown
    assert b"\x07" not in shown


def test_ctrl_c_ends_it_while_a_pipe_is_silent(tmp_path: Path) -> None:
    """tcpdump with nothing to see: whoever gives up waiting is not to wait for the next packet."""
    many = at(*((number / 100, query(number + 1)) for number in range(1000)))
    child = subprocess.Popen(
        [sys.executable, "-m", "tablefull", "replay", "-", "--verdicts", str(tmp_path / "v.csv")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=WORLD,
    )  # fmt: skip
    assert child.stdin is not None
    child.stdin.write(pcap(many, RAW))
    child.stdin.flush()
    try:
        deadline = time.monotonic() + 60
        while fcntl.ioctl(child.stdin, termios.FIONREAD, bytes(4)) != bytes(4) and time.monotonic() < deadline:
            time.sleep(0.01)  # until it has read all that there is
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 130
        assert child.communicate() == (b"", b"")
        assert list(tmp_path.iterdir()) == []
    finally:
        child.kill()
        child.communicate()
