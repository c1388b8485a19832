"""Whole boots of recorded trees: what each setting ends at, and why.

The expected ends are those of the manuals (sysctl.d(5), sysctl(8), udev(7)) and of the scripts named in boot.py; the
order inside one program is compared with that program in tests/realkernel, whole boots with real kernels in tests/vm.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixes.boot_trees import BRIDGE, CAPTURES, MAX, boot, tree

from tablefull.fixes.boot import init_of, place, simulate, tree_of

SET = {"/etc/sysctl.d/90-x.conf": f"{MAX} = 500000\n"}
LOAD = {"/etc/modules-load.d/x.conf": "nf_conntrack\n"}
RULE = {
    "/etc/udev/rules.d/90-x.rules": 'ACTION=="add", SUBSYSTEM=="module", KERNEL=="nf_conntrack", '
    'RUN+="/sbin/sysctl -q -p /etc/sysctl.d/90-x.conf"\n'
}
UFW = {
    "/etc/systemd/system/multi-user.target.wants/ufw.service": "",
    "/etc/ufw/ufw.conf": "ENABLED=yes\n",
}


@pytest.mark.parametrize(
    ("name", "init"),
    [
        ("debian-12", "systemd"),
        ("rhel-9", "systemd"),
        ("ubuntu-12.04", "upstart"),
        ("rhel-6", "initscripts"),
        ("alpine", "openrc"),
    ],
)
def test_the_init_by_its_files(name: str, init: str) -> None:
    assert init_of(tree(name)) == init


def test_a_file_of_settings_alone_comes_before_the_module() -> None:
    found = boot("debian-12", {**SET, **UFW}).ending(MAX)
    assert found.value is None
    assert "/etc/sysctl.d/90-x.conf:1 came too early or to nothing (nf_conntrack is not loaded yet" in found.why


@pytest.mark.parametrize(
    ("name", "planned", "program"),
    [
        ("debian-12", {**SET, **LOAD}, "systemd-sysctl"),
        ("debian-12", {**SET, **RULE, **UFW}, "udev"),
        ("rhel-9", {**SET, **LOAD}, "tuned, reapply_sysctl"),
        ("alpine", {**SET, **LOAD}, "sysctl"),
        ("ubuntu-12.04", {**SET, "/etc/modules": "nf_conntrack_ipv4\n", "/etc/sysctl.conf": ""}, "procps, at static-network-up"),
    ],
)  # fmt: skip
def test_ways_that_work(name: str, planned: dict[str, str], program: str) -> None:
    found = boot(name, planned).ending(MAX)
    assert (found.value, found.by and found.by.program) == ("500000", program)


def test_a_link_in_the_folder_brings_the_file_in_late() -> None:
    found = boot("debian-12", {**SET, **LOAD, "/etc/sysctl.conf": f"# own\n{MAX} = 9\n"}).ending(MAX)
    assert found.value == "9"
    assert found.why == (
        "systemd-sysctl sets it last, from /etc/sysctl.d/99-sysctl.conf:2; /etc/sysctl.d/90-x.conf:1 does not count, as "
        "/etc/sysctl.d/99-sysctl.conf:2 sorts later and sets it again"
    )


def test_the_incident_s_host_sets_its_limit_only_once_the_network_is_up() -> None:
    found = boot("ubuntu-12.04").ending(MAX)
    assert found.value is None
    found = boot("ubuntu-12.04", {"/etc/ufw/ufw.conf": "ENABLED=yes\n"}).ending(MAX)
    assert (found.value, found.by and place(found.by)) == ("1548576", "/etc/sysctl.conf:2")
    assert [write.reached for write in found.writes] == [False, True]


def test_red_hat_6_applies_its_file_three_times() -> None:
    planned = {"/etc/sysctl.conf": f"{MAX} = 5\n{BRIDGE} = 0\n"}
    found = boot("rhel-6", planned, MAX, BRIDGE)
    assert [(write.at, write.reached) for write in found.ending(MAX).writes] == [
        ("rc.sysinit, before udev", False),
        ("rc.sysinit", False),
        ("network", True),
    ]
    assert found.ending(BRIDGE).value is None


def test_red_hat_6_runs_its_own_scripts_of_modules() -> None:
    script = "#!/bin/sh\n/sbin/modprobe bridge\n/sbin/sysctl -e -p\n"
    found = boot("rhel-6", {"/etc/sysconfig/modules/x.modules": script}, BRIDGE).ending(BRIDGE)
    assert (found.value, found.by and found.by.line) == ("0", 5)


def test_masked_and_forgotten_services_are_told() -> None:
    found = boot("alpine", SET)
    assert [stage.note for stage in found.stages] == ["", ""]
    own = {"/etc/init.d/sysctl": "x", "/etc/runlevels/boot/other": "", **SET}
    bare = simulate(tree_of("/nonexistent-tree", own), [MAX])
    assert bare.init == "openrc"
    assert "rc-update add sysctl boot" in bare.stages[1].note


def test_what_an_unknown_init_does_is_not_guessed() -> None:
    found = simulate(tree_of("/nonexistent-tree"), [MAX])
    assert found.stages[0].note == "how unknown applies settings is not known here"
    assert found.ending(MAX).value is None
    with pytest.raises(KeyError):
        found.ending(BRIDGE)


def test_the_command_line_of_the_kernel() -> None:
    planned = {"/proc/cmdline": "quiet nf_conntrack.hashsize=4096 sysctl.net.netfilter.nf_conntrack_max=7\n"}
    found = simulate(tree("debian-12", planned), [MAX, "hashsize"], builtin=True)
    assert (found.ending("hashsize").value, found.ending(MAX).value) == ("4096", "7")


@given(st.sampled_from(sorted(path.name for path in CAPTURES.glob("boot-*"))), st.text(max_size=200), st.sampled_from((
    "/etc/sysctl.d/a.conf", "/etc/modprobe.d/a.conf", "/etc/udev/rules.d/a.rules", "/etc/modules", "/etc/rc.local",
    "/etc/ufw/ufw.conf", "/etc/tuned/active_profile", "/etc/sysconfig/iptables", "/etc/nftables.conf",
)))  # fmt: skip
def test_no_text_of_a_person_breaks_it(name: str, text: str, path: str) -> None:
    found = simulate(tree(name.removeprefix("boot-"), {path: text}), [MAX, BRIDGE, "hashsize"])
    assert len(found.endings) == 3


def test_a_rule_of_udev_beside_another_value_is_a_race_that_is_told() -> None:
    # systemd-udev-trigger.service has no order with systemd-sysctl.service in systemd's own units.
    other = {"/etc/sysctl.d/99-z.conf": f"{MAX} = 7\n"}
    found = boot("debian-12", {**SET, **LOAD, **RULE, **other}).ending(MAX)
    assert found.value == "7"
    assert [(write.owner, write.value, write.certain) for write in found.later] == [("a rule of udev", "500000", False)]
    assert boot("debian-12", {**SET, **LOAD, **RULE}).ending(MAX).later == ()


def test_names_and_values_of_a_person_stay_in_one_plain_line() -> None:
    odd = {"/etc/sysctl.d/z\n\x1b[2J.conf": "kernel.x = 1\nnet.netfilter.nf_conntrack_max = \x1b[31m\n"}
    why = boot("debian-12", {**LOAD, **odd}).ending(MAX).why
    assert why.isprintable()
