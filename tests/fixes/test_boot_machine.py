"""A machine in thought: what is there when it is written to."""

import pytest
from tests.fixes.boot_trees import BRIDGE, KERNELS, MAX, tree

from tablefull.fixes.boot_machine import Machine, identity_of
from tablefull.kernel.identity import parse_release


def machine(name: str = "debian-12", planned: dict[str, str] | None = None, **known: bool) -> Machine:
    return Machine(tree(name, planned), (MAX, "hashsize", BRIDGE), parse_release(KERNELS[name]), **known)


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("/proc/sys/net/netfilter/nf_conntrack_max", "nf_conntrack_max"),
        ("net.ipv4.netfilter.ip_conntrack_max", "nf_conntrack_max"),
        ("net.nf_conntrack_max", "nf_conntrack_max"),
        ("/sys/module/nf_conntrack/parameters/hashsize", "nf_conntrack_buckets"),
        ("nf_conntrack.hashsize", "nf_conntrack_buckets"),
        ("net/bridge/bridge-nf-call-iptables", BRIDGE),
    ],
)
def test_one_name_for_a_setting(name: str, identity: str) -> None:
    assert identity_of(name) == identity


def test_a_write_before_the_module_reaches_nothing_and_the_module_begins_anew() -> None:
    one = machine()
    one.set(MAX, "5", "test", "/x", 1)
    assert not one.writes[0].reached
    assert "nf_conntrack is not loaded yet" in one.writes[0].why
    one.load("nf_conntrack", "test")
    assert "nf_conntrack_max" not in one.values
    one.set(MAX, "6", "test", "/x", 2)
    assert one.values["nf_conntrack_max"].value == "6"


def test_what_is_compiled_in_is_there_from_the_beginning() -> None:
    one = machine(builtin=True)
    one.set(MAX, "5", "test", "/x", 1)
    one.set(BRIDGE, "0", "test", "/x", 2)
    assert [write.reached for write in one.writes] == [True, False]


def test_unloading_takes_the_value_with_it() -> None:
    one = machine()
    one.load("nf_conntrack", "test")
    one.set(MAX, "5", "test", "/x", 1)
    one.unload("nf_conntrack", "iptables")
    assert one.values == {}
    assert one.writes[-1].why == "nf_conntrack is unloaded, and the value with it"


def test_a_given_hashsize_makes_the_limit_eight_times_as_large() -> None:
    # KERNEL.md: measured, and nf_conntrack_init_start in every tree.
    one = machine(planned={"/etc/modprobe.d/x.conf": "options nf_conntrack hashsize=1000\n"})
    one.load("xt_conntrack", "ufw")
    assert (one.values["nf_conntrack_buckets"].value, one.values["nf_conntrack_max"].value) == ("1000", "8000")


def test_the_bucket_count_is_read_only_to_4_6() -> None:
    old = machine("ubuntu-12.04")
    old.load("nf_conntrack", "test")
    old.set("net.netfilter.nf_conntrack_buckets", "9", "procps", "/x", 1)
    assert not old.writes[-1].reached
    old.set("hashsize", "9", "rc.local", "/x", 1, why="through /sys/module")
    assert old.writes[-1].reached


def test_an_install_line_that_refuses_keeps_the_module_and_its_users_out() -> None:
    planned = {"/etc/modprobe.d/x.conf": "install nf_conntrack /bin/false\n"}
    one = machine(planned=planned)
    one.load("xt_conntrack", "iptables", "/etc/sysconfig/iptables", 3)
    assert one.loaded == {}
    assert [(load.module, load.done) for load in one.loads] == [("nf_conntrack", False), ("xt_conntrack", False)]


def test_an_install_line_may_apply_a_file() -> None:
    line = "install nf_conntrack /sbin/modprobe --ignore-install nf_conntrack && /sbin/sysctl -q -e -p /etc/sysctl.d/x.conf\n"
    planned = {"/etc/modprobe.d/x.conf": line, "/etc/sysctl.d/x.conf": f"{MAX} = 7\n"}
    one = machine("ubuntu-12.04", planned)
    one.load("xt_conntrack", "iptables")
    assert one.values["nf_conntrack_max"].value == "7"
    assert one.values["nf_conntrack_max"].program == "modprobe, install line"


@pytest.mark.parametrize(("name", "certain"), [("debian-12", True), ("ubuntu-12.04", False)])
def test_a_rule_of_udev_is_a_race_to_5_10(name: str, certain: bool) -> None:
    rule = (
        'ACTION=="add", SUBSYSTEM=="module", KERNEL=="nf_conntrack", RUN+="/sbin/sysctl -q -p /etc/sysctl.d/x.conf"\n'
    )
    one = machine(name, {"/etc/udev/rules.d/x.rules": rule, "/etc/sysctl.d/x.conf": f"{MAX} = 7\n"})
    one.load("nf_conntrack", "test")
    assert one.writes[-1].certain == certain
    assert ("nf_conntrack_max" in one.values) == certain


def test_without_udev_no_rule_runs() -> None:
    rule = 'SUBSYSTEM=="module", KERNEL=="nf_conntrack", RUN+="/sbin/sysctl -w net.netfilter.nf_conntrack_max=7"\n'
    one = machine("alpine", {"/etc/udev/rules.d/x.rules": rule}, udev=False)
    one.load("nf_conntrack", "test")
    assert one.writes == []


def test_soft_dependencies_come_along() -> None:
    one = machine(planned={"/etc/modprobe.d/x.conf": "softdep loop pre: nf_conntrack post: br_netfilter\n"})
    one.load("loop", "test")
    assert list(one.loaded) == ["nf_conntrack", "loop", "bridge", "br_netfilter"]


def test_lines_that_another_sorts_behind_are_told() -> None:
    one = machine(planned={"/etc/sysctl.d/10-a.conf": f"{MAX}=1\n", "/etc/sysctl.d/20-b.conf": f"{MAX}=2\n"})
    one.load("nf_conntrack", "test")
    one.apply(one.tree.fragments(("/etc/sysctl.d",)), "systemd-sysctl", way="systemd")
    assert [(write.value, write.reached) for write in one.writes] == [("1", False), ("2", True)]
    assert one.writes[0].why == "/etc/sysctl.d/20-b.conf:1 sorts later and sets it again"
