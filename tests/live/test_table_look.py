"""A look with everything around it, whatever is refused."""

from pathlib import Path

import pytest
from tests.realkernel.table_space import table_space

from tablefull.live import table_look
from tablefull.live.proc import Proc
from tablefull.live.table_look import OWN, look
from tablefull.wire.dimensions import named

BY = [named("state"), named("source")]


@pytest.mark.realkernel
def test_small_is_read_whole_and_large_is_sampled() -> None:
    with table_space(limit=300_000) as space:
        space.fill(500)
        seen = look(Proc(), space.name, BY)
        assert seen.reading is not None
        assert (seen.namespace, seen.reading.sampled, seen.reading.read) == (space.name, False, 500)
        space.fill(120_000, seed=2)
        seen = look(Proc(), space.name, BY, every_space=True)
        assert seen.reading is not None
        assert seen.reading.sampled
        assert (seen.reading.total or 0) > 100_000
        assert {each.key for each in seen.spaces} >= {OWN, space.name}
        assert seen.orphans is not None
        assert seen.orphans.looked_at == 0  # none of these addresses is this namespace's


@pytest.mark.realkernel
def test_where_netlink_is_refused_the_file_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    from tablefull.errors import KernelRefused

    def refuse(*_: object, **__: object) -> None:
        raise KernelRefused("netlink: CAP_NET_ADMIN is missing; run it as root")

    with table_space() as space:
        space.fill(50)
        monkeypatch.setattr(table_look.table, "counts", refuse)
        seen = look(Proc(), space.name, BY)
    assert seen.reading is not None
    assert (seen.reading.source, seen.reading.read) == ("/proc/net/nf_conntrack", 50)
    assert [(hole.what, hole.why) for hole in seen.holes] == [("netlink", "CAP_NET_ADMIN is missing")]


def test_where_asking_would_load_a_module_it_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/version").write_text("Linux version 6.1.0\n")
    (tmp_path / "proc/modules").write_text("")
    (tmp_path / "proc/sys/kernel/osrelease").write_text("6.1.0\n")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was asked")

    for name in ("counts", "full", "sample"):
        monkeypatch.setattr(table_look.table, name, never)
    seen = look(Proc(tmp_path), None, BY)
    assert any("load nf_conntrack_netlink" in hole.why for hole in seen.holes)


def test_nothing_at_all_is_no_empty_table(monkeypatch: pytest.MonkeyPatch) -> None:
    from tablefull.errors import KernelRefused

    def refuse(*_: object, **__: object) -> None:
        raise KernelRefused("netlink: no")

    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(table_look.table, "counts", refuse)
    monkeypatch.setattr(table_look.table, "from_file", gone)
    seen = look(Proc(), None, BY)
    assert seen.reading is None
    assert [hole.what for hole in seen.holes] == ["netlink", "/proc/net/nf_conntrack"]
