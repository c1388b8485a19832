"""On a kernel with loadable modules the collecting script loads none of them.

The machine has a memory disk that holds busybox, the listing programs and every network module, so that asking a
subsystem does load its module there: the last phase asks, to show that the test would have seen it.
"""

import re
from pathlib import Path

import pytest
from tests.vm import machine

from tablefull.live import script

pytestmark = [pytest.mark.vm, pytest.mark.slow]

PROMISED_S = 30
PROGRAMS = ("nft", "conntrack", "ipset", "iptables-legacy", "iptables-legacy-save", "ip", "setpriv")

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/sbin:/usr/bin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
echo web01 > /proc/sys/kernel/hostname
ip link set lo up
state() { cat /proc/modules /proc/net/ip_tables_names 2>/dev/null; ls /sys/module; sysctl -a 2>/dev/null |
  grep -v -e count -e random -e inode -e dentry -e file-nr -e pid; }
phase() {
  state > /run/before
  begun=$(date +%s)
  sh /collect.sh > /run/facts 2> /run/errors
  status=$?
  took=$(($(date +%s) - begun))
  state > /run/after
  cmp -s /run/before /run/after && same=yes || same=no
  echo "@phase $1 status=$status same=$same modules=$(grep -c -e ^nf -e tables /proc/modules) took=$took errors=$(wc -c < /run/errors)"
  echo "@facts $1"; cat /run/facts; echo "@end"
  [ $same = yes ] || diff /run/before /run/after
}
phase bare
modprobe nf_conntrack
phase conntrack
nft 'add table ip t; add chain ip t o { type filter hook output priority 0; ct state new counter; }'
ping -c 1 127.0.0.1 > /dev/null
phase nft
iptables-legacy -t nat -L > /dev/null
phase tables
cat /proc/modules > /run/before
conntrack -S > /dev/null
cmp -s /run/before /proc/modules && echo "@control same=yes" || echo "@control same=no"
mkdir -p /etc/modprobe.d
echo 'install br_netfilter /bin/false' > /etc/modprobe.d/x.conf
modprobe br_netfilter
grep -q '^br_netfilter ' /proc/modules && echo "@install passed over" || echo "@install kept"
poweroff -f
"""


@pytest.fixture(scope="module", params=machine.SERIES)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Everything the machine printed from its first phase to its end."""
    kernel = machine.kernel(request.param)
    disk = machine.memory_disk(INIT)
    disk.add("collect.sh", 0o100644, script.text().encode())
    for inside, path in machine.module_files(kernel):
        disk.add(inside, 0o100755, path.read_bytes())
    for name in PROGRAMS:
        disk.add(f"usr/sbin/{name}", 0o100755, Path(machine.where(name)).resolve().read_bytes())
    for library in sorted(machine.libraries([machine.where(name) for name in PROGRAMS])):
        disk.add(library.lstrip("/"), 0o100755, Path(library).resolve().read_bytes())
    said = machine.run(kernel, disk.packed(), tmp_path_factory.mktemp("vm"))
    assert "@control" in said, said[-3000:]
    return said


def test_asking_the_subsystem_would_have_been_seen(told: str) -> None:
    assert "@control same=no" in told


def test_busybox_s_modprobe_passes_over_an_install_line(told: str) -> None:
    # What fixes/boot_modules.py and fixes/persist.py stand on where modprobe is busybox's.
    assert "@install passed over" in told


@pytest.mark.parametrize("phase", ["bare", "conntrack", "nft", "tables"])
def test_no_phase_loads_a_module_or_changes_a_setting(told: str, phase: str) -> None:
    match = re.search(rf"@phase {phase} status=(\d+) same=(\w+) modules=(\d+) took=(\d+) errors=(\d+)", told)
    assert match is not None
    assert (match[1], match[2], match[5]) == ("0", "yes", "0"), told[match.start() : match.start() + 3000]
    assert (int(match[3]) > 0) == (phase != "bare")
    assert int(match[4]) < PROMISED_S


def test_what_is_there_is_told_and_what_is_not_is_named(told: str) -> None:
    facts = dict(re.findall(r"@facts (\w+)\n(.*?)@end", told, re.DOTALL))
    assert all(text.startswith("=== web01 ===\n") for text in facts.values())
    assert "it would load nf_tables" in facts["bare"]
    assert "it would load nf_conntrack_netlink" in facts["conntrack"]
    assert "ct state new counter" in facts["nft"]
    assert "*nat" in facts["tables"]
    assert "src=127.0.0.1" in facts["nft"] or "it would load nf_conntrack_netlink" in facts["nft"]
