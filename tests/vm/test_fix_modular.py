"""The real ``tablefull fix`` on real kernels with loadable modules, over restarts of one disk.

Boot as on Debian under systemd: systemd-modules-load, systemd-sysctl, systemd-udevd and its coldplug, each the real
program from Debian's package; only what starts them is a script here. The second boot finds what the first one left.
"""

import re
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.vm import machine

pytestmark = [pytest.mark.vm, pytest.mark.slow]

PROGRAMS = ("kmod", "nft", "iptables", "iptables-legacy", "ip", "sysctl", "conntrack")
TOOLS = (
    "cat", "cut", "cmp", "false", "find", "grep", "hostname", "ls", "mkdir", "mount", "poweroff", "rm", "sed", "sleep", "sort",
    "sync", "test",
)  # fmt: skip
LIMIT = 300000

INIT = r"""#!/bin/dash
export PATH=/usr/sbin:/usr/bin NO_COLOR=1 TERM=dumb
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mkdir -p /run/systemd/system
hostname gw01
ip link set lo up
systemd-modules-load
systemd-sysctl
systemd-udevd --daemon
udevadm trigger --type=all --action=add
udevadm settle
step() {
  name=$1; shift
  "$@" > /run/out 2>&1; status=$?
  echo "@begin $name"; cat /run/out; echo "@end $name $status"
}
value() { echo "@value $1 $(cat /proc/sys/net/$2 2>/dev/null || echo none)"; }
there() { grep -q "^$1 " /proc/modules && echo "@there $2 yes" || echo "@there $2 no"; }
state() { cut -d' ' -f1 /proc/modules | sort; sysctl -a 2>/dev/null | grep -e '^net.netfilter' -e '^net.bridge' |
  grep -v count; }
late() { modprobe "$1"; udevadm settle; }
. /phase/$(sed 's/.*phase=\([0-9]\).*/\1/' /proc/cmdline)
echo "@done"
sync
poweroff -f
"""

FIRST = r"""
ip netns add blue
ip netns exec blue nft 'add table ip t; add chain ip t o { type filter hook output priority 0; ct state new counter; }'
state > /run/before
step refused tablefull fix unload-modules --apply --yes
step rmmod rmmod nf_conntrack
state > /run/after
cmp -s /run/before /run/after && echo "@same yes" || echo "@same no"
step raise tablefull fix raise-max --max 300000 --persist --apply --yes --verify-for 100ms
step confirm-raise tablefull fix --confirm
modprobe br_netfilter
step bridge tablefull fix disable-bridge-nf --persist --apply --yes --verify-for 100ms
step confirm-bridge tablefull fix --confirm
value first-max netfilter/nf_conntrack_max
value first-bridge bridge/bridge-nf-call-iptables
step files find /etc -name '*tablefull*'
"""

SECOND = r"""
there nf_conntrack after-boot
there br_netfilter bridge-after-boot
value boot-max netfilter/nf_conntrack_max
value boot-buckets netfilter/nf_conntrack_buckets
python3 - <<'END'
from tablefull.fixes.boot import simulate, tree_of
from tablefull.fixes.live_host import LiveHost
keys = {"max": "nf_conntrack_max", "buckets": "nf_conntrack_buckets", "bridge": "net.bridge.bridge-nf-call-iptables"}
boot = simulate(tree_of(), keys.values(), kernel=LiveHost().kernel, late=("br_netfilter",))
for name, key in keys.items():
    print("@value told-" + name, boot.ending(key).value)
END
late br_netfilter
value late-bridge bridge/bridge-nf-call-iptables
rmmod nf_conntrack
late nf_conntrack
value late-max netfilter/nf_conntrack_max
step unload tablefull fix unload-modules --apply --yes --verify-for 100ms
there nf_conntrack after-unload
there nf_defrag_ipv4 defrag-after-unload
step confirm-unload tablefull fix --confirm
"""

THIRD = r"""
there nf_conntrack after-prevention
step modprobe modprobe nf_conntrack
step rule nft 'add table ip t; add chain ip t o { type filter hook output priority 0; ct state new counter; }'
step nat iptables-legacy -t nat -L -n
step listing conntrack -L
there nf_conntrack after-asking
step undo tablefull fix --undo 3
step files-left find /etc/modprobe.d -type f
late nf_conntrack
value undone-max netfilter/nf_conntrack_max
rmmod nf_conntrack
rm -f /etc/modules-load.d/* /etc/udev/rules.d/*
udevadm control --reload
late nf_conntrack
value trap-max netfilter/nf_conntrack_max
rmmod nf_conntrack
mkdir -p /etc/modprobe.d
python3 - > /etc/modprobe.d/line.conf <<'END'
from tablefull.fixes.persist import install_line
print(install_line("nf_conntrack", "/etc/sysctl.d/90-tablefull-raise-max.conf"))
END
modprobe nf_conntrack
value line-max netfilter/nf_conntrack_max
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system with the modules of both kernels, made once."""
    folder = tmp_path_factory.mktemp("vm")
    system = machine.System(folder / "tree")
    system.base(PROGRAMS, TOOLS)
    for name in ("systemd-sysctl", "systemd-modules-load"):
        path = Path("/usr/lib/systemd") / name
        if not path.exists():
            pytest.skip(f"needs {path} (Debian package systemd)")
        system.program(name, path)
    system.program("udevadm", machine.package("udev") / "bin/udevadm")
    system.link("usr/sbin/systemd-udevd", "udevadm")
    for kernel in machine.kernels().values():
        system.modules(kernel)
    system.text("init", INIT, 0o755)
    unit = "lib/systemd/system/systemd-sysctl.service"
    system.copy(f"usr/{unit}", machine.package("systemd") / unit)
    for number, text in enumerate((FIRST, SECOND, THIRD), 1):
        system.text(f"phase/{number}", text)
    return system.image(folder / "disk.img")


