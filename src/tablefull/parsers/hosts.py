"""Whose output is it: the words by which a paste moves from one machine to another.

The trap: "iptables on Dom0:" begins another machine's evidence only where it introduces something, so a place is taken
from a heading or from a sentence that ends in a colon, never from a sentence in passing.
"""

from typing import NamedTuple

_ROLES: dict[str, str] = {
    "dom0": "dom0", "dom 0": "dom0", "dom-0": "dom0", "domu": "domu", "dom u": "domu", "dom-u": "domu",
    "hypervisor": "hypervisor", "hardware node": "hypervisor", "xen host": "dom0", "xcp host": "dom0",
    "xenserver host": "dom0", "virtual machine": "guest", "guest": "guest", "container": "container", "pod": "pod",
    "compute": "hypervisor", "control plane": "node", "master": "node", "worker": "node", "node": "node",
    "router": "router", "gateway": "router", "firewall": "router", "load balancer": "router", "lb": "router",
    "proxy": "host", "client": "client", "vm": "guest", "kvm host": "hypervisor", "docker host": "host", "host": "host",
    "server": "host", "machine": "host", "box": "host",
}  # fmt: skip
# Words for the same machine: where neither has a label of its own, the second does not begin another one.
_SAME_WORD = frozenset(("dom0", "domu", "hypervisor", "guest"))
_PLAIN_HOST = frozenset(("host", "server", "machine", "box", "docker host"))
_PREPOSITIONS = frozenset("on in inside from at of".split())
_DETERMINERS = frozenset("the my our a an one of both each this that affected other another second first same".split())
_ADJECTIVES = frozenset(
    "web db database dns mail physical bare metal kubernetes k8s docker xen kvm nat edge affected".split()
)
_NOT_LABELS = frozenset(
    "with without that where which and or is has the itself side machine is running runs in on log logs output "
    "shows i we "
    "it as has".split()
)
_DECORATION = "#=-*>[]<:| "
_MARKS = ("==", "--", "**", "<<", "]", ":")
_FILES = (".conf", ".txt", ".log", ".gz", ".yaml", ".yml", ".md", ".sh", ".py", ".c", ".json")
_REMAINDER = 60  # characters that may follow the machine before the colon

SAME_MACHINE = frozenset({"dom0", "hypervisor", "host", "node", "router"})


class Place(NamedTuple):
    """A machine named in the text: ``name`` to show, ``role`` of ``facts.snapshot.HostFacts``.

    ``labelled`` where it has a name of its own (``node web-3``, ``=== db1 ===``); ``key`` is equal for the same
    machine.
    """

    name: str
    role: str
    labelled: bool
    key: str


def _role(words: list[str], at: int) -> tuple[str, str, int] | None:
    """The role phrase at ``words[at]``: as written, its canonical spelling, how many words it takes."""
    for length in (2, 1):
        written = " ".join(words[at : at + length])
        if at + length > len(words):
            continue
        known = written.lower()
        for form in (known, known.removesuffix("s")):
            if form in _ROLES:
                return (written if form == known else written[:-1]), form, length
    word = words[at]
    bare = word.rstrip("0123456789").rstrip("-#").lower()
    if bare != word.lower() and bare in _ROLES and word.lower() not in _ROLES:
        return word, bare, 1
    return None


def _made(words: list[str], at: int) -> tuple[Place, int] | None:
    """The place whose role begins at ``words[at]``, with its label, and where the words after it begin."""
    found = _role(words, at)
    if found is None:
        return None
    written, canonical, length = found
    role = _ROLES[canonical]
    at += length
    if written.lower() not in (canonical, canonical + "s"):
        return Place(written, role, True, written.lower()), at
    label = words[at].strip("(),;") if at < len(words) else ""
    label = label.removeprefix("#")
    if label and label.lower() not in _NOT_LABELS and (label[0].isupper() or any(letter.isdigit() for letter in label)):
        plain = all(letter.isalnum() or letter in ".-_" for letter in label)
        if plain and len(label) <= 24:
            return Place(f"{written} {label}", role, True, f"{canonical} {label}".lower()), at + 1
    name = {"dom0": "Dom0", "domu": "DomU"}.get(role, written)
    key = role if role in _SAME_WORD else "host" if canonical in _PLAIN_HOST else canonical
    return Place(name, role, False, key), at


