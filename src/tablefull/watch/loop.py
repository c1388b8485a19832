"""The watch: look, remember, foretell, judge, tell; again after some seconds, until it is asked to stop.

The trap: three clocks, and they part. The wall is set by people and NTP, boot time runs on while the host sleeps, and
monotonic time stands still then, as the timeouts of entries do. Rates and forecasts go by the last; where they part it
is told, once.
"""

import os
import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import NamedTuple, Protocol

from msgspec import Struct

from tablefull.facts.origin import Hole
from tablefull.live import netns, occupancy
from tablefull.live.proc import Proc
from tablefull.twin.forecast import BURST_LIFETIMES, Forecast, Sample, forecast
from tablefull.watch.alarms import Alarm, Alarms, Change, Facts, Settings
from tablefull.watch.history import COUNTED, History, Row

AHEAD_S = 86400.0  # how far a forecast looks
CLOCK_STEP_S, SLEEP_S = 2.0, 2.0  # what is told of clocks that part
LATE = 3.0  # looks that were left out before it is told
FIND_EVERY_S = 60.0  # namespaces
FORECAST_SHARE = 0.02  # of one core, at most, over all tables
LEAST_EVERY_S, MOST_EVERY_S = 1.0, 3600.0


class Times(NamedTuple):
    """One moment on the three clocks, in seconds."""

    wall_s: float
    boot_s: float
    awake_s: float


class Clock(Protocol):
    """What the loop knows of time."""

    def now(self) -> Times:
        """This moment."""

    def wait(self, stop: Event, seconds: float) -> None:
        """Return after so many seconds, or when ``stop`` is set."""


class HostClock:
    """The clocks of this machine."""

    def now(self) -> Times:
        """This moment."""
        return Times(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic())

    def wait(self, stop: Event, seconds: float) -> None:
        """Return after so many seconds, or when ``stop`` is set."""
        stop.wait(max(seconds, 0.0))


class Place(Struct, frozen=True):
    """A namespace to be watched: its key in the history, and the path by which it is entered (None: this one)."""

    key: str
    path: str | None


class Seen(Struct, frozen=True, kw_only=True):
    """One look at one table. None: unknown, and ``why`` says why the count or the limit is."""

    space: str
    wall_s: float
    count: int | None
    limit: int | None
    rate_per_s: float | None = None
    moved: dict[str, int] | None = None
    forecast: Forecast | None = None
    alarms: tuple[Alarm, ...] = ()
    why: str = ""
    source: str = ""


class Note(Struct, frozen=True):
    """Something about the watch itself, in one line."""

    wall_s: float
    text: str


class Told(Struct, frozen=True):
    """A change of an alarm, with the look that brought it."""

    change: Change
    seen: Seen


News = Seen | Note | Told


class _Table:
    """What is remembered of one table between two looks."""

    def __init__(self, place: Place, alarms: Alarms) -> None:
        self.place, self.alarms = place, alarms
        self.counters: occupancy.Counters | Hole = Hole("counters", "not looked at yet")
        self.count: int | None = None
        self.limit: int | None = None
        self.looked_s: float | None = None
        self.added_s: float | None = None
        self.why = ""
        self.foretold: Forecast | None = None
        self.foretold_s = 0.0
        self.foretold_at = 0
        self.lifetimes_s: dict[str, float] | None = None


