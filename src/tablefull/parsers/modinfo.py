"""``modinfo``: which file a module would come from, and the kernel it was built for.

The trap: ``vermagic`` names the kernel the file was built for, and ``modinfo`` also answers for a module that is not
loaded. It is a release of this host all the same, because ``modinfo`` looks in the running kernel's own folder.
"""

from collections.abc import Sequence

from tablefull.facts.host import KernelRelease, Program
from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read

_KEPT = ("filename", "version", "vermagic", "depends")
_KNOWN = frozenset(
    "filename version vermagic depends name license description author srcversion alias retpoline "
    "intree parm sig_id signer "
    "sig_key sig_hashalgo signature firmware softdep import_ns rhelversion staging livepatch file".split()
)


def _pair(text: str) -> tuple[str, str] | None:
    """Field and value of one line, or None."""
    name, colon, value = text.partition(":")
    name = name.strip()
    return (name, value.strip()) if colon and name in _KNOWN else None


def module_of(filename: str) -> str:
    """``nf_conntrack`` of ``/lib/modules/…/nf_conntrack.ko.xz``; dashes of old file names become underscores."""
    return filename.rsplit("/", 1)[-1].partition(".ko")[0].replace("-", "_")


def _is_signature(text: str) -> bool:
    """True for the wrapped hexadecimal lines of a signature."""
    plain = text.replace(":", "").strip()
    return ":" in text and len(plain) >= 2 and all(c in "0123456789ABCDEFabcdef" for c in plain)


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """One module's block: a :class:`Program` a kept field, named for the module, and the release in ``vermagic``."""
    first = _pair(lines[at].text)
    told = context.command is not None and "modinfo" in context.command
    if first is None or not (first[0] in ("filename", "vermagic") or told):
        return None
    module = ""
    pairs: list[tuple[str, str, Line]] = []
    here = at
    while here < len(lines):
        pair = _pair(lines[here].text)
        if pair is None:
            if not _is_signature(lines[here].text):
                break
            here += 1
            continue
        if pair[0] == "filename" and any(name == "filename" for name, *_ in pairs):
            break
        if pair[0] == "name" or (pair[0] == "filename" and "/" in pair[1]):
            module = module_of(pair[1])
        pairs.append((*pair, lines[here]))
        here += 1
    if not module and told:
        module = (context.command or "").split()[-1].replace("-", "_")[:64]
    facts: list[Fact] = []
    for name, value, line in pairs:
        if name in _KEPT and value:
            facts.append(Program(origin=context.origin(line), name=module or "module", field=name, value=value[:200]))
        if name == "vermagic" and value[:1].isdigit():
            facts.append(KernelRelease(origin=context.origin(line), release=value.split()[0]))
    return Read(here - at, facts)
