"""A plan is a value: exact commands for one host, with undo, persistence, verification, scope and risk.

Nothing here acts.
"""

from typing import Literal

from msgspec import Struct, field

from tablefull.facts.origin import Basis
from tablefull.fixes.removal import removal
from tablefull.kernel import identity
from tablefull.kernel.identity import KernelVersion

Scope = Literal["netns", "host", "other"]


class Plan(Struct, frozen=True, kw_only=True):
    """One way out. ``id`` is of the fix taxonomy, ``answers`` the causes it removes; commands stand in the order to
    type them.

    ``verify`` holds commands whose output shows that it worked; ``undo`` restores the value that was seen before, or
    says in a comment line (``# …``) what to note first; after ``removal.HEADER`` it takes away what ``persist`` wrote.
    ``scope`` is what the change touches: this network namespace,
    the whole host, or something other than this host.
    """

    id: str
    host: str
    title: str
    commands: tuple[str, ...]
    undo: tuple[str, ...]
    persist: tuple[str, ...]
    verify: tuple[str, ...]
    risk: str
    scope: Scope
    basis: Basis = "unknown"
    answers: tuple[str, ...] = ()
    why: str = ""


class Situation(Struct, kw_only=True):
    """What a plan must fit: everything None or empty is unknown, and the commands then cover the usual cases, saying
    so.

    ``front_end`` is what manages the firewall: ufw, firewalld, iptables-services, iptables-persistent, iptables,
    nftables, uci (OpenWrt), kube-proxy, docker, xen, none or unknown. ``init`` is systemd, upstart, sysv, openrc, procd
    or unknown. ``ports`` are ``udp/53``-like services worth untracking (``gre``, ``esp`` and ``lo`` are understood
    too); ``table`` is kernel, container or cilium. ``cause`` is the finding the plan answers first; ``look_alike``
    names what it is instead of connection tracking. ``builtin`` says whether connection tracking is compiled into the
    kernel; ``helper`` names the application helper.
    """

    host: str = "host"
    role: str = "unknown"
    cause: str = ""
    kernel: KernelVersion | None = None
    distribution: str | None = None
    version: str | None = None
    front_end: str = "unknown"
    init: str = "unknown"
    max: int | None = None
    buckets: int | None = None
    count: int | None = None
    expect_max: int | None = None
    ram_bytes: int | None = None
    settings: dict[str, int] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()
    nat_in_use: bool | None = None
    bridged: bool = False
    ports: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    orchestrator: str | None = None
    cloud: str | None = None
    table: str = "kernel"
    container: bool = False
    ip_conntrack: bool = False
    look_alike: str | None = None
    component: str | None = None
    builtin: bool | None = None
    helper: str | None = None


def compose(
    fix_id: str,
    situation: Situation,
    answers: tuple[str, ...],
    *,
    title: str,
    commands: tuple[str, ...],
    verify: tuple[str, ...],
    risk: str,
    scope: Scope,
    undo: tuple[str, ...] = (),
    persist: tuple[str, ...] = (),
    why: str = "",
) -> Plan:
    """A plan for this host. Where it was seen in a container, what belongs to the whole host says so first."""
    if (situation.container or situation.table == "container") and scope == "host":
        commands = (
            "# type this on the machine that runs the container: inside it the setting is read-only or absent",
            *commands,
        )
    basis: Basis = "unknown"
    if situation.kernel is not None:
        basis = "version" if identity.enterprise(situation.kernel) is None else "vendor"
    return Plan(
        id=fix_id,
        host=situation.host,
        title=title,
        commands=commands,
        undo=(*undo, *removal(persist)) or ("# nothing on this host was changed, so there is nothing to take back",),
        persist=persist or ("# nothing to add: it lasts as it is",),
        verify=verify,
        risk=risk,
        scope=scope,
        basis=basis,
        answers=answers or ((situation.cause,) if situation.cause else ()),
        why=why,
    )
