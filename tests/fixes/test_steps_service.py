from live_trees import FILTER, NAT, host

from tablefull.fixes.act import Command, Commanded
from tablefull.fixes.live_host import Options
from tablefull.fixes.steps_service import disable_firewall, enabled, protection

NONE = Options()
ACCEPTS = FILTER + "[0:0] -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n"


def done(plan) -> list[tuple[str, ...]]:
    return [command.argv for step in plan.steps for act in step.acts for command in act.do]


def test_the_services_of_rhel_6(tmp_path) -> None:
    plan = disable_firewall(host(tmp_path, "rhel-6", rules={"ip filter": ACCEPTS}), NONE)
    assert done(plan) == [
        ("service", "iptables", "stop"),
        ("chkconfig", "iptables", "off"),
        ("service", "ip6tables", "stop"),
        ("chkconfig", "ip6tables", "off"),
    ]
    stop, keep = plan.steps[0].acts[:2]
    assert isinstance(stop, Commanded)
    assert isinstance(keep, Commanded)
    assert stop.done == Command(("test", "!", "-e", "/var/lock/subsys/iptables"))
    assert (keep.done, keep.turned) == (Command(("chkconfig", "iptables")), True)
    assert keep.undo == (Command(("chkconfig", "iptables", "on")),)
    assert "1 of which ask for tracking" in plan.steps[0].before
    assert "go on tracking" in plan.steps[0].risk  # 2.6.32


def test_ufw_on_ubuntu(tmp_path) -> None:
    plan = disable_firewall(host(tmp_path, "ubuntu-12.04", files={"etc/ufw/ufw.conf": "ENABLED=yes\n"}), NONE)
    (act,) = plan.steps[0].acts
    assert isinstance(act, Commanded)
    assert act.do == (Command(("ufw", "disable")),)
    assert act.undo == (Command(("ufw", "--force", "enable")),)
    assert act.done.argv == ("grep", "-qi", "^ENABLED=no", "/etc/ufw/ufw.conf")


NFT = "table inet f {\n\tchain input {\n\t\ttype filter hook input priority 0; policy accept;\n\t\tct state new counter\n\t}\n}\n"


def test_nftables_under_systemd(tmp_path) -> None:
    one = host(tmp_path, "debian-12", nft=NFT)
    assert one.front_end == "nftables"
    plan = disable_firewall(one, NONE)
    assert done(plan) == [
        ("systemctl", "stop", "nftables.service"),
        ("systemctl", "disable", "nftables.service"),
    ]
    stop = plan.steps[0].acts[0]
    assert isinstance(stop, Commanded)
    assert stop.turned
    assert stop.first[0].argv[:2] == ("systemctl", "list-units")


def test_openrc(tmp_path) -> None:
    plan = disable_firewall(host(tmp_path, "alpine"), NONE)
    assert done(plan) == [("rc-service", "iptables", "stop"), ("rc-update", "del", "iptables", "default")]


def test_netfilter_persistent_flushes_before_it_is_disabled(tmp_path) -> None:
    files = {
        "etc/iptables/rules.v4": "*filter\nCOMMIT\n",
        "usr/lib/systemd/system/netfilter-persistent.service": "",
        "etc/systemd/system/multi-user.target.wants/netfilter-persistent.service": "",
    }
    plan = disable_firewall(host(tmp_path, "debian-12", files=files), NONE)
    assert done(plan) == [("netfilter-persistent", "flush"), ("systemctl", "disable", "netfilter-persistent.service")]


def test_what_protects_is_not_turned_off(tmp_path) -> None:
    reject = FILTER + "[0:0] -A INPUT -j REJECT --reject-with icmp-host-prohibited\n"
    one = host(tmp_path / "r", "rhel-6", rules={"ip filter": reject})
    refusal = disable_firewall(one, NONE)
    assert "-A INPUT -j REJECT" in refusal.refused
    forced = disable_firewall(one, Options(i_know=True))
    assert "LOST" in forced.steps[0].risk
    assert forced.steps[0].predicted is not None
    assert len(forced.steps[0].predicted.protection_lost) == 1
    drop = FILTER.replace(":INPUT ACCEPT", ":INPUT DROP")
    policy = disable_firewall(host(tmp_path / "p", "rhel-6", rules={"ip filter": drop}), NONE)
    assert "policy of iptables ip filter INPUT is drop" in policy.refused
    nat = NAT + "[0:0] -A POSTROUTING -o eth0 -j MASQUERADE\n"
    files = {"etc/ufw/ufw.conf": "ENABLED=yes\n"}
    assert (
        "MASQUERADE"
        in disable_firewall(host(tmp_path / "n", "ubuntu-12.04", files=files, rules={"ip nat": nat}), NONE).refused
    )


def test_what_was_not_seen_may_protect(tmp_path) -> None:
    one = host(tmp_path, "rhel-6")
    one._run.printed = {}
    assert protection(one)[0].startswith("not seen")
    assert not disable_firewall(one, NONE).steps


def test_rules_of_docker_are_not_ours_to_stop(tmp_path) -> None:
    one = host(tmp_path, "rhel-6", files={"proc/5/comm": "dockerd\n"})
    assert "configure docker instead" in disable_firewall(one, Options(i_know=True)).refused


def test_nothing_known_loads_rules(tmp_path) -> None:
    assert "nothing to turn off" in disable_firewall(host(tmp_path, "ubuntu-12.04"), NONE).refused


def test_enabled_by_links(tmp_path) -> None:
    one = host(tmp_path, "debian-12")
    assert enabled("nftables", one.proc)
    assert not enabled("firewalld", one.proc)


def test_iptables_persistent_before_systemd(tmp_path) -> None:
    files = {
        "etc/iptables/rules.v4": "*filter\nCOMMIT\n",
        "etc/init.d/iptables-persistent": "#!/bin/sh\n",
        "etc/rcS.d/S37iptables-persistent": "",
    }
    (act,) = disable_firewall(host(tmp_path, "ubuntu-12.04", files=files), NONE).steps[0].acts
    assert isinstance(act, Commanded)
    assert act.do[0].argv == ("/etc/init.d/iptables-persistent", "flush")
    assert act.done.argv == ("test", "!", "-e", "/etc/rcS.d/S37iptables-persistent")
