"""``ip netns`` and ``lsns -t net``: the network namespaces of a host, each with an entry table of its own.

The trap: a line of ``ip netns`` is a bare word, so it is read only behind its command.
"""

import re
from collections.abc import Sequence

from tablefull.facts.origin import Fact
from tablefull.facts.ruleset import NetNamespace
from tablefull.parsers.block import Context, Line, Read

_LIST = re.compile(r"(?:^|[\s/;&|])ip (?:-\S+ )*netns(?: +(?:l|ls|list|show))?\s*(?:$|[;&|])")
_NAMED = re.compile(r"\s*([\w.@:+-]{1,255})(?: \((?:id|nsid): ?-?\d+\))?\s*$")
_PID_LISTED = re.compile(r"\s*(\d{6,12}) +net +(\d+) +(\d+) +(\S+)(.*)$")
_HEADER = re.compile(r"\s*NS +TYPE +NPROCS")
_NSFS = re.compile(r"\s/\S*netns/(\S+)")


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """The rows of one listing. A namespace without a name is ``net:[inode]``."""
    text = lines[at].text
    if _HEADER.match(text) or _PID_LISTED.match(text):
        return _read_lsns(lines, at, context)
    if not _LIST.search(context.command or ""):
        return None
    facts: list[Fact] = []
    index = at
    while index < len(lines) and (named := _NAMED.match(lines[index].text)):
        facts.append(NetNamespace(origin=context.origin(lines[index]), name=named[1]))
        index += 1
    return Read(index - at, facts) if facts else None


def _read_lsns(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    index = at + 1 if _HEADER.match(lines[at].text) else at
    facts: list[Fact] = []
    while index < len(lines) and (row := _PID_LISTED.match(lines[index].text)):
        inode = int(row[1])
        mounted = _NSFS.search(row[5])
        name = mounted[1] if mounted else f"net:[{inode}]"
        facts.append(NetNamespace(origin=context.origin(lines[index]), name=name, inode=inode))
        index += 1
    return Read(index - at, facts) if facts else None
