"""Programs that only look, run so that they cannot do more: no shell, no input, a time limit, a bound on what they
print.

The trap: a listing program may itself call ``modprobe`` (libxtables does). Every program here runs without
CAP_SYS_MODULE, so that such a call fails; and it dies with this process, so that Ctrl-C leaves nothing behind.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from tablefull.facts.origin import Hole

if TYPE_CHECKING:
    import subprocess

FOLDERS = ("/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin", "/run/current-system/sw/bin")
MOST_BYTES = 16 * 1024 * 1024
_ERROR_BYTES = 4096
# include/uapi/linux/prctl.h, include/uapi/linux/capability.h
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _CAP_SYS_MODULE = 1, 24, 16


class Ran(Struct, frozen=True):
    """What a program printed. ``status`` is None where it was ended here; ``cut`` where it had more to say."""

    out: bytes
    status: int | None
    errors: str = ""
    cut: bool = False


class Run(Protocol):
    """How a program is run: the world of ``collect``, given as an argument."""

    def __call__(self, argv: Sequence[str], *, timeout_s: float, most_lines: int | None = None) -> Ran | Hole:
        """Run ``argv`` and answer what it printed, or a hole with the reason why it was not run."""


def find(name: str) -> str | None:
    """The program's whole path in the fixed folders; None where it is in none of them. PATH is not asked."""
    for folder in FOLDERS:
        path = f"{folder}/{name}"
        if os.access(path, os.X_OK):
            return path
    return None


def speaks_nft(name: str) -> bool:
    """True where a program of iptables is the one that translates to nftables: its file is ``xtables-nft-multi``."""
    path = find(name)
    return path is not None and "nft" in os.path.basename(os.path.realpath(path))  # noqa: PTH119 - two words of a path


def run(argv: Sequence[str], *, timeout_s: float, most_lines: int | None = None) -> Ran | Hole:
    """Run one program found in the fixed folders; ended after ``timeout_s`` or once it has printed ``most_lines``."""
    import subprocess

    command = " ".join(argv)
    path = find(argv[0])
    if path is None:
        return Hole(command, f"the program {argv[0]} is not installed", "")
    try:
        child = subprocess.Popen(
            [path, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"LC_ALL": "C", "PATH": ":".join(FOLDERS[:4]), "HOME": "/", "TERM": "dumb"},
            cwd="/",
            start_new_session=True,
            preexec_fn=_harmless(),  # noqa: PLW1509 - no other thread runs here; between fork and exec it only calls prctl
        )
    except OSError as error:
        return Hole(command, f"cannot be run: {error.strerror}", "")
    try:
        return _listen(child, time.monotonic() + timeout_s, most_lines)
    finally:
        _end(child)


def _harmless() -> Callable[[], None]:
    """What the child does before the program begins: it dies with its parent and can load no module."""
    import ctypes
    import signal

    prctl = ctypes.CDLL(None).prctl

    def apply() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        prctl(_PR_CAPBSET_DROP, _CAP_SYS_MODULE, 0, 0, 0)

    return apply


def _listen(child: "subprocess.Popen[bytes]", deadline: float, most_lines: int | None) -> Ran:
    import selectors

    assert child.stdout is not None
    assert child.stderr is not None
    out: list[bytes] = []
    errors = b""
    size = lines = 0
    cut = False
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        selector.register(child.stderr, selectors.EVENT_READ)
        while selector.get_map() and not cut:
            ready = selector.select(max(deadline - time.monotonic(), 0))
            if not ready:
                cut = True
            for key, _ in ready:
                part = os.read(key.fd, 65536)
                if not part:
                    selector.unregister(key.fileobj)
                elif key.fileobj is child.stderr:
                    errors = (errors + part)[:_ERROR_BYTES]
                else:
                    out.append(part)
                    size += len(part)
                    lines += part.count(b"\n") if most_lines is not None else 0
                    cut = size >= MOST_BYTES or (most_lines is not None and lines > most_lines)
    content = b"".join(out)
    if cut:
        whole = content.splitlines(keepends=True)
        content = b"".join(whole[: most_lines if most_lines is not None and lines > most_lines else -1])
    status = None if cut else _status(child, deadline)
    return Ran(content, status, errors.decode("utf-8", "replace").strip(), cut)


def _status(child: "subprocess.Popen[bytes]", deadline: float) -> int | None:
    import subprocess

    try:
        return child.wait(max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        return None


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End the program and whatever it started, and wait for it."""
    import signal

    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
