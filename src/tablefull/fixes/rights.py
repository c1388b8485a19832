"""What a fix needs to be allowed, and what of it this process lacks.

The trap: "permission denied" on the third of five steps. So it is asked before the first, and the answer names the
capability and the step that needs it.
"""

import os
from collections.abc import Sequence

from msgspec import Struct

from tablefull.fixes.act import Commanded, Flush, HostPlan, OwnFile, SetValue
from tablefull.live.proc import Proc

# include/uapi/linux/capability.h
BITS = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_MODULE": 16, "CAP_SYS_ADMIN": 21}
ROOT = "root"


class Need(Struct, frozen=True):
    """A capability (or ``root``), and what for."""

    what: str
    why: str


def needed(plan: HostPlan) -> tuple[Need, ...]:
    """What carrying out this plan needs, each thing once."""
    found: dict[str, str] = {ROOT: "the journal in /var/lib/tablefull, which is root's alone"}
    if plan.netns is not None:
        found["CAP_SYS_ADMIN"] = f"entering the network namespace {plan.netns}"
    for step in plan.steps:
        for act in step.acts:
            if isinstance(act, SetValue) and act.path.startswith("/proc/sys/net/"):
                found.setdefault("CAP_NET_ADMIN", f"writing {act.path}")
            elif isinstance(act, Flush):
                found.setdefault("CAP_NET_ADMIN", "deleting entries by ctnetlink")
            elif isinstance(act, Commanded):
                _of_commands(act, found)
            elif isinstance(act, OwnFile | SetValue):
                found[ROOT] = f"writing {act.path}"
    for name in plan.needs:
        found.setdefault(name, "what this fix does")
    return tuple(Need(name, why) for name, why in found.items())


def _of_commands(act: Commanded, found: dict[str, str]) -> None:
    names = {os.path.basename(command.argv[0]) for command in act.do}  # noqa: PTH119 - a name
    if names & {"nft", "iptables", "ip6tables", "iptables-restore", "ip6tables-restore", "ipset", "ip", "conntrack"}:
        found.setdefault("CAP_NET_ADMIN", act.what)
    if names & {"modprobe", "rmmod", "insmod"}:
        found.setdefault("CAP_SYS_MODULE", act.what)


def lacking(needs: Sequence[Need], proc: Proc | None = None, user: int | None = None) -> tuple[Need, ...]:
    """Those that this process does not have. Unknown capabilities count as had: the kernel will say."""
    held = effective(proc or Proc())
    is_root = (os.geteuid() if user is None else user) == 0
    return tuple(
        need
        for need in needs
        if (need.what == ROOT and not is_root)
        or (held is not None and need.what in BITS and not held >> BITS[need.what] & 1)
    )


def effective(proc: Proc) -> int | None:
    """The effective capabilities of this process as a mask; None where they are not shown."""
    text = proc.text("proc/self/status", 65536)
    for line in text.splitlines() if isinstance(text, str) else ():
        name, _, value = line.partition(":")
        if name == "CapEff":
            try:
                return int(value, 16)
            except ValueError:
                return None
    return None


def told(lacks: Sequence[Need], again: str = "sudo tablefull fix") -> str:
    """One line about what is lacking; ``again`` is what to type instead."""
    words = ", ".join(f"{need.what} (for {need.why})" for need in lacks)
    return f"this needs {words}, which this process does not have; run it as root: {again}"
