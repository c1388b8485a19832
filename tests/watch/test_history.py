"""A file that lasts: kept, joined, bounded; and every way in which it goes wrong is one line."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tablefull.watch import history as at
from tablefull.watch.alarms import Alarm, Memory
from tablefull.watch.history import History, Row, default_place, joined


class Book:
    """Histories of one path, and what they told."""

    def __init__(self, path: Path) -> None:
        self.path, self.told = path, list[str]()
        self.opened: list[History] = []

    def open(self, **more: object) -> History:
        self.opened.append(History(self.path, self.told.append, **more))  # type: ignore[arg-type]
        return self.opened[-1]


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / "state" / "history.db")
    yield book
    for one in book.opened:
        one.close()


def row(at_s: float, count: int = 5, **more: object) -> Row:
    return Row(
        **(
            {
                "space": "this one",
                "boot": "b1",
                "at_s": at_s,
                "wall_s": 1e9 + at_s,
                "count": count,
                "limit": 100,
                "step_s": 10.0,
            }
            | more
        )
    )  # type: ignore[arg-type]


def test_what_is_added_is_there_again(book: Book) -> None:
    first = book.open()
    rows = [row(0, 7), row(10, 9, moved={"drop": 3}, created=12)]
    memory = Memory(up={"full": Alarm("full", "warning", 5.0, "why")}, soon=1)
    for one in rows:
        first.add(one, memory)
    first.close()
    again = book.open(write=False)
    assert [(one.at_s, one.count, one.moved, one.created) for one in again.rows("this one")] == [
        (0, 7, {}, None),
        (10, 9, {"drop": 3}, 12),
    ]
    assert again.memory("this one") == memory
    assert book.told == []


def test_samples_are_this_boots_with_their_highest(book: Book) -> None:
    one = book.open()
    for each in (row(0, boot="b0"), row(10, 5, high=50), row(20, 6)):
        one.add(each)
    found = one.samples("this one", "b1")
    assert [(sample.time_s, sample.count, sample.joined) for sample in found] == [(10, 50, False), (20, 6, True)]


def test_older_rows_are_joined_and_keep_the_peak_and_the_sum() -> None:
    rows = [row(10.0 * place, count=100 if place == 3 else 1, moved={"drop": 1}) for place in range(1000)]
    found = joined(rows)
    # 10,000 s: two hours as they are (7200 of 10 s and the newest), 2790 s before in minutes.
    assert len([one for one in found if one.step_s == 10]) == pytest.approx(720, abs=2)
    assert len([one for one in found if one.step_s == 60]) == pytest.approx(46, abs=2)
    assert found[0].high == 100
    assert sum(one.moved["drop"] for one in found) == 1000
    assert sum(one.step_s for one in found) == pytest.approx(10_000)


def test_what_is_not_known_of_a_part_is_not_known_of_the_whole() -> None:
    found = joined([row(0, moved={"drop": 2}), row(10), row(20_000)])
    assert found[0].moved == {}


def test_two_boots_are_never_joined() -> None:
    assert len(joined([row(0, boot="b0"), row(10), row(20_000)])) == 3


def test_a_month_of_looks_is_some_thousand_rows() -> None:
    kept: list[Row] = []
    for place in range(30 * 24 * 60):
        kept.append(row(60.0 * place))
        if place % 600 == 0:
            kept = joined(kept)
    assert kept[-1].at_s - joined(kept)[0].at_s <= at.OLDEST_S
    assert len(joined(kept)) < 5000


def test_the_file_stays_below_its_bound(book: Book) -> None:
    one = book.open(most_bytes=40 * at.PAGE_BYTES)
    for place in range(4000):
        one.add(row(10.0 * place, space=f"netns-{place % 40}-with-a-rather-long-name"))
    assert book.path.stat().st_size <= 40 * at.PAGE_BYTES
    assert [line for line in book.told if "disk" in line] == []
    one.close()
    assert book.open(write=False).rows("netns-39-with-a-rather-long-name")[-1].at_s == 39_990


def test_damage_in_our_place_is_put_aside_and_told_once(book: Book) -> None:
    first = book.open()
    for place in range(300):
        first.add(row(10.0 * place))
    first.close()
    content = bytearray(book.path.read_bytes())
    content[at.PAGE_BYTES : 3 * at.PAGE_BYTES] = os.urandom(2 * at.PAGE_BYTES)
    book.path.write_bytes(content)
    again = book.open()
    again.add(row(5000, 42))
    assert len(book.told) == 1
    assert "is damaged" in book.told[0]
    assert book.path.with_name("history.db.damaged").exists()
    again.close()
    assert [one.count for one in book.open(write=False).rows("this one")] == [42]


def test_damage_while_it_is_watched_loses_nothing_of_memory(book: Book) -> None:
    one = book.open()
    for place in range(50):
        one.add(row(10.0 * place))
    assert one._file is not None
    book.path.write_bytes(at._MAGIC + os.urandom(20_000))
    for place in range(50, 200):
        one.add(row(10.0 * place))
    assert len([line for line in book.told if "damaged" in line]) == 1
    one.close()
    assert len(book.open(write=False).rows("this one")) == 200


@pytest.mark.parametrize("content", [b"127.0.0.1 localhost\n" * 50, b"garbage"])
def test_a_file_that_was_named_and_is_no_history_is_left_alone(book: Book, content: bytes) -> None:
    book.path.parent.mkdir()
    book.path.write_bytes(content)
    one = book.open()
    one.add(row(0, 8))
    assert book.path.read_bytes() == content
    assert len(book.told) == 1
    assert "left alone" in book.told[0]
    assert [each.count for each in one.rows("this one")] == [8]


def test_the_same_at_the_default_place_is_put_aside(book: Book) -> None:
    book.path.parent.mkdir()
    book.path.write_bytes(b"garbage")
    book.open(ours=True).add(row(0, 8))
    assert book.path.with_name("history.db.damaged").read_bytes() == b"garbage"
    assert len(book.told) == 1


@pytest.mark.parametrize(
    ("pragma", "word"), [("application_id = 0", "another program"), ("user_version = 99", "another version")]
)
def test_a_database_of_somebody_else_or_of_tomorrow_is_left_alone(book: Book, pragma: str, word: str) -> None:
    book.open().close()
    with sqlite3.connect(book.path) as file:
        file.execute(f"pragma {pragma}")
    file.close()
    before = book.path.read_bytes()
    book.open().add(row(0))
    assert word in book.told[0]
    assert len(book.told) == 1
    assert book.path.read_bytes() == before


def test_a_second_watch_does_not_write(book: Book) -> None:
    first = book.open()
    first.add(row(0))
    second = book.open()
    second.add(row(10))
    assert "another tablefull watch" in book.told[0]
    first.close()
    assert len(book.open(write=False).rows("this one")) == 1


def test_a_file_that_vanishes_is_told_and_made_again(book: Book) -> None:
    one = book.open()
    one.add(row(0))
    book.path.unlink()
    for place in range(1, 200):
        one.add(row(10.0 * place))
    assert [line for line in book.told if "cannot be written" in line]
    assert book.told[-1].endswith("is written again")
    one.close()
    assert len(book.open(write=False).rows("this one")) == 200


def test_reading_makes_nothing(book: Book) -> None:
    assert book.open(write=False).rows("this one") == []
    assert not book.path.parent.exists()
    assert book.told == []


def test_time_only_grows_whatever_the_wall_says(book: Book) -> None:
    one = book.open()
    one.add(row(100, wall_s=5000.0))
    assert one.next_at("this one", 30.0, 20.0, 99.0) == 110
    assert one.next_at("this one", 30.0, None, 5060.0) == 160
    assert one.next_at("this one", 30.0, None, 10.0) == pytest.approx(100, abs=0.01)
    assert one.next_at("this one", 30.0, None, 10.0) > 100


def test_the_default_places() -> None:
    assert default_place({}, True) == Path("/var/lib/tablefull/history.db")
    assert default_place({"HOME": "/h"}, False) == Path("/h/.local/state/tablefull/history.db")
    assert default_place({"HOME": "/h", "XDG_STATE_HOME": "/s"}, False) == Path("/s/tablefull/history.db")
    assert default_place({"HOME": "/h", "XDG_STATE_HOME": "s"}, False) == Path("/h/.local/state/tablefull/history.db")