def _heading(stripped: str) -> Place | None:
    """A place that is the whole of a heading: ``Dom0:``, ``=== node web-3 ===``, ``## On the router (OpenWrt)``."""
    core = stripped.strip(_DECORATION)
    if core.endswith(")") and "(" in core:
        core = core[: core.rindex("(")].rstrip(_DECORATION)
    words = core.split()
    if not 0 < len(words) <= 6:
        return None
    at = 0
    for optional in ("on", "the"):
        if at < len(words) - 1 and words[at].lower() == optional:
            at += 1
    made = _made(words, at)
    return made[0] if made and made[1] == len(words) else None


def _introduced(stripped: str) -> Place | None:
    """A place in a sentence that ends in a colon: ``iptables on one of the DomUs:``."""
    sentence = stripped[:-1]
    for mark in (". ", "? ", "! ", "; ", ": "):
        sentence = sentence.rpartition(mark)[2]
    words = sentence.split()
    for begin, word in enumerate(words[:-1]):
        if word.lower().lstrip("(") not in _PREPOSITIONS:
            continue
        at = begin + 1
        while at < min(len(words) - 1, begin + 5) and words[at].lower() in _DETERMINERS:
            at += 1
        for skipped in range(3):
            if at + skipped >= len(words) or any(one.lower() not in _ADJECTIVES for one in words[at : at + skipped]):
                break
            made = _made(words, at + skipped)
            if made:
                rest = " ".join(words[made[1] :])
                if len(rest) <= _REMAINDER and "." not in rest and ":" not in rest:
                    return made[0]
    return None


def _dashed(stripped: str) -> Place | None:
    """A heading that is a machine's own name: ``=== web1 ===``, ``--- db.example.org ---``."""
    core = stripped.strip(_DECORATION)
    if core.endswith(")") and " (" in core:
        core = core[: core.rindex(" (")]
    head, mark, tail = core.partition(" ")
    if mark:
        if head.lower().rstrip(":=") not in ("host", "server", "node", "hostname"):
            return None
        core = tail.strip(" :=")
    if not 1 < len(core) <= 80 or not (core[0].isalnum() and core[-1].isalnum()) or core.endswith(_FILES):
        return None
    if core != core.lower() or not all(letter.isascii() and (letter.isalnum() or letter in ".-") for letter in core):
        return None
    dots = core.count(".")
    if not any(letter.isalpha() for letter in core):
        return Place(core, "unknown", True, core) if dots == 3 else None
    if dots >= 2 or (any(letter.isdigit() for letter in core) and core[0].isalpha()):
        return Place(core, "unknown", True, core)
    return None


def place(text: str) -> Place | None:
    """The machine whose output a line introduces, or None."""
    stripped = text.strip()
    if not 2 < len(stripped) <= 300:
        return None
    first, last = stripped[0], stripped[-1]
    if last == ">" and " | rc=" in stripped:  # ansible's ad hoc commands: ``web1 | CHANGED | rc=0 >>``
        name = stripped.partition(" | ")[0]
        return Place(name, "unknown", True, name.lower()) if name and " " not in name else None
    decorated = first in "#=-*["
    if text[0] in " \t" and " " not in stripped and not decorated:
        return None  # a key of YAML
    if not decorated and last not in ":=-*])":
        return None
    if stripped.endswith(_MARKS) or stripped.startswith(("#", "**")):
        found = _heading(stripped)
        if found is not None:
            return found
    if last == ":":
        found = _introduced(stripped)
        if found is not None:
            return found
    return _dashed(stripped) if stripped[:2] in ("==", "--", "##") else None
