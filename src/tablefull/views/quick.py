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
    if "click" in sys.modules:
        return
    kinds = {"inspect": _Inspect, "platform": _Platform}
    there = {name: kind(name) for name, kind in kinds.items() if name not in sys.modules}
    sys.modules.update(there)
    try:
        import click  # noqa: F401
    finally:
        for name, stands_in in there.items():
            if sys.modules.get(name) is stands_in:
                del sys.modules[name]


def import_msgspec() -> None:
    """Import msgspec without ``typing_extensions``: 3 ms for names that ``typing`` has since Python 3.11.

    An import of a module that is None fails, and msgspec goes on without it, as where it is not installed.
    """
    if "typing_extensions" not in sys.modules:
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
        try:
            import msgspec  # noqa: F401
        finally:
            del sys.modules["typing_extensions"]
