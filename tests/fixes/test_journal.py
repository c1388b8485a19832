"""The journal: whole or absent, decided once, one holder of the host at a time."""

import os
import stat
import threading
from pathlib import Path

import pytest

from tablefull.errors import KernelRefused, UsageError
from tablefull.fixes.act import HostPlan
from tablefull.fixes.journal import ActDone, Held, Journal, Space, Store, is_id

PLAN = HostPlan(fix="raise-max", host="web1", title="Raise the limit")


def journal(identity: str = "1", **fields: object) -> Journal:
    return Journal(id=identity, plan=PLAN, made_at=1.0, boot_id="b", confirm_within_s=60.0, **fields)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(str(tmp_path / "some/state"), host_lock=str(tmp_path / "fix.lock"))
    found.make()
    return found


def test_what_is_written_is_read(store: Store) -> None:
    one = journal(space=Space("web", "/run/netns/web", 7), acts=[ActDone(0, 1, "doing", made=("/etc/x",))])
    store.write(one)
    assert store.read("1") == one
    assert store.ids() == ["1"]


def test_only_its_owner_may_look(store: Store) -> None:
    store.write(journal())
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((store.path / "1.json").stat().st_mode) == 0o600


def test_a_half_written_one_is_never_found(store: Store) -> None:
    store.write(journal())
    (store.path / ".1.json.part").write_text('{"id": "1", "pl')
    assert store.read("1") == journal()
    assert store.ids() == ["1"]


def test_numbers_go_up_as_numbers(store: Store) -> None:
    for name in ("2", "9", "10"):
        store.write(journal(name))
    assert store.ids() == ["2", "9", "10"]
    assert store.new_id() == "11"


@pytest.mark.parametrize("name", ["", "../1", "01", "1a", "-1", "²", "9" * 30])
def test_what_is_no_number_is_no_journal(store: Store, name: str) -> None:
    assert not is_id(name)
    with pytest.raises(UsageError):
        store.read(name)


def test_an_unknown_one_and_a_damaged_one(store: Store) -> None:
    with pytest.raises(UsageError, match="no fix 7"):
        store.read("7")
    (store.path / "8.json").write_text("{")
    with pytest.raises(KernelRefused, match="damaged"):
        store.read("8")
    assert store.all() == []


def test_the_first_decision_holds(store: Store) -> None:
    assert store.decided("1") is None
    first = store.decide("1", "undo", "time was over", 5.0)
    assert store.decide("1", "confirm", "late", 6.0) == first
    assert store.decided("1") == first


def test_of_many_who_decide_at_once_all_hear_the_same(store: Store) -> None:
    heard = []
    start = threading.Barrier(8)

    def decide(number: int) -> None:
        start.wait()
        # The name beside is the process's: threads stand in for processes by deciding about it one by one.
        heard.append(store.decided("1") or store.decided("1"))

    store.decide("1", "confirm", "me", 1.0)
    threads = [threading.Thread(target=decide, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {one.what for one in heard if one} == {"confirm"}


def test_processes_that_decide_at_once_agree(store: Store) -> None:
    for number in range(20):
        identity = str(number + 1)
        receive, send = os.pipe()
        children = []
        for what in ("confirm", "undo") * 2:
            child = os.fork()
            if not child:
                os.write(send, store.decide(identity, what, what, 1.0).what[:1].encode())  # type: ignore[arg-type]
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        os.close(send)
        assert len(set(os.read(receive, 10))) == 1
        os.close(receive)


def test_an_unreadable_decision_is_to_undo(store: Store) -> None:
    (store.path / "1.decision").write_text("")
    decided = store.decided("1")
    assert decided is not None
    assert decided.what == "undo"


def test_one_at_a_time_and_who_it_is(store: Store) -> None:
    assert not store.held()
    other = Store(str(store.path.parent / "other"), host_lock=str(store.host_lock))
    other.make()
    lock = store.lock("fix 3 (raise-max) waits")
    assert store.held()
    with pytest.raises(Held, match=r"one fix at a time: fix 3 \(raise-max\) waits"):
        store.lock("another")
    assert not other.held()
    with pytest.raises(Held, match=rf"fix 3 \(raise-max\) waits, with its journal in {store.path}"):
        other.lock("another, whose journal lies elsewhere")
    lock.close()
    other.lock("another").close()
    store.lock("another").close()


def test_the_lock_of_the_host_is_one_wherever_the_journals_lie() -> None:
    assert Store("/srv/here").host_lock == Store("/srv/there").host_lock == Store().host_lock


def test_a_call_says_where_the_journals_lie(store: Store) -> None:
    assert Store().call("--confirm", "3") == "tablefull fix --confirm 3"
    assert Store("/srv/my fixes").call("--confirm", "3") == "tablefull fix --confirm 3 --state '/srv/my fixes'"


def test_a_relative_place_is_the_same_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("fixes", host_lock="lock")
    monkeypatch.chdir("/")
    assert store.path == tmp_path / "fixes"
    assert store.host_lock == tmp_path / "lock"
    assert store.call("--undo-pending") == f"tablefull fix --undo-pending --state {tmp_path}/fixes"


def test_a_lock_that_is_refused_leaves_none_behind(store: Store) -> None:
    (store.path / "lock").mkdir()
    with pytest.raises(KernelRefused, match="have the journal elsewhere: --state DIR"):
        store.lock("me")
    (store.path / "lock").rmdir()
    store.lock("me").close()


def test_a_link_in_the_place_of_the_lock_is_not_followed(store: Store, tmp_path: Path) -> None:
    (store.path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KernelRefused):
        store.lock("me")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KernelRefused, match="there is a file where a folder is needed"):
        Store(str(tmp_path / "file/state")).make()
    assert Store(str(tmp_path / "nowhere")).ids() == []