class Said:
    """What the three boots printed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.values = dict(re.findall(r"^@value (\S+) (.*)$", text, re.MULTILINE))
        self.there = dict(re.findall(r"^@there (\S+) (\S+)$", text, re.MULTILINE))

    def step(self, name: str) -> tuple[int, str]:
        """Exit status and words of one step."""
        match = re.search(rf"^@begin {name}\n(.*?)^@end {name} (\d+)$", self.text, re.DOTALL | re.MULTILINE)
        assert match is not None, self.text[-4000:]
        return int(match[2]), " ".join(match[1].split())


@pytest.fixture(scope="module")
def played(image: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Future[str]]:
    """Three boots of each kernel, the kernels side by side."""
    pool = ThreadPoolExecutor()
    found = {
        series: pool.submit(boots, kernel, image, tmp_path_factory.mktemp("boot"))
        for series, kernel in machine.kernels().items()
    }
    pool.shutdown(wait=False)
    return found


def boots(kernel: machine.Kernel, image: Path, folder: Path) -> str:
    """What three boots of one disk print."""
    disk = folder / "disk.img"
    machine.output("cp", "--sparse=always", str(image), str(disk))
    text = ""
    for phase in (1, 2, 3):
        text += machine.run_disk(kernel, disk, folder, f"phase={phase}")
        assert text.count("@done") == phase, text[-4000:]
    disk.unlink()
    return text


@pytest.fixture(scope="module", params=machine.SERIES)
def said(request: pytest.FixtureRequest, played: dict[str, Future[str]]) -> Said:
    if request.param not in played:
        pytest.skip(f"no cloud kernel {request.param} is known to apt here (apt-get update)")
    return Said(played[request.param].result())


def test_unloading_is_refused_while_a_namespace_uses_it_and_nothing_is_harmed(said: Said) -> None:
    status, words = said.step("refused")
    assert status == 4, words
    assert "in the network namespace" in words
    assert "blue" in words
    assert "ct state new" in words
    assert said.step("rmmod")[0] != 0  # the kernel itself would not have let it go
    assert "@same yes" in said.text


def test_confirmed_fixes_hold_and_wrote_files_of_ours_alone(said: Said) -> None:
    for name in ("raise", "confirm-raise", "bridge", "confirm-bridge"):
        assert said.step(name)[0] == 0, said.step(name)
    assert (said.values["first-max"], said.values["first-bridge"]) == (str(LIMIT), "0")
    assert set(said.step("files")[1].split()) == {
        "/etc/sysctl.d/90-tablefull-raise-max.conf",
        "/etc/modules-load.d/tablefull-raise-max.conf",
        "/etc/udev/rules.d/90-tablefull-raise-max.rules",
        "/etc/sysctl.d/90-tablefull-disable-bridge-nf.conf",
        "/etc/udev/rules.d/90-tablefull-disable-bridge-nf.rules",
    }


def test_values_are_there_after_a_restart(said: Said) -> None:
    assert said.there["after-boot"] == "yes"
    assert said.values["boot-max"] == str(LIMIT)
    assert int(said.values["boot-buckets"]) >= LIMIT


def test_what_was_told_of_the_boot_is_what_it_did(said: Said) -> None:
    assert said.values["told-max"] == said.values["boot-max"]
    assert said.values["told-buckets"] == said.values["boot-buckets"]
    assert said.values["told-bridge"] == said.values["late-bridge"]


def test_a_file_of_settings_alone_is_passed_over_where_the_module_comes_late(said: Said) -> None:
    assert said.values["trap-max"] not in ("none", str(LIMIT))


def test_values_are_there_when_the_module_comes_late(said: Said) -> None:
    assert said.there["bridge-after-boot"] == "no"  # nothing loads what is to be off
    assert said.values["late-bridge"] == "0"
    assert said.values["late-max"] == str(LIMIT)


def test_unloading_is_done_in_order_where_nobody_uses_it(said: Said) -> None:
    assert said.step("unload")[0] == 0, said.step("unload")
    assert said.there["after-unload"] == "no"
    assert said.there["defrag-after-unload"] == "no"
    assert said.step("confirm-unload")[0] == 0


def test_it_does_not_come_back_over_a_restart_whoever_asks(said: Said) -> None:
    assert said.there["after-prevention"] == "no"  # the list of modules to load at boot names it, too
    for name in ("modprobe", "rule", "nat", "listing"):
        assert said.step(name)[0] != 0, said.step(name)
    assert said.there["after-asking"] == "no"


def test_undone_it_may_be_loaded_again_and_has_its_value(said: Said) -> None:
    assert said.step("undo")[0] == 0, said.step("undo")
    assert "tablefull" not in said.step("files-left")[1]
    assert said.values["undone-max"] == str(LIMIT)


def test_modprobe_s_own_line_applies_the_file_without_udev(said: Said) -> None:
    assert said.values["line-max"] == str(LIMIT)
