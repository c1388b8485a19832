"""What makes a fix last, for each layout: the files, that the boot ends at the value, who is warned of.

What the boot makes of these files is told by boot.py, which is compared with the real programs in tests/realkernel and
with whole boots in tests/vm.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fixes.boot_trees import BRIDGE, KERNELS, MAX, host, plan, written

from tablefull.fixes import persist
from tablefull.fixes.act import Flush, SetValue
from tablefull.fixes.boot import simulate
from tablefull.fixes.boot_tree import Tree
from tablefull.fixes.persist_files import head, ours

LIMIT = SetValue("/proc/sys/net/netfilter/nf_conntrack_max", "65536", "262144")
HASHSIZE = SetValue("/sys/module/nf_conntrack/parameters/hashsize", "16384", "65536")
FRAMES = SetValue("/proc/sys/net/bridge/bridge-nf-call-iptables", "1", "0")
NAME = "90-tablefull-raise-max"
SYSCTL, LOAD = f"/etc/sysctl.d/{NAME}.conf", "/etc/modules-load.d/tablefull-raise-max.conf"
RULE, PROBE = f"/etc/udev/rules.d/{NAME}.rules", "/etc/modprobe.d/tablefull-raise-max.conf"
WANTS = "etc/systemd/system/multi-user.target.wants/"


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("debian-12", {SYSCTL, LOAD, RULE}),
        ("rhel-9", {SYSCTL, LOAD, RULE}),
        ("alpine", {SYSCTL, LOAD, PROBE}),
        ("ubuntu-12.04", {SYSCTL, PROBE}),
        ("rhel-6", {SYSCTL, PROBE}),
    ],
)
def test_the_files_of_each_layout(name: str, files: set[str], tmp_path: Path) -> None:
    found = written(persist.steps(plan(LIMIT), host(name, tmp_path)))
    assert set(found) == files
    assert all(ours(text) for text in found.values())
    assert found[SYSCTL].endswith("\nnet.netfilter.nf_conntrack_max = 262144\n")


@pytest.mark.parametrize("name", sorted(KERNELS))
@pytest.mark.parametrize("acts", [(LIMIT,), (LIMIT, HASHSIZE), (FRAMES,), (HASHSIZE,)])
def test_the_boot_ends_at_the_values_however_late_the_module_comes(
    name: str, acts: tuple[SetValue, ...], tmp_path: Path
) -> None:
    here = host(name, tmp_path)
    found = written(persist.steps(plan(*acts), here))
    for late in (("xt_conntrack", "br_netfilter"), ("nf_conntrack", "bridge", "br_netfilter")):
        boot = simulate(Tree(here.proc.root, found), [act.path for act in acts], kernel=here.kernel, late=late)
        assert [boot.ending(act.path).value for act in acts] == [act.after for act in acts]


def test_a_udev_rule_for_what_may_come_late_and_never_a_module_for_what_is_turned_off(tmp_path: Path) -> None:
    found = written(persist.steps(plan(FRAMES), host("debian-12", tmp_path)))
    assert set(found) == {SYSCTL, RULE}
    assert 'KERNEL=="br_netfilter", RUN+="/sbin/sysctl -q -p /etc/sysctl.d/90-tablefull-raise-max.conf"' in found[RULE]


def test_up_to_5_10_modprobe_applies_the_file_and_no_rule_of_udev_does(tmp_path: Path) -> None:
    here = host("debian-12", tmp_path, {"proc/sys/kernel/osrelease": "5.10.0-30-amd64"})
    found = written(persist.steps(plan(LIMIT), here))
    assert set(found) == {SYSCTL, PROBE}
    assert "install nf_conntrack /sbin/modprobe --ignore-install nf_conntrack $CMDLINE_OPTS && " in found[PROBE]


def test_hashsize_is_an_option_and_the_limit_in_force_is_written_beside_it(tmp_path: Path) -> None:
    # Given at load, hashsize makes the limit eight times itself (KERNEL.md).
    found = written(persist.steps(plan(HASHSIZE), host("ubuntu-12.04", tmp_path)))
    assert "options nf_conntrack hashsize=65536\n" in found[PROBE]
    assert "nf_conntrack_max = 65536\n" in found[SYSCTL]


def test_a_line_that_sorts_later_is_sorted_behind_and_named(tmp_path: Path) -> None:
    here = host("debian-12", tmp_path, {"etc/sysctl.conf": f"#\n{MAX} = 7\n"})
    found = persist.persistence(plan(LIMIT), here)
    assert "/etc/sysctl.d/99-tablefull-raise-max.conf" in written(found.steps)
    assert found.told == ("/etc/sysctl.d/99-sysctl.conf:2 says 7 and no longer counts: change or remove that line",)


def test_a_line_that_wins_whatever_our_name_is_must_be_changed_by_a_person(tmp_path: Path) -> None:
    files = {
        "etc/ufw/ufw.conf": "ENABLED=yes\n", WANTS + "ufw.service": "",
        "etc/ufw/sysctl.conf": "net/netfilter/nf_conntrack_max=7\n",
    }  # fmt: skip
    found = persist.persistence(plan(LIMIT), host("debian-12", tmp_path, files))
    assert any("will not last as it is: change /etc/ufw/sysctl.conf:1 to 262144" in line for line in found.told)


def test_who_writes_later_is_told(tmp_path: Path) -> None:
    here = host("debian-12", tmp_path, {WANTS + "docker.service": "", "var/lib/kube-proxy/config.conf": "x: 1\n"})
    told = persist.warnings(plan(LIMIT, FRAMES), here)
    assert any(line.startswith("kube-proxy may set nf_conntrack_max to its own value later") for line in told)
    assert any(line.startswith(f"docker may set {BRIDGE} to 1 later") for line in told)


def test_a_file_of_a_person_is_never_taken(tmp_path: Path) -> None:
    here = host("debian-12", tmp_path, {SYSCTL[1:]: "# mine\n"})
    found = persist.persistence(plan(LIMIT), here)
    assert found.steps == ()
    assert found.told[0].startswith(f"nothing is written to make it last: {SYSCTL} is there and does not carry")


def test_an_earlier_one_of_ours_is_replaced_and_known_to_the_undo(tmp_path: Path) -> None:
    earlier = head("raise-max") + "\nnet.netfilter.nf_conntrack_max = 1\n"
    found = persist.steps(plan(LIMIT), host("debian-12", tmp_path, {SYSCTL[1:]: earlier}))
    assert [act.before for act in found[0].acts if act.path == SYSCTL] == [earlier]  # type: ignore[union-attr]


def test_what_no_file_makes_last(tmp_path: Path) -> None:
    here = host("debian-12", tmp_path)
    inside = persist.persistence(plan(LIMIT, netns="blue"), here)
    assert (inside.steps, "made anew at every start" in inside.told[0]) == ((), True)
    once = persist.persistence(plan(Flush("proto=udp")), here)
    assert (once.steps, once.told) == ((), ("entries are taken out once: there is nothing that could last",))


def test_a_service_that_is_in_no_runlevel_is_told(tmp_path: Path) -> None:
    here = host("alpine", tmp_path)
    (Path(here.proc.root) / "etc/runlevels/boot/sysctl").unlink()
    found = persist.persistence(plan(LIMIT), here)
    assert any("rc-update add sysctl boot" in line for line in found.told)
    assert found.steps[0].after.startswith("nf_conntrack_max = 262144 after a restart: modprobe, install line")


@pytest.mark.parametrize("act", [LIMIT, FRAMES])
def test_where_modprobe_is_busybox_the_module_comes_first(act: SetValue, tmp_path: Path) -> None:
    here = host("alpine", tmp_path, {"bin/busybox": ""})
    (Path(here.proc.root) / "sbin").mkdir()
    (Path(here.proc.root) / "sbin/modprobe").symlink_to("/bin/busybox")
    steps = persist.steps(plan(act), here)
    assert set(written(steps)) == {SYSCTL, LOAD}
    assert f"= {act.after} after a restart: sysctl sets it last" in steps[0].after


def test_names_with_a_dot_keep_their_slashes() -> None:
    assert persist.key_of("/proc/sys/net/ipv4/conf/eth0.5/rp_filter") == "net/ipv4/conf/eth0.5/rp_filter"
    assert persist.key_of("/proc/sys/net/netfilter/nf_conntrack_max") == MAX


SOMEBODYS = st.lists(st.sampled_from((
    f"{MAX} = 5", f"-{MAX} = 6", "net.netfilter.* = 7", "net/netfilter/nf_conntrack_max=8", "# x", f"-{MAX}",
)), max_size=3).map("\n".join)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(KERNELS)), text=SOMEBODYS, path=st.sampled_from((
    "etc/sysctl.conf", "etc/sysctl.d/50-x.conf", "etc/sysctl.d/99-zz.conf", "usr/lib/sysctl.d/z.conf",
)))  # fmt: skip
def test_it_lasts_or_the_line_that_wins_is_named(
    name: str, text: str, path: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = host(name, tmp_path_factory.mktemp("h"), {path: text + "\n"})
    found = persist.persistence(plan(LIMIT), here)
    boot = simulate(Tree(here.proc.root, written(found.steps)), [MAX], kernel=here.kernel, late=["nf_conntrack"])
    assert boot.ending(MAX).value == "262144" or any("will not last" in line for line in found.told)
