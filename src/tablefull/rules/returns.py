"""What on a machine would load connection tracking, or hook it, again: at boot, at a restart, at the next event.

The trap: flushing the rules answers until the next boot. Whoever put them there is still configured: a file of rules,
a unit that is enabled, a line for modprobe. So configuration is read as well, and as what it is: a wish, not a state.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from tablefull.facts.origin import Origin
from tablefull.kernel import modules as kernel_modules
from tablefull.kernel.identity import KernelVersion

Does = Literal["hooks", "loads", "bridges"]


class Return(Struct, frozen=True, kw_only=True):
    """One thing that brings tracking back. ``when`` it acts, ``off`` how it is kept from it."""

    what: str
    does: Does
    when: str
    off: str
    evidence: Origin


class Unit(Struct, frozen=True):
    """What a service does to tracking, and when."""

    what: str
    does: Does
    when: str = "when it starts, and at every boot"


# Unit → what it does to tracking. [their own documentation]
UNITS: dict[str, Unit] = {
    "docker": Unit("Docker makes NAT and stateful rules", "hooks"),
    "podman": Unit("Podman makes NAT rules for its networks", "hooks"),
    "firewalld": Unit("firewalld lets replies in by state", "hooks"),
    "ufw": Unit("ufw lets replies in by state", "hooks"),
    "kubelet": Unit("kubelet and kube-proxy make service rules", "hooks", "within seconds while they run"),
    "kube-proxy": Unit("kube-proxy makes service rules and sets the limit", "hooks", "within seconds while it runs"),
    "k3s": Unit("k3s makes service and NAT rules", "hooks", "within seconds while it runs"),
    "libvirtd": Unit("libvirt makes NAT rules for its default network", "hooks"),
    "virtnetworkd": Unit("libvirt makes NAT rules for its default network", "hooks"),
    "lxd": Unit("LXD makes NAT rules for its bridges", "hooks"),
    "incus": Unit("Incus makes NAT rules for its bridges", "hooks"),
    "lxc-net": Unit("lxc-net makes NAT rules for lxcbr0", "hooks"),
    "tailscaled": Unit("Tailscale makes NAT and mark rules", "hooks"),
    "nftables": Unit("its file of rules is loaded", "hooks"),
    "iptables": Unit("its file of rules is loaded", "hooks"),
    "ip6tables": Unit("its file of rules is loaded", "hooks"),
    "netfilter-persistent": Unit("its files of rules are loaded", "hooks"),
    "shorewall": Unit("Shorewall makes stateful rules", "hooks"),
    "pve-firewall": Unit("the Proxmox firewall makes stateful rules", "hooks", "every ten seconds while it runs"),
    "firewall": Unit("the OpenWrt firewall makes NAT and stateful rules", "hooks"),
    "conntrackd": Unit("conntrackd puts entries of its peer into the table", "loads"),
    "openvswitch-switch": Unit("Open vSwitch loads the tracker for its ct() action", "loads"),
    "openvswitch": Unit("Open vSwitch loads the tracker for its ct() action", "loads"),
}
# Of rules loaded by a unit: its files. A file without its unit enabled is read by nobody.
RULE_FILES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("etc/nftables.conf", ("nftables",), "nft"),
    ("etc/nftables.d", ("nftables",), "nft"),
    ("etc/nftables", ("nftables",), "nft"),
    ("etc/sysconfig/nftables.conf", ("nftables",), "nft"),
    ("etc/iptables/rules.v4", ("netfilter-persistent", "iptables"), "iptables"),
    ("etc/iptables/rules.v6", ("netfilter-persistent", "ip6tables"), "ip6tables"),
    ("etc/iptables/iptables.rules", ("iptables",), "iptables"),
    ("etc/iptables/ip6tables.rules", ("ip6tables",), "ip6tables"),
    ("etc/iptables/rules-save", ("iptables",), "iptables"),
    ("etc/iptables/rules6-save", ("ip6tables",), "ip6tables"),
    ("etc/sysconfig/iptables", ("iptables",), "iptables"),
    ("etc/sysconfig/ip6tables", ("ip6tables",), "ip6tables"),
    ("etc/ufw/before.rules", ("ufw",), "iptables"),
    ("etc/ufw/before6.rules", ("ufw",), "ip6tables"),
    ("etc/ufw/user.rules", ("ufw",), "iptables"),
    ("etc/ufw/user6.rules", ("ufw",), "ip6tables"),
)
# Scripts that run at boot or when a link comes up: a line of them may call iptables or nft.
SCRIPTS = (
    "etc/rc.local", "etc/rc.d/rc.local", "etc/network/interfaces", "etc/network/interfaces.d", "etc/network/if-up.d",
    "etc/network/if-pre-up.d", "etc/firewall.user", "etc/NetworkManager/dispatcher.d", "etc/ppp/ip-up.d",
    "etc/networkd-dispatcher/routable.d", "etc/local.d", "etc/cron.d", "etc/crontab",
)  # fmt: skip
SWITCHES = (
    "etc/docker/daemon.json", "etc/ufw/ufw.conf", "etc/systemd/network", "etc/NetworkManager/system-connections",
)  # fmt: skip
_COMMAND = re.compile(r"(?<![\w/-])(?:/\S*/)?(ip6?tables|nft)(?:-(?:legacy|nft))?\s+(.*)")
_MODPROBE = re.compile(r"(?<![\w/-])(?:/\S*/)?modprobe\s+(?:-\S+\s+)*(.*)")
_OPTION = re.compile(r"\benable_hooks=[1yY]")
_BOOT_OPTION = re.compile(r"(?<!\S)nf_conntrack\.enable_hooks=[1yY]")
_UFW_ON = re.compile(r"\s*ENABLED\s*=\s*\"?yes", re.IGNORECASE)
_OF_RULES = ("nftables", "iptables", "ip6tables", "netfilter-persistent")  # they bring what their file says
_DOCKER_OFF = re.compile(r'"iptables"\s*:\s*false')

Files = Mapping[str, Sequence[str]]


def returns(
    files: Files, enabled: Mapping[str, str], running: Collection[str], kernel: KernelVersion | None
) -> list[Return]:
    """Everything found. ``enabled``: unit → the path that enables it; ``running``: names of processes.

    What hooks comes first, then what loads, then what leads bridged frames in.
    """
    found = [*_module_lines(files, kernel), *_sysctls(files)]
    rules = _rule_files(files, enabled, kernel)
    found += rules
    with_rules = {unit for unit in enabled if any(one.what.endswith(f"({unit})") for one in rules)}
    found += _units(files, enabled, running, with_rules)
    found += _scripts(files, kernel)
    found += _networks(files)
    order = ("hooks", "bridges", "loads")
    return sorted(found, key=lambda one: (order.index(one.does), one.evidence.source))


def enable_hooks(files: Files) -> Origin | None:
    """Where enable_hooks=1 is said: on the kernel's command line or in modprobe's configuration."""
    for path, lines in files.items():
        for number, line in enumerate(lines, 1):
            words = line.split()
            boot = path == "proc/cmdline" and _BOOT_OPTION.search(line)
            option = "modprobe" in path and words[:2] == ["options", "nf_conntrack"] and _OPTION.search(line)
            if boot or option:
                return Origin("/" + path, number, line.strip())
    return None


def _module_lines(files: Files, kernel: KernelVersion | None) -> list[Return]:
    found = []
    hooked = enable_hooks(files)
    if hooked is not None:
        found.append(
            Return(
                what="enable_hooks=1 tracks every namespace without a rule",
                does="hooks",
                when="whenever nf_conntrack is loaded",
                off="take the option out",
                evidence=hooked,
            )
        )
    starts = kernel_modules.loading_starts_tracking(kernel).value
    for path, lines in files.items():
        loading = "modules-load.d" in path or path in ("etc/modules", "etc/modules.conf")
        modprobe = "modprobe.d" in path or path == "etc/modprobe.conf"
        for number, line in enumerate(lines, 1):
            words = line.replace("-", "_").split()
            names: list[str] = []
            if loading and words and not line.lstrip().startswith(("#", ";")):
                names = words[:1]
            elif modprobe and words[:1] in (["install"], ["softdep"]):
                names = [word for word in words[1:] if word in kernel_modules.TRACKING_MODULES | {"br_netfilter"}][:1]
            for name in names:
                if name == "br_netfilter":
                    what, does = "br_netfilter is loaded, whose bridge-nf-call-* are 1 by default", "bridges"
                elif name in kernel_modules.TRACKING_MODULES:
                    what, does = f"{name} is loaded", "hooks" if starts else "loads"
                else:
                    continue
                origin = Origin("/" + path, number, line.strip())
                when = "at boot" if loading else "with the module it is tied to"
                found.append(Return(what=what, does=_does(does), when=when, off="take the line out", evidence=origin))
    return found


def _does(word: str) -> Does:
    return "hooks" if word == "hooks" else "bridges" if word == "bridges" else "loads"


def _sysctls(files: Files) -> list[Return]:
    found = []
    for path, lines in files.items():
        if "sysctl" not in path:
            continue
        for number, line in enumerate(lines, 1):
            name, mark, value = line.replace("/", ".").partition("=")
            name = name.strip().lstrip("-")
            if mark and name.startswith("net.bridge.bridge-nf-call-ip") and value.strip() == "1":
                found.append(
                    Return(
                        what=f"{name.removeprefix('net.bridge.')} is set to 1: bridged frames pass the IP hooks",
                        does="bridges",
                        when="at boot and at every sysctl --system, where br_netfilter is loaded by then",
                        off="set it to 0 there",
                        evidence=Origin("/" + path, number, line.strip()),
                    )
                )
    return found


def _rule_files(files: Files, enabled: Mapping[str, str], kernel: KernelVersion | None) -> list[Return]:
    found = []
    for place, units, tool in RULE_FILES:
        unit = next((one for one in units if one in enabled), None)
        if unit is None:
            continue
        for path, lines in files.items():
            if path != place and not path.startswith(place + "/"):
                continue
            asking = [
                (number, line)
                for number, line in enumerate(lines, 1)
                if not line.lstrip().startswith("#") and kernel_modules.requests_tracking(line, tool, kernel).value
            ]
            if asking:
                number, line = asking[0]
                found.append(
                    Return(
                        what=f"{len(asking)} of its lines ask for tracking ({unit})",
                        does="hooks",
                        when=f"when {unit} starts: at boot",
                        off=f"take the lines out, or systemctl disable {unit}",
                        evidence=Origin("/" + path, number, line.strip()),
                    )
                )
    return found


def _units(
    files: Files, enabled: Mapping[str, str], running: Collection[str], with_rules: Collection[str]
) -> list[Return]:
    found = []
    for name, unit in UNITS.items():
        place = enabled.get(name)
        if (
            place is None
            or name in with_rules
            or (name in ("nftables", "iptables", "ip6tables", "netfilter-persistent"))
        ):
            continue
        if name == "docker" and any(_DOCKER_OFF.search(line) for line in files.get("etc/docker/daemon.json", ())):
            continue
        if name == "ufw" and not any(_UFW_ON.match(line) for line in files.get("etc/ufw/ufw.conf", ("ENABLED=yes",))):
            continue
        now = " (it runs now)" if name in running or f"{name}d" in running else ""
        found.append(
            Return(
                what=unit.what + now,
                does=unit.does,
                when=unit.when,
                off=f"systemctl disable --now {name}",
                evidence=Origin("/" + place, 0, f"{name} is enabled"),
            )
        )
    return found


def _scripts(files: Files, kernel: KernelVersion | None) -> list[Return]:
    found = []
    for path, lines in files.items():
        if not any(path == place or path.startswith(place + "/") for place in SCRIPTS):
            continue
        for number, line in enumerate(lines, 1):
            if line.lstrip().startswith("#"):
                continue
            call, loads = _COMMAND.search(line), _MODPROBE.search(line)
            origin = Origin("/" + path, number, line.strip())
            if call is not None and kernel_modules.requests_tracking(call[2], call[1], kernel).value:
                found.append(
                    Return(
                        what=f"it calls {call[1]}", does="hooks", when=_when(path), off="take it out", evidence=origin
                    )
                )
            elif (
                loads is not None
                and {word.replace("-", "_") for word in loads[1].split()} & kernel_modules.TRACKING_MODULES
            ):
                found.append(
                    Return(what="it calls modprobe", does="loads", when=_when(path), off="take it out", evidence=origin)
                )
    return found


def _when(path: str) -> str:
    if "cron" in path:
        return "when cron says so"
    return "at boot" if "rc" in path or "local.d" in path else "when a link comes up"


def _networks(files: Files) -> list[Return]:
    """systemd-networkd's IPMasquerade and NetworkManager's shared connections."""
    found = []
    for path, lines in files.items():
        for number, line in enumerate(lines, 1):
            name, mark, value = (part.strip() for part in line.partition("="))
            origin = Origin("/" + path, number, line.strip())
            if path.startswith("etc/systemd/network/") and name == "IPMasquerade" and value not in ("no", "false", "0"):
                found.append(
                    Return(
                        what="systemd-networkd masquerades for this network",
                        does="hooks",
                        when="when the link is configured",
                        off="IPMasquerade=no",
                        evidence=origin,
                    )
                )
            elif path.startswith("etc/NetworkManager/") and mark and name == "method" and value == "shared":
                found.append(
                    Return(
                        what="NetworkManager shares this connection, with NAT",
                        does="hooks",
                        when="when the connection comes up",
                        off="nmcli connection modify … ipv4.method auto",
                        evidence=origin,
                    )
                )
    return found
