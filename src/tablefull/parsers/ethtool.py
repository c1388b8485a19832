"""A driver's counters: ``ethtool -S``, and the allowances of an AWS instance under any exporter's name.

The trap: ``conntrack_allowance_exceeded`` counts packets that the *instance's* allowance refused, outside the guest;
it has nothing to do with the guest's own table. A whole listing has a row a queue and a reason, so only rows of loss
are kept.
"""

import re
from collections.abc import Sequence

from tablefull.facts.counters import NetCounter
from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.numeral import whole

GROUP = "ethtool -S"
_ALLOWANCE = re.compile(
    r"(?P<name>(?:bw_in|bw_out|pps|conntrack|linklocal)_allowance_(?:exceeded"
    r"|available))\b(?:\{[^}]{0,300}\})?\"?\s{0,40}[:=]?\s{0,40}\"?"
    r"(?P<value>[0-9][0-9,.e+]{0,24})"
)
_KEPT = ("allowance", "drop", "discard", "err", "miss", "no_buf", "nobuf", "fifo", "timeout", "full")


def _value(text: str) -> int | None:
    """A counter as a tool or an exporter prints it (``12``, ``12.0``, ``1.2e+06``)."""
    text = text.rstrip(".,")
    plain = whole(text)
    if plain is not None:
        return plain
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None


def _allowance(line: Line, context: Context) -> NetCounter | None:
    """An allowance's counter on a line that is machine output; None for a sentence about one."""
    match = _ALLOWANCE.search(line.text)
    if match is None:
        return None
    before, after = line.text[: match.start()], line.text[match.end() :]
    if len(before.split()) > 4 or after.strip(" ,;\"'}])") != "":
        after_words = after.split()
        if len(before.split()) > 4 or len(after_words) > 2 or any(word.isalpha() for word in after_words):
            return None
    value = _value(match["value"])
    return (
        None if value is None else NetCounter(origin=context.origin(line), group=GROUP, name=match["name"], value=value)
    )


def _row(text: str) -> tuple[str, int] | None:
    """Name and value of a row of ``ethtool -S``."""
    name, colon, value = text.rpartition(":")
    number = whole(value.strip()) if colon else None
    name = name.strip()
    return (name, number) if number is not None and name and len(name) <= 80 else None


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Rows of loss of a whole listing, or allowances that stand alone (through ``grep``, from an exporter)."""
    text = lines[at].text.strip()
    headed = text == "NIC statistics:"
    told = context.command is not None and "ethtool" in context.command and "-S" in context.command
    here = at + 1 if headed else at
    facts: list[Fact] = []
    while here < len(lines) and len(lines[here].text) < 1000:
        line = lines[here]
        allowance = _allowance(line, context)
        if allowance is not None:
            facts.append(allowance)
            here += 1
            continue
        row = _row(line.text) if headed or told else None
        if row is None:
            break
        if any(word in row[0].lower() for word in _KEPT):
            facts.append(NetCounter(origin=context.origin(line), group=GROUP, name=row[0], value=row[1]))
        here += 1
    return Read(here - at, facts) if here > at else None
