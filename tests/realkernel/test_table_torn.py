"""The whole table read while it is flooded, flushed and moved to other buckets, as the kernel's own selftest
conntrack_resize.sh does: it ends, and what is told is what the kernel sent, no more and no less.

A table that moves under a dump may well show an entry twice or not at all; the reader may not add to that.
"""

import json
import os
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from tests.realkernel import host_limits
from tests.realkernel.room import RULE
from tests.realkernel.table_space import TableSpace, table_space

from tablefull.live import receive_many, table
from tablefull.live.netlink import Netlink
from tablefull.wire.dimensions import named

pytestmark = pytest.mark.realkernel

ENTRIES = 30_000
BUCKETS = (16384, 131072, 65536, 262144)
NEW = 0x0100  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, include/uapi/linux/netfilter/nfnetlink_conntrack.h
FLOOD = """
import random, socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for at in range(10**9):
    try:
        one.sendto(b"x", (f"127.{random.randrange(1, 250)}.{random.randrange(250)}.{random.randrange(1, 250)}", 9))
    except OSError:
        pass
"""


@contextmanager
def storm(space: TableSpace) -> Iterator[Counter[str]]:
    """New entries as fast as one sender can, a flush now and then, and other buckets all the time; what was done."""
    space.run("ip", "link", "set", "lo", "up")
    space.run("nft", RULE)
    over, done = Event(), Counter[str]()

    def resize() -> None:
        while not over.is_set():
            host_limits.BUCKETS.write_text(str(BUCKETS[done["resized"] % len(BUCKETS)]))
            done["resized"] += 1
            time.sleep(0.02)

    def flush() -> None:
        while not over.wait(0.4):
            space.run("conntrack", "-F", check=False)
            space.fill(ENTRIES, seed=done["flushed"])
            done["flushed"] += 1

    threads = [Thread(target=resize), Thread(target=flush)]
    with subprocess.Popen(["ip", "netns", "exec", space.name, sys.executable, "-c", FLOOD]) as flood:
        for thread in threads:
            thread.start()
        try:
            yield done
        finally:
            over.set()
            for thread in threads:
                thread.join()
            flood.kill()


def sent(datagrams: list[bytes]) -> Counter[bytes]:
    """The entries in what the kernel sent, by their id (CTA_ID) and tuples: found by the lengths alone."""
    found: Counter[bytes] = Counter()
    for data in datagrams:
        place = 0
        while place + 16 <= len(data):
            size, kind = struct.unpack_from("=IH", data, place)
            if kind == NEW:
                found[bytes(data[place + 20 : place + 20 + struct.unpack_from("=H", data, place + 20)[0]])] += 1
            place += (size + 3) & ~3
    return found


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [True, False])
def test_what_is_told_is_what_the_kernel_sent(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    datagrams: list[bytes] = []
    fill, receive = receive_many.Block.fill, Netlink.receive

    def filled(block: receive_many.Block, link: Netlink, timeout_s: float = receive_many.TIMEOUT_S) -> bool:
        result = fill(block, link, timeout_s)
        datagrams.extend(bytes(one) for one in block.datagrams())
        return result

    def received(link: Netlink, into: memoryview) -> int:
        size = receive(link, into)
        datagrams.append(bytes(into[:size]))
        return size

    monkeypatch.setattr(receive_many.Block, "fill", filled)
    monkeypatch.setattr(Netlink, "receive", received)
    seen = []
    with host_limits.limits(buckets=65536), table_space(locked=False) as space:
        space.fill(ENTRIES)
        with storm(space) as done:
            until = time.monotonic() + 60
            while len(seen) < 4 or done["resized"] < 10 or done["flushed"] < 2:
                assert time.monotonic() < until, done
                datagrams.clear()
                look = table.full(space.path, [named("proto")], compiled=compiled)
                kernels = sent(datagrams)
                assert look.read == kernels.total()
                assert look.broken == 0
                assert sum(share.count for share in look.made[0].shares) == look.read
                seen.append((look.read, kernels.total() - len(kernels)))
    assert max(read for read, _ in seen) > 1000


@pytest.mark.slow
def test_the_program_and_conntrack_come_to_an_end() -> None:
    words = [sys.executable, "-m", "tablefull", "table", "--full", "--format", "json", "--netns"]
    own = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with host_limits.limits(buckets=65536), table_space(locked=False) as space:
        space.fill(ENTRIES)
        with storm(space):
            for _ in range(3):
                done = subprocess.run(
                    [*words, space.name], capture_output=True, text=True, check=False, timeout=60, env=own
                )
                assert done.returncode == 0, done.stderr
                assert json.loads(done.stdout)["read"] >= 0
                assert "Traceback" not in done.stderr
                space.run("conntrack", "-L", check=False)
        assert space.run("conntrack", "-F") == ""
        assert table.full(space.path, [], compiled=False).read == int(space.run("conntrack", "-C"))
