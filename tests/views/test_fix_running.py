"""Confirming, undoing and looking back at journals that are there already; applying is in tests/realkernel."""

import os
from pathlib import Path

import pytest
from fix_plans import PLAN

from tablefull.errors import KernelRefused, UsageError
from tablefull.fixes.act import HostPlan, SetValue, Step
from tablefull.fixes.journal import ActDone, Journal, Space, Store
from tablefull.views import fix_running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(str(tmp_path / "state"), host_lock=str(tmp_path / "fix.lock"))
    found.make()
    return found


def journal(identity: str = "1", **fields: object) -> Journal:
    plan = HostPlan(fix="raise-max", host="h", title="t")
    given = {"plan": plan, "made_at": 0.0, "boot_id": fix_running.boot_id(), "confirm_within_s": 60.0} | fields
    return Journal(id=identity, **given)  # type: ignore[arg-type]


def test_nothing_to_confirm(store: Store) -> None:
    with pytest.raises(UsageError, match="nothing waits to be confirmed"):
        fix_running.confirm(store, None)
    store.write(journal(state="undone", why="time was over"))
    with pytest.raises(UsageError, match=r"fix 1 .raise-max. is undone: time was over"):
        fix_running.confirm(store, None)
    with pytest.raises(KernelRefused, match="is undone"):
        fix_running.confirm(store, "1")


def test_what_is_not_applied_yet_is_not_confirmed(store: Store) -> None:
    store.write(journal(state="applying"))
    with pytest.raises(KernelRefused, match="not applied yet"):
        fix_running.confirm(store, None)


def test_a_fix_from_before_the_restart_is_not_confirmed(store: Store) -> None:
    store.write(journal(state="applied", boot_id="another"))
    with pytest.raises(KernelRefused, match="before this host restarted"):
        fix_running.confirm(store, None)


def test_too_late_is_said(store: Store) -> None:
    store.write(journal(state="applied"))
    store.decide("1", "undo", "the time was over", 1.0)
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with pytest.raises(KernelRefused, match="too late, fix 1 is undone: the time was over"):
        fix_running.confirm(store, "1")
    assert store.read("1").state == "undone"


def test_whom_nobody_is_left_to_end(store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    assert fix_running.undo_pending(store) == 0
    assert "nothing is pending" in capsys.readouterr().err
    store.write(journal(state="applying"))
    assert fix_running.status(store) == 0
    assert "nobody is left to undo it" in capsys.readouterr().err
    assert fix_running.undo_pending(store) == 0
    assert store.read("1").state == "undone"


def test_settings_of_a_namespace_that_is_gone_are_gone(store: Store) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    step = Step(
        title="t",
        before="b",
        after="a",
        scope="netns",
        acts=(SetValue("/proc/sys/net/x", "1", "2"),),
        risk="r",
        undo="u",
    )
    plan = HostPlan(fix="f", host="h", title="t", netns="web", steps=(step,))
    store.write(
        journal(
            plan=plan, state="confirmed", space=Space("web", "/run/netns/nowhere-x", 3), acts=[ActDone(0, 0, "done")]
        )
    )
    assert fix_running.undo(store, "1") == 0
    assert "is gone" in store.read("1").notes[0]


def test_a_namespace_that_is_gone_has_nothing_to_confirm(store: Store) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    store.write(journal(state="applied", space=Space("web", "/run/netns/nowhere-x", 3)))
    with pytest.raises(KernelRefused, match="the network namespace web is gone, and its settings with it: fix 1 has"):
        fix_running.confirm(store, None)
    assert store.read("1").state == "undone"


@pytest.mark.parametrize(
    ("place", "why"), [("file/state", "there is a file where a folder is needed"), ("file", "--state DIR")]
)
def test_where_the_journal_cannot_lie_nothing_was_changed(tmp_path: Path, place: str, why: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KernelRefused, match=f"nothing was changed: .*{why}"):
        fix_running.apply(
            HostPlan(fix="f", host="h", title="t"), Store(str(tmp_path / place)), confirm_within_s=1.0,
            verify_for_s=0.1, probe=None,
        )  # fmt: skip


def test_history_for_a_person_and_for_a_program(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    store.write(journal(plan=PLAN, state="confirmed"))
    fix_running.history(store, "text")
    assert "raise-max  confirmed" in capsys.readouterr().out
    fix_running.history(store, "json")
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "tablefull/fix-history/1"
    assert found["fixes"][0]["plan"]["fix"] == "raise-max"


def test_a_namespace_is_found_again_by_its_inode_alone(tmp_path: Path) -> None:
    own = Path("/proc/self/ns/net").stat().st_ino
    found = fix_running.again(Space("web", "/proc/self/ns/net", own))
    assert found is not None
    os.close(found)
    (tmp_path / "web").write_text("")
    assert fix_running.again(Space("web", str(tmp_path / "web"), 1)) is None


def test_where_the_journals_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TABLEFULL_STATE", raising=False)
    assert fix_running.store_of(None).own_place
    monkeypatch.setenv("TABLEFULL_STATE", str(tmp_path))
    assert fix_running.store_of(None).path == tmp_path
    assert fix_running.store_of("/elsewhere").path == Path("/elsewhere")
