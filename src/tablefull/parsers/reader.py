"""A paste, a file or a bundle into one snapshot: each line goes to the parser that claims it, each fact to its host.

The trap: what nobody claims is prose, and prose is evidence too. It is kept line by line, searched for quantities,
and only what looks like machine output and was claimed by nobody is reported as unread.
"""

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Protocol, cast

from tablefull.facts.entry import Composition, Entry
from tablefull.facts.host import KernelRelease
from tablefull.facts.kernel_log import LogLine
from tablefull.facts.origin import Fact, Origin
from tablefull.facts.snapshot import HostFacts, Snapshot, Unread
from tablefull.parsers import hosts, prompt, sysctl
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.clean import clean
from tablefull.parsers.pattern import lazy
from tablefull.parsers.registry import ROWS, Row

ANONYMOUS = "this host"
BROKE = "the parser of this format broke on it"
MAX_HOSTS = 500  # named apart in one reading; what later ones say goes to the last of them
MAX_UNREAD = 100  # reported in full; more are counted in one closing line
MAX_PROSE = 4000  # lines of prose of one host that are kept and searched: nobody writes more
_OTHER_SETTING = lazy(r"\s{0,4}[a-z][\w-]{0,40}(?:\.[\w@:/-]{1,60}){1,8}\s{0,4}=\s")
_STAMPED = lazy(r"(?:<\d{1,3}>)?\[\s{0,8}\d{1,9}\.\d{3,9}\]|.{0,80}\skernel:\s\[\s{0,8}\d{1,9}\.\d{3,9}\]")
# What a kernel message must hold to be searched for phrases; a boot log is full of words that mean something else.
_TELLING = (
    "conntrack", "nf_ct", "nf_nat", "nf_tables", "xt_", "x_tables", "ip_tables", "Route cache", "link up",
    "link becomes",    "Link is", "WARNING: CPU", "cut here", "BUG:", "bridge", "SYN", "TCP", "arp",
)  # fmt: skip
_MACHINE = lazy(r"\s{0,8}(?:[\w./-]{2,80}\s{0,8}[=:]\s{0,8}-?\d[\d.]*$|\[\s{0,8}\d{1,9}\.\d{3,9}\]\s\S*conntrack)")
_CONFIGURATION = (
    "sysctl.conf",
    "sysctl.d",
    "modprobe.d",
    "boot.kernel",
    ".conf contains",
    "cloud-init",
    "user-data",
    "userdata",
)
# Characters below which a line without a sign of its own matches no hint; a test compares it with the registry.
_SHORT = 4
# Options of an iptables command line that change rules; one that only lists says nothing by itself.
_WRITING = (" -A ", " -I ", " -D ", " -P ", " --append ", " --insert ", " --delete ", " --policy ")
_LOCAL = frozenset(("localhost", "", "(none)", "kernel"))


def _may_begin(row: Row, text: str, where: str) -> bool:
    for hint in row.hints:
        if hint in text:
            return True
    if where:
        for command in row.commands:
            if command in where:
                return True
    return False


class Parser(Protocol):
    """A module of this folder."""

    def read(self, lines: Sequence[Line], at: int, context: Context) -> Read | None:
        """See ``parsers.block``."""


