from live_trees import FILTER, host

from tablefull.facts.origin import Origin
from tablefull.facts.ruleset import NoBridgePorts
from tablefull.fixes.act import SetValue
from tablefull.fixes.live_host import Options
from tablefull.fixes.steps_bridge import disable_bridge_nf, protects

NONE = Options()
XEN = "ubuntu-12.04"


def test_a_host_that_only_bridges(tmp_path) -> None:
    plan = disable_bridge_nf(host(tmp_path, XEN), NONE)
    assert plan.steps[0].acts == tuple(
        SetValue(f"/proc/sys/net/bridge/bridge-nf-call-{what}", "1", "0")
        for what in ("iptables", "ip6tables", "arptables")
    )
    assert plan.steps[0].scope == "host"  # each namespace's own from 5.3 on
    assert any("bridge brings 1 each time it is loaded" in line for line in plan.told)


def test_where_no_interface_is_a_port_it_is_not_said_that_frames_pass(tmp_path) -> None:
    one = host(tmp_path, XEN)
    assert "pass the IP hooks" in disable_bridge_nf(one, NONE).steps[0].before
    one.facts.facts.append(NoBridgePorts(origin=Origin("bridge link", 1, "")))
    assert "no interface here is a port of a bridge" in disable_bridge_nf(one, NONE).steps[0].before


def test_rules_that_filter_guests_need_it(tmp_path) -> None:
    rules = FILTER + "[0:0] -A FORWARD -m physdev --physdev-in vif1.0 -p tcp --dport 25 -j DROP\n"
    one = host(tmp_path, XEN, rules={"ip filter": rules})
    refusal = disable_bridge_nf(one, NONE)
    assert "physdev" in refusal.refused
    assert len(protects(one)) == 1
    forced = disable_bridge_nf(one, Options(i_know=True)).steps[0]
    assert forced.predicted is not None
    assert "physdev" in forced.predicted.protection_lost[0]


def test_kubernetes_and_docker_need_it(tmp_path) -> None:
    one = host(tmp_path, XEN, files={"proc/5/comm": "dockerd\n"})
    assert "Docker" in disable_bridge_nf(one, NONE).refused
    plan = disable_bridge_nf(one, Options(i_know=True))
    assert any("docker runs here" in line for line in plan.told)


def test_who_switches_it_on_again(tmp_path) -> None:
    files = {
        "etc/sysctl.d/99-k8s.conf": "net.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-arptables = 0\n",
        "etc/modules": "bridge\n",
    }
    told = disable_bridge_nf(host(tmp_path, XEN, files=files), NONE).told
    assert "/etc/sysctl.d/99-k8s.conf" in told[0]
    assert "arptables" not in told[0]
    assert "/etc/modules: 'bridge'" in told[1]


def test_nothing_to_do(tmp_path) -> None:
    assert "no bridge-nf-call here" in disable_bridge_nf(host(tmp_path / "d", "debian-12"), NONE).refused
    off = {f"proc/sys/net/bridge/bridge-nf-call-{what}": "0\n" for what in ("iptables", "ip6tables", "arptables")}
    assert "kept out already" in disable_bridge_nf(host(tmp_path / "u", XEN, files=off), NONE).refused
