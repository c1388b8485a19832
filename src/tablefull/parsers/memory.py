"""The machine's memory: ``free`` of every era, ``top``'s memory line, ``/proc/meminfo``, a sentence.

The trap: ``free`` prints neither its unit nor the same columns twice. The sixth column is ``cached`` to procps 3.3.9
and ``available`` from 3.3.10, and in the old form memory in use by caches counts as used; its ``-/+ buffers/cache``
line holds what is really available. Where the option is not in sight the unit is told by the numbers: pages are 4
KiB, so every number in KiB divides by four.
"""

import re
from collections.abc import Sequence

from tablefull.facts.host import Memory
from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.numeral import size_bytes

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_OPTIONS = {
    "b": 1,
    "k": _KIB,
    "m": _MIB,
    "g": _GIB,
    "kibi": _KIB,
    "mebi": _MIB,
    "gibi": _GIB,
    "bytes": 1,
    "kilo": 1000,
    "mega": 10**6,
    "giga": 10**9,
}
_ROWS = ("mem:", "mem :", "speicher:", "mém:", "mém.:", "pam.:", "память:", "内存：", "内存:", "geheugen:")
_NEW_WORDS = ("availab", "verfüg", "dispon", "доступ", "可用", "beschik")
_SAID = re.compile(
    r"(?<![\w.,/])(?P<before>(?:more than|less than|at least|over|under|up to|only|with|of|about|around|~)\s)?"
    r"(?P<number>[0-9]{1,6}(?:[.,][0-9]"
    r"{1,2})?)\s?(?P<unit>[TGM]i?B?)(?:yte)?s?\b\s?(?:of\s)?(?:physical\s|total\s|system\s|DDR[2345]\s|ECC\s){0,2}"
    r"(?P<what>RAM|memory|mem\b|(?:[A-Za-z/]{2,20}\s){0,2}?(?:VPS|droplet|VM|instance|server|machine"
    r"|node|box|router|guest|host)s?\b)",
    re.IGNORECASE,
)
_SAID_AFTER = re.compile(
    r"\b(?:RAM|memory)(?:\s(?:is|size))?\s?[:=]?\s(?P<number>[0-9]{1,6}(?:[.,][0-9]{1,2})?)\s?(?P<unit>[TGM]i?B?)\b",
    re.IGNORECASE,
)
_UNITS = {"t": 1 << 40, "g": _GIB, "m": _MIB}
# Not a machine's memory but a limit, a share or a flow of it.
_PARTIAL = ("more than", "less than", "at least", "over", "under", "up to")


def _option_unit(command: str | None) -> int | None:
    """The unit that the options of ``free`` name; None for no command, or one without ``free``."""
    if command is None or "free" not in command:
        return None
    tail = command[command.index("free") + 4 :].split("|", 1)[0]
    for word in tail.split():
        if word.startswith("--"):
            unit = _OPTIONS.get(word[2:])
            if unit:
                return unit
        elif word.startswith("-"):
            for letter in word[1:]:
                if letter in _OPTIONS:
                    return _OPTIONS[letter]
    return _KIB


def _told_unit(cells: Sequence[str]) -> int:
    """The unit of a row without one, by its numbers (see the module's page)."""
    numbers = [n for cell in cells if (n := size_bytes(cell)) is not None]
    total = max(numbers, default=0)
    if numbers and all(n % 4 == 0 for n in numbers) and total >= 8192:
        return 1 if total > 8_000_000_000 or all(n % 4096 == 0 for n in numbers) else _KIB
    return _MIB if total >= 100 else _GIB


def _cells(text: str) -> list[str] | None:
    """The numbers of a ``Mem:`` row as printed; None for another line."""
    lowered = text.strip().lower()
    label = next((row for row in _ROWS if lowered.startswith(row)), None)
    if label is None:
        return None
    cells = text.strip()[len(label) :].split()
    return cells if len(cells) >= 3 and all(size_bytes(cell) is not None for cell in cells) else None


