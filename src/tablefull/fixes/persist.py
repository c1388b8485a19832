"""What makes a fix last over a restart: files of ours where this distribution reads them, checked by simulating boot.

The trap: a file of settings is read before the module that brings the settings. So beside it stands what applies it
when the module comes (a list of modules to load early, a udev rule, or a line for modprobe), and before any of it is
offered, the boot is gone through with these files in thought: what the plan promises is what ``boot.py`` says.
"""

from collections.abc import Iterable

from msgspec import Struct

from tablefull.facts.origin import Hole
from tablefull.fixes import dialect, persist_rules
from tablefull.fixes.act import Act, Command, Commanded, Flush, HostPlan, SetValue, Step
from tablefull.fixes.boot import Boot, Ending, place, shown, simulate
from tablefull.fixes.boot_machine import Write, identity_of
from tablefull.fixes.boot_modules import by_busybox, carriers, udev_is_late
from tablefull.fixes.boot_tree import Tree
from tablefull.fixes.live_host import LiveHost
from tablefull.fixes.persist_files import NotOurs, head, own_file
from tablefull.kernel import identity, sysctls
from tablefull.kernel.modules import CORE_MODULES

# Between the vendor's files and whatever a person puts last; and, where somebody else's line would win, behind it.
_RANKS = ("90", "99", "zz")
_PROC, _SYS = "/proc/sys/", "/sys/module/"


class Persistence(Struct, frozen=True):
    """The steps that make a plan last, and what a person must know of it."""

    steps: tuple[Step, ...] = ()
    told: tuple[str, ...] = ()


def steps(plan: HostPlan, host: LiveHost) -> tuple[Step, ...]:
    """The steps that make this plan last here; empty where nothing can or need be written (:func:`warnings`)."""
    return persistence(plan, host).steps


def warnings(plan: HostPlan, host: LiveHost) -> tuple[str, ...]:
    """What a person must know of a plan that is to last: who writes the setting again, what is not in our hands."""
    return persistence(plan, host).told


def persistence(plan: HostPlan, host: LiveHost) -> Persistence:
    """Both, made once."""
    acts = [act for step in plan.steps if step.when == "now" and not step.persists for act in step.acts]
    values = {act.path: act.after for act in acts if isinstance(act, SetValue)}
    rules = [act for act in acts if isinstance(act, Commanded) and persist_rules.is_rule(act)]
    told = _only_told(plan, host, acts, values)
    if told is not None:
        return Persistence(told=told)
    try:
        found = [_settings(plan.fix, host, values)] if values else []
        found += [persist_rules.step(plan.fix, host, rules)] if rules else []
    except NotOurs as reason:
        return Persistence(told=(f"nothing is written to make it last: {reason}",))
    lasting = tuple(step for one in found for step in one[0])
    return Persistence(lasting, tuple(line for one in found for line in one[1]))


def _only_told(plan: HostPlan, host: LiveHost, acts: list[Act], values: dict[str, str]) -> tuple[str, ...] | None:
    """What is said instead of writing anything; None where something is to be written."""
    if plan.netns is not None or host.is_first_namespace() is False:
        return (
            (
                "a network namespace is made anew at every start, so what makes it must set this: no boot reads a file "
                "for it"
            ),
        )
    kin = dialect.family(host.situation)
    if kin == "nixos":
        named = {sysctls.canonical(path): int(value) for path, value in values.items() if value.isdecimal()}
        lines = dialect.persist_sysctls(host.situation, named) + dialect.persist_order(host.situation)
        return (*lines, "the files of /etc are made from that configuration, so no file is written")
    if not values and not any(isinstance(act, Commanded) and persist_rules.is_rule(act) for act in acts):
        if any(isinstance(act, Flush) for act in acts):
            return ("entries are taken out once: there is nothing that could last",)
        return ()
    return None


def key_of(path: str) -> str:
    """The key of a file of settings for a file below /proc/sys; with slashes where a part holds a dot."""
    parts = path.removeprefix(_PROC).split("/")
    return "/".join(parts) if any("." in part for part in parts) else ".".join(parts)


class _Wanted(Struct, frozen=True):
    """Files that would make these values last: settings, options, modules to load."""

    settings: dict[str, str]
    options: dict[str, dict[str, str]]


