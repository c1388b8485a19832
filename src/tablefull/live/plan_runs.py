"""Evidence run through a table without a limit, and again under each change that might do instead of a higher limit.

The trap: a peak alone says nothing about how it came to be. So what is kept of a run is also how many entries began,
how long each lived, and how long those at the peak had been silent: from lives where events tell them, and where
packets do, by looking at the twin's table after each interval and remembering who was still there.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from tablefull.errors import UsageError
from tablefull.kernel import timeouts
from tablefull.kernel.states import TCP_STATES
from tablefull.live import replay, replay_events
from tablefull.live.plan_values import NOTHING, Change, Idle, Measured, Study
from tablefull.live.replay import Outcome, Piece, Setting
from tablefull.live.replay_events import BEFORE, SECOND_NS, Recording
from tablefull.live.replay_holders import ASSURED
from tablefull.twin import state as at
from tablefull.twin.planning import Little

if TYPE_CHECKING:
    from tablefull.twin import Twin

Times = npt.NDArray[np.int64]
MOST_LIVES = 1 << 21  # entries whose lives are followed; of more, every second, fourth ... one
LOOK_GROWTH = 1.05
MOST_LOOKED_AT = 20_000
WINDOWS = 64
SHORT_S = 300  # an established connection with unanswered data is set to this [nf_conntrack_proto_tcp.c]
ESTABLISHED = "nf_conntrack_tcp_timeout_established"
ROOMY_BUCKETS = 1 << 22  # where a chain was too long: so many that none is
_SIMPLE = re.compile(r"(tcp|udp|sctp|dccp|udplite) port (\d{1,5})")


class Lives(NamedTuple):
    """Entries that began in the evidence: when, until when, and whether that end was still to come."""

    begin_ns: Times
    end_ns: Times
    open: npt.NDArray[np.bool_]


class Evidence(Protocol):
    """What can be run. ``again``: more than once."""

    again: bool

    def run(self, changes: Sequence[Change], limit: int | None) -> list[Measured]:
        """Each change without a limit; where ``limit``, also with it, for what is refused then."""


class Follower:
    """Looks at one twin after each interval: how many began, which of them are there, what the table is made of."""

    def __init__(self, looks: bool = False) -> None:
        self.times: list[int] = []
        self.created: list[int] = []
        self.counts: list[int] = []
        self.stride = 1
        self._last: Times = np.zeros(1024, np.int64)
        self._final: Times | None = None
        self._looks, self._looked_at = looks, 0
        self.idle: list[Idle] = []

    def __call__(self, now_ns: int, twin: "Twin") -> None:
        """One look."""
        created, count = twin.created, twin.count
        numbers = twin.living()
        while created // self.stride > MOST_LIVES:
            self._last = self._last[::2].copy()
            self.stride *= 2
        wanted = created // self.stride + 1
        if wanted > len(self._last):
            grown = np.zeros(max(wanted, 2 * len(self._last)), np.int64)
            grown[: len(self._last)] = self._last
            self._last = grown
        followed = numbers % self.stride == 0
        numbers = numbers[followed] // self.stride
        self._last[numbers] = now_ns
        self._final = numbers
        self.times.append(now_ns)
        self.created.append(created)
        self.counts.append(count)
        if self._looks and count > self._looked_at * LOOK_GROWTH:
            self._looked_at = count
            self.idle = _idle_of(twin, now_ns)

    def lives(self, first_ns: int) -> Lives:
        """Of the followed entries. An end lies between two looks, and is taken as halfway."""
        times = np.array([first_ns, *self.times], np.int64)
        created = np.array([0, *self.created], np.int64)
        numbers = np.arange(1, int(created[-1]) // self.stride + 1, dtype=np.int64)
        serials = numbers * self.stride
        place = np.searchsorted(created, serials, side="left")
        before, after = times[place - 1], times[place]
        share = (serials - created[place - 1] - 0.5) / np.maximum(1, created[place] - created[place - 1])
        begins = before + ((after - before) * share).astype(np.int64)
        last = self._last[numbers]
        met = last > 0
        following = times[np.minimum(np.searchsorted(times, last, side="right"), len(times) - 1)]
        ends = np.where(met, (last + following) // 2, (begins + after) // 2)
        still = np.zeros(len(numbers), np.bool_)
        if self._final is not None:
            still[self._final - 1] = True
            ends[self._final - 1] = times[-1]
        return Lives(begins, np.maximum(ends, begins), still)


def _idle_of(twin: "Twin", now_ns: int) -> list[Idle]:
    """How long the entries of a twin have been silent, by timeout."""
    columns = twin.columns(now_ns)
    total = len(columns["l4proto"])
    step = max(1, -(-total // MOST_LOOKED_AT))
    proto, status, state, left = (columns[name][::step] for name in ("l4proto", "status", "tcp_state", "remaining_s"))
    found = []
    for name, chosen in _by_timeout(proto, status, state):
        column = at.TIMEOUTS.get(name)
        if column is None or not chosen.any():
            continue
        timeout_s = twin.settings[column] // at.SECOND_NS
        remaining = left[chosen].astype(np.int64)
        told = remaining <= timeout_s
        if name == ESTABLISHED and timeout_s > SHORT_S:
            told &= remaining > SHORT_S
        idle = tuple((timeout_s - remaining[told]).tolist())
        found.append(Idle(name, timeout_s, int(chosen.sum()), idle))
    return found


def _by_timeout(
    proto: npt.NDArray[np.uint32], status: npt.NDArray[np.uint32], state: npt.NDArray[np.uint32]
) -> "Iterable[tuple[str, npt.NDArray[np.bool_]]]":
    for number, word in enumerate(TCP_STATES):
        name = timeouts.TIMEOUT_OF_TCP_STATE.get(word)
        if name is not None:
            yield name, (proto == 6) & (state == number)
    assured = status & ASSURED != 0
    yield "nf_conntrack_udp_timeout", (proto == 17) & ~assured
    yield "nf_conntrack_udp_timeout_stream", (proto == 17) & assured
    yield "nf_conntrack_icmp_timeout", proto == 1
    yield "nf_conntrack_generic_timeout", ~np.isin(proto, (1, 6, 17, 33, 47, 58, 132, 136))


def little_of(lives: Lives, begun: float, from_ns: int, to_ns: int, mean: float) -> Little | None:
    """Rate x lifetime in a window that ends with the evidence, beside the mean there. None where nothing ended.

    The lifetime is that of entries begun before the window, which had the time to end: what they lived in the evidence
    over how many of them ended there. Of lives that are still open no more is known than that they went on so long.
    """
    span_s = (to_ns - from_ns) / 1e9
    early = lives.begin_ns < from_ns
    lives = Lives(lives.begin_ns[early], lives.end_ns[early], lives.open[early])
    ended = int((~lives.open).sum())
    if not ended or span_s <= 0:
        return None
    lived_s = float((np.minimum(lives.end_ns, to_ns) - lives.begin_ns).sum()) / 1e9
    return Little(
        begun=round(begun), window_s=span_s, rate_per_s=begun / span_s, lifetime_s=lived_s / ended, mean=mean,
        lives=len(lives.begin_ns), open_lives=len(lives.begin_ns) - ended,
    )  # fmt: skip


def _measured(change: Change, outcome: Outcome) -> Measured:
    return Measured(change=change, peak=outcome.peak, peak_ns=outcome.peak_ns, end=outcome.count)


class Packets:
    """A capture or made-up traffic. ``opened`` gives its packets and how long they last, anew at each call."""

    def __init__(
        self,
        opened: Callable[[], tuple[Iterable[Piece], int | None]],
        kernel: str,
        sysctls: Mapping[str, str],
        seed: int = 0,
        again: bool = True,
        tick: replay.Tick | None = None,
    ) -> None:
        self.opened, self.kernel, self.sysctls, self.seed, self.again = opened, kernel, dict(sysctls), seed, again
        self.tick = tick
        self.last: replay.Replay | None = None
        self.idle: list[Idle] = []

    def _setting(self, change: Change, limit: int, roomy: bool) -> Setting:
        room = {"nf_conntrack_buckets": str(ROOMY_BUCKETS)} if roomy else {}
        given = {**without_limit(self.sysctls), **change.sysctls, **room, "nf_conntrack_max": str(limit)}
        return Setting(change.label, self.kernel, given, change.exempts)

    def run(self, changes: Sequence[Change], limit: int | None) -> list[Measured]:
        """See :class:`Evidence`. Run again with more buckets where a chain grew too long for the kernel."""
        found = self._run(changes, limit, roomy=not self.again)
        if (
            self.again
            and self.last
            and any(each.counters.get("chain_toolong") for each in self.last.outcomes[: len(found)])
        ):
            found = self._run(changes, limit, roomy=True)
        return found

    def _run(self, changes: Sequence[Change], limit: int | None, roomy: bool) -> list[Measured]:
        settings = [self._setting(change, 0, roomy) for change in changes]
        if limit:
            settings += [self._setting(change, limit, roomy=False) for change in changes]
        followers = [Follower(looks=number == 0) for number in range(len(changes))]
        pieces, span_ns = self.opened()
        done = replay.replay(pieces, settings, seed=self.seed, span_ns=span_ns, tick=self.tick, watches=followers)
        self.last, self.idle = done, followers[0].idle
        found = []
        for number, (change, follower) in enumerate(zip(changes, followers, strict=True)):
            one = _measured(change, done.outcomes[number])
            _measure(one, follower, done.first_ns, done.last_ns)
            if limit:
                held = done.outcomes[len(changes) + number]
                one.refused, one.evicted = held.refused, held.counters.get("early_drop")
            found.append(one)
        return found


def without_limit(sysctls: Mapping[str, str]) -> dict[str, str]:
    """Settings without a limit of the table among them."""
    limits = ("max", "nf_conntrack_max", "ip_conntrack_max")
    return {name: value for name, value in sysctls.items() if name.rsplit(".", 1)[-1] not in limits}


def _measure(one: Measured, follower: Follower, first_ns: int, last_ns: int) -> None:
    if not follower.times or last_ns <= first_ns:
        return
    times = np.array([first_ns, *follower.times], np.float64)
    created = np.array([0, *follower.created], np.float64)
    counts = np.array([0, *follower.counts], np.float64)
    middle_ns = (first_ns + last_ns) / 2
    one.middle = round(float(np.interp(middle_ns, times, counts)))
    edges = np.linspace(first_ns, last_ns, WINDOWS + 1)
    one.births = np.diff(np.interp(edges, times, created)).tolist()
    begun = float(created[-1] - np.interp(middle_ns, times, created))
    mean = float(np.interp(np.linspace(middle_ns, last_ns, 2049), times, counts).mean())
    one.little = little_of(follower.lives(first_ns), begun, int(middle_ns), last_ns, mean)


class Events:
    """A recording of events."""

    again = True

    def __init__(self, recording: Recording, kernel: str, sysctls: Mapping[str, str]) -> None:
        self.recording, self.kernel, self.sysctls = recording, kernel, without_limit(sysctls)
        self.idle: list[Idle] = []
        self.last: replay.Replay | None = None

    def run(self, changes: Sequence[Change], limit: int | None) -> list[Measured]:
        """See :class:`Evidence`."""
        found = []
        for change in changes:
            recording = exempted(self.recording, change)
            setting = Setting(change.label, self.kernel, {**self.sysctls, **change.sysctls})
            done = replay_events.rebuild(recording, [setting])
            one = _measured(change, done.outcomes[0])
            self._measure(one, recording, setting)
            if limit:
                limited = replace(setting, sysctls={**setting.sysctls, "nf_conntrack_max": str(limit)})
                one.refused = replay_events.rebuild(recording, [limited]).outcomes[0].refused
            if change is NOTHING:
                self.last, self.idle = done, idle_at(recording, one.peak_ns)
            found.append(one)
        return found

    def _measure(self, one: Measured, recording: Recording, setting: Setting) -> None:
        rows = np.array(recording.rows, np.int64).reshape(-1, 6)
        first_ns, last_ns = recording.first_ns, recording.last_ns
        one.before = int((rows[:, 0] == BEFORE).sum())
        ends, _ = replay_events.ends_under(recording, setting)
        begins = np.maximum(rows[:, 0], first_ns)
        if last_ns <= first_ns:
            return
        middle_ns = (first_ns + last_ns) // 2
        one.middle = int(((begins <= middle_ns) & (ends > middle_ns)).sum())
        inside = np.minimum(ends, last_ns) - np.maximum(begins, middle_ns)
        mean = float(np.maximum(inside, 0).sum()) / (last_ns - middle_ns)
        born = rows[:, 0] >= first_ns
        still = ends > last_ns
        lives = Lives(begins[born], np.maximum(ends, begins)[born], still[born])
        edges = np.linspace(first_ns, last_ns, WINDOWS + 1)
        one.births = np.histogram(begins[born], edges)[0].astype(float).tolist()
        begun = int((begins[born] > middle_ns).sum())
        one.little = little_of(lives, begun, middle_ns, last_ns, mean)


def exempted(recording: Recording, change: Change) -> Recording:
    """The recording without the entries of what is not tracked. UsageError for what events cannot tell apart."""
    port, source = change.port, change.source
    if change.expression is not None:
        words = change.expression.strip().lower()
        match = _SIMPLE.fullmatch(words)
        if match:
            port = f"{match[1]}/{int(match[2])}"
        elif words in ("icmp", "gre", "esp"):
            port = words
        elif words.startswith("src host "):
            source = words.removeprefix("src host ").strip()
        else:
            raise UsageError(
                f"--notrack {change.expression[:80]!a}: recorded events tell apart no more than 'udp port 53' or"
                " 'src host 192.0.2.1'; give a capture"
            )
    if port is None and source is None:
        return recording
    drop = np.array([shape[2] == port or shape[0] == source for shape in recording.shapes], np.bool_)
    rows = np.array(recording.rows, np.int64).reshape(-1, 6)
    kept = rows[~drop[rows[:, 5]]] if len(drop) else rows
    return replace(recording, rows=kept)


def idle_at(recording: Recording, now_ns: int) -> list[Idle]:
    """How long the entries that were there at a moment had been silent, by timeout, as the events tell it.

    The timeout in force is the longest that an entry of that kind was seen to have left.
    """
    rows = np.array(recording.rows, np.int64).reshape(-1, 6)
    there = (rows[:, 0] <= now_ns) & (rows[:, 1] > now_ns) & (rows[:, 3] >= 0) & (rows[:, 2] <= now_ns)
    found = []
    for number, name in enumerate(recording.timeouts):
        of_name = (rows[:, 4] == number) & (rows[:, 3] >= 0)
        chosen = there & of_name
        if not name or not chosen.any():
            continue
        timeout_s = int(rows[of_name, 3].max())
        silent = (now_ns - rows[chosen, 2]) // SECOND_NS + timeout_s - rows[chosen, 3]
        told = rows[chosen, 3] > SHORT_S if name == ESTABLISHED and timeout_s > SHORT_S else silent >= 0
        found.append(Idle(name, timeout_s, int(chosen.sum()), tuple(silent[told].tolist())))
    return found


def study(evidence: Packets | Events, source: str, kind: str, limit: int | None) -> Study:
    """The evidence as it is, and what is known of it."""
    base = evidence.run([NOTHING], limit)[0]
    return of_run(evidence, [base], source, kind)


def of_run(evidence: Packets | Events, measured: Sequence[Measured], source: str, kind: str) -> Study:
    """What was measured, the first of it as it is."""
    done = evidence.last
    assert done is not None
    base = measured[0]
    return Study(
        source=source, kind=kind, first_ns=done.first_ns, last_ns=done.last_ns, amount=done.packets, base=base,
        held=done.outcomes[0].held, idle=evidence.idle, options=list(measured[1:]),
    )  # fmt: skip
