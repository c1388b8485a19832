"""What an exporter shows: some of it read when it is asked, the dear part by a thread of its own at its own pace.

The trap: whoever asks decides how often, and may be two Prometheus servers and a curious colleague. So a scrape reads
three short files; namespaces, samples and forecasts are looked at no more often than their periods say, and are shown
with their age. What is too old is no longer shown: a look that hangs is not to be taken for a quiet table.
"""

import time
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from typing import Literal

from msgspec import Struct, field

from tablefull.facts.origin import Hole
from tablefull.live import export_spaces as spaces
from tablefull.live.export_composition import Composition, compose
from tablefull.live.export_facts import TableFacts, table_facts
from tablefull.live.netlink import askable
from tablefull.live.proc import Proc
from tablefull.live.table_size import LIMITS, number
from tablefull.twin.forecast import Forecast, Sample, forecast, thinned
from tablefull.wire.dimensions import Dimension

Part = Literal["table", "netns", "composition", "forecast"]
PARTS: tuple[Part, ...] = ("table", "netns", "composition", "forecast")
PLACES_S = 60.0  # between looks at every process
LOOK_S = 5.0  # that such a look may take
MOST_SAMPLES = 400
MOST_FORECAST = 2  # namespaces: the own one and the fullest
MOST_REMEMBERED = 20
TOO_OLD = 4  # periods
MOST_SHARE = 0.005  # of a core that a look may take on the whole: a dear one is taken less often
HORIZON_S = 86400.0


class Wanted(Struct, frozen=True, kw_only=True):
    """What to show and how often to look for it."""

    parts: frozenset[Part] = frozenset(PARTS)
    dimensions: tuple[Dimension, ...] = ()
    top: int = 10
    most_netns: int = 50
    most_composed: int = 3
    netns_s: float = 5.0
    composition_s: float = 60.0
    forecast_s: float = 60.0


class Exposed(Struct, kw_only=True):
    """One exposition. ``ages_s``: of the parts that are looked at now and then."""

    table: TableFacts | None = None
    counts: spaces.Counts | None = None
    composition: list[Composition] = field(default_factory=list)
    forecasts: dict[str, Forecast] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)
    ages_s: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)


class _Look(Struct):
    """One part that is looked at now and then. ``began_s`` None: never."""

    period_s: float
    take: Callable[[float], list[Hole]]
    began_s: float | None = None
    until_s: float = 0.0  # from then on it is too old
    due_s: float = 0.0
    cpu_s: float = 0.0
    holes: list[Hole] = field(default_factory=list)


