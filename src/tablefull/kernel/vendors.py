"""What a distribution brings: its init system, its package tool, its usual firewall front end, its first kernel.

The trap: advice that is right on one host is a dead letter on the next. ``chkconfig iptables off`` does nothing where
systemd runs, ``ufw disable`` nothing where firewalld does, and a sysctl.d file nothing on a NixOS or OpenWrt that
rebuilds its settings. So advice asks here which words a host understands.

Everything in this table is general knowledge of the distributions (their release notes), not read in a tree: basis
``vendor`` at best, and an artefact (``uname -r``, a unit file, a prompt) always beats it.
"""

from typing import Literal

from msgspec import Struct

from tablefull.kernel.identity import KernelVersion, inferred, parse_release

Init = Literal["upstart", "sysv", "systemd", "openrc", "procd", "none"]


class Distribution(Struct, frozen=True):
    """One release of one distribution.

    ``front_ends``: firewall front ends it commonly has, the installed-by-default first; ``kernel``: the release it
    shipped with, as text; ``persist``: where a sysctl is written to last; ``name``: for a sentence.
    """

    name: str
    init: Init
    packages: str
    front_ends: tuple[str, ...]
    kernel: str
    persist: str = "/etc/sysctl.d/90-tablefull-conntrack.conf"
    immutable: bool = False


class _Row(Struct, frozen=True):
    """From this version on: init, package tool, front ends, kernel."""

    since: tuple[int, ...]
    init: Init
    packages: str
    front_ends: tuple[str, ...]
    kernel: str
    persist: str = "/etc/sysctl.d/90-tablefull-conntrack.conf"
    immutable: bool = False


_CONF = "/etc/sysctl.conf"
_IPT = ("iptables",)
_UFW = ("ufw", "iptables")
_IPTS = ("iptables-services", "iptables")
_FWD = ("firewalld", "iptables-services", "nftables")
_NFT = ("nftables", "iptables")
_NIX = "boot.kernel.sysctl in configuration.nix"
_BOTTLEROCKET = "settings.kernel.sysctl through apiclient"

