"""What happens when a module is loaded: its options, what modprobe.d runs instead, what udev does when it appears.

The trap: before 5.11 the kernel tells udev of a module *before* the module has made its settings (commit 38dc717e9715,
systemd issue 17586). A rule that runs sysctl may then come too early, and mostly does not. So such a rule is called a
race there, and never a proof.
"""

import fnmatch
import re

from msgspec import Struct, field

from tablefull.fixes.boot_script import Call, calls_of
from tablefull.fixes.boot_tree import Fragment, Tree
from tablefull.kernel.identity import KernelVersion, at_least
from tablefull.kernel.modules import TRACKING_MODULES

MODPROBE_FOLDERS = (
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)
RULES_FOLDERS = (
    "/etc/udev/rules.d",
    "/run/udev/rules.d",
    "/usr/local/lib/udev/rules.d",
    "/usr/lib/udev/rules.d",
    "/lib/udev/rules.d",
)
LOAD_FOLDERS = (
    "/etc/modules-load.d",
    "/run/modules-load.d",
    "/usr/local/lib/modules-load.d",
    "/usr/lib/modules-load.d",
    "/lib/modules-load.d",
)


class Told(Struct, frozen=True):
    """A call with the line it stands in."""

    call: Call
    file: str
    line: int


class Modprobe(Struct, frozen=True):
    """modprobe.d, read: options, ``install`` and soft dependencies by module."""

    options: dict[str, list[tuple[str, str, str, int]]] = field(default_factory=dict)
    install: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    soft: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)


def _joined(fragment: Fragment) -> list[tuple[int, str]]:
    """Lines with those that end in a backslash put together; comments left out."""
    found: list[tuple[int, str]] = []
    held, first = "", 0
    for number, line in fragment.lines:
        if not held:
            first = number
            if line.lstrip().startswith("#"):
                continue
        if line.endswith("\\"):
            held += line[:-1]
            continue
        found.append((first, held + line))
        held = ""
    return [*found, (first, held)] if held else found


def _name(text: str) -> str:
    return text.replace("-", "_")


def by_busybox(tree: Tree) -> bool:
    """Whether modprobe here is busybox's, which reads options and aliases and no ``install`` and ``softdep`` line.

    [measured with busybox 1.35 on 6.1: ``install nf_conntrack /bin/false`` did not keep it from loading]
    """
    return any((tree.resolve(path) or "").endswith("/busybox") for path in ("/sbin/modprobe", "/usr/sbin/modprobe"))


def modprobe(tree: Tree) -> Modprobe:
    """The configuration that modprobe and systemd-modules-load share (modprobe.d(5)); of ``install`` lines the first
    counts, of options the last.
    """
    found, plain = Modprobe(), by_busybox(tree)
    files = tree.fragments(MODPROBE_FOLDERS, files=True)
    single = tree.fragment("/etc/modprobe.conf")  # module-init-tools, RHEL 5
    for fragment in ([single] if single else []) + files:
        for number, line in _joined(fragment):
            words = line.split(None, 2)
            if len(words) < 3:
                continue
            kind, module, rest = words[0], _name(words[1]), words[2]
            if kind == "options":
                for part in rest.split():
                    key, _, value = part.partition("=")
                    found.options.setdefault(module, []).append((key, value, fragment.path, number))
            elif plain:
                continue
            elif kind == "install":
                found.install.setdefault(module, (rest, fragment.path, number))
            elif kind == "softdep":
                before, after = found.soft.setdefault(module, ([], []))
                into = before
                for word in rest.split():
                    if word in ("pre:", "post:"):
                        into = before if word == "pre:" else after
                    else:
                        into.append(_name(word))
    return found


_TEST = re.compile(r'([A-Z]+)(?:\{([^}]*)\})?\s*(==|!=|\+=|:=|=)\s*(?:[ei])?"((?:[^"\\]|\\.)*)"')


def udev_calls(tree: Tree, module: str) -> list[Told]:
    """What udev's rules run when this module appears (udev(7)); a rule with a condition that is not understood is left
    out, as its effect cannot be promised.
    """
    event = {"ACTION": "add", "SUBSYSTEM": "module", "KERNEL": module, "DEVPATH": f"/module/{module}"}
    found: list[Told] = []
    for fragment in tree.fragments(RULES_FOLDERS, ".rules"):
        for number, line in _joined(fragment):
            if '"module"' not in line or "RUN" not in line:
                continue
            runs: list[str] = []
            holds = True
            for key, _, operator, value in _TEST.findall(line):
                if key == "RUN":
                    runs.append(value.replace('\\"', '"'))
                    continue
                if operator not in ("==", "!="):
                    continue
                real = event.get(key)
                if real is None:
                    holds = False
                else:
                    same = any(fnmatch.fnmatchcase(real, part) for part in value.split("|"))
                    holds = holds and same == (operator == "==")
            if holds:
                for run in runs:
                    text = run.replace("$kernel", module).replace("%k", module)
                    found += [Told(call, fragment.path, number) for call in calls_of(text, number)]
    return found


def udev_is_late(kernel: KernelVersion | None) -> bool | None:
    """Whether udev hears of a module only when its settings are there: yes from 5.11; None for an unknown kernel."""
    return None if kernel is None else at_least(kernel, 5, 11)


# What each brings along, beside what modules.dep would say: the tracker of IPv4 is asked for by the matches and tables
# that need it (nf_ct_l3proto_try_module_get to 4.9, nf_ct_netns_get to 4.18).
_ALONE = frozenset(("nf_conntrack", "nf_conntrack_netlink", "nf_conntrack_ipv6", "nf_conntrack_proto_sctp"))


def brings(module: str, kernel: KernelVersion | None) -> tuple[str, ...]:
    """The modules that loading this one loads first, as far as settings hang on them."""
    module = _name(module)
    if module == "br_netfilter":
        return ("bridge",)
    if module == "ip_conntrack" or module not in TRACKING_MODULES:
        return ()
    if at_least(kernel, 2, 6, 22) is False:
        return ("ip_conntrack",)
    if module == "nf_conntrack":
        return ()
    old = at_least(kernel, 4, 19) is False
    if old and module not in _ALONE and module != "nf_conntrack_ipv4":
        return ("nf_conntrack", "nf_conntrack_ipv4")
    return ("nf_conntrack",)


def carriers(name: str, kernel: KernelVersion | None) -> tuple[str, ...]:
    """The modules of which one must be loaded for a setting (by canonical name) to be there; empty: none.

    Up to 4.18 all but the limits appear with the tracker of a family; br_netfilter left bridge in 3.18, and Red Hat
    took it back into 3.10, so either will do.
    """
    if name.startswith("net.bridge.bridge-nf"):
        return ("br_netfilter",) if at_least(kernel, 3, 18) is True else ("br_netfilter", "bridge")
    if not name.startswith("nf_conntrack"):
        return ()
    if at_least(kernel, 2, 6, 22) is False:
        return ("ip_conntrack",)
    limits = ("nf_conntrack_max", "nf_conntrack_buckets", "nf_conntrack_count", "nf_conntrack_expect_max")
    if at_least(kernel, 4, 19) is False and name not in limits:
        return ("nf_conntrack_ipv4", "nf_conntrack_ipv6")
    return ("nf_conntrack",)


def listed(fragment: Fragment) -> list[tuple[str, int]]:
    """The modules of a file of names, as modules-load.d and /etc/modules have it."""
    found = []
    for number, line in fragment.lines:
        words = line.strip().split()
        if words and words[0][0] not in "#;":
            found.append((_name(words[0]), number))
    return found
