"""What `tablefull record` wrote, as the lives of entries: the same as replay_events reads from text, in columns.

The trap: a record has holes and says so. An entry that was there before a gap and is not in the dump after it has ended
unseen; one that is in the dump and was not there before began unseen; and a dump that broke off proves nothing about
what is missing from it. Rows lie in the order in which they were written; their times say what came first.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from tablefull.errors import Unreadable, UsageError
from tablefull.facts.entry import CtTuple, Entry
from tablefull.facts.origin import Origin
from tablefull.live import record_columns as columns
from tablefull.live.record_files import PART, PREFIX, SUFFIX
from tablefull.live.replay_events import BEFORE, STILL, Recording, Times, timeout_of

if TYPE_CHECKING:
    import polars as pl

MAGIC = b"PAR1"
_KEY = (
    "netns",
    "zone",
    "zone_orig",
    "proto",
    "src",
    "dst",
    "sport",
    "dport",
    "icmp_type",
    "icmp_code",
    "icmp_id",
    "id",
)
_WANTED = (*_KEY, "time_ns", "kind", "state", "remaining_s", "status", "start_ns", "until_ns", "lost")
_KINDS = {columns.RESYNC: 0, columns.NEW: 1, columns.UPDATE: 2, columns.DESTROY: 3}
RESYNC, NEW, _, DESTROY, _OTHER = range(5)
Flags = npt.NDArray[np.bool_]


class Read(Struct):
    """The recording, and what is to be said of it; ``blind`` where a part of it could not be read."""

    recording: Recording
    notes: list[str] = field(default_factory=list)
    blind: bool = False


def is_record(path: str) -> bool:
    """Whether a path is a folder, or a file that begins like Parquet."""
    place = Path(path)
    try:
        if place.is_dir():
            return True
        if not place.is_file():
            return False
        with place.open("rb") as file:
            return file.read(4) == MAGIC
    except (OSError, ValueError):
        return False


def read(path: str) -> Read:
    """The record in a folder or a file. UsageError where there is none."""
    import polars as pl

    place = Path(path)
    files = sorted(place.glob(f"*{SUFFIX}")) if place.is_dir() else [place]
    if not files:
        raise UsageError(f"{path}: holds no {PREFIX}*{SUFFIX}; `tablefull record -o DIR` writes them")
    found = Read(Recording(path))
    if place.is_dir() and list(place.glob(f"*{SUFFIX}{PART}")):
        found.notes.append("a recording runs there still, or was cut off: what is in its .part is not in this answer")
    frames = []
    worst: Exception = OSError("nothing")
    for file in files:
        try:
            frames.append(pl.read_parquet(file, columns=list(_WANTED)))
        except pl.exceptions.ColumnNotFoundError:
            raise UsageError(f"{file}: is no record of `tablefull record`: columns are missing") from None
        except (pl.exceptions.PolarsError, OSError) as error:
            found.blind = True
            found.notes.append(f"{file.name}: cannot be read ({_words(error)}); the others were used")
            worst = error
    if not frames:  # an empty answer would read as an idle host
        which = f"{files[0]}" if len(files) == 1 else f"{path}: each of its {len(files)} files"
        raise Unreadable(which, f"cannot be read ({_words(worst)})", "it was cut off or overwritten; record again")
    _lives(pl.concat(frames), found)
    return found


def _words(error: Exception) -> str:
    return str(error).splitlines()[0][:100] if str(error) else type(error).__name__


def _lives(frame: "pl.DataFrame", found: Read) -> None:
    import polars as pl

    recording = found.recording
    recording.lines = frame.height
    if not frame.height:
        return
    controls = frame.filter(pl.col("kind").is_in(columns.CONTROLS))
    recording.first_ns = int(frame["time_ns"].min() or 0)  # type: ignore[arg-type]
    recording.last_ns = int(frame["time_ns"].max() or 0)  # type: ignore[arg-type]
    _told(controls, found)
    kinds = frame["kind"].replace_strict(_KINDS, default=_OTHER, return_dtype=pl.UInt8).to_numpy()
    recording.events = int(((kinds != RESYNC) & (kinds != _OTHER)).sum())
    if (kinds != _OTHER).any():
        _rows(frame, kinds, controls, recording)


def _told(controls: "pl.DataFrame", found: Read) -> None:
    import polars as pl

    gaps = controls.filter(pl.col("kind") == columns.GAP)
    if not gaps.height:
        return
    lost, unknown = int(gaps["lost"].sum()), int(gaps["lost"].is_null().sum())
    span_s = float((gaps["until_ns"] - gaps["time_ns"]).sum()) / 1e9
    more = f", {unknown} of unknown size" if unknown else ""
    found.notes.append(
        f"the record has {gaps.height} gaps of {span_s:.2f} s together, {lost:,} events lost{more}: entries that began "
        "or ended in one are counted as from its end"
    )


def _rows(events: "pl.DataFrame", kinds: npt.NDArray[np.uint8], controls: "pl.DataFrame", recording: Recording) -> None:
    """One row a life: begin, end, last event, what it had left, its timeout, its shape."""
    import polars as pl

    keys = events.select(pl.struct(_KEY).hash(1)).to_series().to_numpy()
    time_ns = events["time_ns"].to_numpy()
    order = np.flatnonzero(kinds != _OTHER)
    if (np.diff(time_ns) < 0).any():
        order = order[np.argsort(time_ns[order], kind="stable")]
    order = order[np.argsort(keys[order], kind="stable")]
    # Only what is asked of a row is put into order: whole rows of ten million would take most of the time.
    keys, time_ns = keys[order], time_ns[order]
    kind = kinds[order]
    starts, lasts = _bounds(keys, kind)
    destroyed = kind[lasts] == DESTROY
    said = np.where(destroyed & (lasts > starts), lasts - 1, lasts)  # the last row that tells a state
    spaces = events["netns"].gather(order[starts])
    stamped = events["start_ns"].gather(order[starts]).fill_null(0).to_numpy()
    begins = _begins(stamped, controls, spaces, starts, lasts, time_ns, kind, recording.first_ns)
    ends = np.where(destroyed, time_ns[lasts], _unseen_ends(controls, spaces, time_ns[lasts]))
    again = np.flatnonzero(~destroyed[:-1] & (keys[starts[1:]] == keys[starts[:-1]]))
    ends[again] = np.minimum(ends[again], time_ns[starts[again + 1]])
    remaining = events["remaining_s"].cast(pl.Int64).fill_null(-1).to_numpy()[order]
    places = np.arange(len(keys))
    knew = np.maximum.accumulate(np.where((remaining >= 0) & (kind != DESTROY), places, -1))[said]
    known = knew >= starts
    knew = np.where(known, knew, said)
    names, timeouts = _timeouts(events.select("proto", "state", "status")[order[knew]])
    shapes, numbers = _shapes(events.select("src", "dst", "dport", "proto", "state", "status")[order[said]])
    unknown = len(names)  # of those that never told what they had left
    recording.rows = np.column_stack(
        [begins, ends, time_ns[said], np.where(known, remaining[knew], -1), np.where(known, timeouts, unknown), numbers]
    ).astype(np.int64)
    recording.timeouts, recording.shapes = [*names, ""], shapes


def _bounds(keys: npt.NDArray[np.uint64], kind: npt.NDArray[np.uint8]) -> tuple[Times, Times]:
    """First and last row of each life. A NEW right behind a dump's row is that entry's, told late."""
    same = np.zeros(len(keys), np.bool_)
    same[1:] = keys[1:] == keys[:-1]
    before = np.empty_like(kind)
    before[0], before[1:] = DESTROY, kind[:-1]
    begins = ~same | (before == DESTROY) | ((kind == NEW) & (before != RESYNC))
    starts = np.flatnonzero(begins)
    return starts, np.append(starts[1:], len(keys)) - 1


def _begins(
    stamped: Times, controls: "pl.DataFrame", spaces: "pl.Series", starts: Times, lasts: Times, time_ns: Times,
    kind: npt.NDArray[np.uint8], first_ns: int,
) -> Times:  # fmt: skip
    """When each life began: its NEW, else its start as the kernel stamped it, else the end of the gap before it.

    ``BEFORE`` where there was no gap: it was there when the recording began. A gap counts behind the first dump;
    between two recordings in one folder there is one, too.
    """
    import polars as pl

    places = np.arange(len(kind))
    news = np.where(kind == NEW, places, len(kind))
    first_new = np.minimum.reduceat(news, starts)
    has_new = first_new <= lasts
    begins = np.where(stamped >= first_ns, stamped, BEFORE)
    unstamped = stamped == 0
    dumps = _by_space(controls, (columns.SYNCED,), "time_ns")
    unseen = controls.with_columns(pl.coalesce("until_ns", "time_ns").alias("until_ns"))
    for space, gaps in _by_space(unseen, (columns.GAP, columns.JOINED), "until_ns").items():
        if space not in dumps:
            continue  # without a dump before a gap nobody knows what was there already
        gaps = gaps[gaps > dumps[space][0]]
        if not len(gaps):
            continue
        chosen = unstamped & (spaces == space).to_numpy()
        before = np.searchsorted(gaps, time_ns[starts[chosen]], side="right") - 1
        begins[chosen] = np.where(before >= 0, gaps[np.maximum(before, 0)], BEFORE)
    begins[has_new] = time_ns[first_new[has_new]]
    return begins


def _unseen_ends(controls: "pl.DataFrame", spaces: "pl.Series", last_ns: Times) -> Times:
    """The next whole dump that a life without a DESTROY is not in, or the end of its namespace; else ``STILL``."""
    ends = np.full(len(last_ns), STILL, np.int64)
    for space, dumps in _by_space(controls, (columns.SYNCED, columns.GONE), "time_ns").items():
        chosen = np.flatnonzero((spaces == space).to_numpy())
        after = np.searchsorted(dumps, last_ns[chosen], side="right")
        there = after < len(dumps)
        ends[chosen[there]] = dumps[after[there]]
    return ends


def _by_space(controls: "pl.DataFrame", kinds: Sequence[str], column: str) -> dict[str, Times]:
    import polars as pl

    chosen = controls.filter(pl.col("kind").is_in(kinds))
    return {
        str(space): np.sort(part[column].to_numpy())
        for (space,), part in chosen.partition_by("netns", as_dict=True).items()
    }


def _timeouts(rows: "pl.DataFrame") -> tuple[list[str], Times]:
    """The setting that decides about each row, as a number into the names."""
    import polars as pl

    told = rows.select("proto", "state", pl.col("status").str.contains("assured", literal=True).alias("assured"))
    numbers, different = _numbered(told)
    nobody = CtTuple("", "")
    made = [
        timeout_of(
            Entry(origin=Origin("", 0, ""), l4proto=proto or "", original=nobody, state=state, assured=bool(assured))
        )
        for proto, state, assured in different.iter_rows()
    ]
    names = list(dict.fromkeys(made))
    return names, np.array([names.index(name) for name in made], np.int64)[numbers]


def _shapes(rows: "pl.DataFrame") -> tuple[list[tuple[str, str, str, str, bool, bool]], Times]:
    import polars as pl

    def beside(name: str, mark: str) -> "pl.Expr":
        other = pl.col(name)
        empty = other.is_null() if name == "state" else other.is_null() | (other == 0)
        return pl.when(empty).then(pl.col("proto")).otherwise(pl.format(f"{{}}{mark}{{}}", "proto", name))

    told = rows.select(
        "src",
        "dst",
        beside("dport", "/").alias("port"),
        beside("state", " ").alias("state"),
        pl.col("status").str.contains("assured", literal=True).alias("assured"),
        (~pl.col("status").str.contains("seen_reply", literal=True)).alias("unreplied"),
    )
    numbers, different = _numbered(told)
    return list(zip(*(different[name].to_list() for name in different.columns), strict=True)), numbers


def _numbered(rows: "pl.DataFrame") -> "tuple[Times, pl.DataFrame]":
    """The number of each row among the different ones, and those."""
    import polars as pl

    keys = rows.select(pl.struct(pl.all()).hash(2)).to_series().to_numpy()
    _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    return numbers.astype(np.int64), rows[first]
