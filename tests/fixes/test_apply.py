"""A fix from its journal: done, refused, undone, kept, on a tree of files that stands for a host."""

from pathlib import Path

import msgspec
import pytest
from tests.fixes.test_journal import journal

from tablefull.errors import KernelRefused, StalePlan
from tablefull.fixes.act import Command, Commanded, HostPlan, OwnFile, SetValue, Step
from tablefull.fixes.apply import Work
from tablefull.fixes.journal import Journal, Store, boot_id
from tablefull.fixes.perform import Where

FOLDER = "/proc/sys/net/netfilter/"
VALUES = {"one": "1", "two": "2", "three": "3"}


def a_step(act: SetValue | OwnFile, when: str = "now") -> Step:
    return Step(title="t", before="b", after="a", scope="host", acts=(act,), risk="r", undo="u", when=when)  # type: ignore[arg-type]


def work(tmp_path: Path, *steps: Step) -> Work:
    folder = tmp_path / FOLDER.strip("/")
    folder.mkdir(parents=True)
    for name, value in VALUES.items():
        (folder / name).write_text(f"{value}\n")
    store = Store(str(tmp_path / "state"), host_lock=str(tmp_path / "fix.lock"))
    store.make()
    plan = HostPlan(fix="raise-max", host="h", title="t", steps=steps)
    one = Journal(id="1", plan=plan, made_at=1.0, boot_id="b", confirm_within_s=1.0)
    store.write(one)
    return Work(store, one, Where(str(tmp_path)), lambda _: None)


def values(work: Work) -> dict[str, str]:
    return {name: work.where.path(FOLDER + name).read_text().strip() for name in VALUES}


def set_step(name: str, before: str, after: str) -> Step:
    return a_step(SetValue(FOLDER + name, before, after))


def test_done_in_order_and_undone(tmp_path: Path) -> None:
    one = work(tmp_path, set_step("one", "1", "10"), set_step("two", "2", "20"))
    one.apply()
    assert values(one) == {"one": "10", "two": "20", "three": "3"}
    assert [(done.step, done.state) for done in one.store.read("1").acts] == [(0, "done"), (1, "done")]
    assert one.verified() == []
    assert one.undo("asked for")
    assert values(one) == VALUES
    assert one.store.read("1").state == "undone"
    assert one.store.read("1").why == "asked for"


def test_a_value_that_moved_undoes_what_was_done(tmp_path: Path) -> None:
    one = work(tmp_path, set_step("one", "1", "10"), set_step("two", "7", "20"))
    with pytest.raises(StalePlan, match="two"):
        one.apply()
    assert values(one) == VALUES
    assert one.store.read("1").state == "undone"


def test_what_was_so_already_is_not_ours_to_undo(tmp_path: Path) -> None:
    one = work(tmp_path, set_step("one", "0", "1"), set_step("two", "2", "20"))
    one.apply()
    one.undo("asked for")
    assert values(one) == VALUES


def test_what_somebody_else_changed_stays_and_the_rest_goes_back(tmp_path: Path) -> None:
    one = work(tmp_path, set_step("one", "1", "10"), set_step("two", "2", "20"), set_step("three", "3", "30"))
    one.apply()
    one.where.path(FOLDER + "two").write_text("99\n")
    assert one.verified() == ["net.netfilter.two reads 99"]
    assert not one.undo("asked for")
    assert values(one) == {"one": "1", "two": "99", "three": "3"}
    after = one.store.read("1")
    assert after.state == "partly-undone"
    assert [done.state for done in after.acts] == ["undone", "left", "undone"]


