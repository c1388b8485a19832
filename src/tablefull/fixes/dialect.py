"""How a change is spelled on one host: its init, its firewall's front end, the names its kernel gives to settings.

The trap: advice is copied across decades. ``systemctl`` on Ubuntu 12.04, ``nft`` on a 3.2 kernel or ``CT --notrack`` on
RHEL 6 fail at the moment somebody is already in trouble. So every plan asks here, and what the evidence does not show
is answered with the spelling that works most widely.
"""

import re

from tablefull.fixes.plan import Situation
from tablefull.kernel import identity, sysctls, vendors

PLACEHOLDER_PORT = "PORT"
SYSCTL_FILE = "/etc/sysctl.d/90-tablefull-conntrack.conf"

_REDHAT = frozenset(
    "rhel redhat red centos fedora rocky almalinux alma ol oracle oraclelinux scientific amzn amazon xcp-ng "
    "xenserver xenenterprise virtuozzo openvz cloudlinux".split()
)
_SUSE = frozenset("suse sles sled opensuse opensuse-leap opensuse-tumbleweed".split())
_OPENWRT = frozenset("openwrt lede immortalwrt gl-inet".split())
_COREOS = frozenset("coreos flatcar fcos fedora-coreos rhcos container-linux cos".split())
_DEBIAN = frozenset("debian raspbian proxmox pve devuan kali".split())
_UBUNTU = frozenset("ubuntu linuxmint mint pop elementary".split())
_FAMILIES = (
    ("redhat", _REDHAT),
    ("suse", _SUSE),
    ("openwrt", _OPENWRT),
    ("coreos", _COREOS),
    ("debian", _DEBIAN),
    ("ubuntu", _UBUNTU),
    ("alpine", frozenset(("alpine",))),
    ("nixos", frozenset(("nixos",))),
    ("arch", frozenset(("arch", "archlinux", "manjaro"))),
    ("gentoo", frozenset(("gentoo",))),
)


def family(situation: Situation) -> str:
    """The distribution's kin: redhat suse openwrt coreos debian ubuntu alpine nixos arch gentoo, or unknown."""
    kernel = situation.kernel
    named = (situation.distribution or "").lower().strip()
    names = [named, vendors.known_id(named) or "", (kernel.vendor or "") if kernel else ""]
    if kernel is not None and identity.enterprise(kernel) is not None:
        names.append("rhel")
    if front_end(situation) == "uci" or situation.init == "procd":
        names.append("openwrt")
    for name in names:
        for kin, members in _FAMILIES:
            if name in members:
                return kin
    return "redhat" if names[2] in ("amzn", "uek", "openvz", "elrepo", "fedora") else "unknown"


def front_end(situation: Situation) -> str:
    """What manages the firewall; OpenWrt's two generations both answer to uci."""
    return "uci" if situation.front_end in ("fw3", "fw4", "firewall") else situation.front_end


def release(situation: Situation) -> tuple[int, int] | None:
    """The distribution's version as two numbers, of a Red Hat kernel its generation; None where neither is known."""
    found = re.match(r"\D*(\d{1,4})(?:\.(\d{1,3}))?", situation.version or "")
    if found:
        return int(found.group(1)), int(found.group(2) or 0)
    generation = identity.enterprise(situation.kernel)
    return None if generation is None else (generation, 0)


# The first release whose default init is systemd, and what stood before it.
_SYSTEMD_SINCE = {
    "redhat": ((7, 0), "sysv"),
    "ubuntu": ((15, 4), "upstart"),
    "debian": ((8, 0), "sysv"),
    "suse": ((12, 0), "sysv"),
}
_ALWAYS = {
    "openwrt": "procd",
    "alpine": "openrc",
    "gentoo": "openrc",
    "nixos": "systemd",
    "coreos": "systemd",
    "arch": "systemd",
}


def init(situation: Situation) -> str:
    """systemd, upstart, sysv, openrc, procd, or unknown; inferred where it is not given."""
    if situation.init != "unknown":
        return situation.init
    kin, number = family(situation), release(situation)
    if kin in _ALWAYS:
        return _ALWAYS[kin]
    if kin in _SYSTEMD_SINCE:
        since, before = _SYSTEMD_SINCE[kin]
        distribution = (situation.distribution or "").lower()
        if distribution in ("amzn", "amazon") and number is not None:
            # Amazon Linux 1 is numbered by year and month, 2 and 2023 run systemd.
            return "sysv" if (2011, 0) <= number < (2023, 0) else "systemd"
        if number is not None:
            return "systemd" if number >= since else before
        # No release given: none of these ran systemd by default on a kernel older than 3.10 (Fedora apart).
        if distribution != "fedora" and identity.at_least(situation.kernel, 3, 10) is False:
            return before
    return "unknown"


def systemd(situation: Situation) -> bool:
    """Whether ``systemctl`` may be printed: it runs systemd, or nothing shows an older init or kernel."""
    found = init(situation)
    if found == "systemd" and identity.at_least(situation.kernel, 2, 6, 36) is False:
        return False  # systemd needs a newer kernel than that
    if found == "unknown":
        return identity.at_least(situation.kernel, 3, 10) is not False
    return found == "systemd"


