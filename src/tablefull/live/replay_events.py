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
from tablefull.live.replay_holders import MOST, OWN_SHARE, Holders
from tablefull.parsers.conntrack_entries import decode

Times = npt.NDArray[np.int64]
SECOND_NS = 1_000_000_000
SLACK_NS = 2 * SECOND_NS  # an expired entry is destroyed when somebody meets it; less than this early is a clock's rounding
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
    rows: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
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
        self.found.rows.append((life.begin_ns, end_ns, life.last_ns, known, name, life.shape, life.key)[:6])

    def done(self) -> Recording:
        for life in list(self.living.values()):
            self._ended(life, STILL)
        self.found.timeouts, self.found.shapes = list(self.names), list(self.shapes)
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
