"""The twin on one core with 1.5 million live entries: established packets and new entries a second, bytes an entry.

Beside it, in the same run: the memory floor (one random 64-byte read-modify-write a packet over as many entries), and
the kernel's own path, as packets written into a TUN device of a namespace with tracking on and off; the difference is
what tracking costs. Goals: 12 M established and 2 M new a second, 160 bytes.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

ENTRIES = 1_500_000
PACKETS = 4_000_000
ROUNDS = 5
SECOND_NS = 1_000_000_000
KERNEL_PACKETS = 200_000
SYN, SYNACK, ACK = 0x02, 0x12, 0x10
SERVER, PORTS_A_CLIENT = 0xC0A80001, 60
Column = npt.NDArray[np.int64]


def segments(ends: tuple[Column, Column, Column, Column], seq: int, ack: int, flags: int) -> npt.NDArray[np.uint8]:
    """One 40-byte TCP segment a connection, both checksums right; ``ends`` are src, sport, dst, dport."""
    src, sport, dst, dport = ends
    count = len(src)
    rows = np.zeros((count, 40), np.uint8)
    rows[:, 0], rows[:, 3], rows[:, 8], rows[:, 9], rows[:, 32], rows[:, 33] = 0x45, 40, 64, 6, 0x50, flags

    def put(at: int, values: Column | int, width: int) -> None:
        for byte in range(width):
            rows[:, at + byte] = values >> 8 * (width - 1 - byte) & 0xFF

    for at, values, width in ((12, src, 4), (16, dst, 4), (20, sport, 2), (22, dport, 2), (24, seq, 4), (28, ack, 4)):
        put(at, values, width)
    put(34, 1000, 2)
    words = rows.reshape(count, 20, 2).astype(np.int64)
    words16 = words[:, :, 0] << 8 | words[:, :, 1]
    for at, total in ((10, words16[:, :10].sum(1)), (36, words16[:, 6:].sum(1) + 6 + 20)):
        folded = (total & 0xFFFF) + (total >> 16)
        put(at, 0xFFFF - ((folded & 0xFFFF) + (folded >> 16)), 2)
    return rows


def connections() -> tuple[Column, Column, Column, Column]:
    """Source, source port, destination, destination port of each connection."""
    number = np.arange(ENTRIES, dtype=np.int64)
    same = np.ones(ENTRIES, np.int64)
    return 0x0A000000 + number // PORTS_A_CLIENT, 1024 + number % PORTS_A_CLIENT, same * SERVER, same * 443


def floor() -> float:
    """Random 64-byte read-modify-writes a second, in millions."""
    from numba import njit

    @njit
    def touch(memory, places):  # type: ignore[no-untyped-def]
        for place in places:
            memory[place, 0] += 1

    memory = np.ones((ENTRIES, 8), np.int64)
    places = np.random.default_rng(1).integers(0, ENTRIES, PACKETS)
    touch(memory, places[:1])
    begun = time.perf_counter()
    touch(memory, places)
    return PACKETS / (time.perf_counter() - begun) / 1e6


_KERNEL = r"""
import fcntl, os, struct, subprocess, sys, time
run = lambda *words: subprocess.run(words, check=True, capture_output=True)
def tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH", name, 0x1001))
    return fd
# Nobody reads what leaves: the queue of `out` fills, and the rest is dropped there.
fd, out = tun(b"bench"), tun(b"out")
run("ip", "link", "set", "bench", "up"); run("ip", "addr", "add", "10.255.0.1/8", "dev", "bench")
open("/proc/sys/net/ipv4/ip_forward", "w").write("1"); open("/proc/sys/net/ipv4/conf/all/rp_filter", "w").write("0")
run("ip", "link", "set", "out", "up")
run("ip", "route", "add", "192.168.0.0/16", "dev", "out")
packets = [sys.stdin.buffer.read(40) for _ in range(int(sys.argv[1]))]
for tracked in (0, 1):
    run("nft", "flush", "ruleset")
    rules = ["table ip b {", "chain p {", "type filter hook prerouting priority -300"]
    rules += ["" if tracked else "notrack", "}", "chain f {", "type filter hook forward priority 0"]
    rules += ["ct state invalid counter", "}", "}"]
    subprocess.run(["nft", "-f", "-"], input="\n".join(rules).encode(), check=True)
    for warm in (1, 0):
        begun = time.perf_counter()
        for packet in packets: os.write(fd, packet)
        spent = time.perf_counter() - begun
    print(spent / len(packets))
