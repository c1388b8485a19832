"""What keeps connection tracking on in one network namespace: each reason with its rules, its owner, and what stops
without it; and from the reasons the answer, family by family.

The trap: "nothing asks for it" is worth something only where everything that could ask was seen. A rule that was found
proves yes; no rule found proves no only with both rule sets read, on a kernel where rules decide (4.14), with no entry
in the table but such as the other family's rules explain. Everything else is "cannot be told", with what is missing.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from tablefull.facts.modules import Module
from tablefull.facts.origin import Basis, Origin, weakest
from tablefull.facts.ruleset import FwListing, FwObject, FwRule
from tablefull.facts.settings import Setting
from tablefull.facts.snapshot import HostFacts
from tablefull.kernel import changes
from tablefull.kernel import modules as kernel_modules
from tablefull.kernel.identity import KernelVersion, at_least
from tablefull.kernel.tracking_users import (
    ASKING_OBJECTS,
    BRIDGE,
    CALLERS,
    FAMILIES,
    IPV4,
    IPV6,
    TC_ACTION,
    Use,
    families_asked,
    use_of,
)
from tablefull.rules.owners import Owner, owner_of
from tablefull.rules.tracking import unreached

State = Literal["yes", "no", "unknown"]
EXAMPLES = 3
_IDLE_WHERE = " in a chain that nothing jumps to"
_IDLE_WITHOUT = "nothing is lost while nothing jumps there: no packet meets these rules, and they turn tracking on"
_ASLEEP_WHERE = " in a dormant table"
_ASLEEP_WITHOUT = "nothing is lost while the table is dormant: no packet meets these rules, and they turn tracking on"
_COUNTS = re.compile(r"\[\d+:\d+\] ")  # of iptables-save -c
# L3 trackers up to 4.18: being loaded is tracking, up to 4.13. ip_conntrack is the whole of the old stack.
_TRACKERS = {"ip_conntrack": IPV4, "nf_conntrack_ipv4": IPV4, "nf_conntrack_ipv6": IPV6}


class Hold(Struct, frozen=True, kw_only=True):
    """One reason. ``asks``: by itself it keeps tracking on; False: it takes part and asks for nothing.

    ``rules`` is how many rules stand behind it, ``where`` their chains, ``evidence`` the first of them, ``shown`` these
    as a person would write them. ``owner`` and ``off`` are empty where nobody is known to have made them.
    """

    what: str
    by: tuple[str, ...]
    families: tuple[str, ...]
    without: str
    weight: int
    basis: Basis
    source: str
    asks: bool = True
    rules: int = 0
    where: tuple[str, ...] = ()
    owner: str = ""
    off: str = ""
    evidence: tuple[Origin, ...] = ()
    shown: tuple[str, ...] = ()


class Verdict(Struct, frozen=True):
    """Whether packets of a family are tracked here now, why that is said, and how it is known."""

    family: str
    state: State
    why: str
    basis: Basis


class Sight(Struct, kw_only=True):
    """What there was to see. ``tracker`` False: this kernel has none loaded. ``unseen``: family → what was not read.

    ``count``: entries here; None where it is not told. ``full``: the kernel printed that it refused an entry.
    """

    kernel: KernelVersion | None
    tracker: bool | None = None
    count: int | None = None
    full: bool = False
    unseen: Mapping[str, Sequence[str]] = field(default_factory=dict)


class _Group:
    """Rules of one owner and one use on the way to a hold."""

    def __init__(self, use: Use, families: tuple[str, ...], owner: Owner | None) -> None:
        self.use, self.families, self.owner = use, families, owner
        self.by: dict[str, None] = {}
        self.where: dict[str, None] = {}
        self.evidence: list[Origin] = []
        self.shown: list[str] = []
        self.rules = 0


def holds(
    host: HostFacts, kernel: KernelVersion | None, shared: Iterable[Module] = (), booted_with: Origin | None = None
) -> list[Hold]:
    """Every reason in one namespace, the one that costs most to lose first; what only takes part comes last.

    ``shared``: the machine's modules where ``host`` is a namespace of it. ``booted_with``: the line of enable_hooks=1.
    """
    groups: dict[tuple[str, tuple[str, ...], str], _Group] = {}
    idle = {id(one) for one in unreached(host)}
    asleep = {(one.tool, one.family, one.table) for one in host.of(FwListing) if one.dormant}
    for one in host.of(FwRule):
        if one.standing == "shown":
            dormant = (one.tool, one.family, one.table) in asleep
            _rule(one, kernel, groups, idle=id(one) in idle, dormant=dormant)
    for thing in host.of(FwObject):
        if thing.standing == "shown":
            _object(thing, kernel, groups)
    found = [_hold(group, kernel) for group in groups.values()]
    loaded = {module.name: module for module in (*host.of(Module), *shared)}
    switched = any(one.name.startswith("net.bridge.bridge-nf-call-") for one in host.of(Setting))
    found += _modules(loaded, kernel, switched)
    if booted_with is not None and changes.has("enable-hooks-option", kernel).value is not False:
        found.append(_option(booted_with))
    found += _bridged(host)
    return sorted(found, key=lambda one: (not one.asks, -one.weight, -one.rules, one.what))


def _rule(
    one: FwRule,
    kernel: KernelVersion | None,
    groups: dict[tuple[str, tuple[str, ...], str], _Group],
    *,
    idle: bool,
    dormant: bool,
) -> None:
    """``idle``: it stands in a chain that nothing jumps to, ``dormant``: in a table that sleeps; both ask."""
    asked = kernel_modules.requests_tracking(one.text, one.tool, kernel)
    families = families_asked(one.family, one.text, kernel) if asked.value else ()
    if not families:
        return
    words = dict.fromkeys(word.removesuffix(" set") for word in asked.by)
    uses = sorted((use_of(word) for word in words), key=lambda use: -use.weight)
    table = one.table or "?"
    use = uses[0]
    if dormant:
        use = Use(f"{use.role}{_ASLEEP_WHERE}", _ASLEEP_WITHOUT, 1)
    elif idle:
        use = Use(f"{use.role}{_IDLE_WHERE}", _IDLE_WITHOUT, 1)
    group = _group(groups, use, families, owner_of(one.table, one.chain, one.origin.text))
    group.by.update(words)
    family = "" if one.tool != "nft" else f"{one.family} "
    _cite(group, f"{one.tool} {family}{table} {one.chain}", one.origin, _written(one))


def _object(
    one: FwObject, kernel: KernelVersion | None, groups: dict[tuple[str, tuple[str, ...], str], _Group]
) -> None:
    """An object asks by being there; a set, where it runs a statement that asks for each of its elements."""
    by: tuple[str, ...] = (one.kind,) if one.kind in ASKING_OBJECTS else ()
    if one.text:
        by = kernel_modules.requests_tracking(one.text, one.tool, kernel).by
    families = families_asked(one.family, "", kernel)
    if by and families:
        group = _group(groups, use_of(by[0]), families, owner_of(one.table, one.name, ""))
        group.by[by[0]] = None
        where = f"{one.tool} {one.family} {one.table or '?'}" if one.tool != "tc" else "tc"
        _cite(group, f"{where} ({one.kind} {one.name})", one.origin, f"{where}: {one.kind} {one.name}")


def _written(one: FwRule) -> str:
    """``iptables -t nat -A POSTROUTING -j MASQUERADE``; of nft its chain, a colon and the rule."""
    text = _COUNTS.sub("", one.origin.text.strip())
    if one.tool == "nft":
        return f"nft {one.family} {one.table or '?'} {one.chain}: {text}"
    if text.startswith("-"):
        return f"{one.tool} -t {one.table or '?'} {text}"
    return text if text.startswith(one.tool) else f"{one.tool} -t {one.table or '?'} {one.chain}: {text}"


def _group(
    groups: dict[tuple[str, tuple[str, ...], str], _Group],
    use: Use,
    families: tuple[str, ...],
    owner: Owner | None,
) -> _Group:
    return groups.setdefault((use.role, families, owner.name if owner else ""), _Group(use, families, owner))


def _cite(group: _Group, where: str, origin: Origin, shown: str) -> None:
    group.rules += 1
    group.where[where] = None
    if len(group.evidence) < EXAMPLES:
        group.evidence.append(origin)
        group.shown.append(shown)


def _hold(group: _Group, kernel: KernelVersion | None) -> Hold:
    by_rule = changes.has("hooks-by-rule", kernel)
    return Hold(
        what=group.use.role,
        by=tuple(group.by),
        families=group.families,
        without=group.use.without,
        weight=group.use.weight,
        basis=weakest("shown", by_rule.basis),
        source="who requests tracking: nf_ct_netns_get callers of 4.10..6.18.2; measured on 6.18.44",
        rules=group.rules,
        where=tuple(group.where),
        owner=group.owner.name if group.owner else "",
        off=group.owner.off if group.owner else "",
        evidence=tuple(group.evidence),
        shown=tuple(group.shown),
    )


def _modules(loaded: Mapping[str, Module], kernel: KernelVersion | None, switched: bool) -> list[Hold]:
    """``switched``: the switches of bridge-nf are shown, and say more than its module."""
    found = []
    starts = kernel_modules.loading_starts_tracking(kernel)
    for name, family in _TRACKERS.items():
        module = loaded.get(name)
        if module is None or starts.value is False:
            continue
        users = ", ".join(module.used_by) or "nobody"
        found.append(
            Hold(
                what="tracker module",
                by=(name,),
                families=(family,),
                without=f"held by: {users}; what these do stops with it",
                weight=7,
                basis=weakest("shown", starts.basis),
                source=starts.source,
                asks=bool(starts.value),
                where=("every network namespace",),
                evidence=(module.origin,),
            )
        )
    hooked = changes.has("openvswitch-hooks", kernel)
    switch = loaded.get("openvswitch") if hooked.value else None
    if switch is not None:
        found.append(
            Hold(
                what="Open vSwitch's module: loaded, it tracks every namespace, with flows or without",
                by=("openvswitch",),
                families=(IPV4, IPV6),
                without=CALLERS["openvswitch"].without,
                weight=7,
                basis=weakest("shown", hooked.basis),
                source=hooked.source,
                where=("every network namespace",),
                off="modprobe -r openvswitch, or a kernel from 6.12",
                evidence=(switch.origin,),
            )
        )
    for name, caller in CALLERS.items():
        module = loaded.get(name) if name != "openvswitch" or switch is None else None
        if module is not None and not (name == "br_netfilter" and switched):
            found.append(
                Hold(
                    what=caller.what,
                    by=(name,),
                    families=(BRIDGE,) if name == "nf_conntrack_bridge" else (IPV4, IPV6),
                    without=f"{caller.without}; see {caller.look}",
                    weight=6 if caller.asks else 2,
                    basis="version",
                    source=caller.source,
                    asks=False,
                    where=("the whole host",),
                    evidence=(module.origin,),
                )
            )
    return found


def _option(origin: Origin) -> Hold:
    return Hold(
        what="module option enable_hooks=1",
        by=("enable_hooks",),
        families=(IPV4, IPV6),
        without="nothing by itself: it tracks every namespace whether a rule asks or not",
        weight=1,
        basis="version",
        source="nf_conntrack_standalone.c, 5.0.1 no, 5.2.1 yes; permission 0000, so /sys does not show it",
        where=("every network namespace",),
        off="take the option away and boot, or unload the module and load it without",
        evidence=(origin,),
    )


def _bridged(host: HostFacts) -> list[Hold]:
    """bridge-nf where it is on: it asks for nothing, and is how guests' packets come to be tracked."""
    on = {
        family: one
        for one in host.of(Setting)
        for name, family in (("iptables", IPV4), ("ip6tables", IPV6))
        if one.name == f"net.bridge.bridge-nf-call-{name}" and one.standing == "shown" and one.number == 1
    }
    if not on:
        return []
    found = [one for family, one in sorted(on.items())]
    return [
        Hold(
            what="bridge-nf: frames bridged here pass the IP rules, and are tracked where tracking is on",
            by=("bridge-nf",),
            families=tuple(sorted(on)),
            without=CALLERS["br_netfilter"].without,
            weight=3,
            basis="shown",
            source=CALLERS["br_netfilter"].source,
            asks=False,
            off="sysctl -w " + " ".join(f"{one.name}=0" for one in found),
            evidence=tuple(one.origin for one in found),
        )
    ]


