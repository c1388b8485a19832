"""``ipset list``, ``ipset save`` and the program's errors.

The trap: ``Hash is full`` is the set's own ``maxelem``, not the entry table, though the two stand together in the same
tickets.
"""

import re
from collections.abc import Sequence

from tablefull.facts.origin import Fact
from tablefull.facts.ruleset import IpSet, IpSetRefusal
from tablefull.parsers.block import Context, Line, Read

_NAME = re.compile(r"\s*Name: (\S{1,64})\s*$")
_FIELD = re.compile(
    r"\s*(Type|Revision|Header|Size in memory|References|Number of entries|Members|Default binding|Bindings): ?(.*)$"
)
_CREATE = re.compile(r"(?:ipset )?(?:-exist |-! )?create (\S{1,64}) ((?:hash|bitmap|list):\S{1,40})(?: (.*))?$")
_ADD = re.compile(r"(?:ipset )?(?:-exist |-! )?add (\S{1,64}) \S")
_MEMBER = re.compile(
    r"[\w.:/,\-\[\]~%@]+(?: (?:timeout|packets|bytes|comment|nomatch|skbmark|skbprio|skbqueue)(?= |$).*)?$"
)
_ERROR = re.compile(r"ipset v\d[\w.]{0,15}: ([^'\"]{1,200})")
_MAXELEM = re.compile(r"(?:^|\s)maxelem (\d{1,12})(?=\s|$)")
_NAMED = re.compile(r"\badd (\S{1,64}) ")
_NAMES_ONLY = re.compile(r"ipset (?:.{0,40} )?(?:-n|-name|--name)(?= |$)")


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Consecutive sets of one listing, the sets of one ``save``, or one error."""
    text = lines[at].text
    if "ipset v" in text and (error := _ERROR.search(text)):
        before = _NAMED.search(lines[at - 1].text) if at > 0 and "ipset" in lines[at - 1].text else None
        origin = context.origin(lines[at])
        return Read(1, [IpSetRefusal(origin=origin, error=error[1].strip(), name=before[1] if before else None)])
    if _NAME.match(text):
        return _read_list(lines, at, context)
    if _CREATE.match(text.strip()):
        return _read_save(lines, at, context)
    command = context.command or ""
    if _NAMES_ONLY.search(command) and len(text.split()) == 1:
        return Read(1, [IpSet(origin=context.origin(lines[at]), name=text.strip())])
    return None


def _read_list(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Every ``Name:`` block that follows. Entries come from the header where it counts them, else from the members."""
    facts: list[Fact] = []
    index = at
    end = at
    while index < len(lines):
        named = _NAME.match(lines[index].text)
        if named is None:
            break
        first = lines[index]
        index += 1
        fields: dict[str, str] = {}
        while index < len(lines) and (field := _FIELD.match(lines[index].text)):
            index += 1
            fields[field[1]] = field[2].strip()
            if field[1] == "Members":
                break
        if not fields:
            break
        entries = _whole(fields.get("Number of entries"))
        if "Members" in fields:
            members = index
            while index < len(lines) and _is_member(lines[index].text.strip()):
                index += 1
            entries = index - members if entries is None else entries
        limit = _MAXELEM.search(fields.get("Header", ""))
        facts.append(
            IpSet(
                origin=context.origin(first),
                name=named[1],
                kind=fields.get("Type"),
                entries=entries,
                maxelem=int(limit[1]) if limit else None,
            )
        )
        end = index
        while index < len(lines) and index < end + 2 and not lines[index].text.strip():
            index += 1
    return Read(end - at, facts) if facts else None


def _is_member(text: str) -> bool:
    return not text.startswith("Name: ") and _MEMBER.match(text) is not None


def _whole(word: str | None) -> int | None:
    return int(word) if word and word.isascii() and word.isdecimal() and len(word) < 20 else None


def _read_save(lines: Sequence[Line], at: int, context: Context) -> Read:
    """``create`` and ``add`` lines; a set's entries are its ``add`` lines, so None where the text has none at all."""
    created: dict[str, tuple[Line, str, str]] = {}
    added: dict[str, int] = {}
    index = at
    while index < len(lines):
        text = lines[index].text.strip()
        if make := _CREATE.match(text):
            created.setdefault(make[1], (lines[index], make[2], make[3] or ""))
        elif put := _ADD.match(text):
            added[put[1]] = added.get(put[1], 0) + 1
        else:
            break
        index += 1
    commanded = lines[at].text.strip().startswith("ipset")
    facts: list[Fact] = []
    for name, (line, kind, options) in created.items():
        limit = _MAXELEM.search(options)
        entries = added.get(name, None if commanded or not added else 0)
        facts.append(
            IpSet(
                origin=context.origin(line),
                name=name,
                kind=kind,
                entries=entries,
                maxelem=int(limit[1]) if limit else None,
            )
        )
    return Read(index - at, facts)
