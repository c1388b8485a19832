"""What starts after the boot has applied its settings: who loads modules then, and who writes the settings again.

The trap: the value is right after boot and wrong an hour later. kube-proxy, docker, tuned or ufw start late and write
their own; nothing logs it. So each is looked for by its files, with the line that says so, and what it writes is told
with whether that is sure.
"""

import re
from collections.abc import Iterator

from tablefull.fixes.boot_machine import Machine
from tablefull.fixes.boot_modules import Told
from tablefull.fixes.boot_script import Call, script
from tablefull.fixes.boot_settings import entries
from tablefull.fixes.boot_tree import Tree
from tablefull.kernel.modules import requests_tracking

UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_RULE_FILES = {
    "iptables": ("/etc/sysconfig/iptables", "/etc/iptables/rules-save", "/var/lib/iptables/rules-save"),
    "ip6tables": ("/etc/sysconfig/ip6tables", "/etc/iptables/rules6-save"),
    "netfilter-persistent": ("/etc/iptables/rules.v4", "/etc/iptables/rules.v6"),
    "iptables-persistent": ("/etc/iptables/rules.v4", "/etc/iptables/rules.v6", "/etc/iptables/rules"),
    "nftables": ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft"),
}
_BEFORE_NETWORK = (
    "ufw",
    "iptables",
    "ip6tables",
    "netfilter-persistent",
    "iptables-persistent",
    "nftables",
    "firewalld",
)
_LATER = ("docker", "libvirtd", "tuned", "kubelet", "k3s", "k3s-agent", "rke2-server", "rke2-agent", "kube-proxy")
_BRIDGE = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")


def enabled(tree: Tree, init: str, name: str) -> bool:
    """Whether this service starts at boot, by the links and files that say so."""
    unit = f"{name}.service"
    if init == "systemd":
        if any(tree.resolve(f"{folder}/{unit}") == "/dev/null" for folder in UNIT_FOLDERS[:2]):
            return False
        for folder in UNIT_FOLDERS:
            for sub in tree.names(folder):
                if sub.endswith((".wants", ".requires")) and unit in tree.names(f"{folder}/{sub}"):
                    return True
        return False
    if init == "openrc":
        return any(name in tree.names(f"/etc/runlevels/{level}") for level in ("sysinit", "boot", "default"))
    if tree.exists(f"/etc/init/{name}.conf"):
        return "manual" not in (tree.text(f"/etc/init/{name}.override") or "").split()
    levels = [f"{base}/rc{level}.d" for base in ("/etc", "/etc/rc.d") for level in "S2345"]
    started = re.compile(rf"S\d\d{re.escape(name)}")
    return any(started.fullmatch(link) for folder in levels for link in tree.names(folder))


def firewalls(machine: Machine, init: str, *, only: tuple[str, ...] = _BEFORE_NETWORK) -> None:
    """What manages the firewall at boot: it loads the tracker where its rules ask for that."""
    tree = machine.tree
    for name in only:
        if not enabled(tree, init, name):
            continue
        machine.at = name
        if name == "ufw":
            _ufw(machine)
        elif name == "firewalld":
            machine.load("xt_conntrack", "firewalld", "/etc/firewalld/firewalld.conf")
        else:
            _rules(machine, name)
            if name in ("iptables", "ip6tables"):
                _sysctl_list(machine, name)


def _rules(machine: Machine, name: str) -> None:
    for path in _RULE_FILES[name]:
        text = machine.tree.text(path)
        tool = "nft" if name == "nftables" else "iptables"
        for number, line in enumerate((text or "").split("\n"), 1):
            bare = line.strip()
            if bare.startswith("#"):
                continue
            if bare == "*nat":
                machine.load("ip6table_nat" if "6" in path.rpartition("/")[2] else "iptable_nat", name, path, number)
            elif bare and requests_tracking(bare.removeprefix("-A "), tool, machine.kernel).value:
                machine.load("nft_ct" if tool == "nft" else "xt_conntrack", name, path, number)
    config = machine.tree.text(f"/etc/sysconfig/{name}-config") or ""
    for number, line in enumerate(config.split("\n"), 1):
        found = re.match(r'\s*IP6?TABLES_MODULES="?([^"#]*)"?', line)
        for module in found[1].split() if found else ():
            machine.load(module, name, f"/etc/sysconfig/{name}-config", number)


