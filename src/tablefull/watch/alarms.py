"""Alarms of one table: raised, made worse or better, and cleared; a value in, the changes out.

The trap: a count swings about its threshold, and an alarm that follows it wakes somebody every ten seconds. So each is
cleared later than it is raised: a share by some points below, losses after some minutes of silence, a forecast when it
says otherwise three times in a row. What could not be seen changes no alarm: unknown is no all-clear, and has an alarm
of its own.
"""

from typing import Literal

from msgspec import Struct, field

from tablefull.twin.forecast import Forecast

Level = Literal["warning", "critical"]
Event = Literal["raised", "worse", "better", "cleared"]
NAMES = ("full", "drops", "evictions", "fills", "blind")
RANK = {"": 0, "warning": 1, "critical": 2}


class Settings(Struct, frozen=True):
    """When to raise and when to clear. Shares in per cent of the limit."""

    warning: float = 85.0
    critical: float = 95.0
    back: float = 5.0  # points below a threshold at which it is over; netdata's alarms leave as much
    horizon_s: float = 3600.0
    quiet_s: float = 300.0
    agree: int = 2  # forecasts in a row that raise
    disagree: int = 3  # and that clear
    later: float = 1.5  # times the horizon: a fill after that is none of this alarm's
    blind: int = 3  # looks in a row that saw nothing


class Alarm(Struct):
    """One that is up. ``since_s``: unix time; ``why``: the facts that raised it."""

    name: str
    level: Level
    since_s: float
    why: str


class Change(Struct, frozen=True):
    """What happened to an alarm. ``level`` is the new one, or the last one where it was cleared."""

    name: str
    event: Event
    level: Level
    why: str
    since_s: float


class Facts(Struct, frozen=True, kw_only=True):
    """One look. ``time_s`` of a clock that never jumps, ``wall_s`` unix time. None: unknown.

    ``lost``: packets refused since the look before; ``evicted``: entries pushed out.
    """

    time_s: float
    wall_s: float
    count: int | None
    limit: int | None
    lost: int | None = None
    evicted: int | None = None
    forecast: Forecast | None = None
    why_blind: str = ""


class Memory(Struct):
    """What alarms know of the looks before; kept in the history, so that a restart raises nothing twice."""

    up: dict[str, Alarm] = field(default_factory=dict)
    lost_s: float | None = None
    evicted_s: float | None = None
    soon: int = 0
    not_soon: int = 0
    unseen: int = 0


class Alarms:
    """The alarms of one table."""

    def __init__(self, settings: Settings, memory: Memory | None = None) -> None:
        self.settings = settings
        self.memory = memory or Memory()

    @property
    def up(self) -> list[Alarm]:
        """Those that are up, the worst first."""
        return sorted(self.memory.up.values(), key=lambda alarm: -RANK[alarm.level])

    def step(self, facts: Facts) -> list[Change]:
        """What this look changes."""
        changes = [self._blind(facts), self._full(facts), *self._counted(facts), self._fills(facts)]
        return [change for change in changes if change is not None]

    def _set(self, facts: Facts, name: str, level: Level | None, why: str) -> Change | None:
        before = self.memory.up.get(name)
        if level is None:
            if before is None:
                return None
            del self.memory.up[name]
            return Change(name, "cleared", before.level, why, before.since_s)
        if before is None:
            self.memory.up[name] = Alarm(name, level, facts.wall_s, why)
            return Change(name, "raised", level, why, facts.wall_s)
        if before.level == level:
            return None
        event: Event = "worse" if RANK[level] > RANK[before.level] else "better"
        self.memory.up[name] = Alarm(name, level, before.since_s, why)
        return Change(name, event, level, why, before.since_s)

    def _level(self, name: str) -> str:
        alarm = self.memory.up.get(name)
        return alarm.level if alarm is not None else ""

    def _blind(self, facts: Facts) -> Change | None:
        if facts.count is not None and facts.limit is not None:
            self.memory.unseen = 0
            return self._set(facts, "blind", None, "the table is seen again")
        self.memory.unseen += 1
        if self.memory.unseen < self.settings.blind:
            return None
        return self._set(facts, "blind", "warning", f"the table cannot be seen: {facts.why_blind or 'unknown why'}")

    def _full(self, facts: Facts) -> Change | None:
        if facts.count is None or facts.limit is None:
            return None
        if facts.limit <= 0:
            return self._set(facts, "full", None, "nf_conntrack_max is 0: there is no limit")
        share = 100 * facts.count / facts.limit
        told = f"{facts.count} of {facts.limit} entries ({share:.1f} %)"
        was, limits = self._level("full"), self.settings
        if share >= limits.critical or (was == "critical" and share > limits.critical - limits.back):
            return self._set(facts, "full", "critical", told)
        if share >= limits.warning or (was and share > limits.warning - limits.back):
            return self._set(facts, "full", "warning", told)
        return self._set(facts, "full", None, told)

    def _counted(self, facts: Facts) -> list[Change | None]:
        """Losses and evictions: up while their counters move, and for some minutes after."""
        memory, found = self.memory, []
        if facts.lost:
            memory.lost_s = facts.time_s
            found.append(
                self._set(facts, "drops", "critical", f"{facts.lost} packets were refused since the last look")
            )
        elif "drops" in memory.up and facts.lost is not None and self._silent(memory.lost_s, facts):
            found.append(self._set(facts, "drops", None, f"none refused for {self.settings.quiet_s:.0f} s"))
        if facts.evicted:
            memory.evicted_s = facts.time_s
            why = f"{facts.evicted} entries were pushed out to make room since the last look"
            found.append(self._set(facts, "evictions", "warning", why))
        elif "evictions" in memory.up and facts.evicted is not None and self._silent(memory.evicted_s, facts):
            found.append(self._set(facts, "evictions", None, f"none pushed out for {self.settings.quiet_s:.0f} s"))
        return found

    def _silent(self, last_s: float | None, facts: Facts) -> bool:
        # A time that lies ahead is of another boot.
        return last_s is None or facts.time_s < last_s or facts.time_s - last_s >= self.settings.quiet_s

    def _fills(self, facts: Facts) -> Change | None:
        told, limits, memory = facts.forecast, self.settings, self.memory
        if told is None or told.kind == "unknown":
            return None
        soon = told.median_s is not None and told.median_s <= limits.horizon_s
        far = told.median_s is None or told.median_s > limits.later * limits.horizon_s
        memory.soon = memory.soon + 1 if soon else 0
        memory.not_soon = memory.not_soon + 1 if far else 0
        if memory.soon >= limits.agree or (soon and "fills" in memory.up):
            sure = told.high_s is not None and told.high_s <= limits.horizon_s
            # Better only when it goes: a forecast's interval breathes.
            level: Level = "critical" if sure or self._level("fills") == "critical" else "warning"
            return self._set(facts, "fills", level, _when(told))
        if memory.not_soon >= limits.disagree:
            return self._set(
                facts, "fills", None, f"no fill within {_span(limits.later * limits.horizon_s)} is foretold"
            )
        return None


def _when(told: Forecast) -> str:
    low = _span(told.low_s or 0.0)
    high = f"to {_span(told.high_s)}" if told.high_s is not None else "or not at all"
    return f"full in about {_span(told.median_s or 0.0)} ({low} {high}, nine times in ten)"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
