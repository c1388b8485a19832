"""Imports without what no answer needs: a fifth of the start of every command.

The trap: a stand-in that is not the real thing. So each one here is there for one import only, hands everything but the
one word that is asked for to the real module, and is never found by anybody who imports that module later.
"""

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _StandIn(ModuleType):
    """Stands for a module of the standard library until it is asked for a word that it does not know."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


class _Inspect(_StandIn):
    """In click, which asks for one word while it reads our options: 5 ms for a ``strip``."""

    def cleandoc(self, doc: str) -> str:
        """What ``inspect.cleandoc`` says, which of a text of one line is known."""
        if "\n" not in doc:
            return doc.expandtabs().lstrip()
        cleaned: str = self.__getattr__("cleandoc")(doc)
        return cleaned


class _Platform(_StandIn):
    """In ``uuid``, which click and msgspec import and which asks for the system's name: 1 ms."""

    def system(self) -> str:
        """What ``platform.system`` says on a system that has ``uname``."""
        return os.uname().sysname


def import_click() -> None:
    """Import click without ``platform`` and ``inspect``, which brings ``ast``, ``dis`` and ``tokenize``."""
    _import("click", {"inspect": _Inspect("inspect"), "platform": _Platform("platform")})


def import_msgspec() -> None:
    """Import msgspec without ``typing_extensions``: 3 ms for names that ``typing`` has since Python 3.11.

    An import of a module that is None fails, and msgspec goes on without it, as where it is not installed.
    """
    _import("msgspec", {"typing_extensions": None})


def _import(name: str, stand_ins: dict[str, ModuleType | None]) -> None:
    """Import ``name`` with these in the place of modules that nobody has imported yet."""
    there = {one: module for one, module in stand_ins.items() if one not in sys.modules}
    sys.modules.update(there)  # type: ignore[arg-type]
    try:
        import_module(name)
    finally:
        for one, module in there.items():
            if one in sys.modules and sys.modules[one] is module:
                del sys.modules[one]
