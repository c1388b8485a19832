"""The full table: what the kernel refuses, evicts, counts and logs, beside the twin under the same limits.

Which entry is evicted depends on the kernel's random hash key, so there the rule is compared, not the pick. The limits
are the host's; host_limits puts them back, also when this process is killed.
"""

import errno
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.realkernel import batch as batches
from tests.realkernel import compare, host_limits
from tests.realkernel.batch import Sent
from tests.realkernel.headers import ACK, FIN, RST, SYN, peers
from tests.realkernel.judge import Judge
from tests.realkernel.record import STATES

from tablefull.twin import Twin

pytestmark = pytest.mark.realkernel

MAX = 100
BUCKETS = 1024
DROPPED, NEW, INVALID = (STATES.index(name) for name in ("dropped", "new", "invalid"))
HOSTS = peers(1, 1)


def handshake(port: int) -> list[Sent]:
    """Three segments after which the entry is ASSURED."""
    there, back = HOSTS.link(0), HOSTS.link(1)
    return [
        (0, there.tcp(port, 80, 1, 0, SYN, 1000)),
        (1, back.tcp(80, port, 10, 2, SYN | ACK, 1000)),
        (0, there.tcp(port, 80, 2, 11, ACK, 1000)),
    ]


def syns(first: int, count: int) -> list[Sent]:
    """First segments of connections that nobody answers."""
    return [(0, HOSTS.link(0).tcp(port, 80, 1, 0, SYN, 1000)) for port in range(first, first + count)]


@pytest.fixture
def kernel_log() -> Iterator[Callable[[int], list[str]]]:
    """The table-full and suppressed lines since now; the former of one namespace."""
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(descriptor, 0, os.SEEK_END)

    def lines(inode: int) -> list[str]:
        found = []
        while True:
            try:
                text = os.read(descriptor, 8192).decode(errors="replace").split(";", 1)[1].splitlines()[0]
            except BlockingIOError:
                return found
            except BrokenPipeError:  # lines were overwritten before they were read
                continue
            if f"table full in netns {inode}," in text or "callbacks suppressed" in text:
                found.append(text)

    yield lines
    os.close(descriptor)


def test_assured_entries_stay_and_everything_new_is_refused(kernel_log: Callable[[int], list[str]]) -> None:
    there = HOSTS.link(0)
    held = [one for port in range(1000, 1000 + MAX) for one in handshake(port)]
    stray = [
        (0, there.tcp(5000, 80, 1, 0, RST, 1000)),
        (0, there.tcp(5001, 80, 1, 0, SYN | FIN, 1000)),
        (0, there.tcp(5002, 80, 1, 1, FIN | ACK, 1000)),
        (0, there.udp(5003, 53, b"x")),
        (0, there.icmp(8, 0, 1)),
    ]
    open_ones = [(0, there.tcp(port, 80, 2, 11, ACK, 1000)) for port in range(1000, 1000 + MAX)]
    sent = held + syns(4000, 30) + stray + open_ones
    with host_limits.limits(maximum=MAX), Judge() as judge:
        recorded = judge.judged({}, "full", judge.run(batches.collect(sent)))
        logged = kernel_log(judge.space.inode)
        inode = judge.space.inode
    report = compare.compare(recorded, lambda given: Twin("6.18", given))
    assert not report, report.text()
    refused = len(syns(4000, 30)) + len(stray)
    assert recorded.about["counters"]["drop"] == refused
    assert recorded.about["counters"]["early_drop"] == 0
    assert (recorded.state[len(held) : len(held) + refused] == DROPPED).all()
    assert len(recorded.entries) == MAX
    assert all("ESTABLISHED" in line and "[ASSURED]" in line for line in recorded.entries)
    twin = Twin("6.18", recorded.about["host"], netns=inode)
    compare.feed(twin, batches.collect(sent), recorded.time_ns)
    # All within one window: a burst of ten. Another test's lines may have used up a part of it.
    own = [line.split("] ", 1)[1] for line in twin.log()]
    assert own == [f"nf_conntrack: nf_conntrack: table full in netns {inode}, dropping packet"] * 10
    printed = [line for line in logged if "table full" in line]
    assert 0 < len(printed) <= len(own)
    assert set(printed) == set(own)


def test_unassured_entries_make_room() -> None:
    """With far more entries than buckets every bucket holds one that may go: nothing is refused."""
    sent = syns(1000, 2000) + [(0, HOSTS.link(0).tcp(port, 443, 1, 0, SYN, 1000)) for port in range(1000, 21000)]
    with host_limits.limits(maximum=8000, buckets=BUCKETS), Judge() as judge:
        recorded = judge.judged({}, "flood", judge.run(batches.collect(sent)))
    twin = Twin("6.18", recorded.about["host"])
    state, _ = compare.feed(twin, batches.collect(sent), recorded.time_ns)
    told, own = recorded.about["counters"], twin.counters()
    assert (recorded.state == NEW).all()
    assert (state == NEW).all()
    assert told["drop"] == own["drop"] == 0
    # Each refills what it evicts: as many evicted as came beyond the limit, and whole buckets, so up to some more.
    beyond = len(sent) - 8000
    for evicted, count in ((told["early_drop"], recorded.about["count"]), (own["early_drop"], twin.count)):
        assert evicted == len(sent) - count
        assert beyond <= evicted <= beyond + 200
        assert count <= 8000


