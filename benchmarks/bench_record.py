"""``tablefull record`` pinned to one core, beside ``conntrack -E`` and a bare receive, each on a storm of its own.

A process on the other core inserts and flushes entries in a namespace through ctnetlink, at 200,000 events a second for
30 seconds; the kernel's own count of what it threw away for a socket is added to what was received, and must come to
what was sent. The bare receive takes datagrams and does nothing with them: the floor. Root; entries stay below the
host's limit.

``conntrack -E`` of conntrack-tools 1.4.7 sets --buffer-size on another socket than the one it listens with, so it also
loses events that it would have had time for. A run without pace shows what each can do at most.
"""

import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from tests.realkernel import filled, host_limits  # noqa: E402 - the repository's root is on the path now
from tests.realkernel.namespace import Namespace  # noqa: E402

from tablefull.errors import KernelRefused  # noqa: E402
from tablefull.live.netlink import Netlink  # noqa: E402
from tablefull.live.receive_many import Block  # noqa: E402
from tablefull.wire import ctnetlink, nlattr  # noqa: E402

RATE_PER_S, SECONDS = 200_000, 30.0
ENTRIES, FLUSHED = 100_000, 20_000  # of a round; and at a time, for each flush walks the whole table
PIECE = 200
OUR_CORE, STORM_CORE = 0, 1
ROOM_BYTES = 128 << 20
FLUSH = nlattr.message(ctnetlink.SUBSYSTEM << 8 | ctnetlink.DELETE, nlattr.REQUEST, 9, struct.pack(">BBH", 0, 0, 0))


class Result(NamedTuple):
    """Of one listener: events received, lost and said so, CPU seconds, and what else there is to say."""

    received: int
    declared: int | None
    cpu_s: float
    more: str = ""


def storm(pid: int, rate_per_s: float | None, seconds: float) -> tuple[int, float]:
    """Insert and flush; events sent (one a new entry, one an ended one), and the seconds it took."""
    os.sched_setaffinity(0, {STORM_CORE})
    pieces, held = [], []
    for data in filled.messages(ENTRIES):
        held.append(data)
        if len(held) == PIECE:
            pieces.append(b"".join(held))
            held.clear()
    sent, pause = 0, 0 if rate_per_s is None else PIECE / rate_per_s
    with Netlink(namespace=f"/proc/{pid}/ns/net") as link:
        begun = due = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            there = 0
            for piece in pieces:
                link.socket.send(piece)
                sent, there, due = sent + PIECE, there + PIECE, due + pause
                if there == FLUSHED:
                    link.socket.send(FLUSH)
                    sent, there, due = sent + there, 0, due + FLUSHED // PIECE * pause
                if rate_per_s is not None:
                    time.sleep(max(0.0, due - time.perf_counter()))
                if time.perf_counter() - begun >= seconds:
                    break
            link.socket.send(FLUSH)
            sent += there
        return sent, time.perf_counter() - begun


