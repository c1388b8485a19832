"""``tablefull table`` on 10 thousand, 100 thousand and 1.5 million real entries of the running kernel (root).

Beside it, in the same run: the bare netlink receive of the same dump (every datagram taken into one buffer and looked
at no further), ``conntrack -L`` into nothing, and the start of the interpreter. Goals: ``--full`` at most 1.15 times
the bare receive, at most 0.6 times ``conntrack -L``, under 250 MB; ``--sample`` at most 60 ms beyond the interpreter's
start. The host's nf_conntrack_max is raised for it and put back.
"""

import compileall
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "src")]

from tests.realkernel import host_limits  # noqa: E402
from tests.realkernel.table_space import TableSpace, table_space  # noqa: E402

from tablefull.live.netlink import DATAGRAM_BYTES, Netlink  # noqa: E402
from tablefull.wire import ctnetlink, nlattr  # noqa: E402

SIZES = (10_000, 100_000, 1_500_000)
LIMIT, BUCKETS = 2_000_000, 262_144
ROUNDS, SHORT_ROUNDS = 5, 31
GOALS = {"bare": 1.15, "conntrack": 0.6, "sample_ms": 60, "mb": 250}
TABLEFULL = [sys.executable, "-m", "tablefull", "table"]
WORLD = os.environ | {"PYTHONPATH": str(ROOT / "src")}


def bare(space: TableSpace) -> float:
    """Seconds that the kernel takes to hand over the dump."""
    with Netlink(namespace=space.path) as link:
        data = memoryview(bytearray(DATAGRAM_BYTES))
        began = time.perf_counter()
        link.ask(ctnetlink.dump_request)
        while True:
            link.receive(data)
            if nlattr.HEADER.unpack_from(data)[1] == nlattr.DONE:
                return time.perf_counter() - began


def timed(*words: str) -> float:
    """Seconds of a program from start to end."""
    began = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, env=WORLD)
    return time.perf_counter() - began


def memory_mb(*words: str) -> float:
    """Resident megabytes at most."""
    code = (
        "import resource, subprocess, sys\nsubprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, env=WORLD)
    return int(done.stdout) / 1024


def whole(space: TableSpace) -> None:
    """The whole table, in turns with its floor and its peer."""
    words = (*TABLEFULL, "--netns", space.name, "--full")
    timed(*words)  # the compiled reader is kept from the first time on
    times: dict[str, list[float]] = {"bare": [], "full": [], "conntrack": []}
    for _ in range(ROUNDS):
        times["bare"].append(bare(space))
        times["full"].append(timed(*words))
        times["conntrack"].append(timed("ip", "netns", "exec", space.name, "conntrack", "-L"))
    middle = {name: statistics.median(values) for name, values in times.items()}
    by_bare = statistics.median(full / floor for full, floor in zip(times["full"], times["bare"], strict=True))
    by_peer = statistics.median(full / peer for full, peer in zip(times["full"], times["conntrack"], strict=True))
    print(
        f"table --full: {middle['full']:.2f} s, {by_bare:.2f} times the bare receive of {middle['bare']:.2f} s "
        f"(goal {GOALS['bare']}), {by_peer:.2f} times conntrack -L of {middle['conntrack']:.2f} s "
        f"(goal {GOALS['conntrack']}), {memory_mb(*words):.0f} MB (goal {GOALS['mb']})"
    )


def sampled(space: TableSpace, entries: int) -> None:
    """A sample, beyond the start of the interpreter; both in turns.

    Whether the machine was calm is told by the start alone, so taking the pairs with the quicker starts favours nobody.
    """
    starts, beyond = [], []
    for _ in range(SHORT_ROUNDS):
        starts.append(timed(sys.executable, "-c", "pass") * 1000)
        beyond.append(timed(*TABLEFULL, "--netns", space.name, "--sample") * 1000 - starts[-1])
    half = statistics.median(starts)
    calm = statistics.median(more for start, more in zip(starts, beyond, strict=True) if start <= half)
    print(
        f"table --sample of {entries:,}: {statistics.median(beyond):.0f} ms beyond the interpreter's start of "
        f"{half:.0f} ms (goal {GOALS['sample_ms']}), {calm:.0f} in the calmer half, {min(beyond):.0f} at best"
    )


def main() -> int:
    """Every size once; what is missing is said."""
    if os.geteuid() != 0:
        print("bench_table: needs root, to fill a table in a namespace of its own")
        return 0
    if shutil.which("conntrack", path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
        print("bench_table: needs conntrack, the peer (Debian package conntrack)")
        return 0
    # As an installation has it: without compiled files every start would compile the program again.
    compileall.compile_dir(ROOT / "src" / "tablefull", quiet=1)
    with host_limits.limits(maximum=LIMIT, buckets=BUCKETS), table_space(locked=False) as space:
        for entries in SIZES:
            space.fill(entries)  # entries that are there already stay
            sampled(space, entries)
        whole(space)
    return 0


if __name__ == "__main__":
    sys.exit(main())