class Reader:
    """Reads documents one after the other into ``snapshot``."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.snapshot = snapshot if snapshot is not None else Snapshot()
        self._parsers: dict[str, Parser] = {}
        self._host: HostFacts | None = None
        self._named: dict[str, HostFacts] = {host.name.lower(): host for host in self.snapshot.hosts}
        self._crowded = False
        self._has_nodename: set[int] = set()
        self._nodenames: dict[str, HostFacts] = {}
        self._placed: dict[str, HostFacts] = {}
        self._first: HostFacts | None = None  # the machine a paste begins with before it names any
        # whose prompt comes back after ``ssh machine command``
        self._back = False
        self._after: HostFacts | None = None

    # -- hosts

    def _current(self) -> HostFacts:
        if self._host is None:
            self._host = self._first = self._add(ANONYMOUS, "unknown")
        return self._host

    def _add(self, name: str, role: str) -> HostFacts:
        if len(self.snapshot.hosts) >= MAX_HOSTS:
            if not self._crowded:
                self._crowded = True
                why = f"more than {MAX_HOSTS} machines are named; what later ones say is kept with {name}'s predecessor"
                self.snapshot.unread.append(Unread(Origin("-", 0, name), why))
            return self.snapshot.hosts[-1]
        host = HostFacts(name=name, role=role)
        self.snapshot.hosts.append(host)
        self._named[name.lower()] = host
        return host

    def _rename(self, host: HostFacts, name: str, role: str | None = None) -> None:
        self._named.pop(host.name.lower(), None)
        host.name = name
        if role and host.role == "unknown":
            host.role = role
        self._named[name.lower()] = host

    def _enter(self, place: hosts.Place) -> None:
        """Go over to the machine a heading names.

        A paste often begins with evidence of a machine it names only later, so the first role without a label of its
        own, other than a guest's, is that first machine.
        """
        self._back = False
        known = self._placed.get(place.key) or self._named.get(place.name.lower())
        if known is None:
            known = self._joined(place) or self._add(place.name, place.role)
        if known.role == "unknown":
            known.role = place.role
        self._placed[place.key] = self._host = known

    def _joined(self, place: hosts.Place) -> HostFacts | None:
        """The machine that was there before it was named so; None where the place is another one."""
        current, first = self._host, self._first
        if current is not None and current.name == ANONYMOUS:
            empty = not current.facts and current.composition is None
            if place.role in hosts.SAME_MACHINE or empty:
                self._rename(current, place.name, place.role)
                return current
        if first is None or place.labelled or place.role not in hosts.SAME_MACHINE or first in self._placed.values():
            return None
        if place.role in ("dom0", "hypervisor") or first.name == ANONYMOUS:
            self._rename(first, place.name, place.role)
        return first

    def _nodename(self, name: str) -> HostFacts:
        """The host that calls itself ``name``; the current one where it has not said its name yet."""
        name = name.strip().rstrip(":")
        if name.lower() in _LOCAL:
            return self._current()
        known = self._nodenames.get(name) or self._named.get(name.lower())
        if known is None:
            known = self._current()
            if id(known) in self._has_nodename:
                container = len(name) == 12 and not name.strip("0123456789abcdef")
                known = self._add(name, "container" if container else "unknown")
            elif known.name == ANONYMOUS:
                self._rename(known, name)
        self._nodenames[name] = known
        self._has_nodename.add(id(known))
        return known

    # -- lines

    def document(
        self, source: str, raw_lines: Iterable[str], *, host: str | None = None, path: str | None = None
    ) -> None:
        """Read one document. ``host`` and ``path`` are what a bundle states about it."""
        lines = clean(raw_lines)
        self.lines(source, lines, host=host, path=path)

    def lines(self, source: str, lines: Sequence[Line], *, host: str | None = None, path: str | None = None) -> None:
        """The same for lines already cleaned; their numbers may have gaps (a bulk reading left the rest out)."""
        if host is not None:
            self._host = self._named.get(host.lower()) or self._add(host, "unknown")
        context = Context(source, None, path)
        self.snapshot.lines += len(lines)
        last: Row | None = None
        at = 0
        while at < len(lines):
            line = lines[at]
            text = line.text
            if not text or text.isspace():
                at += 1
                continue
            read, last = self._claimed(lines, at, context, last)
            if read is not None:
                self._keep(read, context)
                at += max(read.used, 1)
                continue
            at += 1
            typed = prompt.prompt(text)
            if typed is not None:
                self._typed(typed, line, context)
                if "bridge" in typed.command:
                    from tablefull.parsers import bridge

                    self._current().facts.extend(bridge.none(lines, at, typed.command, context))
                continue
            shown = sysctl.heading(text)
            if shown is not None:
                context.command = shown
                if context.path is None:
                    self._current().typed.append(context.origin(line))
                continue
            introduced = None if self._crowded else hosts.place(text)
            if introduced is not None:
                self._enter(introduced)
            self._prose(line, context)

    def _claimed(
        self, lines: Sequence[Line], at: int, context: Context, last: Row | None
    ) -> tuple[Read | None, Row | None]:
        text = lines[at].text
        where = ""
        if context.command or context.path:
            where = f"{context.command or ''} {'/' + context.path.lstrip('/') if context.path else ''}"
        elif text.isdigit() or (len(text) < _SHORT and not ("=" in text or ":" in text or " " in text)):
            return None, None
        rows = ROWS if last is None else (last, *ROWS)
        for row in rows:
            if not _may_begin(row, text, where):
                continue
            parser = self._parsers.get(row.module)
            if parser is None:
                parser = cast(Parser, import_module(f"tablefull.parsers.{row.module}"))
                self._parsers[row.module] = parser
            read = self._parsed(parser, row, lines, at, context)
            if read is not None:
                return read, row
        return None, None

    def _parsed(self, parser: Parser, row: Row, lines: Sequence[Line], at: int, context: Context) -> Read | None:
        """What the parser says; a parser that breaks costs the one line it broke on, which is reported, and no more."""
        try:
            return parser.read(lines, at, context)
        except Exception as error:  # noqa: BLE001  whatever the defect is, the rest of the evidence is read
            return Read(1, [], [(lines[at], f"{BROKE} ({row.module}: {type(error).__name__}); please report the line")])

    def _typed(self, typed: prompt.Prompt, line: Line, context: Context) -> None:
        if self._back:
            self._host, self._back = self._after, False
        if typed.host is not None:
            self._host = self._nodename(typed.host)
        command = typed.command
        remote = prompt.over_ssh(command) if "ssh" in command else None
        if remote is not None:
            command = remote[1]
            self._go(remote[0], back=bool(command))
        context.command = command or None
        if context.path is not None:
            return
        host = self._current()
        if len(host.typed) < MAX_PROSE:
            host.typed.append(context.origin(line))
        host.facts.extend(sysctl.commanded(Line(line.number, command, line.raw), context))
        writes = "tables" in command and any(word in command for word in _WRITING)
        module = "kube_proxy" if "--conntrack-" in command else "iptables_save" if writes else None
        if module is not None:
            parser = cast(Parser, import_module(f"tablefull.parsers.{module}"))
            read = parser.read([Line(line.number, command, line.raw)], 0, context)
            if read is not None:
                self._keep(read, context)

    def _go(self, name: str, *, back: bool) -> None:
        """Go to another machine over ssh; ``back`` where the next prompt is this machine's again."""
        self._back, self._after = back, self._host
        there = self._nodenames.get(name) or self._named.get(name.lower()) or self._add(name, "unknown")
        self._nodenames[name] = self._host = there

    def _keep(self, read: Read, context: Context) -> None:
        host = self._current()
        entries = 0
        for fact in read.facts:
            if isinstance(fact, LogLine) and fact.host_name and not fact.quoted:
                host = self._nodename(fact.host_name)
                self._host = host
            elif isinstance(fact, KernelRelease) and fact.nodename:
                host = self._nodename(fact.nodename)
                self._host = host
            if isinstance(fact, Entry):
                if host.composition is None:
                    host.composition = Composition(first=fact.origin)
                host.composition.add(fact)
                entries += 1
                continue
            host.facts.append(fact)
        for line, why in read.unread:
            self._unread(line, context, why)

    def _prose(self, line: Line, context: Context) -> None:
        host = self._current()
        text = line.text
        stamped = text.startswith(("[", "<")) or "kernel: [" in text
        if ("=" in text and _OTHER_SETTING.match(text)) or (
            stamped and _STAMPED.match(text) and not any(word in text for word in _TELLING)
        ):
            return  # a setting or a kernel message about something else: read, and of no use here
        if len(text) < 400 and _MACHINE.match(text):
            self._unread(line, context, "looks like machine output; no parser knows this line")
            return
        if context.path is not None and "var/log/" not in context.path and "/logs/" not in context.path:
            return  # a file of a tree or a bundle is machine output: nobody tells anything in it
        if len(host.prose) >= MAX_PROSE:
            return
        host.prose.append(context.origin(line))
        configured = context.command is not None and context.command.startswith("configuration file")
        comment = configured and text.lstrip().startswith(("#", ";"))
        if not comment and (len(text.split(None, 4)) > 2 or text.endswith((":", "."))):
            lowered = text.lower() if len(text) < 200 else ""
            context.command = "configuration file" if any(word in lowered for word in _CONFIGURATION) else None
        host.facts.extend(mentions(line, context))

    def _unread(self, line: Line, context: Context, why: str) -> None:
        if len(self.snapshot.unread) < MAX_UNREAD:
            self.snapshot.unread.append(Unread(context.origin(line), why))


