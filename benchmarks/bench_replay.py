"""``tablefull replay`` of a capture from disk, beside nfstream and softflowd on the same packets.

Ten million small packets for us (goal 8 M a second; start-up is taken off, measured by a capture of a thousand); the
peers, slower by an order, get the first part of the same capture. softflowd is Debian's package of that name.
"""

import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

PACKETS, PEER_PACKETS = 10_000_000, 300_000
CONNECTIONS = 200_000
START_PACKETS = 1000
ROUNDS = 3
GOAL = 8.0
NEEDED_MB = 700
_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
_NFSTREAM = """
import sys
from nfstream import NFStreamer
print(sum(1 for _ in NFStreamer(source=sys.argv[1], n_dissections=0)))
"""


def records(first: int, count: int) -> npt.NDArray[np.uint8]:
    """Packets ``first`` on as pcap records: handshakes, then ACKs both ways, of many connections in no order."""
    number = np.arange(first, first + count, dtype=np.int64)
    connection, turn = np.random.default_rng(1).permutation(CONNECTIONS)[number % CONNECTIONS], number // CONNECTIONS
    client, sport = 0x0A000000 + connection // 100, 1024 + connection % 100
    reply = (turn == 1) | ((turn > 2) & (turn % 2 == 0))
    rows = np.zeros((count, 56), np.uint8)
    micros = number // 2
    for at, values in ((0, 1_700_000_000 + micros // 1_000_000), (4, micros % 1_000_000)):
        for byte in range(4):
            rows[:, at + byte] = values >> 8 * byte & 0xFF
    rows[:, 8] = rows[:, 12] = 40
    ip = rows[:, 16:]
    ip[:, 0], ip[:, 3], ip[:, 8], ip[:, 9], ip[:, 32] = 0x45, 40, 64, 6, 0x50
    ip[:, 33] = np.where(turn == 0, 0x02, np.where(turn == 1, 0x12, 0x10))
    server = np.full(count, 0xC0A80001, np.int64)
    fields = (
        (12, np.where(reply, server, client), 4),
        (16, np.where(reply, client, server), 4),
        (20, np.where(reply, 443, sport), 2),
        (22, np.where(reply, sport, 443), 2),
        (24, np.where(reply, np.where(turn == 1, 5, 6), np.where(turn == 0, 1, 2)), 4),
        (28, np.where(turn == 0, 0, np.where(reply, 2, 6)), 4),
        (34, np.full(count, 1000), 2),
    )
    for at, values, width in fields:
        for byte in range(width):
            ip[:, at + byte] = values >> 8 * (width - 1 - byte) & 0xFF
    words = ip.reshape(count, 20, 2).astype(np.int64)
    words16 = words[:, :, 0] << 8 | words[:, :, 1]
    for at, total in ((10, words16[:, :10].sum(1)), (36, words16[:, 6:].sum(1) + 26)):
        folded = (total & 0xFFFF) + (total >> 16)
        check = 0xFFFF - ((folded & 0xFFFF) + (folded >> 16))
        ip[:, at], ip[:, at + 1] = check >> 8, check & 0xFF
    return rows


def write(path: Path, packets: int) -> None:
    """A capture of that many packets."""
    with path.open("wb") as file:
        file.write(_HEADER)
        for first in range(0, packets, 500_000):
            file.write(records(first, min(500_000, packets - first)).tobytes())


def seconds(command: list[str]) -> tuple[float, str]:
    """Wall seconds of a command, and what it answered."""
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    spent = time.perf_counter() - begun
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command[0]}: {done.stderr.strip()[-300:]}")
    return spent, done.stdout


def main() -> int:
    """Print our rate beside the peers'; 1 where the goal is missed."""
    ours = str(Path(sys.executable).with_name("tablefull"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < NEEDED_MB << 20:
            print(f"needs {NEEDED_MB} MB of disk")
            return 1
        large, small, one = folder / "large.pcap", folder / "small.pcap", folder / "one.pcap"
        for path, packets in ((large, PACKETS), (small, PEER_PACKETS), (one, START_PACKETS)):
            write(path, packets)
        replay = [ours, "replay", "--max", str(CONNECTIONS * 2), "--format", "json"]
        seconds([*replay, str(small)])
        rates = []
        for _ in range(ROUNDS):
            start = seconds([*replay, str(one)])[0]
            rates.append(PACKETS / (seconds([*replay, str(large)])[0] - start) / 1e6)
        rate = statistics.median(rates)
        spread = f"{min(rates):.1f} to {max(rates):.1f}"
        print(f"tablefull replay, {PACKETS} packets from disk: {rate:.1f} M/s (goal {GOAL:g}), {spread}")
        print(f"  start-up, not counted: {start:.1f} s")
        started = peers(one, folder)
        for peer, command in peers(small, folder).items():
            if command is None:
                print(f"{peer} is not here")
                continue
            # softflowd starts in milliseconds, and waits for ever after a capture as short as that.
            start = seconds(started[peer] or command)[0] if peer == "nfstream" else 0.0
            base = PEER_PACKETS / (seconds(command)[0] - start) / 1e6
            print(f"{peer}, {PEER_PACKETS} packets: {base:.2f} M/s, we are {rate / base:.0f} times as fast")
    return int(rate < GOAL)


def peers(capture: Path, folder: Path) -> dict[str, list[str] | None]:
    """The peers' commands; None for one that is not installed."""
    found: dict[str, list[str] | None] = {"nfstream": None, "softflowd": None}
    if not seconds_ok([sys.executable, "-c", "import nfstream"]):
        found["nfstream"] = None
    else:
        found["nfstream"] = [sys.executable, "-c", _NFSTREAM, str(capture)]
    softflowd = shutil.which("softflowd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if softflowd:
        pid = str(folder / "pid")
        found["softflowd"] = [softflowd, "-d", "-r", str(capture), "-c", "none", "-p", pid]
    return found


def seconds_ok(command: list[str]) -> bool:
    """Whether a command ends well."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
