"""Which kernel this is, and the only place where version numbers are compared.

The trap: a release string is not a version. ``3.10.0-1160.el7`` carries code of 4.x, ``6.1.0-41-amd64`` hides its
stable patch level behind Debian's ABI number, ``4.19.0+1`` is a XenServer dom0. So the vendor is kept beside the
numbers, a comparison that would need a hidden patch level answers None, and :func:`enterprise` names the Red Hat
generation whose backports apply. Version arithmetic is the last resort: a probe (does this sysctl exist) beats it.
"""

import re
from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct, structs

from tablefull.facts.origin import Basis

T = TypeVar("T")
Version = tuple[int, ...]


class KernelVersion(Struct, frozen=True, order=False):
    """A kernel as a report names it.

    ``release`` is the text as given (``uname -r``). ``vendor`` is None for a mainline or unrecognised build. ``patch``
    is 0 and ``patch_hidden`` True where the release string carries the vendor's own number in its place. ``basis``
    says how the version is known: ``shown`` when an artefact names it, ``vendor`` when it was only inferred from the
    distribution.
    """

    major: int
    minor: int
    patch: int
    release: str
    vendor: str | None = None
    basis: Basis = "shown"
    patch_hidden: bool = False


# 2.4 to 9.x: the lower bound keeps "1.8.7" (an iptables version) from looking like a kernel.
_RELEASE = re.compile(r"(?<![\w.\-/])([2-9])\.(\d{1,3})(?:\.(\d{1,3}))?((?:[.\-+_~][\w.+~\-]*)?)")
# "#1 SMP Debian 6.1.158-1" and Ubuntu's /proc/version_signature "Ubuntu 3.2.0-24.37-generic 3.2.14": the level behind.
_BEHIND = re.compile(r"(?:Debian |Ubuntu \S+ )(\d)\.(\d{1,3})\.(\d{1,3})")
_EL = re.compile(r"(?<![a-z])el(\d{1,2})(?!\d)")
_UBUNTU = re.compile(
    r"\d+\.\d+\.\d+-\d+-(?:generic|server|virtual|lowlatency|aws|gcp|kvm|oracle|raspi|oem|ibm|nvidia|ec2|hwe)"
)
_DEBIAN = re.compile(r"\d[-+].*-?(?:amd64|[3-6]86|arm64|armhf|armmp|armel|s390x|ppc64el|powerpc64le)(?:$|-)")

# (mark in the lower-cased release, vendor), most telling first: an OpenVZ kernel also carries el7, an UEK one el8.
_MARKS: tuple[tuple[str, str], ...] = (
    ("stab", "openvz"),
    (".vz7", "openvz"),
    (".vz8", "openvz"),
    (".vz9", "openvz"),
    ("uek", "uek"),
    ("elrepo", "elrepo"),
    ("amzn", "amzn"),
    ("microsoft", "wsl"),
    ("coreos", "coreos"),
    ("flatcar", "flatcar"),
    ("openwrt", "openwrt"),
    ("synology", "synology"),
    ("android", "android"),
    ("-perf", "android"),
    ("-pve", "proxmox"),
    ("-azure", "azure"),
    ("-gke", "gke"),
    ("linuxkit", "linuxkit"),
    ("boot2docker", "boot2docker"),
    ("-rpi", "raspberrypi"),
    ("-v7", "raspberrypi"),
    ("-v8", "raspberrypi"),
    ("-default", "suse"),
    ("-arch", "arch"),
    ("-zen", "arch"),
    ("-lts", "alpine"),
    ("-virt", "alpine"),
    (".fc", "fedora"),
    (".xs", "xen"),
)


def _vendor(release: str, text: str) -> str | None:
    low = release.lower()
    if _UBUNTU.search(low):
        return "ubuntu"
    for mark, vendor in _MARKS:
        if mark in low:
            return vendor
    if el := _EL.search(low):
        return f"el{el.group(1)}"
    if _DEBIAN.search(low):
        return "debian"
    whole = text.lower()
    for word in ("synology", "openwrt", "xcp-ng", "xenserver"):
        if word in whole:
            return "xen" if word.startswith("x") else word
    if "xen" in low or re.fullmatch(r"\d+\.\d+\.0\+\d+", low):
        return "xen"
    if re.fullmatch(r"\d+\.\d+\.[1-9]\d*\+", low):
        return "cos"
    return None


# Vendors whose third number is their own base (".0" or a frozen stable level), not the stable level of the code.
_HIDE_PATCH = frozenset(("ubuntu", "debian", "azure", "gke", "xen"))