def _sysctl_list(machine: Machine, name: str) -> None:
    """The script of iptables-services applies lines of the settings' files again once its modules are there."""
    path = f"/etc/sysconfig/{name}-config"
    for number, line in enumerate((machine.tree.text(path) or "").split("\n"), 1):
        found = re.match(r'\s*IP6?TABLES_SYSCTL_LOAD_LIST="([^"]+)"', line)
        fragment = machine.tree.fragment("/etc/sysctl.conf")
        if found and fragment is not None:
            for entry in entries(fragment):
                if any(word in entry.key.replace("/", ".") for word in found[1].split()):
                    machine.set(entry.key, entry.value, f"{name}, its list in line {number}", entry.file, entry.line)


def _ufw(machine: Machine) -> None:
    tree = machine.tree
    if not re.search(r"^\s*ENABLED=[\"']?yes", tree.text("/etc/ufw/ufw.conf") or "", re.MULTILINE):
        return
    defaults = tree.text("/etc/default/ufw") or ""
    machine.load("xt_conntrack", "ufw", "/etc/ufw/before.rules")
    for number, line in enumerate(defaults.split("\n"), 1):
        found = re.match(r'\s*IPT_MODULES="([^"]*)"', line)
        for module in found[1].split() if found else ():
            machine.load(module, "ufw", "/etc/default/ufw", number)
    named = re.search(r"^\s*IPT_SYSCTL=[\"']?([^\s\"'#]*)", defaults, re.MULTILINE)
    path = named[1] if named else "/etc/ufw/sysctl.conf"
    fragment = tree.fragment(path) if path else None
    if fragment is not None:
        machine.apply([fragment], "ufw", way=machine.single, owner="ufw")


def services(machine: Machine, init: str) -> None:
    """What starts once the network is up, in no order that could be relied on."""
    for name in _LATER:
        if enabled(machine.tree, init, name):
            machine.at = name
            if name == "docker":
                _docker(machine)
            elif name == "libvirtd":
                _libvirt(machine)
            elif name == "tuned":
                _tuned(machine)
    machine.at = "kube-proxy"
    _kubernetes(machine, init)
    _own_units(machine, init)
    _scripts(machine, init)


def _docker(machine: Machine) -> None:
    """[moby libnetwork drivers/bridge: setup_bridgenetfiltering.go, setup_ip_forwarding.go]"""
    settings = machine.tree.text("/etc/docker/daemon.json") or ""
    if re.search(r'"iptables"\s*:\s*false', settings) is None:
        machine.load("iptable_nat", "docker")
    machine.load("br_netfilter", "docker")
    for key in _BRIDGE:
        machine.set(
            key, "1", "docker", "", 0, certain=False, owner="docker",
            why="its bridge driver turns this on where containers of one bridge are kept apart (icc false), up to 27 "
            "for every bridge",
        )  # fmt: skip
    machine.set("net.ipv4.ip_forward", "1", "docker", "", 0, owner="docker", why="containers need forwarding")


def _libvirt(machine: Machine) -> None:
    folder = "/etc/libvirt/qemu/networks/autostart"
    for name in machine.tree.names(folder):
        if re.search(r"<forward\s+mode=['\"]nat", machine.tree.text(f"{folder}/{name}") or ""):
            machine.load("iptable_nat", "libvirtd", f"{folder}/{name}")


_PROFILES = ("/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned")


