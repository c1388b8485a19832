"""Which files of settings a boot reads, in which order, by which program, and what they assign.

The trap: the same files, three orders. systemd-sysctl never opens ``/etc/sysctl.conf`` (a link in sysctl.d does, in the
middle or at the end), procps reads it last, and the scripts of RHEL 6 read nothing else. A line that wins under one
loses under another.
"""

import fnmatch
import re
from collections.abc import Collection
from typing import Literal

from msgspec import Struct

from tablefull.fixes.boot_tree import Fragment, Tree

# systemd-sysctl: sysctl.d(5). procps: sysctl(8) of 4.0; the same folders, /etc/sysctl.conf after them.
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
CONF = "/etc/sysctl.conf"


class Entry(Struct, frozen=True):
    """One line of a file of settings: ``key`` with slashes; no ``value`` takes the key out of a pattern.

    ``minus``: a dash stands before the key, which only newer programs read as "never mind an error".
    """

    key: str
    value: str | None
    file: str
    line: int
    minus: bool = False

    @property
    def pattern(self) -> bool:
        """Whether the key holds ``*``, ``?`` or ``[``."""
        return any(mark in self.key for mark in "*?[")

    def names(self, key: str) -> bool:
        """Whether this line speaks of that key, part by part where it is a pattern."""
        if not self.pattern:
            return self.key == key
        own, other = self.key.split("/"), key.split("/")
        return len(own) == len(other) and all(fnmatch.fnmatchcase(b, a) for a, b in zip(own, other, strict=True))


def slashed(key: str) -> str:
    """A key with slashes between its parts: where the first separator is a dot, dots and slashes change places."""
    dot, slash = key.find("."), key.find("/")
    if dot >= 0 and (slash < 0 or dot < slash):
        key = key.translate({0x2E: "/", 0x2F: "."})
    return key.strip("/")


def entries(fragment: Fragment) -> list[Entry]:
    """The assignments of a file, in order (sysctl.d(5), sysctl.conf(5))."""
    found = []
    for number, line in fragment.lines:
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        key, mark, value = text.partition("=")
        negative = key.startswith("-")
        key = key.removeprefix("-").strip()
        if key and (mark or negative):
            found.append(Entry(slashed(key), value.strip() if mark else None, fragment.path, number, negative))
    return found


Way = Literal["systemd", "procps", "line by line"]


def merged(files: list[Fragment], way: Way = "systemd") -> list[Entry]:
    """What is written in the end where all files are read first, as systemd-sysctl and procps 4 do.

    The last assignment of a key stands; a pattern never touches a key that is assigned or taken out by name. A bare
    ``-key`` takes an earlier assignment back under systemd, and only keeps patterns off under procps.
    """
    last: dict[str, Entry] = {}
    for fragment in files:
        for entry in entries(fragment):
            if entry.value is None and way == "procps" and entry.key in last:
                continue
            last.pop(entry.key, None)
            last[entry.key] = entry
    return list(last.values())


def applied(files: list[Fragment], keys: Collection[str], way: Way) -> list[Entry]:
    """The writes to one setting in their order; ``keys`` are its names, with slashes.

    ``line by line``: procps before 3.3.17, busybox, and whatever else writes as it reads; these know no patterns and
    no dash.
    """
    if way == "line by line":
        every = (entry for fragment in files for entry in entries(fragment))
        return [entry for entry in every if entry.value is not None and entry.key in keys and not entry.minus]
    final = merged(files, way)
    named = {entry.key for entry in final if not entry.pattern}
    free = [key for key in keys if key not in named]
    return [
        entry
        for entry in final
        if entry.value is not None and any(entry.names(key) for key in (free if entry.pattern else keys))
    ]


_NUMBER = re.compile(r"(-?)(0[xX][0-9a-fA-F]+|\d+)(?:\s|$)")


def taken(value: str) -> str | None:
    """What a setting that holds one number takes of a text; None where the write is refused.

    A number ends at white space, and what follows is passed over: a comment behind a value does no harm, one that
    touches it does. Hexadecimal and octal are understood. [measured on 6.18: __do_proc_dointvec, proc_get_long]
    """
    found = _NUMBER.match(value.strip())
    if found is None:
        return None
    digits = found[2]
    octal = len(digits) > 1 and digits.isdecimal() and digits[0] == "0"
    if octal and any(digit in "89" for digit in digits):
        return None
    return f"{found[1]}{int(digits, 8 if octal else 0)}"


def of_systemd(tree: Tree) -> list[Fragment]:
    """The files of systemd-sysctl.service."""
    return tree.fragments(FOLDERS)


def of_procps(tree: Tree) -> list[Fragment]:
    """The files of ``sysctl --system``."""
    last = tree.fragment(CONF)
    return [*tree.fragments(FOLDERS, every=True), *([last] if last else [])]


def of_folder_then_conf(tree: Tree) -> list[Fragment]:
    """``/etc/sysctl.d/*.conf`` and then ``/etc/sysctl.conf``: Ubuntu's upstart job, Debian 6's script."""
    last = tree.fragment(CONF)
    return [*tree.fragments(("/etc/sysctl.d",)), *([last] if last else [])]


def of_alpine(tree: Tree) -> list[Fragment]:
    """Alpine's script: the vendor's folders, /etc/sysctl.d, /etc/sysctl.conf, /run/sysctl.d; each folder in its order.

    [alpinelinux/aports main/openrc/sysctl.initd] A name in /etc or /run takes the vendor's out, one in /run that of
    /etc.
    """
    run = tree.fragments(("/run/sysctl.d",))
    hidden = {fragment.name for fragment in run}
    own = [fragment for fragment in tree.fragments(("/etc/sysctl.d",)) if fragment.name not in hidden]
    hidden |= set(tree.names("/etc/sysctl.d"))
    vendor = [
        fragment
        for folder in ("/lib/sysctl.d", "/usr/lib/sysctl.d")
        for fragment in tree.fragments((folder,))
        if fragment.name not in hidden
    ]
    last = tree.fragment(CONF)
    return [*vendor, *own, *([last] if last else []), *run]


def of_initscripts(tree: Tree) -> list[Fragment]:
    """RHEL 6: /etc/sysctl.conf, and sysctl.d before it where this release's ``apply_sysctl`` reads that.

    [initscripts: /etc/rc.d/init.d/functions]
    """
    last = tree.fragment(CONF)
    functions = tree.text("/etc/rc.d/init.d/functions") or tree.text("/etc/init.d/functions") or ""
    files: list[Fragment] = []
    for folder in ("/usr/lib/sysctl.d", "/etc/sysctl.d"):
        if folder in functions:
            files += tree.fragments((folder,))
    return [*files, *([last] if last else [])]
