"""Everything that a live view shows of one table, looked at in threads: each part at its own pace, none waiting for
another.

The trap: a view is left open for days on a host that is in trouble. So every part has a share of one core that it may
cost: one that turns out dear (a dump that has to pass a million entries of other namespaces) is looked at less often,
and what it shows has its age. A part that fails is a line of its own; the others go on.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from math import ceil
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Literal

from msgspec import Struct

from tablefull.errors import KernelRefused, ParseError, Unreadable
from tablefull.facts.origin import Hole
from tablefull.kernel.identity import parse_release
from tablefull.live import export_spaces, occupancy, own_addresses, table
from tablefull.live.kmsg_tail import KernelLine, Tail
from tablefull.live.netlink import askable
from tablefull.live.proc import Proc
from tablefull.live.pulse import Frame, Point, Pulse
from tablefull.twin.forecast import BURST_LIFETIMES, Forecast, Sample, forecast, thinned
from tablefull.watch.judge import Answer, Judge, Judged
from tablefull.watch.loop import AHEAD_S, Clock, HostClock, Place

Part = Literal["frame", "forecast", "composition", "spaces", "kernel", "judged", "wrote", "note"]
MOST_LINES, MOST_SAMPLES, MOST_SPACES = 500, 400, 200
PLACES_S = 30.0  # between looks at every process
LOOK_S = 2.0  # that such a look may take
OWN_ADDRESSES_S = 60.0


class Pace(Struct, frozen=True):
    """At least so long between two looks, and longer where a look costs more than ``share`` of one core by that."""

    every_s: float
    share: float

    def pause_s(self, cost_s: float) -> float:
        """Until the next look, after one that took so much CPU."""
        return max(self.every_s, cost_s / self.share)


PACES: dict[str, Pace] = {
    "composition": Pace(5.0, 0.006),
    "forecast": Pace(5.0, 0.004),
    "spaces": Pace(3.0, 0.006),
    "judged": Pace(30.0, 0.01),
}


class SpaceSeen(Struct, frozen=True):
    """A namespace beside others. ``lost_per_s``: packets refused; None where it is not told, or at the first look."""

    counted: export_spaces.Counted
    lost_per_s: float | None


class Gauge:
    """Looks at the table of ``place``. ``tell`` is called from its threads, with the part that is new."""

    def __init__(
        self,
        proc: Proc,
        place: Place,
        tell: Callable[[Part], None],
        every_s: float = 1.0,
        *,
        clock: Clock | None = None,
        judging: bool = True,
    ) -> None:
        self.proc, self.place, self._tell, self.every_s, self._judging = proc, place, tell, every_s, judging
        self._clock: Clock = clock or HostClock()
        release = proc.text("proc/sys/kernel/osrelease", 300)
        self.kernel = release if isinstance(release, str) else ""
        name = proc.text("proc/sys/kernel/hostname", 300)
        self.host = name if isinstance(name, str) else "localhost"
        self._ask = _may_ask(proc)
        self._pulse = Pulse(parse_release(self.kernel), every_s)
        self._samples: list[Sample] = []
        self._lifetimes_s: dict[str, float] | None = None
        self._places: list[export_spaces.Place] = []
        self._place_holes: list[Hole] = []
        self._places_due_s = 0.0
        self._spaces_before: tuple[float, dict[int, dict[str, int]]] = (0.0, {})
        self._own_due_s = 0.0
        self._tail: Tail | None = None
        self._judge = Judge()
        self._judged_for_line_s = 0.0
        self._loops: dict[str, _Loop] = {}
        self._lock = Lock()
        self._bundles: deque[str] = deque()
        self.wants_spaces = False
        self.paused = False
        self.frame: Frame | None = None
        self.forecast: Forecast | None = None
        self.reading: table.Reading | None = None
        self.reading_hole: Hole | None = None
        self.read_s: float | None = None
        self.own: frozenset[own_addresses.Key] = frozenset()
        self.counts: export_spaces.Counts | None = None
        self.spaces: list[SpaceSeen] = []
        self.lines: deque[KernelLine] = deque(maxlen=MOST_LINES)
        self.kernel_hole: Hole | None = None
        self.kernel_gaps = 0
        self.judged: Judged | None = None
        self.judged_wall_s = 0.0
        self.judging = False
        self.judge_failed = ""
        self.wrote: Answer | None = None
        self.note = ""

    @property
    def past(self) -> "list[Point]":
        """The curve so far."""
        return self._pulse.past.points

    def columns(self, span_s: float, width: int) -> list[Point | None]:
        """The curve of the last ``span_s``; its columns stand still until the next one begins."""
        step = span_s / width
        until_s = ceil(self._clock.now().awake_s / step) * step
        with self._lock:
            return self._pulse.past.columns(until_s, span_s, width)

    def now_s(self) -> float:
        """This moment, on the clock of the frames."""
        return self._clock.now().awake_s

    def wall_s(self) -> float:
        """This moment, on the clock of people."""
        return self._clock.now().wall_s

    # -- one look each; the threads below call them

    def beat(self) -> None:
        """Count, limit, counters, and the kernel's lines since the last time."""
        place = self.place
        held = occupancy.look(self.proc, place.path)
        now = self._clock.now().awake_s
        with self._lock:
            if place is not self.place:
                return
            self.frame = self._pulse.beat(now, held)
            if self.frame.count is not None:
                self._samples.append(Sample(now, self.frame.count, occupancy.created(held.counters)))
                if len(self._samples) > MOST_SAMPLES:
                    self._samples = thinned(self._samples)[-MOST_SAMPLES // 2 :]
        self._listen()
        self._tell("frame")

    def _listen(self) -> None:
        if self._tail is None:
            self._tail = Tail(self.proc)
        came = self._tail.more()
        self.lines.extend(came)
        moved = came or self._tail.hole is not self.kernel_hole or self._tail.gaps != self.kernel_gaps
        self.kernel_hole, self.kernel_gaps = self._tail.hole, self._tail.gaps
        if moved:
            self._tell("kernel")
        if any(line.says_full and line.came for line in came):
            self._judge_for_line()

    def _judge_for_line(self) -> None:
        """A line says that a table is full: it is looked into early, but a flood of lines is no flood of diagnoses."""
        now = self._clock.now().awake_s
        if now - self._judged_for_line_s >= PACES["judged"].every_s / 2:
            self._judged_for_line_s = now
            self._wake("judged")

    def foretell(self) -> None:
        """When it is full."""
        with self._lock:
            samples, frame = list(self._samples), self.frame
        if frame is None:
            return
        if self._lifetimes_s is None:
            names = [name for name, _ in BURST_LIFETIMES]
            self._lifetimes_s = occupancy.timeouts(self.proc, names, self.place.path)
        self.forecast = forecast(samples, frame.limit, AHEAD_S, self._lifetimes_s)
        self._tell("forecast")

    def compose(self) -> None:
        """A fair sample of the entries; a hole where none is given."""
        place = self.place
        reading, hole = _sampled(place.path, self._ask)
        now = self._clock.now().awake_s
        if now >= self._own_due_s:
            self._own_due_s = now + OWN_ADDRESSES_S
            self.own = own_addresses.own(place.path)
        with self._lock:
            if place is not self.place:
                return
            self.reading, self.reading_hole, self.read_s = reading, hole, now
        self._tell("composition")

    def look_around(self) -> None:
        """Every namespace of the host with its count, where somebody wants to see them."""
        if not self.wants_spaces:
            return
        now = self._clock.now().awake_s
        if now >= self._places_due_s or export_spaces.gone(self.proc, self._places):
            until = time.monotonic() + LOOK_S
            self._places, self._place_holes = export_spaces.places(self.proc, lambda: time.monotonic() < until)
            self._places_due_s = now + PLACES_S
        counts = export_spaces.count(self.proc, self._places, MOST_SPACES, self._ask)
        counts.holes += self._place_holes
        before_s, before = self._spaces_before
        found = []
        for one in counts.shown:
            lost = _lost(before.get(one.place.number), one.counters, now - before_s)
            found.append(SpaceSeen(one, lost))
        self._spaces_before = now, {one.place.number: one.counters for one in counts.shown if one.counters is not None}
        self.counts, self.spaces = counts, sorted(found, key=lambda seen: -seen.counted.count)
        self._tell("spaces")

    def judge(self) -> None:
        """Bundles that were asked for, then a diagnosis of this host."""
        while self._bundles:
            self.wrote = self._judge.write_bundle(self._bundles.popleft())
            self._tell("wrote")
        self.judging = True
        self._tell("judged")
        answer = self._judge.diagnose()
        self.judging = False
        self.judge_failed = answer.failed or ""
        if answer.judged is not None:
            self.judged, self.judged_wall_s = answer.judged, self._clock.now().wall_s
        self._tell("judged")

    # -- what a person may ask for

    def judge_soon(self) -> None:
        """A diagnosis now, or once the one under way has ended."""
        self._wake("judged")

    def look_around_soon(self) -> None:
        """The namespaces now."""
        self._wake("spaces")

    def compose_soon(self) -> None:
        """A new sample now."""
        self._wake("composition")

    def write_bundle(self, path: str) -> None:
        """Write the bundle of this host; :attr:`wrote` tells the end of it."""
        self._bundles.append(path)
        self._wake("judged")

    def move(self, place: Place) -> None:
        """Look at another namespace from now on; nothing of the one before is kept."""
        with self._lock:
            self.place = place
            self._pulse = Pulse(parse_release(self.kernel), self.every_s)
            self._samples = []
            self._lifetimes_s = None
            self._own_due_s = 0.0
            self.frame = self.forecast = self.reading = self.reading_hole = self.read_s = None
            self.own = frozenset()
        for name in ("frame", "composition", "forecast"):
            self._wake(name)

    def remember(self, path: Path, boot: str) -> None:
        """Begin with what a watch kept of this table, where it did: the file is read and not written."""
        from tablefull.watch.history import History

        if not path.is_file():
            return
        history = History(path, self._say, write=False)
        try:
            rows = [row for row in history.rows(self.place.key) if row.boot == boot]
        finally:
            history.close()
        if not rows:
            return
        now = self._clock.now()
        last_s = now.awake_s - max(0.0, now.wall_s - rows[-1].wall_s)
        with self._lock:
            for row in rows:
                at = last_s - (rows[-1].at_s - row.at_s)
                high = max(row.high, row.count)
                lost = bool(row.moved.get("drop") or row.moved.get("chain_toolong"))
                self._pulse.past.add(Point(at, row.step_s, high, lost))
                self._samples.append(Sample(at, high, row.created, joined=bool(self._samples)))
            self._samples = thinned(self._samples)

    def _say(self, text: str) -> None:
        self.note = text

    # -- threads

    def start(self) -> None:
        """Look, each part at its pace."""
        looks: dict[str, tuple[Callable[[], None], Pace]] = {
            "frame": (self.beat, Pace(self.every_s, 0.01)),
            "composition": (self.compose, PACES["composition"]),
            "forecast": (self.foretell, PACES["forecast"]),
            "spaces": (self.look_around, PACES["spaces"]),
        }
        if self._judging:
            looks["judged"] = (self.judge, PACES["judged"])
        for name, (act, pace) in looks.items():
            self._loops[name] = _Loop(self, name, act, pace)
        for loop in self._loops.values():
            loop.start()

    def stop(self) -> None:
        """End the threads and the process beside; a look that is under way is not waited for longer than a second."""
        for loop in self._loops.values():
            loop.end()
        self._judge.stop()
        for loop in self._loops.values():
            loop.join(1.0)
        if self._tail is not None:
            self._tail.close()

    def go_on(self) -> None:
        """The pause is over: look at what waited for it."""
        self.paused = False
        for name in ("composition", "forecast", "spaces"):
            self._wake(name)

    def _wake(self, name: str) -> None:
        loop = self._loops.get(name)
        if loop is not None:
            loop.wake()

    def failed(self, name: str, error: Exception) -> None:
        """A look that raised: said, and tried again at its next time."""
        self.note = f"{name}: looking failed: {type(error).__name__}: {error}"
        self._tell("note")

    def cost_of(self, name: str, measured_s: float) -> float:
        """What a look cost; the process beside says itself what it took."""
        return self.judged.cpu_s if name == "judged" and self.judged is not None else measured_s


class _Loop(Thread):
    """One part, looked at again and again."""

    def __init__(self, gauge: Gauge, name: str, act: Callable[[], None], pace: Pace) -> None:
        super().__init__(name=f"look-{name}", daemon=True)
        self._gauge, self._part, self._act, self._pace = gauge, name, act, pace
        self._wake, self._over = Event(), Event()

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def end(self) -> None:
        """No more looks."""
        self._over.set()
        self._wake.set()

    def run(self) -> None:
        """Look, and wait; the beat keeps its rhythm, whatever a look takes."""
        due = time.monotonic()
        while True:
            asked = self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            if self._over.is_set():
                return
            # A pause holds the screen and what is dear; the curve goes on, or it would have a hole.
            if self._gauge.paused and not asked and self._part != "frame":
                due = time.monotonic() + self._pace.every_s
                continue
            spent = time.thread_time()
            try:
                self._act()
            except Exception as error:  # noqa: BLE001 - this part is told as failed, the others go on
                if self._over.is_set():
                    return
                self._gauge.failed(self._part, error)
            cost = self._gauge.cost_of(self._part, time.thread_time() - spent)
            now = time.monotonic()
            due = now + self._pace.pause_s(cost) if self._part != "frame" else max(due + self._pace.every_s, now)


def _may_ask(proc: Proc) -> bool:
    try:
        askable(proc)
    except (Unreadable, OSError):
        return False
    return True


def _sampled(path: str | None, ask: bool) -> tuple[table.Reading | None, Hole | None]:
    """Entries by ctnetlink, else by the file in /proc; else why not."""
    why: str | None = None
    if ask:
        try:
            return table.sample(path, ()), None
        except (KernelRefused, ParseError) as error:
            why = str(error)
    try:
        return table.from_file(path, (), table.SAMPLE), None
    except (OSError, ValueError) as error:
        file = f"/proc/net/nf_conntrack: {error.strerror if isinstance(error, OSError) else error}"
        remedy = "" if os.geteuid() == 0 else "run it as root"
        return None, Hole("entries", why or f"ctnetlink would load a module; {file}", remedy)


def _lost(before: dict[str, int] | None, after: dict[str, int] | None, passed_s: float) -> float | None:
    """Packets refused per second; None where it cannot be told."""
    if before is None or after is None or passed_s <= 0:
        return None
    steps = [after[name] - before[name] for name in ("drop", "chain_toolong") if name in after and name in before]
    return sum(steps) / passed_s if steps and min(steps) >= 0 else None


def bundle_path(host: str, wall_s: float, folder: str | None = None) -> str:
    """Where a bundle goes: the directory one stands in, or that of temporary files where it cannot be written."""
    import tempfile

    from tablefull.live.collection import safe

    where = folder or (os.getcwd() if os.access(os.curdir, os.W_OK) else tempfile.gettempdir())  # noqa: PTH109
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(wall_s))
    return str(Path(where) / f"tablefull-{safe(host)}-{stamp}.tar.gz")