def callers(found: Collection[Hold]) -> list[str]:
    """Modules that are loaded and hand packets to the tracker themselves, without a hook and a rule."""
    return [name for one in found for name in one.by if name in CALLERS and CALLERS[name].asks]


def verdicts(found: Collection[Hold], sight: Sight) -> list[Verdict]:
    """The answer for each family. ``bridge`` is answered where something speaks of it."""
    bridged = any(BRIDGE in one.families for one in found)
    return [_verdict(family, found, sight) for family in FAMILIES if family != BRIDGE or bridged]


def _verdict(family: str, found: Collection[Hold], sight: Sight) -> Verdict:
    asking = [one for one in found if one.asks and family in one.families]
    if asking:
        rules = sum(one.rules for one in asking)
        why = f"{rules} {'rule asks' if rules == 1 else 'rules ask'} for it" if rules else asking[0].what
        return Verdict(family, "yes", why, weakest(*(one.basis for one in asking)))
    if sight.tracker is False:
        return Verdict(family, "no", "connection tracking is not loaded", "probed")
    by_rule = changes.has("hooks-by-rule", sight.kernel)
    if by_rule.value is None:
        return Verdict(family, "unknown", f"the kernel's version decides, and {by_rule.source}", "unknown")
    if not by_rule.value:
        return _by_module(family, sight)
    missing = sight.unseen.get(family, ())
    if missing:
        why = "nothing that was seen asks for it; not seen: " + "; ".join(missing)
        return Verdict(family, "unknown", why, "unknown")
    handed = callers(found)
    explained = not handed and any(one.asks and set(one.families) & ({IPV4, IPV6} - {family}) for one in found)
    if sight.count and not explained:
        who = f"by {' or '.join(handed)}, which is loaded, " if handed else "by a program or BPF, "
        entries = f"{sight.count:,} {'entry' if sight.count == 1 else 'entries'}"
        why = (
            f"no rule asks for it, yet the table holds {entries}: left from before, put there {who}or "
            "the module was loaded with enable_hooks=1, which the kernel hides; --prove tells if packets are tracked"
        )
        return Verdict(family, "unknown", why, "unknown")
    why = "no rule asks for it"
    if handed:
        why += f"; flows with ct of {' and '.join(handed)}, which were not read, may track theirs"
    elif at_least(sight.kernel, 5, 1):
        why += " (a module loaded by hand with enable_hooks=1 would not show; --prove tells)"
    return Verdict(family, "no", why, weakest("shown", by_rule.basis))


