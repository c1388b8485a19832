"""What makes a function a rule, and the book of all of them.

A rule is a generator over a :class:`~tablefull.rules.case.Case`. It says which inputs it needs; where none of them was
seen the engine records it as blind instead of running it, so that "healthy" never looks like "could not see".
"""

from collections.abc import Callable, Iterator

from msgspec import Struct

from tablefull.rules.case import Case
from tablefull.rules.finding import Finding

Check = Callable[[Case], Iterator[Finding]]


class Rule(Struct, frozen=True):
    """``needs`` names inputs of which at least one must have been seen (see ``Case.has``)."""

    cause: str
    name: str
    needs: tuple[str, ...]
    check: Check


BOOK: list[Rule] = []


def rule(cause: str, *, needs: tuple[str, ...]) -> Callable[[Check], Check]:
    """Enter a function into the book as a rule for ``cause``."""

    def enter(check: Check) -> Check:
        BOOK.append(Rule(cause, check.__name__, needs, check))
        return check

    return enter
