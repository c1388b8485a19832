"""Tracking that nothing needs, and tracking that loses its entries."""

import re
from collections.abc import Iterator

from tablefull.facts.modules import Module
from tablefull.facts.origin import Origin
from tablefull.facts.ruleset import Bridge, FwChain, FwListing, FwRule, NoBridgePorts
from tablefull.facts.settings import Setting
from tablefull.facts.snapshot import HostFacts
from tablefull.kernel import modules as kernel_modules
from tablefull.rules.case import Case
from tablefull.rules.clues import Clues
from tablefull.rules.finding import Ask, Finding
from tablefull.rules.fullness import fullness
from tablefull.rules.rule import rule

ASK_TABLES = Ask(
    "Which iptables tables exist, without creating one by looking?",
    "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names",
    "nat in the list means that tracking was loaded with it on kernels before 4.14; an absent nat means something "
    "else asked",
)
ASK_MODULES = Ask(
    "Which modules hold connection tracking?",
    "grep -E 'conntrack|nat|state' /proc/modules",
    "the fourth column names who uses it: a rule's match, NAT, a helper, or nothing at all",
)
ASK_BRIDGE = Ask(
    "Do bridged frames pass through iptables?",
    "cat /proc/sys/net/bridge/bridge-nf-call-iptables",
    "1 on a host that only bridges means that every guest's packets are tracked here",
)


SWITCH = "net.bridge.bridge-nf-call-iptables"
_WORD = re.compile(r"[^\s{},;]+")
BOOTING_S = 60  # a table that is full this soon was not filled by traffic


def tracking_rules(host: HostFacts) -> list[FwRule]:
    """The host's firewall rules that ask for tracking, by the kernel's table of who does, and that packets can meet."""
    idle = {id(one) for one in unreached(host)}
    return [one for one in _asking(host) if id(one) not in idle]


def idle_tracking_rules(host: HostFacts) -> list[FwRule]:
    """Rules that ask for tracking from a chain that nothing jumps to: they turn it on and never see a packet.

    A rule asks when it is put in, not when it is met (xt and nft call nf_ct_netns_get in their checkentry and init).
    """
    idle = {id(one) for one in unreached(host)}
    return [one for one in _asking(host) if id(one) in idle]


def _asking(host: HostFacts) -> list[FwRule]:
    return [one for one in host.of(FwRule) if kernel_modules.requests_tracking(one.text, one.tool, None).value]


def unreached(host: HostFacts) -> list[FwRule]:
    """Rules in force in a user's chain to which no chain with a policy or a hook leads, in tables listed with both.

    A rule that asks a named map for its verdict may lead to any chain: its table has none that is surely unreached.
    """
    found: list[FwRule] = []
    chains = [one for one in host.of(FwChain) if one.standing == "shown"]
    rules = [one for one in host.of(FwRule) if one.standing == "shown"]
    for place in dict.fromkeys((one.tool, one.family, one.table) for one in chains):
        own = [one for one in chains if (one.tool, one.family, one.table) == place]
        met = {one.chain for one in own if one.policy is not None or one.hook is not None}
        users = {one.chain for one in own} - met
        if not met or not users:
            continue
        here = [one for one in rules if (one.tool, one.family, one.table) == place]
        if any("vmap @" in one.text for one in here):
            continue
        while True:
            words = {word for one in here if one.chain in met for word in (one.target, *_WORD.findall(one.text))}
            further = (users & words) - met
            if not further:
                break
            met |= further
        found += [one for one in here if one.chain in users - met]
    return found


def bare_hosts(case: Case) -> list[tuple[HostFacts, tuple[Origin, ...]]]:
    """Hosts whose firewall was listed and holds no rule that needs tracking."""
    bare = []
    for host in case.hosts:
        listed = [one.origin for one in host.of(FwListing) if one.standing == "shown"]
        listed += [one.origin for one in host.of(FwChain) if one.standing == "shown"]
        if listed and not tracking_rules(host):
            rules = list(host.of(FwRule))
            bare.append((host, (*listed[:3], *(one.origin for one in rules[:2]))))
    return bare


