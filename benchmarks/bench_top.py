"""``tablefull top`` on a table of 1.5 million real entries, in a terminal of its own, at one look a second (root).

What it costs is CPU time of the program and of the process beside it that diagnoses, from /proc, once it has started;
starting is printed apart. Goal: 3 % of one core. Beside it, in the same run and for as long: ``conntrack -C`` and
``conntrack -S`` once a second, which is what people put into ``watch``, and procps' ``top`` at one look a second, which
knows nothing of the table. The host's nf_conntrack_max is raised for it and put back.
"""

import argparse
import fcntl
import os
import pty
import resource
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "src")]

from tests.realkernel import host_limits  # noqa: E402
from tests.realkernel.table_space import table_space  # noqa: E402

ENTRIES, LIMIT, BUCKETS = 1_500_000, 2_000_000, 262_144
GOAL = 3.0  # per cent of one core
START_S = 8.0
SIZES = ((80, 24), (140, 50))
TICK = os.sysconf("SC_CLK_TCK")


class Screen:
    """A program in a terminal; what it writes is read and thrown away."""

    def __init__(self, words: list[str], size: tuple[int, int]) -> None:
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        world = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        self.program = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=world)
        os.close(theirs)
        self.written = 0

    def run(self, seconds: float) -> None:
        """Let it run that long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._own], [], [], left)[0]:
                try:
                    self.written += len(os.read(self._own, 65536))
                except OSError:
                    raise SystemExit(f"bench_top: it ended with {self.program.wait()}") from None

    def cpu_s(self) -> float:
        """CPU seconds of it and of the processes that it started, living or ended."""
        return sum(_spent_s(pid) for pid in (self.program.pid, *_children(self.program.pid)))

    def memory_mb(self) -> float:
        """Resident."""
        text = Path(f"/proc/{self.program.pid}/status").read_text("utf-8")
        return int(text.split("VmRSS:")[1].split()[0]) / 1024

    def end(self) -> None:
        """Ask it to."""
        os.write(self._own, b"q")
        until = time.monotonic() + 10
        while self.program.poll() is None and time.monotonic() < until:
            try:
                self.run(0.1)
            except SystemExit:
                break
        if self.program.poll() is None:
            self.program.kill()
        self.program.wait()
        os.close(self._own)


def _spent_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICK  # utime stime cutime cstime, proc(5)


def _children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == pid:
            found.append(int(folder.name))
    return found


def live(words: list[str], size: tuple[int, int], seconds: float) -> tuple[float, float, Screen]:
    """Per cent of one core while it runs, and CPU seconds of its start."""
    screen = Screen(words, size)
    screen.run(START_S)
    start = screen.cpu_s()
    screen.written = 0
    began = time.monotonic()
    screen.run(seconds)
    spent, passed = screen.cpu_s() - start, time.monotonic() - began
    return 100 * spent / passed, start, screen


def asked(name: str, seconds: float) -> float:
    """Per cent of one core of ``conntrack -C`` and ``-S``, once a second."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    for turn in range(int(seconds)):
        for what in ("-C", "-S"):
            subprocess.run(["ip", "netns", "exec", name, "conntrack", what], capture_output=True, check=True)
        time.sleep(max(0.0, began + turn + 1 - time.monotonic()))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 100 * spent / (time.monotonic() - began)


def main() -> int:
    """Both sizes of screen, then the peers."""
    options = argparse.ArgumentParser(description="what tablefull top costs on a table of 1.5 million entries")
    options.add_argument("--seconds", type=float, default=30.0, help="for each of them")
    options.add_argument("--entries", type=int, default=ENTRIES)
    given = options.parse_args()
    if os.geteuid() != 0:
        print("bench_top: needs root, to fill a table in a namespace of its own")
        return 0
    with host_limits.limits(maximum=LIMIT, buckets=BUCKETS), table_space(locked=False) as space:
        space.fill(given.entries)
        for size in SIZES:
            words = [sys.executable, "-m", "tablefull", "top", "--netns", space.name]
            share, start, screen = live(words, size, given.seconds)
            print(
                f"top at {size[0]}x{size[1]}, {given.entries:,} entries, 1 Hz: {share:.1f} % of one core over "
                f"{given.seconds:.0f} s (goal {GOAL:.0f}), {start:.1f} s of CPU to start, {screen.memory_mb():.0f} MB, "
                f"{screen.written / given.seconds / 1024:.1f} KiB written a second"
            )
            screen.end()
        if shutil.which("conntrack", path=os.environ.get("PATH", "") + ":/usr/sbin"):
            print(f"conntrack -C and -S once a second: {asked(space.name, given.seconds):.1f} % of one core")
        if shutil.which("top"):
            share, _, screen = live(["top", "-d", "1"], (80, 24), given.seconds)
            print(f"procps top at one look a second: {share:.1f} % of one core")
            screen.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
