"""The loaded modules of the running kernel, who holds whom, and how many hold one that is no module.

The trap: a reference count says how many, and the list of holders says only which modules. What is left over is a rule,
a socket or a namespace, and only looking there tells which one. And a module that is built in has a folder in /sys too,
without a state: it cannot leave.
"""

from collections.abc import Iterable

from msgspec import Struct

from tablefull.facts.origin import Hole
from tablefull.live.proc import Proc


class Loaded(Struct, frozen=True):
    """A loaded module: modules that use it, and references beyond those. None: the kernel does not tell."""

    name: str
    references: int | None
    holders: tuple[str, ...]

    @property
    def others(self) -> int | None:
        """References of what is no module: rules, sockets, namespaces."""
        return None if self.references is None else max(0, self.references - len(self.holders))


def read(proc: Proc) -> dict[str, Loaded]:
    """Every loaded module by name; empty where the kernel shows none (all built in, or no /proc)."""
    text = proc.text("proc/modules")
    found: dict[str, Loaded] = {}
    for line in text.splitlines() if isinstance(text, str) else ():
        words = line.split()
        if len(words) < 4:
            continue
        name = words[0]
        listed = () if words[3] == "-" else tuple(one for one in words[3].split(",") if one and one[0] != "[")
        named = proc.names(f"sys/module/{name}/holders")
        holders = listed if isinstance(named, Hole) else tuple(named)
        # Without CONFIG_MODULE_UNLOAD there is a dash for the count, and nothing leaves [kernel/module/procfs.c].
        count = proc.number(f"sys/module/{name}/refcnt")
        references = count if isinstance(count, int) else int(words[2]) if words[2].isdecimal() else None
        found[name] = Loaded(name, references, holders)
    return found


def above(graph: dict[str, Loaded], roots: Iterable[str]) -> tuple[str, ...]:
    """These modules and all that stand on them, in an order in which they leave: who holds goes before who is held."""
    order: list[str] = []
    done: set[str] = set()
    path: set[str] = set()

    def visit(name: str) -> None:
        if name in done or name not in graph or name in path:
            return
        path.add(name)
        for holder in sorted(graph[name].holders):
            visit(holder)
        path.discard(name)
        done.add(name)
        order.append(name)

    for root in roots:
        visit(root)
    return tuple(order)