# Ascending by version; a version between two rows takes the earlier one.
_TABLE: dict[str, tuple[str, tuple[_Row, ...]]] = {
    "debian": (
        "Debian",
        (
            _Row((5,), "sysv", "apt", _IPT, "2.6.26-2-amd64", _CONF),
            _Row((6,), "sysv", "apt", _IPT, "2.6.32-5-amd64"),
            _Row((7,), "sysv", "apt", ("iptables-persistent", "iptables"), "3.2.0-4-amd64"),
            _Row((8,), "systemd", "apt", ("iptables-persistent", "iptables"), "3.16.0-4-amd64"),
            _Row((9,), "systemd", "apt", ("iptables-persistent", "iptables"), "4.9.0-8-amd64"),
            _Row((10,), "systemd", "apt", ("nftables", "iptables-persistent", "iptables"), "4.19.0-6-amd64"),
            _Row((11,), "systemd", "apt", ("nftables", "iptables-persistent", "iptables"), "5.10.0-19-amd64"),
            _Row((12,), "systemd", "apt", ("nftables", "iptables-persistent", "iptables"), "6.1.0-13-amd64"),
            _Row((13,), "systemd", "apt", ("nftables", "iptables-persistent", "iptables"), "6.12.41+deb13-amd64"),
        ),
    ),
    "ubuntu": (
        "Ubuntu",
        (
            _Row((8, 4), "upstart", "apt", _UFW, "2.6.24-16-generic", _CONF),
            _Row((10, 4), "upstart", "apt", _UFW, "2.6.32-21-generic"),
            _Row((12, 4), "upstart", "apt", _UFW, "3.2.0-23-generic"),
            _Row((14, 4), "upstart", "apt", _UFW, "3.13.0-24-generic"),
            _Row((15, 4), "systemd", "apt", _UFW, "3.19.0-15-generic"),
            _Row((16, 4), "systemd", "apt", _UFW, "4.4.0-21-generic"),
            _Row((18, 4), "systemd", "apt", _UFW, "4.15.0-20-generic"),
            _Row((20, 4), "systemd", "apt", _UFW, "5.4.0-26-generic"),
            _Row((22, 4), "systemd", "apt", _UFW, "5.15.0-25-generic"),
            _Row((24, 4), "systemd", "apt", _UFW, "6.8.0-31-generic"),
        ),
    ),
    "rhel": (
        "Red Hat Enterprise Linux",
        (
            _Row((4,), "sysv", "up2date", _IPTS, "2.6.9-5.EL", _CONF),
            _Row((5,), "sysv", "yum", _IPTS, "2.6.18-8.el5", _CONF),
            _Row((6,), "upstart", "yum", _IPTS, "2.6.32-71.el6.x86_64", _CONF),
            _Row((7,), "systemd", "yum", _FWD, "3.10.0-123.el7.x86_64"),
            _Row((8,), "systemd", "dnf", ("firewalld", "nftables", "iptables-services"), "4.18.0-80.el8.x86_64"),
            _Row((9,), "systemd", "dnf", ("firewalld", "nftables"), "5.14.0-70.13.1.el9_0.x86_64"),
            _Row((10,), "systemd", "dnf", ("firewalld", "nftables"), "6.12.0-55.9.1.el10_0.x86_64"),
        ),
    ),
    "fedora": (
        "Fedora",
        (
            _Row((1,), "sysv", "yum", _IPTS, "2.6.18", _CONF),
            _Row((9,), "upstart", "yum", _IPTS, "2.6.25", _CONF),
            _Row((15,), "systemd", "yum", _IPTS, "2.6.38"),
            _Row((18,), "systemd", "yum", ("firewalld", "iptables-services"), "3.6.10"),
            _Row((22,), "systemd", "dnf", ("firewalld", "nftables"), "4.0.4"),
            _Row((40,), "systemd", "dnf", ("firewalld", "nftables"), "6.8.5"),
        ),
    ),
    "amzn": (
        "Amazon Linux",
        (
            _Row((1,), "upstart", "yum", _IPTS, "4.14.77-70.59.amzn1.x86_64", _CONF),
            _Row((2,), "systemd", "yum", _IPTS, "4.14.186-146.268.amzn2.x86_64"),
            _Row((2011,), "upstart", "yum", _IPTS, "3.2.12-3.2.4.amzn1.x86_64", _CONF),
            _Row((2015,), "upstart", "yum", _IPTS, "4.1.10-17.31.amzn1.x86_64", _CONF),
            _Row((2018,), "upstart", "yum", _IPTS, "4.14.77-70.59.amzn1.x86_64", _CONF),
            _Row((2023,), "systemd", "dnf", ("nftables", "firewalld"), "6.1.10-15.42.amzn2023.x86_64"),
        ),
    ),
    "sles": (
        "SUSE Linux Enterprise",
        (
            _Row((10,), "sysv", "zypper", ("SuSEfirewall2", "iptables"), "2.6.16.60-0.21-default", _CONF),
            _Row((11,), "sysv", "zypper", ("SuSEfirewall2", "iptables"), "2.6.32.12-0.7-default", _CONF),
            _Row((12,), "systemd", "zypper", ("SuSEfirewall2", "iptables"), "3.12.28-4-default"),
            _Row((15,), "systemd", "zypper", ("firewalld", "iptables"), "4.12.14-23-default"),
        ),
    ),
    "opensuse": (
        "openSUSE",
        (
            _Row((11,), "sysv", "zypper", ("SuSEfirewall2", "iptables"), "2.6.34-12-default", _CONF),
            _Row((12,), "systemd", "zypper", ("SuSEfirewall2", "iptables"), "3.1.0-1.2-default"),
            _Row((15,), "systemd", "zypper", ("firewalld", "iptables"), "4.12.14-lp150.11-default"),
        ),
    ),
    "alpine": (
        "Alpine Linux",
        (
            _Row((2,), "openrc", "apk", ("awall", *_IPT), "2.6.38"),
            _Row((3,), "openrc", "apk", ("awall", "iptables", "nftables"), "3.14.5"),
            _Row((3, 9), "openrc", "apk", ("awall", "iptables", "nftables"), "4.19.18"),
            _Row((3, 13), "openrc", "apk", ("awall", "iptables", "nftables"), "5.10.7-0-lts"),
            _Row((3, 17), "openrc", "apk", ("awall", "iptables", "nftables"), "5.15.79-0-lts"),
            _Row((3, 18), "openrc", "apk", ("awall", "nftables", "iptables"), "6.1.27-0-lts"),
            _Row((3, 21), "openrc", "apk", ("awall", "nftables", "iptables"), "6.12.1-0-lts"),
        ),
    ),
    "arch": ("Arch Linux", (_Row((), "systemd", "pacman", _NFT, ""),)),
    "gentoo": ("Gentoo", (_Row((), "openrc", "emerge", _NFT, ""),)),
    "openwrt": (
        "OpenWrt",
        (
            _Row((8,), "sysv", "opkg", ("firewall", "iptables"), "2.6.26", _CONF),
            _Row((10,), "sysv", "opkg", ("firewall", "iptables"), "2.6.32", _CONF),
            _Row((12,), "sysv", "opkg", ("firewall", "iptables"), "3.3.8", _CONF),
            _Row((15,), "procd", "opkg", ("fw3", "iptables"), "3.18.20", _CONF),
            _Row((17,), "procd", "opkg", ("fw3", "iptables"), "4.4.92", _CONF),
            _Row((18,), "procd", "opkg", ("fw3", "iptables"), "4.14.63", _CONF),
            _Row((19,), "procd", "opkg", ("fw3", "iptables"), "4.14.131", _CONF),
            _Row((21,), "procd", "opkg", ("fw3", "iptables"), "5.4.143", _CONF),
            _Row((22,), "procd", "opkg", ("fw4", "nftables"), "5.10.138", _CONF),
            _Row((23,), "procd", "opkg", ("fw4", "nftables"), "5.15.134", _CONF),
            _Row((24,), "procd", "opkg", ("fw4", "nftables"), "6.6.73", _CONF),
        ),
    ),
    "coreos": ("CoreOS Container Linux", (_Row((), "systemd", "", _IPT, "4.14.32-coreos", immutable=True),)),
    "flatcar": ("Flatcar Container Linux", (_Row((), "systemd", "", _IPT, "5.15.111-flatcar", immutable=True),)),
    "fedora-coreos": ("Fedora CoreOS", (_Row((), "systemd", "rpm-ostree", ("nftables",), "", immutable=True),)),
    "nixos": ("NixOS", (_Row((), "systemd", "nix", ("networking.firewall", "nftables"), "", _NIX, True),)),
    "bottlerocket": ("Bottlerocket", (_Row((), "systemd", "", _IPT, "5.10.205", _BOTTLEROCKET, True),)),
    "talos": ("Talos Linux", (_Row((), "none", "", ("nftables",), "", "machine.sysctls in the machine config", True),)),
    "cos": ("Container-Optimized OS", (_Row((), "systemd", "", _IPT, "5.10.133+", "cloud-init", True),)),
    "xenserver": (
        "XenServer",
        (
            _Row((5,), "sysv", "yum", _IPTS, "2.6.32.12-0.7.1.xs1.1.0.327.170596xen", _CONF),
            _Row((6,), "sysv", "yum", _IPTS, "2.6.32.43-0.4.1.xs1.8.0.835.170778xen", _CONF),
            _Row((7,), "systemd", "yum", _IPTS, "4.4.0+2"),
            _Row((8,), "systemd", "yum", _IPTS, "4.19.0+1"),
        ),
    ),
    "proxmox": (
        "Proxmox VE",
        (
            _Row((3,), "sysv", "apt", ("pve-firewall", "iptables"), "2.6.32-26-pve"),
            _Row((4,), "systemd", "apt", ("pve-firewall", "iptables"), "4.2.6-1-pve"),
            _Row((5,), "systemd", "apt", ("pve-firewall", "iptables"), "4.10.15-1-pve"),
            _Row((6,), "systemd", "apt", ("pve-firewall", "iptables"), "5.0.15-1-pve"),
            _Row((7,), "systemd", "apt", ("pve-firewall", "iptables"), "5.11.22-1-pve"),
            _Row((8,), "systemd", "apt", ("pve-firewall", "nftables"), "6.2.16-3-pve"),
            _Row((9,), "systemd", "apt", ("pve-firewall", "nftables"), "6.14.8-2-pve"),
        ),
    ),
}

