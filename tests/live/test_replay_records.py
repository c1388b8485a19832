"""A record as the lives of entries: the same as from the text of the same events, and what gaps and dumps add."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tablefull.errors import Unreadable, UsageError
from tablefull.live import record_columns as columns
from tablefull.live import replay_events, replay_records
from tablefull.live.replay_events import BEFORE, STILL

SECOND_NS = 10**9
FIRST_S = 1_700_000_000
TEXT = """\
[1700000000.000000]	    [NEW] udp      17 30 src=10.0.0.1 dst=10.0.0.9 sport=1000 dport=53 [UNREPLIED] src=10.0.0.9 dst=10.0.0.1 sport=53 dport=1000
[1700000001.000000]	    [NEW] tcp      6 120 SYN_SENT src=10.0.0.2 dst=10.0.0.9 sport=2000 dport=443 [UNREPLIED] src=10.0.0.9 dst=10.0.0.2 sport=443 dport=2000
[1700000002.000000]	 [UPDATE] tcp      6 432000 ESTABLISHED src=10.0.0.2 dst=10.0.0.9 sport=2000 dport=443 src=10.0.0.9 dst=10.0.0.2 sport=443 dport=2000 [ASSURED]
[1700000003.000000]	[DESTROY] icmp     1 src=10.0.0.3 dst=10.0.0.9 type=8 code=0 id=7 src=10.0.0.9 dst=10.0.0.3 type=0 code=0 id=7
[1700000030.000000]	[DESTROY] udp      17 src=10.0.0.1 dst=10.0.0.9 sport=1000 dport=53 [UNREPLIED] src=10.0.0.9 dst=10.0.0.1 sport=53 dport=1000
[1700000031.000000]	    [NEW] udp      17 30 src=10.0.0.1 dst=10.0.0.9 sport=1000 dport=53 [UNREPLIED] src=10.0.0.9 dst=10.0.0.1 sport=53 dport=1000
[1700000032.000000]	    [NEW] udp      17 30 src=10.0.0.1 dst=10.0.0.9 sport=1000 dport=53 [UNREPLIED] src=10.0.0.9 dst=10.0.0.1 sport=53 dport=1000
"""  # fmt: skip


def event(second: float, kind: str, **given: Any) -> dict[str, Any]:
    """A row of a record: UDP from 10.0.0.1:1000 to 10.0.0.9:53, without an answer, unless it is said otherwise."""
    row: dict[str, Any] = dict.fromkeys(columns.SCHEMA)
    row |= {"time_ns": round((FIRST_S + second) * SECOND_NS), "time_from": "received", "netns": "web", "kind": kind}
    if kind not in columns.CONTROLS:
        row |= {
            "family": "ipv4", "proto": "udp", "src": "10.0.0.1", "dst": "10.0.0.9", "sport": 1000, "dport": 53,
            "zone": 0, "id": 1, "status": "confirmed",
        }  # fmt: skip
        if kind != columns.DESTROY:
            row["remaining_s"] = 30
    return row | given


def gap(second: float, until: float, lost: int | None) -> dict[str, Any]:
    return event(second, columns.GAP, until_ns=round((FIRST_S + until) * SECOND_NS), lost=lost)


def written(path: Path, *rows: dict[str, Any]) -> str:
    pl.DataFrame(rows, schema=columns.schema()).write_parquet(path)
    return str(path)


def lives(path: str) -> list[tuple[Any, ...]]:
    """Begin, end and last event in seconds from the first, what it had left, its timeout and shape; by begin."""
    read = replay_records.read(path).recording
    return told(read)


def told(recording: replay_events.Recording) -> list[tuple[Any, ...]]:
    def seconds(time_ns: int) -> Any:
        return {BEFORE: "before", STILL: "still"}.get(time_ns, (time_ns - FIRST_S * SECOND_NS) / SECOND_NS)

    found = [
        (seconds(begin), seconds(end), seconds(last), left, recording.timeouts[name], recording.shapes[shape])
        for begin, end, last, left, name, shape in (map(int, row) for row in recording.rows)
    ]
    return sorted(found, key=str)


def test_the_same_as_from_text(tmp_path: Path) -> None:
    syn = {"proto": "tcp", "src": "10.0.0.2", "sport": 2000, "dport": 443, "id": 2}
    ping = {
        "proto": "icmp",
        "src": "10.0.0.3",
        "sport": None,
        "dport": None,
        "icmp_type": 8,
        "icmp_code": 0,
        "icmp_id": 7,
    }
    path = written(
        tmp_path / "r.parquet",
        event(0, "NEW"),
        event(1, "NEW", **syn, state="SYN_SENT", remaining_s=120),
        event(2, "UPDATE", **syn, state="ESTABLISHED", remaining_s=432000, status="seen_reply assured confirmed"),
        event(3, "DESTROY", **ping, status="seen_reply confirmed", id=3),
        event(30, "DESTROY"),
        event(31, "NEW"),
        event(32, "NEW"),
    )
    text = replay_events.read(TEXT.splitlines(), "text")
    ours = replay_records.read(path).recording
    assert told(ours) == told(text)
    assert len(told(text)) == 5
    assert (
        (ours.events, ours.first_ns, ours.last_ns)
        == (text.events, text.first_ns, text.last_ns)
        == (*(7, FIRST_S * SECOND_NS, (FIRST_S + 32) * SECOND_NS),)
    )


def test_rows_count_by_their_time_not_their_place(tmp_path: Path) -> None:
    path = written(tmp_path / "r.parquet", event(5, "DESTROY"), event(1, "NEW"))
    assert {life[:2] for life in lives(path)} == {(1.0, 5.0)}


def test_what_is_not_in_the_dump_after_a_gap_has_ended(tmp_path: Path) -> None:
    path = written(
        tmp_path / "r.parquet",
        event(0, "synced"),
        event(1, "NEW"),
        event(1, "NEW", sport=2, id=2),
        gap(5, 6, 10),
        event(7, "resync", sport=2, id=2),
        event(7, "synced"),
        event(9, "left"),
    )
    assert {life[:2] for life in lives(path)} == {(1.0, 7.0), (1.0, "still")}


def test_what_is_in_the_dump_after_a_gap_and_was_not_there_began_in_it(tmp_path: Path) -> None:
    path = written(
        tmp_path / "r.parquet",
        event(0, "resync"),
        event(0, "synced"),
        gap(5, 6, None),
        event(7, "resync"),
        event(7, "resync", sport=2, id=2),
        event(7, "synced"),
        event(9, "DESTROY", sport=3, id=3),
    )
    assert {life[:2] for life in lives(path)} == {(6.0, 9.0), (6.0, "still"), ("before", "still")}
    notes = replay_records.read(path).notes
    assert any("1 gaps of 1.00 s together, 0 events lost, 1 of unknown size" in note for note in notes)


def test_without_a_dump_before_the_gap_nobody_knows_that_it_was_not_there(tmp_path: Path) -> None:
    path = written(tmp_path / "r.parquet", event(0, "joined"), gap(5, 6, 1), event(7, "resync"), event(7, "synced"))
    assert {life[:2] for life in lives(path)} == {("before", "still")}


def test_between_two_recordings_in_one_folder_is_a_gap(tmp_path: Path) -> None:
    path = written(
        tmp_path / "r.parquet",
        *(event(0, "joined"), event(0.1, "synced"), event(1, "NEW"), event(2, "left")),
        *(event(8, "joined"), event(8.1, "resync", id=2), event(8.1, "synced"), event(9, "left")),
    )
    assert {life[:2] for life in lives(path)} == {(1.0, 8.1), (8.0, "still")}


def test_the_same_tuple_with_another_id_is_another_entry(tmp_path: Path) -> None:
    path = written(
        tmp_path / "r.parquet",
        event(0, "synced"), event(1, "NEW"), gap(5, 6, 2), event(7, "resync", id=2), event(7, "synced"), event(8, "left"),
    )  # fmt: skip
    assert {life[:2] for life in lives(path)} == {(1.0, 7.0), (6.0, "still")}


def test_a_dump_that_broke_off_ends_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "r.parquet", event(1, "NEW"), gap(5, 6, 2), event(7, "resync", sport=2, id=2))
    assert [life[1] for life in lives(path)] == ["still", "still"]


def test_a_new_one_that_the_dump_saw_first_is_one(tmp_path: Path) -> None:
    path = written(
        tmp_path / "r.parquet", event(1, "resync"), event(1, "synced"), event(1.5, "NEW"), event(3, "DESTROY")
    )
    assert {life[:2] for life in lives(path)} == {(1.5, 3.0)}


def test_an_end_that_was_told_behind_the_dump_stands(tmp_path: Path) -> None:
    path = written(tmp_path / "r.parquet", event(1, "NEW"), event(2, "synced"), event(2.5, "DESTROY"))
    assert {life[:2] for life in lives(path)} == {(1.0, 2.5)}


def test_the_kernels_own_start_is_believed(tmp_path: Path) -> None:
    start_ns = (FIRST_S + 5) * SECOND_NS
    path = written(tmp_path / "r.parquet", gap(1, 6, 1), event(7, "resync", start_ns=start_ns), event(7, "synced"))
    assert {life[:2] for life in lives(path)} == {(5.0, "still")}


def test_a_namespace_that_ended_took_its_entries_with_it(tmp_path: Path) -> None:
    path = written(
        tmp_path / "r.parquet", event(1, "NEW"), event(2, "NEW", netns="db"), event(3, "gone"), event(4, "left")
    )
    assert {life[:2] for life in lives(path)} == {(1.0, 3.0), (2.0, "still")}


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    written(tmp_path / "events-1.parquet", event(1, "NEW"))
    written(tmp_path / "events-2.parquet", event(2, "DESTROY"))
    (tmp_path / "events-3.parquet.part").write_text("{}")
    (tmp_path / "events-4.parquet").write_bytes(b"PAR1 and then nothing")
    assert replay_records.is_record(str(tmp_path))
    read = replay_records.read(str(tmp_path))
    assert {life[:2] for life in told(read.recording)} == {(1.0, 2.0)}
    assert read.blind
    assert any("events-4.parquet: cannot be read" in note for note in read.notes)
    assert any(".part" in note for note in read.notes)


def test_a_record_of_which_nothing_can_be_read_is_no_idle_host(tmp_path: Path) -> None:
    one = tmp_path / "events-1.parquet"
    one.write_bytes(b"PAR1 and then nothing")
    for place in (one, tmp_path):
        with pytest.raises(Unreadable, match=r"events-1.parquet: cannot be read .*; record again"):
            replay_records.read(str(place))
    (tmp_path / "events-2.parquet").write_bytes(b"PAR1")
    with pytest.raises(Unreadable, match="each of its 2 files: cannot be read"):
        replay_records.read(str(tmp_path))


def test_what_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tablefull record -o DIR"):
        replay_records.read(str(tmp_path))
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    assert replay_records.is_record(str(tmp_path / "a.parquet"))
    with pytest.raises(UsageError, match="columns are missing"):
        replay_records.read(str(tmp_path / "a.parquet"))
    (tmp_path / "text").write_text("PAR")
    assert not replay_records.is_record(str(tmp_path / "text"))
    assert not replay_records.is_record(str(tmp_path / "nothing"))
    assert not replay_records.is_record("-")
    assert not replay_records.is_record("a\0b")


def test_an_empty_record(tmp_path: Path) -> None:
    assert lives(written(tmp_path / "r.parquet")) == []
    assert lives(written(tmp_path / "r.parquet", event(0, "joined"), event(1, "left"))) == []
