"""What a plan will do to the table, from what this host shows at the moment: entries, refused packets, memory.

The trap: a forecast that nothing supports looks like one that something does. So each number says how it was got, what
cannot be told is None, and the steps of one plan are counted one after the other: each begins where the last one ends.
"""

import time
from collections.abc import Callable

import msgspec
from msgspec import Struct

from tablefull.facts.origin import Hole
from tablefull.fixes import timeout_choice
from tablefull.fixes.act import Commanded, HostPlan, OwnFile, Predicted, SetValue, Step
from tablefull.fixes.live_host import LiveHost
from tablefull.kernel import sizing
from tablefull.live.occupancy import Occupancy, look, moved

LEAST_S = 0.3  # of two looks: a shorter stretch says little of packets a second
LIMITS = ("nf_conntrack_max", "ip_conntrack_max")
# Settings that change what becomes an entry from now on, and none that is there.
_LATER = {
    "nf_conntrack_tcp_loose": "streams without a SYN make no entry from now on; how many those are was not seen",
    "nf_conntrack_tcp_be_liberal": "out-of-window segments pass; entries come and go as before",
    "nf_conntrack_expect_max": "expectations have a table of their own; the entries stay as they are",
    "nf_conntrack_buckets": "chains become shorter; the entries stay as they are",
    "hashsize": "chains become shorter; the entries stay as they are",
    "bridge-nf-call-iptables": "which entries come from bridged frames the table does not tell",
    "bridge-nf-call-ip6tables": "which entries come from bridged frames the table does not tell",
    "bridge-nf-call-arptables": "ARP makes no entries",
}
UNKNOWN = "nothing this host shows at the moment says what it will do to the table"


class Table(Struct, frozen=True):
    """The table at this moment. ``refused_per_s`` None: the counters could not be seen."""

    total: int | None
    limit: int | None
    refused_per_s: float | None
    entry_bytes: int | None

    @property
    def refuses(self) -> bool:
        """Whether it is full and refuses."""
        return bool(self.refused_per_s)


class Watched:
    """Two looks at the table with whatever is done between them."""

    def __init__(self, host: LiveHost, clock: Callable[[], float] = time.monotonic) -> None:
        self._host, self._clock = host, clock
        self._first = look(host.proc, host.space) if host.here else None
        self._began = clock()

    def table(self) -> Table:
        """What both say; a pause is made where they would be too close."""
        host = self._host
        each = sizing.entry_bytes(host.kernel).value
        if self._first is None:
            return Table(host.setting("nf_conntrack_count"), host.setting("nf_conntrack_max"), None, each)
        passed = self._clock() - self._began
        if passed < LEAST_S:
            time.sleep(LEAST_S - passed)
            passed = LEAST_S
        return measured(self._first, look(host.proc, host.space), passed, each)


def measured(first: Occupancy, second: Occupancy, passed_s: float, entry_bytes: int | None) -> Table:
    """Count, limit and refusals a second of two looks."""
    steps = moved(first.counters, second.counters)
    refused = None if steps is None or "drop" not in steps else steps["drop"] / passed_s
    return Table(
        None if isinstance(second.count, Hole) else second.count,
        None if isinstance(second.limit, Hole) else second.limit,
        refused,
        entry_bytes,
    )


def with_effects(plan: HostPlan, host: LiveHost, table: Table) -> HostPlan:
    """The same plan, every step that does something now with what it will do."""
    running = table
    steps = []
    for step in plan.steps:
        if step.when == "now":
            found = effect(step, host, running)
            step = msgspec.structs.replace(step, predicted=found)
            running = _onward(running, step, found)
        steps.append(step)
    return msgspec.structs.replace(plan, steps=tuple(steps))


def _onward(table: Table, step: Step, found: Predicted) -> Table:
    limit = next((int(act.after) for act in _limits(step) if act.after.isdecimal()), table.limit)
    total = table.total if found.entries_after is None else found.entries_after
    refused = table.refused_per_s if found.refused_per_s_after is None else found.refused_per_s_after
    return Table(total, limit, refused, table.entry_bytes)


def effect(step: Step, host: LiveHost, table: Table) -> Predicted:
    """What one step does to a table as it then is."""
    given = step.predicted
    if given is None or given.entries_after is None:
        found = _of_limit(step, table) or _of_timeout(step, host, table) or _of_others(step)
        if given is not None:
            found = _joined(found, given)
    else:
        gone = max(0, (given.entries_before or 0) - given.entries_after)
        found = _fewer(gone, given.how, table, given)
    return found


