"""Who removes a scene: a process of its own session that waits for the end of the one that plays it.

The trap: the player may die in any way and at any moment (``kill -9``, a closed terminal, a defect), so what it made
must be told by names and a small file, never by its memory. This file runs by its path, with nothing but the standard
library, so that it starts in a blink and cannot fail by an import; what it removes may be gone already.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PREFIX = "tablefull-lab-"
STATES = Path("/run/tablefull-lab")
NAMES = Path("/run/netns")
MAX = Path("/proc/sys/net/netfilter/nf_conntrack_max")
COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")
STATE = "state.json"
MARK = "TABLEFULL_LAB"  # in the environment of whatever a scene starts, with the scene's number
SILENCE_S = 30.0  # a player that says nothing for so long hangs: it is ended and its scene removed
LOOK_S = 0.5
HOST_SHARE = 0.8  # of a lowered limit that the host itself may use before the limit is put back
REMOVAL_S = 10.0


def started(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: with the number it names one process. None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]


def read(folder: Path) -> dict[str, object]:
    """What the player wrote of itself; empty where it cannot be read."""
    try:
        found = json.loads((folder / STATE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(folder: Path, state: dict[str, object]) -> None:
    """Whole or not at all."""
    part = folder / f"{STATE}.part"
    part.write_text(json.dumps(state))
    part.replace(folder / STATE)


def alive(state: dict[str, object], who: str) -> bool:
    """Whether the process that ``state`` calls ``player`` or ``guardian`` still is."""
    pid = state.get(who)
    return isinstance(pid, int) and started(pid) == state.get(f"{who}_started")


def spaces(scene: str) -> list[str]:
    """The namespaces of a scene by name."""
    try:
        return sorted(path.name for path in NAMES.iterdir() if path.name.startswith(f"{PREFIX}{scene}-"))
    except OSError:
        return []


def inode(path: Path) -> int:
    """The number of a namespace; 0 where it is gone."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def held(scene: str, inodes: set[int]) -> list[int]:
    """The processes in these namespaces, and those that the scene started outside."""
    mark = f"{MARK}={scene}".encode()
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in numbers if pid != os.getpid() and _is_of(pid, mark, inodes - {0})]


def _is_of(pid: int, mark: bytes, inodes: set[int]) -> bool:
    if inode(Path(f"/proc/{pid}/ns/net")) in inodes:
        return True
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def restore_limit(folder: Path) -> str:
    """Put ``nf_conntrack_max`` back where it stands as the player set it; what was done, empty for nothing."""
    state = read(folder)
    before, lowered = state.get("max_before"), state.get("max_lowered")
    if not isinstance(before, int) or not isinstance(lowered, int):
        return ""
    try:
        stands = int(MAX.read_text())
        if stands == lowered:
            MAX.write_text(f"{before}\n")
            done = f"nf_conntrack_max is {before} again"
        elif stands == before:
            done = ""
        else:
            done = f"nf_conntrack_max is {stands}: somebody else wrote it, so it was left; it was {before} before"
    except OSError as error:
        return f"nf_conntrack_max could not be put back to {before}: {error.strerror}"
    state.pop("max_lowered")
    write(folder, state)
    return done


def remove(folder: Path) -> list[str]:
    """Everything of a scene: the limit first, its processes, its namespaces, its files. What could not be removed."""
    left = []
    try:
        told = restore_limit(folder)
        if "could not" in told:
            left.append(told)
    except OSError as error:
        left.append(f"the limit: {error}")
    left += _remove_spaces(folder.name)
    if not left:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            STATES.rmdir()
    return left


def _remove_spaces(scene: str) -> list[str]:
    """What is left of the namespaces and of the processes in them."""
    inodes: set[int] = set()
    end = time.monotonic() + REMOVAL_S
    while True:
        names = spaces(scene)
        # Whatever happens, never the one this stands in: a name that is not mounted yet has a plain file's number.
        inodes |= {inode(NAMES / name) for name in names} - {inode(Path("/proc/self/ns/net"))}
        for pid in held(scene, inodes):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for name in names:
            subprocess.run(["ip", "netns", "del", name], stdin=subprocess.DEVNULL, capture_output=True, check=False)
            with contextlib.suppress(OSError):
                (NAMES / name).unlink(missing_ok=True)
        if not spaces(scene) and not held(scene, inodes):
            return []
        if time.monotonic() > end:
            return [f"namespace {name}" for name in spaces(scene)] + [f"process {pid}" for pid in held(scene, inodes)]
        time.sleep(0.05)


def begin(folder: Path, state: dict[str, object]) -> None:
    """The scene's folder, made by who will remove it: there is none without a guardian.

    It appears together with its file, so that `lab --clean` never meets one that says nothing.
    """
    me = os.getpid()
    making = folder.with_name(f".{folder.name}")
    for _ in range(5):
        with contextlib.suppress(FileNotFoundError):  # another scene ended and took the empty folder away
            making.mkdir(mode=0o700, parents=True)
            break
    write(making, state | {"guardian": me, "guardian_started": started(me)})
    making.rename(folder)


def watch(folder: Path) -> None:
    """Until the player is gone, says so, or hangs: then everything is removed."""
    state = read(folder)
    player = state.get("player")
    heard = time.monotonic()
    while True:
        ready, _, _ = select.select([0], [], [], LOOK_S)
        if ready:
            if not os.read(0, 4096):
                break
            heard = time.monotonic()
        if time.monotonic() - heard > SILENCE_S and isinstance(player, int) and alive(state, "player"):
            os.kill(player, signal.SIGKILL)
            break
        spare_the_host(folder)
    remove(folder)


def spare_the_host(folder: Path) -> None:
    """Put a lowered limit back as soon as the host itself comes near to it."""
    lowered = read(folder).get("max_lowered")
    if isinstance(lowered, int):
        try:
            if int(COUNT.read_text()) > HOST_SHARE * lowered:
                restore_limit(folder)
        except (OSError, ValueError):
            return


def main() -> None:
    """``guardian.py FOLDER KIND PLAYER BORN [LOCK]``: LOCK is the descriptor of a lock that is held until the end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    folder, kind, player, born = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    if len(sys.argv) > 5:
        fcntl.fcntl(int(sys.argv[5]), fcntl.F_GETFD)
    begin(folder, {"scene": kind, "player": player, "player_started": born})
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"armed\n")
    watch(folder)


if __name__ == "__main__":
    main()
