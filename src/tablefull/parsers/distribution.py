"""The distribution: ``lsb_release``, ``os-release``, the release files, a node's report, a sentence.

The trap: the same name is written ten ways, and ``ID_LIKE=debian`` is not ``ID=debian``. Every form ends in one table
of names.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from tablefull.facts.host import Distribution
from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read

_IDS = {
    "ubuntu": "ubuntu",
    "debian": "debian",
    "centos": "centos",
    "red hat enterprise linux": "rhel",
    "rhel": "rhel",
    "red hat": "rhel",
    "fedora coreos": "fedora-coreos",
    "fedora": "fedora",
    "rocky linux": "rocky",
    "almalinux": "almalinux",
    "alma linux": "almalinux",
    "oracle linux": "ol",
    "amazon linux": "amzn",
    "suse linux enterprise": "sles",
    "sles": "sles",
    "opensuse": "opensuse",
    "arch linux": "arch",
    "gentoo": "gentoo",
    "alpine linux": "alpine",
    "alpine": "alpine",
    "openwrt": "openwrt",
    "lede": "lede",
    "dd-wrt": "dd-wrt",
    "asuswrt-merlin": "asuswrt-merlin",
    "asuswrt": "asuswrt",
    "coreos": "coreos",
    "container linux": "coreos",
    "flatcar": "flatcar",
    "container-optimized os": "cos",
    "nixos": "nixos",
    "xcp-ng": "xcp-ng",
    "xenserver": "xenserver",
    "proxmox": "proxmox",
    "vyos": "vyos",
    "edgeos": "edgeos",
    "virtuozzo": "virtuozzo",
    "cloudlinux": "cloudlinux",
    "scientific linux": "scientific",
    "linux mint": "linuxmint",
    "kali linux": "kali",
    "raspbian": "raspbian",
    "raspberry pi os": "raspbian",
    "bottlerocket": "bottlerocket",
    "talos": "talos",
    "photon os": "photon",
    "azure linux": "azurelinux",
    "slackware": "slackware",
    "citrix hypervisor": "xenserver",
    "xcp": "xcp",
}
_FILLER = (
    r"(?:\s(?:GNU/Linux|Linux|Stream|Leap|Server|Workstation|AS|ES|release|VE|AMI"
    r"|Tumbleweed|Core|by Kinvolk|Container|version|v)\b|/Linux){0,4}"
)
_NAME = re.compile(
    r"(?<![\w#@./=:-])(?P<name>"
    + "|".join(sorted(map(re.escape, _IDS), key=len, reverse=True))
    + r")\b(?![@-])"
    + _FILLER
    + r"(?:[\s:,]{1,2}(?:v|version\s)?(?P<version>[0-9]{1,4}(?:\.[0-9]{1,5}){0,3})(?![\w%]))?",
    re.IGNORECASE,
)
_CODENAMES = frozenset(
    "hardy lucid precise trusty xenial bionic focal jammy noble lenny squeeze wheezy jessie "
    "stretch buster bullseye bookworm trixie".split()
)
# Names that are English words too, or a program's: without their version they say nothing.
_NEEDS_VERSION = ("alpine", "xcp", "lede", "talos", "coreos")


class Named(NamedTuple):
    """What a printed name says: ``id``, and version and code name where it has them."""

    id: str
    version: str | None
    codename: str | None


def _codename(text: str) -> str | None:
    """The code name in parentheses or as a word of its own, lower case; None where there is none."""
    opened = text.find("(")
    words = text[opened + 1 : opened + 40].replace(")", " ").replace(",", " ").split() if opened >= 0 else []
    for word in [*words, *text.split()]:
        plain = word.strip("(),.;:'\"").lower()
        if plain in _CODENAMES:
            return plain
    return None


def named(text: str) -> Named | None:
    """The distribution a printed name means (``CentOS release 5.5 (Final)``), None for an unknown name."""
    match = _NAME.search(text[:400])
    if match is None:
        return None
    return Named(_IDS[match["name"].lower()], match["version"], _codename(text[match.start() : match.start() + 200]))


def _fact(line: Line, context: Context, identity: str, version: str | None, codename: str | None) -> Distribution:
    return Distribution(origin=context.origin(line), id=identity, version=version or None, codename=codename or None)


_LSB = {"distributor id": "id", "description": "description", "release": "release", "codename": "codename"}


def _lsb(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """``lsb_release -a``, any of its four lines missing."""
    seen: dict[str, str] = {}
    here = at
    while here < len(lines):
        label, colon, value = lines[here].text.partition(":")
        key = _LSB.get(label.strip().lower())
        if lines[here].text.startswith("No LSB modules") and here - at < 2:
            here += 1
            continue
        if not colon or key is None or key in seen:
            break
        seen[key] = value.strip()
        here += 1
    told = context.command is not None and "lsb_release" in context.command
    name = named(seen.get("description", "")) or named(seen.get("id", ""))
    if "id" not in seen and not (name and (told or "release" in seen or "codename" in seen)):
        return Read(here - at, []) if told and here > at else None
    if name is None and not seen["id"]:
        return Read(here - at, [])
    identity = name.id if name else seen["id"].lower()
    release = seen.get("release") or (name.version if name else None)
    return Read(
        here - at,
        [_fact(lines[at], context, identity, release, seen.get("codename") or (name.codename if name else None))],
    )


_KEYS = frozenset(
    "ID ID_LIKE NAME VERSION VERSION_ID VERSION_CODENAME PRETTY_NAME ANSI_COLOR CPE_NAME HOME_URL "
    "SUPPORT_URL BUG_REPORT_URL "
    "PRIVACY_POLICY_URL UBUNTU_CODENAME LOGO VARIANT VARIANT_ID BUILD_ID PLATFORM_ID "
    "DOCUMENTATION_URL VENDOR_NAME VENDOR_URL "
    "SUPPORT_END DEFAULT_HOSTNAME IMAGE_ID IMAGE_VERSION OSTREE_VERSION KERNEL_COMMIT_ID "
    "GOOGLE_CRASH_ID COREOS_BOARD FLATCAR_BOARD "
    "DISTRIB_ID DISTRIB_RELEASE DISTRIB_CODENAME DISTRIB_DESCRIPTION DISTRIB_REVISION "
    "DISTRIB_TARGET DISTRIB_ARCH DISTRIB_TAINTS "
    "LEDE_BOARD LEDE_ARCH LEDE_RELEASE OPENWRT_BOARD OPENWRT_ARCH OPENWRT_RELEASE OPENWRT_TAINTS LEDE_TAINTS "
    "LEDE_DEVICE_MANUFACTURER LEDE_DEVICE_MANUFACTURER_URL LEDE_DEVICE_PRODUCT LEDE_DEVICE_REVISION "
    "OPENWRT_DEVICE_MANUFACTURER OPENWRT_DEVICE_MANUFACTURER_URL OPENWRT_DEVICE_PRODUCT OPENWRT_DEVICE_REVISION "
    "REDHAT_BUGZILLA_PRODUCT REDHAT_BUGZILLA_PRODUCT_VERSION REDHAT_SUPPORT_PRODUCT REDHAT_SUPPORT_PRODUCT_VERSION "
    "CENTOS_MANTISBT_PROJECT CENTOS_MANTISBT_PROJECT_VERSION ALMALINUX_MANTISBT_PROJECT ROCKY_SUPPORT_PRODUCT "
    "ROCKY_SUPPORT_PRODUCT_VERSION ORACLE_BUGZILLA_PRODUCT ORACLE_BUGZILLA_PRODUCT_VERSION ORACLE_SUPPORT_PRODUCT "
    "ORACLE_SUPPORT_PRODUCT_VERSION ALMALINUX_MANTISBT_PROJECT_VERSION".split()
)


def _os_release(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """``os-release``, ``lsb-release`` or ``openwrt_release``, cut or grepped."""
    seen: dict[str, str] = {}
    here = at
    while here < len(lines):
        text = lines[here].text.strip()
        for file in ("/etc/os-release:", "/etc/lsb-release:"):
            text = text.removeprefix(file)
        key, equals, value = text.partition("=")
        if not equals or key not in _KEYS or key in seen:
            break
        seen[key] = value.strip().strip("\"'")
        here += 1
    if here == at:
        return None
    pretty = (
        seen.get("PRETTY_NAME")
        or seen.get("DISTRIB_DESCRIPTION")
        or seen.get("OPENWRT_RELEASE")
        or seen.get("NAME")
        or ""
    )
    name = named(pretty) or named(seen.get("DISTRIB_ID", ""))
    told = "-release" in f"{context.command or ''} {context.path or ''}"
    if name is None and not told and not ("ID" in seen and len(seen) > 1):
        return None
    identity = (seen.get("ID") or (name.id if name else "") or seen.get("DISTRIB_ID", "")).lower()
    if not identity:
        return Read(here - at, [])
    version = seen.get("VERSION_ID") or seen.get("DISTRIB_RELEASE") or (name.version if name else None)
    codename = seen.get("VERSION_CODENAME") or seen.get("DISTRIB_CODENAME") or (name.codename if name else None)
    return Read(
        here - at, [_fact(lines[at], context, identity, version, codename or _codename(seen.get("VERSION", "")))]
    )


_LABELS = (
    "operating system",
    "os image",
    "osimage",
    '"osimage"',
    "os",
    "distribution",
    "distro",
    "osversion",
    "os version",
)
_FILES = (("debian_version", "debian"), ("alpine-release", "alpine"), ("openwrt_version", "openwrt"))


def _one_line(line: Line, context: Context) -> Distribution | None:
    """A line that is a name as a whole: a release file, ``/etc/issue``, ``Operating System: …``."""
    text = line.text.strip()
    where = f"{context.command or ''} {context.path or ''}"
    for file, identity in _FILES:
        words = text.split()
        if file in where and len(words) == 1 and (text[0].isdigit() or "/sid" in text):
            return _fact(line, context, identity, text, None)
    label, colon, value = text.partition(":")
    if colon and label.strip(" -*").lower() in _LABELS:
        name = named(value.strip().strip("\"',"))
        return _fact(line, context, *name) if name else None
    if not text[:1].isalpha() or len(text) > 120:
        return None
    told = "/etc/issue" in where or "-release" in where
    cut = text.split("\\", 1)[0].strip()
    match = _NAME.match(cut)
    if match is None:
        return None
    rest = cut[match.end() :].strip()
    shaped = not rest or (rest[0] == "(" and rest.endswith(")")) or rest == "LTS"
    if not (told or ((" release " in cut or cut != text or "LTS" in rest) and shaped and match["version"])):
        return None
    name = named(cut)
    return _fact(line, context, *name) if name else None


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """One :class:`Distribution` from a block or a line that is machine output as a whole."""
    if len(lines[at].text) > 1000:
        return None
    block = _os_release(lines, at, context) or _lsb(lines, at, context)
    if block is not None:
        return block
    one = _one_line(lines[at], context)
    return Read(1, [one]) if one else None


def mentions(line: Line, context: Context) -> list[Fact]:
    """Distributions a sentence names, each once; ``Debian/Ubuntu`` is a choice and no fact, so both are left out."""
    text = line.text[:4000]
    found: dict[str, Fact] = {}
    for match in _NAME.finditer(text):
        identity = _IDS[match["name"].lower()]
        if (
            text[max(0, match.start() - 9) : match.start()]
            .lower()
            .endswith(("between ", "unlike ", "not on ", "since "))
        ):
            continue
        if match["version"] is None:
            after = text[match.end() : match.end() + 1]
            if after == "/" and _NAME.match(text, match.end() + 1):
                continue
            if match["name"].lower() in _NEEDS_VERSION or after == "/":
                continue
        codename = _codename(text[match.end() : match.end() + 30].split(",")[0])
        fact = _fact(line, context, identity, match["version"], codename)
        earlier = found.get(identity)
        if not isinstance(earlier, Distribution) or earlier.version is None:
            found[identity] = fact
    return list(found.values())
