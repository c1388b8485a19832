from pathlib import Path

import pytest
from live_trees import NAT, NAT_LISTED, host

from tablefull.facts.origin import Hole, Origin
from tablefull.facts.ruleset import FwRule
from tablefull.facts.snapshot import HostFacts
from tablefull.fixes.act import Command, Commanded, OwnFile
from tablefull.fixes.live_host import Options
from tablefull.fixes.persist_files import ours
from tablefull.fixes.steps_modules import PREVENTION, comes_back, unload_modules

NONE = Options()


def unloaded(plan) -> list[str]:
    return [act.do[0].argv[1] for act in plan.steps[0].acts if isinstance(act, Commanded)]


def test_what_listing_nat_has_loaded_leaves_in_order(tmp_path) -> None:
    """Ubuntu 12.04 as in the question of the Xen host: empty tables, and tracking that only looking has loaded."""
    plan = unload_modules(host(tmp_path, "ubuntu-12.04"), NONE)
    assert plan.refused == ""
    assert unloaded(plan) == ["iptable_nat", "nf_nat", "nf_conntrack_ipv4", "nf_conntrack", "nf_defrag_ipv4"]
    first = plan.steps[0].acts[0]
    assert isinstance(first, Commanded)
    assert first.do == (Command(("rmmod", "iptable_nat")),)
    assert first.undo == (Command(("modprobe", "iptable_nat")),)
    assert first.done == Command(("test", "!", "-e", "/sys/module/iptable_nat/initstate"))
    assert any("iptables -t nat -L" in line for line in plan.told)


def test_undo_brings_back_the_settings_that_stood(tmp_path) -> None:
    files = {"proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established": "86400\n"}
    plan = unload_modules(host(tmp_path, "ubuntu-12.04", files=files), NONE)
    core = next(act for act in plan.steps[0].acts if isinstance(act, Commanded) and act.do[0].argv[1] == "nf_conntrack")
    assert core.undo[0] == Command(("modprobe", "nf_conntrack", "hashsize=65536"))
    assert Command(("sysctl", "-q", "-w", "net.netfilter.nf_conntrack_max=1548576")) in core.undo
    assert Command(("sysctl", "-q", "-w", "net.netfilter.nf_conntrack_tcp_timeout_established=86400")) in core.undo
    assert not any("time_wait" in command.argv[-1] for command in core.undo)  # it stands at its default


def test_the_doors_are_shut_by_a_file_of_ours(tmp_path) -> None:
    plan = unload_modules(host(tmp_path, "ubuntu-12.04"), NONE)
    step = plan.steps[1]
    assert step.persists
    (act,) = step.acts
    assert isinstance(act, OwnFile)
    assert act.path == PREVENTION
    lines = act.after.splitlines()
    assert ours(act.after)
    assert lines[2:] == [
        "install iptable_nat /bin/false",
        "install nf_nat /bin/false",
        "install nf_conntrack_ipv4 /bin/false",
        "install nf_conntrack /bin/false",
    ]


def test_a_file_of_somebody_else_is_left_alone_and_named(tmp_path) -> None:
    files = {PREVENTION.lstrip("/"): "install nf_conntrack /bin/true\n"}
    plan = unload_modules(host(tmp_path, "ubuntu-12.04", files=files), NONE)
    assert len(plan.steps) == 1
    assert "does not carry the mark" in plan.told[0]
    assert PREVENTION in plan.told[0]


def test_a_file_of_ours_is_replaced(tmp_path) -> None:
    first = unload_modules(host(tmp_path / "one", "ubuntu-12.04"), NONE).steps[1].acts[0]
    assert isinstance(first, OwnFile)
    files = {PREVENTION.lstrip("/"): first.after}
    (again,) = unload_modules(host(tmp_path / "two", "ubuntu-12.04", files=files), NONE).steps[1].acts
    assert isinstance(again, OwnFile)
    assert (again.before, again.after) == (first.after, first.after)


def test_a_table_with_rules_leaves_with_its_rules_so_it_stays(tmp_path) -> None:
    rules = NAT + "[0:0] -A PREROUTING -p tcp --dport 80 -j ACCEPT\n"
    plan = unload_modules(host(tmp_path, "ubuntu-12.04", rules={"ip nat": rules}), NONE)
    assert not plan.steps
    assert "rules here (1)" in plan.refused
    assert "-j ACCEPT" in plan.refused


