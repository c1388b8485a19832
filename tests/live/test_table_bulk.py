"""The compiled reading of a whole table: under flood, flush and resize, with whoever reads it leaving early."""

import threading
from contextlib import suppress

import numpy as np
import pytest
from tests.realkernel import host_limits
from tests.realkernel.table_space import table_space
from tests.wire.ctnetlink_bytes import FULL, PING, SIX, WHOLE
from tests.wire.test_ctnetlink import read

from tablefull.errors import KernelRefused
from tablefull.live.netlink import Netlink
from tablefull.live.table import full
from tablefull.live.table_bulk import Batches, matching
from tablefull.wire import ctnetlink as at
from tablefull.wire.dimensions import named
from tablefull.wire.selection import parse

BY = [named("state")]


def test_which_rows_are_meant() -> None:
    table = np.array([read(*parts) for parts in (WHOLE, FULL, SIX, PING)], np.uint32)
    assert matching(table, parse("proto=tcp and mark=7")).tolist() == [0, 1]
    assert matching(table, parse("bytes > 5000000000")).tolist() == [1]
    assert matching(table, parse("src in 255.255.255.255/32")).tolist() == []


@pytest.mark.realkernel
def test_batches_are_the_whole_and_ids_are_unique() -> None:
    with table_space(limit=200_000) as space:
        space.fill(60_000)
        with Netlink(namespace=space.path) as link:
            batches = Batches(link)
            ids = np.concatenate([batch[:, at.R_ID].copy() for batch in batches])
    assert len(ids) == 60_000
    assert len(np.unique(ids)) > 59_990  # 32 bits of a keyed hash: less than one pair of 60,000 is expected
    assert (batches.broken, batches.failed) == (0, None)


@pytest.mark.realkernel
def test_whoever_reads_may_leave() -> None:
    with table_space(limit=200_000) as space:
        space.fill(50_000)
        before = threading.active_count()
        with Netlink(namespace=space.path) as link:
            for batch in Batches(link):
                assert len(batch)
                break
        assert threading.active_count() == before
        assert full(space.path, BY).read == 50_000


@pytest.mark.realkernel
def test_under_flood_flush_and_resize() -> None:
    """The kernel's conntrack_resize in spirit: nothing hangs or breaks, and nothing is counted that was not there."""
    over = threading.Event()
    with table_space(limit=400_000) as space:
        space.fill(40_000)

        def flood() -> None:
            seed = 2
            while not over.is_set():
                with suppress(KernelRefused):  # a chain that is too long, or no room: that is what a flood meets
                    space.fill(5_000, seed=seed)
                seed += 1

        def flush() -> None:
            while not over.wait(0.15):
                space.run("conntrack", "-F", check=False)

        def resize() -> None:
            for step in range(20):
                if over.wait(0.05):
                    return
                host_limits.BUCKETS.write_text(str((8192, 65536, 32768)[step % 3]))

        before = host_limits.BUCKETS.read_text()
        workers = [threading.Thread(target=each) for each in (flood, flush, resize)]
        for worker in workers:
            worker.start()
        try:
            readings = [full(space.path, BY, compiled=True) for _ in range(12)]
        finally:
            over.set()
            for worker in workers:
                worker.join()
            host_limits.BUCKETS.write_text(before)
        assert all(reading.broken == 0 for reading in readings)
        assert all(reading.read <= 400_000 for reading in readings)
        assert all(not reading.notes for reading in readings), [reading.notes for reading in readings]
        last = full(space.path, BY, compiled=True)
        assert last.read == int(space.run("conntrack", "-C"))


@pytest.mark.realkernel
def test_a_namespace_that_dies_in_mid_dump() -> None:
    """What had come is used, and nothing hangs: the socket keeps the namespace until it is closed."""
    import subprocess
    from uuid import uuid4

    from tests.realkernel import filled

    name = f"tablefull-{uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    with host_limits.limits(maximum=200_000):
        try:
            with Netlink(namespace=f"/run/netns/{name}") as link:
                filled.fill(link, 30_000)
            with Netlink(namespace=f"/run/netns/{name}") as link:
                batches = iter(Batches(link))
                count = len(next(batches))
                subprocess.run(["ip", "netns", "del", name], check=True)
                count += sum(len(batch) for batch in batches)
            assert 0 < count <= 30_000
        finally:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