def test_a_namespace_holds_no_more_than_the_limit() -> None:
    """The kernel's own selftest, restated: of 101 new entries 100 find room."""
    # Answered, so that none of them can be evicted for the last.
    sent = [one for port in range(1000, 1101) for one in handshake(port)]
    with host_limits.limits(maximum=MAX), Judge() as judge:
        recorded = judge.judged({}, "clamp", judge.run(batches.collect(sent)))
    assert len(recorded.entries) == MAX
    assert recorded.about["count"] == MAX
    report = compare.compare(recorded, lambda given: Twin("6.18", given))
    assert not report, report.text()


def test_long_chains_are_refused() -> None:
    """Many entries over few buckets: some inserts meet a chain beyond the limit of 50 to 79 and are refused."""
    count = 50_000
    ports = [(1 + number // 60000, 1024 + number % 60000) for number in range(count)]
    sent: list[Sent] = [(0, peers(1, host).link(0).udp(port, 53, b"x")) for host, port in ports]
    with host_limits.limits(maximum=1_000_000, buckets=BUCKETS), Judge() as judge:
        recorded = judge.judged({}, "chains", judge.run(batches.collect(sent)))
    twin = Twin("6.18", recorded.about["host"])
    compare.feed(twin, batches.collect(sent), recorded.time_ns)
    told, own = recorded.about["counters"], twin.counters()
    assert told["chaintoolong"] == told["insert_failed"] > 0
    assert own["chain_toolong"] == own["insert_failed"] > 0
    assert told["drop"] == own["drop"] == 0
    # Chance decides which; how many is a matter of the mean chain, and that is the same.
    assert 0.9 < own["chain_toolong"] / told["chaintoolong"] < 1.1


def test_a_local_sender_is_told_that_it_is_not_permitted() -> None:
    """KERNEL.md 1.1 and 11.19: the send fails with EPERM; what has an entry goes on."""
    with host_limits.limits(maximum=4), Judge() as judge:
        space = judge.space
        space.run("nft", "flush", "ruleset")
        space.run(
            "nft", "-f", "-", text="table ip t { chain o { type filter hook output priority 0; ct state new; }; }\n"
        )
        space.run("ip", "link", "set", "lo", "up")
        with space.inside():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        failed = None
        with sender:
            space.run("conntrack", "-F")
            for port in range(9000, 9004):
                space.run(
                    *("conntrack", "-I", "-p", "tcp", "-s", "127.0.0.1", "-d", "127.0.0.1", "--sport", str(port)),
                    *("--dport", "80", "--state", "ESTABLISHED", "-t", "300", "-u", "SEEN_REPLY,ASSURED"),
                )
            try:
                sender.sendto(b"x", ("127.0.0.1", 7))
            except OSError as error:
                failed = error.errno
        assert failed == errno.EPERM
        assert space.counters()["drop"] == 1


def test_a_listing_collects_what_has_expired() -> None:
    """The count lags behind expiry until somebody looks: KERNEL.md 2.5."""
    settings = {"nf_conntrack_udp_timeout": 1}
    there = HOSTS.link(0)
    sent: list[Sent] = [(0, there.udp(port, 53, b"x")) for port in range(1000, 1500)]
    sent.append((0, there.udp(999, 53, b"x"), 1100))
    with host_limits.shared(), Judge(settings) as judge:
        run = judge.run(batches.collect(sent))
        before = judge.space.count()
        shown = len(judge.lines())
        after = judge.space.count()
    twin = Twin("6.18", settings)
    compare.feed(twin, run.batch, run.time_ns)
    assert shown == len(list(twin.lines())) == 1
    assert after == 1
    assert before >= 1
    assert twin.count >= 1


def test_the_limits_come_back_when_the_process_is_killed(tmp_path: Path) -> None:
    import subprocess
    import sys

    before = (host_limits.MAX.read_text(), host_limits.BUCKETS.read_text())
    code = (
        "import os, signal\nfrom tests.realkernel import host_limits\n"
        "with host_limits.limits(maximum=77777):\n"
        "    print(host_limits.MAX.read_text().strip(), flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert re.fullmatch(r"77777\n", done.stdout), done.stderr
    with host_limits.shared():  # waits until whoever puts them back is done
        assert (host_limits.MAX.read_text(), host_limits.BUCKETS.read_text()) == before
