"""The words each distribution understands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.kernel import identity, vendors


@pytest.mark.parametrize(
    ("os_id", "version", "init", "front_end", "series"),
    [
        ("debian", "5", "sysv", "iptables", (2, 6, 26)),
        ("debian", "7.11", "sysv", "iptables-persistent", (3, 2)),
        ("Debian GNU/Linux", "9 (stretch)", "systemd", "iptables-persistent", (4, 9)),
        ("debian", "13", "systemd", "nftables", (6, 12)),
        ("ubuntu", "8.04", "upstart", "ufw", (2, 6, 24)),
        ("Ubuntu", "12.04", "upstart", "ufw", (3, 2)),
        ("ubuntu", "16.04.7 LTS", "systemd", "ufw", (4, 4)),
        ("ubuntu", "24.04", "systemd", "ufw", (6, 8)),
        ("centos", "5.5", "sysv", "iptables-services", (2, 6, 18)),
        ("CentOS Linux", "6.10", "upstart", "iptables-services", (2, 6, 32)),
        ("centos", "7", "systemd", "firewalld", (3, 10)),
        ("rocky", "9.3", "systemd", "firewalld", (5, 14)),
        ("almalinux", "10.0", "systemd", "firewalld", (6, 12)),
        ("amzn", "2", "systemd", "iptables-services", (4, 14)),
        ("amzn", "2018.03", "upstart", "iptables-services", (4, 14)),
        ("amzn", "2023", "systemd", "nftables", (6, 1)),
        ("alpine", "3.18.4", "openrc", "awall", (6, 1)),
        ("openwrt", "22.03.5", "procd", "fw4", (5, 10)),
        ("openwrt", "19.07", "procd", "fw3", (4, 14)),
        ("xcp-ng", "8.2", "systemd", "iptables-services", (4, 19)),
        ("bottlerocket", "1.19", "systemd", "iptables", (5, 10)),
        ("flatcar", "", "systemd", "iptables", (5, 15)),
        ("pve", "8.1", "systemd", "pve-firewall", (6, 2)),
        ("opensuse-leap", "15.4", "systemd", "firewalld", (4, 12)),
    ],
)
def test_distributions(os_id: str, version: str, init: str, front_end: str, series: tuple[int, ...]) -> None:
    assert vendors.init_of(os_id, version) == init
    assert vendors.front_end_of(os_id, version) == front_end
    kernel = vendors.default_kernel(os_id, version)
    assert kernel is not None
    assert kernel.basis == "vendor"
    assert identity.between(kernel, series, series)


def test_every_shipped_kernel_parses_as_its_vendors() -> None:
    assert vendors.default_kernel("rhel", "7") is not None
    for generation in (5, 6, 7, 8, 9, 10):
        assert identity.enterprise(vendors.default_kernel("rhel", str(generation))) == generation


def test_unknown_and_rolling() -> None:
    assert vendors.distribution("templeos", "5") is None
    assert vendors.init_of("templeos", "5") is None
    assert vendors.default_kernel("arch", "") is None
    assert vendors.default_kernel("ubuntu", "") is None
    nixos = vendors.distribution("nixos", "24.05")
    assert nixos is not None
    assert nixos.immutable
    assert "configuration.nix" in nixos.persist


def test_turning_a_front_end_off() -> None:
    assert vendors.stop_commands("ufw", "upstart") == ("ufw disable",)
    assert vendors.stop_commands("firewalld", "systemd") == ("systemctl disable --now firewalld",)
    assert vendors.stop_commands("iptables-services", "upstart") == (
        "service iptables stop",
        "chkconfig iptables off",
        "service ip6tables stop",
        "chkconfig ip6tables off",
    )
    assert vendors.stop_commands("fw4", "procd")[0] == "/etc/init.d/firewall stop"
    assert vendors.stop_commands("iptables", "sysv") == ()
    assert vendors.stop_commands("nftables", "openrc") == ("rc-service nftables stop", "rc-update del nftables")


@given(st.sampled_from(["debian", "ubuntu", "rhel", "alpine", "openwrt", "arch"]) | st.text(), st.text())
def test_any_words_are_accepted(os_id: str, version: str) -> None:
    found = vendors.distribution(os_id, version)
    assert found is None or found.front_ends
    vendors.default_kernel(os_id, version)
