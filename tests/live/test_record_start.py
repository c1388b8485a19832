"""What is said before a recording: of namespaces that send nothing, and that nobody may listen to."""

from pathlib import Path

import pytest

from tablefull.errors import KernelRefused, Unreadable
from tablefull.live import record_start
from tablefull.live.netlink import refused
from tablefull.live.proc import Proc
from tablefull.live.record_start import Settings, check_allowed, check_counters, check_events, spaces_of
from tablefull.live.spaces import Space


def space(key: str, inode: int = 1) -> Space:
    return Space(key, f"/run/netns/{key}", inode, None, None)


def test_without_events_in_any_namespace_there_is_nothing_to_record() -> None:
    with pytest.raises(Unreadable, match=r"is 0 in a, b.*turns them on"):
        check_events([(space("a"), Settings(0, 0, 0)), (space("b"), Settings(0, 0, 0))])


def test_a_silent_namespace_among_others_is_told() -> None:
    told = check_events(
        [(space("a"), Settings(0, 0, 0)), (space("b"), Settings(2, 0, 0)), (space("c"), Settings(None, None, None))]
    )
    assert told == ["a: nf_conntrack_events is 0 there: it sends no events"]


def test_the_own_namespace_where_none_is_named() -> None:
    found, notes = spaces_of(Proc(), [])
    assert [(one.path, one.inode) for one in found] == [(None, Path("/proc/self/ns/net").stat().st_ino)]
    assert notes == []


def test_a_namespace_that_is_named_twice_is_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_start, "one", lambda proc, name: space(name, 5))
    found, _ = spaces_of(Proc(), ["a", "b"])
    assert len(found) == 1


def test_refused_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(namespace: str | None = None) -> None:
        raise refused("netlink", PermissionError(1, "no"))

    monkeypatch.setattr(record_start, "Netlink", no)
    with pytest.raises(KernelRefused, match="CAP_NET_ADMIN"):
        check_allowed([space("a"), space("b")])


def test_counters_that_nobody_keeps_are_not_zero() -> None:
    web, db = Space("web", "/x", 1, None, None), Space("db", "/y", 2, None, None)
    off, on = Settings(2, 0, 0), Settings(2, 0, 1)
    with pytest.raises(Unreadable, match=r"not counted in web, db .*nf_conntrack_acct=1 counts them"):
        check_counters([(web, off), (db, off)])
    assert check_counters([(web, off), (db, on)]) == [
        "web: nf_conntrack_acct is 0 there: packets and bytes are not counted"
    ]
    assert check_counters([(web, on)]) == check_counters([(web, Settings(None, None, None))]) == []
