"""Tracking's modules taken out of a running kernel, in the order of the live graph, and kept from coming back.

The trap: a table of the old iptables leaves with its rules in it: ``rmmod iptable_nat`` does not ask whether they are
used. So before anything is unloaded, the rules of every namespace are looked at, and a namespace that could not be
looked into is a user until it is shown to be none. And what is loaded again has forgotten its settings: undo writes
back the ones that stood.
"""

import re

from tablefull.facts.ruleset import FwRule
from tablefull.fixes import brings_back, rule_acts
from tablefull.fixes.act import Command, Commanded, HostPlan, Predicted, Step
from tablefull.fixes.boot_modules import by_busybox
from tablefull.fixes.boot_tree import Tree
from tablefull.fixes.live_host import LiveHost, Options
from tablefull.fixes.persist_files import NotOurs, head, own_file
from tablefull.fixes.set_acts import refused
from tablefull.fixes.steps_notrack import quoted
from tablefull.kernel import identity, timeouts
from tablefull.kernel.modules import TRACKING_MODULES, requests_tracking
from tablefull.live import module_graph
from tablefull.live.module_graph import Loaded

FIX = "unload-modules"
# They carry services of their own over tracking: what they do ends with it, so they are users, not parts.
SERVICES = {
    "openvswitch": "Open vSwitch", "ip_vs": "IPVS (load balancing)", "act_ct": "a tc rule", "act_connmark": "a tc rule",
    "act_ctinfo": "a tc rule", "xt_TPROXY": "a transparent proxy", "xt_socket": "a transparent proxy",
}  # fmt: skip
_DEFRAG = ("nf_defrag_ipv4", "nf_defrag_ipv6")
_OF_NETFILTER = ("nf_", "xt_", "nft_", "ipt_", "ip6t_", "iptable_", "ip6table_", "nfnetlink_", "ip_nat", "ip_conntrack")
_NAME = re.compile(r"[A-Za-z0-9_]{1,60}", re.ASCII)
_HELD = "held by what is no module"
PREVENTION = "/etc/modprobe.d/tablefull-no-tracking.conf"
# The modules that a table, a rule or a program asks for by name, and that pull the rest in.
DOORS = (
    "iptable_nat", "ip6table_nat", "nft_chain_nat", "nf_conntrack_netlink", "nf_nat", "nf_conntrack_ipv4",
    "nf_conntrack_ipv6", "nf_conntrack",
)  # fmt: skip


def unload_modules(host: LiveHost, options: Options) -> HostPlan:
    """Unload in order, or say who uses what."""
    title = "Unload connection tracking"
    core = "ip_conntrack" if host.old_stack else "nf_conntrack"
    graph = module_graph.read(host.proc)
    if host.netns is not None:
        return refused(host, FIX, title, "modules belong to the host: plan it without --netns")
    if core not in graph:
        if host.builtin:
            why = (
                "tracking is compiled into this kernel and cannot be unloaded: remove the rules that ask for it, or "
                "exempt the traffic (notrack)"
            )
            return refused(host, FIX, title, why)
        return refused(host, FIX, title, f"{core} is not loaded here: nothing to unload")
    order = leaving(graph, core)
    users = users_of(host, graph, order)
    only_held = len(users) == 1 and users[0].startswith(_HELD)
    if users and not (only_held and options.i_know):
        hint = " (--i-know tries it: the kernel refuses what is in use)" if only_held else ""
        return refused(host, FIX, title, f"it is in use: {users[0]}{hint}", *users[1:30])
    if any(graph[name].references is None for name in order):
        return refused(host, FIX, title, "this kernel cannot unload modules")
    acts = tuple(_unload(host, name, core) for name in order)
    count = host.situation.count
    loading = (
        "on this kernel loading the modules is enough to track every packet, so unloading ends it"
        if identity.at_least(host.kernel, 4, 14) is False
        else "from 4.14 on loaded modules alone track nothing: this frees their memory"
    )
    steps = [
        Step(
            title=f"{title}: {', '.join(order)}",
            before=f"{len(order)} modules loaded, {'unknown' if count is None else count} entries; {loading}",
            after="none of them; no packet is tracked",
            scope="host",
            acts=acts,
            risk="No rule in any namespace needs them, as far as could be seen. The entries are lost. A module that "
            "comes into use meanwhile refuses to leave, and those before it are loaded again.",
            undo="they are loaded again in the opposite order, with the settings that stood; entries come with the "
            "next packets",
            verify=(Command(("grep", "-c", f"^{core} ", "/proc/modules")),),
            predicted=Predicted(how="every entry goes with the table", entries_before=count, entries_after=0),
        ),
    ]
    told = comes_back(host, order)
    try:
        steps.append(prevention(host, order))
    except NotOurs as reason:
        told = (f"nothing is written to keep them out: {reason}", *told)
    return HostPlan(
        fix=FIX, host=host.name, netns=host.netns, title=title, steps=tuple(steps), told=told,
        needs=("CAP_SYS_MODULE", "root"),
    )  # fmt: skip


def leaving(graph: dict[str, Loaded], core: str) -> tuple[str, ...]:
    """The core and all that stand on it, and the reassembly of fragments where nobody else holds it."""
    order = list(module_graph.above(graph, (core,)))
    for name in _DEFRAG:
        held = graph.get(name)
        if held is not None and set(held.holders) <= set(order) and held.others == 0:
            order.append(name)
    return tuple(name for name in order if _NAME.fullmatch(name))


