"""A network namespace with a journal folder of its own, and the program run beside it: for tests that kill it.

The trap: the processes that undo a fix outlive whoever started them, on purpose. So the end of a test waits until the
lock of its own journal folder is free, and fails where it does not come free in time.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tablefull.fixes.act import Command, Commanded, HostPlan, OwnFile, SetValue, Step, write
from tablefull.fixes.journal import Journal, State, Store

ROOT = Path(__file__).resolve().parents[2]
TIMEOUTS = "/proc/sys/net/netfilter/nf_conntrack_"
LONGEST_S = 60.0


class FixSpace:
    """``name`` of the namespace, ``state`` the journal's folder, ``files`` where files of a plan go."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.state, self.files = folder / "state", folder / "files"
        self.files.mkdir()
        self.store = Store(str(self.state), host_lock=str(folder / "fix.lock"))

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("TABLEFULL_")}
        places = {"TABLEFULL_STATE": str(self.state), "TABLEFULL_LOCK": str(self.store.host_lock)}
        return own | {"PYTHONPATH": str(ROOT / "src")} | places | dict(extra or {})

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tablefull", "fix", *words]

    def fix(self, *words: str, extra: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The program, to its end."""
        return subprocess.run(
            self.words(*words), env=self.environment(extra), capture_output=True, text=True, timeout=200, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def inside(self, *words: str) -> str:
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *words], capture_output=True, text=True, check=True
        ).stdout

    def everything(self) -> str:
        """All that a plan of ours may touch: every setting, every rule, every file; alike in every space."""
        settings = self.inside("sysctl", "-a", "--pattern", r"^net\.(netfilter|ipv4\.tcp|bridge|core)")
        rules = self.inside("nft", "list", "ruleset")
        files = "".join(f"{one}: {one.read_text() if one.is_file() else ''}\n" for one in sorted(self.files.rglob("*")))
        return "\n".join([_steady(settings), rules, files]).replace(str(self.folder), "FOLDER")

    def plan(self) -> HostPlan:
        """One of every kind of act that can be undone, two settings of it, and what is kept on confirmation."""
        table = ("table", "inet", "tablefull_test")
        now = {name: self.inside("cat", TIMEOUTS + name).strip() for name in ("tcp_timeout_close_wait", "udp_timeout")}
        return HostPlan(
            fix="shorten-timeouts",
            host="test",
            title="one of every kind",
            netns=self.name,
            steps=(
                step(SetValue(TIMEOUTS + "tcp_timeout_close_wait", now["tcp_timeout_close_wait"], "17")),
                step(OwnFile(str(self.files / "made/deep/one.conf"), "a = 1\n"), scope="host"),
                step(
                    Commanded(
                        "a table",
                        (
                            Command(("nft", "add", *table)),
                            Command(("nft", "-f", "-"), "add chain inet tablefull_test one\n"),
                        ),
                        (Command(("nft", "delete", *table)),),
                        Command(("nft", "list", "chain", "inet", "tablefull_test", "one")),
                    )
                ),
                step(SetValue(TIMEOUTS + "udp_timeout", now["udp_timeout"], "11")),
            ),
        )

    def plan_file(self, plan: HostPlan) -> str:
        path = self.folder / f"plan-{uuid4().hex[:6]}.json"
        path.write_bytes(write(plan))
        return str(path)

    def apply(
        self, plan: HostPlan, *words: str, extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.fix("--plan", self.plan_file(plan), "--apply", *words, extra=extra)

    def over(self) -> Journal | None:
        """The last journal once nobody holds the lock any more; None where there is none."""
        until(lambda: not self.store.held(), "somebody still holds the lock")
        found = self.store.ids()
        return self.store.read(found[-1]) if found else None

    def reached(self, state: State) -> bool:
        """Whether a journal here is in that state."""
        return any(one.state == state for one in self.store.all())

    def processes(self, name: str) -> list[int]:
        """Who of those that work for this folder is called so (as `ps -o comm` shows them)."""
        found = []
        for each in Path("/proc").iterdir():
            if not each.name.isdecimal():
                continue
            try:
                if (each / "comm").read_text().strip() == name and str(self.state).encode() in (
                    each / "environ"
                ).read_bytes():
                    found.append(int(each.name))
            except OSError:
                continue
        return found


def until(true: Callable[[], object], otherwise: str = "it did not come to that") -> None:
    """Wait for it; the test fails with ``otherwise`` where it does not come."""
    end = time.monotonic() + LONGEST_S
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)


def step(act: SetValue | OwnFile | Commanded, scope: str = "netns", persists: bool = False) -> Step:
    return Step(
        title="one", before="so", after="otherwise", scope=scope, acts=(act,), risk="none", undo="back", persists=persists  # type: ignore[arg-type]
    )  # fmt: skip


def _steady(settings: str) -> str:
    """Without what moves by itself, the count of entries, and what is the whole host's and others test with."""
    moving = ("nf_conntrack_count", "nf_conntrack_max", "nf_conntrack_buckets", "nf_conntrack_expect_max")
    return "\n".join(line for line in settings.splitlines() if not any(name in line for name in moving))


@contextmanager
def fix_space(folder: Path) -> Iterator[FixSpace]:
    name = f"tablefull-{uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    own = folder / name
    own.mkdir()
    space = FixSpace(name, own)
    try:
        yield space
        space.over()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def places(log: Path) -> list[str]:
    """The fault points that were passed: ``role:number``."""
    return [line.split(" ", 1)[0] for line in log.read_text().splitlines()]


def journal_text(space: FixSpace) -> str:
    return json.dumps([one.read_text() for one in sorted(space.state.glob("*.json"))])