def mentions(line: Line, context: Context) -> list[Fact]:
    """Facts inside a sentence: quantities, kernel, distribution, memory, programs."""
    text = line.text
    lowered = text.lower()
    facts: list[Fact] = []
    if any(character.isdigit() for character in text):
        from tablefull.parsers import prose

        facts += prose.claims(line, context)
        if "kernel" in lowered or "linux" in lowered:
            from tablefull.parsers import uname

            facts += uname.mentions(line, context)
        if "ram" in lowered or "memory" in lowered or "gb" in lowered or "gib" in lowered:
            from tablefull.parsers import memory

            facts += memory.mentions(line, context)
    if any(name in lowered for name in _SYSTEMS):
        from tablefull.parsers import distribution

        facts += distribution.mentions(line, context)
    for module, names in _PROGRAMS:
        if any(name in lowered for name in names):
            parser = import_module(f"tablefull.parsers.{module}")
            facts += parser.mentions(line, context)
    return facts


# Programs whose versions, options and complaints stand in sentences too, and the words that name them.
_PROGRAMS = (
    ("cilium", ("cilium",)),
    ("kube_proxy", ("kube-proxy", "--conntrack-")),
    ("containers", ("docker", "kubernetes", "containerd", "podman", "lxd")),
)


_SYSTEMS = (
    "ubuntu",
    "debian",
    "centos",
    "red hat",
    "redhat",
    "rhel",
    "fedora",
    "suse",
    "sles",
    "alpine",
    "arch linux",
    "openwrt",
    "lede",
    "gentoo",
    "nixos",
    "coreos",
    "flatcar",
    "amazon linux",
    "bottlerocket",
    "rocky",
    "almalinux",
    "oracle linux",
    "xenserver",
    "xcp",
    "proxmox",
    "dd-wrt",
    "tomato",
    "asuswrt",
    "slackware",
    "raspbian",
    "photon",
)


def read_text(text: str, source: str = "-") -> Snapshot:
    """The snapshot of one text."""
    reader = Reader()
    reader.document(source, text.splitlines())
    return reader.snapshot