def users_of(host: LiveHost, graph: dict[str, Loaded], order: tuple[str, ...]) -> tuple[str, ...]:
    """Everybody who uses one of these modules, in words: services, rules of every namespace, what was not seen."""
    found = [f"{SERVICES[name]} ({name}) stands on it" for name in order if name in SERVICES]
    found += [
        f"the module {name}, which is no part of tracking, stands on it"
        for name in order
        if name not in TRACKING_MODULES and name not in SERVICES and not name.startswith(_OF_NETFILTER)
    ]
    for namespace in host.snapshot.hosts:
        asking = [
            rule
            for rule in namespace.of(FwRule)
            if rule.standing == "shown"
            and (requests_tracking(rule.text, rule.tool, host.kernel).value or _in_a_table_that_leaves(rule))
        ]
        if asking:
            where = "here" if namespace is host.machine else f"in the network namespace {namespace.name[:80]!a}"
            found.append(f"rules {where} ({len(asking)}), the first: {quoted(asking[0])}")
    blind = [f"{hole.what}: {hole.why}" for hole in host.namespaces()[1]]
    blind += list(host.unseen_rules)
    if blind:
        found.append(f"who else uses it could not be seen: {'; '.join(dict.fromkeys(blind))[:400]}")
    held = [f"{name} by {more}" for name in order if (more := unexplained(host, graph, name)) > 0]
    if held and not found:
        found.append(f"{_HELD} (a rule, a socket, a program that listens to events): {', '.join(held)}")
    elif held:
        found.append(f"references that no module explains: {', '.join(held)}")
    return tuple(found)


def unexplained(host: LiveHost, graph: dict[str, Loaded], name: str) -> int:
    """References of a module that no loaded module explains."""
    others = graph[name].others or 0
    # nf_nat_init takes the IPv4 tracker by nf_ct_l3proto_find_get, beside the symbols that make it a holder
    # [nf_nat_core.c of 2.6.22 to 3.6]: one more, which goes with nf_nat.
    if name == "nf_conntrack_ipv4" and "nf_nat" in graph and identity.at_least(host.kernel, 3, 7) is False:
        others -= 1
    return max(0, others)


def _in_a_table_that_leaves(rule: FwRule) -> bool:
    return rule.tool != "nft" and rule.table == "nat"


def _unload(host: LiveHost, name: str, core: str) -> Commanded:
    undo = [Command(("modprobe", name))]
    if name == core:
        buckets = host.situation.buckets
        hashsize = (f"hashsize={buckets}",) if buckets else ()
        undo = [Command(("modprobe", name, *hashsize)), *(_written(host))]
    return Commanded(
        what=f"unload {name}",
        do=(Command(("rmmod", name)),),
        undo=tuple(undo),
        done=Command(("test", "!", "-e", f"/sys/module/{name}/initstate")),
    )


def _written(host: LiveHost) -> list[Command]:
    """The settings of the tracker that loading it again would set to its defaults."""
    names = ["nf_conntrack_max", "nf_conntrack_expect_max", *timeouts.DEFAULTS, *timeouts.SWITCH_DEFAULTS]
    found = []
    for name in names:
        path, number = host.path_of(name), host.setting(name)
        # Those of IPv4's own tracker are not there yet when the core is (nf_conntrack_ipv4 brings the old names).
        if path is None or number is None or not path.startswith("/proc/sys/net/netfilter/"):
            continue
        default = timeouts.DEFAULTS.get(name, timeouts.SWITCH_DEFAULTS.get(name))
        if number != default:
            found.append(Command(("sysctl", "-q", "-w", f"net.netfilter.{name}={number}")))
    return found


def prevention(host: LiveHost, order: tuple[str, ...]) -> Step:
    """A file by which modprobe refuses to load them, whoever asks: a blacklist stops only loading by alias.

    NotOurs where a file of somebody else is in the way.
    """
    doors = [name for name in DOORS if name in order] or list(order[-1:])
    text = "\n".join(
        (
            head(FIX),
            "# It keeps connection tracking from being loaded again.",
            *(f"install {name} /bin/false" for name in doors),
        )
    )
    return Step(
        title="Keep connection tracking from being loaded again",
        before="the next rule, table or listing that asks for it loads it",
        after="loading it is refused, and so is what asks for it",
        scope="host",
        acts=(own_file(host, PREVENTION, f"{text}\n"),),
        risk="A rule that needs tracking or NAT is refused from then on, with a message that names a missing table or "
        "match: whoever sets up a firewall here must know of this file.",
        undo="the file is removed",
        verify=(Command(("modprobe", "-n", "-v", doors[-1])),),
        persists=True,
    )


def comes_back(host: LiveHost, order: tuple[str, ...]) -> tuple[str, ...]:
    """What loads it again, as far as this host shows it."""
    told = []
    if by_busybox(Tree(host.proc.root)):
        told.append(
            "modprobe here is busybox's, which passes over install lines: the file keeps out only what "
            "kmod's would load, so take away what loads it as well"
        )
    loading = brings_back.loads(host, frozenset(order))
    if loading:
        told.append(f"loaded at boot by {brings_back.quoted(loading)}")
    rules = brings_back.rules_that_track(host)
    if rules:
        told.append(f"rules that ask for it are in {brings_back.quoted(rules)}")
    told += [
        f"{program} runs here and loads it when it sets up its rules"
        for program in ("firewalld", "dockerd", "libvirtd", "kube-proxy", "kubelet", "ovs-vswitchd", "keepalived")
        if program in host.running
    ]
    how = rule_acts.spelling_or_none(host)
    if identity.at_least(host.kernel, 4, 14) is False and how != "nft":
        told.append(
            "listing the nat table loads it (iptables -t nat -L; monitoring does that too): look at "
            "/proc/net/ip_tables_names first"
        )
    return tuple(told)
