"""One act at a time, on a tree of files that stands for a host."""

from pathlib import Path

import pytest

from tablefull.errors import KernelRefused, StalePlan
from tablefull.fixes import perform
from tablefull.fixes.act import Act, Command, Commanded, Flush, OwnFile, SetValue
from tablefull.fixes.journal import ActDone
from tablefull.fixes.perform import Where

MAX = SetValue("/proc/sys/net/netfilter/nf_conntrack_max", "65536", "262144")
BUCKETS = SetValue("/proc/sys/net/netfilter/nf_conntrack_buckets", "65536", "100000")
FILE = OwnFile("/etc/sysctl.d/90-tablefull.conf", "net.netfilter.nf_conntrack_max = 262144\n", mode=0o640)


@pytest.fixture
def where(tmp_path: Path) -> Where:
    folder = tmp_path / "proc/sys/net/netfilter"
    folder.mkdir(parents=True)
    (folder / "nf_conntrack_max").write_text("65536\n")
    (folder / "nf_conntrack_buckets").write_text("65536\n")
    return Where(str(tmp_path))


def done(act: Act, where: Where) -> ActDone:
    begun = ActDone(0, 0, "done", made=perform.missing_folders(act, where))
    begun.reads, begun.note = perform.do(act, where)
    return begun


def test_a_value_there_and_back(where: Where) -> None:
    assert perform.look(MAX, where) == perform.Seen("before", "65536")
    begun = done(MAX, where)
    assert perform.look(MAX, where, begun) == perform.Seen("after", "262144")
    assert perform.undo(MAX, where, begun) == ""
    assert where.path(MAX.path).read_text() == "65536\n"


def test_a_value_that_somebody_else_changed_stays(where: Where) -> None:
    begun = done(MAX, where)
    where.path(MAX.path).write_text("500000\n")
    note = perform.undo(MAX, where, begun)
    assert "500000" in note
    assert "somebody else" in note
    assert where.path(MAX.path).read_text() == "500000\n"


def test_blanks_between_numbers_are_one(where: Where) -> None:
    act = SetValue("/proc/sys/net/netfilter/three", "4096 87380 6291456", "1 2 3")
    where.path(act.path).write_text("4096\t87380\t6291456\n")
    assert perform.look(act, where).standing == "before"


def test_a_rounded_number_of_buckets_is_ours_also_when_nobody_could_note_it(where: Where) -> None:
    where.path(BUCKETS.path).write_text("100352\n")  # 196 pages of 512 pointers
    assert perform.look(BUCKETS, where).standing == "after"
    where.path(BUCKETS.path).write_text("100351\n")
    assert perform.look(BUCKETS, where).standing == "other"


def test_what_is_gone_is_neither(where: Where) -> None:
    act = SetValue("/proc/sys/net/netfilter/nf_conntrack_gone", "1", "2")
    assert perform.look(act, where).standing == "gone"
    assert perform.undo(act, where, ActDone(0, 0, "done")) == ""


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/sys/../../etc/passwd", "/proc/1/mem"])
def test_only_settings_are_written(where: Where, path: str) -> None:
    with pytest.raises(KernelRefused, match="no setting"):
        perform.look(SetValue(path, "a", "b"), where)


def test_a_file_there_and_back_with_its_folders(where: Where) -> None:
    before = sorted(Path(where.root).rglob("*"))
    begun = done(FILE, where)
    assert begun.made == ("/etc", "/etc/sysctl.d")
    path = where.path(FILE.path)
    assert path.read_text() == FILE.after
    assert path.stat().st_mode & 0o777 == 0o640
    assert perform.look(FILE, where).standing == "after"
    assert perform.undo(FILE, where, begun) == ""
    assert sorted(Path(where.root).rglob("*")) == before


def test_folders_that_others_use_meanwhile_stay(where: Where) -> None:
    begun = done(FILE, where)
    where.path("/etc/hosts").write_text("")
    assert perform.undo(FILE, where, begun) == ""
    assert where.path("/etc/hosts").exists()
    assert not where.path("/etc/sysctl.d").exists()


