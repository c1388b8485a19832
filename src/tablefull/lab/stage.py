"""The stage of a scene: machines that are network namespaces, wires between them, and the programs that run in them.

The trap: whatever is made here must go again, also when this process is killed in the middle of making it. So the
guardian (guardian.py) is there before the first namespace, everything bears the scene's name, links are made between
namespaces and never in the host's own, and every program dies with this process.
"""

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tablefull.errors import KernelRefused
from tablefull.lab import guardian
from tablefull.live.netlink import in_namespace

PROGRAM_S = 20.0
_GUARDIAN = Path(guardian.__file__)
_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21  # include/uapi/linux/capability.h
T = TypeVar("T")


def missing_right() -> str:
    """The capability without which no scene can be made; empty where all are there."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return ""
    held = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)
    wanted = {"CAP_SYS_ADMIN": _CAP_SYS_ADMIN, "CAP_NET_ADMIN": _CAP_NET_ADMIN}
    return " and ".join(name for name, bit in wanted.items() if not held >> bit & 1)


class Child:
    """A program that runs in a machine. ``output``: the file its standard output is read from, or None."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", group: str = "") -> None:
        self.name, self.process, self.group = name, process, group
        self.output = process.stdout

    def stop(self) -> None:
        """End it, at once where it does not end by itself."""
        self.process.terminate()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.output is not None:
            self.output.close()


class Machine:
    """One namespace. ``name`` is what the scene calls it, ``space`` what ``ip netns`` does."""

    def __init__(self, stage: "Stage", name: str) -> None:
        self.stage, self.name = stage, name
        self.space = f"{guardian.PREFIX}{stage.scene}-{name}"
        self.path = str(guardian.NAMES / self.space)

    def run(self, *words: str, text: str = "", timeout_s: float = PROGRAM_S) -> str:
        """What a program prints here; KernelRefused where it fails."""
        return run(*self.words(*words), text=text, timeout_s=timeout_s)

    def words(self, *words: str) -> list[str]:
        """A command line that runs another one here."""
        return ["nsenter", f"--net={self.path}", "--", *words]

    def ip(self, *lines: str) -> None:
        """Commands of ``ip``, in one batch."""
        run("ip", "-n", self.space, "-batch", "-", text="".join(f"{line}\n" for line in lines))

    def inside(self, make: Callable[[], T]) -> T:
        """What ``make`` gives when called in this namespace, by a thread that ends."""
        return in_namespace(self.path, make)

    def setting(self, name: str) -> str:
        """A sysctl of this namespace; FileNotFoundError where this kernel has none of its own here."""
        return self.inside(lambda: _path(name).read_text().strip())

    def set(self, name: str, value: object) -> None:
        """Write a sysctl of this namespace."""
        self.inside(lambda: _path(name).write_text(f"{value}\n"))

    def inode(self) -> int:
        """The number by which the kernel's log names this namespace."""
        return Path(self.path).stat().st_ino


def _path(name: str) -> Path:
    return Path("/proc/sys", name.replace(".", "/"))


def run(*words: str, text: str = "", timeout_s: float = PROGRAM_S) -> str:
    """What a program prints; KernelRefused with its first line of complaint where it fails or takes too long."""
    try:
        done = subprocess.run(words, input=text.encode(), capture_output=True, check=False, timeout=timeout_s)
    except FileNotFoundError:
        raise KernelRefused(f"{words[0]} is not installed; the lab needs it (Debian: {package(words[0])})") from None
    except subprocess.TimeoutExpired:
        raise KernelRefused(f"{' '.join(words)[:200]}: no answer in {timeout_s:g} s") from None
    if done.returncode:
        why = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0] or f"ended with {done.returncode}"
        raise KernelRefused(f"{' '.join(words)[:200]}: {why}")
    return done.stdout.decode("utf-8", "replace")


def package(program: str) -> str:
    """The Debian package of a program that scenes use."""
    return {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "iptables-legacy": "iptables"}.get(
        program, program
    )