def parse_release(text: str) -> KernelVersion | None:
    """The kernel named by ``uname -r``, ``uname -a``, ``/proc/version`` or a bare version; None without one.

    Where the text also carries the stable level behind a Debian or Ubuntu ABI number, that level becomes ``patch``.
    """
    words = text.split(maxsplit=3)
    where = text
    if len(words) >= 3 and words[0] == "Linux" and words[1] != "version" and _RELEASE.match(words[2]):
        where = words[2]
    match = _RELEASE.search(where)
    if match is None:
        return None
    major, minor, patch = int(match.group(1)), int(match.group(2)), int(match.group(3) or 0)
    release = match.group(0).rstrip(".,:;~-_")
    vendor = _vendor(release, text)
    hidden = bool(match.group(4)) and patch == 0 and (vendor in _HIDE_PATCH or enterprise_of(vendor) is not None)
    for behind in _BEHIND.finditer(text):
        if hidden and (int(behind.group(1)), int(behind.group(2))) == (major, minor) and behind.group(3) != "0":
            patch, hidden = int(behind.group(3)), False
            break
    return KernelVersion(major, minor, patch, release, vendor, "shown", hidden)


def inferred(kernel: KernelVersion | None) -> KernelVersion | None:
    """The same kernel marked as taken from the distribution's name instead of an artefact."""
    return None if kernel is None else structs.replace(kernel, basis="vendor")


def text(kernel: KernelVersion | None) -> str:
    """How a report names it: the release as given, or ``unknown kernel``."""
    if kernel is None:
        return "unknown kernel"
    return kernel.release or f"{kernel.major}.{kernel.minor}.{kernel.patch}"


def enterprise_of(vendor: str | None) -> int | None:
    """8 for ``el8``; None for anything that is not a Red Hat build."""
    if vendor is not None and vendor.startswith("el") and vendor[2:].isdigit():
        return int(vendor[2:])
    return None


def enterprise(kernel: KernelVersion | None) -> int | None:
    """The Red Hat generation whose backports this kernel carries: ``el7`` → 7, an OpenVZ build → that of its base.

    None for mainline, for Oracle's UEK and for ELRepo builds, which follow upstream numbers on a Red Hat userland.
    """
    if kernel is None:
        return None
    if kernel.vendor == "openvz":
        return {(2, 6, 18): 5, (2, 6, 32): 6, (3, 10, 0): 7, (4, 18, 0): 8, (5, 14, 0): 9}.get(
            (kernel.major, kernel.minor, kernel.patch)
        )
    return enterprise_of(kernel.vendor)


def compare(kernel: KernelVersion, version: Version) -> int | None:
    """-1, 0 or 1 as ``kernel`` is older than, within or newer than ``version``; None when a hidden patch level decides.

    ``version`` may be short: (4, 9) is the whole 4.9 line, so 4.9.115 compares as 0 with it.
    """
    mine: Version = (kernel.major, kernel.minor, kernel.patch)[: len(version)]
    if mine == version:
        return None if kernel.patch_hidden and len(version) > 2 and version[2] > 0 else 0
    if kernel.patch_hidden and len(version) > 2 and mine[:2] == version[:2] and kernel.major > 2:
        return None
    return -1 if mine < version else 1


def at_least(kernel: KernelVersion | None, major: int, minor: int, patch: int = 0) -> bool | None:
    """Whether the number is at or past the given one; None for an unknown kernel or a patch level the release hides."""
    if kernel is None:
        return None
    order = compare(kernel, (major, minor, patch) if patch else (major, minor))
    return None if order is None else order >= 0


def between(kernel: KernelVersion | None, since: Version, until: Version | None) -> bool | None:
    """Whether ``since <= kernel <= until``; ``until`` is inclusive, may be short ((4, 6) = all of 4.6.y) or None."""
    if kernel is None:
        return None
    low = compare(kernel, since)
    high = -1 if until is None else compare(kernel, until)
    if low is None or high is None:
        return None
    return low >= 0 and high <= 0


def same_line(kernel: KernelVersion | None, version: Version) -> bool:
    """Whether both belong to one stable series: 5.10.200 and (5, 10, 89)."""
    return kernel is not None and (kernel.major, kernel.minor) == version[:2]


def pick(kernel: KernelVersion | None, rows: Sequence[tuple[Version, T]]) -> T | None:
    """The value of the last row whose version is at or below ``kernel``; rows ascend. None: unknown, or older than
    all.
    """
    found: T | None = None
    if kernel is None:
        return None
    for since, value in rows:
        order = compare(kernel, since)
        if order is None:
            return None
        if order >= 0:
            found = value
    return found


def version_text(version: Version) -> str:
    """(4, 9) → ``4.9``."""
    return ".".join(str(part) for part in version)
