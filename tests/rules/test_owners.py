"""Names as the programs' own documentation and rule sets spell them."""

import pytest

from tablefull.rules.owners import ALL, owner_of


@pytest.mark.parametrize(
    ("table", "chain", "text", "name"),
    [
        ("nat", "DOCKER", "", "Docker"),
        ("nat", "POSTROUTING", "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", "Docker"),
        ("nat", "POSTROUTING", "-A POSTROUTING -s 172.18.0.0/16 ! -o br-0123456789ab -j MASQUERADE", "Docker"),
        ("nat", "KUBE-POSTROUTING", "", "kube-proxy or kubelet"),
        ("kube-proxy", "nat-postrouting", "", "kube-proxy or kubelet"),
        ("firewalld", "filter_INPUT", "", "firewalld"),
        ("filter", "ufw-before-input", "", "ufw"),
        ("filter", "ufw6-before-input", "", "ufw"),
        ("filter", "INPUT", "-A INPUT -j ufw-before-input", "ufw"),
        ("nat", "LIBVIRT_PRT", "", "libvirt"),
        ("nat", "POSTROUTING", "-A POSTROUTING -s 192.168.122.0/24 ! -d 192.168.122.0/24 -j MASQUERADE", "libvirt"),
        ("libvirt_network", "guest_nat", "", "libvirt"),
        ("filter", "f2b-sshd", "", "fail2ban"),
        ("f2b-table", "f2b-chain", "", "fail2ban"),
        ("filter", "cali-FORWARD", "", "Calico"),
        ("nat", "CILIUM_POST_nat", "", "Cilium"),
        ("netavark", "NETAVARK-1D8721804F16F", "", "a CNI plugin or Podman"),
        ("incus", "pstrt.incusbr0", "", "LXD, Incus or LXC"),
        ("nat", "ts-postrouting", "", "Tailscale"),
        ("io.systemd.nat", "postrouting", "", "systemd-networkd"),
        ("filter", "PVEFW-FORWARD", "", "Proxmox firewall"),
        ("fw4", "forward", "", "OpenWrt firewall"),
    ],
)
def test_the_name_tells_the_program(table: str, chain: str, text: str, name: str) -> None:
    owner = owner_of(table, chain, text)
    assert owner is not None
    assert name.split(maxsplit=1)[0] in owner.name


@pytest.mark.parametrize(
    ("table", "chain", "text"),
    [
        ("filter", "INPUT", "-A INPUT -m state --state ESTABLISHED -j ACCEPT"),
        ("mine", "input", "ct state established accept"),
        ("nat", "POSTROUTING", "-A POSTROUTING -s 172.32.0.0/16 -j MASQUERADE"),
        ("filter", "NOT-DOCKER", ""),
        (None, "", ""),
    ],
)
def test_and_nobody_is_named_where_no_name_tells(table: str | None, chain: str, text: str) -> None:
    assert owner_of(table, chain, text) is None


def test_each_owner_has_its_switch() -> None:
    assert all(owner.name and owner.off for owner in ALL)
