"""A regular expression that is compiled when it is first used.

The trap: compiling one long expression costs as much as reading thirty lines with it, and most texts need few of
them. Start-up is a feature, so an expression that a plain substring test can postpone is never compiled at import.
"""

import re
from typing import cast


class _Lazy:
    """Stands for a compiled pattern; the first use of a method puts the real methods in its place."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> object:
        if name not in _METHODS:
            raise AttributeError(name)
        compiled = re.compile(self._pattern, self._flags)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


_METHODS = ("match", "search", "fullmatch", "finditer", "findall", "split", "sub", "pattern", "flags", "groups")


def lazy(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """The pattern, not yet compiled; a broken one is refused (``re.error``) at its first use, not here."""
    return cast(re.Pattern[str], _Lazy(pattern, flags))
