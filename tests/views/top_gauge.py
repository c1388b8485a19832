"""A gauge that looks at nothing by itself: its parts are set by hand."""

from pathlib import Path

from tablefull.facts.origin import Hole
from tablefull.live.occupancy import Occupancy
from tablefull.live.proc import Proc
from tablefull.live.table import Reading, composed
from tablefull.watch.gauge import Gauge, Part
from tablefull.watch.loop import Place
from tablefull.wire import ctnetlink as at

ZERO = {
    "found": 0, "invalid": 0, "insert": 0, "insert_failed": 0, "drop": 0, "early_drop": 0, "error": 0,
    "search_restart": 0, "clash_resolve": 0, "chain_toolong": 0,
}  # fmt: skip


class StillGauge(Gauge):
    """Nothing is started; what was asked of it is in ``asked``."""

    def __init__(self, root: Path) -> None:
        self.said: list[Part] = []
        self.asked: list[str] = []
        super().__init__(Proc(root), Place("this", None), self.said.append, judging=False)
        self.kernel, self.host = "6.18.44", "web1"

    def start(self) -> None:
        self.asked.append("start")

    def judge_soon(self) -> None:
        self.asked.append("judge")

    def compose_soon(self) -> None:
        self.asked.append("compose")

    def look_around_soon(self) -> None:
        self.asked.append("spaces")

    def write_bundle(self, path: str) -> None:
        self.asked.append(f"bundle {path}")

    def move(self, place: Place) -> None:
        self.asked.append(f"move {place.key} {place.path}")
        super().move(place)

    def beat_with(self, time_s: float, count: int | Hole, limit: int | Hole = 1000, **moved: int) -> None:
        """One look."""
        self.frame = self._pulse.beat(time_s, Occupancy(count, limit, (ZERO | moved, ZERO), "/proc/net/stat"))


def entry(source: int, dport: int, proto: int = 6, state: int = 3, sport: int = 40000) -> at.Row:
    """One IPv4 entry as a row of words."""
    words = [0] * at.ROW_WORDS
    words[at.R_FAMILY], words[at.R_PROTO], words[at.R_STATE] = 4, proto, state if proto == 6 else at.ABSENT
    words[at.R_SRC], words[at.R_DST], words[at.R_SPORT], words[at.R_DPORT] = source, 0xC0A80001, sport, dport
    words[at.R_STATUS] = 1 << 1 | 1 << 2 | 1 << 3
    return tuple(words)


def reading(rows: list[at.Row], total: int | None = None) -> Reading:
    """A sample of so many entries."""
    found = composed(rows, total, (), None)
    found.total, found.limit = total if total is not None else len(rows), 1000
    return found
