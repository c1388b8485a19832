"""A recording from end to end on sockets of this process: rows, gaps, dumps, files and what is told of them."""

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import pytest
from tests.realkernel import filled

from tablefull.errors import KernelRefused
from tablefull.live import record
from tablefull.live import record_columns as columns
from tablefull.live.proc import Proc
from tablefull.live.record import Recorder, Wanted
from tablefull.live.record_files import KEY, Folder
from tablefull.live.record_receiver import Lost, Source
from tablefull.live.spaces import Space
from tablefull.wire import ctnetlink as at
from tablefull.wire.selection import parse

BIG = 1 << 30


class Wire:
    """Stands for a netlink socket: a pair of datagram sockets."""

    name, interrupted = "wire", False

    def __init__(self) -> None:
        self.socket, self.kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def join(self, group: int) -> None:
        """As the kernel does."""

    def room(self, wanted_bytes: int) -> int:
        return 2 * wanted_bytes

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.kernel.close()


class Dump:
    """Stands for the dump of a table: ``ports`` of its entries, or why it broke off."""

    ports: Sequence[int] = ()
    failed: str | None = None
    asked = 0

    def __init__(self, link: object) -> None:
        Dump.asked += 1

    def __iter__(self) -> Iterator[Any]:
        if self.ports:
            rows = np.zeros((len(self.ports), at.ROW_WORDS), np.uint32)
            rows[:, at.R_SPORT], rows[:, at.R_PROTO], rows[:, at.R_FAMILY] = self.ports, 17, 4
            yield rows


