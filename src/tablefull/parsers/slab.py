"""Connection tracking's slab caches: ``/proc/slabinfo`` 1.1, 2.0, 2.1, ``slabtop``, ``vmstat -m``, or a grepped row.

The trap: to v4.6 every network namespace has a cache of its own, named with an address
(``nf_conntrack_ffffffff81ce9b80``), so there may be many and each is kept. Objects are counted per CPU and lazily, so
``active`` runs ahead of the table's count.
"""

import re
from collections.abc import Sequence

from tablefull.facts.host import Slab
from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.numeral import size_bytes, whole

_CACHE = re.compile(r"(?:nf|ip)_conntrack(?:_expect|_[0-9a-fx]{1,20})?(?:\([0-9]{1,10}:[^)\s]{0,200}\))?$")
# slabinfo counts slabs in pages; those are 4 KiB everywhere but on some ARM and POWER machines.
_PAGE_BYTES = 4096


def _row(line: Line, context: Context, least: int) -> tuple[Slab | None, bool]:
    """The cache of a row where it is one of ours, and whether the line is a row of such a table at all."""
    words = line.text.replace(":", " : ").split() if "(" not in line.text else line.text.split()
    numbers: list[int] = []
    for word in words[1:]:
        value = whole(word)
        if value is None:
            break
        numbers.append(value)
    if len(numbers) < least or not words or words[0][:1].isdigit():
        return None, False
    if not _CACHE.match(words[0]):
        return None, True
    cache_bytes = None
    if "slabdata" in words and len(numbers) >= 5:
        at = words.index("slabdata")
        slabs = next((n for word in words[at + 2 : at + 3] if (n := whole(word)) is not None), None)
        cache_bytes = slabs * numbers[4] * _PAGE_BYTES if slabs is not None else None
    elif len(numbers) >= 6 and "tunables" not in words:
        cache_bytes = numbers[4] * numbers[5] * _PAGE_BYTES
    object_bytes = numbers[2] if len(numbers) > 2 else None
    if cache_bytes is not None and object_bytes is not None:
        # A pasted row may have lost columns; a cache is never smaller than its objects.
        cache_bytes = max(cache_bytes, numbers[1] * object_bytes)
    return Slab(
        origin=context.origin(line),
        name=words[0],
        active=numbers[0],
        total=numbers[1],
        object_bytes=object_bytes,
        cache_bytes=cache_bytes,
    ), True


def _top_row(line: Line, context: Context) -> tuple[Slab | None, bool]:
    """A row of ``slabtop``: OBJS ACTIVE USE OBJ-SIZE SLABS OBJ/SLAB CACHE-SIZE NAME."""
    words = line.text.split()
    if len(words) != 8 or not words[2].endswith("%"):
        return None, False
    total, active = whole(words[0]), whole(words[1])
    if total is None or active is None:
        return None, False
    if not _CACHE.match(words[7]):
        return None, True
    slab = Slab(
        origin=context.origin(line),
        name=words[7],
        active=active,
        total=total,
        object_bytes=size_bytes(words[3]),
        cache_bytes=size_bytes(words[6]),
    )
    return slab, True


_SUMMARY = ("Active / Total", "Minimum / Average")


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Our caches of a whole table, or of rows that stand alone.

    Rows of other caches are read past where a header or a command shows the table.
    """
    where = f"{context.command or ''} {context.path or ''}"
    text = lines[at].text.strip()
    headed = text.startswith(("slabinfo - version", "# name", "OBJS ACTIVE", *_SUMMARY)) or text.split()[:3] == [
        "Cache",
        "Num",
        "Total",
    ]
    told = headed or "slabinfo" in where or "slabtop" in where or "vmstat -m" in where
    facts: list[Fact] = []
    here = at
    while here < len(lines):
        line = lines[here]
        stripped = line.text.strip()
        if told and stripped.startswith(("slabinfo - version", "# name", "OBJS ACTIVE", "Cache ", *_SUMMARY)):
            here += 1
            continue
        if (
            told
            and headed
            and not stripped
            and here + 1 < len(lines)
            and lines[here + 1].text.lstrip().startswith("OBJS")
        ):
            here += 1
            continue
        slab, shaped = _row(line, context, 3 if told else 5)
        if not shaped:
            slab, shaped = _top_row(line, context)
        if not shaped or (slab is None and not told):
            break
        if slab is not None:
            facts.append(slab)
        here += 1
    if here == at or (not facts and not told):
        return None
    return Read(here - at, facts)
