"""The history of tables in one SQLite file: what was seen, finer of late and coarser with age, and which alarms are up.

The trap: nothing about a file may end a watch. A full disk, a damaged file, one of another program or of a later
version: each is told once, in one line, and what was seen is then kept in memory alone. A file that is not ours is
never written or moved. And no clock orders the rows: ``at_s`` only grows, by the clock that stands still while the host
sleeps (as the timeouts of entries do), and by the wall between two boots.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from tablefull.twin.forecast import Sample
from tablefull.watch.alarms import Memory

APPLICATION_ID = 0x7466756C  # "tful"
VERSION = 1
PAGE_BYTES = 4096
MOST_BYTES = 16 << 20
# Age from which on rows are joined, and how long a joined one is; older than the last is forgotten.
TIERS_S = ((7200.0, 60.0), (2 * 86400.0, 600.0))
OLDEST_S = 14 * 86400.0
TIDY_EVERY = 60  # rows
BUSY_S = 2.0
COUNTED = ("drop", "early_drop", "insert_failed", "chain_toolong", "clash_resolve", "invalid")
_MAGIC = b"SQLite format 3\0"
_SCHEMA = f"""
create table if not exists seen (
    id integer primary key, space text not null, boot text not null, at_s real not null, wall_s real not null,
    step_s real not null, count integer not null, high integer not null, lim integer, created integer,
    {", ".join(f"moved_{name} integer" for name in COUNTED)});
