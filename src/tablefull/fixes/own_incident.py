"""What a snapshot of a whole host shows of one network namespace: the incident that a fix inside of it is for.

The trap: the kernel has one log for all its namespaces. A line of another one's full table would have this one's
settings changed, and from 6.17 the line says whose it is: by the number of the namespace, which the kernel gives away
again once a namespace is gone. So a line counts that may be this namespace's own, and none counts where its counters,
which begin with it, say that it never refused a packet.
"""

from tablefull.facts.counters import CpuCounters
from tablefull.facts.host import Distribution, KernelRelease, Memory, Program, Slab, Uptime
from tablefull.facts.kernel_log import LogLine
from tablefull.facts.modules import Module
from tablefull.facts.origin import Fact
from tablefull.facts.snapshot import HostFacts, Snapshot
from tablefull.kernel import changes
from tablefull.kernel.identity import KernelVersion

FULL = "table-full"
# One for the whole machine, whichever namespace asks.
_OF_THE_MACHINE = (Distribution, KernelRelease, Memory, Module, Program, Slab, Uptime)


def of_namespace(
    snapshot: Snapshot,
    machine: HostFacts,
    own: HostFacts,
    inode: int | None,
    *,
    first: bool | None,
    kernel: KernelVersion | None,
) -> Snapshot:
    """The snapshot with nothing in it that is another namespace's.

    ``machine`` and ``own`` are hosts of it; ``inode`` is the number of the namespace, ``first`` whether it is the one
    of process 1, each None where that cannot be told.
    """
    wide = [
        fact for fact in machine.facts if isinstance(fact, _OF_THE_MACHINE) or _may_be_own(fact, inode, first, kernel)
    ]
    facts = [*wide, *own.facts]
    if refused(own) == 0:
        facts = [fact for fact in facts if not (isinstance(fact, LogLine) and fact.kind == FULL)]
    kept = HostFacts(name=own.name, role=own.role, facts=facts, composition=own.composition)
    return Snapshot(
        hosts=[kept],
        unread=snapshot.unread,
        holes=snapshot.holes,
        live=snapshot.live,
        lines=snapshot.lines,
        bytes=snapshot.bytes,
    )


def _may_be_own(fact: Fact, inode: int | None, first: bool | None, kernel: KernelVersion | None) -> bool:
    if not isinstance(fact, LogLine):
        return False
    if fact.kind != FULL:
        return True
    if fact.netns is not None:
        return inode is None or fact.netns == inode
    # From 6.17 only the initial namespace has a line without a number.
    return first is not False or changes.has("netns-in-log", kernel).value is not True


def refused(own: HostFacts) -> int | None:
    """Packets that this namespace dropped since it began; None where its counters were not seen.

    A packet for which there is no room moves ``drop`` of its own namespace [KERNEL.md 3]; ``early_drop`` is none
    refused, and a table that made room was full as well.
    """
    seen = [one.values for one in own.of(CpuCounters) if "drop" in one.values]
    if not seen:
        return None
    return sum(values["drop"] + values.get("early_drop", 0) for values in seen)
