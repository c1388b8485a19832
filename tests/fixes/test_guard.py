"""Keeper and undoer as processes, on a tree of files that stands for a host; the kernel's side is in tests/realkernel."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixes.test_apply import VALUES, set_step, values, work

from tablefull.fixes import guard, verify
from tablefull.fixes.apply import Work
from tablefull.fixes.journal import Held, Journal
from tablefull.live.occupancy import Occupancy

LONGEST_S = 30.0


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    monkeypatch.setattr(verify, "look", lambda proc, space: Occupancy(1, 2, ()))
    made = work(tmp_path, set_step("one", "1", "10"), set_step("two", "2", "20"))
    made.journal.verify_for_s = 0.05
    made.journal.confirm_within_s = 30.0
    yield made
    made.store.decide("1", "undo", "the test is over", 1.0)
    over(made)


def started(one: Work) -> int:
    lock = one.store.lock("a test")
    one.store.write(one.journal)
    receive = guard.start(one.store, one.journal, lock, None, "apply", one.where.root)
    lock.close()
    return receive


def over(one: Work) -> Journal:
    until = time.monotonic() + LONGEST_S
    while one.store.held():
        assert time.monotonic() < until
        time.sleep(0.01)
    return one.store.read("1")


def heard(receive: int, state: str) -> list[guard.Event]:
    found = []
    for event in guard.events(receive):
        found.append(event)
        if event.get("state") == state:
            break
    return found


def process(name: str, receive: int) -> int:
    """The process of that name that holds the other end of a pipe."""
    pipe = str(Path(f"/proc/self/fd/{receive}").readlink())
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if (each / "comm").read_text().strip() == name and any(
                str(fd.readlink()) == pipe for fd in (each / "fd").iterdir()
            ):
                return int(each.name)
        except OSError:
            continue
    raise AssertionError(f"nobody is called {name}")


def test_not_confirmed_it_is_undone(one: Work) -> None:
    one.journal.confirm_within_s = 0.3
    receive = started(one)
    told = heard(receive, "undone")
    os.close(receive)
    assert [event["state"] for event in told if "state" in event] == ["applied", "undone"]
    assert over(one).why == "it was not confirmed within 0.3 s"
    assert values(one) == VALUES


def test_confirmed_it_stays(one: Work) -> None:
    receive = started(one)
    heard(receive, "applied")
    assert one.store.decide("1", "confirm", "me", 1.0).what == "confirm"
    heard(receive, "confirmed")
    os.close(receive)
    assert over(one).state == "confirmed"
    assert values(one) == {"one": "10", "two": "20", "three": "3"}


def test_nobody_listens_and_it_goes_on(one: Work) -> None:
    one.journal.confirm_within_s = 0.3
    os.close(started(one))
    assert over(one).state == "undone"


def test_the_lock_says_what_is_going_on(one: Work) -> None:
    receive = started(one)
    heard(receive, "applied")
    with pytest.raises(Held, match=r"fix 1 \(raise-max\) waits until \d\d:\d\d:\d\d to be confirmed"):
        one.store.lock("another")
    os.close(receive)


@pytest.mark.parametrize("name", ["tablefull-undo", "tablefull-keep"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_whichever_of_the_two_is_ended_it_is_undone_at_once(one: Work, name: str, number: signal.Signals) -> None:
    receive = started(one)
    heard(receive, "applied")
    os.kill(process(name, receive), number)
    os.close(receive)
    assert over(one).state == "undone"
    assert values(one) == VALUES


def test_what_is_refused_is_told_and_undone(one: Work) -> None:
    one.where.path("/proc/sys/net/netfilter/two").write_text("77\n")
    receive = started(one)
    told = [event for event in guard.events(receive) if "refused" in event]
    os.close(receive)
    assert "two" in told[0]["refused"]
    after = over(one)
    assert after.state == "undone"
    assert values(one) == VALUES | {"two": "77"}


def test_what_nobody_is_left_to_end_is_ended_by_another(one: Work) -> None:
    one.apply()
    assert values(one)["one"] == "10"
    after = guard.finish(one.store, one.journal, one.store.lock("a test"), None, one.where.root)
    assert after.state == "undone"
    assert values(one) == VALUES
