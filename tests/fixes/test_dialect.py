"""The words of a host, inferred where they are not given."""

import pytest
from situations import host

from tablefull.fixes import dialect
from tablefull.fixes.plan import Situation
from tablefull.kernel.identity import parse_release


@pytest.mark.parametrize(
    ("distribution", "version", "found"),
    [
        ("ubuntu", "12.04", "upstart"),
        ("ubuntu", "16.04", "systemd"),
        ("debian", "7", "sysv"),
        ("debian", "8.1", "systemd"),
        ("centos", "6.5", "sysv"),
        ("rhel", "7.9", "systemd"),
        ("openwrt", "22.03", "procd"),
        ("alpine", "3.20", "openrc"),
        ("plan9", "4", "unknown"),
    ],
)
def test_init_by_distribution(distribution: str, version: str, found: str) -> None:
    assert dialect.init(Situation(distribution=distribution, version=version)) == found


def test_a_red_hat_kernel_alone_tells_the_generation() -> None:
    assert not dialect.systemd(Situation(kernel=parse_release("2.6.32-642.el6.x86_64")))
    assert dialect.systemd(Situation(kernel=parse_release("3.10.0-1160.el7.x86_64")))


def test_keys_by_era() -> None:
    assert dialect.key(host("el5"), "nf_conntrack_max") == "net.ipv4.netfilter.ip_conntrack_max"
    assert dialect.key(host("el6"), "nf_conntrack_max") == "net.netfilter.nf_conntrack_max"
    assert dialect.key(Situation(ip_conntrack=True), "nf_conntrack_max") == "net.ipv4.netfilter.ip_conntrack_max"
    assert dialect.key(host("new", ip_conntrack=True), "nf_conntrack_max") == "net.netfilter.nf_conntrack_max"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1", ("10.0.0.1", False)),
        ("2001:DB8::1", ("2001:db8::1", True)),
        ("10.1.2.3/8", ("10.0.0.0/8", False)),
        ("10.0.0.1 -j ACCEPT", None),
        ("", None),
        ("fe80::1%eth0", None),
    ],
)
def test_addresses_are_validated(text: str, found: tuple[str, bool] | None) -> None:
    assert dialect.address(text) == found


def test_services_are_validated() -> None:
    ports = ("udp/53", "53/udp", "tcp/0", "tcp/65536", "tcp/22;id", "GRE", "lo", "icmp", "٥/udp")
    assert dialect.services(Situation(ports=ports)) == (("udp", "53"), ("gre", ""), ("lo", ""), ("icmp", ""))


def test_quoting_survives_a_shell() -> None:
    assert dialect.quote("a'b c") == "'a'\\''b c'"
    assert dialect.quote("net.core.x=1") == "net.core.x=1"


def test_each_file_of_settings_has_a_rule_of_its_own() -> None:
    assert dialect.udev_file("/etc/sysctl.d/90-a.conf") != dialect.udev_file("/etc/sysctl.d/90-b.conf")


def test_files_are_applied_by_the_host_s_own_command() -> None:
    assert dialect.apply_files(host("ubuntu-12.04")) == "service procps start"
    assert dialect.apply_files(host("el6")) == "sysctl -p"
    assert dialect.apply_files(host("debian-12")) == "sysctl --system"


@pytest.mark.parametrize(
    ("more", "nft"),
    [
        ({"version": "22.03.5"}, True),
        ({"version": "21.02.7", "kernel": "5.4.238"}, False),
        ({"version": "19.07"}, False),
        ({"kernel": "5.10.176"}, True),
        ({"kernel": "5.4.238"}, False),
        ({"front_end": "fw3", "kernel": "5.10.176"}, False),
        ({"front_end": "nftables"}, True),
        ({}, False),
    ],
)
def test_openwrt_speaks_nft_from_22_03(more: dict[str, str], nft: bool) -> None:
    kernel = parse_release(more["kernel"]) if "kernel" in more else None
    found = Situation(
        distribution="openwrt", version=more.get("version"), kernel=kernel, front_end=more.get("front_end", "uci")
    )
    assert dialect.uses_nft(found) is nft
