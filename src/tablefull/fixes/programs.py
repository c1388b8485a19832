"""Programs that change a host: found in the fixed folders, without a shell, with a bound on their time.

The trap: the process that runs one may be killed in the middle. The program then dies too, so that whoever undoes the
fix meets nobody who is still doing it.
"""

import os
import signal
import subprocess
import threading

from tablefull.errors import KernelRefused
from tablefull.fixes.act import Command
from tablefull.live.netlink import in_namespace
from tablefull.live.programs import FOLDERS, find

TIME_S = 90.0  # systemctl gives a service this long to stop (systemd-system.conf: DefaultTimeoutStopSec=90s)
LOOK_S = 20.0
MOST_CHARACTERS = 4000
# include/uapi/linux/prctl.h, include/uapi/linux/capability.h
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _CAP_SYS_MODULE = 1, 24, 16


def run(
    command: Command, space: str | None = None, *, looking: bool = False, limit_s: float | None = None
) -> tuple[int, str]:
    """Exit status and the last of what it said. ``looking``: it may load no module.

    KernelRefused where the program is not there, cannot be run or takes too long.
    """
    name = command.argv[0]
    path = name if name.startswith("/") and os.access(name, os.X_OK) else find(name)
    if path is None:
        raise KernelRefused(f"{shown(command)}: the program {name} is not installed")
    try:
        return in_namespace(space, lambda: _run(path, command, looking, limit_s or (LOOK_S if looking else TIME_S)))
    except OSError as error:
        raise KernelRefused(f"{shown(command)}: {(error.strerror or str(error)).lower()}") from None


def shown(command: Command) -> str:
    """The command as a person would type it."""
    import shlex

    return shlex.join(command.argv)


def failed(command: Command, status: int, said: str) -> KernelRefused:
    """One line about a program that ended badly."""
    last = said.strip().splitlines()[-1:] or ["it said nothing"]
    how = f"was ended by signal {-status}" if status < 0 else f"ended with {status}"
    return KernelRefused(f"{shown(command)[:200]}: {how}: {last[0][:300]}")


def _run(path: str, command: Command, looking: bool, limit_s: float) -> tuple[int, str]:
    import ctypes

    prctl = ctypes.CDLL(None).prctl

    def before() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if looking:
            prctl(_PR_CAPBSET_DROP, _CAP_SYS_MODULE, 0, 0, 0)

    child = subprocess.Popen(
        [path, *command.argv[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"LC_ALL": "C", "PATH": ":".join(FOLDERS[:4]), "HOME": "/", "TERM": "dumb"},
        cwd="/",
        start_new_session=True,
        preexec_fn=before,  # noqa: PLW1509 - the only other thread waits for this one; it only calls prctl
    )
    said = bytearray()
    # A service that it starts may keep its output open for good, so what is waited for is its end, not its silence.
    reader = threading.Thread(target=_drain, args=(child, said), daemon=True)
    reader.start()
    try:
        assert child.stdin is not None
        try:
            child.stdin.write(command.stdin.encode())
            child.stdin.close()
        except BrokenPipeError:
            pass
        status = child.wait(limit_s)
        reader.join(0.5)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise KernelRefused(f"{shown(command)[:200]}: was ended after {limit_s:g} s") from None
    return status, bytes(said).decode("utf-8", "replace")[-MOST_CHARACTERS:]


def _drain(child: "subprocess.Popen[bytes]", into: bytearray) -> None:
    assert child.stdout is not None
    with child.stdout:
        while part := os.read(child.stdout.fileno(), 65536):
            into += part
            del into[: -4 * MOST_CHARACTERS]
