"""The loop on clocks and a /proc that are made for it."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from tablefull.live.proc import Proc
from tablefull.watch.alarms import Settings
from tablefull.watch.history import History
from tablefull.watch.loop import News, Note, Place, Seen, Times, Told, Watch

HEADER = (
    "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error "
    " expect_new expect_create expect_delete search_restart"
)


class Host:
    """Files of /proc, and three clocks that go on when somebody waits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wall_s, self.boot_s, self.awake_s = 1_700_000_000.0, 5000.0, 4000.0
        self.waits = 0
        self.before_wait: Callable[[int], None] = lambda _: None
        self.rounds = 0
        self.boot("boot-1")
        self.set(100, 1000)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def boot(self, boot_id: str) -> None:
        self.write("proc/sys/kernel/random/boot_id", boot_id + "\n")

    def set(self, count: int, limit: int, drop: int = 0) -> None:
        self.write("proc/sys/net/netfilter/nf_conntrack_count", f"{count}\n")
        self.write("proc/sys/net/netfilter/nf_conntrack_max", f"{limit}\n")
        values = [count, 0, 0, 0, 0, 0, 0, 0, 0, 0, drop & 0xFFFFFFFF, 0, 0, 0, 0, 0, 0]
        self.write("proc/net/stat/nf_conntrack", HEADER + "\n" + " ".join(f"{value:08x}" for value in values) + "\n")

    def now(self) -> Times:
        return Times(self.wall_s, self.boot_s, self.awake_s)

    def wait(self, stop: Event, seconds: float) -> None:
        self.waits += 1
        self.pass_by(seconds)
        self.before_wait(self.waits)
        if self.waits >= self.rounds:
            stop.set()

    def pass_by(self, seconds: float) -> None:
        self.wall_s += seconds
        self.boot_s += seconds
        self.awake_s += seconds


