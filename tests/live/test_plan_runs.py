"""Peaks, rates and lifetimes of evidence that was counted by hand: as events and as packets."""

import pytest
from tests.live.plan_events import evidence, steady
from tests.live.replay_captures import at, query

from tablefull.errors import UsageError
from tablefull.live import plan_runs, replay
from tablefull.live.plan_values import NOTHING, Change
from tablefull.live.replay_events import Recording
from tablefull.twin.workload import Workload
from tablefull.twin.workload_spec import parse


def test_steady_events() -> None:
    """One a second for 30 s: 30 at every moment; halved timeouts, half of them; below the peak something is refused."""
    runs = evidence(steady())
    found = plan_runs.study(runs, "by hand", "events", 29)
    base = found.base
    assert (base.peak, base.end, base.middle, base.before) == (30, 30, 30, 0)
    assert base.refused
    law = base.little
    assert law is not None
    assert law.rate_per_s == pytest.approx(1.0, rel=0.02)
    assert law.lifetime_s == pytest.approx(30, rel=0.01)
    assert law.product == pytest.approx(law.mean, rel=0.02)
    (half,) = runs.run([Change(id="shorten-timeouts", label="", sysctls={"nf_conntrack_udp_timeout": "15"})], 15)
    assert (half.peak, half.refused) == (15, 0)
    (idle,) = found.idle
    assert (idle.name, idle.timeout_s, idle.entries) == ("nf_conntrack_udp_timeout", 30, 30)
    assert sorted(idle.idle_s) == list(range(30))


def test_the_peak_as_a_limit_refuses_nothing() -> None:
    runs = evidence(steady())
    assert runs.run([NOTHING], 30)[0].refused == 0


def test_what_events_leave_out() -> None:
    runs = evidence(sorted(steady() + steady(dport=123, src="10.0.0.2")))
    for change, peak in (
        (Change(id="notrack", label="", port="udp/53"), 30),
        (Change(id="notrack", label="", expression="udp port 123"), 30),
        (Change(id="x", label="", source="10.0.0.2"), 30),
        (Change(id="notrack", label="", expression="udp port 9"), 60),
    ):
        assert runs.run([change], None)[0].peak == peak
    with pytest.raises(UsageError, match="give a capture"):
        runs.run([Change(id="notrack", label="", expression="greater 100")], None)


def test_no_event_at_all() -> None:
    found = plan_runs.study(plan_runs.Events(Recording("x"), "6.18", {}), "x", "events", 10)
    assert (found.base.peak, found.base.little, found.idle) == (0, None, [])


def test_packets() -> None:
    """A query a second to a silent server: 30 of 30 s each, and those expired that nobody collected yet."""

    def opened() -> tuple[list[replay.Piece], int]:
        import numpy as np

        packets = at(*((second, query(1024 + second)) for second in range(240)))
        data = np.frombuffer(b"".join(packet for _, packet in packets), np.uint8)
        sizes = np.array([len(packet) for _, packet in packets], np.int64)
        times = np.array([when for when, _ in packets], np.int64)
        return [replay.Piece(times, data, np.cumsum(sizes) - sizes, sizes)], 240_000_000_000

    runs = plan_runs.Packets(opened, "6.18", {"nf_conntrack_max": "5"})
    found = plan_runs.study(runs, "x", "packets", None)
    base = found.base
    assert 30 <= base.peak <= 90  # the collector comes once a minute at the latest
    law = base.little
    assert law is not None
    assert law.rate_per_s == pytest.approx(1, rel=0.02)
    assert 30 <= law.lifetime_s <= 90
    assert law.product == pytest.approx(law.mean, rel=0.15)
    limited = runs.run([NOTHING], base.peak)[0]
    assert (limited.refused, limited.evicted) == (0, 0)
    assert runs.run([NOTHING], base.peak // 2)[0].refused or runs.run([NOTHING], base.peak // 2)[0].evicted
    assert runs.run([Change(id="notrack", label="", port="udp/53")], None)[0].peak == 0


def test_made_up_load_obeys_the_law() -> None:
    """40 a second, closed at once and then 120 s in TIME_WAIT: 4800 and what waits for the collector."""
    traffic = Workload([parse("http:rate=40")], duration_s=600)
    runs = plan_runs.Packets(lambda: (replay.of_workload(traffic), traffic.end_ns), "6.18", {})
    base = plan_runs.study(runs, "x", "workload", None).base
    assert 4800 * 0.95 < base.peak < 40 * 180 * 1.05
    law = base.little
    assert law is not None
    assert law.rate_per_s == pytest.approx(40, rel=0.05)
    assert 120 <= law.lifetime_s <= 181
    assert law.product == pytest.approx(law.mean, rel=0.1)
    (half,) = runs.run([Change(id="x", label="", sysctls={"nf_conntrack_tcp_timeout_time_wait": "30"})], None)
    assert half.peak < base.peak / 2
