"""Whose output is it: the words by which a paste moves from one machine to another.

The trap: "iptables on Dom0:" begins another machine's evidence only where it introduces something, so a place is taken from a
heading or from a sentence that ends in a colon, never from a sentence in passing.
"""

import re
from typing import NamedTuple

_ROLES: tuple[tuple[str, str], ...] = (
    ("dom0", "dom0"), ("dom 0", "dom0"), ("dom-0", "dom0"), ("domu", "domu"), ("dom u", "domu"), ("hypervisor", "hypervisor"),
    ("hardware node", "hypervisor"), ("xen host", "dom0"), ("xcp host", "dom0"), ("virtual machine", "guest"), ("guest", "guest"),
    ("container", "container"), ("pod", "pod"), ("compute", "hypervisor"), ("control plane", "node"), ("master", "node"),
    ("worker", "node"), ("node", "node"), ("router", "router"), ("gateway", "router"), ("firewall", "router"),
    ("load balancer", "router"), ("lb", "router"), ("proxy", "host"), ("client", "client"), ("vm", "guest"), ("vms", "guest"),
    ("kvm host", "hypervisor"), ("docker host", "host"), ("host", "host"), ("server", "host"), ("machine", "host"), ("box", "host"),
)
_WORDS = "|".join(sorted((re.escape(word) for word, _ in _ROLES), key=len, reverse=True))
_INTRODUCED = re.compile(
    r"(?:\b(?:on|in|inside|from|at|of)\s+)(?:(?:the|my|our|a|an|one|of|both|each|this|that|affected|other|another|second|first)\s+){0,4}"
    r"(?P<adjective>(?:web|db|database|dns|mail|physical|bare metal|kubernetes|k8s|docker|xen|kvm|nat|edge|affected)\s+)?"
    r"(?P<role>" + _WORDS + r")s?\b(?:[ -](?P<label>[\w.-]{1,24}))?[^.:]{0,60}:$",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"^(?:#{1,5}\s+|={2,}\s*|-{2,}\s*|\*{1,3}\s*|>{2,}\s*|\[)?\s*(?:on\s+|the\s+)?(?P<role>" + _WORDS + r")s?(?:[ #-]?(?P<label>[\w.-]{1,24}))?"
    r"\s*(?:\([^()]{1,60}\))?\s*(?:\]|:|={2,}|-{2,}|\*{1,3}|<{2,})\s*:?$",
    re.IGNORECASE,
)
_DASHED = re.compile(r"^(?:={2,5}|-{3,5}|#{2,4})\s*(?:host\s*[:=]\s*)?(?P<name>[a-z][a-z0-9]{0,20}[a-z0-9.-]{0,40}\d[a-z0-9.-]{0,20}|[a-z0-9-]{1,30}(?:\.[a-z0-9-]{1,30}){2,6})\s*(?:={2,5}|-{3,5}|#{2,4})?$")
_NOT_LABELS = frozenset("with without that where which and or is has the itself side machine is running runs in on log logs output shows i we it as has".split())

SAME_MACHINE = frozenset({"dom0", "hypervisor", "host", "node", "router"})


class Place(NamedTuple):
    """A machine named in the text: ``name`` to show, ``role`` of ``facts.snapshot.HostFacts``."""

    name: str
    role: str


def place(text: str) -> Place | None:
    """The machine whose output a line introduces, or None."""
    stripped = text.strip()
    if not stripped or len(stripped) > 300:
        return None
    if stripped[-1] in ":=-*])" or stripped[0] in "#=-*[":
        match = _HEADING.match(stripped)
        if match is None and stripped.endswith(":"):
            match = _INTRODUCED.search(stripped)
        if match:
            word = match["role"]
            role = dict(_ROLES)[word.lower()]
            label = match["label"]
            if label and (label.lower() in _NOT_LABELS or not (label[0].isupper() or any(c.isdigit() for c in label))):
                label = None
            name = f"{word} {label}" if label else word
            return Place({"dom0": "Dom0", "domu": "DomU"}.get(role, name) if not label else name, role)
    named = _DASHED.match(stripped)
    return Place(named["name"], "unknown") if named else None
