"""The shape of every answer about Linux: a value, how it is known, and the source that says so."""

from typing import Generic, TypeVar

from msgspec import Struct

from tablefull.facts.origin import Basis

T = TypeVar("T")


class Answer(Struct, Generic[T], frozen=True):
    """``value`` is None exactly where ``basis`` is ``unknown``; ``source`` names the tree, commit or mail."""

    value: T | None
    basis: Basis
    source: str
