"""Loaded kernel modules: ``lsmod``, ``/proc/modules``, and either of them through ``grep``.

The trap: a row has the shape ``name number number words``, which a slab cache and many a sentence share. A slab row
has a digit where a list of users stands; without a header or a command in sight a row must name a module of the
firewall or the bridge.
"""

from collections.abc import Sequence

from tablefull.facts.modules import Module
from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.numeral import whole

_FAMILIES = (
    "nf_",
    "ip_",
    "ipt_",
    "ip6",
    "xt_",
    "iptable_",
    "nft_",
    "br_netfilter",
    "bridge",
    "nfnetlink",
    "openvswitch",
    "ebtable",
)
_STATES = ("Live", "Loading", "Unloading")
# The smallest module ever listed still takes a page or so; a table of limits has smaller numbers.
_SMALLEST_BYTES = 1000
_ELISIONS = ("...", "[...]", "…", "<snip>", "[snip]")


def _named(word: str) -> bool:
    """True for what can be a module's name: ``8021q`` is one, ``409`` is not."""
    plain = word.replace("_", "").replace("-", "")
    return 0 < len(word) <= 64 and plain.isascii() and plain.isalnum() and not plain.isdigit()


def _users(rest: str) -> tuple[str, ...] | None:
    """The modules of a row's last column; None where the column is no such list."""
    for state in _STATES:
        if rest.startswith(f"{state} "):
            return ()
        head, mark, _ = rest.partition(f" {state} ")
        if mark:
            rest = head
            break
    if rest in ("", "-"):
        return ()
    if "[" in rest or rest.startswith("("):
        words = [word for word in rest.replace("[", " ").replace("]", " ").replace(",", " ").split() if word[0] != "("]
        words = [word for word in words if word not in ("-", "permanent")]
    else:
        words = [word.strip() for word in rest.rstrip(",").split(",") if word.strip() not in ("[permanent]", "-")]
    return tuple(words) if all(_named(word) for word in words) else None


def _row(line: Line, context: Context) -> Module | None:
    """The module of one row, or None."""
    words = line.text.split(None, 3)
    if len(words) < 3 or not _named(words[0]):
        return None
    size, references = whole(words[1]), whole(words[2].lstrip("-")) if words[2] != "-" else None
    if size is None or (references is None and words[2] != "-"):
        return None
    users = _users(words[3].strip()) if len(words) > 3 else ()
    if users is None:
        return None
    if words[2].startswith("-"):
        references = None
    return Module(
        origin=context.origin(line),
        name=words[0].replace("-", "_"),
        size_bytes=size,
        references=references,
        used_by=users,
    )


def _heads(text: str) -> bool:
    """True for the header, squeezed or not, cut after its second word or not."""
    words = text.split()
    return words[:2] == ["Module", "Size"] and words[2:4] in (["Used", "by"], ["Used"], [])


def _continued(text: str) -> tuple[str, ...] | None:
    """The users on a line that continues a wrapped list; None where it is another row or not a list at all."""
    text = text.strip()
    if not text or " " in text:
        return None
    return _users(text)


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Modules from a header, a command that lists them, or a row that names one of the firewall's modules."""
    header = _heads(lines[at].text)
    told = context.command is not None and "lsmod" in context.command
    told = told or "proc/modules" in f"{context.command or ''} {context.path or ''}"
    here = at + 1 if header else at
    if not header:
        first = _row(lines[at], context)
        if first is None:
            return None
        known = first.name.startswith(_FAMILIES) or "conntrack" in first.name
        if not told and not (known and (first.size_bytes or 0) >= _SMALLEST_BYTES):
            return None
    facts: list[Fact] = []
    while here < len(lines):
        line = lines[here]
        row = _row(line, context)
        if row is None:
            elided = line.text.strip() in _ELISIONS and here + 1 < len(lines) and facts
            if not elided or _row(lines[here + 1], context) is None:
                break
            here += 1
            continue
        here += 1
        if line.text.rstrip().endswith(",") and here < len(lines):
            more = _continued(lines[here].text)
            if more:
                row = Module(
                    origin=row.origin,
                    name=row.name,
                    size_bytes=row.size_bytes,
                    references=row.references,
                    used_by=row.used_by + more,
                )
                here += 1
        facts.append(row)
    return Read(here - at, facts)
