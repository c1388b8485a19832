"""Whose rule it is: the program that makes a table or chain of this name, its unit, and how it is told to leave it.

The trap: deleting the rules of a service that runs helps until it looks again, which is seconds (kube-proxy, fail2ban)
or a restart (docker, ufw) away. So a reason carries the name of who will put it back. The names are those that the
programs themselves document or leave in a ruleset; a person may have used one by hand, so an owner is a likeness, not a
proof.
"""

import re

from msgspec import Struct


class Owner(Struct, frozen=True):
    """``unit``: the systemd unit, without its suffix; empty for none. ``off``: how it is told to leave tracking be."""

    name: str
    unit: str
    off: str


_DOCKER = Owner("Docker", "docker", '"iptables": false, "ip6tables": false in /etc/docker/daemon.json')
_KUBE = Owner("kube-proxy or kubelet", "kubelet", "no switch: services of the cluster need it; a CNI that replaces it")
_FIREWALLD = Owner("firewalld", "firewalld", "systemctl disable --now firewalld, and rules of your own before that")
_UFW = Owner("ufw", "ufw", "ufw disable, and rules of your own before that")
_LIBVIRT = Owner("libvirt", "libvirtd", "virsh net-autostart --disable default; guests on a plain bridge need no NAT")
_FAIL2BAN = Owner("fail2ban", "fail2ban", "its own chains need no tracking; a jail's action may (banaction = route)")
_CALICO = Owner("Calico", "calico-node", "its eBPF data plane needs less of it; else untracked policies (doNotTrack)")
_CILIUM = Owner("Cilium", "cilium", "bpf.masquerade and kube-proxy replacement; installNoConntrackIptablesRules")
_CNI = Owner("a CNI plugin or Podman", "", "its network's masquerade option (ipMasq: false)")
_LXC = Owner("LXD, Incus or LXC", "lxd", "ipv4.nat=false, ipv4.firewall=false, ipv6 alike, on its network")
_TAILSCALE = Owner("Tailscale", "tailscaled", "tailscale set --netfilter-mode=off")
_NETWORKD = Owner("systemd-networkd", "systemd-networkd", "IPMasquerade=no in the .network file")
_NM = Owner("NetworkManager", "NetworkManager", "nmcli connection modify ID ipv4.method auto, on its shared connection")
_PROXMOX = Owner("Proxmox VE firewall", "pve-firewall", "pve-firewall stop; nf_conntrack options in the host's rules")
_OPENWRT = Owner("OpenWrt firewall", "firewall", "/etc/config/firewall: masq '0', or /etc/init.d/firewall disable")
_SHOREWALL = Owner("Shorewall", "shorewall", "shorewall clear; systemctl disable shorewall")
_CSF = Owner("csf", "csf", "csf -x")
_ISTIO = Owner("Istio", "", "its CNI plugin or ambient mode; the sidecar's REDIRECT needs tracking")

# (tables, chains), each matched whole.
_OWNERS: tuple[tuple[str, str, Owner], ...] = (
    (r"docker-bridges", r"DOCKER(?:[-_].*)?|docker_.*", _DOCKER),
    (r"kube-proxy|kube-.*", r"KUBE-.*", _KUBE),
    (r"firewalld", r"(?:IN|FWD|FWDI|FWDO|PRE|POST)_.*_(?:allow|deny|log|pre|post)|\S+_ZONES.*", _FIREWALLD),
    (r"ufw6?", r"ufw6?-.*", _UFW),
    (r"libvirt_network", r"LIBVIRT_.*|guest_(?:input|output|cross|nat)", _LIBVIRT),
    (r"f2b-table|fail2ban.*", r"f2b-.*|fail2ban-.*", _FAIL2BAN),
    (r"calico", r"cali-.*|cali(?:FW|PR|PO|OU|IN).*", _CALICO),
    (r"cilium", r"(?:OLD_)?CILIUM_.*", _CILIUM),
    (r"netavark|cni.*", r"CNI-.*|NETAVARK[-_].*|FLANNEL-.*|WEAVE.*", _CNI),
    (r"lxc|lxd|incus", r"(?:fwd|pstrt|in|out|aclin|aclout)\.\S+", _LXC),
    (r"", r"ts-.*", _TAILSCALE),
    (r"io\.systemd\.nat", r"", _NETWORKD),
    (r"nm-shared-.*", r"nm-sh-.*|nm-shared-.*", _NM),
    (r"", r"PVEFW-.*", _PROXMOX),
    (r"fw4", r"zone_.*", _OPENWRT),
    (r"", r"sfilter|sh-.*|dynamic|reject|loc2fw|net2fw|fw2net|net-fw|loc-fw", _SHOREWALL),
    (r"", r"LOCALINPUT|LOCALOUTPUT|INVALID|INVDROP|DENYIN|DENYOUT|ALLOWIN|ALLOWOUT", _CSF),
    (r"", r"ISTIO_.*", _ISTIO),
)  # fmt: skip
_JUMP = re.compile(r"(?:-j|-g|jump|goto)\s+\"?([^\s\"]+)")
_DOCKER_NET = re.compile(r"172\.(?:1[7-9]|2\d|3[01])\.\d{1,3}\.\d{1,3}(?:/16)?\b|\bdocker0\b|\bbr-[0-9a-f]{12}\b")
_LIBVIRT_NET = re.compile(r"192\.168\.122\.|\bvirbr\d")
_LXC_NET = re.compile(r"\b(?:lxdbr|incusbr|lxcbr)\d")
_CNI_NET = re.compile(r"\b(?:cni|flannel|podman|cbr)\d|\bflanneld masq\b")

ALL: tuple[Owner, ...] = tuple(dict.fromkeys(owner for _, _, owner in _OWNERS))


def owner_of(table: str | None, chain: str, text: str) -> Owner | None:
    """The program that makes rules of this name; None where the name tells nothing: then it is somebody's own rule."""
    for tables, chains, owner in _OWNERS:
        if (tables and table and re.fullmatch(tables, table)) or (chains and re.fullmatch(chains, chain)):
            return owner
    jump = _JUMP.search(text)
    if jump is not None:
        for _, chains, owner in _OWNERS:
            if chains and owner not in (_SHOREWALL, _CSF) and re.fullmatch(chains, jump[1]):
                return owner
    for pattern, owner in ((_DOCKER_NET, _DOCKER), (_LIBVIRT_NET, _LIBVIRT), (_LXC_NET, _LXC), (_CNI_NET, _CNI)):
        if pattern.search(text):
            return owner
    return None
