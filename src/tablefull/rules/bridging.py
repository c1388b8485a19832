"""Bridged frames that pass through iptables and connection tracking."""

from collections.abc import Iterator

from tablefull.facts.modules import Module
from tablefull.facts.ruleset import Bridge
from tablefull.kernel import modules as kernel_modules
from tablefull.rules.case import Case
from tablefull.rules.clues import Clues
from tablefull.rules.finding import Finding
from tablefull.rules.fullness import fullness
from tablefull.rules.rule import rule
from tablefull.rules.tracking import ASK_BRIDGE, SWITCH, bridges_nothing

WEAK = 0.1  # a default that troubles nobody is worth no finding


@rule("bridge-nf", needs=("text",))
def bridged_traffic_is_tracked(case: Case) -> Iterator[Finding]:
    """Fires on a host that bridges guests, where bridge-nf-call-iptables is 1, by default or as shown.

    Quiet about the switch where the ports of bridges were listed and there are none: then nothing is bridged.
    Not unneeded-tracking, which is that no rule here wants it; this is how the guests' packets come to be counted here.
    """
    clues = Clues(case, "bridge-nf")
    full = fullness(case)
    switch = case.setting(SWITCH, "shown")
    default = kernel_modules.bridge_nf(case.kernel)
    dom0 = next((host for host in case.hosts if host.role in ("dom0", "hypervisor")), None)
    hypervisor = case.said("dom0|xen xcp|xcp host|xen host|xenserver|xcp-ng|proxmox|kvm host|hypervisor")
    if bridges_nothing(case):
        clues.against(0.5)
    elif switch is not None and switch.number == 1:
        matters = full.state == "yes" or case.told
        why = "bridge-nf-call-iptables is 1: bridged frames pass through iptables"
        clues.add(0.6 if matters else WEAK, why, switch.origin)
    elif switch is not None and switch.number == 0:
        clues.against(0.1)
    if hypervisor is not None and full.state == "yes" and (dom0 is not None or case.said("xen|xcp")):
        clues.add(
            0.7,
            "a Xen host passes its guests' packets over a bridge, and bridge-nf-call-iptables is 1 unless somebody "
            "turned it off",
            hypervisor,
            basis=default.basis,
        )
    elif hypervisor is not None and full.state == "yes":
        clues.add(
            0.25,
            "a host of virtual machines usually bridges them, and bridged frames pass through iptables by default",
            hypervisor,
            basis=default.basis,
        )
    bridge = next(case.of(Bridge), None)
    if bridge is not None and bridge.interfaces is not None and full.state == "yes":
        clues.add(0.4, f"bridge {bridge.name} carries {len(bridge.interfaces)} interfaces", bridge.origin)
    module = next((one for one in case.of(Module) if one.name == "br_netfilter"), None)
    if module is not None:
        clues.add(0.45 if full.state == "yes" or case.told else WEAK, "br_netfilter is loaded", module.origin)
    clues.said(
        0.75,
        "br_netfilter or bridge-nf is named",
        "br_netfilter|bridge-nf|bridge_nf|bridge netfilter|bridge-netfilter|net.bridge",
    )
    clues.said(
        0.6,
        "bridged traffic stopped when something loaded br_netfilter",
        "installed docker*guest|installed docker*bridge|installed docker*vm|docker*guests*bridge|"
        "since docker*bridge|after installing docker*vm|through the bridge|bridged frames|bridged traffic|"
        "bridged packets|bridge*dropped by iptables|vms*lose network*docker|vm*bridge*docker",
    )
    clues.said(
        0.6,
        "a bridged interface shows the traffic of other machines",
        "bridged configuration|promiscuous mode because|bridge mode|transparent bridge|bridging firewall|"
        "because of a bridge",
    )
    if clues and (full.state == "yes" or clues.weight >= 0.4):
        if (
            switch is None
            and case.said("net.bridge.bridge-nf-call*not applied|bridge-nf-call*not applied")
            and full.state != "yes"
        ):
            clues.against(0.3)
        if case.said("calico|flannel|kube-proxy|vxlan") and full.state != "yes":
            clues.against(0.5)
        if case.said("bridged configuration|promiscuous") and not case.said("br_netfilter|bridge-nf") and not dom0:
            fixes: tuple[str, ...] = ("notrack", "raise-max", "disable-bridge-nf")
        else:
            fixes = ("disable-bridge-nf", "unload-modules", "notrack")
        if case.said("pve-firewall|pve firewall|pvefw"):
            clues.against(0.5)  # Proxmox filters its guests through these very hooks
            fixes = ("raise-max", "shorten-timeouts", "notrack")
        yield clues.finding(*fixes, host=dom0.name if dom0 else None, confirm=(ASK_BRIDGE,))
