"""Which files of this host bring something back at boot or later: a setting, a module, rules. Read, never run.

The trap: what was turned off by hand is turned on again by a file that somebody else wrote, at a reload or a reboot.
So the files that are read at such a moment are looked through, and each is named with its line.
"""

from tablefull.facts.origin import Hole
from tablefull.fixes.live_host import LiveHost

SYSCTL_FOLDERS = ("etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d")
SYSCTL_FILES = ("etc/sysctl.conf", "etc/ufw/sysctl.conf")
LOAD_FOLDERS = ("etc/modules-load.d", "run/modules-load.d", "usr/lib/modules-load.d", "etc/sysconfig/modules")
LOAD_FILES = ("etc/modules", "etc/sysconfig/iptables-config", "etc/sysconfig/ip6tables-config", "etc/default/ufw")
MODPROBE_FOLDERS = ("etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d")
RULE_FILES = (
    "etc/sysconfig/iptables", "etc/sysconfig/ip6tables", "etc/iptables/rules.v4", "etc/iptables/rules.v6",
    "etc/iptables/rules-save", "etc/iptables/rules6-save", "etc/iptables.rules", "etc/tablefull-iptables.rules",
    "etc/tablefull-iptables.raw.rules", "etc/nftables.conf",
    "etc/sysconfig/nftables.conf", "etc/nftables.nft", "etc/ufw/before.rules", "etc/rc.local",
)  # fmt: skip
HOOK_FOLDERS = ("etc/network/if-pre-up.d", "etc/network/if-up.d", "etc/local.d", "etc/udev/rules.d")
MOST_FILES, MOST_BYTES = 2000, 1 << 20
Line = tuple[str, str]


def lines(host: LiveHost, files: tuple[str, ...] = (), folders: tuple[str, ...] = ()) -> list[Line]:
    """``(path, line)`` of every line that is no comment, in these files and in the files of these folders."""
    paths = list(files)
    for folder in folders:
        names = host.proc.names(folder)
        paths += [] if isinstance(names, Hole) else [f"{folder}/{name}" for name in names]
    found = []
    for path in paths[:MOST_FILES]:
        text = host.proc.text(path, MOST_BYTES)
        if isinstance(text, str):
            found += [
                (f"/{path}", line.strip())
                for line in text.splitlines()
                if line.strip() and not line.lstrip().startswith(("#", ";"))
            ]
    return found


def settings_with(host: LiveHost, word: str) -> list[Line]:
    """Lines of sysctl files, and udev rules and boot scripts, that name this setting."""
    return [one for one in lines(host, SYSCTL_FILES, (*SYSCTL_FOLDERS, *HOOK_FOLDERS)) if word in one[1]]


def loads(host: LiveHost, modules: frozenset[str]) -> list[Line]:
    """Lines that have one of these modules loaded: by name in lists, or by an option or alias of modprobe."""
    found = []
    for path, line in lines(host, LOAD_FILES, LOAD_FOLDERS):
        named = {word.strip("\"'").replace("-", "_") for word in line.replace("=", " ").split()}
        if named & modules:
            found.append((path, line))
    for path, line in lines(host, (), MODPROBE_FOLDERS):
        words = line.replace("-", "_").split()
        if words[0] in ("softdep", "install") and modules & set(words[1:]) and "/bin/false" not in line:
            found.append((path, line))
    return found


def rules_that_track(host: LiveHost) -> list[Line]:
    """The first line of each file of rules that would have tracking started when it is loaded."""
    from tablefull.kernel.modules import requests_tracking

    found: dict[str, str] = {}
    for path, line in lines(host, RULE_FILES, HOOK_FOLDERS):
        tool = "nft" if "nft" in path or path == "/etc/nftables.conf" else "iptables"
        if path not in found and (line == "*nat" or requests_tracking(line, tool, host.kernel).value):
            found[path] = line
    return list(found.items())


def quoted(found: list[Line]) -> str:
    """The lines for a person."""
    return "; ".join(f"{path}: {line[:120]!a}" for path, line in found[:6])