def in_a_process(pid: int, rate_per_s: float | None, seconds: float) -> tuple[int, float]:
    """The storm in a process of its own, which shares no lock with whoever listens."""
    call = [sys.executable, __file__, "storm", str(pid), str(rate_per_s or 0), str(seconds)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    sent, took_s = done.stdout.split()
    return int(sent), float(took_s)


def ours(space: Namespace, make: Callable[[], None]) -> Result:
    """The command as a person starts it."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "tablefull", "record", "-o", folder, "--netns", str(space.pid), "--format", "json"]
        process = subprocess.Popen(
            ["taskset", "-c", str(OUR_CORE), sys.executable, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        while "recording into" not in process.stderr.readline():
            continue
        make()
        process.send_signal(signal.SIGTERM)
        answer = json.loads(process.communicate()[0])
        written = answer["files"]["bytes"]
    events = sum(answer["events"].values())
    more = f"{answer['gaps']} gaps of {answer['gap_s']:.2f} s, {written / max(events, 1):.1f} bytes an event on disk"
    return Result(events, answer["lost"], answer["cpu_s"], more)


def conntrack(space: Namespace, make: Callable[[], None]) -> Result | None:
    """``conntrack -E -o timestamp`` into nothing; None where it is not installed."""
    path = shutil.which("conntrack", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        return None
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = ["taskset", "-c", str(OUR_CORE), path, "-E", "-o", "timestamp", "-b", str(ROOM_BYTES // 2)]
    with tempfile.TemporaryFile("w+") as told, open(os.devnull, "w") as nothing:  # noqa: PTH123
        with space.inside():
            process = subprocess.Popen(words, stdout=nothing, stderr=told)
        while not _sockets(space):
            time.sleep(0.05)
        make()
        while any(waiting for waiting, _ in _sockets(space)):
            time.sleep(0.05)
        dropped = sum(dropped for _, dropped in _sockets(space))
        process.send_signal(signal.SIGINT)
        process.wait()
        told.seek(0)
        text = told.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = re.search(r"(\d+) flow events have been shown", text)
    # The storm's own process is a child, too; it says what it took.
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime - storm_cpu_s.pop()
    lines = text.count("ENOBUFS")
    more = f"the kernel threw {dropped} away for it; it says {lines} times that events are lost, not how many"
    return Result(int(shown[1]) if shown else 0, None, cpu_s, more)


def _sockets(space: Namespace) -> list[tuple[int, int]]:
    """Waiting bytes and messages thrown away, of each socket that listens to events."""
    lines = [line.split() for line in space.run("cat", "/proc/net/netlink").splitlines()[1:]]
    return [(int(words[4]), int(words[8])) for words in lines if words[1] == "12" and int(words[3], 16) & 7 == 7]


def bare(space: Namespace, make: Callable[[], None]) -> Result:
    """recvmmsg into memory, nothing else: what any listener has to pay."""
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.sched_setaffinity(0, {OUR_CORE})
        os.close(done[1])
        with Netlink(namespace=f"/proc/{space.pid}/ns/net") as link:
            link.room(ROOM_BYTES // 2)
            for group in (1, 2, 3):
                link.join(group)
            link.socket.setblocking(False)
            block, received, begun = Block(1024, 2048), 0, time.process_time()
            os.set_blocking(done[0], False)
            os.write(ready[1], b"x")
            ended = False
            while True:
                count = block.receive(link.socket.fileno())
                received += max(count, 0)
                if count <= 0 and ended:
                    break
                if count < 512:
                    time.sleep(0.002)
                try:
                    ended = ended or not os.read(done[0], 1)
                except BlockingIOError:
                    continue
            drops = struct.unpack("=9I", link.socket.getsockopt(socket.SOL_SOCKET, 55, 36))[8]
            os.write(ready[1], f"{received} {drops} {time.process_time() - begun}\n".encode())
        os._exit(0)
    os.close(done[0])
    os.read(ready[0], 1)
    make()
    os.close(done[1])
    os.waitpid(child, 0)
    received, drops, cpu_s = os.read(ready[0], 1000).split()
    for descriptor in ready:
        os.close(descriptor)
    return Result(int(received), int(drops), float(cpu_s))


storm_cpu_s: list[float] = []


def measured(
    name: str, listen: "Callable[[Namespace, Callable[[], None]], Result | None]", rate: float | None, seconds: float
) -> tuple[Result | None, int]:
    """Listen to a storm, and say what came of it."""
    sent: list[tuple[int, float]] = []

    def make() -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        sent.append(in_a_process(space.pid, rate, seconds))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        storm_cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    with Namespace() as space:
        result = listen(space, make)
    if result is None:
        print(f"{name}: not here")
        return None, 0
    events, took_s = sent[0]
    declared = "unknown" if result.declared is None else f"{result.declared:,}"
    print(
        f"{name}: {events:,} events sent in {took_s:.1f} s ({events / took_s:,.0f}/s); {result.received:,} received "
        f"({100 * result.received / events:.1f} %), declared lost {declared}, {result.cpu_s:.2f} s of CPU, "
        f"{result.cpu_s / max(result.received, 1) * 1e6:.2f} µs an event"
    )
    if result.more:
        print(f"  {result.more}")
    if rate is not None and events < 0.95 * rate * took_s:
        print("  the storm did not keep its pace: its core has other work, too")
    return result, events


def main() -> int:
    """Print all of it; 1 where an event was lost that nobody declared, or the goal is missed."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    failed = False
    with host_limits.shared():
        limit = int(host_limits.MAX.read_text())
        if limit and limit < ENTRIES:
            print(f"nf_conntrack_max is {limit}; {ENTRIES} are needed")
            return 1
        try:
            for rate, length in ((float(RATE_PER_S), seconds), (None, min(seconds, 10.0))):
                print(f"--- {'as fast as it goes' if rate is None else f'{rate:,.0f} events a second'}, one core ---")
                floor, _ = measured("bare receive", bare, rate, length)
                result, sent = measured("tablefull record", ours, rate, length)
                peer, _ = measured("conntrack -E -o timestamp", conntrack, rate, length)
                assert result is not None
                assert floor is not None
                undeclared = sent - result.received - (result.declared or 0)
                print(f"undeclared loss: {undeclared}")
                cost = result.cpu_s / max(result.received, 1)
                print(f"CPU an event: {cost / (floor.cpu_s / max(floor.received, 1)):.2f} x the bare receive", end="")
                if peer is not None:
                    ratio = cost / (peer.cpu_s / max(peer.received, 1))
                    kept = result.received / max(peer.received, 1)
                    print(f", {ratio:.2f} x conntrack -E; {kept:.1f} x as many events kept", end="")
                print()
                failed = failed or undeclared != 0 or (rate is not None and bool(result.declared))
        except KernelRefused as error:
            print(error)
            return 1
    return int(failed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["storm"]:
        print(*storm(int(sys.argv[2]), float(sys.argv[3]) or None, float(sys.argv[4])))
        sys.exit(0)
    sys.exit(main())
