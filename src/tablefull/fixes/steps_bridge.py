"""Bridged frames kept out of the IP rules, and so out of tracking, on a running host.

The trap: the switch is turned back by whoever needs it (Kubernetes, Docker, libvirt write 1 at their start) and by the
module itself, which brings 1 each time it is loaded: a file of settings that is read before that changes nothing.
"""

from tablefull.facts.ruleset import FwRule, NoBridgePorts
from tablefull.fixes import brings_back
from tablefull.fixes.act import Command, HostPlan, Predicted, Step
from tablefull.fixes.live_host import LiveHost, Options
from tablefull.fixes.rule_reading import Packet, read
from tablefull.fixes.set_acts import CannotSet, refused, set_value
from tablefull.fixes.steps_notrack import quoted
from tablefull.kernel import identity

FIX = "disable-bridge-nf"
KEYS = tuple(f"net.bridge.bridge-nf-call-{what}" for what in ("iptables", "ip6tables", "arptables"))
_NEEDERS = {"kubernetes": "Kubernetes services", "docker": "Docker's published ports"}


def disable_bridge_nf(host: LiveHost, options: Options) -> HostPlan:
    """The switches that are 1, to 0; refused where a rule or an orchestrator lives on them."""
    title = "Keep bridged frames out of iptables and tracking"
    there = {key: host.value("/proc/sys/" + key.replace(".", "/")) for key in KEYS}
    if not any(value is not None for value in there.values()):
        return refused(host, FIX, title, "no bridge-nf-call here: no bridge passes its frames to the IP rules")
    if host.orchestrator in _NEEDERS and not options.i_know:
        why = (
            f"{_NEEDERS[host.orchestrator]} need it for connections between containers of one bridge, and it is set "
            "back to 1 when that starts (--i-know)"
        )
        return refused(host, FIX, title, why)
    lost = protects(host)
    if lost and not options.i_know:
        why = f"a rule filters or translates what crosses a bridge here: {quoted(lost[0])} (--i-know)"
        return refused(host, FIX, title, why)
    try:
        found = [set_value(host, key, 0) for key, value in there.items() if value not in (None, "0")]
    except CannotSet as reason:
        return refused(host, FIX, title, str(reason))
    acts = tuple(act for act in found if act is not None)
    if not acts:
        return refused(host, FIX, title, "bridged frames are kept out already: all of bridge-nf-call is 0")
    per_netns = identity.at_least(host.kernel, 5, 3) is True  # [br_netfilter of 5.2.1, 5.3.1]
    step = Step(
        title=title,
        before="the switch is on, and no interface here is a port of a bridge: nothing is passed on at the moment"
        if any(host.facts.of(NoBridgePorts))
        else "frames that cross a bridge pass the IP hooks, and are tracked where tracking is on",
        after="they do not; entries that exist stay until they expire",
        scope="netns" if per_netns else "host",
        acts=acts,
        risk="Rules on this host no longer see what merely crosses its bridges; here none of them filters that."
        if not lost
        else f"THESE RULES no longer see bridged frames: {'; '.join(quoted(rule) for rule in lost[:5])}.",
        undo=", ".join(f"{act.path.rpartition('/')[2]} {act.before} again" for act in acts),
        verify=tuple(Command(("cat", act.path)) for act in acts),
        predicted=Predicted(how="the rules in force", protection_lost=tuple(quoted(rule) for rule in lost[:20]))
        if lost
        else None,
    )
    return HostPlan(
        fix=FIX, host=host.name, netns=host.netns, title=title, steps=(step,), told=back_again(host),
        needs=("CAP_NET_ADMIN",),
    )  # fmt: skip


def protects(host: LiveHost) -> list[FwRule]:
    """Rules that bridged frames meet now and that would not see them any more: drops of FORWARD, physdev, NAT."""
    found = []
    for rule in host.rules:
        words = rule.text.split()
        by_bridge = "physdev" in words
        said = read(rule, Packet("ip" if rule.family == "inet" else rule.family), "NEW")
        filters = rule.chain.upper() == "FORWARD" and said.verdict == "drop"
        if (by_bridge and said.verdict in ("accept", "drop", "nat")) or filters:
            found.append(rule)
    return found


def back_again(host: LiveHost) -> tuple[str, ...]:
    """Who would switch it on again: files that say 1, the module's own default, programs that write it."""
    told = []
    on = [one for one in brings_back.settings_with(host, "bridge-nf-call") if one[1].rstrip(" \"'").endswith("1")]
    if on:
        told.append(f"it is switched on again by {brings_back.quoted(on)}")
    module = "bridge" if identity.at_least(host.kernel, 3, 17) is False else "br_netfilter"
    loading = brings_back.loads(host, frozenset((module,)))
    if loading:
        told.append(f"{module} brings 1 when it is loaded, and it is loaded by {brings_back.quoted(loading)}")
    elif module in host.modules:
        told.append(
            f"{module} brings 1 each time it is loaded: a file of settings read before that is ignored, so what is to "
            "last belongs to a udev rule for the module"
        )
    for program, what in (("dockerd", "docker"), ("libvirtd", "libvirt"), ("kubelet", "kubelet"), ("xend", "xend")):
        if program in host.running:
            told.append(f"{what} runs here and may set it to 1 when it starts")
    return tuple(told)
