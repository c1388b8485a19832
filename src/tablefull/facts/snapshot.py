"""Everything that was seen, host by host, with what was not read and what could not be seen."""

from collections.abc import Iterator
from typing import TypeVar

from msgspec import Struct, field

from tablefull.facts.entry import Composition
from tablefull.facts.origin import Fact, Hole, Origin

F = TypeVar("F", bound=Fact)


class Unread(Struct, frozen=True):
    """A line that looks like machine output and was not understood, and why."""

    origin: Origin
    why: str


class HostFacts(Struct, kw_only=True):
    """One machine. ``role`` is dom0, domu, hypervisor, guest, container, node, pod, router, namespace, host or
    unknown. ``prose`` are the lines that nobody claimed, ``typed`` the command lines.
    """

    name: str
    role: str = "unknown"
    facts: list[Fact] = field(default_factory=list)
    composition: Composition | None = None
    prose: list[Origin] = field(default_factory=list)
    typed: list[Origin] = field(default_factory=list)

    def of(self, kind: type[F]) -> Iterator[F]:
        """The facts of one kind, in the order they were read."""
        return (fact for fact in self.facts if isinstance(fact, kind))


class Snapshot(Struct, kw_only=True):
    """All hosts in order of appearance, prose included. ``live`` where it was collected from a running kernel."""

    hosts: list[HostFacts] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    live: bool = False
    lines: int = 0
    bytes: int = 0