def bridges_nothing(case: Case) -> bool:
    """Whether every host with the switch on listed the ports of its bridges and has none."""
    on = [
        host
        for host in case.hosts
        if any(one.name == SWITCH and one.standing == "shown" and one.number == 1 for one in host.of(Setting))
    ]
    return bool(on) and all(any(host.of(NoBridgePorts)) for host in on) and not any(case.of(Bridge))


@rule("unneeded-tracking", needs=("text",))
def tracking_without_a_rule_that_needs_it(case: Case) -> Iterator[Finding]:
    """Fires where tracking is active and nothing shown asks for it, or where the traffic tracked gains nothing from it.

    Not bridge-nf, which is how a guest's packets get here; both hold on a bridging host. Quiet where NAT is in use and
    only the limit is in question.
    """
    clues = Clues(case, "unneeded-tracking")
    full = fullness(case)
    active = full.state == "yes" or bool(case.counts)
    bare = bare_hosts(case)
    needed = [one for host in case.hosts for one in tracking_rules(host)]
    if bare and active and not needed:
        names = " and ".join(host.name for host, _ in bare)
        clues.add(
            0.85,
            f"no rule shown on {names} needs connection tracking, yet it is active",
            *(origin for _, lines in bare for origin in lines[:2]),
        )
    idle = [one for host in case.hosts for one in idle_tracking_rules(host)]
    if idle and active and not needed:
        why = f"the rules that ask for tracking stand in a chain that nothing jumps to ({idle[0].chain})"
        clues.add(0.6, why, *(one.origin for one in idle[:2]))
    listed_nat = next((one for one in case.of(FwListing) if one.table == "nat"), None)
    started = kernel_modules.listing_nat_starts_tracking(case.kernel)
    if listed_nat is not None and not needed and active and started.value:
        clues.add(
            0.7,
            "listing the nat table loads and starts tracking on this kernel",
            listed_nat.origin,
            basis=started.basis,
        )
    loaded = {one.name: one for one in case.of(Module)}
    nat_names = ("iptable_nat", "nf_nat_ipv4", "nf_nat", "ip_nat")
    nat_module = next((loaded[name] for name in nat_names if name in loaded), None) or next(
        (one for one in loaded.values() if any(name in nat_names for name in one.used_by)), None
    )
    if (
        nat_module is not None
        and active
        and not needed
        and (bare or started.value or case.said("no nat|nothing in iptables|no rules|empty chains", denied=True))
    ):
        clues.add(0.7, f"{nat_module.name} is loaded and no NAT rule is shown", nat_module.origin)
    if active or case.said("nf_conntrack|ip_conntrack"):
        clues.said(
            0.7,
            "no rule is said to need it",
            "no iptables rules|no rules|no stateful|not one stateful|not a single stateful|no conntrack rule|no nat "
            "and no|without nat|plain router|nothing stateful|"
            "rules were flushed|flushed the rules|iptables -f|chains are empty|policy accept everywhere|"
            "without any rules|nobody configured nat|not configured nat|"
            "no stateful rule|no nat or|no firewall rules|empty chains|nothing in iptables|don't use iptables|"
            "do not use iptables|not using iptables|iptables is not used|no firewall|firewall is off|"
            "firewall disabled|iptables is empty|does not need a firewall|并不需要防火墙|не нужен",
        ) if not needed else None
        for phrase in (
            "nobody configured nat",
            "no iptables rules",
            "no nat",
            "not using nat",
            "does not do nat",
            "no firewall rule",
            "does not route",
        ):
            denied = case.said(phrase, denied=True)
            if denied is not None and not needed:
                clues.add(0.55, "the report says that nothing there asks for NAT or state", denied, basis="unknown")
                break
        clues.said(
            0.75,
            "tunnel traffic between hosts is tracked",
            "tunnel traffic|tunnel packets|vxlan*entries|vxlan*entry|gre*entries|geneve*entries|entries*vxlan|"
            "entries*gre|entries*tunnel|overlay traffic*tracked|dport=4789|dport=8472|dport=6081",
        )
        clues.said(
            0.45,
            "the rules only open ports",
            "only opens the intended ports|only opens|simple firewall|only accept rules|internal network|"
            "behind a firewall|trusted network",
        )
        clues.said(0.4, "that machine does no NAT", "does not do nat at all|not do nat|no nat at all|does no nat")
    tunnel = case.said("vxlan*entr|entr*vxlan|tunnel|gre*entr|entr*gre|dport=4789|dport=8472|dport=6081|vxlan mode")
    if case.said("kube-proxy|kubernetes|docker") and not tunnel:
        clues.against(0.5)
    if not clues:
        return
    if full.state != "yes":
        clues.against(0.75 if case.said("conntrack") else 0.5)
    bridging = case.said("dom0|domu|xen|xcp|hypervisor|bridge") and not case.said("vxlan|gre ")
    bridging = bridging and not bridges_nothing(case)
    if tunnel or (needed and not bare):
        fixes: tuple[str, ...] = ("notrack", "shorten-timeouts", "raise-max")
    elif bridging:
        fixes = ("disable-bridge-nf", "unload-modules", "notrack", "disable-firewall")
    elif bare or nat_module or listed_nat:
        fixes = ("unload-modules", "notrack", "disable-firewall")
    else:
        fixes = ("notrack", "unload-modules", "disable-firewall")
    host = next((one.name for one, _ in bare), None)
    yield clues.finding(*fixes, host=host, confirm=(ASK_TABLES, ASK_MODULES))


