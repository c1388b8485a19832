"""``/proc/net/stat/nf_conntrack`` and ``ip_conntrack`` beside it: one row of hexadecimal counters per possible CPU.

The columns are read by name, never by position: the file kept its width while the kernel reused columns (``searched``
became ``clashres`` in v5.10, ``delete_list`` became ``chainlength`` in v5.15). ``entries`` is the namespace's count,
the same on every row, so it is one fact and never added up.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from tablefull.facts.counters import CpuCounters
from tablefull.facts.entry import EntryCount
from tablefull.facts.origin import Fact
from tablefull.kernel.uapi import ALIASES, dead_columns
from tablefull.parsers.block import Context, Line, Read

_ROW = re.compile(r"(?:\S{1,80}:)?\s*[0-9a-fA-F]{8}(?:\s+[0-9a-fA-F]{8})*\s*(?:[0-9a-fA-F]{1,7})?")
_WORDS = re.compile(r"\s*[a-z][a-z_]{1,20}(?:\s+[a-z][a-z_]{1,20})*\s*")
COLUMNS = frozenset(
    "entries searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error"
    " expect_new expect_create expect_delete search_restart clashres chainlength chaintoolong".split()
)
# Printed as zero since v5.10, when nothing counts them any more; the column clashres marks such a kernel.
# Linux net/netfilter/nf_conntrack_standalone.c, ct_cpu_seq_show().
DEAD = frozenset(("new", "ignore", "delete", "delete_list"))
_WRAPPED = 6  # lines a header or a row of 17 columns may be spread over


def _bare(text: str) -> str:
    """The line without the file name that ``grep`` puts before it."""
    return text.rpartition(":")[2] if ":" in text[:120] else text


def _header(lines: Sequence[Line], at: int) -> tuple[list[str], int]:
    """The column names from ``lines[at]`` on and the lines they take; no name where it is no header."""
    words = _bare(lines[at].text).split()
    if len(words) < 2 or words[0] != "entries" or words[1] not in ("searched", "clashres"):
        return [], 0
    if not all(word in COLUMNS for word in words[:-1]):
        return [], 0
    used = 1
    while used < _WRAPPED and at + used < len(lines):
        text = lines[at + used].text
        if not _WORDS.fullmatch(text):
            break
        following = text.split()
        glued = words[-1] + following[0]
        if glued in COLUMNS and words[-1] not in COLUMNS:
            words[-1:] = [glued, *following[1:]]
        elif all(word in COLUMNS for word in following[:-1]):
            words += following
        else:
            break
        used += 1
    return words, used


def _values(names: Sequence[str], row: Sequence[str]) -> dict[str, int]:
    dead = DEAD if "clashres" in names else frozenset()
    values: dict[str, int] = {}
    for name, word in zip(names, row, strict=False):
        if name == "entries" or name in dead or name not in COLUMNS:
            continue
        values[ALIASES.get(name, name)] = int(word, 16)
    return values


def _layout(names: Sequence[str], context: Context) -> str:
    where = f"{context.path or ''} {context.command or ''}"
    if "stat/ip_conntrack" in where and "search_restart" not in names:
        return "/proc/net/stat/ip_conntrack"
    return "/proc/net/stat/nf_conntrack"


class Totals(Struct, frozen=True):
    """A whole file of the running kernel: the namespace's count, and each counter summed over the CPUs.

    ``values`` holds what the file says, by uapi names; those of them that this kernel never moves are named in
    ``dead``. A sum goes down by 2**32 when one CPU's counter wraps.
    """

    entries: int
    values: dict[str, int]
    dead: tuple[str, ...]


def entries(content: bytes) -> int | None:
    """The namespace's count alone; None where this is no such file."""
    header, _, rows = content.partition(b"\n")
    word = rows[:8]
    if not header.startswith(b"entries ") or len(word) != 8:
        return None
    try:
        return int(word, 16)
    except ValueError:
        return None


def totals(content: bytes) -> Totals | None:
    """The counters of a file as the kernel hands it out, never wrapped or cut; None where it is none."""
    header, _, rows = content.partition(b"\n")
    names = header.decode("ascii", "replace").split()
    if len(names) < 2 or names[0] != "entries" or not COLUMNS.issuperset(names):
        return None
    table = [row.split() for row in rows.splitlines()]
    if not table or any(len(row) != len(names) for row in table):
        return None
    try:
        sums = {
            ALIASES.get(name, name): sum(int(word, 16) for word in column)
            for name, column in zip(names[1:], list(zip(*table, strict=True))[1:], strict=True)
        }
        return Totals(int(table[0][0], 16), sums, dead_columns(names))
    except ValueError:
        return None


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Counters of each row, whose CPU the file does not say, and the count of entries once.

    A row that is cut gives the columns it has and is reported as unread too.
    """
    names, used = _header(lines, at)
    if not names:
        return None
    layout = _layout(names, context)
    facts: list[Fact] = []
    unread: list[tuple[Line, str]] = []
    here = at + used
    while here < len(lines) and _ROW.fullmatch(lines[here].text):
        line = lines[here]
        row = _bare(line.text).split()
        here += 1
        taken = 1
        while len(row) < len(names) and taken < _WRAPPED and here < len(lines) and _ROW.fullmatch(lines[here].text):
            following = lines[here].text.split()
            if len(row) + len(following) > len(names):
                break
            row += following
            here += 1
            taken += 1
        if len(row) > len(names):
            unread.append((line, "more values than the header has columns"))
            continue
        whole = [word for word in row if len(word) == 8]
        if len(whole) < len(names):
            unread.append((line, "a row of counters that is cut"))
        if not any(isinstance(fact, EntryCount) for fact in facts[:1]):
            facts.append(EntryCount(origin=context.origin(line), count=int(whole[0], 16), how="count"))
        facts.append(CpuCounters(origin=context.origin(line), cpu=None, values=_values(names, whole), layout=layout))
    if not facts and not unread:
        unread.append((lines[at], "a header without its rows"))
    return Read(here - at, facts, unread)
