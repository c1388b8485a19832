"""Ending tracking: both directions, both families, the order of modules, the era of the bridge keys."""

import pytest
from situations import host

from tablefull.fixes import tracking_plans


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("el5", "-j NOTRACK"),
        ("el6", "-j NOTRACK"),
        ("ubuntu-12.04", "-j NOTRACK"),
        ("el7", "-j CT --notrack"),
        ("ubuntu-22.04", "-j CT --notrack"),
        ("unknown", "-j CT --notrack"),
    ],
)
def test_requests_and_answers_each_way(name: str, target: str) -> None:
    plan = tracking_plans.notrack(host(name, ports=("udp/53",), front_end="none"), ())
    for program in ("iptables",) if name == "el5" else ("iptables", "ip6tables"):
        for chain in ("PREROUTING", "OUTPUT"):
            for side in ("dport", "sport"):
                assert f"{program} -t raw -I {chain} -p udp --{side} 53 {target}" in plan.commands
                assert f"{program} -t raw -D {chain} -p udp --{side} 53 {target}" in plan.undo
    assert name != "el5" or not any("ip6tables" in line for line in plan.commands)


def test_firewalld_keeps_it_by_its_own_command() -> None:
    plan = tracking_plans.notrack(host("el7", ports=("udp/53",)), ())
    assert "firewall-cmd --direct --add-rule ipv4 raw PREROUTING 0 -p udp --dport 53 -j CT --notrack" in plan.commands
    assert (
        "firewall-cmd --permanent --direct --add-rule ipv6 raw OUTPUT 0 -p udp --sport 53 -j CT --notrack"
        in plan.persist
    )


def test_bridged_frames_alone_leave_the_host_itself_tracked() -> None:
    plan = tracking_plans.notrack(host("ubuntu-12.04", cause="bridge-nf"), ())
    assert (
        plan.commands[0]
        == "iptables -t raw -I PREROUTING -m physdev --physdev-is-in -m addrtype ! --dst-type LOCAL -j NOTRACK"
    )
    assert not any("OUTPUT" in line for line in plan.commands)


def test_everything_keeps_a_way_in() -> None:
    plan = tracking_plans.notrack(host("ubuntu-12.04", cause="unneeded-tracking"), ())
    assert plan.commands[0] == "iptables -t filter -I INPUT -p tcp --dport 22 -j ACCEPT"
    assert "lock yourself out" in plan.risk


def test_bridge_keys_come_with_bridge_before_3_17_and_br_netfilter_after() -> None:
    old = tracking_plans.disable_bridge_nf(host("ubuntu-12.04"), ())
    new = tracking_plans.disable_bridge_nf(host("debian-12"), ())
    assert any('KERNEL=="bridge"' in line for line in old.persist)
    assert any('KERNEL=="br_netfilter"' in line for line in new.persist)
    assert (old.scope, new.scope) == ("host", "netns")
    for plan in (old, new):
        assert [line.rpartition(".")[2] for line in plan.commands] == [
            "bridge-nf-call-iptables=0",
            "bridge-nf-call-ip6tables=0",
            "bridge-nf-call-arptables=0",
        ]
        assert "Kubernetes" in plan.risk


def test_modules_leave_after_the_rules_and_users_first() -> None:
    modules = frozenset(
        ("nf_conntrack", "nf_conntrack_ipv4", "nf_nat", "iptable_nat", "nf_defrag_ipv4", "xt_state", "ip_tables")
    )
    plan = tracking_plans.unload_modules(host("ubuntu-12.04", modules=modules), ())
    removed = [line.removeprefix("modprobe -r ") for line in plan.commands if line.startswith("modprobe -r")]
    assert removed == ["xt_state", "iptable_nat", "nf_nat", "nf_conntrack_ipv4", "nf_conntrack", "nf_defrag_ipv4"]
    flushed = next(at for at, line in enumerate(plan.commands) if "-F" in line)
    assert flushed < plan.commands.index("modprobe -r xt_state")
    assert "ufw disable" in plan.commands
    assert any("install iptable_nat /bin/false" in line for line in plan.persist)


@pytest.mark.parametrize("more", [{"builtin": True}, {"nat_in_use": True}])
def test_unloading_is_refused_where_it_cannot_or_must_not_be(more: dict[str, bool]) -> None:
    plan = tracking_plans.unload_modules(host("new", **more), ())
    assert not any("modprobe -r" in line or "rmmod" in line for line in plan.commands)


def test_behind_a_filter_a_tcp_server_s_own_requests_stay_tracked() -> None:
    raw = [
        line
        for line in tracking_plans.notrack(host("ubuntu-22.04", ports=("tcp/443",)), ()).commands
        if "-t raw" in line
    ]
    assert raw == [
        f"{program} -t raw -I {chain} -p tcp --{side} 443 -j CT --notrack"
        for chain, side in (("PREROUTING", "dport"), ("OUTPUT", "sport"))
        for program in ("iptables", "ip6tables")
    ]
