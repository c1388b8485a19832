"""Tables that are not the kernel's: a cloud instance's allowance, an eBPF program's map."""

from collections.abc import Iterator

from tablefull.facts.counters import NetCounter
from tablefull.rules.case import Case
from tablefull.rules.clues import Clues
from tablefull.rules.finding import Ask, Finding
from tablefull.rules.fullness import ebpf_refusals, fullness
from tablefull.rules.rule import rule

ASK_ALLOWANCE = Ask(
    "Does the instance's own limit refuse packets?",
    "ethtool -S eth0 | grep allowance",
    "conntrack_allowance_exceeded above 0 is the cloud's table of security-group flows, which no sysctl changes",
)
ASK_MAP = Ask(
    "How full is the eBPF map?",
    "cilium status --verbose; cilium bpf ct list global | wc -l",
    "Cilium's map has its own limit; nf_conntrack_max does not change it",
)


@rule("cloud-allowance", needs=("text", "counters"))
def the_instance_refuses_flows(case: Case) -> Iterator[Finding]:
    """Fires on the network adapter's allowance counters and on security groups that track.

    Quiet where the counter was shown and is 0.
    """
    clues = Clues(case, "cloud-allowance")
    exceeded = [one for one in case.of(NetCounter) if one.name.endswith("allowance_exceeded") and one.value > 0]
    for one in exceeded:
        if one.name == "conntrack_allowance_exceeded":
            clues.add(
                0.95,
                f"conntrack_allowance_exceeded is {one.value}: the instance refused packets by its own connection "
                "limit",
                one.origin,
            )
        else:
            clues.add(
                0.6,
                f"{one.name} is {one.value}: the instance refused packets by an allowance of its own, though not the "
                "one for connections",
                one.origin,
            )
    if not exceeded and any(one.name == "conntrack_allowance_exceeded" for one in case.of(NetCounter)):
        clues.against(0.1)
    clues.said(
        0.8,
        "the allowance counter is named",
        "idle*350 seconds|350 seconds|idle timeout of 350|established timeout of 350|"
        "conntrack_allowance_exceeded|conntrack allowance|connection tracking allowance|conntrack_allowance|"
        "allowance_exceeded|allowance exceeded|linklocal_allowance|link-local*limit|"
        "packets per second*per interface|1024 packets per second|1024 pps",
    )
    clues.said(
        0.65,
        "security groups track connections with a limit of their own",
        "security groups track|security group*track|security group*limit|security group*quota|"
        "quota*not on the instance|limit*connections*per instance|instance*connection limit|"
        "tracked by security group|ec2 limits|instance type*conntrack|instance*maximum*connections|"
        "vpc*connection limit|nsg*flow limit|flow limit|network flows*limit|hypervisor-level connection",
    )
    clues.said(0.25, "a cloud instance is concerned", "ec2|aws|eks|nitro|ena ")
    if clues and clues.weight >= 0.4:
        if fullness(case).state == "yes" and not case.said("allowance"):
            clues.against(0.3)
        if case.counters:
            clues.against(0.7)
        yield clues.finding(
            "open-security-group-untracked", "scale-out", "keepalive-or-pooling", confirm=(ASK_ALLOWANCE,)
        )


@rule("ebpf-ct-map-full", needs=("text", "counters"))
def the_ebpf_map_refuses_entries(case: Case) -> Iterator[Finding]:
    """Fires where Cilium or another eBPF program says its connection map is full, or its pressure is at 1."""
    clues = Clues(case, "ebpf-ct-map-full")
    refusals = ebpf_refusals(case)
    if refusals:
        clues.add(0.9, f"{refusals[0].name} is {refusals[0].value}", *(one.origin for one in refusals[:3]))
    clues.said(
        0.9,
        "Cilium could not insert into its connection-tracking map",
        "conntrack map*flood|conntrack map*grow|ct map*grow|connection tracking map*full|connection tracking map "
        "becomes|lru pushes out|lru based conntrack|ct entries|fill the ct table|size the ct map|ct map|map insertion "
        "failed|cilium agent conntrack table full|ct "
        "map*full|conntrack map*full|"
        "conntrack table*cilium*full|bpf conntrack*full|cilium_ct*full|bpf*map*full|"
        "update ct*argument list too long|conntrack_map|ct_map",
    )
    clues.said(
        0.6,
        "the eBPF map's size is the subject",
        "bpf-ct-global*full|bpf_map_pressure|map pressure|bpf ct*full|ct gc|ebpf*conntrack|ebpf dataplane|"
        "calico*bpf*conntrack|cali_v4_ct|cilium_ct",
    )
    clues.said(0.3, "the size of Cilium's maps is configured", "bpf-ct-global|bpf-map-dynamic-size|bpf ct list")
    clues.said(0.2, "Cilium is in use", "cilium")
    clues.said(
        0.35, "Cilium and its connection tracking are the subject", "cilium*conntrack|conntrack*cilium|cilium*ct "
    )
    if clues and clues.weight >= 0.5:
        if case.log("table-full") and not refusals and not case.said("map insertion failed"):
            clues.against(0.35)
        fixes = ("raise-max", "shorten-timeouts", "upgrade-component")
        if case.said("no mapping for nat|nat table full"):
            fixes = ("raise-max", "expand-snat-range", "upgrade-component")
        yield clues.finding(*fixes, confirm=(ASK_MAP,))
