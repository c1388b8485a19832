"""What a boot makes of each setting: read off a tree of files, nothing run, nothing written.

The trap: "it is in sysctl.d" is taken for "it is set after boot". The module may come later than the file, another file
may sort behind it, the service that reads it may not be in a runlevel, and a program may write its own afterwards. So
the whole boot is gone through in its order, and each setting ends with a value, the line that gave it, and who comes
after.

Sources: systemd-sysctl.service(8), sysctl.d(5), modules-load.d(5), sysctl(8), modprobe.d(5), udev(7); the scripts of
the distributions' packages: procps (Debian), initscripts (RHEL 6), aports main/openrc (Alpine), OpenRC's init.d/sysctl.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from msgspec import Struct

from tablefull.facts.origin import Hole
from tablefull.fixes import boot_services, boot_settings
from tablefull.fixes.boot_machine import Load, Machine, Write, identity_of
from tablefull.fixes.boot_modules import LOAD_FOLDERS, Told, listed, udev_calls
from tablefull.fixes.boot_script import script
from tablefull.fixes.boot_tree import Fragment, Tree
from tablefull.kernel.identity import KernelVersion


class Stage(Struct, frozen=True):
    """One step of the boot: who reads which files. ``note`` says why it does nothing."""

    program: str
    files: tuple[str, ...] = ()
    note: str = ""


class Ending(Struct, frozen=True):
    """What one setting holds when the boot is over; ``value`` None: the kernel's own, or unknown (``why`` says which).

    ``by`` is the write that gave it, ``writes`` all attempts in order, ``later`` those of programs that start after the
    boot's own files were applied and write something else, or something that cannot be told.
    """

    key: str
    value: str | None
    why: str
    by: Write | None
    writes: tuple[Write, ...]
    later: tuple[Write, ...]


class Boot(Struct, frozen=True):
    """A boot gone through in thought."""

    init: str
    stages: tuple[Stage, ...]
    loads: tuple[Load, ...]
    endings: tuple[Ending, ...]
    holes: tuple[Hole, ...] = ()

    def ending(self, key: str) -> Ending:
        """The ending of one setting. KeyError where it was not followed."""
        wanted = identity_of(key)
        for ending in self.endings:
            if ending.key == wanted:
                return ending
        raise KeyError(key)


class _Going:
    """A boot that is gone through."""

    def __init__(self, machine: Machine, init: str) -> None:
        self.machine, self.init, self.stages = machine, init, list[Stage]()

    def stage(self, program: str, files: list[Fragment] | None = None, note: str = "") -> None:
        self.machine.at = program
        self.stages.append(Stage(program, tuple(fragment.path for fragment in files or ()), note))

    def settings(self, program: str, files: list[Fragment], way: boot_settings.Way) -> None:
        self.stage(program, files)
        self.machine.apply(files, program, way=way)

    def modules(self, program: str, files: list[Fragment]) -> None:
        self.stage(program, files)
        for fragment in files:
            for module, number in listed(fragment):
                self.machine.load(module, program, fragment.path, number)

    def scripts(self, program: str, files: list[Fragment]) -> None:
        self.stage(program, files)
        for fragment in files:
            for call in script(fragment.text):
                self.machine.call(Told(call, fragment.path, call.line), program)


def init_of(tree: Tree) -> str:
    """systemd, upstart, initscripts (RHEL 6 and 5), openrc, sysv, or unknown, by what is in the tree."""
    if tree.exists("/etc/rc.d/rc.sysinit"):
        return "initscripts"
    first = tree.resolve("/sbin/init") or tree.resolve("/usr/sbin/init") or ""
    unit = "systemd/system/systemd-sysctl.service"
    if first.endswith("/systemd") or (not first and any(tree.exists(f"{lib}/{unit}") for lib in ("/usr/lib", "/lib"))):
        return "systemd"
    if tree.exists("/etc/runlevels") or tree.exists("/sbin/openrc"):
        return "openrc"
    if tree.exists("/etc/init/procps.conf") or tree.exists("/etc/init/rc-sysinit.conf"):
        return "upstart"
    return "sysv" if tree.exists("/etc/init.d") else "unknown"


def _masked(tree: Tree, unit: str) -> bool:
    return any(tree.resolve(f"{folder}/{unit}.service") == "/dev/null" for folder in boot_services.UNIT_FOLDERS[:2])


def _systemd(going: _Going, tree: Tree) -> None:
    if _masked(tree, "systemd-modules-load"):
        going.stage("systemd-modules-load", note="the unit is masked, so it loads nothing")
    else:
        going.modules("systemd-modules-load", tree.fragments(LOAD_FOLDERS))
    if _masked(tree, "systemd-sysctl"):
        going.stage("systemd-sysctl", note="the unit is masked, so no file of settings is applied")
    else:
        going.settings("systemd-sysctl", boot_settings.of_systemd(tree), "systemd")
    _coldplug(going, tree)
    boot_services.firewalls(going.machine, going.init)


def _coldplug(going: _Going, tree: Tree) -> None:
    """udev is told once more of the modules that came before it, at no fixed time beside systemd-sysctl.

    [systemd-udev-trigger.service: udevadm trigger --type=all, which names modules too]
    """
    going.stage("systemd-udev-trigger")
    for module in tuple(going.machine.loaded):
        for told in udev_calls(tree, module):
            going.machine.call(told, "systemd-udev-trigger", certain=False, owner="a rule of udev")


def _modules_file(tree: Tree, script_paths: tuple[str, ...]) -> list[Fragment]:
    own = tree.fragment("/etc/modules")
    files = [own] if own else []
    if any("modules-load.d" in (tree.text(path) or "") for path in script_paths):
        files += [one for one in tree.fragments(LOAD_FOLDERS) if tree.resolve(one.path) != "/etc/modules"]
    return files


def _upstart(going: _Going, tree: Tree) -> None:
    """Ubuntu to 14.10. [/etc/init/procps.conf: start on virtual-filesystems or static-network-up]"""
    job = tree.text("/etc/init/procps.conf") or ""
    files = boot_settings.of_folder_then_conf(tree)
    going.settings("procps, at virtual-filesystems", files, "line by line")
    jobs = ("/etc/init/kmod.conf", "/etc/init/module-init-tools.conf")
    going.modules("module-init-tools", _modules_file(tree, jobs))
    boot_services.firewalls(going.machine, going.init)
    if "static-network-up" in job:
        going.settings("procps, at static-network-up", files, "line by line")


def _initscripts(going: _Going, tree: Tree) -> None:
    """RHEL 6 and 5. [initscripts: rc.sysinit applies the settings, loads /etc/sysconfig/modules, applies them again;
    the iptables script starts before the network's, which applies them once more]
    """
    files = boot_settings.of_initscripts(tree)
    going.settings("rc.sysinit, before udev", files, "line by line")
    folder = "/etc/sysconfig/modules"
    names = [name for name in tree.names(folder) if name.endswith(".modules") and tree.executable(f"{folder}/{name}")]
    found = [tree.fragment(f"{folder}/{name}") for name in names]
    if tree.executable("/etc/rc.modules"):
        found.append(tree.fragment("/etc/rc.modules"))
    going.scripts("rc.sysinit, modules", [fragment for fragment in found if fragment is not None])
    going.settings("rc.sysinit", files, "line by line")
    boot_services.firewalls(going.machine, going.init)
    if boot_services.enabled(tree, going.init, "network"):
        going.settings("network", files, "line by line")


def _sysv(going: _Going, tree: Tree) -> None:
    """Debian to 7 and Devuan. [procps' /etc/init.d/procps: Should-Start: udev module-init-tools]"""
    scripts = ("/etc/init.d/kmod", "/etc/init.d/module-init-tools")
    going.modules("kmod", _modules_file(tree, scripts))
    text = tree.text("/etc/init.d/procps") or ""
    if "--system" in text:
        going.settings("procps", boot_settings.of_procps(tree), "procps")
    else:
        going.settings("procps", boot_settings.of_folder_then_conf(tree), "line by line")
    boot_services.firewalls(going.machine, going.init)


def _openrc(going: _Going, tree: Tree) -> None:
    """Alpine and Gentoo. Both services must be in a runlevel, or nothing is loaded and applied."""
    own = [fragment for fragment in [tree.fragment("/etc/modules")] if fragment is not None]
    names = [fragment for folder in LOAD_FOLDERS if "local" not in folder for fragment in tree.fragments((folder,))]
    if boot_services.enabled(tree, "openrc", "modules"):
        going.modules("modules", own + names)
    else:
        going.stage(
            "modules", note="the service modules is in no runlevel, so it loads nothing (rc-update add modules boot)"
        )
    if not boot_services.enabled(tree, "openrc", "sysctl"):
        note = "the service sysctl is in no runlevel, so no file of settings is applied (rc-update add sysctl boot)"
        going.stage("sysctl", note=note)
    elif "/usr/lib/sysctl.d" in (tree.text("/etc/init.d/sysctl") or "") or tree.exists("/etc/alpine-release"):
        going.settings("sysctl", boot_settings.of_alpine(tree), "line by line")
    else:
        going.settings("sysctl", boot_settings.of_procps(tree), "procps")
    boot_services.firewalls(going.machine, going.init)


_WAYS = {"systemd": _systemd, "upstart": _upstart, "initscripts": _initscripts, "sysv": _sysv, "openrc": _openrc}


def _command_line(machine: Machine, tree: Tree) -> None:
    """Parameters on the kernel's command line: of modules, and from 5.8 ``sysctl.`` ones (kernel-parameters)."""
    words = (tree.text("/proc/cmdline") or "").split()
    for word in words:
        name, mark, value = word.partition("=")
        found = re.fullmatch(r"(nf_conntrack|ip_conntrack)\.(\w+)", name)
        if found and mark:
            machine.set(name, value, "modprobe", "/proc/cmdline", 1, why="parameter of the kernel's command line")
        elif name.startswith("sysctl.") and mark:
            machine.set(name.removeprefix("sysctl."), value, "kernel", "/proc/cmdline", 1)


def simulate(
    tree: Tree,
    keys: Collection[str],
    *,
    init: str = "",
    kernel: KernelVersion | None = None,
    builtin: bool = False,
    late: Collection[str] = (),
) -> Boot:
    """Go through the boot of ``tree``, following the settings ``keys`` (any spelling).

    ``builtin``: tracking is compiled into the kernel. ``init`` as :func:`init_of` names them; found in the tree where
    it is empty. ``late`` are modules that something unseen loads after everything else.
    """
    found = init_of(tree)
    # RHEL 6 runs upstart, and rc.sysinit does the work.
    init = found if init in ("", "unknown") or found == "initscripts" else init
    udev = init != "openrc" or any(boot_services.enabled(tree, init, name) for name in ("udev", "eudev"))
    machine = Machine(tree, keys, kernel, builtin=builtin, udev=udev)
    if init in ("upstart", "initscripts", "openrc"):  # procps before 3.3.17, or busybox
        machine.single = "line by line"
    going = _Going(machine, init)
    _command_line(machine, tree)
    way = _WAYS.get(init)
    if way is None:
        going.stage("unknown", note=f"how {init} applies settings is not known here")
    else:
        way(going, tree)
    early = len(machine.writes)
    boot_services.services(machine, init)
    machine.at = "later"
    for module in late:
        machine.load(module, "whatever needs it")
    endings = tuple(_ending(machine, key, early) for key in machine.keys)
    return Boot(init, tuple(going.stages), tuple(machine.loads), endings, tuple(dict.fromkeys(tree.holes)))


def _ending(machine: Machine, key: str, early: int) -> Ending:
    writes = tuple(write for write in machine.writes if write.key == key)
    by = machine.values.get(key)
    value = by.value if by is not None else None
    after = [write for write in machine.writes[early:] if write.key == key and write.owner and write is not by]
    after += [write for write in machine.writes[:early] if write.key == key and write.owner and write is not by]
    later = tuple(write for write in after if write.reached and (write.value is None or write.value != value))
    return Ending(key, value, _why(machine, key, by, writes), by, writes, later)


def place(write: Write) -> str:
    """Where a write stands, for a person."""
    if not write.file:
        return write.program
    file = shown(write.file)
    return f"{file}:{write.line}" if write.line else file


def shown(text: str) -> str:
    """A name or value out of somebody's file, in one line of plain characters."""
    return text if text.isprintable() and len(text) <= 200 else ascii(text[:200])


def _why(machine: Machine, key: str, by: Write | None, writes: tuple[Write, ...]) -> str:
    lost = [write for write in writes if not write.reached and write.value is not None]
    if by is None:
        maybe = [write for write in writes if write.reached]
        if maybe:
            return f"not sure: {maybe[-1].program} ({place(maybe[-1])}): {maybe[-1].why or 'it depends'}"
        if lost:
            return f"the kernel's own value: {place(lost[-1])} came too early or to nothing ({lost[-1].why})"
        if not machine.there(key):
            return "no file sets it, and nothing seen here loads its module at boot"
        return "the kernel's own value: no file sets it"
    before = writes[: writes.index(by)]
    others = [write for write in before if write.certain and write.value != by.value]
    text = f"{by.program} sets it last, from {place(by)}" if by.file else f"{by.program} sets it last"
    if by.why:
        text += f" ({by.why})"
    if others:
        other = others[-1]
        text += (
            f"; {place(other)} set {other.value} before"
            if other.reached
            else f"; {place(other)} does not count, as {other.why}"
        )
    return text


def tree_of(root: str | Path = "/", planned: Mapping[str, str] | None = None) -> Tree:
    """The files below ``root`` with planned ones in thought."""
    return Tree(root, planned)
