"""The hosts that plans are tried on: one for each era of kernel and init, and one of which nothing is known."""

from tablefull.fixes.plan import Situation
from tablefull.kernel.identity import parse_release

RELEASES: dict[str, str | None] = {
    "el5": "2.6.18-194.el5",
    "el6": "2.6.32-642.6.2.el6.x86_64",
    "ubuntu-12.04": "3.2.0-24-generic",
    "el7": "3.10.0-1160.el7.x86_64",
    "debian-10": "4.19.0-21-amd64",
    "ubuntu-22.04": "5.15.0-91-generic",
    "debian-12": "6.1.0-18-amd64",
    "new": "6.18.2",
    "unknown": None,
}
_NAMES = {
    "el5": ("centos", "5.5", "iptables-services"),
    "el6": ("centos", "6.8", "iptables-services"),
    "ubuntu-12.04": ("ubuntu", "12.04", "ufw"),
    "el7": ("centos", "7", "firewalld"),
    "debian-10": ("debian", "10", "iptables-persistent"),
    "ubuntu-22.04": ("ubuntu", "22.04", "ufw"),
    "debian-12": ("debian", "12", "nftables"),
}
OTHERS = {
    "openwrt": Situation(kernel=parse_release("5.15.150"), distribution="openwrt", version="23.05", front_end="uci"),
    "openwrt-old": Situation(kernel=parse_release("3.10.49"), distribution="openwrt", version="14.07", front_end="fw3"),
    "nixos": Situation(kernel=parse_release("6.6.30"), distribution="nixos", version="24.05"),
    "coreos": Situation(kernel=parse_release("4.14.63-coreos"), distribution="coreos", orchestrator="kubernetes"),
    "alpine": Situation(kernel=parse_release("6.6.30-0-lts"), distribution="alpine", version="3.20"),
    "kubernetes": Situation(kernel=parse_release("5.4.0"), front_end="kube-proxy", orchestrator="kubernetes"),
    "kind": Situation(kernel=parse_release("5.10.0"), orchestrator="kind", container=True),
    "k3s": Situation(orchestrator="k3s"),
    "cilium": Situation(kernel=parse_release("5.14.0"), table="cilium", orchestrator="kubernetes"),
    "openvz": Situation(kernel=parse_release("2.6.32-042stab127.2"), table="container", container=True),
    "aws": Situation(kernel=parse_release("5.10.0"), cloud="aws", ports=("tcp/443",)),
    "builtin": Situation(kernel=parse_release("6.18.2"), builtin=True),
    "nft-on-3.2": Situation(kernel=parse_release("3.2.0"), front_end="nftables"),
}


def host(name: str, **more: object) -> Situation:
    """A fresh situation of this name with further fields."""
    fields: dict[str, object] = {}
    if name in OTHERS:
        one = OTHERS[name]
        fields = {field: getattr(one, field) for field in one.__struct_fields__}
    else:
        release = RELEASES[name]
        fields["kernel"] = parse_release(release) if release else None
        if name in _NAMES:
            fields["distribution"], fields["version"], fields["front_end"] = _NAMES[name]
    return Situation(**(fields | more))


HOSTS = (*RELEASES, *OTHERS)
FULL = {"max": 65536, "count": 65536, "ram_bytes": 4 << 30, "buckets": 16384}
CAUSES = (
    "",
    "table-undersized",
    "bridge-nf",
    "unneeded-tracking",
    "udp-dns-churn",
    "time-wait-churn",
    "half-open-or-asymmetric",
)
