"""The journal of a fix: on disk before anything is done, and the one place where confirming and undoing are decided.

The trap: a person confirms in the moment in which the time runs out. Whoever makes the decision file first has decided,
and nobody can make it twice; so the journal itself has one writer at a time, who holds the lock of the host, and reads
the decision like everybody else. That lock is the host's, not the folder's: who says --state changes the same host.
Every write is whole (beside, synced, renamed, folder synced): a reader never finds half of one, also after the power
went.
"""

import errno
import fcntl
import os
import shlex
import stat
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field

from tablefull.errors import KernelRefused, UsageError
from tablefull.fixes.act import HostPlan
from tablefull.fixes.faults import Fault, never
from tablefull.live.proc import Proc

SCHEMA = "tablefull/fix-journal/1"
PLACE = "/var/lib/tablefull/fixes"
ENVIRONMENT = "TABLEFULL_STATE"
LOCK = "lock"
HOST_LOCK = "tablefull-fix.lock"
LOCK_ENVIRONMENT = "TABLEFULL_LOCK"  # another path for it: for a machine that a test or a scene makes up

# armed: written, nothing done. applying … applied: waits for the decision. keeping: confirmed, the files that last are
# being written. confirmed, undone: over. partly-undone: over, and something was left as somebody else made it.
State = Literal["armed", "applying", "applied", "keeping", "confirmed", "undoing", "undone", "partly-undone"]
FINAL = ("confirmed", "undone", "partly-undone")
Decision = Literal["confirm", "undo"]
# doing: begun, perhaps done. already: was so before, so it is not ours to undo. left: not undone, with a note.
ActState = Literal["doing", "done", "already", "undone", "left"]


class ActDone(Struct, omit_defaults=True):
    """What became of one act. ``reads``: what the kernel made of the value that was written; ``made``: folders made
    for a file, the innermost last.
    """

    step: int
    act: int
    state: ActState
    reads: str = ""
    made: tuple[str, ...] = ()
    note: str = ""


class Space(Struct, frozen=True):
    """How a network namespace is entered again: its name as given, a path, and the inode that it must have."""

    name: str
    path: str
    inode: int