# os-release ID, lsb_release's Distributor ID or the word people write -> key above.
_IDS: dict[str, str] = {
    "raspbian": "debian",
    "devuan": "debian",
    "redhat": "rhel",
    "redhatenterpriseserver": "rhel",
    "redhatenterprise": "rhel",
    "red hat enterprise linux": "rhel",
    "centos": "rhel",
    "centos linux": "rhel",
    "centos stream": "rhel",
    "rocky": "rhel",
    "rocky linux": "rhel",
    "alma": "rhel",
    "almalinux": "rhel",
    "ol": "rhel",
    "oracle": "rhel",
    "oracle linux": "rhel",
    "oraclelinux": "rhel",
    "scientific": "rhel",
    "scientific linux": "rhel",
    "cloudlinux": "rhel",
    "virtuozzo": "rhel",
    "amazon": "amzn",
    "amazon linux": "amzn",
    "amazonami": "amzn",
    "suse": "sles",
    "sled": "sles",
    "sles_sap": "sles",
    "suse linux": "sles",
    "opensuse-leap": "opensuse",
    "opensuse-tumbleweed": "opensuse",
    "opensuse leap": "opensuse",
    "archarm": "arch",
    "arch linux": "arch",
    "manjaro": "arch",
    "alpine linux": "alpine",
    "lede": "openwrt",
    "immortalwrt": "openwrt",
    "container linux": "coreos",
    "container-optimized os": "cos",
    "fcos": "fedora-coreos",
    "xcp-ng": "xenserver",
    "xcp": "xenserver",
    "citrix hypervisor": "xenserver",
    "pve": "proxmox",
    "proxmox ve": "proxmox",
}

