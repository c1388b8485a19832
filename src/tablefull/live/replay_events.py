"""Recorded events (``conntrack -E -o timestamp``) as the life of a table: how many entries there were at each moment.

The trap: events say when an entry began and ended, and not one packet of it. So there are no verdicts here, a limit can
only say when a new entry would have found no room, and a timeout that is changed moves an end only where the entry died
of that timeout: its last event told how long it had left, and that is when it was destroyed. An entry that ended
otherwise, or was refreshed by packets nobody recorded, keeps the end it had.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from tablefull.errors import UsageError
from tablefull.facts.entry import Entry
from tablefull.facts.origin import Origin
from tablefull.kernel import sysctls, timeouts
from tablefull.live.replay import COUNTED, MOST_SAMPLES, MOST_SAMPLES_NAMED, Outcome, Replay, Sample, Setting
from tablefull.live.replay_holders import MOST, Holders, likely_own
from tablefull.parsers.conntrack_entries import decode
from tablefull.twin.eras import era
from tablefull.twin.state import compile_settings

Times = npt.NDArray[np.int64]
SECOND_NS = 1_000_000_000
SLACK_NS = (
    2 * SECOND_NS
)  # an expired entry is destroyed when somebody meets it; less than this early is a clock's rounding
STILL = np.iinfo(np.int64).max
BEFORE = np.iinfo(np.int64).min
LONGEST_LINE = 4096
_LIMITS = ("nf_conntrack_max", "max")
_NO_VERDICTS = (0,) * 6


class _Life(Struct):
    """One entry while it lives: when it began (``BEFORE``: before the recording), and what its last event said."""

    key: int
    begin_ns: int
    last_ns: int
    remaining_s: int | None
    timeout: str
    shape: int


class Recording(Struct):
    """Every entry's life, one row each: ``timeout`` and ``shape`` are numbers into the lists of names."""

    source: str
    events: int = 0
    lines: int = 0
    undated: int = 0
    backwards: int = 0
    first_ns: int = 0
    last_ns: int = 0
    rows: list[tuple[int, int, int, int, int, int]] | Times = field(default_factory=list)
    timeouts: list[str] = field(default_factory=list)
    shapes: list[tuple[str, str, str, str, bool, bool]] = field(default_factory=list)


def timeout_of(entry: Entry) -> str:
    """The setting that decides how long this entry lives in the state it is in."""
    proto = entry.l4proto
    if proto == "tcp":
        return timeouts.TIMEOUT_OF_TCP_STATE.get(entry.state or "", "")
    if proto in ("udp", "udplite", "gre"):
        name = f"nf_conntrack_{proto}_timeout"
        return f"{name}_stream" if entry.assured else name
    if proto in ("icmp", "icmpv6"):
        return f"nf_conntrack_{proto}_timeout"
    if proto == "sctp" and entry.state:
        return f"nf_conntrack_sctp_timeout_{entry.state.lower()}"
    return "nf_conntrack_generic_timeout"


class _Reader:
    def __init__(self, source: str) -> None:
        self.found = Recording(source)
        self.keys: dict[tuple[object, ...], int] = {}
        self.living: dict[int, _Life] = {}
        self.rows: list[tuple[int, int, int, int, int, int]] = []
        self.names: dict[str, int] = {}
        self.shapes: dict[tuple[str, str, str, str, bool, bool], int] = {}

    def take(self, entry: Entry) -> None:
        if entry.timestamp_s is None:
            self.found.undated += 1
            return
        found = self.found
        now_ns = round(entry.timestamp_s * SECOND_NS)
        if not found.events:
            found.first_ns = found.last_ns = now_ns
        if now_ns < found.last_ns:
            found.backwards += 1
            now_ns = found.last_ns
        found.last_ns = now_ns
        found.events += 1
        original = entry.original
        key = self.keys.setdefault((entry.l4proto, entry.zone, original), len(self.keys))
        life = self.living.get(key)
        if entry.event == "DESTROY":
            life = life or self._began(key, BEFORE, now_ns, entry)
            self._ended(life, now_ns)
            return
        if entry.event == "NEW" and life is not None:  # its end was not recorded
            self._ended(life, now_ns)
            life = None
        if life is None:
            life = self._began(key, now_ns if entry.event == "NEW" else BEFORE, now_ns, entry)
        life.last_ns, life.shape = now_ns, self._shape(entry)
        if entry.remaining_s is not None:
            life.remaining_s, life.timeout = entry.remaining_s, timeout_of(entry)

    def _began(self, key: int, begin_ns: int, now_ns: int, entry: Entry) -> _Life:
        life = _Life(key, begin_ns, now_ns, None, "", self._shape(entry))
        self.living[key] = life
        return life

    def _shape(self, entry: Entry) -> int:
        original = entry.original
        port = f"{entry.l4proto}/{original.dport}" if original.dport else entry.l4proto
        state = f"{entry.l4proto} {entry.state}" if entry.state else entry.l4proto
        shape = (original.src, original.dst, port, state, entry.assured, entry.unreplied)
        return self.shapes.setdefault(shape, len(self.shapes))

    def _ended(self, life: _Life, end_ns: int) -> None:
        self.living.pop(life.key, None)
        known = -1 if life.remaining_s is None else life.remaining_s
        name = self.names.setdefault(life.timeout, len(self.names))
        self.rows.append((life.begin_ns, end_ns, life.last_ns, known, name, life.shape))

    def done(self) -> Recording:
        for life in list(self.living.values()):
            self._ended(life, STILL)
        self.found.rows, self.found.timeouts, self.found.shapes = self.rows, list(self.names), list(self.shapes)
        return self.found


