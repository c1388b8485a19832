"""The shape of every answer about Linux: a value, how it is known, and the source that says so.

The trap: an answer by version number looks as firm as a measured one, so the basis travels with the value, and nothing
in ``kernel/`` ever claims more than ``vendor`` or ``version``; only a caller that looked may say ``probed`` or
``shown``.
"""

from typing import Any, Generic, TypeVar

from msgspec import Struct

from tablefull.facts.origin import Basis

T = TypeVar("T")


class Answer(Struct, Generic[T], frozen=True):
    """``value`` is None exactly where ``basis`` is ``unknown``; ``source`` names the tree, commit or mail."""

    value: T | None
    basis: Basis
    source: str


def by_version(value: T, source: str) -> Answer[T]:
    """An answer that rests on the version number of a mainline tree."""
    return Answer(value, "version", source)


def by_vendor(value: T, source: str) -> Answer[T]:
    """An answer that rests on a vendor's own tree (a backport, a changed default)."""
    return Answer(value, "vendor", source)


def unknown(why: str) -> Answer[Any]:
    """No answer; ``source`` then holds the reason."""
    return Answer(None, "unknown", why)


NO_KERNEL = "the kernel version is not in the evidence"
