"""``tablefull record``: its words, what it says before and after; the recording itself is tested beside the kernel."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tablefull.errors import UsageError
from tablefull.live.record import Told
from tablefull.live.record_files import Kept, Left
from tablefull.live.record_start import Settings
from tablefull.live.spaces import Space
from tablefull.views import commands_record
from tablefull.views.commands_record import Stop, lines_of, size_of

Tablefull = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("text", "size"),
    [("1GB", 10**9), ("500MB", 5 * 10**8), ("64MiB", 1 << 26), ("1.5k", 1500), ("10", 10), ("2 T", 2 * 10**12)],
)
def test_sizes(text: str, size: int) -> None:
    assert size_of(text, "--keep") == size


@pytest.mark.parametrize("text", ["", "much", "-1", "1 PB", "1GBs", "nan", "1e9"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match=r"--keep .*such as 500MB or 1GB"):
        size_of(text, "--keep")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--keep", "10kB"), "holds no record"),
        (("--duration", "soon"), "a time is wanted"),
        (("--rotate", "0"), "more than nothing"),
        (("--where", "proto="), "a value is wanted"),
        (("--netns", "no-such-namespace"), "no such namespace"),
        (("--buffer", "big"), "a size is wanted"),
        (("--buffer", "10TB"), "less than 2GiB"),
        (("--most-buffer", "2GiB"), "less than 2GiB"),
    ],
)
def test_wrong_words_are_one_line(tablefull: Tablefull, tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    done = tablefull("record", "-o", str(tmp_path / "r"), *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert why in done.stderr
    assert not (tmp_path / "r").exists()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from tablefull.views.cli import run; run(['record', '--help']); "
        "heavy = {'numpy', 'numba', 'polars'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    from tablefull.views.cli import run

    monkeypatch.setattr(commands_record, "find_spec", lambda name: None if name == "polars" else object())
    assert run(["record", "-o", str(tmp_path / "r")]) == 2
    assert "record needs polars: pip install 'tablefull[twin]'" in capfd.readouterr().err


def space(key: str = "web") -> Space:
    return Space(key, None, 1, None, None)


def test_the_cost_of_listening_is_said_where_there_is_one() -> None:
    auto = commands_record._costs([(space(), Settings(2, 0, 0))])
    assert "128 bytes more, in every namespace of this host: 128 MB for a million" in auto[0]
    assert "only the dump at the start tells" in auto[1]
    # To 5.18, or where it is 1, every entry carries it anyway.
    assert commands_record._costs([(space(), Settings(1, 0, 0))]) == []
    assert "may cost 128 bytes" in commands_record._costs([(space(), Settings(None, None, None))])[0]


def test_whose_clock_it_is_is_said() -> None:
    assert commands_record._clock([(space(), Settings(2, 1, 0))]) == []
    (line,) = commands_record._clock([(space(f"n{number}"), Settings(2, 0, 0)) for number in range(5)])
    assert "times are those of receipt" in line
    assert "n0, n1, n2 and 2 more" in line


def test_what_an_earlier_recording_left() -> None:
    assert "2023-11-14 22:13:20 UTC are lost" in commands_record._left(Left("a.part", 1_700_000_000 * 10**9, False))
    assert "its events are lost" in commands_record._left(Left("a.part", None, False))
    assert "it is whole and was kept" in commands_record._left(Left("a.part", None, True))


class Fake:
    """A recorder and a folder that are over."""

    def __init__(self, told: Told, kept: Kept) -> None:
        self.told, self.kept, self.keep_bytes, self.unwritten, self.failed = told, kept, 10**9, 0, None


def summary(told: Told, kept: Kept | None = None) -> str:
    fake: Any = Fake(told, kept or Kept())
    return "\n".join(lines_of(told, fake, fake, "r\x1b[31m"))


def test_a_summary_without_a_gap() -> None:
    text = summary(Told(began_ns=0, until_ns=10**10, events={"NEW": 1200, "UPDATE": 3, "DESTROY": 4}, cpu_s=1.5))
    assert "1,207 events in 10.0 s: 1,200 NEW, 3 UPDATE, 4 DESTROY" in text
    assert "nothing: no gap" in text
    assert "1.50 s of CPU" in text
    assert "\x1b" not in text


def test_a_summary_with_gaps_and_removed_files() -> None:
    told = Told(gaps=3, lost=5000, gaps_of_unknown_size=1, gap_s=0.25, unmatched=7, resyncs_failed=1)
    text = summary(told, Kept(files=2, bytes=10, removed_files=1, removed_rows=99))
    assert "5,000 events in 3 gaps of 0.25 s together, 1 of unknown size" in text
    assert "7 events and entries that --where does not mean" in text
    assert "1 more not whole" in text
    assert "1 older files with 99 rows, to keep 1,000,000,000 bytes" in text


def test_a_summary_of_rows_that_found_no_room_does_not_call_them_recorded() -> None:
    fake: Any = Fake(Told(events={"NEW": 3886}), Kept(files=1, bytes=10))
    fake.unwritten, fake.failed = 1926, "a.part: cannot be written (no space left on device)"
    text = "\n".join(lines_of(fake.told, fake, fake, "r"))
    assert text.startswith("received   3,886 events")
    assert "lost       the last 1,926 rows" in text
    assert "nothing" not in text


def test_without_the_right_it_could_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tablefull.errors import KernelRefused
    from tablefull.live import netlink, record_start

    def refused(_: object) -> None:
        raise KernelRefused("netlink: CAP_NET_ADMIN is missing")

    monkeypatch.setattr(netlink, "askable", lambda _: None)
    monkeypatch.setattr(record_start, "check_allowed", refused)
    assert commands_record.record.main(["-o", str(tmp_path / "r")], standalone_mode=False) == 3
    assert capsys.readouterr().err == "tablefull: netlink: CAP_NET_ADMIN is missing\n"
    assert not (tmp_path / "r").exists()


def test_the_least_disk_is_named_as_it_may_be_written() -> None:
    assert size_of("1MB", "--keep") == commands_record.LEAST_KEEP_BYTES


def test_it_stops_by_time_or_signal_and_gives_the_handlers_back() -> None:
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with Stop(None) as stop:
        assert stop.going()
        signal.raise_signal(signal.SIGTERM)
        assert not stop.going()
    assert signal.getsignal(signal.SIGTERM) is before
    waiting = Stop(1e-9)
    assert waiting.going(), "the time that it takes to begin is not of the recording"
    waiting.begin()
    assert not waiting.going()
