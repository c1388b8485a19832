"""A setting as an act: its file on this host, the value that was read there, the value to come.

The trap: a file that can be read may refuse to be written. In a namespace of its own a container sees the host's limit
and may not change it, and before 4.8 the number of buckets is read-only as a sysctl. So a write that this kernel would
refuse is told before the plan is offered, not in its middle.
"""

from tablefull.fixes.act import HostPlan, SetValue
from tablefull.fixes.live_host import LiveHost, places


class CannotSet(Exception):
    """Why a setting cannot be changed here; ``str()`` is the sentence."""


def set_value(host: LiveHost, name: str, after: int) -> SetValue | None:
    """The act that gives a canonical setting this value; None where it has it already. CannotSet with the reason."""
    path = host.path_of(name)
    if path is None:
        hidden = next((place for place in places(name) if host.proc.exists(place.lstrip("/"))), None)
        if hidden is not None:
            raise CannotSet(f"{hidden} is there and cannot be read: run it as root")
        where = places(name)[0]
        if name.startswith("nf_conntrack") and host.path_of("nf_conntrack_max") is None:
            raise CannotSet(f"connection tracking is not loaded here: there is no {where}, and nothing to change")
        raise CannotSet(f"this kernel has no {where}")
    before = host.number(path)
    if before is None:
        raise CannotSet(f"{path} holds no number: {(host.value(path) or '')[:40]!a}")
    if before == after:
        return None
    if not host.writable(path):
        raise CannotSet(_why_not(host, path))
    return SetValue(path, str(before), str(after))


def _why_not(host: LiveHost, path: str) -> str:
    # max and expect_max are one number for the whole host, 0444 outside the first namespace from 5.13 on; the buckets
    # always were [nf_conntrack_standalone.c; KERNEL.md 2.2].
    if host.is_first_namespace() is not True and path.endswith(("_max", "_buckets", "hashsize")):
        there = "plan it there" if host.netns is None else "plan it there, without --netns"
        return f"{path} is the whole host's and cannot be written here, only in its first network namespace: {there}"
    return f"{path} cannot be written here (read-only, as in a container, or not run as root)"


def refused(host: LiveHost, fix: str, title: str, why: str, *told: str) -> HostPlan:
    """A plan without steps, and why."""
    return HostPlan(fix=fix, host=host.name, netns=host.netns, title=title, refused=why, told=tuple(told))


def shown(act: SetValue) -> str:
    """The setting's own name, as a person knows it."""
    return act.path.rpartition("/")[2]
