"""A gigabyte of kernel log with every kind of line looked for, beside ``grep -c 'table full'`` on the same file.

Whole processes, one after the other, the median of their ratios; the bound is 4 and 150 MB. A second, dense log
(every line a message) shows what the worst case costs against the same amount of ordinary log.
"""

import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

MB = 1 << 20
PAIRS = 5
HOT = (
    "nf_conntrack: table full, dropping packet.",
    "nf_conntrack: nf_conntrack: table full, dropping packet",
    "nf_conntrack: nf_conntrack: table full in netns 4026532246, dropping packet",
    "ip_conntrack: table full, dropping packet.",
    "nf_conntrack: expectation table full",
    "net_ratelimit: {n} callbacks suppressed",
    "__ratelimit: {n} callbacks suppressed",
    "printk: {n} messages suppressed.",
    "neighbour: arp_cache: neighbor table overflow!",
    "Neighbour table overflow.",
    "TCP: time wait bucket table overflow",
    "TCP: too many orphaned sockets",
    "TCP: out of memory -- consider tuning tcp_mem",
    "TCP: request_sock_TCP: Possible SYN flooding on port {n}. Sending cookies.",
    "dst cache overflow",
    "swapper/1: page allocation failure: order:1, mode:0x20",
    "Out of memory: Killed process {n} (java) total-vm:81920kB",
    "java invoked oom-killer: gfp_mask=0x201da, order=0, oom_score_adj=0",
    "nf_conntrack: falling back to vmalloc.",
    "nf_conntrack: default automatic helper assignment has been turned off for security reasons",
    "IPv4: martian source 10.0.{n}.1 from 10.0.0.1, on dev eth0",
    "bridge: filtering via arp/ip/ip6tables is no longer available by default.",
    "UDP: bad checksum. From 10.0.0.{n}:53 to 10.0.0.1:33000 ulen 120",
    "nf_ct_tcp: invalid packet ignored SRC=10.0.0.{n} DST=10.0.0.1",
)
QUIET = (
    "kernel: [{up}] usb 1-1: new high-speed USB device number {n} using xhci_hcd",
    'kernel: [{up}] audit: type=1400 audit({n}): apparmor="ALLOWED" operation="open" profile="snap.lxd.daemon"',
    "kernel: [{up}] eth0: renamed from veth{n}",
    "kernel: [{up}] docker0: port {n}(veth1a2b3c) entered forwarding state",
    "systemd[1]: Started Session {n} of user root.",
    "sshd[{n}]: Failed password for invalid user admin from 10.0.{n}.1 port 43508 ssh2",
    "CRON[{n}]: (root) CMD (   cd / && run-parts --report /etc/cron.hourly)",
    "dnsmasq-dhcp[{n}]: DHCPREQUEST(br0) 10.0.3.{n} 00:16:3e:aa:bb:cc",
)


def write(path: Path, size: int, share: float) -> None:
    """A syslog of ``size`` bytes, ``share`` of its lines messages looked for; the same bytes on every run."""
    chance = random.Random(1548576)
    with path.open("wb") as file:
        written = second = 0
        while written < size:
            lines = []
            for _ in range(20_000):
                second += chance.random() < 0.2
                clock = f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
                stamp = f"Nov {1 + second // 86400 % 30:2d} {clock}"
                up = f"{8701000 + second}.{chance.randrange(1_000_000):06d}"
                hot = chance.random() < share
                text = f"kernel: [{up}] {chance.choice(HOT)}" if hot else chance.choice(QUIET)
                lines.append(f"{stamp} dom0 {text}\n".replace("{n}", str(chance.randrange(1000))).replace("{up}", up))
            block = "".join(lines).encode()
            # A block is written several times: making the text must not take longer than measuring it.
            times = max(1, min(8, (size - written) // len(block)))
            file.write(block * times)
            written += times * len(block)


def run(command: list[str], folder: Path) -> tuple[float, int]:
    """Wall seconds and peak resident bytes of a whole process."""
    # Not /dev/null: GNU grep notices that nobody looks and stops at the first match.
    answer = (os.POSIX_SPAWN_OPEN, 1, str(folder / "answer"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    begun = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[answer])
    _, status, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1, 3):
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - begun, usage.ru_maxrss * 1024


def compare(path: Path, command: list[str]) -> tuple[float, float, float, int]:
    """Median ratio, our and grep's median seconds, and our highest peak, from alternating pairs after one of each."""
    grep = ["grep", "-c", "table full", str(path)]
    run(grep, path.parent), run(command, path.parent)
    pairs = [(run(command, path.parent), run(grep, path.parent)) for _ in range(PAIRS)]
    ratio = statistics.median(ours[0] / theirs[0] for ours, theirs in pairs)
    ours = statistics.median(pair[0][0] for pair in pairs)
    theirs = statistics.median(pair[1][0] for pair in pairs)
    return ratio, ours, theirs, max(pair[0][1] for pair in pairs)


def main() -> None:
    only_scan = "--scan" in sys.argv
    scan = "import sys; from tablefull.live.bulk import scan_file; scan_file(sys.argv[1])"
    command = (
        [sys.executable, "-c", scan]
        if only_scan
        else [sys.executable, "-m", "tablefull", "diagnose", "--format", "json"]
    )
    spent = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kern.log"
        for title, size, share in (
            ("1 GB, 1 % messages", 1024 * MB, 0.01),
            ("128 MB, 1 % messages", 128 * MB, 0.01),
            ("128 MB, every line a message", 128 * MB, 1.0),
        ):
            write(path, size, share)
            ratio, ours, theirs, peak = compare(path, [*command, str(path)])
            spent[title] = ours
            bound = " (bound: 4 and 150)" if size == 1024 * MB else ""
            print(
                f"{title:30} {ours:6.2f} s  grep {theirs:5.2f} s  ratio {ratio:5.2f}  peak {peak / MB:4.0f} MB{bound}"
            )
    dense, sparse = spent["128 MB, every line a message"], spent["128 MB, 1 % messages"]
    print(f"{'every line against 1 %':30} {dense / sparse:5.1f} times")


if __name__ == "__main__":
    main()
