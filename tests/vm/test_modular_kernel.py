"""On a kernel with loadable modules the collecting script loads none of them.

The kernel is Debian's own, unpacked from its package and booted under qemu with a memory disk that holds busybox, the
listing programs and every network module, so that asking a subsystem does load its module there: the last phase asks,
to show that the test would have seen it.
"""

import gzip
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tablefull.live import script

pytestmark = [pytest.mark.vm, pytest.mark.slow]

PROMISED_S = 30
BOOT_S = 600  # an emulated machine beside other tests
META = "linux-image-cloud-amd64"
PROGRAMS = ("nft", "conntrack", "ipset", "iptables-legacy", "iptables-legacy-save", "ip", "setpriv")
MODULES = ("kernel/net", "kernel/lib", "kernel/crypto", "kernel/arch/x86/crypto")

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
  echo "@phase $1 status=$status same=$same modules=$(grep -c . /proc/modules) took=$took errors=$(wc -c < /run/errors)"
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
poweroff -f
"""


def _output(*words: str, cwd: Path | None = None) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        pytest.skip(f"{' '.join(words[:3])} failed: {done.stderr.strip()[-200:]}")
    return done.stdout


@pytest.fixture(scope="module")
def cache() -> Path:
    """A folder that only this user can write, kept between runs."""
    folder = Path(tempfile.gettempdir()) / f"tablefull-vm-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    assert not folder.is_symlink()
    assert status.st_uid == os.getuid()
    assert status.st_mode & 0o077 == 0
    return folder


@pytest.fixture(scope="module")
def kernel(cache: Path) -> tuple[Path, Path]:
    """The kernel's image and its modules' folder, from Debian's package of the day."""
    for name in ("apt-get", "dpkg-deb", "depmod", "busybox", *PROGRAMS):
        if shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            pytest.skip(f"needs {name}")
    match = re.search(r"Depends: (linux-image-\S+)", _output("apt-cache", "depends", META))
    if match is None:
        pytest.skip(f"{META} is not known to apt here (apt-get update)")
    tree = cache / match[1]
    if not tree.exists():
        building = Path(tempfile.mkdtemp(dir=cache))
        _output("apt-get", "-q", "download", match[1], cwd=building)
        package = next(building.glob("*.deb"))
        _output("dpkg-deb", "-x", str(package), str(building / "tree"))
        release = next((building / "tree/lib/modules").iterdir()).name
        _output("depmod", "-b", str(building / "tree"), release)
        package.unlink()
        (building / "tree").rename(tree)
        building.rmdir()
    return next((tree / "boot").glob("vmlinuz-*")), next((tree / "lib/modules").iterdir())


class Archive:
    """A memory disk in the format ``newc`` (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._known: set[str] = set()

    def add(self, name: str, mode: int, content: bytes = b"") -> None:
        for parent in reversed(Path(name).parents):
            if str(parent) != "." and str(parent) not in self._known:
                self._entry(str(parent), 0o40755, b"")
        self._entry(name, mode, content)

    def _entry(self, name: str, mode: int, content: bytes) -> None:
        if name in self._known:
            return
        self._known.add(name)
        path = name.encode() + b"\0"
        fields = (len(self._known), mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        self._parts += [head, b"\0" * (-len(head) % 4), content, b"\0" * (-len(content) % 4)]

    def packed(self) -> bytes:
        self._entry("TRAILER!!!", 0, b"")
        return gzip.compress(b"".join(self._parts), 1)


def _files(modules: Path, programs: Callable[[str], str]) -> Iterator[tuple[str, Path]]:
    """What goes into the disk: path inside, file here."""
    below = modules.parents[2]
    for path in modules.iterdir():
        if path.name.startswith("modules."):
            yield str(path.relative_to(below)), path
    for folder in MODULES:
        for path in sorted((modules / folder).rglob("*.ko*")):
            yield str(path.relative_to(below)), path
    libraries: set[str] = set()
    for name in PROGRAMS:
        path = programs(name)
        yield f"usr/sbin/{name}", Path(path).resolve()
        libraries |= set(re.findall(r"(/\S+) \(0x", _output("ldd", path)))
    for library in sorted(libraries):
        yield library.lstrip("/"), Path(library).resolve()


@pytest.fixture(scope="module")
def told(kernel: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Everything the machine printed from its first phase to its end."""
    image, modules = kernel

    def where(name: str) -> str:
        return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or name

    disk = Archive()
    disk.add("init", 0o100755, INIT.encode())
    disk.add("collect.sh", 0o100644, script.text().encode())
    disk.add("bin/busybox", 0o100755, Path(where("busybox")).read_bytes())
    disk.add("sbin/modprobe", 0o120777, b"/bin/busybox")
    for folder in ("proc", "sys", "dev", "run", "tmp", "etc"):
        disk.add(folder, 0o40755)
    for inside, path in _files(modules, where):
        disk.add(inside, 0o100755, path.read_bytes())
    initrd = tmp_path_factory.mktemp("vm") / "initrd.gz"
    initrd.write_bytes(disk.packed())
    done = subprocess.run(
        [
            "qemu-system-x86_64", "-accel", "tcg", "-m", "768", "-smp", "1", "-nographic", "-no-reboot", "-nic", "none",
            "-kernel", str(image), "-initrd", str(initrd), "-append", "console=ttyS0 quiet panic=-1 mitigations=off",
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, timeout=BOOT_S,
    )  # fmt: skip
    assert "@control" in done.stdout, done.stdout[-3000:]
    return done.stdout.replace("\r", "")


def test_asking_the_subsystem_would_have_been_seen(told: str) -> None:
    assert "@control same=no" in told


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
