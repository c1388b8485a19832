"""The stream: in order, bounded, repeatable, and right in the eyes of tcpdump."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from packet_bytes import pcap, read

from tablefull.errors import UsageError
from tablefull.twin import workload
from tablefull.twin.workload import BLOCK, Workload
from tablefull.twin.workload_frames import Block
from tablefull.twin.workload_spec import parse

MIX = (
    "http:rate=300,requests=3,loss=2%,keepalive=1s,lifetime=lognormal(2s,1)",
    "dns:rate=200,answered=80%,timeout=1s",
    "udpstream:rate=5,lifetime=pareto(1s,1.2)",
    "idle:count=200,ramp=3s,probe=2s,family=6",
    "synflood:rate=100,start=2s,duration=2s",
    "ping:rate=20,family=6",
)


def blocks(*texts: str, duration_s: float | None = 8.0, seed: int = 0) -> list[Block]:
    return list(Workload([parse(text) for text in texts], seed=seed, duration_s=duration_s).blocks())


def test_everything_is_in_order_and_right() -> None:
    found = list(read(blocks(*MIX)))
    assert len(found) > 10_000
    assert all(one.right for one in found)
    times = [one.time_ns for one in found]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] < 8 * 10**9


def test_a_seed_repeats_itself_and_another_does_not() -> None:
    first, same, other = blocks(*MIX), blocks(*MIX), blocks(*MIX, seed=1)
    assert all(
        np.array_equal(a.data, b.data) and np.array_equal(a.time_ns, b.time_ns)
        for a, b in zip(first, same, strict=True)
    )
    assert not np.array_equal(first[0].time_ns[:1000], other[0].time_ns[:1000])


def test_small_windows_make_the_same_kinds_of_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ("http:rate=100,arrival=uniform,keepalive=1s", "dns:rate=100,arrival=uniform,answered=0,timeout=1s")
    whole = list(read(blocks(*texts)))
    monkeypatch.setattr(workload, "WINDOW", 50)
    cut = blocks(*texts)
    assert len(cut) > 100
    assert sorted(read(cut)) == sorted(whole)


def test_a_burst_is_handed_out_in_pieces() -> None:
    found = blocks("udpflood:rate=300k,arrival=burst,burst=400k,size=0", duration_s=1.0)
    assert sum(len(block.start) for block in found) == 400_000
    assert max(len(block.start) for block in found) <= BLOCK
    times = np.concatenate([block.time_ns for block in found])
    assert (np.diff(times) >= 0).all()


def test_more_packets_of_one_time_than_a_block_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "BLOCK", 64)
    found = blocks("idle:count=100,ramp=1ms,probe=2s,rtt=0,arrival=burst,burst=1000", duration_s=1.0)
    assert max(len(block.start) for block in found) <= 64
    assert len(list(read(found))) == 300


def test_the_duration_is_the_last_ones_own_or_a_minute() -> None:
    assert Workload([parse("http:duration=5s"), parse("dns:start=3s,duration=4s")]).end_ns == 7 * 10**9
    assert Workload([parse("http")]).end_ns == 60 * 10**9
    assert Workload([parse("http:duration=5s")], duration_s=2).end_ns == 2 * 10**9


def test_what_cannot_be() -> None:
    with pytest.raises(UsageError, match="1 to 16"):
        Workload([])
    with pytest.raises(UsageError, match="more than 0"):
        Workload([parse("http")], duration_s=0)


@pytest.mark.parametrize("text", ["udpstream:rate=1,lifetime=pareto(1s,0.5)", "http:rate=1,requests=1M,think=0"])
def test_extremes_end(text: str) -> None:
    assert sum(len(block.start) for block in Workload([parse(text)], duration_s=3.0).blocks()) > 0


def test_tcpdump_finds_no_wrong_checksum(program: Callable[[str], str]) -> None:
    done = subprocess.run(
        [program("tcpdump"), "-n", "-vv", "-r", "-"],
        input=pcap(blocks(*MIX, duration_s=2.0)),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    text = done.stdout.decode()
    assert len(re.findall(r"\(correct\)", text)) > 1000
    assert not re.findall(r"incorrect|bad cksum|bad udp|truncated|wrong icmp", text)
