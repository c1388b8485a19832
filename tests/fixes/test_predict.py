"""What a step will do to a table that is given, by hand counts."""

from pathlib import Path

import msgspec
import pytest

from tablefull.facts.origin import Hole
from tablefull.fixes import predict
from tablefull.fixes.act import Act, Command, Commanded, HostPlan, OwnFile, Predicted, SetValue, Step
from tablefull.fixes.live_host import LiveHost, Sample
from tablefull.fixes.predict import Table
from tablefull.live.occupancy import Occupancy
from tablefull.wire import ctnetlink as at

PLACE = "/proc/sys/net/netfilter/"
FULL = Table(total=1000, limit=1000, refused_per_s=50.0, entry_bytes=256)
QUIET = Table(total=400, limit=1000, refused_per_s=0.0, entry_bytes=256)


def step(*acts: Act, predicted: Predicted | None = None) -> Step:
    return Step(title="t", before="b", after="a", scope="netns", acts=acts, risk="r", undo="u", predicted=predicted)


def entry(proto: int, state: int, remaining: int, status: int = 0) -> at.Row:
    row = [0] * at.ROW_WORDS
    row[at.R_PROTO], row[at.R_STATE], row[at.R_TIMEOUT], row[at.R_STATUS] = proto, state, remaining, status
    return tuple(row)


def host(tmp_path: Path, *rows: at.Row, total: int | None = None) -> LiveHost:
    sample = Sample(rows, len(rows) if total is None else total, 1000, True, "given")
    return LiveHost(tmp_path, sample=sample if rows else None)


def raised(after: int) -> Step:
    return step(SetValue(PLACE + "nf_conntrack_max", "1000", str(after)))


def test_a_higher_limit_of_a_full_table_refuses_nobody_until_it_is_full_again(tmp_path: Path) -> None:
    found = predict.effect(raised(4000), host(tmp_path), FULL)
    assert (found.entries_before, found.entries_after) == (1000, None)
    assert (found.refused_per_s_before, found.refused_per_s_after) == (50.0, 0.0)
    assert "lasts 60 s" in found.how  # 3000 entries at 50 a second


def test_a_higher_limit_where_nothing_is_refused_changes_nothing(tmp_path: Path) -> None:
    found = predict.effect(raised(4000), host(tmp_path), QUIET)
    assert (found.entries_after, found.refused_per_s_after) == (400, 0.0)


def test_unseen_is_not_zero(tmp_path: Path) -> None:
    found = predict.effect(raised(4000), host(tmp_path), Table(400, 1000, None, None))
    assert found.refused_per_s_after is None
    assert "could not be seen" in found.how


def test_a_limit_below_what_is_there(tmp_path: Path) -> None:
    assert "refuses until" in predict.effect(raised(300), host(tmp_path), QUIET).how


def test_a_shorter_timeout_by_how_long_entries_have_been_silent(tmp_path: Path) -> None:
    """Four established entries of 432000 s: silent for 0, 10, 7200 and 100000 s; one is of another state."""
    rows = [entry(6, 3, 432000 - silent) for silent in (0, 10, 7200, 100000)] + [entry(6, 7, 60)]
    act = SetValue(PLACE + "nf_conntrack_tcp_timeout_established", "432000", "3600")
    found = predict.effect(step(act), host(tmp_path, *rows), FULL)
    assert (found.entries_before, found.entries_after) == (1000, 600)  # two of five have been silent for longer
    assert found.refused_per_s_after == 0.0
    assert found.memory_bytes == -400 * 256
    assert "2 of 5 entries read (4 live by it)" in found.how


def test_no_entry_to_be_read_is_unknown(tmp_path: Path) -> None:
    act = SetValue(PLACE + "nf_conntrack_udp_timeout", "30", "10")
    found = predict.effect(step(act), host(tmp_path), FULL)
    assert found.entries_after is None
    assert "no entry" in found.how


def test_what_its_maker_counted_stays_and_the_moment_is_added(tmp_path: Path) -> None:
    given = Predicted(how="counted", entries_before=1000, entries_after=700, protection_lost=("rule 3",))
    found = predict.effect(step(predicted=given), host(tmp_path), FULL)
    assert (found.entries_before, found.entries_after, found.protection_lost) == (1000, 700, ("rule 3",))
    assert (found.refused_per_s_before, found.refused_per_s_after) == (50.0, 0.0)
    memory = Predicted(how="a pointer a bucket", memory_bytes=8192)
    found = predict.effect(msgspec.structs.replace(raised(4000), predicted=memory), host(tmp_path), FULL)
    assert found.memory_bytes == 8192
    assert found.refused_per_s_after == 0.0
    assert found.how.startswith("a pointer a bucket; ")


def test_steps_are_counted_one_after_the_other(tmp_path: Path) -> None:
    first, second = (step(predicted=Predicted(how="x", entries_before=1000, entries_after=n)) for n in (900, 950))
    plan = HostPlan(fix="f", host="h", title="t", steps=(first, second))
    effects = [one.predicted for one in predict.with_effects(plan, host(tmp_path), FULL).steps]
    assert [(one.entries_before, one.entries_after) for one in effects if one] == [(1000, 900), (900, 850)]


@pytest.mark.parametrize(
    "act",
    [
        SetValue(PLACE + "nf_conntrack_tcp_loose", "1", "0"),
        SetValue("/proc/sys/net/bridge/bridge-nf-call-iptables", "1", "0"),
        SetValue("/proc/sys/net/core/something", "1", "0"),
        OwnFile("/etc/x", ""),
        Commanded("rules", (), (), Command(("true",))),
    ],
)
def test_what_cannot_be_told_is_unknown_with_its_reason(tmp_path: Path, act: Act) -> None:
    found = predict.effect(step(act), host(tmp_path), FULL)
    assert found.entries_after is None
    assert found.refused_per_s_after is None
    assert found.how


def test_only_what_is_done_now_is_forecast(tmp_path: Path) -> None:
    later = msgspec.structs.replace(raised(4000), when="confirmed")
    plan = HostPlan(fix="f", host="h", title="t", steps=(later,))
    assert predict.with_effects(plan, host(tmp_path), FULL) == plan


def test_two_looks_make_a_rate() -> None:
    first = Occupancy(900, 1000, ({"drop": 0xFFFFFFF0},))
    assert predict.measured(first, Occupancy(950, 1000, ({"drop": 4},)), 2.0, 256) == Table(950, 1000, 10.0, 256)
    hole = Hole("x", "y")
    assert predict.measured(first, Occupancy(hole, hole, hole), 2.0, None) == Table(None, None, None, None)


def test_a_recorded_tree_is_looked_at_once(tmp_path: Path) -> None:
    folder = tmp_path / PLACE.strip("/")
    folder.mkdir(parents=True)
    (folder / "nf_conntrack_count").write_text("7\n")
    (folder / "nf_conntrack_max").write_text("9\n")
    table = predict.Watched(host(tmp_path)).table()
    assert (table.total, table.limit, table.refused_per_s) == (7, 9, None)
