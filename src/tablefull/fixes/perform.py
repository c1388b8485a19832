"""One act on a host: look how it stands, do it, undo it. The only code that writes below /proc/sys, /sys and /etc.

The trap: somebody else changes the same host. So an act is looked at before it is done and before it is undone, and
what is then neither as it was nor as we left it belongs to somebody else and stays. A file is made under another name
and linked to its own, so that one a person wrote meanwhile is never lost.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from msgspec import Struct

from tablefull.errors import KernelRefused, StalePlan
from tablefull.fixes.act import Act, Commanded, Flush, OwnFile, SetValue
from tablefull.fixes.faults import Fault, never
from tablefull.fixes.journal import ActDone, sync_folder
from tablefull.fixes.programs import failed, run
from tablefull.kernel.sizing import round_up_buckets
from tablefull.live.netlink import in_namespace

Standing = Literal["before", "after", "other", "gone"]
MOST_BYTES = 1 << 20
_ROUNDED = ("nf_conntrack_buckets", "hashsize")  # the kernel makes whole pages of these (kernel/sizing.py)
_SETTINGS = ("/proc/sys/", "/sys/")
T = TypeVar("T")


class Where(Struct, frozen=True):
    """``space``: the path by which the network namespace is entered, None for the one this process stands in."""

    root: str = "/"
    space: str | None = None

    def path(self, name: str) -> Path:
        """A path of an act on this host."""
        return Path(self.root) / name.lstrip("/")


class Seen(Struct, frozen=True):
    """How an act stands, and what was read, for a person."""

    standing: Standing
    reads: str = ""


def named(act: Act) -> str:
    """The act in a few words."""
    if isinstance(act, SetValue):
        return act.path.removeprefix("/proc/sys/").replace("/", ".") if act.path.startswith("/proc/sys/") else act.path
    if isinstance(act, OwnFile):
        return act.path
    if isinstance(act, Commanded):
        return act.what
    return f"entries: {act.where}"


def look(act: Act, where: Where, done: ActDone | None = None) -> Seen:
    """How an act stands on this host; ``done`` where it was done already, which knows what the kernel made of it.

    KernelRefused where it cannot be told.
    """
    if isinstance(act, SetValue):
        return _inside(where, lambda: _look_value(act, where, done))
    if isinstance(act, OwnFile):
        return _look_file(act, where)
    if isinstance(act, Commanded):
        for command in act.first:
            status, said = run(command, where.space, looking=True)
            if status != 0:
                return Seen("before", said)
        status, said = run(act.done, where.space, looking=True)
        return Seen("after" if (status == 0) != act.turned else "before", said)
    return Seen("before" if done is None else "after")


def do(act: Act, where: Where, fault: Fault = never) -> tuple[str, str]:
    """Do it. What it then reads, and a note for a person; KernelRefused or StalePlan where it could not be done."""
    if isinstance(act, SetValue):
        return _inside(where, lambda: _set(act, act.after, where)), ""
    if isinstance(act, OwnFile):
        _make(act, where, fault)
        return "", ""
    if isinstance(act, Commanded):
        for number, command in enumerate(act.do):
            status, said = run(command, where.space)
            if status != 0:
                raise failed(command, status, said)
            fault(f"command {number} run")
        if look(act, where).standing != "after":
            raise KernelRefused(f"{act.what}: the commands went well and the state is still as it was")
        return "", ""
    return "", _flush(act, where)


def undo(act: Act, where: Where, done: ActDone, fault: Fault = never) -> str:
    """Undo it where it is still as it was left. Empty, or why it was left as it is."""
    try:
        if isinstance(act, SetValue):
            return _inside(where, lambda: _undo_value(act, where, done))
        if isinstance(act, OwnFile):
            return _undo_file(act, where, done, fault)
        if isinstance(act, Commanded):
            return _undo_commands(act, where, done, fault)
    except (OSError, KernelRefused) as error:
        return f"{named(act)}: {error.strerror if isinstance(error, OSError) else error}"
    return ""


def missing_folders(act: Act, where: Where) -> tuple[str, ...]:
    """The folders that a file needs and that are not there, the outermost first."""
    if not isinstance(act, OwnFile):
        return ()
    folders = Path(act.path).parents
    return tuple(str(one) for one in reversed(folders) if not where.path(str(one)).exists())


def _inside(where: Where, what: Callable[[], T]) -> T:
    try:
        return in_namespace(where.space, what)
    except PermissionError as error:
        raise KernelRefused(
            f"{error.filename or where.space}: {(error.strerror or '').lower()}; it needs root, CAP_NET_ADMIN in this "
            "network namespace, and is read-only in a container"
        ) from None
    except OSError as error:
        raise KernelRefused(f"{error.filename or where.space}: {(error.strerror or str(error)).lower()}") from None


def _value(text: str) -> str:
    return " ".join(text.split())


def _read_value(act: SetValue, where: Where) -> str | None:
    path = where.path(act.path)
    if not act.path.startswith(_SETTINGS) or ".." in Path(act.path).parts:
        raise KernelRefused(f"{act.path}: no setting of the kernel")
    try:
        return _value(path.read_text("utf-8", "replace"))
    except FileNotFoundError:
        return None


def _look_value(act: SetValue, where: Where, done: ActDone | None) -> Seen:
    reads = _read_value(act, where)
    if reads is None:
        return Seen("gone", "it is not there")
    if reads == _value(act.before):
        return Seen("before", reads)
    ours = {_value(act.after)} | ({done.reads} if done is not None and done.reads else set())
    if Path(act.path).name in _ROUNDED and act.after.isdecimal():
        ours |= {str(round_up_buckets(int(act.after), bits)) for bits in (32, 64)}
    return Seen("after" if reads in ours else "other", reads)


def _set(act: SetValue, value: str, where: Where) -> str:
    descriptor = os.open(where.path(act.path), os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode() + b"\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror, act.path) from None
    finally:
        os.close(descriptor)
    reads = _read_value(act, where) or ""
    if reads == _value(act.before) != _value(value):
        raise KernelRefused(f"{act.path}: the kernel took {value} and still reads {reads}")
    return reads


def _undo_value(act: SetValue, where: Where, done: ActDone) -> str:
    seen = _look_value(act, where, done)
    if seen.standing == "other":
        return (
            f"{named(act)}: reads {seen.reads}, which is neither {act.before} nor what was set ({act.after}): "
            "somebody else changed it, and it is left"
        )
    if seen.standing == "after":
        reads = _set(act, act.before, where) if _value(act.before) else seen.reads
        if reads != _value(act.before):
            return f"{named(act)}: {act.before} was written and it reads {reads}"
    return ""


def _look_file(act: OwnFile, where: Where) -> Seen:
    path = where.path(act.path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return Seen("before" if act.before is None else "gone", "there is no such file")
    except OSError as error:
        raise KernelRefused(f"{act.path}: {(error.strerror or '').lower()}; it is no file of ours") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return Seen("other", "it is no plain file")
        content = file.read(MOST_BYTES + 1).decode("utf-8", "surrogateescape")
    if content == act.after:
        return Seen("after", "as planned")
    return Seen("before" if content == act.before else "other", f"{len(content)} characters that are not ours")


def _beside(path: Path) -> Path:
    # Read by nobody: sysctl.d, modprobe.d, udev and systemd go by the end of a name, run-parts leaves out a dot.
    return path.with_name(f".{path.name[:200]}.tablefull-new")


def _make(act: OwnFile, where: Where, fault: Fault) -> None:
    path = where.path(act.path)
    beside = _beside(path)
    try:
        for folder in missing_folders(act, where):
            where.path(folder).mkdir(mode=0o755)
            sync_folder(where.path(folder).parent)
            fault("folder made")
        _write(beside, act.after, act.mode)
        fault("file written beside")
        if act.before is None:
            try:
                os.link(beside, path)
            except FileExistsError:
                raise StalePlan(f"{act.path}: somebody made it meanwhile; it is not ours to replace") from None
            finally:
                beside.unlink()
        else:
            beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise KernelRefused(f"{act.path}: {(error.strerror or str(error)).lower()}") from None


def _write(path: Path, text: str, mode: int) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        content = memoryview(text.encode("utf-8", "surrogateescape"))
        while content:
            content = content[os.write(descriptor, content) :]
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _undo_file(act: OwnFile, where: Where, done: ActDone, fault: Fault) -> str:
    path = where.path(act.path)
    if path.parent.is_dir():
        _beside(path).unlink(missing_ok=True)
        seen = _look_file(act, where)
        if seen.standing == "other":
            return f"{act.path}: somebody else changed it; it is left"
        if seen.standing == "after":
            if act.before is None:
                path.unlink()
            else:
                _write(_beside(path), act.before, act.mode)
                _beside(path).replace(path)
            sync_folder(path.parent)
            fault("file taken away")
    tidy(done, where, fault)
    return ""


def tidy(done: ActDone, where: Where, fault: Fault = never) -> None:
    """Take away the folders that were made for a file, where nothing is in them any more."""
    for folder in reversed(done.made):
        made = where.path(folder)
        if made.is_dir() and not any(made.iterdir()):
            made.rmdir()
            sync_folder(made.parent)
            fault("folder taken away")


def _undo_commands(act: Commanded, where: Where, done: ActDone, fault: Fault) -> str:
    """A half-done one is undone whole: what of it was never done answers with an error, which is no matter then."""
    begun = done.state == "doing"
    if not begun and look(act, where).standing == "before":
        return ""
    said = ""
    for number, command in enumerate(act.undo):
        status, told = run(command, where.space)
        fault(f"undo command {number} run")
        if status != 0:
            said = said or str(failed(command, status, told))
            if not begun:
                break
    if look(act, where).standing == "after":
        return f"{act.what}: {said or 'the commands that undo it went well, and it is still there'}"
    return "" if begun else said


def _flush(act: Flush, where: Where) -> str:
    from tablefull.fixes.flush import flush

    return flush(act.where, where.space)
