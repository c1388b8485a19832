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


@pytest.mark.parametrize("name", ["ubuntu-22.04", "debian-12", "openwrt", "el7"])
def test_behind_a_filter_a_dns_server_s_own_lookups_stay_tracked(name: str) -> None:
    plan = tracking_plans.notrack(host(name, ports=("udp/53",)), ())
    rules = [line for line in plan.commands if "notrack" in line and "53" in line]
    assert rules
    for line in rules:
        assert ("sport" in line) is ("output" in line.lower()), line
    assert "own requests" in plan.risk


def test_a_router_passes_answers_untracked_except_its_own() -> None:
    plan = tracking_plans.notrack(host("openwrt", ports=("udp/53",), role="router"), ())
    assert any("sport 53 fib daddr type != local notrack" in line for line in plan.commands)
    old = tracking_plans.notrack(host("ubuntu-22.04", ports=("udp/53",), role="router"), ())
    assert any("PREROUTING -p udp --sport 53 -m addrtype ! --dst-type LOCAL" in line for line in old.commands)


def test_firewalld_over_nft_accepts_by_a_rich_rule() -> None:
    fedora = host("new", distribution="fedora", version="40", front_end="firewalld", ports=("udp/53",))
    plan = tracking_plans.notrack(fedora, ())
    rule = '\'rule port port="53" protocol="udp" accept\''
    assert plan.commands[0] == f"firewall-cmd --add-rich-rule={rule}"
    assert f"firewall-cmd --remove-rich-rule={rule}" in plan.undo
    assert f"firewall-cmd --permanent --add-rich-rule={rule}" in plan.persist
    assert f"firewall-cmd --permanent --remove-rich-rule={rule}" in plan.undo
    assert not any("filter INPUT" in line for line in plan.commands)
    assert "default zone" in plan.risk
    old = tracking_plans.notrack(host("el7", ports=("udp/53",)), ())
    assert any("filter INPUT 0 -p udp --dport 53 -j ACCEPT" in line for line in old.commands)


def test_nft_says_that_an_accept_of_ours_opens_nothing() -> None:
    plan = tracking_plans.notrack(host("debian-12", ports=("udp/53",)), ())
    assert "does not override" in plan.risk
    assert any(line.startswith("#") and "udp dport 53 accept" in line for line in plan.commands)


def test_bridged_frames_on_openwrt_are_kept_out_by_the_bridge_keys() -> None:
    plan = tracking_plans.notrack(host("openwrt", cause="bridge-nf"), ())
    assert plan.id == "notrack"
    assert not any("iptables -" in line for line in plan.commands)


@pytest.mark.parametrize("name", ["el5", "el6"])
def test_the_service_unloads_the_modules_itself(name: str) -> None:
    plan = tracking_plans.unload_modules(host(name), ())
    switch = next(at for at, line in enumerate(plan.commands) if "IPTABLES_MODULES_UNLOAD" in line)
    assert switch < plan.commands.index("service iptables stop")
    assert "service iptables start" in plan.undo
    assert "chkconfig iptables off" in plan.persist
    assert not any("MODULES_UNLOAD" in line for line in tracking_plans.unload_modules(host("el7"), ()).commands)