def test_users_in_another_namespace_are_found(tmp_path) -> None:
    one = host(tmp_path, "ubuntu-12.04")
    rule = FwRule(
        origin=Origin("x", 1, ""), tool="iptables", family="ip", table="filter", chain="INPUT",
        text="-A INPUT -m state --state NEW -j ACCEPT", target="ACCEPT",
    )  # fmt: skip
    one.snapshot.hosts.append(HostFacts(name="web01.netns.$(reboot)", facts=[rule]))
    refusal = unload_modules(one, NONE).refused
    assert "in the network namespace 'web01.netns.$(reboot)'" in refusal
    assert "--state NEW" in refusal


def test_a_namespace_that_could_not_be_entered_is_a_user(tmp_path) -> None:
    one = host(tmp_path, "ubuntu-12.04")
    one.snapshot.holes.append(Hole("network namespace blue", "only root may enter it"))
    assert "could not be seen: network namespace blue" in unload_modules(one, NONE).refused


@pytest.mark.parametrize(
    ("module", "words"), [("ip_vs", "IPVS"), ("openvswitch", "Open vSwitch"), ("mystery", "no part of tracking")]
)
def test_services_that_stand_on_tracking_are_users(tmp_path, module: str, words: str) -> None:
    files = {
        "proc/modules": NAT_LISTED["proc/modules"] + f"{module} 9 0 - Live 0x0\n",
        f"sys/module/nf_conntrack/holders/{module}": "",
        "sys/module/nf_conntrack/refcnt": "4\n",
    }
    assert words in unload_modules(host(tmp_path, "ubuntu-12.04", files=files), NONE).refused


def test_references_that_no_module_explains_are_users(tmp_path) -> None:
    files = {"sys/module/nf_conntrack/refcnt": "5\n"}
    refusal = unload_modules(host(tmp_path, "ubuntu-12.04", files=files), NONE).refused
    assert "nf_conntrack by 2" in refusal


def test_compiled_in_or_not_there(tmp_path) -> None:
    assert (
        "compiled into" in unload_modules(host(tmp_path / "b", "debian-12", files={"proc/modules": ""}), NONE).refused
    )
    bare = host(tmp_path / "n", "alpine", files={"proc/modules": ""})
    for path in (tmp_path / "n/proc/sys/net/netfilter").iterdir():
        path.unlink()
    for path in (tmp_path / "n/sys/module/nf_conntrack").rglob("*"):
        if path.is_file():
            path.unlink()
    (tmp_path / "n/sys/module/nf_conntrack").rename(tmp_path / "n/gone")
    assert "not loaded" in unload_modules(bare, NONE).refused


def test_what_loads_it_again_is_named(tmp_path) -> None:
    files = {
        "etc/modules": "# comment nf_conntrack\nlp\nnf_conntrack_ipv4\n",
        "etc/network/if-pre-up.d/rules": "#!/bin/sh\niptables -t nat -A POSTROUTING -j MASQUERADE\n",
        "proc/77/comm": "libvirtd\n",
    }
    one = host(tmp_path, "ubuntu-12.04", files=files)
    told = comes_back(one, ("nf_conntrack_ipv4", "nf_conntrack"))
    assert "loaded at boot by /etc/modules: 'nf_conntrack_ipv4'" in told
    assert any("/etc/network/if-pre-up.d/rules" in line for line in told)
    assert any("libvirtd runs here" in line for line in told)


def test_busybox_s_modprobe_is_told_of(tmp_path) -> None:
    # tests/vm/test_modular_kernel.py shows that it passes over such a line.
    one = host(tmp_path, "ubuntu-12.04", files={"bin/busybox": ""})
    root = Path(one.proc.root)
    (root / "sbin").mkdir(exist_ok=True)
    (root / "sbin/modprobe").unlink(missing_ok=True)
    (root / "sbin/modprobe").symlink_to("/bin/busybox")
    assert comes_back(one, ("nf_conntrack",))[0].startswith("modprobe here is busybox's")


def test_names_of_modules_are_words(tmp_path) -> None:
    files = {"sys/module/nf_conntrack/holders/$(reboot)": ""}
    plan = unload_modules(host(tmp_path, "ubuntu-12.04", files=files), NONE)
    assert "$(reboot)" not in str([act for step in plan.steps for act in step.acts])
