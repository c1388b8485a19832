"""``tablefull replay`` as a process: every option, every exit code, and one line for every mistake."""

import csv
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.live.replay_captures import BACK, BEGAN, SECOND, THERE, at, query, written
from tests.realkernel.headers import ACK, SYN
from tests.wire.capture_bytes import pcap

from tablefull.errors import UsageError
from tablefull.live import replay as driver
from tablefull.views.cli import run
from tablefull.views.commands_replay import settings, split

Tablefull = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
WORLD = os.environ | {"PYTHONPATH": str(ROOT / "src")}


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A connection that stays and three queries of three ports."""
    packets = [
        (0.0, THERE.tcp(1000, 80, 1, 0, SYN, 1000)),
        (0.1, BACK.tcp(80, 1000, 9, 2, SYN | ACK, 1000)),
        (0.2, THERE.tcp(1000, 80, 2, 10, ACK, 1000)),
        *((1 + port / 10, query(port)) for port in (1, 2, 3)),
    ]
    return written(tmp_path / "web1.pcap", at(*packets))


def one_line(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    assert done.returncode == code, done
    assert done.stdout == ""
    assert done.stderr.startswith("tablefull: ")
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr


def test_a_capture_that_fits_and_one_that_does_not(tablefull: Tablefull, capture: Path) -> None:
    done = tablefull("replay", str(capture))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Not full: 4 entries at most")
    done = tablefull("replay", str(capture), "--max", "1")
    assert done.returncode == 1
    assert done.stdout.startswith("Full: 3 packets were refused, 0 of them")
    assert done.stdout.count("table full, dropping packet") == 3


def test_files(tablefull: Tablefull, capture: Path, tmp_path: Path) -> None:
    outputs = {name: tmp_path / f"{name}.csv" for name in ("verdicts", "entries", "timeline")}
    words = [word for name, path in outputs.items() for word in (f"--{name}", str(path))]
    done = tablefull("replay", str(capture), "--max", "1", "--interval", "500ms", *words)
    assert done.returncode == 1
    rows = list(csv.reader(outputs["verdicts"].read_text().splitlines()))
    assert rows[0] == ["index", "state", "direction"]
    assert [row[1] for row in rows[1:]] == ["new", "established", "established", *["dropped"] * 3]
    assert [row[2] for row in rows[1:]] == ["original", "reply", "original", "", "", ""]
    (line,) = outputs["entries"].read_text().splitlines()
    assert line.startswith("ipv4     2 tcp      6 ")
    assert " ESTABLISHED src=10.1.0.1 dst=10.2.0.2 sport=1000 dport=80 " in line
    timeline = list(csv.DictReader(outputs["timeline"].read_text().splitlines()))
    assert [float(row["time_s"]) - BEGAN / SECOND for row in timeline] == [0.5, 1.0, pytest.approx(1.3)]
    assert [int(row["drop"]) for row in timeline] == [0, 0, 3]


def test_parquet_holds_what_csv_holds(tablefull: Tablefull, capture: Path, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    for name in ("t.csv", "t.parquet"):
        assert tablefull("replay", str(capture), "--timeline", str(tmp_path / name)).returncode == 0
    told = polars.read_parquet(tmp_path / "t.parquet")
    text = (tmp_path / "t.csv").read_text().splitlines()
    assert told.columns == next(csv.reader(text))
    assert told["count"].to_list() == [int(row["count"]) for row in csv.DictReader(text)]


def test_a_table_on_standard_output_is_alone_there(tablefull: Tablefull, capture: Path) -> None:
    done = tablefull("replay", str(capture), "--verdicts", "-")
    assert done.stdout.splitlines()[:2] == ["index,state,direction", "0,new,original"]
    assert len(done.stdout.splitlines()) == 7
    assert done.stderr.startswith("Not full")


def test_settings_side_by_side(tablefull: Tablefull, capture: Path) -> None:
    done = tablefull(
        "replay", str(capture), "--max", "1", "--vs", "max=2", "--vs", 'notrack="udp port 53"', "--format", "json"
    )
    told = json.loads(done.stdout)
    assert next(each["refused"] for each in told["outcomes"]) == 3
    assert [each["setting"] for each in told["outcomes"]] == ["as given", "max=2", 'notrack="udp port 53"']
    assert told["outcomes"][2]["verdicts"]["untracked"] == 3
    assert told["outcomes"][2]["refused"] == 0


def test_from_a_pipe_and_compressed(tablefull: Tablefull, capture: Path, tmp_path: Path) -> None:
    raw = capture.read_bytes()
    for data in (raw, gzip.compress(raw)):
        done = tablefull("replay", "-", "--format", "json", stdin=data)
        assert json.loads(done.stdout)["packets"] == 6
    packed = tmp_path / "web1.pcap.gz"
    packed.write_bytes(gzip.compress(raw))
    assert json.loads(tablefull("replay", str(packed), "--format", "json").stdout)["packets"] == 6


def test_recorded_events(tablefull: Tablefull, tmp_path: Path) -> None:
    ends = "src=10.0.0.1 dst=10.0.0.2 sport={0} dport=53 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=53 dport={0}"
    text = "".join(f"[17330000{at_:02}.000000]\t    [NEW] udp      17 30 {ends.format(at_ + 1)}\n" for at_ in range(4))
    path = tmp_path / "events.txt"
    path.write_text(text)
    done = tablefull("replay", str(path), "--max", "2", "--format", "json")
    assert done.returncode == 1
    (outcome,) = json.loads(done.stdout)["outcomes"]
    assert (outcome["refused"], outcome["peak"]) == (2, 2)
    assert json.loads(tablefull("replay", "-", "--format", "json", stdin=text).stdout)["packets"] == 4
    one_line(tablefull("replay", str(path), "--verdicts", "x.csv"), 2, "recorded events hold no packets")
    undated = tmp_path / "undated.txt"
    undated.write_text("    [NEW] udp      17 30 " + ends.format(1) + "\n")
    for command in ("replay", "plan"):
        one_line(tablefull(command, str(undated)), 3, "no event with a time in 1 lines; conntrack -E -o timestamp")


def test_made_up_traffic(tablefull: Tablefull) -> None:
    done = tablefull("replay", "--workload", "dns:rate=20", "--duration", "5s", "--seed", "3", "--format", "json")
    again = tablefull("replay", "--workload", "dns:rate=20", "--duration", "5s", "--seed", "3", "--format", "json")
    assert done.returncode == 0
    assert done.stdout == again.stdout
    assert 20 < json.loads(done.stdout)["outcomes"][0]["verdicts"]["new"] < 220


def test_a_damaged_capture_is_used_up_to_the_damage(tablefull: Tablefull, capture: Path) -> None:
    raw = capture.read_bytes()
    size = 24 + sum(16 + len(packet) for packet in [THERE.tcp(1000, 80, 1, 0, SYN, 1000)])
    capture.write_bytes(raw[: size + 20])  # the second record breaks off after 4 bytes of its packet
    done = tablefull("replay", str(capture), "--format", "json")
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert told["packets"] == 1
    assert f"damaged at byte {size}: the capture breaks off" in told["notes"][0]
    capture.write_bytes(raw[:9])
    for command in ("replay", "plan"):
        one_line(tablefull(command, str(capture)), 3, "not one packet comes before it")
    empty = capture.with_name("none.pcap")
    empty.write_bytes(pcap([]))
    done = tablefull("replay", str(empty))
    assert done.returncode == 3
    assert "not one packet was there" in done.stdout


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ((), ("needs a capture or --workload",)),
        (("x.pcap", "--workload", "dns:rate=1"), ("not both",)),
        (("/nonexistent",), ("no such file",)),
        (("/etc/hostname",), ("neither pcap nor pcapng",)),
        (("{}", "--duration", "5s"), ("--duration belongs to --workload",)),
        (("{}", "--max", "many"), ("nf_conntrack_max=many", "not a whole number")),
        (("{}", "--sysctl", "nf_conntrack_udp_timeot=5"), ("did you mean nf_conntrack_udp_timeout",)),
        (("{}", "--sysctl", "x"), ("NAME=VALUE is wanted",)),
        (("{}", "--kernel", "six"), ("no kernel release",)),
        (("{}", "--notrack", "udp prt 5"), ("--notrack", "column")),
        (("{}", "--vs", "x"), ("NAME=VALUE is wanted",)),
        (("{}", "--vs", 'notrack="udp'), ("a quote is not closed",)),
        (("{}", "--interval", "often"), ("a time is wanted",)),
        (("{}", "--interval", "0"), ("more than nothing",)),
        (("{}", "--timeline", "x.txt"), ("neither .csv nor .parquet",)),
        (("{}", "--verdicts", "/nonexistent/x.csv"), ("there is no directory",)),
        (("{}", "--verdicts", "-", "--entries", "-"), ("only one",)),
        (("{}", "--verdicts", "-", "--format", "json"), ("both mean standard output",)),
        (("{}", "--verdicts", "same", "--entries", "same"), ("files of their own",)),
        (("{}", "--verdicts", "{}"), ("is the capture itself",)),
        (("--workload", "ftp:rate=1"), ("no traffic is called 'ftp'",)),
        (("--workload", "dns:rate=x"), ("rate=x",)),
    ],
)
def test_mistakes(tablefull: Tablefull, capture: Path, words: tuple[str, ...], parts: tuple[str, ...]) -> None:
    before = capture.read_bytes()
    one_line(tablefull("replay", *(word.format(capture) for word in words)), 2, *parts)
    assert capture.read_bytes() == before


def test_a_failure_leaves_what_was_written_before(tablefull: Tablefull, capture: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.csv"
    kept.write_text("mine")
    one_line(tablefull("replay", str(capture), "--verdicts", str(kept), "--kernel", "six"), 2)
    assert kept.read_text() == "mine"


def test_a_name_that_would_act_on_a_terminal(tablefull: Tablefull, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b]0;owned\x07[red].pcap"
    path.write_bytes(pcap([(BEGAN, query(1))], 101)[:-1])
    done = tablefull("replay", str(path))
    assert done.returncode == 3
    assert "\x1b" not in done.stdout + done.stderr
    assert "[red].pcap" in "".join((done.stdout + done.stderr).split())


def test_without_the_extra_it_is_named(capture: Path, tmp_path: Path) -> None:
    """A Python in which numba and numpy are not to be found."""
    code = (
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('numpy', 'numba', 'polars'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "from tablefull.views.cli import run\n"
        f"sys.exit(run(['replay', {str(capture)!r}]))\n"
    )
    world = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=world, check=False)
    one_line(done, 2, "pip install 'tablefull[twin]'")


def test_what_the_base_needs_is_all_that_diagnose_imports() -> None:
    code = (
        "import sys\nfrom tablefull.views.cli import run\nrun(['diagnose', 'examples/xen-dom0.txt'])\n"
        "heavy = {'numpy', 'numba', 'polars', 'textual', 'prometheus_client'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    root = Path(__file__).parents[2]
    world = os.environ | {"PYTHONPATH": str(root / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, env=world, check=False
    )
    assert done.returncode == 0, done.stderr[-300:]


def test_parts_of_a_comparison() -> None:
    assert split('max=5,notrack="udp port 53 or tcp, x"') == ["max=5", "notrack=udp port 53 or tcp, x"]
    base, other = settings("6.18", {"nf_conntrack_max": "7"}, None, ["net.netfilter.nf_conntrack_max=9,kernel=5.15"])
    assert (base.sysctls, other.sysctls, other.kernel) == (
        {"nf_conntrack_max": "7"}, {"net.netfilter.nf_conntrack_max": "9"}, "5.15",
    )  # fmt: skip
    with pytest.raises(UsageError):
        settings("6.18", {}, None, ["=5"])


def test_a_reader_that_goes_away_is_no_failure(capture: Path) -> None:
    world = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command = f"{sys.executable} -m tablefull replay {capture} --verdicts - | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=world, check=False
    )
    assert done.stdout == "index,state,direction\n"
    assert "Traceback" not in done.stderr


def told(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_nothing_seen_is_not_called_fine(tablefull: Tablefull, tmp_path: Path) -> None:
    path = tmp_path / "none.pcap"
    path.write_bytes(pcap([]))
    done = tablefull("replay", str(path))
    assert (done.returncode, "Not full" in done.stdout) == (3, False)
    done = tablefull("replay", str(path), "--format", "json")
    assert (done.returncode, told(done)["outcomes"][0]["full"]) == (3, None)


def test_each_setting_does_what_it_says(tablefull: Tablefull, tmp_path: Path) -> None:
    """KERNEL.md 8.6: the third packet makes a stream of 180 s of a UDP entry in 4.19, and is too early for that in 6.18."""
    packets = at((0, query(1)), (0.1, BACK.udp(53, 1, b"a")), (0.2, query(1)), (0.2, THERE.udp(5, 123, b"")))
    path = str(written(tmp_path / "x.pcap", packets))

    def left(*words: str) -> list[str]:
        return [line.split()[4] for line in tablefull("replay", path, "--entries", "-", *words).stdout.splitlines()]

    assert left("--notrack", "udp port 123") == ["30"]
    assert left("--notrack", "udp port 123", "--kernel", "4.19") == ["180"]
    assert left("--notrack", "udp port 123", "--sysctl", "net.netfilter.nf_conntrack_udp_timeout=7") == ["7"]
    assert left("--notrack", "udp") == []


def test_an_interval_that_is_too_fine_is_made_longer_and_said(
    capture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(driver, "MOST_SAMPLES_NAMED", 10)
    assert run(["replay", str(capture), "--interval", "0.1s", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["interval_ns"] == 200_000_000  # 1.3 s are 13 tenths, more than ten
    assert "makes more than 10 samples; they are 0.2 s apart" in found["notes"][0]


def test_parquet_without_its_library_is_said_before_the_packets_are_read(
    capture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tablefull.views.commands_replay.find_spec", lambda _: None)
    monkeypatch.setattr(driver, "replay", lambda *_, **__: pytest.fail("it was read"))
    assert run(["replay", str(capture), "--timeline", "t.parquet"]) == 2
    line = capsys.readouterr().err
    assert "polars" in line
    assert "pip install 'tablefull[twin]'" in line


def test_a_full_disk_is_a_failure_and_the_other_files_are_as_they_were(
    tablefull: Tablefull, capture: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.csv"
    kept.write_text("mine")
    done = tablefull("replay", str(capture), "--entries", "/dev/full", "--timeline", str(kept))
    one_line(done, 4, "/dev/full: cannot be written (no space left on device)")
    assert kept.read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"kept.csv", "web1.pcap"}
