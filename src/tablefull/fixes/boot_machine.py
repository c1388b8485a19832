"""A machine that boots in thought: which modules are loaded, and what each setting holds after every step.

The trap: a setting whose module is not there. The write fails without a word that anybody reads, and when the module
comes, the setting begins with the kernel's own value. So every write is kept, with whether it reached anything.
"""

from collections.abc import Collection

from msgspec import Struct

from tablefull.fixes import boot_settings
from tablefull.fixes.boot_modules import Modprobe, Told, brings, carriers, modprobe, udev_calls, udev_is_late
from tablefull.fixes.boot_script import Call, calls_of, refuses
from tablefull.fixes.boot_settings import Entry, Way, applied, slashed, taken
from tablefull.fixes.boot_tree import Fragment, Tree
from tablefull.fixes.live_host import places
from tablefull.kernel import sysctls
from tablefull.kernel.identity import KernelVersion, at_least

_NUMBERS = ("nf_conntrack_", "net.bridge.bridge-nf-")


class Load(Struct, frozen=True):
    """A module's loading: when, and what asked for it. ``done`` is false where modprobe.d says no."""

    module: str
    at: str
    by: str
    file: str = ""
    line: int = 0
    done: bool = True


class Write(Struct, frozen=True):
    """One attempt to set a setting. ``value`` None: it cannot be told. ``reached``: the setting was there.

    ``certain`` is false where it depends on what a file does not show (a race, a condition, a program's own figures).
    ``owner`` is whose habit it is (``docker``), empty for the boot's own files.
    """

    key: str
    value: str | None
    at: str
    program: str
    file: str
    line: int
    reached: bool
    certain: bool = True
    owner: str = ""
    why: str = ""


def identity_of(name: str) -> str:
    """One name for a setting, whatever its spelling; the two names of the bucket count are one."""
    found = sysctls.canonical(name)
    return "nf_conntrack_buckets" if found == "hashsize" else found


