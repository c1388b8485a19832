"""A network namespace that lives as long as this object: commands, settings, tables and TUN devices in it.

The trap: ``/proc/sys/net`` and ``/dev/net/tun`` belong to the namespace of the thread that opens them, so this thread
enters for the moment of an ``open`` and returns. The namespace is held by a child that ends when its input does: it is
gone with this process, also when that was killed.
"""

import ctypes
import fcntl
import os
import re
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
TUNSETIFF = 0x400454CA  # include/uapi/linux/if_tun.h
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A fresh network namespace; use it in ``with``."""

    def __init__(self) -> None:
        # Its output ends the wait: it is written after the namespace was made.
        words = ["unshare", "--net", "--", "sh", "-c", "echo ready; exec cat"]
        self._holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            raise OSError("a network namespace is refused")
        self.pid = self._holder.pid
        self.inode = Path(f"/proc/{self.pid}/ns/net").stat().st_ino

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """The end of the namespace, unless something else (an open TUN device) still holds it."""
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.wait()
        self._holder.stdout.close()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """This thread in the namespace: what is opened meanwhile belongs to it."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            _setns(there)
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(home)
            os.close(there)

    def run(self, *words: str, text: str | None = None) -> str:
        """The output of a command run in the namespace; it must succeed."""
        into = ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *words]
        done = subprocess.run(into, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def tun(self, name: str) -> int:
        """A TUN device that carries bare IP packets: its descriptor, which does not block."""
        with self.inside():
            descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        return descriptor

    def write(self, settings: Mapping[str, object]) -> None:
        """Settings by name; a name without a dot is one of ``net.netfilter``."""
        with self.inside():
            for name, value in settings.items():
                setting_path(name).write_text(str(value))

    def read(self, name: str) -> str:
        """A setting's value."""
        with self.inside():
            return setting_path(name).read_text().strip()

    def proc(self, name: str) -> str:
        """A file of ``/proc/net`` as this namespace shows it."""
        return Path(f"/proc/{self.pid}/net", name).read_text()

    def count(self) -> int:
        """Entries the kernel counts, those expired and not yet collected included."""
        return int(self.read("nf_conntrack_count"))

    def entries(self) -> list[str]:
        """The table as ``conntrack -L -o extended`` prints it."""
        return self.run("conntrack", "-L", "-o", "extended").splitlines()

    def counters(self) -> dict[str, int]:
        """``conntrack -S``, summed over the processors, by the names it prints."""
        total: dict[str, int] = {}
        for name, value in re.findall(r"(\w+)=(\d+)", self.run("conntrack", "-S")):
            if name != "cpu":
                total[name] = total.get(name, 0) + int(value)
        return total


def setting_path(name: str) -> Path:
    """Where a setting stands; a name without a dot or slash is one of ``net.netfilter``."""
    if "." not in name and "/" not in name:
        name = f"net.netfilter.{name}"
    return Path("/proc/sys", name if "/" in name else name.replace(".", "/"))


def _setns(descriptor: int) -> None:
    if _LIBC.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "setns")
