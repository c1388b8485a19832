"""Records the count of entries of real tables, second by second, for bench_forecast.py: real packets, the running
kernel's own timeouts and collector, each kind in a network namespace of its own that ends with it.

    sudo python benchmarks/record_tables.py [seconds] [folder]

The files in recorded/ were made by it (40 minutes, Linux 6.18). The trap: the count alone is kept, so what filled the
table is known only by the kind, and when it began is written down beside it.
"""

import asyncio
import contextlib
import math
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

RULE = "add table ip t; add chain ip t o { type filter hook output priority 0; ct state new counter; }"
COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")
TCP_REPAIR = 19  # include/uapi/linux/tcp.h; a socket closed in repair sends neither FIN nor RST
PORT = 8080
ONSET_S = 900
SEED = 20261126

Rate = Callable[[float], float]


def everyday(time_s: float) -> float:
    """Visits a second: a day of 25 minutes, and gusts."""
    return 30 * (1 + 0.6 * math.sin(2 * math.pi * time_s / 1500)) * (1.5 if int(time_s / 40) % 7 == 3 else 1)


def crowd(time_s: float) -> float:
    """Everybody comes within a minute, and stays for eight."""
    return 30 + (150 * min(1.0, (time_s - ONSET_S) / 60) if ONSET_S < time_s < ONSET_S + 480 else 0)


def after_onset(rate: float) -> Rate:
    return lambda time_s: rate if time_s > ONSET_S else 0.0


async def visit(stay_s: float, vanish: bool = False) -> None:
    """A connection from an address of its own; ``vanish``: nobody is told of its end, and its entry stays."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as one:
        one.bind((f"127.{random.randrange(1, 250)}.{random.randrange(250)}.{random.randrange(1, 250)}", 0))
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", PORT))
            await asyncio.sleep(stay_s)
            if vanish:
                one.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)


async def datagram(_: float) -> None:
    """One that nobody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as one:
        one.bind((f"127.{random.randrange(1, 250)}.{random.randrange(250)}.{random.randrange(1, 250)}", 0))
        with contextlib.suppress(OSError):
            one.sendto(b"x", ("127.0.0.1", 9))


def web() -> tuple[Rate, Callable[[], Coroutine[None, None, None]]]:
    return everyday, lambda: visit(random.expovariate(1 / 5))


KINDS: dict[str, list[tuple[Rate, Callable[[], Coroutine[None, None, None]]]]] = {
    "diurnal": [web(), (lambda _: 1.0, lambda: visit(random.lognormvariate(4, 1)))],
    "flash": [(crowd, lambda: visit(random.expovariate(1 / 5)))],
    "leak": [web(), (after_onset(4.0), lambda: visit(1, vanish=True))],
    "flood": [web(), (after_onset(150.0), lambda: datagram(0))],
}


async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the other side ends it."""
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await reader.read()
    writer.close()


async def come(rate: Rate, one: Callable[[], Coroutine[None, None, None]], until_s: float) -> None:
    """Each at a moment of its own, as many a second as the rate says."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    tasks: set[asyncio.Task[None]] = set()
    while (now := loop.time() - began) < until_s:
        wanted = rate(now)
        if wanted <= 0:
            await asyncio.sleep(0.5)
            continue
        await asyncio.sleep(random.expovariate(wanted))
        task = asyncio.create_task(one())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    for task in tasks:
        task.cancel()


def entries() -> int:
    return int(COUNT.read_text("ascii"))


async def record(kind: str, seconds: int) -> list[int]:
    """The count of each second."""
    server = await asyncio.start_server(served, "127.0.0.1", PORT, backlog=1024)
    loop = asyncio.get_running_loop()
    began = loop.time()
    senders = [asyncio.create_task(come(rate, one, seconds)) for rate, one in KINDS[kind]]
    counts = []
    for second in range(seconds):
        await asyncio.sleep(max(0.0, began + second - loop.time()))
        counts.append(entries())
    for sender in senders:
        sender.cancel()
    server.close()
    return counts


def write(kind: str, counts: list[int], file: Path) -> None:
    """``limit,onset_s``, then ``second,count``; the limit lies between what is usual and the most that there was."""
    onset_s = 0 if kind == "diurnal" else ONSET_S
    before = max(counts[200 : onset_s or len(counts) // 2], default=0)
    limit = before * 1.05 + (max(counts) - before) * 0.7
    lines = [f"{limit:.0f},{onset_s}", *(f"{second},{count}" for second, count in enumerate(counts))]
    file.write_text("\n".join(lines) + "\n", encoding="ascii")


def main() -> int:
    """Each kind in a namespace of its own, all at once; or, called by itself, one kind in this one."""
    if len(sys.argv) == 5 and sys.argv[1] == "inside":
        _, _, kind, seconds, file = sys.argv
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        subprocess.run(["nft", RULE], check=True)
        random.seed(f"{SEED}{kind}")
        write(kind, asyncio.run(record(kind, int(seconds))), Path(file))
        return 0
    seconds = sys.argv[1] if len(sys.argv) > 1 else "2400"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "recorded"
    folder.mkdir(exist_ok=True)
    words = ["unshare", "--net", sys.executable, __file__, "inside"]
    children = [subprocess.Popen([*words, kind, seconds, str(folder / f"{kind}.csv")]) for kind in KINDS]
    return max(child.wait() for child in children)


if __name__ == "__main__":
    sys.exit(main())