class Watch:
    """``tell`` takes everything that is to be said. ``find`` lists the namespaces anew; None: ``places`` are all."""

    def __init__(
        self,
        proc: Proc,
        places: Sequence[Place],
        history: History,
        settings: Settings,
        tell: Callable[[News], None],
        *,
        find: Callable[[], Sequence[Place]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.proc, self.history, self.settings, self._tell, self._find = proc, history, settings, tell, find
        self.clock: Clock = clock or HostClock()
        boot = proc.text("proc/sys/kernel/random/boot_id", 100)
        self.boot = boot if isinstance(boot, str) else "unknown"
        self._tables: dict[str, _Table] = {}
        self._cost_s = 0.0
        self._found_s = self.clock.now().awake_s
        self._earlier()
        for place in places:
            self._add(place)

    def run(self, every_s: float, stop: Event) -> None:
        """Look every so many seconds until ``stop`` is set."""
        before = self.clock.now()
        due = before.awake_s
        while not stop.is_set():
            now = self.clock.now()
            self._clocks(before, now, due, every_s)
            before = now
            self._spaces(now)
            for key, table in list(self._tables.items()):
                if stop.is_set():
                    return
                if self._find is not None and not _there(table.place.path):
                    self._relist(now)  # one that ended is no table that cannot be seen
                if key in self._tables:
                    self.look(key)
            due += every_s
            awake = self.clock.now().awake_s
            if due < awake:
                due = awake + every_s - (awake - due) % every_s
            self.clock.wait(stop, due - awake)

    def look(self, key: str, *, keep: bool = True) -> Seen:
        """Look at one table now, remember and judge it, tell it. ``keep`` False: neither in the history nor told."""
        table = self._tables[key]
        now = self.clock.now()
        held = occupancy.look(self.proc, table.place.path)
        count = held.count if isinstance(held.count, int) else None
        limit = held.limit if isinstance(held.limit, int) else None
        why = _why(held)
        moved = occupancy.moved(table.counters, held.counters)
        passed = None if table.looked_s is None else now.awake_s - table.looked_s
        rate = None
        if passed and count is not None and table.count is not None:
            rate = (count - table.count) / passed
        if keep:
            self._changes(table, now, limit, why)
        row = self._row(table, now, held, moved)
        if row is not None and keep:
            table.added_s = now.awake_s
            self.history.add(row, table.alarms.memory)
        foretold = None if row is None else self._foretell(table, now, row, keep)
        facts = Facts(
            time_s=now.awake_s,
            wall_s=now.wall_s,
            count=count,
            limit=limit,
            lost=None if moved is None else moved.get("drop", 0) + moved.get("chain_toolong", 0),
            evicted=None if moved is None else moved.get("early_drop", 0),
            forecast=foretold,
            why_blind=why,
        )
        changes = table.alarms.step(facts)
        seen = Seen(
            space=key, wall_s=now.wall_s, count=count, limit=limit, rate_per_s=rate, moved=moved, forecast=foretold,
            alarms=tuple(table.alarms.up), why=why, source=held.source,
        )  # fmt: skip
        table.counters, table.count, table.looked_s = held.counters, count, now.awake_s
        if keep:
            for change in changes:
                self._tell(Told(change, seen))
            self._tell(seen)
        return seen

    def _add(self, place: Place) -> None:
        # Counted from here on: what an earlier boot's clock said is nothing to this one's.
        self._tables[place.key] = _Table(place, Alarms(self.settings, self.history.memory(place.key)))

    def _note(self, now: Times, text: str) -> None:
        self._tell(Note(now.wall_s, text))

    def _earlier(self) -> None:
        """Say where the history is of an earlier boot: forecasts begin anew then."""
        latest = [rows[-1] for key in self.history.spaces() if (rows := self.history.rows(key))]
        last = max(latest, key=lambda row: row.wall_s, default=None)
        if last is not None and last.boot != self.boot:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(last.wall_s))
            self._note(self.clock.now(), f"the history is of an earlier boot, until {when}; forecasts begin anew")

    def _clocks(self, before: Times, now: Times, due_s: float, every_s: float) -> None:
        asleep = (now.boot_s - before.boot_s) - (now.awake_s - before.awake_s)
        if asleep > SLEEP_S:
            self._note(now, f"the host slept for {_span(asleep)}; entries do not age meanwhile")
        jumped = (now.wall_s - before.wall_s) - (now.boot_s - before.boot_s)
        if abs(jumped) > CLOCK_STEP_S:
            way = "forward" if jumped > 0 else "back"
            self._note(now, f"the clock was set {way} by {_span(abs(jumped))}; rates and forecasts do not go by it")
        late = now.awake_s - due_s
        if late > LATE * every_s:
            self._note(now, f"nothing was looked at for {_span(late)}: this process was stopped or had no time to run")

    def _spaces(self, now: Times) -> None:
        if self._find is not None and now.awake_s - self._found_s >= FIND_EVERY_S:
            self._relist(now)

    def _relist(self, now: Times) -> None:
        assert self._find is not None
        self._found_s = now.awake_s
        places = {place.key: place for place in self._find()}
        for key in self._tables.keys() - places.keys():
            del self._tables[key]
            self._note(now, f"network namespace {key} is gone")
        for key, place in places.items():
            if key in self._tables:
                self._tables[key].place = place  # the process by which it is entered may be another one now
            else:
                self._add(place)
                self._note(now, f"network namespace {key} is new")

    def _changes(self, table: _Table, now: Times, limit: int | None, why: str) -> None:
        where = "" if table.place.path is None else f"{table.place.key}: "
        if why and why != table.why:
            self._note(now, f"{where}{why}")
        table.why = why
        if limit is None:
            return
        if table.limit is None and (rows := self.history.rows(table.place.key)):
            table.limit = rows[-1].limit
        if table.limit is not None and limit != table.limit:
            self._note(now, f"{where}nf_conntrack_max is {limit} now; it was {table.limit}")
            table.foretold = None
        table.limit = limit

    def _row(self, table: _Table, now: Times, held: occupancy.Occupancy, moved: dict[str, int] | None) -> Row | None:
        """This look as it is remembered; None where the count is unknown."""
        if not isinstance(held.count, int):
            return None
        key = table.place.key
        before = table.added_s if table.added_s is not None else self._last_of_this_boot(key, now)
        return Row(
            space=key,
            boot=self.boot,
            at_s=self.history.next_at(key, now.awake_s, before, now.wall_s),
            wall_s=now.wall_s,
            count=held.count,
            limit=held.limit if isinstance(held.limit, int) else None,
            step_s=0.0 if table.added_s is None else now.awake_s - table.added_s,
            high=held.count,
            created=occupancy.created(held.counters),
            moved={name: moved[name] for name in COUNTED if name in moved} if moved is not None else {},
        )

    def _last_of_this_boot(self, key: str, now: Times) -> float | None:
        """Where the monotonic clock stood at the last row, if that was in this boot: the wall tells how long ago."""
        rows = self.history.rows(key)
        if not rows or rows[-1].boot != self.boot:
            return None
        return now.awake_s - min(max(now.wall_s - rows[-1].wall_s, 0.0), now.awake_s)

    def _foretell(self, table: _Table, now: Times, row: Row, kept: bool) -> Forecast:
        """A forecast, not more often than it may cost; the last one meanwhile. ``kept``: the history has ``row``."""
        pause = len(self._tables) * self._cost_s / FORECAST_SHARE
        near = row.limit and abs(row.count - table.foretold_at) > 0.02 * row.limit
        if table.foretold is not None and now.awake_s - table.foretold_s < pause and not near:
            return table.foretold
        if table.lifetimes_s is None:
            names = [name for name, _ in BURST_LIFETIMES]
            table.lifetimes_s = occupancy.timeouts(self.proc, names, table.place.path)
        begun = time.process_time()
        samples = self.history.samples(table.place.key, self.boot)
        if not kept:
            samples.append(Sample(row.at_s, row.count, row.created, joined=bool(samples)))
        table.foretold = forecast(samples, row.limit, AHEAD_S, table.lifetimes_s)
        self._cost_s = time.process_time() - begun
        table.foretold_s, table.foretold_at = now.awake_s, row.count
        return table.foretold


def _there(path: str | None) -> bool:
    """Whether the file by which a namespace is entered is there still."""
    return path is None or os.path.exists(path)  # noqa: PTH110 - Path.exists raises where a folder is closed to us


def _why(held: occupancy.Occupancy) -> str:
    for value in (held.count, held.limit):
        if isinstance(value, Hole):
            return f"{value.what}: {value.why}; {value.remedy or occupancy.NOT_LOADED}"
    return ""


def all_places(proc: Proc, own: str) -> list[Place]:
    """Every namespace of the host, this one first."""
    deadline = time.monotonic() + 5.0
    others, _ = netns.found(proc, lambda: time.monotonic() < deadline)
    return [Place(own, None)] + [Place(space.key, netns.path_of(proc, space)) for space in others]


def is_root() -> bool:
    """Whether this process may write below /var/lib."""
    return os.geteuid() == 0


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