class Machine:
    """A boot of ``tree`` on this kernel; only the settings in ``keys`` are followed.

    ``builtin``: tracking is compiled in. ``udev``: whether a udev daemon runs.
    """

    def __init__(
        self,
        tree: Tree,
        keys: Collection[str],
        kernel: KernelVersion | None,
        *,
        builtin: bool = False,
        udev: bool = True,
    ) -> None:
        self.tree, self.kernel, self.builtin, self.udev = tree, kernel, builtin, udev
        self.keys = tuple(dict.fromkeys(identity_of(key) for key in keys))
        self.loaded: dict[str, Load] = {}
        self.loads: list[Load] = []
        self.writes: list[Write] = []
        self.values: dict[str, Write] = {}
        self.at = "kernel"
        # How ``sysctl -p FILE`` reads here: procps from 3.3.17 on reads all before it writes.
        self.single: Way = "procps"
        self._loading: set[str] = set()
        self._modprobe: Modprobe = modprobe(tree)
        self._paths = {key: self._names(key) for key in self.keys}

    def _names(self, key: str) -> tuple[str, ...]:
        """The names below /proc/sys that lead to this setting on this kernel."""
        names = [path.removeprefix("/proc/sys/") for path in places(key) if path.startswith("/proc/sys/")]
        if at_least(self.kernel, 4, 9) is True:  # the ip_ names went [standalone 4.9]
            names = [name for name in names if "ip_conntrack" not in name]
        return tuple(names)

    def there(self, key: str) -> bool:
        """Whether the setting exists now."""
        needed = carriers(key, self.kernel)
        if not needed or (self.builtin and not key.startswith("net.bridge")):
            return True
        return any(module in self.loaded for module in needed)

    def set(
        self,
        key: str,
        value: str | None,
        program: str,
        file: str,
        line: int,
        *,
        certain: bool = True,
        owner: str = "",
        why: str = "",
    ) -> None:
        """Write to a setting that is followed; others are passed over."""
        key = identity_of(key)
        if key not in self._paths:
            return
        reached = self.there(key)
        if not reached and not why:
            why = f"{carriers(key, self.kernel)[0]} is not loaded yet, so the setting is not there"
        by_sysctl = key == "nf_conntrack_buckets" and program != "modprobe" and "/sys/module" not in why
        if by_sysctl and reached and sysctls.writable(key, self.kernel).value is False:
            reached, why = False, "this kernel shows the bucket count and lets nobody write it there"
        if value is not None and key.startswith(_NUMBERS):
            number = taken(value)
            if number is None:
                reached, why = False, f"the kernel refuses {value[:40]!r}: no number"
            value = value if number is None else number
        write = Write(key, value, self.at, program, file, line, reached, certain, owner, why)
        self.writes.append(write)
        if reached and certain:
            self.values[key] = write

    def apply(
        self,
        files: list[Fragment],
        program: str,
        *,
        way: Way,
        prefix: str = "",
        certain: bool = True,
        owner: str = "",
    ) -> None:
        """A program applies these files; ``prefix`` (with slashes) limits it to the keys below."""
        found: list[tuple[Entry, str]] = []
        for key, names in self._paths.items():
            wanted = [name for name in names if name.startswith(slashed(prefix))] if prefix else list(names)
            found += [(entry, key) for entry in applied(files, wanted, way)]
            if way != "line by line" and found and found[-1][1] == key:
                self._overruled(files, wanted, key, program, found[-1][0])
        for entry, key in found:
            self.set(key, entry.value, program, entry.file, entry.line, certain=certain, owner=owner)

    def _overruled(self, files: list[Fragment], names: list[str], key: str, program: str, last: Entry) -> None:
        """Lines that a program reads and does not write, as a later one stands for the same key."""
        why = f"{last.file}:{last.line} sorts later and sets it again"
        for entry in applied(files, names, "line by line"):
            if entry != last:
                self.writes.append(
                    Write(key, entry.value, self.at, program, entry.file, entry.line, False, True, "", why)
                )

    def load(self, module: str, by: str, file: str = "", line: int = 0) -> None:
        """Load a module with what it brings; what modprobe.d and udev make of it happens too."""
        module = module.replace("-", "_")
        if module in self.loaded or module in self._loading:
            return
        self._loading.add(module)
        before, after = self._modprobe.soft.get(module, ([], []))
        for other in (*before, *brings(module, self.kernel)):
            self.load(other, by if other in before else f"{by}, through {module}", file, line)
        rest = self._modprobe.install.get(module)
        if rest is not None and refuses(rest[0]):
            self.loads.append(Load(module, self.at, by, rest[1], rest[2], done=False))
            self._loading.discard(module)
            return
        missing = [other for other in brings(module, self.kernel) if other not in self.loaded and not self.builtin]
        if missing:
            self.loads.append(Load(module, self.at, f"{by}; needs {missing[0]}", file, line, done=False))
            self._loading.discard(module)
            return
        self.loaded[module] = Load(module, self.at, by, file, line)
        self.loads.append(self.loaded[module])
        self._options(module)
        if rest is not None:
            for call in calls_of(rest[0], rest[2]):
                self.call(Told(call, rest[1], rest[2]), "modprobe, install line")
        if self.udev:
            late = udev_is_late(self.kernel)
            for told in udev_calls(self.tree, module):
                # A race on old kernels: called certain only where the setting is sure to be there.
                self.call(told, "udev", certain=late is True)
        self._loading.discard(module)
        for other in after:
            self.load(other, f"{by}, softdep of {module}", file, line)

    def _options(self, module: str) -> None:
        last: dict[str, tuple[str, str, int]] = {}
        for name, value, file, line in self._modprobe.options.get(module, ()):
            last[name] = (value, file, line)
        for name, (value, file, line) in last.items():
            self.set(f"{module}.{name}", value, "modprobe", file, line, why=f"option of {module}")
            if name == "hashsize" and value.isdecimal():
                # [nf_conntrack_init_start: eight times the buckets where hashsize was given]
                self.set(
                    "nf_conntrack_max", str(8 * int(value)), "kernel", file, line, why="eight times the given hashsize"
                )

    def unload(self, module: str, by: str, file: str = "", line: int = 0) -> None:
        """Unload: what hangs on the module begins anew when it comes back."""
        if self.loaded.pop(module, None) is None:
            return
        for key in self.keys:
            if not self.there(key) and self.values.pop(key, None) is not None:
                why = f"{module} is unloaded, and the value with it"
                self.writes.append(Write(key, None, self.at, by, file, line, True, False, by, why))

    def call(self, told: Told, program: str, *, certain: bool = True, owner: str = "") -> None:
        """Do what a line does. A race of udev is told where its write is not certain."""
        call: Call = told.call
        race = "" if certain or program != "udev" else "udev may come before the module's settings are there (to 5.10)"
        if call.kind == "load":
            self.load(call.what, program, told.file, told.line)
        elif call.kind == "unload":
            self.unload(call.what, program, told.file, told.line)
        elif call.kind == "file":
            fragment = self.tree.fragment(call.what)
            if fragment is not None:
                self._file(fragment, program, certain, owner, race)
        elif call.kind == "system":
            self.apply(boot_settings.of_procps(self.tree), program, way="procps", certain=certain, owner=owner)
        elif call.kind == "systemd":
            files = boot_settings.of_systemd(self.tree)
            self.apply(files, program, way="systemd", prefix=call.what, certain=certain, owner=owner)
        elif call.kind == "set":
            why = race or ("through /sys/module" if "/sys/module" in call.what else "")
            self.set(call.what, call.value, program, told.file, told.line, certain=certain, owner=owner, why=why)

    def _file(self, fragment: Fragment, program: str, certain: bool, owner: str, race: str) -> None:
        for key, names in self._paths.items():
            for entry in applied([fragment], names, self.single):
                self.set(key, entry.value, program, entry.file, entry.line, certain=certain, owner=owner, why=race)