@rule("kernel-leak-or-bug", needs=("text",))
def entries_are_never_freed(case: Case) -> Iterator[Finding]:
    """Fires where count and listing drift apart, the count wrapped, or a module or kernel is known to leak entries.

    Not the lag of the count behind expiry (docs/kernel), which heals by itself within two minutes and is quiet here.
    """
    clues = Clues(case, "kernel-leak-or-bug")
    full = fullness(case)
    wrapped = next((value for value, _ in case.counts if value >= 2**31), None)
    if wrapped is not None:
        clues.add(
            0.9,
            f"a count of {wrapped} is a counter that wrapped below zero",
            *(origin for value, origin in case.counts if value == wrapped),
        )
    early = [
        (line.stamp.uptime_s, line.origin)
        for line in case.log("table-full")
        if line.stamp and line.stamp.uptime_s is not None and line.stamp.uptime_s < BOOTING_S and not line.quoted
    ]
    link = case.said("link up|link becomes ready|no network after boot|nothing else is running yet")
    if early and link and case.kernel is not None:
        why = f"the table is full {early[0][0]:.0f} s after boot, before there was traffic"
        clues.add(0.75, why, early[0][1], link)
    listed = case.listed
    printed = [line for line in case.log("table-full") if line.netns is None]
    highest = max(listed, key=lambda one: one[0], default=(0, None))
    if (
        highest[1] is not None
        and printed
        and case.max is not None
        and case.max.number
        and highest[0] < 0.1 * case.max.number
        and not case.counts
    ):
        clues.add(
            0.6,
            f"the kernel calls the table full while a listing shows {highest[0]} of {case.max.number} entries",
            highest[1],
            case.max.origin,
        )
    if case.counts and listed:
        most, least = max(case.counts, key=lambda one: one[0]), min(listed, key=lambda one: one[0])
        if (
            most[0] > 4 * max(least[0], 1)
            and most[0] - least[0] > 100
            and not case.said("falls at once|back after|drops at once")
        ):
            clues.add(0.7, f"the kernel counts {most[0]} entries and the listing shows {least[0]}", most[1], least[1])
    clues.said(0.75, "entries are listed as dying and stay", "-l dying|dying entries|dying list|list of dying")
    clues.said(
        0.6,
        "the count only grows",
        "only ever grows|only grows|never decreas|never goes down|never drops|never freed|keeps growing|"
        "does not go down|doesn't go down|not decrease|only increases|never come back|"
        "does not bring the counter back|只增不减|conntrack leak|leaks entries|entries leak|never released|"
        "not released|counter*drift|out of sync|stops drifting|不再下降|monotonically",
    )
    clues.said(
        0.5,
        "a module outside the kernel holds entries",
        "pf_ring|fullconenat|fullcone module|fullconenat 模块|out-of-tree|third-party module|kernel module*loaded|"
        "xt_ndpi|openvswitch module|natflow|shortcut-fe|sfe ",
    )
    clues.said(
        0.5,
        "it is tied to a kernel version",
        "some kernels|after upgrading the kernel|after kernel upgrade|since kernel|new kernel|kernel bug|"
        "regression|older kernel*fine|fixed in*kernel|have a fix|downgrad*kernel",
    )
    clues.said(
        0.35,
        "an empty table is called full",
        "table is empty|conntrack -l*0 flow entries|shows 0 entries|only*entries*listed|count*0*full",
    )
    if clues and (full.state == "yes" or wrapped or clues.weight >= 0.5):
        if full.state != "yes" and wrapped is None and not case.said("leak|drift|out of sync"):
            clues.against(0.55)
        component = case.said("pf_ring|fullcone|module|模块|third-party")
        fixes = (
            ("upgrade-component", "unload-modules", "upgrade-kernel")
            if component and not early
            else ("upgrade-kernel", "flush-entries", "upgrade-component")
        )
        yield clues.finding(*fixes)