def old_stack(situation: Situation) -> bool:
    """Whether this is ip_conntrack, the IPv4-only tracker that the 2.6.22 kernel dropped (docs/kernel)."""
    if situation.kernel is None:
        return situation.ip_conntrack
    return identity.at_least(situation.kernel, 2, 6, 22) is False


def uses_nft(situation: Situation) -> bool:
    """Whether rules are to be written with ``nft``: it manages this host, and the kernel has the ``inet`` family."""
    if family(situation) == "openwrt":
        # 22.03 came with fw4 on a 5.10 kernel and no iptables; the numbers of GL.iNet's firmware are its own.
        number = None if (situation.distribution or "").lower() == "gl-inet" else release(situation)
        if number is not None:
            return number >= (22, 3)
        if situation.front_end == "fw3":
            return False
        return situation.front_end in ("fw4", "nftables") or identity.at_least(situation.kernel, 5, 10) is True
    return front_end(situation) == "nftables" and identity.at_least(situation.kernel, 3, 14) is not False


def key(situation: Situation, name: str) -> str:
    """The dotted sysctl of a canonical name (``nf_conntrack_max``) on this kernel."""
    if not name.startswith("nf_"):
        return name
    if old_stack(situation):
        return f"net.ipv4.netfilter.ip_{name.removeprefix('nf_')}"
    return sysctls.dotted(sysctls.canonical(name), situation.kernel).value or f"net.netfilter.{name}"


def present(situation: Situation, name: str) -> int | None:
    """The value seen in force, or None."""
    if name == "nf_conntrack_max" and situation.max is not None:
        return situation.max
    if name == "nf_conntrack_buckets" and situation.buckets is not None:
        return situation.buckets
    if name == "nf_conntrack_expect_max" and situation.expect_max is not None:
        return situation.expect_max
    return situation.settings.get(name, situation.settings.get(sysctls.canonical(name)))


def apply_files(situation: Situation) -> str:
    """The command that applies all files of settings again, as the boot does."""
    kin = family(situation)
    if kin == "openwrt":
        return "/etc/init.d/sysctl restart"
    if systemd(situation) or kin == "alpine":
        return "sysctl --system"
    if kin in ("ubuntu", "debian"):
        return "service procps start"
    return "sysctl -p"


def write(situation: Situation, name: str, value: int) -> str:
    """The command that sets it now."""
    return f"sysctl -w {key(situation, name)}={value}"


def restore(situation: Situation, name: str) -> str:
    """The command that sets it back, or the note to take first."""
    value = present(situation, name)
    dotted = key(situation, name)
    if value is None:
        return f"# note the present value first: sysctl -n {dotted}"
    return f"sysctl -w {dotted}={value}"


def quote(text: str) -> str:
    """One word for a POSIX shell."""
    if re.fullmatch(r"[\w@%+=:,./-]+", text, re.ASCII):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


def lines_into(path: str, *lines: str, append: bool = False) -> str:
    """One command that writes these lines to a file."""
    return f"printf '%s\\n' {' '.join(quote(line) for line in lines)} {'>>' if append else '>'} {path}"


def keeps_sysctls(situation: Situation) -> bool:
    """Whether /etc/sysctl.d is read at boot; RHEL 6, old OpenWrt and 2.6.18 systems are given /etc/sysctl.conf."""
    kin, number = family(situation), release(situation)
    if old_stack(situation):
        return False
    if kin == "redhat":
        return systemd(situation)
    if kin == "openwrt":
        return number is None or number >= (15, 5)
    return True


def persist_sysctls(situation: Situation, values: dict[str, int], path: str = SYSCTL_FILE) -> tuple[str, ...]:
    """How these settings outlive a reboot, without the question of module order (:func:`persist_order`)."""
    pairs = {key(situation, name): value for name, value in values.items()}
    if family(situation) == "nixos":
        settings = " ".join(f'"{dotted}" = {value};' for dotted, value in pairs.items())
        return (f"# in /etc/nixos/configuration.nix: boot.kernel.sysctl = {{ {settings} }};", "nixos-rebuild switch")
    lines = [f"{dotted} = {value}" for dotted, value in pairs.items()]
    if keeps_sysctls(situation):
        return (lines_into(path, *lines),)
    return (lines_into("/etc/sysctl.conf", *lines, append=True),)


def tracker(situation: Situation) -> str:
    """The module whose loading brings the tracking settings of IPv4 (docs/kernel)."""
    if old_stack(situation):
        return "ip_conntrack"
    # nf_conntrack_ipv4 was merged into nf_conntrack in 4.19.
    return "nf_conntrack_ipv4" if identity.at_least(situation.kernel, 4, 19) is False else "nf_conntrack"


