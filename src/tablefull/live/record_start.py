"""What is to be known before events are recorded: which namespaces, whether they may be heard, what they will send.

The trap: to listen changes what an entry costs, and a setting may keep every event back; both are to be said before,
and without loading what takes seconds to load.
"""

from collections.abc import Sequence

from msgspec import Struct

from tablefull.errors import KernelRefused, Unreadable
from tablefull.facts.origin import Hole
from tablefull.live.netlink import Netlink, in_namespace
from tablefull.live.proc import Proc
from tablefull.live.spaces import Space, all_of, one
from tablefull.live.table_look import OWN
from tablefull.wire import ctnetlink

GROUPS = (ctnetlink.GROUP_NEW, ctnetlink.GROUP_UPDATE, ctnetlink.GROUP_DESTROY)
SETTINGS = ("nf_conntrack_events", "nf_conntrack_timestamp", "nf_conntrack_acct")
FOLDER = "/proc/sys/net/netfilter/"


class Settings(Struct, frozen=True):
    """What decides which events a namespace sends; None where it is not shown."""

    events: int | None
    timestamp: int | None
    acct: int | None


def settings_of(path: str | None) -> Settings:
    """The settings as seen inside a namespace."""

    def read() -> Settings:
        values: list[int | None] = []
        for name in SETTINGS:
            try:
                with open(FOLDER + name, encoding="ascii") as file:  # noqa: PTH123 - in the thread that entered it
                    values.append(int(file.read()))
            except (OSError, ValueError):
                values.append(None)
        return Settings(*values)

    try:
        return in_namespace(path, read)
    except OSError:
        return Settings(None, None, None)


def spaces_of(proc: Proc, names: Sequence[str]) -> tuple[list[Space], list[str]]:
    """The namespaces that are meant, each once, and what could not be told of them. ``all``: every one."""
    if "all" in names:
        found, holes = all_of(proc, ask=False)
        return found, [f"{hole.what}: {hole.why}" for hole in holes]
    own = proc.inode("proc/self/ns/net")
    number = 0 if isinstance(own, Hole) else own
    spaces = [one(proc, name) for name in names] or [Space(OWN, None, number, None, None)]
    return list({space.inode or space.key: space for space in spaces}.values()), []


def check_allowed(spaces: Sequence[Space]) -> None:
    """KernelRefused where not one of the namespaces may be listened to: told before anything is written or loaded."""
    refusal: KernelRefused | None = None
    for space in spaces:
        try:
            with Netlink(namespace=space.path) as link:
                link.join(GROUPS[-1])
            return
        except KernelRefused as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal


def check_events(settings: Sequence[tuple[Space, Settings]]) -> list[str]:
    """What is to be said of namespaces that send no events. Unreadable where none sends any."""
    silent = _silent([(space.key, found.events) for space, found in settings], _EVENTS)
    return [f"{key}: nf_conntrack_events is 0 there: it sends no events" for key in silent]


def check_counters(settings: Sequence[tuple[Space, Settings]]) -> list[str]:
    """What is to be said where packets and bytes are asked for. Unreadable where not one namespace counts them."""
    names = [("this namespace" if space.key == OWN else space.key, found.acct) for space, found in settings]
    silent = _silent(names, _COUNTERS)
    return [f"{key}: nf_conntrack_acct is 0 there: packets and bytes are not counted" for key in silent]


# What cannot be had, why (with where), what to do.
_EVENTS = (
    "nf_conntrack_events",
    "is 0 in {}: the kernel sends no events",
    "sysctl -w net.netfilter.nf_conntrack_events=2 turns them on for new entries",
)
_COUNTERS = (
    "packets and bytes",
    "not counted in {} (nf_conntrack_acct is 0)",
    "sysctl -w net.netfilter.nf_conntrack_acct=1 counts them for new entries",
)


def _silent(values: Sequence[tuple[str, int | None]], refusal: tuple[str, str, str]) -> list[str]:
    """The namespaces whose setting is 0. Unreadable, in the words of ``refusal``, where it is 0 in all of them."""
    silent = [name for name, value in values if value == 0]
    if silent and len(silent) == len(values):
        what, why, remedy = refusal
        raise Unreadable(what, why.format(", ".join(silent[:5])), remedy)
    return silent