@rule("config-overwritten", needs=("text",))
def the_setting_did_not_stick(case: Case) -> Iterator[Finding]:
    """Fires where a configured value is not the one in force, could not be written at boot, or something rewrites it.

    Not per-netns-or-container-limit, where the write is refused inside a container.
    """
    clues = Clues(case, "config-overwritten")
    for name in ("nf_conntrack_max", "nf_conntrack_buckets", "hashsize", "nf_conntrack_tcp_timeout_established"):
        wanted: Setting | None = case.setting(name, "configured")
        shown: Setting | None = next(
            (
                one
                for one in case.settings(name)
                if one.standing == "shown" and wanted is not None and one.number != wanted.number
            ),
            None,
        )
        if wanted is not None and shown is not None and wanted.number is not None and shown.number is not None:
            clues.add(
                0.75, f"{name} is configured as {wanted.number} and reads {shown.number}", wanted.origin, shown.origin
            )
    from tablefull.rules.timeouts import shipped_close_wait

    close_wait = shipped_close_wait(case)
    if close_wait is not None and close_wait[0] >= 600:
        one = case.setting("nf_conntrack_tcp_timeout_close_wait")
        assert one is not None
        clues.add(
            0.85,
            f"close_wait entries live {close_wait[0]} s, where the kernel's own timeout is {close_wait[1]} s: "
            "kube-proxy sets 3600",
            one.origin,
        )
    clues.said(
        0.5,
        "a program that writes it is running",
        "why 131072|back to 131072|conntrack_max*131072*why|until i restart|before manually restarting|"
        "have to run sysctl|manually after|by hand afterwards|run it again by hand|until the next reboot|"
        "sysctl -p*again|sysctl --system*again",
    )
    clues.said(
        0.75,
        "the value is not in force after a restart",
        "at its default again|default again|built-in one|built-in value|load it by hand*right|by hand*works|by hand "
        "and|"
        "not in force|after a restart*default|after reboot*default|after a reboot*default|not applied|"
        "isn't applied|not persist|not survive|does not stick|doesn't stick|after reboot*back|after a reboot*back|"
        "resets to|reset to*default|reverts|goes back to|falls back to the default|set back to|back to 65536|"
        "back to 262144|value is ignored|is ignored at boot|not taking effect|no effect after reboot|"
        "lost after reboot|overwritten|overwrites|overrides|overridden|gets reset|keeps resetting|not honored|"
        "not honoured|not respected|is not set at boot|gone after a reboot",
    )
    missing = case.said(
        "failed to find module*nf_conntrack|failed to find module*br_netfilter|module nf_conntrack_ipv4 not "
        "found|nf_conntrack_ipv4*not found|do not exist under /proc/sys|does not exist under /proc/sys|conntrack*do "
        "not exist|conntrack*does not exist|"
        "cannot stat /proc/sys/net*conntrack|cannot stat /proc/sys/net/netfilter|couldn't write*conntrack|"
        "conntrack*no such file|conntrack*unknown key|unknown key*conntrack|error*net.netfilter*unknown|"
        "open /proc/sys/net/netfilter*no such file|cannot stat /proc/sys/net/bridge|bridge-nf*no such file|"
        "cannot stat /proc/sys/net/ipv4/netfilter|cannot stat /proc/sys/net/nf_conntrack"
    )
    if missing is not None:
        clues.add(0.75, "the key did not exist when the value was written: the module was not loaded yet", missing)
    clues.said(
        0.5,
        "the key does not exist yet when sysctl runs at boot",
        "key does not exist yet|module*not loaded|not loaded there|before the module|module is not loaded|"
        "conntrack is not loaded|loaded later|load order",
    )
    clues.said(
        0.5,
        "another program writes the same key",
        "changed net.netfilter|kube-proxy changed|kube-proxy sets|kube-proxy*overwrit|docker*overwrit|"
        "firewalld*reset|tuned*|resets*nf_conntrack_max|because kube-proxy",
    )
    clues.together(
        0.7,
        "kube-proxy reads a configuration file, and then its command-line flags for the same things are ignored",
        "--config=|--config ",
        "--conntrack-",
    )
    clues.together(
        0.6,
        "a conntrack setting is back at its old value after a boot",
        "reboot|after boot|each boot|next boot|restart|at boot|on "
        "boot|startup|start-up|перезагруз|重启|neustart|redémarrage",
        "default|old value|by hand|keys are unknown|unknown key|complain|back to|is back|lost|gone|not "
        "set|again|ignored|not loaded|no effect|сбрасыв|默认|wieder",
        "nf_conntrack_max|ip_conntrack_max|conntrack_max|bridge-nf|sysctl "
        "-p|sysctl.conf|sysctl.d|hashsize|nf_conntrack_buckets",
    )
    clues.said(
        0.6,
        "tracking is missing where NAT needs it",
        "table does not exist*nat|can't initialize iptables table nat|table 'nat': table does not exist|"
        "conntrack*disabled by default|disable_ve0",
    )
    if clues:
        if not case.said(
            "conntrack|sysctl|bridge-nf|setting|parameter|value|hashsize|table does not exist|module"
        ) and not case.has("settings"):
            clues.against(0.4)
        if fullness(case).state == "yes" and clues.weight < 0.8 and close_wait is None:
            clues.against(0.5)
        if case.log("expectation-full"):
            clues.against(0.3)
        floor = any(one.number == 131072 for one in case.settings("nf_conntrack_max")) and case.said("kube|k8s")
        kubernetes = close_wait is not None or floor or case.said("kube-proxy changed|kube-proxy sets|kube-proxy overw")
        fixes = (
            ("configure-kube-proxy", "shorten-timeouts", "persist-config")
            if kubernetes
            else ("persist-config", "configure-kube-proxy")
        )
        yield clues.finding(*fixes, severity="degraded" if fullness(case).state == "yes" else "info")
