"""Kernel modules as ``lsmod`` and ``/proc/modules`` list them. A built-in feature never appears in that list."""

from tablefull.facts.origin import Fact


class Module(Fact, frozen=True, kw_only=True):
    """One loaded module."""

    name: str
    size_bytes: int | None = None
    references: int | None = None
    used_by: tuple[str, ...] = ()