class Exposing:
    """Looks at this host. ``clock``: of any clock that never jumps."""

    def __init__(self, proc: Proc, wanted: Wanted, clock: Callable[[], float] = time.monotonic) -> None:
        self._proc, self._wanted, self._clock = proc, wanted, clock
        self._lock, self._end = Lock(), Event()
        self._thread: Thread | None = None
        self._places: list[spaces.Place] = []
        self._place_holes: list[Hole] = []
        self._places_due_s = 0.0
        self._counts: spaces.Counts | None = None
        self._composition: list[Composition] = []
        self._forecasts: dict[str, Forecast] = {}
        self._past: dict[tuple[str, int], list[Sample]] = {}
        self._ask = self._may_ask()
        looks = {
            "netns": _Look(wanted.netns_s, self._look_netns),
            "composition": _Look(wanted.composition_s, self._look_composition),
            "forecast": _Look(wanted.forecast_s, self._look_forecast),
        }
        needed = set(wanted.parts) | ({"netns"} if wanted.parts & {"composition", "forecast"} else set())
        self._looks = {name: look for name, look in looks.items() if name in needed}

    def look(self) -> None:
        """Look at what is due, in this thread; a look that fails is a hole and no end."""
        for name, look in self._looks.items():
            now = self._clock()
            if now < look.due_s:
                continue
            spent = time.thread_time()
            try:
                holes = look.take(now)
            except Exception as error:  # noqa: BLE001 - the other looks go on, and this one is shown as failed
                holes = [Hole(name, f"looking for it failed: {type(error).__name__}")]
            spent = time.thread_time() - spent
            period_s = max(look.period_s, spent / MOST_SHARE)
            with self._lock:
                look.holes, look.began_s = holes, now
                look.due_s, look.until_s = now + period_s, now + TOO_OLD * period_s
                look.cpu_s += spent

    def start(self) -> None:
        """Go on looking in a thread."""
        self._thread = Thread(target=self._run, name="looks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a look that is under way is not waited for longer than a second."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _run(self) -> None:
        while self._looks and not self._end.wait(max(0.05, self.due_s() - self._clock())):
            self.look()

    def due_s(self) -> float:
        """When something is to be looked at next."""
        with self._lock:
            return min(look.due_s for look in self._looks.values())

    def exposed(self) -> Exposed:
        """What is known at this moment."""
        result = Exposed()
        if "table" in self._wanted.parts:
            result.table = table_facts(self._proc, self._ask)
            result.holes += result.table.holes
        now = self._clock()
        with self._lock:
            for name, look in self._looks.items():
                if name not in self._wanted.parts:
                    continue
                result.cpu_s[name] = look.cpu_s
                if look.began_s is None:
                    result.holes.append(Hole(name, "it was not looked for yet"))
                    continue
                result.ages_s[name] = max(0.0, now - look.began_s)
                if now > look.until_s:
                    result.holes.append(Hole(name, "the last look is too long ago"))
                    continue
                result.holes += look.holes
                if name == "netns":
                    result.counts = self._counts
                elif name == "composition":
                    result.composition = self._composition
                else:
                    result.forecasts = self._forecasts
        return result

    def _may_ask(self) -> bool:
        try:
            askable(self._proc)
        except Exception:  # noqa: BLE001 - whatever hinders it: then nothing is asked
            return False
        return True

    def _look_netns(self, now: float) -> list[Hole]:
        if now >= self._places_due_s or spaces.gone(self._proc, self._places):
            began = time.monotonic()
            self._places, self._place_holes = spaces.places(self._proc, lambda: time.monotonic() < began + LOOK_S)
            self._places_due_s = now + PLACES_S
        counts = spaces.count(self._proc, self._places, self._wanted.most_netns, self._ask)
        limit = number(self._proc, LIMITS)
        counts.limit = None if isinstance(limit, Hole) else limit
        self._remember(now, counts)
        with self._lock:
            self._counts = counts
        return [*self._place_holes, *counts.holes]

    def _remember(self, now: float, counts: spaces.Counts) -> None:
        """Counts of the largest namespaces, for the forecast; of those that are gone nothing is kept."""
        past: dict[tuple[str, int], list[Sample]] = {}
        for one in counts.shown[:MOST_REMEMBERED]:
            name = (one.place.key, one.place.number)
            samples = self._past.get(name, [])
            samples.append(Sample(now, one.count))
            past[name] = thinned(samples) if len(samples) > MOST_SAMPLES else samples
            if len(past[name]) > MOST_SAMPLES:
                past[name] = past[name][len(past[name]) - MOST_SAMPLES :]
        self._past = past

    def _look_composition(self, now: float) -> list[Hole]:
        counts = self._counts
        found: list[Composition] = []
        holes: list[Hole] = []
        for one in _largest(counts, self._wanted.most_composed):
            place = one.place
            if spaces.gone(self._proc, [place]):
                continue
            path = None if place.own else place.path or self._proc.path(f"{place.folder}/ns/net")
            made, refused = compose(
                self._proc, place.key, path, one.count, counts.total if counts else 0, self._wanted.dimensions,
                self._wanted.top,
            )  # fmt: skip
            found += made
            holes += refused
        with self._lock:
            self._composition = found
        return holes

    def _look_forecast(self, now: float) -> list[Hole]:
        counts = self._counts
        forecasts = {}
        for one in _largest(counts, MOST_FORECAST):
            samples = self._past.get((one.place.key, one.place.number), [])
            forecasts[one.place.key] = forecast(samples, counts.limit if counts else None, HORIZON_S)
        with self._lock:
            self._forecasts = forecasts
        return [
            Hole(f"time to full of {key}", _why(told)) for key, told in forecasts.items() if told.kind == "unknown"
        ]  # fmt: skip


def _why(told: Forecast) -> str:
    """Why there is none, in words that stay the same while numbers in them move."""
    return "too few samples so far" if "samples" in told.why else told.why


def _largest(counts: spaces.Counts | None, most: int) -> Sequence[spaces.Counted]:
    """The own namespace and the largest others."""
    return [] if counts is None else counts.shown[:most]