class Run:
    def __init__(self, host: Host, file: Path) -> None:
        self.host, self.file, self.news = host, file, list[News]()

    def go(self, rounds: int, at: Callable[[int], None] = lambda _: None, every_s: float = 10.0) -> list[News]:
        self.news = []
        history = History(self.file, lambda line: self.news.append(Note(0, line)))
        watch = Watch(
            Proc(self.host.root), [Place("this one", None)], history, Settings(), self.news.append, clock=self.host
        )
        self.host.waits, self.host.rounds, self.host.before_wait = 0, rounds, at
        watch.run(every_s, Event())
        history.close()
        return self.news

    @property
    def notes(self) -> list[str]:
        return [one.text for one in self.news if isinstance(one, Note)]

    @property
    def looks(self) -> list[Seen]:
        return [one for one in self.news if isinstance(one, Seen)]

    @property
    def changes(self) -> list[tuple[str, str]]:
        return [(one.change.name, one.change.event) for one in self.news if isinstance(one, Told)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(Host(tmp_path / "root"), tmp_path / "history.db")


def test_it_looks_every_so_often_and_says_what_it_saw(run: Run) -> None:
    run.go(5, lambda wait: run.host.set(100 + 10 * wait, 1000))
    assert [(look.count, look.rate_per_s) for look in run.looks] == [
        (100, None), (110, 1.0), (120, 1.0), (130, 1.0), (140, 1.0),
    ]  # fmt: skip
    assert [look.wall_s - 1_700_000_000 for look in run.looks] == [0, 10, 20, 30, 40]
    assert run.notes == []


def test_a_clock_that_is_set_is_told_once_and_no_rate_goes_by_it(run: Run) -> None:
    def jump(wait: int) -> None:
        run.host.set(100 + 10 * wait, 1000)
        if wait == 2:
            run.host.wall_s -= 86400

    run.go(5, jump)
    assert run.notes == ["the clock was set back by 24 h; rates and forecasts do not go by it"]
    assert {look.rate_per_s for look in run.looks[1:]} == {1.0}


def test_a_host_that_slept(run: Run) -> None:
    def sleep(wait: int) -> None:
        run.host.set(100 + 10 * wait, 1000)
        if wait == 2:
            run.host.wall_s += 7200
            run.host.boot_s += 7200

    run.go(5, sleep)
    assert run.notes == ["the host slept for 2 h; entries do not age meanwhile"]
    assert run.looks[-1].rate_per_s == 1.0


def test_a_process_that_was_stopped(run: Run) -> None:
    def stopped(wait: int) -> None:
        if wait == 2:
            run.host.pass_by(300)

    run.go(4, stopped)
    assert run.notes == ["nothing was looked at for 5 min: this process was stopped or had no time to run"]
    # No catching up: the looks that were left out stay out.
    assert len(run.looks) == 4


def test_a_limit_that_changes_is_told_also_over_a_restart(run: Run) -> None:
    run.go(3, lambda wait: run.host.set(100, 1000 if wait < 2 else 2000))
    assert run.notes == ["nf_conntrack_max is 2000 now; it was 1000"]
    run.host.set(100, 3000)
    run.go(2)
    assert run.notes == ["nf_conntrack_max is 3000 now; it was 2000"]


def test_another_boot_is_told_and_the_forecast_begins_anew(run: Run) -> None:
    run.go(10)
    assert run.looks[-1].forecast is not None
    assert run.looks[-1].forecast.samples == 10
    run.host.boot("boot-2")
    run.host.awake_s = run.host.boot_s = 30.0
    run.go(3)
    assert len(run.notes) == 1
    assert run.notes[0].startswith("the history is of an earlier boot, until ")
    assert run.looks[-1].forecast is not None
    assert run.looks[-1].forecast.samples == 3


def test_a_restart_in_the_same_boot_goes_on(run: Run) -> None:
    run.go(10)
    run.host.pass_by(60)
    run.go(3)
    assert run.notes == []
    told = run.looks[-1].forecast
    assert told is not None
    assert told.samples == 13
    # 9 steps of 10 s; the last wait of the first run and the pause (70 s); two steps.
    assert told.span_s == pytest.approx(180, abs=1)


def test_drops_are_counted_over_the_wrap_of_their_32_bits(run: Run) -> None:
    run.host.set(100, 1000, drop=0xFFFFFFFE)
    run.go(4, lambda wait: run.host.set(100, 1000, drop=0xFFFFFFFE + 3 * wait))
    assert [look.moved["drop"] if look.moved else None for look in run.looks] == [None, 3, 3, 3]
    assert run.changes == [("drops", "raised")]


def test_counters_that_begin_anew_are_unknown_for_one_look(run: Run) -> None:
    run.host.set(100, 1000, drop=500)
    run.go(4, lambda wait: run.host.set(100, 1000, drop=500 if wait < 2 else 7))
    assert [look.moved for look in run.looks][2] is None
    assert run.changes == []


def test_a_table_that_cannot_be_seen_is_told_once_and_becomes_an_alarm(run: Run) -> None:
    def vanish(wait: int) -> None:
        if wait == 1:
            (run.host.root / "proc/sys/net/netfilter/nf_conntrack_count").unlink()
        if wait == 6:
            run.host.set(100, 1000)

    run.go(9, vanish)
    assert len(run.notes) == 1
    assert "nf_conntrack_count: there is no such file" in run.notes[0]
    assert run.changes == [("blind", "raised"), ("blind", "cleared")]
    assert [look.count for look in run.looks] == [100, None, None, None, None, None, 100, 100, 100]


def test_an_alarm_is_not_raised_again_by_a_restart(run: Run) -> None:
    run.host.set(990, 1000)
    run.go(2)
    assert run.changes == [("full", "raised")]
    run.go(2)
    assert run.changes == []
    assert [alarm.name for alarm in run.looks[-1].alarms] == ["full"]


def test_a_fill_is_foretold_and_alarmed(run: Run) -> None:
    run.go(40, lambda wait: run.host.set(100_000 + 700 * wait, 300_000))
    assert ("fills", "raised") in run.changes
    told = run.looks[-1].forecast
    assert told is not None
    assert told.median_s == pytest.approx((300_000 - 127_300) / 70, rel=0.2)


def test_namespaces_that_come_and_go_are_told(run: Run) -> None:
    """One that ended is gone at the next look, not a table that cannot be seen for as long as nobody lists them."""
    blue, green = run.host.root / "blue", run.host.root / "green"
    blue.touch()
    green.touch()

    def find() -> list[Place]:
        there = [Place(path.name, str(path)) for path in (blue, green) if path.exists()]
        return [Place("this one", None), *there]

    history = History(run.file, lambda line: run.news.append(Note(0, line)))
    places = [Place("this one", None), Place("blue", str(blue))]
    watch = Watch(Proc(run.host.root), places, history, Settings(), run.news.append, clock=run.host, find=find)
    run.host.rounds, run.host.before_wait = 15, lambda wait: blue.unlink() if wait == 2 else None
    watch.run(10.0, Event())
    history.close()
    assert "network namespace blue is gone" in run.notes
    assert "network namespace green is new" in run.notes
    assert len([seen for seen in run.looks if seen.space == "blue"]) == 2


def test_a_namespace_that_is_entered_by_another_process_now_is_the_same(run: Run) -> None:
    first, second = run.host.root / "1", run.host.root / "2"
    first.touch()
    second.touch()
    history = History(run.file, lambda line: run.news.append(Note(0, line)))
    watch = Watch(
        Proc(run.host.root), [Place("web", str(first))], history, Settings(), run.news.append, clock=run.host,
        find=lambda: [Place("web", str(first if first.exists() else second))],
    )  # fmt: skip
    run.host.rounds, run.host.before_wait = 5, lambda wait: first.unlink() if wait == 2 else None
    watch.run(10.0, Event())
    history.close()
    assert run.looks[0].why.startswith(str(first))
    assert run.looks[-1].why.startswith(str(second))
    assert not any("gone" in note for note in run.notes)