class Journal(Struct, kw_only=True, omit_defaults=True):
    """One fix on one host, from plan to end.

    ``deadline_boot_s`` is of CLOCK_BOOTTIME, which goes on while the host sleeps and begins anew with ``boot_id``.
    """

    id: str
    plan: HostPlan
    made_at: float
    boot_id: str
    confirm_within_s: float
    schema: str = SCHEMA
    tool: str = ""
    who: str = ""
    state: State = "armed"
    space: Space | None = None
    probe: str | None = None
    verify_for_s: float = 3.0
    acts: list[ActDone] = field(default_factory=list)
    applied_at: float | None = None
    ended_at: float | None = None
    deadline_at: float | None = None
    deadline_boot_s: float | None = None
    why: str = ""
    seen: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether nothing is left to decide or to do."""
        return self.state in FINAL

    @property
    def armed_for_boot(self) -> bool:
        """Whether what undoes it at boot is still there."""
        return any(
            one.state in ("doing", "done") and self.plan.steps[one.step].when == "until-confirmed" for one in self.acts
        )

    def act(self, step: int, act: int) -> ActDone | None:
        """What became of one act; None where it never began."""
        return next((one for one in self.acts if one.step == step and one.act == act), None)


class Decided(Struct, frozen=True):
    """Who decided what, and when."""

    what: Decision
    why: str
    at: float


class Lock:
    """Both locks of one who changes the host, as descriptors that a child inherits: the folder's and the host's."""

    def __init__(self, descriptors: tuple[int, ...], place: str) -> None:
        self.descriptors, self._place = descriptors, place

    def say(self, holder: str) -> None:
        """Have ``holder`` said to whoever comes next. It is for people alone, so a full disk is no matter."""
        for descriptor in self.descriptors:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, (holder + self._place).encode("utf-8", "replace")[:500], 0)

    def close(self) -> None:
        """Give it back, unless a child has it too."""
        for descriptor in self.descriptors:
            os.close(descriptor)


class Store:
    """The folder of journals. ``place`` None: the host's own; ``host_lock`` None: where this host has it.

    Both are made absolute at once: whoever undoes, and whoever types what was printed, stands in another folder.
    """

    def __init__(self, place: str | None = None, fault: Fault = never, host_lock: str | None = None) -> None:
        self.path = Path(place or PLACE).absolute()
        self.host_lock = Path(host_lock).absolute() if host_lock else _run() / HOST_LOCK
        self.own_place = self.path == Path(PLACE)
        self.fault = fault

    def call(self, *words: str) -> str:
        """The line by which a person says more of what lies in this folder: ``tablefull fix --confirm 3``."""
        return shlex.join(["tablefull", "fix", *words, *([] if self.own_place else ["--state", str(self.path)])])

    def make(self) -> None:
        """The folder, for root alone. KernelRefused where it cannot be made."""
        try:
            missing = [one for one in (self.path, *self.path.parents) if not one.exists()]
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            for one in missing:
                sync_folder(one.parent)
        except OSError as error:
            raise _refused(self.path, error) from None

    def must_be_there(self) -> None:
        """UsageError where no journals lie here, or where it is no folder at all."""
        try:
            is_folder = stat.S_ISDIR(self.path.stat().st_mode)
        except FileNotFoundError:
            raise UsageError(f"{self.path}: there is no such folder, so no fix was applied from it") from None
        except OSError:
            return  # it is said where it is read
        if not is_folder:
            raise UsageError(f"{self.path} is no folder; --state DIR names the one where journals lie")

    def lock(self, holder: str) -> Lock:
        """The lock of this host; what holds it says ``holder`` to whoever comes next.

        KernelRefused, with what the present holder said, where somebody has it.
        """
        taken: list[int] = []
        try:
            taken.append(_locked(self.host_lock))
            taken.append(_locked(self.path / LOCK))
        except KernelRefused:
            for descriptor in taken:
                os.close(descriptor)
            raise
        lock = Lock(tuple(taken), "" if self.own_place else f", with its journal in {self.path}")
        lock.say(holder)
        return lock

    def held(self) -> bool:
        """Whether somebody works on a journal of this folder: an undoer, or a command."""
        try:
            descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def ids(self) -> list[str]:
        """The journals there are, the oldest first. KernelRefused where the folder may not be read."""
        try:
            names = os.listdir(self.path)  # noqa: PTH208 - names alone are wanted
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _refused(self.path, error) from None
        return [
            str(one) for one in sorted(int(name[:-5]) for name in names if name.endswith(".json") and is_id(name[:-5]))
        ]

    def new_id(self) -> str:
        """The next number. Only the holder of the lock may ask."""
        return str(max(map(int, self.ids()), default=0) + 1)

    def read(self, identity: str) -> Journal:
        """One journal. UsageError where there is none, KernelRefused where it is damaged."""
        if not is_id(identity):
            raise UsageError(
                f"{identity[:40]!a}: a fix that was made here is named by its number; see {self.call('--history')}"
            )
        path = self.path / f"{identity}.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Journal)
        except FileNotFoundError:
            raise UsageError(f"no fix {identity} was made here; see {self.call('--history')}") from None
        except OSError as error:
            raise _refused(path, error) from None
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise KernelRefused(f"{path}: it is damaged ({error}); what it did has to be looked at by hand") from None

    def all(self) -> list[Journal]:
        """Every journal that can be read, the oldest first."""
        found = []
        for one in self.ids():
            try:
                found.append(self.read(one))
            except KernelRefused:
                continue
        return found

    def write(self, journal: Journal) -> None:
        """Have the journal on disk before going on."""
        self.fault(f"before journal {journal.state}")
        content = msgspec.json.format(msgspec.json.encode(journal), indent=1) + b"\n"
        replace(self.path / f"{journal.id}.json", content, self.fault)
        self.fault(f"after journal {journal.state}")

    def decide(self, identity: str, what: Decision, why: str, now: float) -> Decided:
        """Decide, unless it was decided already; what holds."""
        path = self.path / f"{identity}.decision"
        beside = self.path / f".{identity}.decision.{os.getpid()}"
        self.fault(f"before deciding to {what}")
        try:
            _write_whole(beside, msgspec.json.encode(Decided(what, why, now)), 0o600)
            self.fault("decision written beside")
            with suppress(FileExistsError):
                os.link(beside, path)
            beside.unlink()
            sync_folder(self.path)
        except OSError as error:
            raise _refused(path, error) from None
        self.fault(f"after deciding to {what}")
        held = self.decided(identity)
        assert held is not None
        return held

    def decided(self, identity: str) -> Decided | None:
        """What was decided; None where nothing was."""
        try:
            content = (self.path / f"{identity}.decision").read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(self.path, error) from None
        try:
            return msgspec.json.decode(content, type=Decided)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return Decided("undo", "the decision could not be read", 0.0)


def boot_id() -> str:
    """What the kernel calls this time since it started; empty where it does not say."""
    found = Proc().text("proc/sys/kernel/random/boot_id", 100)
    return found if isinstance(found, str) else ""


class Held(KernelRefused):
    """Somebody else changes this host at the moment."""

    def __init__(self, who: str) -> None:
        super().__init__(f"one fix at a time: {who}")
        self.who = who


def is_id(text: str) -> bool:
    """Whether it can be the number of a journal."""
    return text.isascii() and text.isdecimal() and len(text) < 10 and text == str(int(text))


def _run() -> Path:
    """Where what lives as long as the kernel does is kept: /run, and /var/run before it (hier(7), FHS 3.0 3.15)."""
    return next((one for one in (Path("/run"), Path("/var/run")) if one.is_dir()), Path("/run"))


def _locked(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _refused(path, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        said = os.read(descriptor, 500).decode("utf-8", "replace").strip()
        os.close(descriptor)
        raise Held(said or "another tablefull fix") from None
    return descriptor


def replace(path: Path, content: bytes, fault: Fault = never) -> None:
    """Content into a file of the journal's folder, whole or not at all, and on the disk."""
    beside = path.with_name(f".{path.name}.part")
    try:
        _write_whole(beside, content, 0o600)
        fault("written beside")
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise _refused(path, error) from None


def _write_whole(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Have the names in a folder on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(path: Path, error: OSError) -> KernelRefused:
    why = (error.strerror or str(error)).lower()
    if isinstance(error, PermissionError):
        remedy = "; a fix needs root: sudo tablefull fix"
    elif error.errno in (errno.EEXIST, errno.ENOTDIR):
        why, remedy = "there is a file where a folder is needed", "; have the journal elsewhere: --state DIR"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "; make room there, or have the journal elsewhere: --state DIR"
    else:
        remedy = "; have the journal elsewhere: --state DIR"
    return KernelRefused(f"{path}: {why}{remedy}")