def read(lines: Iterable[str], source: str) -> Recording:
    """The recording in ``lines``; what is no event is passed over."""
    reader = _Reader(source)
    origin = Origin(source, 0, "")
    for text in lines:
        reader.found.lines += 1
        if "src=" not in text or len(text) > LONGEST_LINE:
            continue
        entry = decode(text.strip(), origin)
        if entry is not None and entry.event is not None:
            reader.take(entry)
    return reader.done()


def rebuild(recording: Recording, settings: Sequence[Setting], interval_ns: int | None = None) -> Replay:
    """The table's life under each setting.

    UsageError for a setting that a kernel would refuse, or that events cannot answer (a NOTRACK rule).
    """
    for setting in settings:
        compile_settings(era(setting.kernel), setting.sysctls)
        if setting.notrack is not None:
            raise UsageError("--notrack needs packets, and recorded events hold none; give a capture")
    span = max(1, recording.last_ns - recording.first_ns)
    interval = interval_ns or max(1, -(-span // MOST_SAMPLES))
    if span // interval > MOST_SAMPLES_NAMED:
        raise UsageError(
            f"an interval of {interval / 1e9:g} s makes more than {MOST_SAMPLES_NAMED} samples; name a longer one"
        )
    found = Replay([], recording.first_ns, recording.last_ns, interval, packets=recording.events)
    found.backwards = recording.backwards
    found.outcomes = [_outcome(recording, setting, interval) for setting in settings]
    return found


def _number(sysctls_given: Mapping[str, str], names: Sequence[str]) -> int | None:
    for name, value in reversed(list(sysctls_given.items())):
        if sysctls.canonical(name) in names or name in names:
            try:
                return int(value, 0)
            except ValueError:
                raise UsageError(f"{name}={value}: not a whole number") from None
    return None


def ends_under(recording: Recording, setting: Setting) -> tuple[Times, int]:
    """The end of each life under these settings (``STILL``: not in the recording), and how many of them moved."""
    lives = np.array(recording.rows, np.int64).reshape(-1, 6)
    ends = lives[:, 1].copy()
    moved = 0
    for number, name in enumerate(recording.timeouts):
        wanted = _number(setting.sysctls, (name,)) if name else None
        if wanted is None:
            continue
        said = (lives[:, 4] == number) & (lives[:, 3] >= 0)
        expiry = lives[:, 2] + lives[:, 3] * SECOND_NS
        died = (lives[:, 1] != STILL) & (np.abs(lives[:, 1] - expiry) <= SLACK_NS)
        waiting = (lives[:, 1] == STILL) & (expiry >= recording.last_ns - SLACK_NS)
        chosen = said & (died | waiting)
        ends[chosen] = lives[chosen, 2] + wanted * SECOND_NS
        moved += int(chosen.sum())
    return ends, moved


def _outcome(recording: Recording, setting: Setting, interval_ns: int) -> Outcome:
    limit = _number(setting.sysctls, _LIMITS)
    ends, moved = ends_under(recording, setting)
    lives = np.array(recording.rows, np.int64).reshape(-1, 6)
    begins = np.maximum(lives[:, 0], recording.first_ns)
    ends = np.maximum(ends, begins + 1)  # an end makes room for what begins at that moment, but not for itself
    there = lives[:, 0] == BEFORE
    admitted, refused_ns = _admitted(begins, ends, limit, there)
    times = np.concatenate([begins[admitted], ends[admitted]])
    steps = np.concatenate([np.ones(int(admitted.sum()), np.int64), np.full(int(admitted.sum()), -1, np.int64)])
    inside = times <= recording.last_ns
    order = np.lexsort((steps[inside], times[inside]))
    times, held = times[inside][order], np.cumsum(steps[inside][order])
    top = int(held.argmax()) if len(held) else 0
    peak_ns = int(times[top]) if len(times) else recording.first_ns
    notes = ["recorded events hold no packets: verdicts, window tracking and evictions are not known"]
    if moved:
        notes.append(f"{moved} entries died of a timeout that is set here, and end at another time")
    if limit is None:
        notes.append("no limit was given (--max): nothing is refused")
    return Outcome(
        setting,
        limit=limit,
        count=int(held[-1]) if len(held) else 0,
        peak=int(held[top]) if len(held) else 0,
        peak_ns=peak_ns,
        refused=len(refused_ns),
        refused_openings=len(refused_ns),
        refused_from_ns=int(refused_ns[0]) if len(refused_ns) else None,
        refused_to_ns=int(refused_ns[-1]) if len(refused_ns) else None,
        refused_s=float((refused_ns[-1] - refused_ns[0]) / SECOND_NS) if len(refused_ns) else 0.0,
        samples=_samples(recording, interval_ns, times, held, refused_ns),
        held=_holders(recording, lives[:, 5], admitted & (begins <= peak_ns) & (ends > peak_ns), peak_ns),
        notes=notes,
    )


def _admitted(
    begins: Times, ends: Times, limit: int | None, there: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.bool_], Times]:
    """Which lives found room, and when the others did not. An end makes room for a beginning at the same moment.

    Those that are ``there`` at the start stay: the limit is asked when an entry is made and at no other time
    (``__nf_conntrack_alloc``, net/netfilter/nf_conntrack_core.c).
    """
    admitted = np.ones(len(begins), np.bool_)
    if not limit:
        return admitted, np.zeros(0, np.int64)
    from heapq import heapify, heappop, heappush

    living: list[int] = ends[there].tolist()
    heapify(living)
    refused: list[int] = []
    came = np.flatnonzero(~there)
    for row in came[np.argsort(begins[came], kind="stable")].tolist():
        now_ns = int(begins[row])
        while living and living[0] <= now_ns:
            heappop(living)
        if len(living) >= limit:
            admitted[row] = False
            refused.append(now_ns)
        else:
            heappush(living, int(ends[row]))
    return admitted, np.array(refused, np.int64)


def _samples(recording: Recording, interval_ns: int, times: Times, held: Times, refused_ns: Times) -> list[Sample]:
    """One an interval: the count at its end, the highest within it, refusals so far."""
    samples: list[Sample] = []
    before, at = 0, 0
    end_ns = recording.first_ns
    while end_ns < recording.last_ns or not samples:
        end_ns = min(end_ns + interval_ns, recording.last_ns) if recording.last_ns > end_ns else end_ns
        to = int(np.searchsorted(times, end_ns, side="right"))
        high = max(before, int(held[at:to].max())) if to > at else before
        before = int(held[to - 1]) if to else 0
        drops = int(np.searchsorted(refused_ns, end_ns, side="right"))
        samples.append(Sample(end_ns, before, high, _NO_VERDICTS, (drops, *(0,) * (len(COUNTED) - 1))))
        at = to
        if end_ns >= recording.last_ns:
            break
    return samples


def _holders(recording: Recording, shapes: Times, there: npt.NDArray[np.bool_], time_ns: int) -> Holders | None:
    """The composition at one moment, from what the last event of each entry said."""
    values, counts = np.unique(shapes[there], return_counts=True)
    if not len(values):
        return None
    columns: list[dict[str, int]] = [{}, {}, {}, {}]
    assured = unreplied = 0
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        shape = recording.shapes[value]
        for column, name in zip(columns, shape[:4], strict=True):
            column[name] = column.get(name, 0) + count
        assured += count * shape[4]
        unreplied += count * shape[5]
    total = int(counts.sum())
    ranked = [sorted(column.items(), key=lambda pair: -pair[1]) for column in columns]
    own = likely_own((*ranked[0], *ranked[1]), total)
    tops = [tuple(column[:MOST]) for column in ranked[:3]]
    return Holders(time_ns, total, tops[0], tops[1], tops[2], tuple(ranked[3]), assured, unreplied, own)


def lines_of(stream: Iterable[bytes]) -> Iterator[str]:
    """Text lines of a byte stream; what is no UTF-8 is spelled out."""
    for line in stream:
        yield line.decode("utf-8", "backslashreplace")