def _wanted(host: LiveHost, values: dict[str, str]) -> _Wanted:
    settings: dict[str, str] = {}
    options: dict[str, dict[str, str]] = {}
    for path, value in values.items():
        if path.startswith(_PROC):
            settings[key_of(path)] = value
        elif path.startswith(_SYS) and "/parameters/" in path:
            module, _, name = path.removeprefix(_SYS).partition("/parameters/")
            options.setdefault(module, {})[name] = value
    given = any("hashsize" in names for names in options.values())
    limit = host.path_of("nf_conntrack_max")
    if given and limit is not None and key_of(limit) not in settings:
        # Given at load, hashsize makes the limit eight times itself (KERNEL.md), so the limit in force is written too.
        now = host.value(limit)
        if now is not None:
            settings[key_of(limit)] = now
    return _Wanted(settings, options)


def _modules(host: LiveHost, wanted: _Wanted) -> tuple[str, ...]:
    """The modules whose coming brings these settings, where they are modules here."""
    found: list[str] = []
    for key in wanted.settings:
        needed = carriers(identity_of(key), host.kernel)
        if "nf_conntrack" in needed[:1] and host.builtin is True:
            continue
        # In /sys/module and not in /proc/modules: compiled in, and there before any file is read.
        found += [name for name in needed if name in host.modules or not host.proc.exists(f"sys/module/{name}")]
    return tuple(dict.fromkeys(found))


def _files(fix: str, host: LiveHost, wanted: _Wanted, rank: str, udev: bool) -> dict[str, str]:
    """The texts by path. The first line says whose they are."""
    first = head(fix)
    found: dict[str, str] = {}
    path = f"/etc/sysctl.d/{rank}-tablefull-{fix}.conf"
    modules = _modules(host, wanted)
    if wanted.settings:
        lines = [f"{key} = {value}" for key, value in wanted.settings.items()]
        found[path] = "\n".join((first, *lines)) + "\n"
    probe: list[str] = [
        f"options {module} " + " ".join(f"{name}={value}" for name, value in names.items())
        for module, names in wanted.options.items()
    ]
    early = dialect.tracker(host.situation)
    by_udev = udev and udev_is_late(host.kernel) is True
    tracking = [module for module in modules if module in CORE_MODULES or module.startswith("nf_conntrack")]
    # Nothing applies a file when the module comes: then it comes first, and the file after it.
    first_all = not by_udev and by_busybox(Tree(host.proc.root))
    if first_all and modules:
        found[f"/etc/modules-load.d/tablefull-{fix}.conf"] = "\n".join((first, *modules)) + "\n"
    elif tracking and (by_udev or persist_rules.init_here(host) == "openrc"):
        # From 4.14 a loaded module tracks nothing by itself, so loading it early costs nothing but its memory.
        found[f"/etc/modules-load.d/tablefull-{fix}.conf"] = f"{first}\n{early}\n"
    if modules and by_udev:
        rules = [dialect.reload_text(module, path) for module in modules]
        found[f"/etc/udev/rules.d/90-tablefull-{fix}.rules"] = "\n".join((first, *rules)) + "\n"
    elif modules and not first_all:
        probe += [install_line(module, path) for module in modules]
    if probe:
        found[f"/etc/modprobe.d/tablefull-{fix}.conf"] = "\n".join((first, *probe)) + "\n"
    return found


def install_line(module: str, path: str) -> str:
    """modprobe.d's line by which whoever loads the module applies the settings too, before it goes on.

    For hosts without udev and for kernels up to 5.10, whose udev hears of a module before its settings are there.
    """
    return (
        f"install {module} /sbin/modprobe --ignore-install {module} $CMDLINE_OPTS && "
        f"{{ /sbin/sysctl -q -e -p {path} >/dev/null 2>&1 || :; }}"
    )


