"""The firewall in each host's own words."""

import pytest
from situations import host

from tablefull.fixes import firewall_plans
from tablefull.fixes.catalog import Maker


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("ubuntu-12.04", ("ufw disable",)),
        (
            "el6",
            ("service iptables stop", "chkconfig iptables off", "service ip6tables stop", "chkconfig ip6tables off"),
        ),
        ("el7", ("systemctl disable --now firewalld",)),
        ("openwrt", ("/etc/init.d/firewall stop", "/etc/init.d/firewall disable")),
        ("openwrt-old", ("/etc/init.d/firewall stop", "/etc/init.d/firewall disable")),
    ],
)
def test_turning_it_off(name: str, commands: tuple[str, ...]) -> None:
    assert firewall_plans.disable_firewall(host(name), ()).commands == commands


def test_old_kernels_go_on_tracking_without_rules() -> None:
    assert "go on tracking" in firewall_plans.disable_firewall(host("el6"), ()).risk
    assert "go on tracking" not in firewall_plans.disable_firewall(host("debian-12"), ()).risk


def test_a_source_is_dropped_before_tracking_in_its_own_family() -> None:
    plan = firewall_plans.rate_limit(host("debian-10", sources=("192.0.2.7", "2001:db8::1", "192.0.2.0/24")), ())
    assert plan.commands == (
        "iptables -t raw -I PREROUTING -s 192.0.2.7 -j DROP",
        "ip6tables -t raw -I PREROUTING -s 2001:db8::1 -j DROP",
        "iptables -t raw -I PREROUTING -s 192.0.2.0/24 -j DROP",
    )


def test_without_a_source_each_address_is_limited_and_connlimit_avoided() -> None:
    assert "--hashlimit-above" in firewall_plans.rate_limit(host("el6"), ()).commands[0]
    assert "--hashlimit-above" not in firewall_plans.rate_limit(host("el5"), ()).commands[0]
    assert not any(
        "connlimit" in line
        for name in ("el5", "el6", "debian-12", "new")
        for line in firewall_plans.rate_limit(host(name), ()).commands
    )


@pytest.mark.parametrize(
    ("name", "able"),
    [("el5", False), ("el6", False), ("ubuntu-12.04", False), ("el7", True), ("debian-10", True), ("debian-12", True)],
)
def test_synproxy_where_the_kernel_has_it(name: str, able: bool) -> None:
    plan = firewall_plans.synproxy(host(name, ports=("tcp/80",)), ())
    assert "sysctl -w net.ipv4.tcp_syncookies=1" in plan.commands
    text = "\n".join(plan.commands).lower()
    assert ("synproxy" in text) is able
    assert ("notrack" in text) is able
    assert ("tcp_loose=0" in text) is able


def test_invalid_is_dropped_where_the_host_forwards_and_the_price_of_liberal_is_named() -> None:
    nat = firewall_plans.drop_invalid(host("debian-10", nat_in_use=True), ())
    assert nat.commands[0] == "iptables -t filter -I FORWARD -m conntrack --ctstate INVALID -j DROP"
    own = firewall_plans.drop_invalid(host("debian-10"), ())
    assert own.commands == ("sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1",)
    for plan in (nat, own):
        assert "reset" in plan.risk


def test_loose() -> None:
    plan = firewall_plans.disable_tcp_loose(host("el5"), ())
    assert plan.commands == ("sysctl -w net.ipv4.netfilter.ip_conntrack_tcp_loose=0",)
    assert "SYN/ACK, FIN" in plan.risk


def test_helpers_by_rule_from_3_5_and_by_module_before() -> None:
    assert (
        "iptables -t raw -I PREROUTING -p udp --dport 69 -j CT --helper tftp"
        in firewall_plans.attach_helper(host("debian-10", helper="tftp"), ()).commands
    )
    assert firewall_plans.attach_helper(host("ubuntu-12.04"), ()).commands == (
        "modprobe nf_conntrack_ftp",
        "modprobe nf_nat_ftp",
    )
    assert firewall_plans.attach_helper(host("el7"), ()).persist == ("firewall-cmd --permanent --add-service=ftp",)


@pytest.mark.parametrize("name", ["openwrt", "openwrt-old", "el5", "debian-10", "debian-12"])
def test_peer_to_peer_is_limited_in_udp_too_by_first_packets(name: str) -> None:
    plan = firewall_plans.rate_limit(host(name, cause="scan-or-p2p", ports=("tcp/80",)), ())
    assert any("tcp" in line and "syn" in line for line in plan.commands)
    assert any(
        "udp" in line and ("ct state new" in line or "state NEW" in line or "ctstate NEW" in line)
        for line in plan.commands
    )
    assert "TCP and UDP" in plan.title
    assert any(("iptables" in line) is (name not in ("openwrt", "debian-12")) for line in plan.commands)


@pytest.mark.parametrize("make", [firewall_plans.rate_limit, firewall_plans.drop_invalid])
def test_openwrt_of_today_has_no_iptables(make: Maker) -> None:
    plan = make(host("openwrt", nat_in_use=True), ())
    assert not any("iptables" in line or "firewall.user" in line for line in (*plan.commands, *plan.persist))
    assert any("/etc/nftables.d/tablefull_" in line for line in plan.persist)
    old = make(host("openwrt-old", nat_in_use=True), ())
    assert any("/etc/firewall.user" in line for line in old.persist)