def _tuned(machine: Machine) -> None:
    """The active profile with those it includes; the including one wins (tuned-profiles(7)).

    With ``reapply_sysctl`` the files below /run/sysctl.d, /etc/sysctl.d and /etc/sysctl.conf are applied after it.
    """
    tree = machine.tree
    active = (tree.text("/etc/tuned/active_profile") or "").split()
    for name in active:
        for path, number, section, key, value in reversed(list(_profile(tree, name))):
            if section == "sysctl":
                told = None if value[:2] in ("=>", "=<") or value[:1] in "<>" or "$" in value else value
                machine.set(
                    key, told, "tuned", path, number, owner="tuned", certain=told is not None,
                    why=f"profile {name}" + ("" if told else "; only raises or lowers, or holds a variable"),
                )  # fmt: skip
            elif key == "nf_conntrack_hashsize" and section == "net":
                machine.set(
                    "hashsize", value, "tuned", path, number, owner="tuned", why=f"profile {name}, through /sys/module"
                )
    main = tree.text("/etc/tuned/tuned-main.conf")
    again = re.search(r"^\s*reapply_sysctl\s*=\s*(?:1|true|yes)", main or "", re.MULTILINE | re.IGNORECASE)
    if active and again:
        files = tree.fragments(("/run/sysctl.d", "/etc/sysctl.d"))
        last = tree.fragment("/etc/sysctl.conf")
        machine.apply([*files, *([last] if last else [])], "tuned, reapply_sysctl", way="line by line")


def _profile(tree: Tree, name: str, depth: int = 0) -> Iterator[tuple[str, int, str, str, str]]:
    """Lines of a profile, its own before those of what it includes."""
    if depth > 8 or not re.fullmatch(r"[\w.\-]+", name):
        return
    for folder in _PROFILES:
        path = f"{folder}/{name}/tuned.conf"
        text = tree.text(path)
        if text is None:
            continue
        section, includes = "", []
        for number, line in enumerate(text.split("\n"), 1):
            bare = line.strip()
            head = re.fullmatch(r"\[([\w.\-]+)\]", bare)
            if head:
                section = head[1]
            elif "=" in bare and bare[0] not in "#;":
                key, _, value = bare.partition("=")
                if section == "main" and key.strip() == "include":
                    includes = re.split(r"[,;\s]+", value.strip())
                else:
                    yield path, number, section, key.strip().lstrip("-"), value.strip()
        for other in includes:
            yield from _profile(tree, other, depth + 1)
        return


_KUBE_FILES = (
    ("/var/lib/kube-proxy/config.conf", "kube-proxy"),
    ("/var/lib/kube-proxy/kube-proxy-config.yaml", "kube-proxy"),
    ("/var/snap/microk8s/current/args/kube-proxy", "microk8s"),
    ("/etc/rancher/k3s/config.yaml", "k3s"),
    ("/etc/rancher/rke2/config.yaml", "rke2"),
    ("/etc/kubernetes/kubelet.conf", "kubelet"),
    ("/etc/kubernetes/bootstrap-kubelet.conf", "kubelet"),
)
_TIMEOUTS = {
    "nf_conntrack_tcp_timeout_established": ("86400", "tcp-timeout-established", "tcpEstablishedTimeout"),
    "nf_conntrack_tcp_timeout_close_wait": ("3600", "tcp-timeout-close-wait", "tcpCloseWaitTimeout"),
}