def _settings(fix: str, host: LiveHost, values: dict[str, str]) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    wanted = _wanted(host, values)
    told: list[str] = []
    if wanted.options and host.builtin is True:
        words = " ".join(
            f"{module}.{key}={value}" for module, names in wanted.options.items() for key, value in names.items()
        )
        told.append(f"tracking is compiled into this kernel: put {words} on its command line (boot loader) yourself")
        wanted = _Wanted(wanted.settings, {})
    if not wanted.settings and not wanted.options:
        return (), tuple(told)
    root, init = host.proc.root, persist_rules.init_here(host)
    plain = Tree(root)
    udev = init in ("systemd", "upstart", "sysv", "initscripts") or plain.exists("/etc/runlevels/sysinit/udev")
    keys = [*wanted.settings, *(f"{module}.{name}" for module, names in wanted.options.items() for name in names)]
    goal = {identity_of(key): value for key, value in wanted.settings.items()}
    goal |= {
        identity_of(f"{module}.{name}"): value
        for module, names in wanted.options.items()
        for name, value in names.items()
    }

    def gone_through(planned: dict[str, str]) -> Boot:
        return simulate(
            Tree(root, planned), keys, init=init, kernel=host.kernel, builtin=host.builtin is True, late=coming
        )

    coming = _modules(host, wanted) or tuple(wanted.options)
    tries = [(files, gone_through(files)) for files in (_files(fix, host, wanted, rank, udev) for rank in _RANKS)]
    files, boot = next(((files, boot) for files, boot in tries if _holds(boot, goal)), tries[0])
    today = gone_through({})
    acts = tuple(own_file(host, path, text) for path, text in files.items())
    step = Step(
        title="Have it last over a restart",
        before="; ".join(_says(ending) for ending in today.endings),
        after="; ".join(_says(ending) for ending in boot.endings),
        scope="host",
        acts=acts,
        risk=_risk(host, files),
        undo=f"{', '.join(files)}: taken away",
        verify=tuple(Command(("cat", path)) for path in files),
        persists=True,
        when="confirmed",
    )
    return (step,), (*told, *_warned(boot, goal, files), *_family(host))


def _holds(boot: Boot, goal: dict[str, str]) -> bool:
    return all(_same(ending.value, goal.get(ending.key)) for ending in boot.endings)


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one.split() == other.split()


def _says(ending: Ending) -> str:
    if ending.value is None:
        return f"{ending.key} after a restart: {ending.why}"
    return f"{ending.key} = {ending.value} after a restart: {ending.why}"


def _warned(boot: Boot, goal: dict[str, str], files: dict[str, str]) -> Iterable[str]:
    """What a person must do or know: who wins over our file, who writes later, what could not be seen."""
    for ending in boot.endings:
        value = goal.get(ending.key)
        if not _same(ending.value, value):
            if ending.by is not None and ending.by.file not in files:
                yield f"{ending.key} will not last as it is: change {place(ending.by)} to {value} ({ending.why})"
            else:
                yield f"{ending.key}: {ending.why}"
        for write in _once(ending.later):
            if not _same(write.value, value) or not write.certain:
                what = "its own value" if write.value is None else shown(write.value)
                yield f"{write.owner} may set {ending.key} to {what} later: {write.why or place(write)}" + (
                    f" ({place(write)})" if write.file and write.why else ""
                )
        others = [
            write for write in ending.writes if write.file and write.file not in files and not _same(write.value, value)
        ]
        for write in _once(others):
            if _same(ending.value, value) and not write.owner and write.value is not None:
                yield f"{place(write)} says {shown(write.value)} and no longer counts: change or remove that line"
    for stage in boot.stages:
        if stage.note:
            yield f"{stage.program}: {stage.note}"
    for hole in boot.holes:
        yield f"not seen: {hole.what} ({hole.why})"


def _once(writes: Iterable[Write]) -> Iterable[Write]:
    seen = set()
    for write in writes:
        mark = (write.owner, write.value, write.file, write.line)
        if mark not in seen:
            seen.add(mark)
            yield write


def _risk(host: LiveHost, files: dict[str, str]) -> str:
    text = "New files of ours alone; nobody's file is changed."
    if any(path.startswith("/etc/modules-load.d") for path in files):
        text += " The module is loaded at boot from now on" + (
            "; by itself it tracks nothing." if identity.at_least(host.kernel, 4, 14) is True else "."
        )
    if any("install " in text for path, text in files.items() if "/modprobe.d/" in path):
        text += " Whoever loads the module runs sysctl on our file too."
    return text


def _family(host: LiveHost) -> tuple[str, ...]:
    """What a kind of system wants besides, and what a restart of a firewall does to the settings."""
    kin, end = dialect.family(host.situation), dialect.front_end(host.situation)
    if kin == "coreos":
        return ("a machine that is built anew lacks these files: put them into its Ignition or Butane configuration",)
    if kin == "openwrt":
        return ("an upgrade of the firmware keeps these files only where they are named in /etc/sysupgrade.conf",)
    if end == "firewalld":
        text = host.proc.text("etc/firewalld/firewalld.conf")
        if isinstance(text, Hole) or "CleanupModulesOnExit=no" not in text:
            return (
                (
                    "firewalld may unload the modules when it stops, and their settings with them; ours are applied "
                    "again when they come back"
                ),
            )
    return ()
