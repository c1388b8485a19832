"""Limits of a container or namespace, and writes refused inside one."""

from collections.abc import Iterator

from tablefull.facts.settings import Refusal
from tablefull.kernel.sysctls import writable
from tablefull.rules.case import Case
from tablefull.rules.clues import Clues
from tablefull.rules.finding import Ask, Finding
from tablefull.rules.fullness import fullness
from tablefull.rules.rule import rule

ASK_WHERE = Ask(
    "Is this the host's own network namespace?",
    "readlink /proc/1/ns/net /proc/self/ns/net; systemd-detect-virt -c",
    "the limit is one number for the whole machine and from 5.13 may be written only outside every container",
)


@rule("per-netns-or-container-limit", needs=("text", "settings", "programs"))
def refused_or_limited_inside_a_container(case: Case) -> Iterator[Finding]:
    """Fires where a container may not write the limit, or a container's own share of the table is full.

    Not config-overwritten, where the key does not exist yet or is written by another program.
    """
    clues = Clues(case, "per-netns-or-container-limit")
    full = fullness(case)
    refused = [
        one
        for one in case.of(Refusal)
        if one.error
        in (
            "operation not supported",
            "operation not permitted",
            "permission denied",
            "read-only file system",
            "setting key",
            "device or resource busy",
        )
    ]
    container = case.said(
        "lxc|lxd|nspawn|kind|k3d|minikube|docker|container|openvz|virtuozzo|podman|unprivileged|rootless|nested|dind|"
        "microk8s|kubernetes-in-docker|snap"
    )
    if refused:
        seen = writable(refused[0].name, case.kernel, "child")
        clues.add(
            0.85 if container else 0.6,
            f"writing {refused[0].name} was refused ({refused[0].error})",
            refused[0].origin,
            basis=seen.basis if container else "shown",
        )
    clues.said(
        0.75,
        "a write is refused inside a container",
        "hashsize: operation not supported|hashsize*permission denied|hashsize*read-only|"
        "conntrack*read-only file system|conntrack_max*permission denied|conntrack*permission denied|"
        "read-only*conntrack|conntrack*read-only|sysfs*read-only|crashes*hashsize|hashsize*crash|"
        "hashsize in the container|tries to update*hashsize|tries to set*hashsize|cannot be changed*container|"
        "not namespaced*conntrack|conntrack*not namespaced|may not write under /sys|cannot write under /sys|cannot "
        "change*conntrack|can't change*conntrack|cannot "
        "write*conntrack|may not write*conntrack|not allowed to*conntrack|cannot set*conntrack_max|conntrack_max*not "
        "allowed|"
        "unknown sysctl*conntrack|sysctl*not in a separate|forbidden sysctl|unsafe sysctl",
    )
    if full.table == "container":
        clues.add(0.85, "the kernel names the container whose share of the table is full", *full.evidence[:1])
    clues.said(
        0.7,
        "a container's share of the table is full",
        "numiptent|per-container limit|per container limit|numconntrack|nf_conntrack_max in the container|ub_conntrack",
    )
    for line in case.log("table-full"):
        if line.netns is not None:
            clues.add(0.75, f"the kernel's line is of the network namespace {line.netns}", line.origin)
            break
    clues.said(
        0.5,
        "one tenant fills a table that all share",
        "noisy neighbour|noisy neighbor|one tenant|other tenants|per-namespace limit|per namespace|per-netns|"
        "per netns|each namespace|hostile container|one pod*whole node|one vm*whole host|one container*whole host|"
        "all tenants",
    )
    if clues and container is None and not refused and full.table != "container":
        clues.against(0.6)
    if not clues:
        return
    printed = any(line.netns is not None for line in case.log("table-full"))
    if full.state == "yes" and not refused and not printed and clues.weight < 0.8:
        clues.against(0.5)
    kubernetes = case.said(
        "write /sys/module/nf_conntrack/parameters/hashsize|k0s|cluster "
        "node|kube-proxy|kubernetes|microk8s|kind|k8s|kubelet|k3s|rke|minikube"
    )
    if kubernetes:
        fixes: tuple[str, ...] = ("configure-kube-proxy", "raise-hashsize", "raise-max", "persist-config")
    elif full.state == "yes":
        fixes = ("raise-max", "rate-limit-or-block-source", "shorten-timeouts")
    else:
        fixes = ("upgrade-component", "raise-max", "persist-config")
    yield clues.finding(
        *fixes, severity="outage" if case.said("crashloop|crash|does not start") else "degraded", confirm=(ASK_WHERE,)
    )