def _kubernetes(machine: Machine, init: str) -> None:
    """kube-proxy's own figures where nothing tells it otherwise.

    [kubernetes pkg/proxy/apis/config/v1alpha1/defaults.go]
    """
    tree = machine.tree
    path, who = next(((path, who) for path, who in _KUBE_FILES if tree.exists(path)), ("", ""))
    if not path and not any(enabled(tree, init, name) for name in _LATER[3:]):
        return
    who = who or "kubelet"
    text = tree.text(path) or "" if path else ""
    machine.load("iptable_nat", who, path)
    machine.load("br_netfilter", who, path)
    per_core = re.search(r"(?:maxPerCore|conntrack-max-per-core)[:=]\s*\"?(\d+)", text)
    if per_core is None or per_core[1] != "0":
        machine.set(
            "nf_conntrack_max", None, "kube-proxy", path, 0, certain=False, owner="kube-proxy",
            why="it writes 32768 times the cores, at least 131072, unless conntrack.maxPerCore is 0",
        )  # fmt: skip
    for key, (value, flag, yaml) in _TIMEOUTS.items():
        said = re.search(rf"(?:{flag}|{yaml})[:=]\s*\"?(\w+)", text)
        if said is None or said[1] not in ("0", "0s"):
            own = value if said is None else None
            machine.set(
                key, own, "kube-proxy", path, 0, certain=False, owner="kube-proxy",
                why=f"it writes its own unless {yaml} is 0s" + ("" if said is None else f"; here {said[1]}"),
            )  # fmt: skip
    for key in _BRIDGE[:1]:
        machine.set(
            key, "1", "kube-proxy", path, 0, certain=False, owner="kube-proxy",
            why="pods on one node reach services through bridged frames",
        )  # fmt: skip


def _own_units(machine: Machine, init: str) -> None:
    """Units that a person wrote: what their lines say they run."""
    if init != "systemd":
        return
    for name in machine.tree.names("/etc/systemd/system"):
        if not name.endswith(".service") or not enabled(machine.tree, init, name.removesuffix(".service")):
            continue
        path = f"/etc/systemd/system/{name}"
        if machine.tree.is_link(path):
            continue
        text = "\n".join(
            line if re.match(r"\s*Exec(?:Start|StartPre|StartPost)=", line) else ""
            for line in (machine.tree.text(path) or "").split("\n")
        )
        machine.at = name
        for call in script(text):
            machine.call(Told(call, path, call.line), f"unit {name}", owner=f"unit {name}")


_FOLDERS = (
    ("/etc/network/if-pre-up.d", False),
    ("/etc/network/if-up.d", False),
    ("/etc/NetworkManager/dispatcher.d", False),
    ("/etc/networkd-dispatcher/routable.d", False),
    ("/etc/cron.d", True),
    ("/var/spool/cron/crontabs", True),
    ("/var/spool/cron", True),
)
_CLOUD = ("/var/lib/cloud/instance/user-data.txt", "/var/lib/cloud/instance/cloud-config.txt")


def _scripts(machine: Machine, init: str) -> None:
    """rc.local and its kin, hooks of the network, cron, cloud-init: their lines, as far as they can be read."""
    tree = machine.tree
    always: list[tuple[str, str, bool]] = []
    if init == "openrc" and enabled(tree, init, "local"):
        names = [name for name in tree.names("/etc/local.d") if name.endswith(".start")]
        always += [("local.d", f"/etc/local.d/{name}", True) for name in names]
    always += [("rc.local", path, True) for path in ("/etc/rc.d/rc.local", "/etc/rc.local")]
    for folder, cron in _FOLDERS:
        who = folder.rpartition("/")[2] if not cron else "cron"
        always += [(who, f"{folder}/{name}", False) for name in tree.names(folder)]
    always += [("cron", "/etc/crontab", False), *(("cloud-init", path, False) for path in _CLOUD)]
    always += [("cloud-init", f"/etc/cloud/cloud.cfg.d/{name}", False) for name in tree.names("/etc/cloud/cloud.cfg.d")]
    seen: set[str] = set()
    for who, path, sure in always:
        real = tree.resolve(path)
        if real is None or real in seen or not tree.is_file(path):
            continue
        seen.add(real)
        if sure and not tree.executable(path):
            continue
        machine.at = who
        text = tree.text(path) or ""
        calls: list[Call] = script(text)
        for call in calls:
            machine.call(Told(call, path, call.line), who, certain=sure, owner=who)
