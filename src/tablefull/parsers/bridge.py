"""``brctl show``, ``bridge link``, ``ip link``: which interfaces a bridge holds (a Xen or KVM host's guests, a
container's end).

The trap: a second interface of a bridge stands alone on its line, and squeezed text loses the column that tells it from
prose.
"""

import re
from collections.abc import Sequence

from tablefull.facts.origin import Fact
from tablefull.facts.ruleset import Bridge, NoBridgePorts
from tablefull.parsers import prompt
from tablefull.parsers.block import Context, Line, Read

_BRCTL_HEADER = re.compile(r"\s*bridge name\s+bridge id\s+STP enabled(?:\s+interfaces)?")
_BRCTL_ROW = re.compile(
    r"\s*([\w.@-]{1,15})\s+(?:[0-9a-f]{4}\.[0-9a-f]{12}\s+(?:yes|no)|can't get info .{1,60})"
    r"(?:\s+([\w.@:-]{1,15}))?\s*$"
)
_INTERFACE = re.compile(r"\s*([\w.@:-]{1,15})\s*$")
_LINK = re.compile(r"\s*\d+: ([\w.-]{1,15})(?:@[\w.-]{1,15})?:?(?: state \S+ :)? <([A-Z_,-]*)>")
_OLD_LINK = re.compile(r"\s*\d+: ([\w.-]{1,15})(?:@[\w.-]{1,15})? state \S+ (?:@[^ ]+ )?:? ?<([A-Z_,-]*)>")
_MASTER = re.compile(r"\smaster ([\w.:-]{1,15})(?=\s|$)")
_TYPE_BRIDGE = re.compile(r"\bip (?:-\S+ )*(?:l|li|link)\b.{0,20}\btype bridge\b(?!_)")
_PORTS_OF_ALL = re.compile(r"(?:\S*/)?bridge l(?:ink?)?(?: sh(?:ow?)?)?")
# A master of that name is Open vSwitch's datapath: no bridge of the kernel's bridge module.
_NOT_BRIDGES = frozenset(("ovs-system",))


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """One ``Bridge`` for each bridge the block shows, in order; its origin is the first line that names it."""
    text = lines[at].text
    if _BRCTL_HEADER.match(text) or _BRCTL_ROW.match(text):
        return _read_brctl(lines, at, context)
    of_bridges = bool(_TYPE_BRIDGE.search(context.command or ""))
    if not (" master " in text or of_bridges):
        return None
    return _read_links(lines, at, context, of_bridges)


def none(lines: Sequence[Line], after: int, command: str, context: Context) -> list[Fact]:
    """``NoBridgePorts`` where ``command``, the line before ``after``, lists the ports of all bridges and showed none.

    In a paste the next prompt proves it; its end does not, for it may have been cut there.
    """
    if not _PORTS_OF_ALL.fullmatch(command.removeprefix("sudo ").strip()):
        return []
    following = next((line.text for line in lines[after:] if line.text.strip()), None)
    if context.path is None if following is None else prompt.prompt(following) is None:
        return []
    return [NoBridgePorts(origin=context.origin(lines[after - 1]))]


def _read_brctl(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    found: list[tuple[Line, str, list[str]]] = []
    headed = bool(_BRCTL_HEADER.match(lines[at].text))
    index = at + 1 if headed else at
    while index < len(lines):
        text = lines[index].text
        row, alone = _BRCTL_ROW.match(text), _INTERFACE.match(text)
        if row:
            found.append((lines[index], row[1], [row[2]] if row[2] else []))
        elif alone and found and found[-1][2]:
            found[-1][2].append(alone[1])
        else:
            break
        index += 1
    if not found and not headed:
        return None
    facts: list[Fact] = [
        Bridge(origin=context.origin(line), name=name, interfaces=tuple(interfaces)) for line, name, interfaces in found
    ]
    return Read(index - at, facts)


def _read_links(lines: Sequence[Line], at: int, context: Context, of_bridges: bool) -> Read | None:
    """``bridge link`` and ``ip link``: the bridges named as masters; those a ``type bridge`` listing shows hold unknown
    ports.
    """
    found: dict[str, tuple[Line, list[str]]] = {}
    index = at
    while index < len(lines):
        line = lines[index]
        text = line.text
        link = _LINK.match(text) or _OLD_LINK.match(text)
        if link is None:
            if index == at or not text[:1].isspace():
                break
        elif of_bridges:
            found.setdefault(link[1], (line, []))
        elif (master := _MASTER.search(text)) and master[1] not in _NOT_BRIDGES and "SLAVE" not in link[2].split(","):
            found.setdefault(master[1], (line, []))[1].append(link[1])
        index += 1
    if index == at:
        return None
    facts: list[Fact] = [
        Bridge(origin=context.origin(line), name=name, interfaces=tuple(ports) or None)
        for name, (line, ports) in found.items()
    ]
    return Read(index - at, facts)
