"""Cold start: ``tablefull diagnose`` of a 200-line paste beside ``python -c 'import click, rich.console'``.

Whole processes, run in pairs so that a busy moment hits both; the median of each side, and their ratio. The goal is a
ratio of at most 2. Compiled files are made before the first pair, as by any installation.
"""

import compileall
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAIRS = int(os.environ.get("PAIRS", "41"))
LINES = 200
GOAL = 2.0
ENTRY = "from tablefull.__main__ import main; main()"  # what the installed command's script holds
ROOT = Path(__file__).resolve().parent.parent


def paste() -> str:
    """200 lines: the Xen incident, and as much ordinary kernel log and settings as a person adds to it."""
    lines = (ROOT / "examples" / "xen-dom0.txt").read_text("utf-8").splitlines()
    stamp = 11458857.0
    while len(lines) < LINES:
        stamp += 0.6
        lines.append(f"[{stamp:.6f}] eth{len(lines) % 4}: link is up, 1000 Mbps, full duplex")
    return "\n".join(lines[:LINES]) + "\n"


def timed_s(command: list[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    took = time.perf_counter() - start
    if done.returncode not in (0, 1):
        sys.exit(f"{command} failed: {done.stderr.decode(errors='replace')}")
    return took


def main() -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "paste.txt"
        file.write_text(paste(), "utf-8")
        ours = [sys.executable, "-c", ENTRY, "diagnose", str(file)]
        floor = [sys.executable, "-c", "import click, rich.console"]
        # An installation has its files compiled; a tree that was edited since has not.
        compileall.compile_dir(ROOT / "src" / "tablefull", quiet=2)
        for command in (ours, floor):
            timed_s(command, environment)
        pairs = [(timed_s(ours, environment), timed_s(floor, environment)) for _ in range(PAIRS)]
    our_s, floor_s = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(f"tablefull diagnose, {LINES} lines  {our_s * 1000:6.1f} ms  median of {PAIRS}")
    print(f"import click, rich.console    {floor_s * 1000:6.1f} ms  median of {PAIRS}")
    print(f"ratio (median of pairs)       {ratio:6.2f}     goal: at most {GOAL:g}")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