def _joined(found: Predicted, given: Predicted) -> Predicted:
    """What its maker knew beside what the moment shows."""
    known = found.entries_after is not None or found.refused_per_s_after is not None
    return msgspec.structs.replace(
        found if known else given,
        how=f"{given.how}; {found.how}" if known and found.how != given.how else given.how,
        memory_bytes=given.memory_bytes if given.memory_bytes is not None else found.memory_bytes,
        protection_lost=given.protection_lost,
    )


def _limits(step: Step) -> list[SetValue]:
    return [act for act in step.acts if isinstance(act, SetValue) and act.path.rpartition("/")[2] in LIMITS]


def _of_limit(step: Step, table: Table) -> Predicted | None:
    """A higher limit refuses nobody until it is reached; when that is, only the demand behind the refusals knows."""
    raised = [act for act in _limits(step) if act.after.isdecimal() and act.before.isdecimal()]
    if not raised or table.total is None:
        return None
    after, room = int(raised[-1].after), int(raised[-1].after) - table.total
    if room <= 0:
        return Predicted(
            how=f"the table holds {table.total}, no less than the new limit: it refuses until enough have expired",
            entries_before=table.total, refused_per_s_before=table.refused_per_s,
        )  # fmt: skip
    if table.refused_per_s is None:
        return Predicted(how="whether packets are refused now could not be seen", entries_before=table.total)
    if not table.refuses:
        return Predicted(
            how="nothing is refused at the moment, so a higher limit changes nothing at once",
            entries_before=table.total, entries_after=table.total, refused_per_s_before=0.0, refused_per_s_after=0.0,
        )  # fmt: skip
    least_s = room / table.refused_per_s
    return Predicted(
        how=f"refused packets at the moment; would each of them become an entry and none expire, the room for {room:,} "
        f"lasts {least_s:,.0f} s: if it fills to {after:,}, something else is wrong",
        entries_before=table.total, refused_per_s_before=table.refused_per_s, refused_per_s_after=0.0,
    )  # fmt: skip


def _of_timeout(step: Step, host: LiveHost, table: Table) -> Predicted | None:
    """The share of the entries read that have been silent for longer, once the table has turned over."""
    acts = [act for act in step.acts if isinstance(act, SetValue) and "_timeout" in act.path.rpartition("/")[2]]
    if not acts or not all(act.before.isdecimal() and act.after.isdecimal() for act in acts):
        return None
    sample = host.sample
    if sample is None or table.total is None:
        return Predicted(how="no entry could be read, so how long they have been silent is unknown")
    if not sample.rows:
        return Predicted(how="the table holds no entry at the moment, so there is nothing to count")
    now = {_canonical(act): int(act.before) for act in acts}
    classes = {one.name: one for one in timeout_choice.classes(sample.rows, now)}
    freed = entries = 0
    for act in acts:
        found = classes.get(_canonical(act))
        if found is None and not _counted(sample.rows, _canonical(act)):
            continue
        if found is None or found.unclear == found.entries:
            return Predicted(how=f"the entries do not tell how long they have been silent under {_canonical(act)}")
        freed, entries = freed + found.freed(int(act.after)), entries + found.entries
    share = freed / len(sample.rows)
    how = (
        f"{freed} of {len(sample.rows)} entries read ({entries} live by it) have been silent for longer; they are gone "
        "once the table has turned over, not at once"
    )
    return _fewer(round(share * table.total), how, table)


def _counted(rows: tuple[tuple[int, ...], ...], name: str) -> bool:
    return any(timeout_choice.timeout_of(row) == name for row in rows)


def _canonical(act: SetValue) -> str:
    name = act.path.rpartition("/")[2]
    return "nf_" + name.removeprefix("ip_") if name.startswith("ip_conntrack") else name


def _fewer(gone: int, how: str, table: Table, given: Predicted | None = None) -> Predicted:
    if table.total is None:
        return given or Predicted(how=how)
    after = max(0, table.total - gone)
    room = table.limit is not None and gone > 0 and after < table.limit
    memory = None if table.entry_bytes is None else -gone * table.entry_bytes
    return Predicted(
        how=how,
        entries_before=table.total,
        entries_after=after,
        refused_per_s_before=table.refused_per_s,
        refused_per_s_after=0.0 if room and table.refused_per_s is not None else table.refused_per_s,
        memory_bytes=memory or None,
        protection_lost=() if given is None else given.protection_lost,
    )


def _of_others(step: Step) -> Predicted:
    names = [act.path.rpartition("/")[2] for act in step.acts if isinstance(act, SetValue)]
    if names and (how := _LATER.get(names[0])):
        return Predicted(how=how)
    if step.acts and all(isinstance(act, OwnFile) for act in step.acts):
        return Predicted(how="a file changes nothing before the next restart")
    if any(isinstance(act, Commanded) for act in step.acts):
        return Predicted(how="what comes from now on decides; entries that are there stay until they expire")
    return Predicted(how=UNKNOWN)