create index if not exists seen_at on seen (space, at_s);
create table if not exists alarm (space text primary key, memory text not null);
"""
_COLUMNS = (
    "space",
    "boot",
    "at_s",
    "wall_s",
    "step_s",
    "count",
    "high",
    "lim",
    "created",
    *(f"moved_{name}" for name in COUNTED),
)
_INSERT = f"insert into seen ({', '.join(_COLUMNS)}) values ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - names of ours
_SELECT = f"select {', '.join(_COLUMNS)} from seen"  # noqa: S608


class Row(Struct, frozen=True, kw_only=True):
    """What was seen at the end of ``step_s`` seconds. ``high``: the highest count in them; ``moved``: of COUNTED, in
    them; absent where it is unknown. ``created``: entries since boot, None where the kernel does not tell.
    """

    space: str
    boot: str
    at_s: float
    wall_s: float
    count: int
    limit: int | None
    step_s: float = 0.0
    high: int = 0
    created: int | None = None
    moved: dict[str, int] = {}


def default_place(environment: dict[str, str], is_root: bool) -> Path:
    """Where a history is kept where nobody names a file."""
    if is_root:
        return Path("/var/lib/tablefull/history.db")
    state = environment.get("XDG_STATE_HOME", "")
    home = Path(environment.get("HOME") or "/")
    # The XDG Base Directory specification: a relative path in the variable is to be ignored.
    return (Path(state) if state.startswith("/") else home / ".local/state") / "tablefull/history.db"


class History:
    """``tell`` takes one line about what is wrong with the file. ``write`` False: only read, nothing is made.

    ``ours``: the place is this program's own, so what lies there damaged may be put aside.
    """

    def __init__(
        self,
        path: Path,
        tell: Callable[[str], None],
        *,
        write: bool = True,
        ours: bool = False,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.path, self._tell, self._write, self._ours, self._most_bytes = path, tell, write, ours, most_bytes
        self._kept: dict[str, list[Row]] = {}
        self._memories: dict[str, Memory] = {}
        self._file: sqlite3.Connection | None = None
        self._lock: int | None = None
        self._failing = ""
        self._since_tidy = 0
        self._open()

    @property
    def saved(self) -> bool:
        """Whether what is added goes to the file."""
        return self._file is not None and self._write

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def rows(self, space: str, most_age_s: float = OLDEST_S) -> list[Row]:
        """What was seen of a space, the oldest first."""
        return [row for row in self._kept.get(space, []) if self._newest(space) - row.at_s <= most_age_s]

    def spaces(self) -> list[str]:
        """The spaces that something is known of."""
        return sorted(self._kept)

    def samples(self, space: str, boot: str) -> list[Sample]:
        """What a forecast takes: this boot's counts, the highest of each row."""
        found: list[Sample] = []
        for row in self._kept.get(space, []):
            if row.boot == boot:
                found.append(Sample(row.at_s, max(row.high, row.count), row.created, joined=bool(found)))
        return found

    def memory(self, space: str) -> Memory | None:
        """What the alarms of a space knew when it was last written."""
        return self._memories.get(space)

    def next_at(self, space: str, awake_s: float, before_awake_s: float | None, wall_s: float) -> float:
        """The next row's ``at_s``. ``before_awake_s``: the clock at this space's last row, None before the first."""
        rows = self._kept.get(space)
        if not rows:
            return 0.0
        last = rows[-1]
        passed = awake_s - before_awake_s if before_awake_s is not None else wall_s - last.wall_s
        return last.at_s + max(passed, 1e-3)

    def add(self, row: Row, memory: Memory | None = None) -> None:
        """Keep a row, in the file too where that works."""
        self._kept.setdefault(row.space, []).append(row)
        if memory is not None:
            self._memories[row.space] = memory
        self._since_tidy += 1
        due = self._since_tidy >= TIDY_EVERY * len(self._kept)
        if due:
            self._since_tidy = 0
            for space in self._kept:
                self._kept[space] = joined(self._kept[space])
        if not self._write:
            return
        if self._file is None and due:
            self._open(again=True)
        if self._file is not None:
            self._guarded(lambda file: self._save(file, row, memory, due))

    def _newest(self, space: str) -> float:
        rows = self._kept.get(space)
        return rows[-1].at_s if rows else 0.0

    def _save(self, file: sqlite3.Connection, row: Row, memory: Memory | None, due: bool) -> None:
        with file:
            if due or self._failing:
                file.execute("delete from seen")
                file.executemany(_INSERT, [_values(one) for rows in self._kept.values() for one in rows])
            else:
                file.execute(_INSERT, _values(row))
            if memory is not None:
                words = (row.space, msgspec.json.encode(memory).decode())
                file.execute("insert or replace into alarm values (?, ?)", words)
        if self._failing:
            self._tell(f"{self.path}: is written again")
            self._failing = ""

    def _guarded(self, act: Callable[[sqlite3.Connection], None]) -> None:
        """Do it, and whatever goes wrong with the file is told once and ends nothing."""
        assert self._file is not None
        try:
            act(self._file)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL and self._is_at_bound():
                self._shrink()
                return
            self._trouble(error)
        except OSError as error:
            self._trouble(error)

    def _is_at_bound(self) -> bool:
        try:
            return self.path.stat().st_size >= self._most_bytes - 8 * PAGE_BYTES
        except OSError:
            return False

    def _shrink(self) -> None:
        """The file has its full size: the older half goes."""
        for space, rows in self._kept.items():
            self._kept[space] = rows[len(rows) // 2 :]
        assert self._file is not None
        try:
            with self._file:
                self._file.execute("delete from seen where id <= (select (min(id) + max(id)) / 2 from seen)")
        except sqlite3.DatabaseError as error:
            self._trouble(error)

    def _trouble(self, error: Exception) -> None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            self._aside(str(error))
            return
        why = "the disk is full" if code == sqlite3.SQLITE_FULL else _words(error)
        if why != self._failing:
            self._tell(f"{self.path}: cannot be written ({why}); what is seen is kept in memory until it can")
        self._failing = why
        if code != sqlite3.SQLITE_FULL and self._file is not None:
            self._file.close()
            self._file = None

    def _aside(self, why: str) -> None:
        """A damaged file of ours goes aside, and a new one begins with what is in memory."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if not self._write:
            self._tell(f"{self.path}: is damaged ({why}); nothing of it is used")
            return
        beside = self.path.with_name(self.path.name + ".damaged")
        try:
            self.path.replace(beside)
        except OSError as error:
            self._tell(
                f"{self.path}: is damaged ({why}), and not to be put aside ({_words(error)}); kept in memory only"
            )
            self._write = False
            return
        self._tell(f"{self.path}: is damaged ({why}); it is {beside.name} now, and a new one is begun")
        self._connect()

    def _open(self, again: bool = False) -> None:
        told = self._tell
        if again:
            self._tell = lambda _: None  # it was told when it began
        try:
            if self._write:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if os.geteuid() == 0 else 0o700)
                self._take_lock()
            if self._foreign():
                return
            self._connect()
        except OSError as error:
            self._lost(_words(error))
        finally:
            self._tell = told
        if again and self._file is not None:
            self._tell(f"{self.path}: is written again")
            self._failing = ""

    def _take_lock(self) -> None:
        """Two watches would count everything twice: the second one keeps its own in memory."""
        if self._lock is not None:
            return
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            self._tell(f"{self.path}: another tablefull watch writes it; this one reads it and keeps its own in memory")
            self._write = False
            return
        self._lock = lock

    def _foreign(self) -> bool:
        """True where what lies at the path is not ours to write; told."""
        try:
            with self.path.open("rb") as file:
                head = file.read(len(_MAGIC))
        except FileNotFoundError:
            return not self._write
        if not head or head == _MAGIC:
            return False
        if self._ours:
            self._aside("it does not begin as a history does")
            return True
        self._tell(
            f"no history, or a damaged one; what is seen is kept in memory, and the file left alone: {self.path}"
        )
        self._write = False
        return True

    def _connect(self) -> None:
        try:
            mode = "rwc" if self._write else "ro"
            # The path as a URI: a ? or # in it is no question.
            file = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S)
        except (sqlite3.Error, ValueError) as error:
            self._lost(_words(error))
            return
        self._file = file
        try:
            if self._prepared(file):
                self._read(file)
            else:
                file.close()
                self._file = None
        except sqlite3.OperationalError as error:
            self._file = None
            file.close()
            self._lost(_words(error))
        except (sqlite3.DatabaseError, msgspec.MsgspecError) as error:
            self._aside(str(error))

    def _prepared(self, file: sqlite3.Connection) -> bool:
        application = file.execute("pragma application_id").fetchone()[0]
        version = file.execute("pragma user_version").fetchone()[0]
        tables = file.execute("select count(*) from sqlite_master").fetchone()[0]
        if tables and (application != APPLICATION_ID or version != VERSION):
            whose = "of another program" if application != APPLICATION_ID else f"of another version ({version})"
            self._tell(f"{self.path}: is a database {whose}; it is left alone, and what is seen is kept in memory")
            self._write = False
            return False
        if not tables and not self._write:
            return False
        if self._write:
            if not tables:
                file.execute(f"pragma page_size = {PAGE_BYTES}")
                file.execute(f"pragma application_id = {APPLICATION_ID}")
                file.execute(f"pragma user_version = {VERSION}")
            file.execute("pragma journal_mode = truncate")
            file.execute("pragma synchronous = normal")
            file.execute(f"pragma max_page_count = {self._most_bytes // PAGE_BYTES}")
            file.executescript(_SCHEMA)
        return True

    def _read(self, file: sqlite3.Connection) -> None:
        if not self._kept:
            found: dict[str, list[Row]] = {}
            for values in file.execute(f"{_SELECT} order by at_s, id"):
                row = _row(values)
                found.setdefault(row.space, []).append(row)
            memories = {
                space: msgspec.json.decode(words, type=Memory)
                for space, words in file.execute("select space, memory from alarm")
            }
            self._kept, self._memories = found, memories
        elif self._write:
            _fill(file, [row for rows in self._kept.values() for row in rows])

    def _lost(self, why: str) -> None:
        what = "what is seen is kept in memory only" if self._write else "nothing of it is used"
        self._tell(f"{self.path}: cannot be opened ({why}); {what}")


def _fill(file: sqlite3.Connection, rows: Iterable[Row]) -> None:
    with file:
        file.execute("delete from seen")
        file.executemany(_INSERT, [_values(row) for row in rows])


def _words(error: Exception) -> str:
    return ((error.strerror if isinstance(error, OSError) else None) or str(error)).lower()


def _values(row: Row) -> tuple[object, ...]:
    return (
        row.space, row.boot, row.at_s, row.wall_s, row.step_s, row.count, max(row.high, row.count), row.limit,
        row.created, *(row.moved.get(name) for name in COUNTED),
    )  # fmt: skip


def _row(values: Sequence[object]) -> Row:
    named = dict(zip(_COLUMNS, values, strict=True))
    moved = {name: named.pop(f"moved_{name}") for name in COUNTED}
    told = {**named, "limit": named["lim"], "moved": {name: step for name, step in moved.items() if step is not None}}
    del told["lim"]
    return msgspec.convert(told, Row)


def joined(rows: Sequence[Row]) -> list[Row]:
    """The same history, rows that are old enough joined into longer ones, the oldest left out."""
    if not rows:
        return []
    newest = rows[-1].at_s
    found: list[Row] = []
    for row in rows:
        age = newest - row.at_s
        if age > OLDEST_S:
            continue
        length = max((length for least, length in TIERS_S if age >= least), default=0.0)
        last = found[-1] if found else None
        if last is None or not length or last.boot != row.boot or last.at_s // length != row.at_s // length:
            found.append(row)
            continue
        moved = {
            name: last.moved[name] + row.moved[name] for name in COUNTED if name in last.moved and name in row.moved
        }
        found[-1] = Row(
            space=row.space, boot=row.boot, at_s=row.at_s, wall_s=row.wall_s, count=row.count, limit=row.limit,
            step_s=last.step_s + row.step_s, high=max(last.high, last.count, row.high, row.count), created=row.created,
            moved=moved,
        )  # fmt: skip
    return found
