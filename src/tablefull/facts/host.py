"""What the machine is: kernel and how long it runs, distribution, memory, slab caches, programs and their versions."""

from tablefull.facts.origin import Fact


class KernelRelease(Fact, frozen=True, kw_only=True):
    """``uname -r``; ``nodename`` and ``machine`` where the whole of ``uname -a`` was shown."""

    release: str
    nodename: str | None = None
    machine: str | None = None
    build: str | None = None


class Distribution(Fact, frozen=True, kw_only=True):
    """Lower-case ``id`` (ubuntu debian centos rhel openwrt …) and ``version`` as printed (``12.04``)."""

    id: str
    version: str | None = None
    codename: str | None = None


class Memory(Fact, frozen=True, kw_only=True):
    """Whole memory and what is available, in bytes; None where not shown. ``stated`` marks a number said in prose."""

    total_bytes: int | None = None
    available_bytes: int | None = None
    stated: bool = False


class Uptime(Fact, frozen=True, kw_only=True):
    """How long the kernel had run when this was collected, in seconds: the clock of its log's stamps."""

    uptime_s: float


class Slab(Fact, frozen=True, kw_only=True):
    """One slab cache: objects in use, objects allocated, bytes an object.

    ``cache_bytes`` is the memory of all its slabs.
    """

    name: str
    active: int
    total: int
    object_bytes: int | None = None
    cache_bytes: int | None = None


class Program(Fact, frozen=True, kw_only=True):
    """A program that matters: ``field`` and ``value`` of its configuration, log or version."""

    name: str
    field: str
    value: str
