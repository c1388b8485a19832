"""What a plan has to fit, read from the case: kernel, distribution, who manages the firewall, how services start."""

from tablefull.facts.host import Distribution, KernelRelease
from tablefull.facts.modules import Module
from tablefull.facts.ruleset import FwRule
from tablefull.facts.settings import Setting
from tablefull.facts.snapshot import HostFacts
from tablefull.fixes.plan import Situation
from tablefull.kernel import vendors
from tablefull.kernel.identity import parse_release
from tablefull.rules.case import Case
from tablefull.rules.finding import Finding
from tablefull.rules.fullness import fullness
from tablefull.rules.traffic import talker

# What in the text names the firewall's manager, most telling first.
_FRONT_ENDS = (
    ("firewalld", ("firewall-cmd", "firewalld")),
    ("ufw", ("ufw",)),
    ("kube-proxy", ("kube-proxy", "kube-services")),
    ("uci", ("openwrt", "lede", "luci", "uci ")),
    ("iptables-services", ("iptables-services", "service iptables", "chkconfig iptables")),
    ("nftables", ("nft list", "nft add", "nftables.conf")),
)


def _own(case: Case, finding: Finding) -> HostFacts:
    return next((host for host in case.hosts if host.name == finding.host), case.hosts[0])


def _ports(case: Case, finding: Finding) -> tuple[str, ...]:
    if finding.cause == "udp-dns-churn" and case.said(
        "dns", "port 53", "dport 53", "dport=53", "powerdns", "unbound", "bind9", "resolver"
    ):
        return ("udp/53",)
    if case.said("vxlan"):
        return ("udp/8472",) if case.said("dport=8472", ":8472", "flannel") else ("udp/4789",)
    for _, table in case.compositions:
        port, count = table.by_dport.most_common(1)[0] if table.by_dport else ("", 0)
        if table.rows >= 20 and count > 0.5 * table.rows and "/" in port:
            return (port,)
    if case.said("http", "nginx", "web", "haproxy"):
        return ("tcp/80", "tcp/443")
    return ()


def situation(case: Case, finding: Finding) -> Situation:
    """The situation on the finding's host; what that host did not show is taken from the whole case, where it is one
    story.
    """
    host = _own(case, finding)
    release = next(host.of(KernelRelease), None) or next(case.of(KernelRelease), None)
    kernel = parse_release(release.release) if release else None
    named = next(host.of(Distribution), None) or case.distribution
    front_end = next((name for name, words in _FRONT_ENDS if case.said(*words)), None)
    if front_end is None and named is not None:
        front_end = vendors.front_end_of(named.id, named.version or "")
    found = talker(case)
    full = fullness(case)
    settings = {
        one.name: one.number
        for one in (*case.of(Setting), *host.of(Setting))  # this host's own value is the one an undo restores
        if one.number is not None and one.standing in ("shown", "stated")
    }
    kubernetes = case.said("kube-proxy", "kubernetes", "k8s", "kubelet", "microk8s")
    rules = list(case.of(FwRule))
    return Situation(
        host=host.name,
        role=host.role,
        cause=finding.cause,
        kernel=kernel,
        distribution=named.id if named else None,
        version=named.version if named else None,
        front_end=front_end or "unknown",
        init=(vendors.init_of(named.id, named.version or "") if named else None) or "unknown",
        max=case.max.number if case.max else None,
        buckets=case.number("nf_conntrack_buckets", "shown", "stated") or case.number("hashsize", "shown", "stated"),
        count=max((count for count, _ in case.counts), default=None),
        expect_max=case.number("nf_conntrack_expect_max", "shown", "stated"),
        ram_bytes=case.memory_bytes,
        settings=settings,
        modules=frozenset(one.name for one in host.of(Module)),
        nat_in_use=any(
            word in one.text for one in rules for word in ("MASQUERADE", "SNAT", "DNAT", "masquerade", "snat", "dnat")
        )
        if rules
        else (True if case.said("nat rule", "masquerade", "dnat", "snat") else None),
        bridged=finding.cause == "bridge-nf" or case.said("bridge", "dom0", "xen") is not None,
        ports=_ports(case, finding),
        sources=(found[0],) if found else (),
        orchestrator="kubernetes" if kubernetes else "docker" if case.said("docker") else None,
        cloud="aws"
        if case.said("aws", "ec2", "eks")
        else "azure"
        if case.said("azure", "aks")
        else "gcp"
        if case.said("gcp", "gke", "google cloud")
        else None,
        table=full.table,
        container=finding.cause == "per-netns-or-container-limit",
        ip_conntrack=case.old_stack,
        look_alike=finding.look_alike,
        component="cilium" if case.said("cilium") else "pf_ring" if case.said("pf_ring") else None,
    )
