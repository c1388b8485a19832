"""The compiled twin equals the plain one on every input: verdicts, tables, counters, logs. Kernel by kernel."""

import functools
import subprocess
import sys
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.realkernel import batch as batches
from tests.realkernel import compare, traffic
from tests.realkernel.batch import Batch

from tablefull.twin import Twin

KERNELS = ["6.18", "6.1", "5.15", "5.15.16", "5.4", "4.19", "4.14", "4.4", "3.2", "2.6.32"]
KINDS = [*traffic.KINDS, "errors", "mixed"]
CHOICES = {
    "nf_conntrack_max": [0, 1, 2, 7, 30, 60, 262144],
    "nf_conntrack_buckets": [1, 2, 16, 64, 65536],
    "nf_conntrack_acct": [0, 1],
    "nf_conntrack_tcp_loose": [0, 1],
    "nf_conntrack_tcp_be_liberal": [0, 1],
    "nf_conntrack_checksum": [0, 1],
    "nf_conntrack_udp_timeout": [0, 1, 30],
    "nf_conntrack_tcp_timeout_established": [1, 5, 432000],
    "nf_conntrack_tcp_max_retrans": [0, 3],
    "net.core.message_cost": [0, 5],
    "net.core.message_burst": [0, 1, 10],
}


def same(
    kernel: str, given: dict[str, int], batch: Batch, time_ns: np.ndarray, at_once: tuple[int, int] = (977, 4096)
) -> Twin:
    """Feed both, in different portions; everything that can be seen of them is equal."""
    twins = [Twin(kernel, given, engine=engine, seed=5) for engine in ("reference", "loops")]
    said = [compare.feed(twin, batch, time_ns, size) for twin, size in zip(twins, at_once, strict=True)]
    for one, other in zip(*said, strict=True):
        assert (one == other).all(), np.flatnonzero(one != other)[:5]
    plain, fast = twins
    last = int(time_ns[-1]) + 3_000_000_000 if len(time_ns) else 0
    for now_ns in (None, last):
        assert list(plain.lines(now_ns)) == list(fast.lines(now_ns))
    for twin in twins:
        twin.advance(last)
    assert (plain.count, plain.peak) == (fast.count, fast.peak)
    assert plain.counters() == fast.counters()
    assert plain.log() == fast.log()
    assert plain.entries() == fast.entries()
    for name, column in plain.columns().items():
        assert (column == fast.columns()[name]).all(), name
    return plain


@functools.cache
def some(kind: str, seed: int, count: int) -> Batch:
    """Packets of one kind of traffic; the generators are those that the kernel judges."""
    return batches.collect(traffic.mixed(seed, count) if kind == "mixed" else traffic.only(kind, seed, count))


@settings(max_examples=60)
@given(
    kernel=st.sampled_from(KERNELS),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 5),
    given_settings=st.fixed_dictionaries({}, optional={name: st.sampled_from(v) for name, v in CHOICES.items()}),
    gap_ms=st.sampled_from([0, 1, 40, 700, 30_000]),
)
def test_every_kernel_and_setting(
    kernel: str, kind: str, seed: int, given_settings: dict[str, int], gap_ms: int
) -> None:
    batch = some(kind, seed, 300)
    if kernel in ("4.4", "3.2", "2.6.32", "4.14", "4.19", "5.4"):
        given_settings = {name: value for name, value in given_settings.items() if "ignore" not in name}
    gaps = np.random.default_rng(seed).integers(0, gap_ms * 1_000_000 + 1, len(batch.start))
    same(kernel, given_settings, batch, 10**9 + np.cumsum(gaps))


@pytest.mark.parametrize(
    ("kernel", "given_settings"),
    [
        ("6.18", {}),
        ("6.18", {"nf_conntrack_max": 120, "nf_conntrack_buckets": 64, "nf_conntrack_acct": 1}),
        ("6.18", {"nf_conntrack_buckets": 1}),
        ("5.15.16", {"nf_conntrack_max": 400, "nf_conntrack_buckets": 4}),
        ("4.14", {"nf_conntrack_max": 60}),
        ("3.2", {"nf_conntrack_max": 60, "nf_conntrack_buckets": 16}),
    ],
)
def test_a_long_run(kernel: str, given_settings: dict[str, int]) -> None:
    batch = some("mixed", 11, 6000)
    gaps = np.random.default_rng(3).integers(0, 200_000_000, len(batch.start))
    twin = same(kernel, given_settings, batch, 10**9 + np.cumsum(gaps))
    if given_settings.get("nf_conntrack_max"):
        moved = twin.counters()
        assert moved["drop"] + moved["early_drop"] + moved["chain_toolong"] > 0


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=120), min_size=1, max_size=12), st.sampled_from(["6.18", "4.19"]), st.booleans())
def test_garbage(packets: list[bytes], kernel: str, dressed: bool) -> None:
    if dressed:  # as an IP header of either version, so that more is read of it
        packets = [bytes([(0x45, 0x60)[len(each) % 2]]) + each for each in packets]
    batch = batches.from_packets(packets, [0] * len(packets))
    same(kernel, {}, batch, np.full(len(packets), 10**9), (1, 50))