def found(program: str) -> str | None:
    """Where a program is, also where root's folders are not on the path."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")


class Stage:
    """What a scene is made on; use it in ``with``. ``scene``: a number of its own. ``lock``: held as long as it is."""

    def __init__(self, kind: str, lock: int | None = None) -> None:
        self.kind, self.scene = kind, secrets.token_hex(3)
        self.machines: dict[str, Machine] = {}
        self.children: list[Child] = []
        self.folder = guardian.STATES / self.scene
        self._lock = lock
        self._beat = 0.0
        self._guardian: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        me = os.getpid()
        kept = () if self._lock is None else (self._lock,)
        words = [sys.executable, "-I", str(_GUARDIAN), str(self.folder), self.kind, str(me), str(guardian.started(me))]
        self._guardian = subprocess.Popen(
            [*words, *map(str, kept)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True, pass_fds=kept, cwd="/",
        )  # fmt: skip
        assert self._guardian.stdout is not None
        if self._guardian.stdout.readline() != b"armed\n":
            raise KernelRefused("the process that removes the scene did not start, so nothing was made")

    def note(self, **facts: object) -> None:
        """Write down what the guardian and `lab --clean` have to know, before it becomes true."""
        guardian.write(self.folder, guardian.read(self.folder) | facts)

    def beat(self) -> None:
        """Tell the guardian that this process lives; KernelRefused where the guardian is gone."""
        if self._guardian is None or self._guardian.stdin is None or time.monotonic() - self._beat < 1.0:
            return
        self._beat = time.monotonic()
        try:
            os.write(self._guardian.stdin.fileno(), b".")
        except BrokenPipeError:
            raise KernelRefused("the process that removes the scene was ended, so the scene ends too") from None

    def machine(self, name: str) -> Machine:
        """A new namespace with loopback, IPv4 only: nothing speaks in it that the scene did not start."""
        made = Machine(self, name)
        self.beat()
        run("ip", "netns", "add", made.space)
        self.machines[name] = made
        made.ip("link set lo up")
        for scope in ("all", "default"):
            try:
                made.set(f"net.ipv6.conf.{scope}.disable_ipv6", 1)
            except OSError:
                break
        return made

    def wire(self, one: Machine, its_name: str, other: Machine, other_name: str) -> None:
        """A cable between two machines; neither end is ever in the host's own namespace."""
        one.ip(f"link add {its_name} type veth peer name {other_name} netns {other.space}", f"link set {its_name} up")
        other.ip(f"link set {other_name} up")

    def start(self, machine: Machine | None, name: str, *words: str, output: bool = True, group: str = "") -> Child:
        """A program that runs in a machine (None: beside them) until it is stopped or this process ends."""
        line = words if machine is None else machine.words(*words)
        with (self.folder / f"{name}.err").open("wb") as complaints:
            process = subprocess.Popen(
                line, env=os.environ | {guardian.MARK: self.scene}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if output else subprocess.DEVNULL, stderr=complaints, cwd=self.folder,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - no other thread runs
            )  # fmt: skip
        child = Child(name, process, group)
        self.children.append(child)
        return child

    def complaint(self, name: str) -> str:
        """The last line that a program said before it ended."""
        try:
            return (self.folder / f"{name}.err").read_text("utf-8", "replace").strip().rpartition("\n")[2][:200]
        except OSError:
            return ""

    def close(self) -> None:
        """Everything away; KernelRefused where something could not be removed."""
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for child in reversed(self.children):
                child.stop()
            self.children.clear()
            keeper, self._guardian = self._guardian, None
            if keeper is not None and keeper.stdin is not None and keeper.stdout is not None:
                keeper.stdin.close()
                try:
                    keeper.wait(2 * guardian.REMOVAL_S)
                except subprocess.TimeoutExpired:
                    keeper.kill()
                    keeper.wait()
                keeper.stdout.close()
            # Its guardian may have been killed.
            left = guardian.remove(self.folder) if self.folder.exists() else []
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if left:
            raise KernelRefused(f"could not be removed: {', '.join(left)}; try `tablefull lab --clean`")


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    os.setsid()  # Ctrl-C is for the player, which ends the others in their order


_LIBC = ctypes.CDLL(None)
