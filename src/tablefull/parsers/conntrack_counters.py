"""What ``conntrack -S``, ``conntrack -C`` and ``wc -l`` of a listing answer.

The trap: the first ``conntrack -S`` prints one column without a CPU, and it is the
first row of ``/proc/net/stat/nf_conntrack``, not the sum of all CPUs. And a bare number is a count only where the
command that printed it says so.
"""

import re
from collections.abc import Sequence

from tablefull.facts.counters import CpuCounters
from tablefull.facts.entry import EntryCount
from tablefull.facts.origin import Fact
from tablefull.kernel.uapi import ALIASES, STATS_ATTRIBUTES
from tablefull.parsers.block import Context, Line, Read

_KNOWN = frozenset((*ALIASES, *STATS_ATTRIBUTES.values(), "entries", "expect_new", "expect_create", "expect_delete"))
_PAIR = re.compile(r"([a-z][a-z_]{1,30})=([0-9]{1,20}),?")
_CPU = re.compile(r"(?:^|[\s:|])cpu=([0-9]{1,5})\s")
_COLUMN = re.compile(r"\s{0,4}([a-z][a-z_]{1,20})\s{1,40}([0-9]{1,20})\s*")
_NUMBER = re.compile(r"\s{0,8}([0-9]{1,12})\s*")
_FILE = re.compile(r"\s{0,20}([0-9]{1,12})\s+/proc/net/(?:nf|ip)_conntrack\s*")
_COUNT = re.compile(r"\bconntrack\s+(?:-C|--count)\b(?!.*\bexpect)")
# Parts of a command that print a bare number, so that numbers can be told apart by their turn.
_PRINTS = re.compile(
    r"\bconntrack\s+(?:-C|--count)\b|\bcat\s|\bsysctl\s+-[a-z]{0,8}n|\bwc\b|\bgrep\s+-c|\becho\b|\bdate\b|\bnproc\b"
)
# The whole table and nothing of it left out: no option that filters, and no other program between it and wc.
_WHOLE = re.compile(
    r"(?:(?:sudo\s+)?(?:conntrack\s+(?:-L|--dump)(?:\s+conntrack)?(?:\s+-o\s?\w+)?(?:\s+2>\s?/dev/null)?"
    r"|cat\s+/proc/net/(?:nf|ip)_conntrack)\s*\|\s*wc\s+-l|(?:sudo\s+)?wc\s+-l\s*<\s*/proc/net/(?:nf|ip)_conntrack)"
)
_WRAPPED = 6  # lines the counters of one CPU may be spread over


def _pairs(text: str) -> list[tuple[str, int]] | None:
    """``name=value`` words of a line that holds nothing but known counters; None for any other line."""
    pairs: list[tuple[str, int]] = []
    for word in text.split():
        match = _PAIR.fullmatch(word)
        if match is None or match[1] not in _KNOWN:
            return None
        pairs.append((match[1], int(match[2])))
    return pairs or None


def _columns(pairs: Sequence[tuple[str, int]]) -> dict[str, int]:
    return {ALIASES.get(name, name): value for name, value in pairs if name != "entries"}


def _cpu_row(lines: Sequence[Line], at: int, context: Context) -> tuple[list[Fact], int]:
    """One CPU's counters and how many lines they take; none where ``lines[at]`` does not begin them."""
    line = lines[at]
    start = _CPU.search(line.text[:200])
    rest = line.text[start.end() :] if start else line.text
    pairs: list[tuple[str, int]] = []
    for word in rest.split():
        match = _PAIR.fullmatch(word)
        if match is None:
            if start and pairs:
                break
            return [], 0
        pairs.append((match[1], int(match[2])))
    if not any(name in _KNOWN for name, _ in pairs) or (start is None and (len(pairs) < 2 or _pairs(rest) is None)):
        return [], 0
    used = 1
    seen = {name for name, _ in pairs}
    while used < _WRAPPED and at + used < len(lines):
        following = _pairs(lines[at + used].text)
        if following is None or not seen.isdisjoint(name for name, _ in following):
            break
        seen.update(name for name, _ in following)
        pairs += following
        used += 1
    facts: list[Fact] = [
        CpuCounters(
            origin=context.origin(line),
            cpu=int(start[1]) if start else None,
            values=_columns(pairs),
            layout="conntrack -S",
        )
    ]
    for name, value in pairs:
        if name == "entries":
            facts.append(EntryCount(origin=context.origin(line), count=value, how="count"))
    return facts, used


def _per_cpu(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    facts: list[Fact] = []
    counted = False
    here = at
    while here < len(lines):
        row, used = _cpu_row(lines, here, context)
        if not used:
            break
        facts += row[:1] if counted else row
        counted = counted or len(row) > 1
        here += used
    return Read(here - at, facts) if facts else None


def _one_column(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """The old single column, which begins with ``entries``."""
    pairs: list[tuple[str, int]] = []
    here = at
    while here < len(lines):
        match = _COLUMN.fullmatch(lines[here].text)
        if match is None or match[1] not in _KNOWN or (pairs and match[1] == "entries"):
            break
        pairs.append((match[1], int(match[2])))
        here += 1
    if len(pairs) < 3 or pairs[0][0] != "entries" or pairs[1][0] not in ("searched", "clashres"):
        return None
    origin = context.origin(lines[at])
    return Read(
        here - at,
        [
            EntryCount(origin=origin, count=pairs[0][1], how="count"),
            CpuCounters(origin=origin, cpu=None, values=_columns(pairs), layout="conntrack -S"),
        ],
    )


def _number(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """A bare number under a command that counts entries, where that command is the one whose turn it is."""
    line = lines[at]
    match = _NUMBER.fullmatch(line.text)
    if match is None or not context.command:
        return None
    printing = [part for part in re.split(r";|&&|\|\||\bdo\b", context.command[:2000]) if _PRINTS.search(part)]
    turn = 0
    while turn < len(printing) and turn < at and _NUMBER.fullmatch(lines[at - turn - 1].text):
        turn += 1
    looping = re.search(r"\b(?:while|for|watch)\b", context.command) is not None and len(printing) == 1
    if not printing or (turn >= len(printing) and not looping):
        return None
    part = printing[0 if looping else turn]
    if _COUNT.search(part):
        how = "count"
    elif _WHOLE.search(part):
        how = "listed"
    else:
        return None
    return Read(1, [EntryCount(origin=context.origin(line), count=int(match[1]), how=how)])


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Counters of every CPU, or a count of entries."""
    text = lines[at].text
    if "=" in text:
        return _per_cpu(lines, at, context)
    if "entries" in text[:12]:
        return _one_column(lines, at, context)
    counted = _FILE.fullmatch(text)
    if counted:
        return Read(1, [EntryCount(origin=context.origin(lines[at]), count=int(counted[1]), how="listed")])
    return _number(lines, at, context)
