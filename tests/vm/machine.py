"""Another machine under qemu: Debian's own kernel with loadable modules, a memory disk, a small disk that stays.

The kernel is unpacked from Debian's package of the day and kept between runs; nothing is installed. Without KVM a boot
takes some four seconds.
"""

import fcntl
import gzip
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from msgspec import Struct

BOOT_S = 600  # an emulated machine beside other tests
SERIES = ("6.1", "6.12")
MODULES = ("kernel/net", "kernel/lib", "kernel/crypto", "kernel/arch/x86/crypto")
DISK = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
ROOT = Path(__file__).parents[2]
# What the program imports to answer (requirements/base.in), with what these import themselves.
PACKAGES = ("click", "jinja2", "markupsafe", "msgspec", "rich", "markdown_it", "mdurl")
_LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages", "pydoc_data"}

# The disk becomes the root; what is to be done there is /init of the disk.
FIRST = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in LOADED; do insmod /modules/$module.ko 2>/dev/null; done
n=0; while [ ! -b /dev/vda ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
mount -t ext4 /dev/vda /root || echo "@no-disk"
umount /proc /sys
mount --move /dev /root/dev
exec switch_root /root /init
""".replace("LOADED", " ".join(DISK))


# The program kept warm: a start costs an emulated machine two seconds, a fork none. Each call is a process of its own, which
# only finds its imports done. Asked by the shell function `tablefull` of WARM_SHELL, through two pipes and three files.
WARM = """
import importlib, os, sys
for one in ("ask", "status"):
    os.mkfifo("/run/warm." + one)
print("@warm", flush=True)
while True:
    open("/run/warm.ask").read()
    words = [word.rstrip("\\n") for word in open("/run/warm.words")]
    child = os.fork()
    if child == 0:
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open("/run/warm." + name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        from tablefull.views.cli import run
        from tablefull.views.output import flush
        code = 70
        try:
            code = run(words)
            flush()
        finally:
            with open("/run/warm.known", "w") as known:
                known.write("\\n".join(sys.modules))
            os._exit(code)
    _, status = os.waitpid(child, 0)
    for name in open("/run/warm.known").read().split():
        try:
            importlib.import_module(name)
        except Exception:
            pass
    with open("/run/warm.status", "w") as told:
        told.write(f"{os.waitstatus_to_exitcode(status)}\\n")
"""
WARM_SHELL = """
mount -t tmpfs run /run
python3 /usr/lib/warm.py &
while [ ! -p /run/warm.status ]; do sleep 0.1; done
tablefull() {
  for word; do printf '%s\\n' "$word"; done > /run/warm.words
  : > /run/warm.ask
  read -r warm < /run/warm.status
  cat /run/warm.err >&2; cat /run/warm.out
  return $warm
}
"""


class Kernel(Struct, frozen=True):
    """An image and the folder of its modules."""

    series: str
    image: Path
    modules: Path

    @property
    def release(self) -> str:
        return self.modules.name


def where(name: str) -> str:
    """A program of this machine, or the test is skipped with its name."""
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def output(*words: str, cwd: Path | None = None) -> str:
    """What a program says; the test is skipped with its last words where it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        pytest.skip(f"{' '.join(words[:3])} failed: {done.stderr.strip()[-200:]}")
    return done.stdout


def cache() -> Path:
    """A folder that only this user can write, kept between runs."""
    folder = Path(tempfile.gettempdir()) / f"tablefull-vm-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    assert not folder.is_symlink()
    assert status.st_uid == os.getuid()
    assert status.st_mode & 0o077 == 0
    return folder


def package(name: str) -> Path:
    """The tree of a Debian package of the day, unpacked and kept: by one of those who want it, while the others wait."""
    tree = cache() / name
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            _unpack(name, tree)
    return tree


def _unpack(name: str, tree: Path) -> None:
    building = Path(tempfile.mkdtemp(dir=cache()))
    output("apt-get", "-q", "download", name, cwd=building)
    archive = next(building.glob("*.deb"))
    output("dpkg-deb", "-x", str(archive), str(building / "tree"))
    packed = [str(path) for path in (building / "tree").rglob("*.ko.xz")]
    if packed:  # busybox does not unfold all of them
        output(where("xz"), "-d", *packed)
    for modules in (building / "tree/lib/modules").glob("*"):
        output("depmod", "-b", str(building / "tree"), modules.name)
    archive.unlink()
    (building / "tree").rename(tree)
    building.rmdir()


def kernel(series: str) -> Kernel:
    """Debian's cloud kernel of this series, by whichever of its meta-packages leads there."""
    for name in ("apt-get", "apt-cache", "dpkg-deb", "depmod"):
        where(name)
    for meta in (f"linux-image-{series}-cloud-amd64", "linux-image-cloud-amd64"):
        done = subprocess.run(["apt-cache", "depends", meta], capture_output=True, text=True, check=False)
        match = re.search(rf"Depends: (linux-image-{re.escape(series)}\.\S+)", done.stdout)
        if match:
            tree = package(match[1])
            return Kernel(series, next((tree / "boot").glob("vmlinuz-*")), next((tree / "lib/modules").iterdir()))
    pytest.skip(f"no cloud kernel {series} is known to apt here (apt-get update)")


def kernels() -> dict[str, Kernel]:
    """Those of both series that are to be had here; the test is skipped where there is none."""
    found: dict[str, Kernel] = {}
    why = ""
    for series in SERIES:
        try:
            found[series] = kernel(series)
        except pytest.skip.Exception as reason:
            why = str(reason)
    if not found:
        pytest.skip(why)
    return found


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


def memory_disk(init: str) -> Archive:
    """Busybox, the folders of a root, and what runs first."""
    disk = Archive()
    disk.add("init", 0o100755, init.encode())
    disk.add("bin/busybox", 0o100755, Path(where("busybox")).read_bytes())
    disk.add("sbin/modprobe", 0o120777, b"/bin/busybox")
    for folder in ("proc", "sys", "dev", "run", "tmp", "etc", "root"):
        disk.add(folder, 0o40755)
    for library in libraries([where("busybox")]):
        disk.add(library.lstrip("/"), 0o100755, Path(library).read_bytes())
    return disk


def libraries(programs: Iterable[str]) -> set[str]:
    """The shared libraries that these files need, by path on this machine."""
    done = subprocess.run([where("ldd"), *programs], capture_output=True, text=True, check=False)
    return set(re.findall(r"(/\S+) \(0x", done.stdout))


def module_files(kernel: Kernel, folders: Iterable[str] = MODULES) -> Iterator[tuple[str, Path]]:
    """The kernel's network modules with the lists of depmod: path inside a root, file here."""
    below = kernel.modules.parents[2]
    for path in kernel.modules.iterdir():
        if path.name.startswith("modules."):
            yield str(path.relative_to(below)), path
    for folder in folders:
        for path in sorted((kernel.modules / folder).rglob("*.ko")):
            yield str(path.relative_to(below)), path


def run(kernel: Kernel, initrd: bytes, folder: Path, *, drive: Path | None = None, append: str = "") -> str:
    """Boot it until it switches itself off; everything that it printed."""
    image = folder / "initrd.gz"
    image.write_bytes(initrd)
    words = [
        where("qemu-system-x86_64"), "-accel", "tcg", "-m", "768", "-smp", "1", "-nographic", "-no-reboot",
        "-nic", "none", "-kernel", str(kernel.image), "-initrd", str(image),
        "-append", f"console=ttyS0 quiet panic=-1 mitigations=off {append}",
    ]  # fmt: skip
    if drive is not None:
        words += ["-drive", f"file={drive},if=virtio,format=raw,cache=unsafe"]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, timeout=BOOT_S
    )
    return done.stdout.replace("\r", "")


def run_disk(kernel: Kernel, drive: Path, folder: Path, append: str = "") -> str:
    """Boot the system on this disk; what it writes there stays."""
    disk = memory_disk(FIRST)
    for name in DISK:
        for found in kernel.modules.rglob(f"{name}.ko"):
            disk.add(f"modules/{name}.ko", 0o100644, found.read_bytes())
    return run(kernel, disk.packed(), folder, drive=drive, append=append)


class System:
    """A root file system in the making: programs with their libraries, Python with this project, modules, files."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self._programs: list[str] = []
        for folder in ("proc", "sys", "dev", "run", "tmp", "root", "var/lib", "etc", "usr/sbin", "usr/bin", "usr/lib"):
            (tree / folder).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (tree / "usr" / name).mkdir(exist_ok=True)
            (tree / name).symlink_to(f"usr/{name}")

    def program(self, name: str, source: Path | None = None, folder: str = "usr/sbin") -> None:
        """A program of this machine (or of an unpacked package), where it belongs there."""
        path = source or Path(where(name))
        self._programs.append(str(path.resolve()))
        self.copy(f"{folder}/{name}", path.resolve())

    def copy(self, inside: str, source: Path) -> None:
        to = self.tree / inside
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, to)

    def text(self, inside: str, text: str, mode: int = 0o644) -> None:
        to = self.tree / inside
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text)
        to.chmod(mode)

    def link(self, inside: str, target: str) -> None:
        to = self.tree / inside
        to.parent.mkdir(parents=True, exist_ok=True)
        to.symlink_to(target)

    def python(self) -> None:
        """Python at its own place, the base packages and this project in its ``site-packages``."""
        library = Path(sysconfig.get_paths()["stdlib"])
        binary = Path(sys.executable).resolve()
        left_out = shutil.ignore_patterns(*_LEFT_OUT, "config-*", "*.a", "*.exe")
        shutil.copytree(library, self.tree / str(library).lstrip("/"), ignore=left_out, symlinks=True)
        self.copy(str(binary).lstrip("/"), binary)
        self._programs += [str(binary), *map(str, library.glob("lib-dynload/*.so"))]
        packages = self.tree / str(library).lstrip("/") / "site-packages"
        packages.mkdir()
        for name in PACKAGES:
            spec = find_spec(name)
            assert spec is not None
            assert spec.origin is not None
            source = Path(spec.origin).parent
            shutil.copytree(source, packages / name, ignore=shutil.ignore_patterns("tests"))
            self._programs += map(str, source.rglob("*.so"))
        shutil.copytree(ROOT / "src/tablefull", packages / "tablefull")
        self.text("usr/bin/tablefull", f'#!/bin/sh\nexec {binary} -m tablefull "$@"\n', 0o755)
        self.link("usr/bin/python3", str(binary))
        self.text("usr/lib/warm.py", WARM)

    def base(self, programs: Iterable[str], tools: Iterable[str]) -> None:
        """Python with this project, kmod, dash as the shell, these programs of this machine, these tools of busybox."""
        self.python()
        for name in programs:
            self.program(name)
        for name in ("modprobe", "rmmod", "lsmod"):
            self.link(f"usr/sbin/{name}", "kmod")
        self.program("dash", folder="usr/bin")
        self.program("busybox", folder="usr/bin")
        for name in tools:  # a shell of busybox would run its own ip and modprobe before those of /usr/sbin
            self.link(f"usr/bin/{name}", "busybox")
        self.link("usr/bin/sh", "dash")

    def modules(self, kernel: Kernel) -> None:
        for inside, path in module_files(kernel):
            self.copy(inside, path)

    def image(self, path: Path, size_mib: int = 400) -> Path:
        """The whole as an ext4 file system in one file."""
        for library in libraries(self._programs):
            self.copy(library.lstrip("/"), Path(library).resolve())
        output(
            where("mke2fs"), "-q", "-t", "ext4", "-O", "^has_journal", "-d", str(self.tree), str(path), f"{size_mib}M"
        )
        return path