def persist_order(situation: Situation, path: str = SYSCTL_FILE) -> tuple[str, ...]:
    """What makes the settings arrive after the module that brings them; empty where it is compiled in."""
    if situation.builtin:
        return ()
    module, kin = tracker(situation), family(situation)
    if kin == "nixos":
        return (f'# in /etc/nixos/configuration.nix: boot.kernelModules = [ "{module}" ];', "nixos-rebuild switch")
    if kin == "openwrt":
        return ("# OpenWrt loads the module from /etc/modules.d before it applies sysctls: nothing more to do",)
    if old_stack(situation):
        install = f"install {module} /sbin/modprobe --ignore-install {module} && /sbin/sysctl -p >/dev/null"
        return (lines_into("/etc/modprobe.conf", install, append=True),)
    if systemd(situation):
        return (lines_into("/etc/modules-load.d/tablefull-conntrack.conf", module), reload_rule("nf_conntrack", path))
    if kin == "redhat":
        # initscripts run /etc/sysconfig/modules/*.modules and then apply sysctl.conf once more (rc.sysinit, RHEL 6).
        return (
            lines_into(
                "/etc/sysconfig/modules/tablefull-conntrack.modules",
                "#!/bin/sh",
                f"/sbin/modprobe {module}",
                "/sbin/sysctl -e -p",
            ),
            "chmod 755 /etc/sysconfig/modules/tablefull-conntrack.modules",
        )
    if kin in ("debian", "ubuntu", "alpine"):
        return (
            f"grep -qx {module} /etc/modules || {lines_into('/etc/modules', module, append=True)}",
            reload_rule("nf_conntrack", path),
        )
    return (reload_rule("nf_conntrack", path),)


def reload_rule(module: str, path: str) -> str:
    """A udev rule that applies the file whenever the module appears, however late that is."""
    return lines_into(udev_file(path), reload_text(module, path))


def reload_text(module: str, path: str) -> str:
    """The rule itself."""
    return f'ACTION=="add", SUBSYSTEM=="module", KERNEL=="{module}", RUN+="/sbin/sysctl -q -p {path}"'


def udev_file(path: str) -> str:
    """The rule's file, one for each file of settings, so that no plan overwrites another's."""
    return f"/etc/udev/rules.d/{path.rpartition('/')[2].removesuffix('.conf')}.rules"


def address(text: str) -> tuple[str, bool] | None:
    """A valid address or network in canonical spelling and whether it is IPv6; None for anything else."""
    import ipaddress

    if len(text) > 64 or "%" in text:
        return None
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
    single = network.prefixlen == network.max_prefixlen
    return (str(network.network_address) if single else str(network), network.version == 6)


def addresses(situation: Situation) -> tuple[tuple[str, bool], ...]:
    """The valid ones among the sources, in order, once each."""
    found = (address(source) for source in situation.sources)
    return tuple(dict.fromkeys(item for item in found if item is not None))


_SERVICE = re.compile(r"(?:(tcp|udp|sctp|dccp)/(\d{1,5})|(\d{1,5})/(tcp|udp|sctp|dccp))", re.ASCII)
PORTLESS = frozenset(("gre", "esp", "ah", "ipip", "icmp"))


def services(situation: Situation) -> tuple[tuple[str, str], ...]:
    """``(protocol, port)`` of every valid service; port is empty for protocols without ports and for ``lo``."""
    found: list[tuple[str, str]] = []
    for text in situation.ports:
        low = text.lower().strip()
        match = _SERVICE.fullmatch(low)
        if match:
            port = int(match.group(2) or match.group(3))
            if 0 < port < 65536:
                found.append((match.group(1) or match.group(4), str(port)))
        elif low in PORTLESS or low == "lo":
            found.append((low, ""))
    return tuple(dict.fromkeys(found))


def kubernetes(situation: Situation) -> bool:
    """Whether kube-proxy, or what stands in for it, writes conntrack settings and rules here."""
    low = (situation.orchestrator or "").lower()
    return situation.front_end == "kube-proxy" or any(
        word in low
        for word in ("kube", "k8s", "k3s", "rke", "kind", "openshift", "gke", "eks", "aks", "cilium", "minikube")
    )


TALKERS = (
    "awk '{for (i = 1; i <= NF; i++) if ($i ~ /^src=/) {print $i; break}}' PROCFILE | sort | uniq -c | sort -rn | "
    "head -20"
)


def entries_file(situation: Situation) -> str:
    """The listing that loads no module."""
    return "/proc/net/ip_conntrack" if old_stack(situation) else "/proc/net/nf_conntrack"


def statistics_file(situation: Situation) -> str:
    """The counters of each CPU, by the name of this era."""
    return entries_file(situation).replace("/net/", "/net/stat/")


def talkers(situation: Situation) -> str:
    """The command that counts entries by their first source, and loads nothing."""
    return TALKERS.replace("PROCFILE", entries_file(situation))


def count_command(situation: Situation) -> str:
    """The command that shows how full the table is."""
    return f"sysctl {key(situation, 'nf_conntrack_count')} {key(situation, 'nf_conntrack_max')}"


def drops_command(situation: Situation) -> str:
    """The command that shows whether the table still drops: the log, which every kernel has."""
    name = "ip_conntrack" if old_stack(situation) else "nf_conntrack"
    return f"dmesg | grep '{name}: table full' | tail -3"
