"""``tablefull export``: CPU of a scrape and memory held, at 10 k and 1.5 M entries, beside node_exporter.

Both run in the namespace that holds the entries and are asked as often, as Prometheus asks (OpenMetrics); their
CPU is what the kernel accounts to the process, all threads. The looks that ours takes between scrapes are in it, and by
themselves below: they keep their own pace, however often it is asked.
node_exporter (Debian's prometheus-node-exporter) runs its conntrack collector alone. Root.
"""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from shutil import which

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.realkernel.table_space import TableSpace, table_space  # noqa: E402

CASES = ((10_000, 0), (1_500_000, 0), (1_500_000, 60))  # entries, namespaces beside
SCRAPES, PAUSE_S = 100, 0.1
GOAL_CPU_MS, GOAL_MB = 10.0, 60.0
PORT, NODE_PORT = 19906, 19100
ACCEPT = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;q=0.5"
CLONE_NEWNET = 0x40000000
LOOKS = ("netns", "composition", "forecast")


def spent_s(pid: int) -> float:
    """CPU of a process so far, threads that ended included; in ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def most_mb(pid: int) -> float:
    """The most memory that a process ever held."""
    return int(re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1]) / 1024


def fetch(port: int) -> str:
    """One scrape."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": ACCEPT})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


@contextlib.contextmanager
def running(words: list[str], port: int) -> Iterator[int]:
    """A server, once it answers; its process id."""
    world = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=world)
    try:
        until = time.monotonic() + 30
        while True:
            try:
                fetch(port)
                break
            except OSError:
                if time.monotonic() > until or server.poll() is not None:
                    raise SystemExit(f"{words[0]} does not answer") from None
                time.sleep(0.1)
        yield server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(15)


def measured(words: list[str], port: int) -> tuple[float, float, str]:
    """CPU ms of a scrape, MB, and the last page."""
    with running(words, port) as pid:
        fetch(port)
        before = spent_s(pid)
        page = ""
        for _ in range(SCRAPES):
            page = fetch(port)
            time.sleep(PAUSE_S)
        return 1000 * (spent_s(pid) - before) / SCRAPES, most_mb(pid), page


@contextlib.contextmanager
def inside(space: TableSpace) -> Iterator[None]:
    """This process and its children are in the namespace for a while, so that its loopback is theirs."""
    libc = ctypes.CDLL(None, use_errno=True)
    own, other = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in ("/proc/self/ns/net", space.path))
    if libc.setns(other, CLONE_NEWNET) != 0:
        raise SystemExit("cannot enter the namespace")
    try:
        yield
    finally:
        libc.setns(own, CLONE_NEWNET)
        os.close(own)
        os.close(other)


@contextlib.contextmanager
def neighbours(count: int) -> Iterator[None]:
    """That many namespaces, each held by a process."""
    held = [subprocess.Popen(["unshare", "--net", "sleep", "3600"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in held:
            one.kill()
            one.wait()


def look_ms(page: str, name: str) -> float:
    """CPU of one kind of look so far, as the exporter tells it."""
    return 1000 * float(re.search(rf'^tablefull_look_cpu_seconds_total{{look="{name}"}} (\S+)$', page, re.MULTILINE)[1])


def forecast_ms() -> float:
    """One forecast from as many samples as are kept; the exporter makes two a minute."""
    from tablefull.twin.forecast import Sample, forecast

    samples = [Sample(5.0 * at, 1000 + at * 37) for at in range(400)]
    began = time.process_time()
    forecast(samples, 100_000)
    return 1000 * (time.process_time() - began)


def main() -> int:
    """Print each; 1 where a goal is missed."""
    if os.geteuid() != 0:
        print("needs root, for a namespace and its entries")
        return 1
    node = which("prometheus-node-exporter")
    missed = False
    for size, beside in CASES:
        with table_space(limit=2_000_000) as space, neighbours(beside):
            space.run("ip", "link", "set", "lo", "up")
            space.fill(size)
            with inside(space):
                ours = [sys.executable, "-m", "tablefull", "export", "--listen", f"127.0.0.1:{PORT}"]
                cpu_ms, mb, page = measured(ours, PORT)
                count = float(re.search(r"^node_nf_conntrack_entries (\S+)$", page, re.MULTILINE)[1])
                series = sum(not line.startswith("#") for line in page.splitlines())
                print(f"{count:,.0f} entries, {beside} namespaces beside: {SCRAPES} scrapes of {series} series")
                goals = f"(goals {GOAL_CPU_MS:g} ms, {GOAL_MB:g} MB)"
                print(f"  tablefull export   {cpu_ms:5.2f} ms of CPU a scrape, {mb:3.0f} MB {goals}")
                missed |= cpu_ms > GOAL_CPU_MS or mb > GOAL_MB
                looks = ", ".join(f"{name} {look_ms(page, name):.1f} ms" for name in LOOKS[:2])
                print(f"    its looks in those {SCRAPES * PAUSE_S:.0f} s: {looks}")
                if node is None:
                    print("  node_exporter is not here (Debian package prometheus-node-exporter)")
                    continue
                listen = f"--web.listen-address=127.0.0.1:{NODE_PORT}"
                peer = [node, listen, "--collector.disable-defaults", "--collector.conntrack"]
                peer_ms, peer_mb, _ = measured(peer, NODE_PORT)
                print(f"  node_exporter      {peer_ms:5.2f} ms of CPU a scrape, {peer_mb:3.0f} MB")
    print(f"a forecast from 400 samples: {forecast_ms():.0f} ms of CPU, two a minute")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
