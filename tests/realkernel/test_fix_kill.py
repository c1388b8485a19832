"""Killed at every place between two writes, and at random moments: the host ends as it was, or as it was confirmed.

What "as it was" means is asked of the kernel and of the disk: every setting, every rule, every file of the plan.
"""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random

import msgspec
import pytest
from tests.realkernel.fix_space import FixSpace, fix_space, places, step, until

from tablefull.fixes.act import HostPlan, OwnFile

pytestmark = pytest.mark.realkernel

QUICK = ("--confirm-within", "600ms", "--verify-for", "100ms")
AT_ONCE = 8  # most of the time of each is waiting
LONG_ENOUGH = "20s"  # for a confirmation to come in time, whatever else the machine does
RANDOM_KILLS = 200
SEED = 20261126


def kept(space: FixSpace) -> HostPlan:
    """The plan of every kind, with a file that is written on confirmation and one that is there until then."""
    plan = space.plan()
    lasting = step(OwnFile(str(space.files / "lasting/two.conf"), "b = 2\n"), scope="host")
    boot = step(OwnFile(str(space.files / "boot.conf"), "c = 3\n"), scope="host")
    return msgspec.structs.replace(
        plan,
        steps=(
            msgspec.structs.replace(boot, when="until-confirmed"),
            *plan.steps,
            msgspec.structs.replace(lasting, when="confirmed", persists=True),
        ),
    )


def judge(space: FixSpace, before: str, after: str) -> str:
    """``old`` or ``new``, by the journal and by the host, which must agree."""
    journal = space.over()
    now = space.everything()
    if journal is None:
        assert now == before
        return "old"
    if journal.state == "armed":
        assert now == before, journal
        return "old"
    assert journal.over, (journal.state, journal.notes)
    assert now == (after if journal.state == "confirmed" else before), (journal.state, journal.why, journal.notes)
    return "new" if journal.state == "confirmed" else "old"


def shown_new(space: FixSpace, plan: HostPlan) -> str:
    """The confirmed state as the kernel shows it, with the plan then taken back."""
    before = space.everything()
    assert space.apply(plan, "--confirm-within", LONG_ENOUGH, "--verify-for", "50ms").returncode == 0
    done = space.fix("--confirm")
    assert done.returncode == 0, done.stderr
    after = space.everything()
    assert after != before
    assert space.fix("--undo", "1").returncode == 0
    assert space.everything() == before
    return after


def working(space: FixSpace) -> bool:
    return any(space.processes(name) for name in ("tablefull-undo", "tablefull-keep"))


def _old_and_new(folder: Path) -> tuple[str, str]:
    with fix_space(folder) as space:
        return space.everything(), shown_new(space, kept(space))


def _at_each(folder: Path, wanted: list[str], confirming: bool) -> dict[str, str]:
    before, after = _old_and_new(folder)

    def one(place: str) -> str:
        with fix_space(folder) as space:
            plan = kept(space)
            assert space.everything() == before
            role = place.partition(":")[0]
            fault = {"TABLEFULL_FAULT": place}
            words = ("--confirm-within", LONG_ENOUGH, "--verify-for", "50ms") if confirming else QUICK
            space.apply(plan, *words, extra={} if confirming and role == "command" else fault)
            if confirming:
                space.fix("--confirm", extra=fault if role == "command" else {})
            return judge(space, before, after)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(wanted, pool.map(one, wanted), strict=True))


@pytest.mark.slow
def test_killed_at_every_place_of_a_fix_that_is_not_confirmed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with fix_space(tmp_path) as space:
        space.apply(kept(space), *QUICK, extra={"TABLEFULL_FAULT_LOG": str(log)})
        space.over()
        wanted = places(log)
    assert {one.partition(":")[0] for one in wanted} == {"command", "undoer", "keeper"}
    assert len(wanted) > 90
    assert set(_at_each(tmp_path, wanted, confirming=False).values()) == {"old"}


@pytest.mark.slow
def test_killed_at_every_place_of_a_confirmation(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with fix_space(tmp_path) as space:
        told = {"TABLEFULL_FAULT_LOG": str(log)}
        space.apply(kept(space), "--confirm-within", LONG_ENOUGH, "--verify-for", "50ms", extra=told)
        applied = _once_it_waits(log)
        space.fix("--confirm", extra=told)
        space.over()
        wanted = places(log)[applied:]
        space.fix("--undo", "1")
    ended = _at_each(tmp_path, wanted, confirming=True)
    assert set(ended.values()) == {"old", "new"}
    # Once the decision is on disk nobody who is killed can turn it.
    assert {place: end for place, end in ended.items() if place.startswith("undoer:") and end != "new"} == {}


def _once_it_waits(log: Path) -> int:
    """How many places were passed when the undoer came to wait, which may be after the command has ended."""
    until(lambda: " waiting\n" in log.read_text())
    return len(places(log))


@pytest.mark.slow
def test_random_kills_of_the_command_and_of_those_who_undo(tmp_path: Path) -> None:
    chance = Random(SEED)
    trials = [
        (
            chance.choice(["python", "tablefull-undo", "tablefull-keep"]),
            chance.uniform(0.2, 1.6),
            chance.uniform(0.4, 1.4) if chance.random() < 0.5 else None,
        )
        for _ in range(RANDOM_KILLS)
    ]

    before, after = _old_and_new(tmp_path)

    def one(trial: tuple[str, float, float | None]) -> str:
        whom, kill_at_s, confirm_at_s = trial
        with fix_space(tmp_path) as space:
            plan = kept(space)
            assert space.everything() == before
            words = space.words("--plan", space.plan_file(plan), "--apply", *QUICK)
            began = time.monotonic()
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
            children = [subprocess.Popen(words, env=space.environment(), **quiet)]  # type: ignore[call-overload]
            killed = False
            while (passed := time.monotonic() - began) < 2.0:
                if confirm_at_s is not None and passed >= confirm_at_s and len(children) == 1:
                    children.append(subprocess.Popen(space.words("--confirm"), env=space.environment(), **quiet))  # type: ignore[call-overload]
                if not killed and passed >= kill_at_s:
                    killed = True
                    pids = [children[0].pid] if whom == "python" else space.processes(whom)
                    for pid in pids[:1]:
                        with suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                asked = killed and (confirm_at_s is None or len(children) == 2)
                if asked and all(child.poll() is not None for child in children) and not working(space):
                    break
                time.sleep(0.02)
            for child in children:
                child.wait(60)
            return judge(space, before, after)

    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(one, trials))
    assert len(ended) == RANDOM_KILLS
    assert set(ended) == {"old", "new"}
    assert time.monotonic() - began < 590