def test_kept_on_confirmation(tmp_path: Path) -> None:
    one = work(
        tmp_path,
        a_step(OwnFile("/etc/boot", "undo\n"), "until-confirmed"),
        set_step("one", "1", "10"),
        a_step(OwnFile("/etc/sysctl.d/one", "one = 10\n"), "confirmed"),
    )
    one.apply()
    assert one.where.path("/etc/boot").exists()
    assert not one.where.path("/etc/sysctl.d").exists()
    one.keep()
    assert not one.where.path("/etc/boot").exists()
    assert one.where.path("/etc/sysctl.d/one").read_text() == "one = 10\n"
    assert one.store.read("1").state == "confirmed"
    assert one.undo("asked for later")
    assert not one.where.path("/etc").exists()
    assert values(one) == VALUES


def test_what_cannot_be_kept_is_told_and_the_change_stays(tmp_path: Path) -> None:
    one = work(tmp_path, set_step("one", "1", "10"), a_step(OwnFile("/etc/one", "one = 10\n"), "confirmed"))
    one.apply()
    one.where.path("/etc").mkdir()
    one.where.path("/etc/one").write_text("mine\n")
    one.keep()
    after = one.store.read("1")
    assert after.state == "confirmed"
    assert "it will not last" in after.notes[0]
    assert values(one)["one"] == "10"


def lasting(tmp_path: Path, undo: str) -> Work:
    """A service that is disabled (a file that is there), undone by ``undo``, and what would undo it at boot."""
    mark = tmp_path / "disabled"
    act = Commanded(
        "a service", (Command(("touch", str(mark))),), (Command((undo, str(mark))),), Command(("test", "-e", str(mark)))
    )
    service = msgspec.structs.replace(set_step("one", "1", "1"), acts=(act,), persists=True)
    return work(tmp_path, a_step(OwnFile("/etc/boot", "undo\n"), "until-confirmed"), service)


def test_what_a_shutdown_could_not_undo_the_next_boot_tries_again(tmp_path: Path) -> None:
    one = lasting(tmp_path, "false")
    one.journal.boot_id = boot_id()
    one.apply()
    assert not one.undo("told to end")
    assert one.where.path("/etc/boot").exists()
    after = one.store.read("1")
    assert after.state == "partly-undone"
    assert after.armed_for_boot
    one.journal.boot_id = "of before"
    assert not one.undo("at boot")
    assert not one.where.path("/etc/boot").exists()
    assert not one.store.read("1").armed_for_boot


def test_what_could_be_undone_leaves_nothing_for_the_boot(tmp_path: Path) -> None:
    one = lasting(tmp_path, "rm")
    one.journal.boot_id = boot_id()
    one.apply()
    assert one.undo("told to end")
    assert not one.where.path("/etc").exists()


def test_an_error_of_the_disk_undoes_it(tmp_path: Path) -> None:
    one = work(tmp_path, set_step("one", "1", "10"), a_step(OwnFile("/etc/one", "x")))
    one.where.path("/etc").write_text("a file where a folder is wanted")
    with pytest.raises(KernelRefused):
        one.apply()
    assert values(one) == VALUES


def test_whoever_goes_on_needs_the_journal_alone(tmp_path: Path) -> None:
    """Ended by an exception at every place: another one undoes it from what is on disk."""

    class Killed(BaseException):
        pass

    places = 0
    while True:
        folder = tmp_path / str(places)
        one = work(
            folder, set_step("one", "1", "10"), a_step(OwnFile("/etc/sysctl.d/one", "x\n")), set_step("two", "2", "20")
        )
        passed = 0

        def fault(name: str) -> None:
            nonlocal passed
            passed += 1
            if passed > places:  # noqa: B023
                raise Killed(name)

        one.fault = one.store.fault = fault
        try:
            one.apply()
        except Killed:
            pass
        else:
            break
        store = Store(str(folder / "state"))
        after = Work(store, store.read("1"), one.where, lambda _: None)
        assert after.undo("killed")
        assert values(after) == VALUES
        assert not after.where.path("/etc").exists()
        places += 1
    assert places > 30


def test_the_shape_of_a_journal_is_told() -> None:
    assert journal().state == "armed"
    assert not journal().over