"""


def kernel(ends: tuple[Column, Column, Column, Column]) -> tuple[float, float] | str:
    """Seconds a packet through a namespace without and with tracking; why not, where it cannot be measured."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        return "needs root and /dev/net/tun"
    if missing := [name for name in ("unshare", "nft", "ip") if shutil.which(name) is None]:
        return f"needs {', '.join(missing)}"
    few = tuple(each[: KERNEL_PACKETS // 20] for each in ends)
    some = segments((few[0], few[1], few[2], few[3]), 1, 0, SYN)
    sent = np.tile(some, (20, 1)).tobytes()
    command = ["unshare", "-n", sys.executable, "-c", _KERNEL, str(KERNEL_PACKETS)]
    done = subprocess.run(command, input=sent, capture_output=True, check=False)
    if done.returncode:
        return f"failed: {done.stderr.decode(errors='replace').strip().splitlines()[-1]}"
    off, on = (float(line) for line in done.stdout.split())
    return off, on


def main() -> int:
    """Print each figure beside its goal; 1 where one is missed."""
    from tablefull.twin import Twin

    ends = connections()
    back = (ends[2], ends[3], ends[0], ends[1])
    order = np.random.default_rng(2).permutation(ENTRIES)
    chosen = np.random.default_rng(3).integers(0, ENTRIES, PACKETS)
    syn = segments(ends, 1, 0, SYN)[order].reshape(-1)
    synack = segments(back, 5, 2, SYNACK)[order].reshape(-1)
    acks = segments(ends, 2, 6, ACK)
    established = np.ascontiguousarray(acks[chosen].reshape(-1))
    settings = {"nf_conntrack_max": ENTRIES, "nf_conntrack_buckets": ENTRIES}

    def feed(twin: Twin, data: npt.NDArray[np.uint8], now_ns: int) -> float:
        count = len(data) // 40
        start = np.arange(count, dtype=np.int64) * 40
        times, size = np.full(count, now_ns, np.int64), np.full(count, 40, np.int64)
        begun = time.perf_counter()
        twin.packets(times, data, start, size)
        return count / (time.perf_counter() - begun) / 1e6

    feed(Twin(settings=settings), syn[:4000], SECOND_NS)
    news, rates, ratios, size = [], [], [], 0.0
    for _ in range(2):
        twin = Twin(settings=settings)
        news.append(feed(twin, syn, SECOND_NS))
        feed(twin, synack, SECOND_NS + 1)
        feed(twin, acks.reshape(-1), SECOND_NS + 2)
        if twin.count != ENTRIES:
            print(f"{twin.count} entries live, not {ENTRIES}")
            return 1
        size = twin.bytes_used / twin.count
        for _ in range(ROUNDS):
            rates.append(feed(twin, established, SECOND_NS + 3))
            ratios.append(floor() / rates[-1])
    fast, new = statistics.median(rates), statistics.median(news)
    print(
        f"established packets, {ENTRIES} live entries: {fast:.1f} M/s (goal 12), {min(rates):.1f} to {max(rates):.1f}"
    )
    print(f"  a packet takes {statistics.median(ratios):.1f} times a random 64-byte read-modify-write")
    print(f"new entries: {new:.1f} M/s (goal 2)")
    print(f"memory: {size:.1f} bytes an entry (goal 160)")
    measured = kernel(ends)
    if isinstance(measured, str):
        print(f"the kernel's own path was not measured: {measured}")
    else:
        off, on = measured
        print(
            f"the kernel, a write into a TUN device and forwarding: {off * 1e9:.0f} ns a packet untracked,"
            f" {on * 1e9:.0f} ns tracked; the twin takes {1e3 / fast:.0f} ns for reading and tracking"
        )
    return int(fast < 12 or new < 2 or size > 160)


if __name__ == "__main__":
    sys.exit(main())