@settings(max_examples=120)
@given(st.sampled_from(KINDS), st.integers(0, 3), st.data())
def test_real_packets_with_a_few_bytes_changed_or_cut(kind: str, seed: int, data: st.DataObject) -> None:
    batch = some(kind, seed, 300)
    number = data.draw(st.integers(0, len(batch.start) - 1))
    packets = [bytearray(batch.packet(at)) for at in range(max(0, number - 8), number + 1)]
    chance = Random(data.draw(st.integers(0, 999)))
    for packet in packets:
        for _ in range(chance.randrange(3)):
            if packet:
                packet[chance.randrange(len(packet))] = chance.randrange(256)
        del packet[chance.randrange(len(packet) + 1) if chance.random() < 0.3 else len(packet) :]
    changed = batches.from_packets([bytes(packet) for packet in packets], [0] * len(packets))
    same("6.18", {"nf_conntrack_checksum": 0}, changed, np.full(len(packets), 10**9), (3, 50))


@pytest.mark.parametrize("kind", KINDS)
def test_packets_that_were_cut_when_captured(kind: str) -> None:
    """``wire`` is larger than what is there: both read what they have, and neither verifies a checksum."""
    batch = some(kind, 1, 300)
    for share in (0.2, 0.5, 0.8):
        captured = (batch.length * share).astype(np.int64)
        verdicts = []
        for engine in ("reference", "loops"):
            twin = Twin("6.18", engine=engine)
            found = twin.packets(np.full(len(captured), 10**9), batch.data, batch.start, captured, batch.length)
            verdicts.append((found.state.tolist(), found.direction.tolist(), list(twin.lines()), twin.counters()))
        assert verdicts[0] == verdicts[1]


_AT_THE_EDGE = """
import ctypes, mmap, sys
import numpy as np
from tests.realkernel import batch as batches, traffic
from tablefull.twin import Twin
page = mmap.PAGESIZE
room = mmap.mmap(-1, 4 * page)
base = ctypes.addressof(ctypes.c_char.from_buffer(room))
assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(base + 3 * page), page, 0) == 0
held = np.frombuffer(room, np.uint8)[: 3 * page]
twin = Twin("6.18")
batch = batches.collect(traffic.mixed(4, 3000))
for index in range(len(batch.start)):
    packet = batch.packet(index)
    for size in {len(packet), len(packet) * 2 // 3, len(packet) // 2, min(len(packet), 21)}:
        start = len(held) - size
        held[start:] = np.frombuffer(packet[:size], np.uint8)
        at, count = np.array([start]), np.array([size])
        twin.packets(np.array([10**9]), held, at, count, np.array([len(packet)]))
print("read no further")
"""


def test_no_byte_behind_the_packets_is_read() -> None:
    """The page behind is forbidden: one byte too far would kill the process."""
    done = subprocess.run([sys.executable, "-c", _AT_THE_EDGE], capture_output=True, text=True, check=False)
    assert done.stdout == "read no further\n", (done.returncode, done.stderr[-500:])


def test_a_table_grows_and_is_used_again() -> None:
    """More entries than rows at first, then the same rows anew: the array follows, and nothing is lost."""
    ports = np.arange(1024, 9024)
    for engine in ("reference", "loops"):
        twin = Twin("6.18", {"nf_conntrack_udp_timeout": 1}, engine=engine)
        for begin_s in (1, 100):
            packets = [_datagram(int(port)) for port in ports]
            batch = batches.from_packets(packets, [0] * len(packets))
            found = twin.packets(np.full(len(packets), begin_s * 10**9), batch.data, batch.start, batch.length)
            assert (found.state == 0).all()
            assert twin.count == len(list(twin.lines())) == len(ports)
        assert twin.peak == len(ports)


def _datagram(port: int) -> bytes:
    from tests.twin.both import HOSTS

    return HOSTS.link(0).udp(port, 53, b"x")