def decided(verdict: Verdict, tracked: bool | None, found: Collection[Hold] = ()) -> Verdict:
    """The same after a packet was sent: ``tracked`` is what the kernel did with it, None where it told nothing. It says
    nothing of packets that tc or Open vSwitch hand in, on links of their own.
    """
    if tracked is None:
        return verdict
    if tracked:
        why = verdict.why if verdict.state == "yes" else f"a packet was tracked, yet {verdict.why}"
        return Verdict(verdict.family, "yes", why, "probed")
    if verdict.state == "yes" and any(TC_ACTION in one.by for one in found):
        return verdict
    if verdict.state == "unknown" and callers(found):
        return Verdict(
            verdict.family, "unknown", f"a packet on a link of its own was not tracked; {verdict.why}", "unknown"
        )
    if verdict.state == "yes":
        return Verdict(verdict.family, "unknown", f"{verdict.why}, yet a packet was not tracked", "unknown")
    return Verdict(verdict.family, "no", "a packet was sent and was not tracked", "probed")


def _by_module(family: str, sight: Sight) -> Verdict:
    """Up to 4.13 the tracker's module decides, and the list of modules tells, unless it is built in."""
    if sight.unseen.get("modules") and sight.full and family == IPV4:
        why = "the kernel printed that its table is full; that IPv4 fills it is inferred: the modules were not shown"
        return Verdict(family, "yes", why, "unknown")
    if sight.unseen.get("modules"):
        return Verdict(family, "unknown", "the list of loaded modules was not seen", "unknown")
    if sight.count:
        why = f"no tracker module is listed, yet {sight.count:,} entries are counted: built in?"
        return Verdict(family, "unknown", why, "unknown")
    return Verdict(family, "no", "no tracker module is loaded", weakest("shown", "version"))