def _old_form(header: str | None, values: Sequence[int]) -> bool:
    """True where the sixth column is ``cached``: by the header, else because used and free make up the total."""
    if header is not None:
        lowered = header.lower()
        if any(word in lowered for word in _NEW_WORDS):
            return False
        if "cached" in lowered or "buffers" in lowered:
            return True
    return abs(values[0] - values[1] - values[2]) <= max(2, values[0] // 500)


def _is_header(text: str) -> bool:
    words = text.split()
    return 3 <= len(words) <= 9 and words[0].lower() in (
        "total",
        "gesamt",
        "totaal",
        "всего",
        "totale",
        "razem",
        "总计",
    )


def _free(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """The rows of ``free``, with or without their header."""
    header = lines[at].text if _is_header(lines[at].text) else None
    here = at + (header is not None)
    cells = _cells(lines[here].text) if here < len(lines) else None
    if cells is None:
        return None
    row = lines[here]
    unit = _option_unit(context.command) or _told_unit(cells)
    values = [size_bytes(cell, unit) or 0 for cell in cells]
    available: int | None = None
    if len(values) >= 7:
        available = values[6]
    elif len(values) == 6:
        available = values[2] + values[4] + values[5] if _old_form(header, values) else values[5]
    elif len(values) == 5 and _old_form(header, values):
        available = values[2] + values[4]
    here += 1
    while here < len(lines):
        text = lines[here].text.strip()
        words = text.split()
        if text.startswith("-/+") and words:
            left = size_bytes(words[-1], unit)
            available = left if left is not None and len(words) >= 3 else available
        elif not (
            words and words[0].lower() in ("swap:", "auslagerungsspeicher:", "total:", "low:", "high:", "swap", "comm:")
        ):
            break
        here += 1
    return Read(here - at, [Memory(origin=context.origin(row), total_bytes=values[0], available_bytes=available)])


def _top(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """``top``'s line: ``KiB Mem : 16266300 total, …``, ``Mem:  8174456k total, …``; its swap line has ``avail Mem``."""
    text = lines[at].text.strip()
    unit, label = _KIB, text
    for word, size in (("KiB ", _KIB), ("MiB ", _MIB), ("GiB ", _GIB)):
        if text.startswith(word):
            unit, label = size, text[len(word) :]
    if not label.startswith("Mem") or "total" not in text:
        return None
    parts = {}
    for piece in label.partition(":")[2].replace("+", " ").split(","):
        words = piece.split()
        if len(words) == 2:
            parts[words[1]] = size_bytes(words[0], unit)
    if parts.get("total") is None:
        return None
    available = None
    used = 1
    if at + 1 < len(lines) and "Swap" in lines[at + 1].text[:10]:
        used = 2
        head = lines[at + 1].text.partition(" avail Mem")[0].split()
        if "avail Mem" in lines[at + 1].text and head:
            available = size_bytes(head[-1], unit)
    return Read(used, [Memory(origin=context.origin(lines[at]), total_bytes=parts["total"], available_bytes=available)])


def _meminfo(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """``/proc/meminfo``, whole or grepped.

    Without ``MemAvailable`` (before v3.14) free, buffers and page cache stand for it, as ``free`` counted them then.
    """
    seen: dict[str, int] = {}
    here = at
    first: Line | None = None
    while here < len(lines):
        name, colon, value = lines[here].text.partition(":")
        words = value.split()
        name = name.strip()
        size = (
            size_bytes(words[0], _KIB)
            if colon and words and (len(words) == 1 or words[1] == "kB") and len(words) <= 2
            else None
        )
        if size is None or not name.replace("(", "").replace(")", "").replace("_", "").isalnum() or name in seen:
            break
        first = first or (lines[here] if name == "MemTotal" else None)
        seen[name] = size
        here += 1
    if "MemTotal" not in seen or first is None:
        return None
    available = seen.get("MemAvailable")
    if available is None and all(name in seen for name in ("MemFree", "Buffers", "Cached")):
        available = seen["MemFree"] + seen["Buffers"] + seen["Cached"]
    return Read(
        here - at, [Memory(origin=context.origin(first), total_bytes=seen["MemTotal"], available_bytes=available)]
    )


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """One :class:`Memory` from a block of machine output."""
    text = lines[at].text
    if len(text) > 1000:
        return None
    if "Mem" in text and ":" in text:
        if text.lstrip().startswith(("MemTotal", "MemFree", "MemAvailable")):
            return _meminfo(lines, at, context)
        top = _top(lines, at, context)
        if top is not None:
            return top
    label, colon, value = text.partition(":")
    if colon and label.strip() == "Total Memory":
        size = size_bytes(value.strip())
        return Read(1, [Memory(origin=context.origin(lines[at]), total_bytes=size)]) if size else None
    return _free(lines, at, context)


def mentions(line: Line, context: Context) -> list[Fact]:
    """Memory a sentence states ("16GB of RAM", "a fresh 1 GB VPS"), marked ``stated``.

    No limits ("more than 4 GiB").
    """
    text = line.text[:4000]
    matches = list(_SAID.finditer(text)) or list(_SAID_AFTER.finditer(text))
    facts: list[Fact] = []
    for match in matches:
        before = match.groupdict().get("before")
        if before and before.strip().lower() in _PARTIAL:
            continue
        size = int(float(match["number"].replace(",", ".")) * _UNITS[match["unit"][0].lower()])
        facts.append(Memory(origin=context.origin(line), total_bytes=size, stated=True))
    return facts