@pytest.fixture
def wires(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    made: list[Any] = []

    def opened(number: int, key: str, path: str | None, inode: int, room: int, most: int) -> Source:
        made.append(Wire())
        return Source(number, key, path, inode, made[-1], room, most)

    monkeypatch.setattr(record, "opened", opened)
    monkeypatch.setattr(record, "Netlink", lambda namespace=None: Wire())
    monkeypatch.setattr(record, "Batches", Dump)
    monkeypatch.setattr(Dump, "ports", ())
    monkeypatch.setattr(Dump, "asked", 0)
    yield made
    for wire in made:
        wire.kernel.close()


def wanted(**given: Any) -> Wanted:
    return Wanted(**{"rotate_bytes": BIG, "rotate_s": 3600, "room_bytes": 1000, "most_room_bytes": 8000, **given})


def recorded(
    path: Path, wires: list[Any], act: Callable[[Recorder], object], keys: Sequence[str] = ("web",), **given: Any
) -> tuple[Recorder, pl.DataFrame, list[str]]:
    """A recording in which ``act`` is done once: the recorder, its rows, what it said."""
    said: list[str] = []
    with Folder(path, BIG) as folder:
        recorder = Recorder(folder, wanted(**given), Proc(), said.append)
        for inode, key in enumerate(keys, 1):
            recorder.follow(Space(key, None, inode, None, None))
        act(recorder)
        recorder.run(lambda: False, lambda told: None)
    frames = [pl.read_parquet(file) for file in sorted(path.glob("*.parquet"))]
    return recorder, pl.concat(frames) if frames else pl.DataFrame(schema=columns.schema()), said


def send(wire: Any, count: int) -> None:
    for data in filled.messages(count):
        wire.kernel.send(data)


def test_events_of_several_namespaces(tmp_path: Path, wires: list[Any]) -> None:
    recorder, rows, _ = recorded(
        tmp_path, wires, lambda _: (send(wires[0], 30), send(wires[1], 12)), keys=("web", "db")
    )
    counts = rows.group_by("netns", "kind").len().rows()
    assert sorted(counts) == sorted(
        (key, kind, count)
        for key, events in (("web", 30), ("db", 12))
        for kind, count in (("joined", 1), ("synced", 1), ("NEW", events), ("left", 1))
    )
    assert recorder.told.events == {"NEW": 42, "UPDATE": 0, "DESTROY": 0}
    assert recorder.told.namespaces == {"web": 1, "db": 2}
    assert recorder.failed is None


def test_what_is_said_of_the_record_is_in_its_metadata(tmp_path: Path, wires: list[Any]) -> None:
    recorder, _, _ = recorded(tmp_path, wires, lambda _: send(wires[0], 30), expression="proto=tcp")
    (path,) = tmp_path.glob("*.parquet")
    about = json.loads(pl.read_parquet_metadata(path)[KEY])
    assert about["format"] == "tablefull/events/1"
    assert about["where"] == "proto=tcp"
    assert about["in_this_file"] == {"NEW": 30, "UPDATE": 0, "DESTROY": 0, "resync": 0, "gap": 0}
    assert about["so_far"]["received_bytes"] == recorder.told.received_bytes == sum(map(len, filled.messages(30)))
    assert about["so_far"]["cpu_s"] >= 0
    assert about["so_far"]["gaps"] == about["so_far"]["lost"] == 0


def test_only_what_is_meant_and_the_rest_is_counted(tmp_path: Path, wires: list[Any]) -> None:
    meant = sum(1 for row in plain(200) if row[at.R_DPORT] == 53)
    recorder, rows, _ = recorded(tmp_path, wires, lambda _: send(wires[0], 200), where=parse("dport=53"))
    assert set(rows.filter(pl.col("kind") == "NEW")["dport"]) == {53}
    assert recorder.told.events["NEW"] == meant > 0
    assert recorder.told.unmatched == 200 - meant


def plain(count: int) -> list[at.Row]:
    reader = at.Reader()
    from tablefull.wire import nlattr

    found = [reader.row(data, next(nlattr.messages(data, len(data)))) for data in filled.messages(count)]
    return [row for row in found if row is not None]


def test_it_begins_with_what_is_there(tmp_path: Path, wires: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dump, "ports", (1, 2, 3))
    recorder, rows, _ = recorded(tmp_path, wires, lambda _: None)
    there, synced = rows.filter(pl.col("kind") == "resync"), rows.filter(pl.col("kind") == "synced")
    assert there["sport"].to_list() == [1, 2, 3]
    assert set(there["time_ns"]) == set(synced["time_ns"])
    assert recorder.told.resync_rows == 3
    assert sum(recorder.told.events.values()) == 0


def test_or_does_not(tmp_path: Path, wires: list[Any]) -> None:
    _, rows, _ = recorded(tmp_path, wires, lambda _: None, start_dump=False)
    assert Dump.asked == 0
    assert rows["kind"].to_list() == ["joined", "left"]


def test_a_gap_is_a_row_and_the_table_is_read_again(tmp_path: Path, wires: list[Any]) -> None:
    def lose(recorder: Recorder) -> None:
        source = recorder._sources[0]
        for count in (5, None, 7):
            recorder._lost(Lost(source, 10**9, 3 * 10**9, count, dropped=True))

    recorder, rows, said = recorded(tmp_path, wires, lose)
    gaps = rows.filter(pl.col("kind") == "gap")
    assert gaps.select("netns", "time_ns", "until_ns", "lost").rows() == [
        ("web", 10**9, 3 * 10**9, lost) for lost in (5, None, 7)
    ]
    told = recorder.told
    assert (told.gaps, told.lost, told.gaps_of_unknown_size, told.gap_s) == (3, 12, 1, 6.0)
    assert Dump.asked == 2  # at the start, and once for all three: a host in trouble is not to be read all the time
    assert len([line for line in said if "lost" in line]) == 1


def test_a_dump_that_breaks_off_is_not_called_whole(
    tmp_path: Path, wires: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dump, "ports", (1, 2))
    monkeypatch.setattr(Dump, "failed", "no answer")
    recorder, rows, said = recorded(tmp_path, wires, lambda _: None)
    assert rows["kind"].to_list() == ["joined", "resync", "resync", "left"]
    assert (recorder.told.resyncs, recorder.told.resyncs_failed) == (0, 1)
    assert any("could not be read whole (no answer)" in line for line in said)


def test_messages_that_cannot_be_read_are_a_gap(tmp_path: Path, wires: list[Any]) -> None:
    def act(_: Recorder) -> None:
        wires[0].kernel.send(b"garbage that is no message")

    recorder, rows, said = recorded(tmp_path, wires, act)
    assert rows.filter(pl.col("kind") == "gap")["lost"].to_list() == [1]
    assert recorder.told.unreadable == 1
    assert any("could not be read" in line for line in said)


def test_many_rows_make_several_files(tmp_path: Path, wires: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "MOST_ROWS", 100)

    def act(recorder: Recorder) -> None:
        for _ in range(5):
            send(wires[0], 100)
            deadline = time.monotonic() + 10
            before = recorder.told.events["NEW"]
            while recorder.told.events["NEW"] < before + 100:
                assert time.monotonic() < deadline
                recorder._meanwhile()

    recorder, rows, _ = recorded(tmp_path, wires, act)
    assert rows["kind"].to_list().count("NEW") == 500
    assert len(list(tmp_path.glob("*.parquet"))) >= 4
    assert recorder.unwritten == 0


def test_a_full_disk_stops_it_with_one_reason(
    tmp_path: Path, wires: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise KernelRefused("events-1.parquet: cannot be written (no space left on device)")

    monkeypatch.setattr(Folder, "finish", full)
    recorder, rows, _ = recorded(tmp_path, wires, lambda _: send(wires[0], 10))
    assert "no space left on device" in (recorder.failed or "")
    assert recorder.unwritten == 13  # joined, synced, ten, left
    assert rows.height == 0
    assert list(tmp_path.iterdir()) == []


def test_what_still_comes_when_the_disk_is_full_counts_as_not_written(tmp_path: Path, wires: list[Any]) -> None:
    def fails(recorder: Recorder) -> None:
        recorder.failed = "no space left on device"
        send(wires[0], 10)

    recorder, _, _ = recorded(tmp_path, wires, fails)
    assert recorder.unwritten == 12  # joined, synced, ten


def test_a_clock_that_jumps_is_told(tmp_path: Path, wires: list[Any]) -> None:
    def act(recorder: Recorder) -> None:
        recorder._clock_ns -= 3600 * 10**9
        recorder._upkeep()
        recorder._upkeep()

    recorder, _, said = recorded(tmp_path, wires, act)
    assert recorder.told.clock_jumps == 1
    assert any("the clock jumped by +3600.0 s" in line for line in said)
