"""A machine of its own for a test: network, mount and process namespaces; what could change in it, before and after."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDERS = ("net/netfilter", "net/core", "net/bridge", "net/ipv4/netfilter", "kernel")
MOVING = ("nf_conntrack_count", "random", "ns_last_pid", "pty", "perf", "sched")  # they change by themselves
RULE = "add table ip t; add chain ip t o { type filter hook output priority 0; ct state new counter; }"


def inside(code: str, timeout_s: float = 600) -> Any:
    """Run ``code`` (it may use this module's names) in namespaces of its own; the JSON value it printed."""
    world = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": "/run/tmp",
    }
    words = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", sys.executable, "-c"]
    done = subprocess.run(
        [*words, "from room import *\n" + code],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env=world,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def setup(*, legacy: bool = False, tracked: bool = False) -> None:
    """An empty ``/run``, loopback, namespaces ``blue`` and ``empty``; an old table; rules that track."""
    steps = (
        "mount -t tmpfs none /run", "mkdir -p /run/netns /run/tmp", "ip link set lo up",
        "ip netns add blue", "ip netns exec blue ip link set lo up", "ip netns add empty",
    )  # fmt: skip
    for words in steps:
        subprocess.run(words.split(), check=True)
    if legacy:
        subprocess.run("iptables-legacy -t filter -A INPUT -j ACCEPT".split(), check=True)
    if tracked:
        subprocess.run(["nft", RULE], check=True)
        subprocess.run(["ip", "netns", "exec", "blue", "nft", RULE], check=True)


def fill(entries: int) -> int:
    """Entries by UDP to ports of this machine where nobody listens; how many the kernel counts then."""
    Path("/proc/sys/net/netfilter/nf_conntrack_udp_timeout").write_text("3600")
    for _ in range(entries // 50_000):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for port in range(1, 50_001):
            try:
                sender.sendto(b"", ("127.0.0.1", port))
            except OSError:  # the answer to an earlier one: nobody listens
                continue
    return int(read("/proc/sys/net/netfilter/nf_conntrack_count"))


def read(path: str | Path) -> str:
    """The text of a file, or the name of the error."""
    try:
        return Path(path).read_text()
    except OSError as error:
        return type(error).__name__


def shown(*words: str, space: str | None = None) -> str:
    """Everything a command prints, in a namespace or here."""
    into = ["ip", "netns", "exec", space] if space else []
    done = subprocess.run([*into, *words], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def settings() -> dict[str, str]:
    """Every readable setting of the folders above that does not move by itself."""
    values = {}
    for folder in FOLDERS:
        for path in sorted(Path("/proc/sys", folder).glob("*")):
            if path.is_file() and os.access(path, os.R_OK) and not path.name.startswith(MOVING):
                values[str(path)] = read(path)
    return values


def state() -> dict[str, Any]:
    """All that looking could change, in every namespace."""
    spaces = sorted(path.name for path in Path("/run/netns").iterdir())
    told: dict[str, Any] = {
        "modules": read("/proc/modules"),
        "sys/module": sorted(path.name for path in Path("/sys/module").iterdir()),
        "settings": settings(),
        "namespaces": spaces,
        "processes": sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()),
        "mounts": read("/proc/self/mounts"),
        "files": sorted(str(path) for path in Path("/run").rglob("*")),
    }
    for space in (None, *spaces):
        told[f"nft {space}"] = shown("nft", "list", "tables", space=space)
        for family in ("ip", "ip6", "arp"):
            told[f"{family}_tables {space}"] = shown("cat", f"/proc/net/{family}_tables_names", space=space)
        tunables = "grep -s . /proc/sys/net/netfilter/* | grep -v _count:"
        told[f"sysctl {space}"] = shown("sh", "-c", tunables, space=space)
    return told


def settled(processes: list[int], timeout_s: float = 10) -> list[int]:
    """The processes once they are ``processes`` again, else those there are at the end of the time.

    The ``timeout`` of busybox leaves a watcher that looks once a second whether its program is gone. This process is
    the first of its namespace, so it is the one who reaps.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        now = sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
        if now == processes or time.monotonic() > deadline:
            return now


def run(words: list[str], text: str | None = None) -> tuple[int, str, str, float]:
    """Status, output, errors and seconds of one collector."""
    started = time.monotonic()
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout, done.stderr, time.monotonic() - started


def alive(name: str) -> list[int]:
    """The processes of that name that run."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    stats = ((pid, read(f"/proc/{pid}/stat")) for pid in pids)
    return [pid for pid, stat in stats if f"({name})" in stat and stat.rpartition(")")[2].split()[0] != "Z"]


def tell(value: object) -> None:
    """The one value that ``inside`` answers with."""
    print(json.dumps(value))
