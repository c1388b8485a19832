"""Where a fact comes from, and how far it can be trusted.

The trap: a number without its line cannot be checked by the person who must act on it, so no fact exists without an
:class:`Origin`. A basis orders *how* something is known; combining facts keeps the weakest.
"""

from typing import Literal

from msgspec import Struct

Basis = Literal["probed", "shown", "vendor", "version", "unknown"]

# Strongest first: asked the kernel, the artefact itself shows it, a vendor's documented change, the version table,
# nothing.
BASES: tuple[Basis, ...] = ("probed", "shown", "vendor", "version", "unknown")


class Origin(Struct, frozen=True):
    """One line of evidence: ``source`` (a file name, ``-``, a path in a bundle), 1-based ``line``, and its text."""

    source: str
    line: int
    text: str


class Fact(Struct, frozen=True, kw_only=True):
    """Base of every fact: what was read, and where."""

    origin: Origin


class Hole(Struct, frozen=True):
    """Something that was looked for and could not be seen: ``what``, ``why``, and what would make it visible."""

    what: str
    why: str
    remedy: str = ""


def weakest(*bases: Basis) -> Basis:
    """The weakest of the given bases; ``unknown`` for none at all."""
    return max(bases, key=BASES.index, default="unknown")