def test_a_persons_file_is_never_taken(where: Where) -> None:
    where.path("/etc/sysctl.d").mkdir(parents=True)
    where.path(FILE.path).write_text("# mine\n")
    assert perform.look(FILE, where).standing == "other"
    with pytest.raises(StalePlan, match="somebody made it"):
        perform.do(FILE, where)
    assert where.path(FILE.path).read_text() == "# mine\n"
    assert perform.undo(FILE, where, ActDone(0, 0, "doing")) != ""
    assert where.path(FILE.path).read_text() == "# mine\n"
    assert [one.name for one in where.path("/etc/sysctl.d").iterdir()] == ["90-tablefull.conf"]


def test_a_link_is_never_followed(where: Where, tmp_path: Path) -> None:
    where.path("/etc/sysctl.d").mkdir(parents=True)
    (tmp_path / "target").write_text(FILE.after)
    where.path(FILE.path).symlink_to(tmp_path / "target")
    with pytest.raises(KernelRefused, match="no file of ours"):
        perform.look(FILE, where)


def test_an_earlier_file_of_ours_comes_back(where: Where) -> None:
    act = OwnFile(FILE.path, "new\n", before="old\n")
    where.path("/etc/sysctl.d").mkdir(parents=True)
    where.path(act.path).write_text("old\n")
    begun = done(act, where)
    assert where.path(act.path).read_text() == "new\n"
    assert perform.undo(act, where, begun) == ""
    assert where.path(act.path).read_text() == "old\n"


def test_killed_before_the_name_was_there_nothing_is_left(where: Where) -> None:
    class Killed(Exception):
        pass

    def fault(name: str) -> None:
        if name == "file written beside":
            raise Killed

    made = perform.missing_folders(FILE, where)
    with pytest.raises(Killed):
        perform.do(FILE, where, fault)
    assert perform.undo(FILE, where, ActDone(0, 0, "doing", made=made)) == ""
    assert not where.path("/etc").exists()


def commanded(folder: Path, *, turned: bool = False) -> Commanded:
    return Commanded(
        "a file",
        (Command(("touch", str(folder / "one"))), Command(("touch", str(folder / "two")))),
        (Command(("rm", str(folder / "one"))), Command(("rm", str(folder / "two")))),
        Command(("test", "-e", str(folder / "two"))),
        turned=turned,
    )


def test_commands_there_and_back(tmp_path: Path) -> None:
    act, where = commanded(tmp_path), Where()
    assert perform.look(act, where).standing == "before"
    begun = done(act, where)
    assert perform.look(act, where).standing == "after"
    assert perform.undo(act, where, begun) == ""
    assert list(tmp_path.iterdir()) == []
    assert perform.undo(act, where, begun) == ""  # somebody undid it already


def test_commands_that_were_half_done_are_undone_whole(tmp_path: Path) -> None:
    act = commanded(tmp_path)
    (tmp_path / "one").touch()
    assert perform.look(act, Where()).standing == "before"
    assert perform.undo(act, Where(), ActDone(0, 0, "doing")) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_look_may_be_turned_and_may_need_another_first(tmp_path: Path) -> None:
    ask = Command(("test", "-e", str(tmp_path / "service")))
    act = Commanded("stopped", (), (), ask, turned=True)
    assert perform.look(act, Where()).standing == "after"
    (tmp_path / "service").touch()
    assert perform.look(act, Where()).standing == "before"
    first = Commanded("rule", (), (), Command(("true",)), first=(Command(("test", "-e", str(tmp_path / "table"))),))
    assert perform.look(first, Where()).standing == "before"
    (tmp_path / "table").touch()
    assert perform.look(first, Where()).standing == "after"


def test_commands_that_change_nothing_are_refused(tmp_path: Path) -> None:
    act = Commanded("nothing", (Command(("true",)),), (), Command(("test", "-e", str(tmp_path / "x"))))
    with pytest.raises(KernelRefused, match="still as it was"):
        perform.do(act, Where())


def test_names_for_a_person() -> None:
    assert perform.named(MAX) == "net.netfilter.nf_conntrack_max"
    assert perform.named(FILE) == FILE.path
    assert perform.named(Flush("proto=udp")) == "entries: proto=udp"