# Names of Debian and Ubuntu releases, where a report gives no number.
_CODENAMES: dict[str, tuple[int, ...]] = {
    "lenny": (5,),
    "squeeze": (6,),
    "wheezy": (7,),
    "jessie": (8,),
    "stretch": (9,),
    "buster": (10,),
    "bullseye": (11,),
    "bookworm": (12,),
    "trixie": (13,),
    "hardy": (8, 4),
    "lucid": (10, 4),
    "precise": (12, 4),
    "trusty": (14, 4),
    "xenial": (16, 4),
    "bionic": (18, 4),
    "focal": (20, 4),
    "jammy": (22, 4),
    "noble": (24, 4),
}


def known_id(os_id: str) -> str | None:
    """The key of this table for an os-release ID or a distribution's name in words; None when it is not here."""
    low = " ".join(os_id.lower().replace('"', "").split())
    for suffix in (" gnu/linux", " gnu", " release"):
        low = low.removesuffix(suffix)
    key = _IDS.get(low, low)
    return key if key in _TABLE else None


def _numbers(version: str) -> tuple[int, ...]:
    low = version.lower().strip().strip('"')
    for name, numbers in _CODENAMES.items():
        if name in low:
            return numbers
    found: list[int] = []
    for part in low.replace("r", ".").split()[0].split(".") if low else ():
        digits = "".join(letter for letter in part if letter.isascii() and letter.isdigit())
        if not digits:
            break
        found.append(int(digits[:6]))
    return tuple(found)


def distribution(os_id: str, version: str) -> Distribution | None:
    """What this release brings; None for a distribution that is not in the table.

    A version older than the table takes its oldest row, one that is missing or unreadable the newest.
    """
    key = known_id(os_id)
    if key is None:
        return None
    name, rows = _TABLE[key]
    wanted = _numbers(version)
    row = rows[-1]
    if wanted:
        row = rows[0]
        for candidate in rows:
            if candidate.since <= wanted:
                row = candidate
    label = f"{name} {version}".strip()
    return Distribution(label, row.init, row.packages, row.front_ends, row.kernel, row.persist, row.immutable)


def init_of(os_id: str, version: str) -> Init | None:
    """The init system whose commands work there; None for an unknown distribution."""
    found = distribution(os_id, version)
    return None if found is None else found.init


def front_end_of(os_id: str, version: str) -> str | None:
    """The firewall front end it usually has, which is no proof that it is installed or on."""
    found = distribution(os_id, version)
    return None if found is None else found.front_ends[0]


def default_kernel(os_id: str, version: str) -> KernelVersion | None:
    """The kernel this release shipped with first, basis ``vendor``; None where it rolls or is unknown.

    Point releases and hardware-enablement kernels are newer, so it is a lower bound: an artefact always beats it.
    """
    found = distribution(os_id, version)
    if found is None or not found.kernel or not (version.strip() or found.immutable):
        return None
    return inferred(parse_release(found.kernel))


# Front end -> the services that hold its rules; "iptables" alone is a tool without one. [manual pages of each]
_SERVICES: dict[str, tuple[str, ...]] = {
    "firewalld": ("firewalld",),
    "iptables-services": ("iptables", "ip6tables"),
    "nftables": ("nftables",),
    "iptables-persistent": ("netfilter-persistent",),
    "SuSEfirewall2": ("SuSEfirewall2",),
    "pve-firewall": ("pve-firewall",),
}


def stop_commands(front_end: str, init: Init) -> tuple[str, ...]:
    """Commands that turn a front end off now and at boot; empty when it has none known here.

    Turning a firewall off opens the host: a plan that uses this says so. ``chkconfig`` is Red Hat's and SUSE's;
    Debian's sysv releases take ``update-rc.d``.
    """
    if front_end == "ufw":
        return ("ufw disable",)
    if front_end in ("fw3", "fw4", "firewall"):
        return ("/etc/init.d/firewall stop", "/etc/init.d/firewall disable")
    services = _SERVICES.get(front_end, ())
    if init == "systemd":
        return tuple(f"systemctl disable --now {service}" for service in services)
    if init == "openrc":
        return tuple(line for s in services for line in (f"rc-service {s} stop", f"rc-update del {s}"))
    if front_end == "iptables-persistent":
        return ("service iptables-persistent flush", "update-rc.d iptables-persistent disable")
    return tuple(line for s in services for line in (f"service {s} stop", f"chkconfig {s} off"))
