"""modprobe.d and udev's rules; the order of modprobe.d is compared with modprobe in tests/realkernel."""

from pathlib import Path

import pytest
from tests.fixes.boot_trees import tree

from tablefull.fixes.boot_modules import brings, carriers, listed, modprobe, udev_calls, udev_is_late
from tablefull.fixes.boot_tree import Fragment, Tree
from tablefull.kernel.identity import parse_release

RULE = "/etc/udev/rules.d/90-x.rules"
RUN = 'RUN+="/sbin/sysctl -q -p /etc/sysctl.d/90-x.conf"'


def test_options_install_and_soft_dependencies() -> None:
    text = "options nf-conntrack hashsize=8 \\\n acct=1\ninstall a /bin/false\ninstall a /bin/x\nsoftdep a pre: b c post: d-e\n"
    found = modprobe(tree("debian-12", {"/etc/modprobe.d/x.conf": text}))
    assert [(name, value, line) for name, value, _, line in found.options["nf_conntrack"]] == [
        ("hashsize", "8", 1),
        ("acct", "1", 1),
    ]
    assert found.install["a"] == ("/bin/false", "/etc/modprobe.d/x.conf", 3)
    assert found.soft["a"] == (["b", "c"], ["d_e"])


@pytest.mark.parametrize(
    ("rule", "fires"),
    [
        (f'ACTION=="add", SUBSYSTEM=="module", KERNEL=="nf_conntrack", {RUN}', True),
        (f'SUBSYSTEM=="module", KERNEL=="nf_*|x", {RUN}', True),
        (f'ACTION=="add", SUBSYSTEM=="module", \\\n  DEVPATH=="/module/nf_conntrack", {RUN}', True),
        (f'ACTION!="remove", SUBSYSTEM=="module", KERNEL=="nf_conntrack", {RUN}', True),
        (f'ACTION=="remove", SUBSYSTEM=="module", KERNEL=="nf_conntrack", {RUN}', False),
        (f'SUBSYSTEM=="module", KERNEL=="br_netfilter", {RUN}', False),
        (f'SUBSYSTEM=="module", KERNEL=="nf_conntrack", TEST=="/x", {RUN}', False),
        (f'# SUBSYSTEM=="module", KERNEL=="nf_conntrack", {RUN}', False),
    ],
)
def test_rules_that_fire(rule: str, fires: bool) -> None:
    found = udev_calls(tree("debian-12", {RULE: rule + "\n"}), "nf_conntrack")
    assert [(told.call.kind, told.call.what, told.file) for told in found] == (
        [("file", "/etc/sysctl.d/90-x.conf", RULE)] if fires else []
    )


def test_a_rule_that_a_link_takes_out_is_not_read() -> None:
    rule = f'SUBSYSTEM=="module", KERNEL=="nf_conntrack", {RUN}\n'
    planned = {"/usr/lib/udev/rules.d/90-x.rules": rule, RULE: "\n"}
    assert udev_calls(tree("debian-12", planned), "nf_conntrack") == []


def test_udev_hears_late_from_5_11() -> None:
    # Commit 38dc717e9715 is in 5.11.
    assert udev_is_late(parse_release("5.10.0-30-amd64")) is False
    assert udev_is_late(parse_release("5.11.0-16-generic")) is True
    assert udev_is_late(None) is None


@pytest.mark.parametrize(
    ("module", "release", "first"),
    [
        ("xt_conntrack", "3.2.0-24-generic", ("nf_conntrack", "nf_conntrack_ipv4")),
        ("xt_conntrack", "6.1.0-13-amd64", ("nf_conntrack",)),
        ("nf_conntrack_ipv4", "3.2.0-24-generic", ("nf_conntrack",)),
        ("iptable_nat", "2.6.18-8.el5", ("ip_conntrack",)),
        ("br_netfilter", "6.1.0-13-amd64", ("bridge",)),
        ("nf_conntrack", "6.1.0-13-amd64", ()),
        ("loop", "6.1.0-13-amd64", ()),
    ],
)
def test_what_a_module_brings(module: str, release: str, first: tuple[str, ...]) -> None:
    assert brings(module, parse_release(release)) == first


@pytest.mark.parametrize(
    ("name", "release", "modules"),
    [
        ("nf_conntrack_max", "3.2.0-24-generic", ("nf_conntrack",)),
        ("nf_conntrack_udp_timeout", "3.2.0-24-generic", ("nf_conntrack_ipv4", "nf_conntrack_ipv6")),
        ("nf_conntrack_udp_timeout", "4.19.0-6-amd64", ("nf_conntrack",)),
        ("nf_conntrack_max", "2.6.18-8.el5", ("ip_conntrack",)),
        ("net.bridge.bridge-nf-call-iptables", "3.2.0-24-generic", ("br_netfilter", "bridge")),
        ("net.bridge.bridge-nf-call-iptables", "4.19.0-6-amd64", ("br_netfilter",)),
        ("net.ipv4.ip_forward", "4.19.0-6-amd64", ()),
    ],
)
def test_what_carries_a_setting(name: str, release: str, modules: tuple[str, ...]) -> None:
    assert carriers(name, parse_release(release)) == modules


def test_names_of_modules() -> None:
    text = "# x\n; y\n\nnf-conntrack hashsize=1\n loop\n"
    assert listed(Fragment("m", "/etc/modules", text)) == [("nf_conntrack", 4), ("loop", 5)]


def test_busybox_s_modprobe_knows_options_alone(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/busybox").touch()
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin/modprobe").symlink_to("/bin/busybox")
    text = "options a b=1\ninstall a /bin/false\nsoftdep a pre: c\n"
    found = modprobe(Tree(tmp_path, {"/etc/modprobe.d/x.conf": text}))
    assert (len(found.options), found.install, found.soft) == (1, {}, {})
