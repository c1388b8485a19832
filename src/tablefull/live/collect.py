"""This machine's facts, read and left as they are: files, the output of programs that only look, and what could not
be seen.

The trap: looking changes things. Listing a table creates it, asking a subsystem loads its module, listing the whole
of a full table takes longer than the outage. So nothing is asked that is not there already (``live.parts``), no
program may load a module (``live.programs``), and of the table the first rows are read: the dump's order is a keyed
hash, so they are a fair sample (net/netfilter/nf_conntrack_netlink.c, ctnetlink_dump_table walks the buckets in
order).
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tablefull.facts.origin import Hole
from tablefull.facts.snapshot import Snapshot
from tablefull.live import kmsg, netns, parts, places, programs
from tablefull.live.collection import Artefact, Collection, Namespace, for_reader, host_name, place_of, with_key
from tablefull.live.proc import Proc, missing
from tablefull.live.programs import Ran, Run

SAMPLE_ROWS = 5000  # a share of 1 % is seen to within 0.3 % (two standard errors of a share p among n: 2·√(p(1-p)/n))
BUDGET_S = 20.0
PROGRAM_S = 5.0
NAMESPACE_S = 3.0
SOCKET_ROWS = 200_000
AS_ROOT = "run it as root: sudo tablefull"


class Collector:
    """One pass over one namespace, or over the host: what it found so far and how much time is left."""

    def __init__(
        self,
        proc: Proc,
        have: parts.Parts,
        run: Run | None,
        clock: Callable[[], float],
        deadline: float,
        all_rights: bool,
    ) -> None:
        self.proc, self.have, self.run, self.clock, self.deadline, self.all_rights = (
            proc,
            have,
            run,
            clock,
            deadline,
            all_rights,
        )
        self.artefacts: list[Artefact] = []
        self.holes: list[Hole] = []

    def still(self) -> bool:
        return self.clock() < self.deadline

    def keep(self, path: str, content: bytes | str) -> None:
        if content:
            self.artefacts.append(Artefact(path, content.encode() if isinstance(content, str) else content))

    def file(self, path: str) -> bytes | None:
        """Keep a file as it is; an absent one is an answer, an unreadable one a hole."""
        content = self.proc.read(path)
        if isinstance(content, bytes):
            self.keep(path, content)
            return content
        if not missing(content) or path in places.EXPECTED:
            self.holes.append(content)
        return None

    def folder(self, path: str) -> list[str]:
        """Keep every plain file of a folder, and answer their names."""
        names = self.proc.names(path)
        if isinstance(names, Hole):
            if not missing(names):
                self.holes.append(names)
            return []
        for name in names:
            content = self.proc.read(f"{path}/{name}", 65536)
            if isinstance(content, bytes):
                self.keep(f"{path}/{name}", content)
            elif content.remedy:
                self.holes.append(content)
        return names

    def ask(self, name: str, argv: Sequence[str], *, most_lines: int | None = None, refused: bool = True) -> Ran | None:
        """Keep what a program printed, under its command line; a hole where it failed (unless not ``refused``)."""
        if self.run is None:
            return None
        left = min(self.deadline - self.clock(), PROGRAM_S)
        if left <= 0:
            self.holes.append(Hole(" ".join(argv), "there was no time left to run it", "run it by hand"))
            return None
        ran = self.run(argv, timeout_s=left, most_lines=most_lines)
        if isinstance(ran, Hole):
            if refused:
                self.holes.append(ran)
            return None
        if ran.status not in (0, None) and not ran.out:
            if refused:
                self.holes.append(
                    Hole(" ".join(argv), _first_line(ran.errors) or f"ended with status {ran.status}", "")
                )
            return None
        self.keep(f"commands/{name}", f"$ {' '.join(argv)}\n".encode() + ran.out)
        if ran.cut and most_lines is None:
            self.holes.append(Hole(" ".join(argv), "its output was cut: too long, or too slow", "run it by hand"))
        return ran

    def namespace(self) -> netns.Answer:
        """Everything that a network namespace has of its own."""
        for folder in places.SYSCTL_FOLDERS:
            self.folder(folder)
        for path in (*places.SYSCTLS_OF_NAMESPACE, *places.FILES_OF_NAMESPACE):
            self.file(path)
        self._rows()
        self._states()
        self._firewall()
        self._others()
        return self.artefacts, self.holes

    def _rows(self) -> None:
        for path in places.TABLES:
            rows = self.proc.first_lines(path, SAMPLE_ROWS, self.still)
            if isinstance(rows, Hole):
                if not missing(rows):
                    self.holes.append(Hole(rows.what, rows.why, AS_ROOT))
                    return
                continue
            self.keep(path, rows.content)
            if rows.more:
                self._sampled(path, rows.count)
            return
        if not self.proc.exists("proc/sys/net/netfilter/nf_conntrack_count"):
            return
        if self.askable("conntrack -L", parts.CONNTRACK):
            for family in ("ipv4", "ipv6"):
                ran = self.ask(f"conntrack_-L_{family}", ("conntrack", "-L", "-f", family), most_lines=SAMPLE_ROWS)
                if ran is not None and ran.cut:
                    self._sampled(f"conntrack -L -f {family}", ran.out.count(b"\n"))

    def _sampled(self, what: str, rows: int) -> None:
        why = f"only its first {rows} rows were read; the order is a keyed hash, so they are a fair sample"
        self.holes.append(Hole(f"/{what}" if what.startswith("proc") else what, why, ""))

    def _states(self) -> None:
        """How many TCP sockets stand in each state; ``ss`` would load ``tcp_diag`` to tell the same."""
        states: Counter[str] = Counter()
        seen: list[str] = []
        for path in ("proc/net/tcp", "proc/net/tcp6"):
            rows = self.proc.first_lines(path, SOCKET_ROWS, self.still)
            if isinstance(rows, Hole):
                continue
            seen.append("/" + path)
            states.update(
                words[3]
                for words in (row.split(None, 4) for row in rows.content.decode().splitlines()[1:])
                if len(words) > 4
            )
        named: Counter[str] = Counter()
        for number, count in states.items():
            named[places.TCP_STATES.get(number, number)] += count
        if named:
            lines = "".join(f"{count:7d} {state}\n" for state, count in named.most_common())
            self.keep("commands/socket_states", f"$ awk '{{print $4}}' {' '.join(seen)} | sort | uniq -c\n{lines}")

    def askable(self, command: str, part: str) -> bool:
        """True where ``command`` may be run; a hole that says why not and how to do it by hand where it may not."""
        if not self.all_rights:
            self.holes.append(Hole(command, "needs root", AS_ROOT))
        elif self.have.askable(part):
            return True
        elif self.have.have(part) is None:
            why = f"whether {part} is in this kernel cannot be told, and asking would load it"
            self.holes.append(Hole(command, why, f"if a module more does no harm: sudo {command}"))
        else:
            self.holes.append(
                Hole(command, f"{part} is not loaded, and asking would load it", f"nothing to see: {part} is unused")
            )
        return False

    def _firewall(self) -> None:
        if self.askable("nft list ruleset", parts.NFTABLES):
            # Without the elements of sets: a list of addresses may hold a million and says nothing about tracking.
            terse = self.ask("nft_list_ruleset", ("nft", "-t", "list", "ruleset"), refused=False)
            if terse is None:
                self.ask("nft_list_ruleset", ("nft", "list", "ruleset"))
        self.legacy_tables()

    def legacy_tables(self) -> None:
        """The tables of iptables and ip6tables that are there; a name of another in a listing would create it."""
        for family, version in (("ip", ""), ("ip6", "6")):
            names = self.proc.text(f"proc/net/{family}_tables_names")
            if isinstance(names, Hole):
                if names.remedy:
                    self.holes.append(Hole(names.what, names.why, AS_ROOT))
                continue
            for table in sorted(set(names.split())):
                if not self.all_rights:
                    self.holes.append(Hole(f"{family}tables-save -t {table}", "needs root", AS_ROOT))
                    continue
                self._legacy(f"ip{version}tables", table)

    def _legacy(self, tool: str, table: str) -> None:
        """One table that is there already; listing any other would create it."""
        for program in (f"{tool}-legacy-save", f"{tool}-save"):
            if program == f"{tool}-save" and programs.speaks_nft(program):
                continue
            if self.ask(f"{tool}-save_-t_{table}", (program, "-c", "-t", table), refused=False) is not None:
                return
        self.holes.append(
            Hole(f"{tool}-legacy-save -t {table}", "the table is there and no program here can list it", "")
        )

    def _others(self) -> None:
        if self.proc.exists("proc/sys/net/netfilter/nf_conntrack_count") and self.askable(
            "conntrack -S", parts.CONNTRACK
        ):
            self.ask("conntrack_-S", ("conntrack", "-S"))
        if self.all_rights and self.have.askable(parts.IPSET):
            ran = self.ask("ipset_list", ("ipset", "list", "-t"), refused=False)
            if ran is not None and not ran.out:
                self.artefacts.pop()
        # RTM_GETLINK is rtnetlink, built in everywhere; a dump of links requests no module (net/core/rtnetlink.c).
        ran = self.ask("bridge_link", ("bridge", "link"), refused=False)
        if ran is not None and not ran.out and ran.status != 0:
            self.artefacts.pop()  # only a command that ended well and printed nothing says that there is no port

    def host(self) -> None:
        """What the whole machine shares."""
        for path in places.FILES_OF_HOST:
            self.file(path)
        if not self.proc.exists("etc/os-release"):
            self.file("usr/lib/os-release")
        for folder in places.MODULE_PARAMETERS:
            self.folder(folder)
        boot = self.proc.text("proc/cmdline")
        if isinstance(boot, str):
            words = [word for word in boot.split() if any(wanted in word for wanted in places.BOOT_WORDS)]
            self.keep("proc/cmdline", " ".join(words) + "\n" if words else "")
        for where, words_wanted in places.CONFIGURATION:
            for path in where:
                self._configuration(path, words_wanted)
        self._log()
        self._witnesses()

    def _configuration(self, path: str, words: Sequence[str]) -> None:
        """The telling lines of a configuration file, or of every file of a folder; comments are left out."""
        names = self.proc.names(path)
        for name in [path] if isinstance(names, Hole) else [f"{path}/{name}" for name in names]:
            content = self.proc.read(name, 1 << 20)
            if isinstance(content, Hole):
                if content.remedy:
                    self.holes.append(content)
                continue
            lines = content.decode("utf-8", "replace").splitlines()
            kept = [
                line for line in lines if line.strip()[:1] not in ("#", ";", "") and any(word in line for word in words)
            ]
            self.keep(name, "".join(f"{line}\n" for line in kept))

    def _log(self) -> None:
        """The kernel's log: the ring, else the journal, else a log file."""
        ring = kmsg.read(self.proc, self.still)
        if isinstance(ring, bytes):
            self.keep("commands/dmesg", b"$ dmesg\n" + ring if ring else b"")
            return
        if self.run is not None:
            argv = ("journalctl", "-k", "-q", "--no-pager", "-o", "json", "-n", "50000")
            ran = self.run(argv, timeout_s=max(min(self.deadline - self.clock(), PROGRAM_S), 0.1))
            if isinstance(ran, Ran) and ran.out:
                lines = list(kmsg.journal_lines(ran.out.splitlines()))[-kmsg.MOST_LINES :]
                self.keep("commands/dmesg", "$ dmesg\n" + "".join(f"{line}\n" for line in lines) if lines else "")
                return
        logged = kmsg.log_file(self.proc)
        if isinstance(logged, Hole):
            self.holes.append(
                Hole("the kernel's log", ring.why, AS_ROOT if ring.remedy else "dmesg | grep -i conntrack")
            )
        else:
            self.keep(*logged)

    def _witnesses(self) -> None:
        """Which programs run that set the limit or fill the table, and how kube-proxy was told to set it."""
        names = self.proc.names("proc")
        running: dict[str, int] = {}
        for name in [] if isinstance(names, Hole) else names:
            if not name.isdecimal() or not self.still():
                continue
            comm = self.proc.text(f"proc/{name}/comm", 64)
            if isinstance(comm, str) and comm in places.WITNESSES:
                running.setdefault(comm, int(name))
        if running:
            self.keep("commands/ps", "$ ps -eo comm\n" + "".join(f"{name}\n" for name in sorted(running)))
        if "kube-proxy" in running:
            self._kube_proxy(running["kube-proxy"])

    def _kube_proxy(self, pid: int) -> None:
        words = self.proc.read(f"proc/{pid}/cmdline", 65536)
        if isinstance(words, Hole):
            self.holes.append(words)
            return
        flags = [word.decode("utf-8", "replace") for word in words.split(b"\0")]
        kept = [flag for flag in flags[1:] if flag.startswith(("--conntrack", "--config", "--proxy-mode"))]
        self.keep("commands/kube-proxy", "kube-proxy " + " ".join(kept) + "\n")
        path = next((flag.partition("=")[2] for flag in kept if flag.startswith("--config=")), "")
        if not path:
            return
        content = self.proc.read(f"proc/{pid}/root/{path.lstrip('/')}", 65536)
        if isinstance(content, bytes):
            self.keep("commands/kube-proxy_config", _conntrack_block(content.decode("utf-8", "replace")))


def _conntrack_block(text: str) -> str:
    """The head of a KubeProxyConfiguration and its ``conntrack:`` block."""
    kept: list[str] = []
    within = False
    for line in text.splitlines():
        if line[:1] not in (" ", ""):
            within = line.startswith("conntrack:")
        if within or line.startswith(("apiVersion:", "kind:", "mode:")):
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)


def _first_line(text: str) -> str:
    return text.partition("\n")[0].strip()[:200]


def collect(
    root: Path = Path("/"),
    *,
    budget_s: float = BUDGET_S,
    clock: Callable[[], float] = time.monotonic,
    run: Run | None = None,
) -> Collection:
    """Everything below ``root`` that bears on the entry table. Never raises; what could not be seen is a hole.

    Programs are run and other namespaces entered only where ``root`` is the running system; ``run`` replaces how. It
    forks, so it is called while no other thread runs. ``budget_s`` bounds the whole; what was not reached by then is
    a hole.
    """
    proc = Proc(root)
    here = root == Path("/")
    if run is None and here:
        run = programs.run
    deadline = clock() + budget_s
    have = parts.Parts(proc)
    all_rights = not here or os.geteuid() == 0
    named = proc.text("proc/sys/kernel/hostname", 300)
    kernel = proc.text("proc/sys/kernel/osrelease", 300)
    own = Collector(proc, have, run, clock, deadline, all_rights)
    own.host()
    own.namespace()
    collection = Collection(
        host=named if isinstance(named, str) and named not in ("", "(none)") else "localhost",
        kernel=kernel if isinstance(kernel, str) else "",
        root=here and all_rights,
        artefacts=own.artefacts,
        holes=own.holes,
    )
    if run is None:
        collection.holes.append(Hole("programs", f"{root} is not the running system: none was run there", ""))
    if here:
        _namespaces(collection, proc, have, run, clock, deadline)
    return collection


def _namespaces(
    collection: Collection, proc: Proc, have: parts.Parts, run: Run | None, clock: Callable[[], float], deadline: float
) -> None:
    """Every other namespace into ``collection``, one after the other while there is time."""
    spaces, holes = netns.found(proc, lambda: clock() < deadline)
    collection.holes += holes
    if spaces:
        collection.artefacts.append(Artefact("commands/lsns", _listing(spaces)))
    if not collection.root:
        collection.holes += [
            Hole(f"network namespace {space.key}", "only root may enter it", AS_ROOT) for space in spaces
        ]
        return
    late: list[str] = []
    keys: set[str] = set()
    for space in spaces:
        until = min(deadline, clock() + NAMESPACE_S)
        if clock() >= deadline:
            late.append(space.key)
            continue
        looker = Collector(proc, have, run, clock, until, all_rights=True)
        artefacts, missed = netns.inside(proc, space, looker.namespace, until, clock)
        hostname = next(
            (a.content.decode("utf-8", "replace").strip() for a in artefacts if a.path == "proc/sys/kernel/hostname"),
            None,
        )
        space = netns.with_hostname(space, hostname, collection.host)
        if space.key in keys:
            space = with_key(space, f"{space.key}-{space.inode}")
        keys.add(space.key)
        _merge(collection, space, artefacts, missed)
    if late:
        some = ", ".join(late[:3])
        collection.holes.append(
            Hole(f"{len(late)} network namespaces", f"no time was left for them ({some} …)", "give it more time")
        )


def _merge(collection: Collection, space: Namespace, artefacts: list[Artefact], holes: list[Hole]) -> None:
    """Artefacts of one namespace below its folder; holes that the host has too are not repeated."""
    collection.namespaces.append(space)
    folder = f"netns/{space.key}"
    if space.cgroup:
        collection.artefacts.append(Artefact(f"{folder}/cgroup", space.cgroup.encode() + b"\n"))
    collection.artefacts.append(Artefact(f"{folder}/commands/lsns", _listing([space])))
    collection.artefacts += [Artefact(f"{folder}/{a.path}", a.content) for a in artefacts]
    known = {(hole.what, hole.why) for hole in collection.holes}
    collection.holes += [
        Hole(f"{hole.what} in {space.key}", hole.why, hole.remedy)
        for hole in holes
        if (hole.what, hole.why) not in known
    ]


def _listing(spaces: Sequence[Namespace]) -> bytes:
    """The namespaces as ``lsns`` lists them: inode, processes, the name it has below ``/run/netns``."""
    text = "$ lsns -t net\n        NS TYPE NPROCS   PID USER NETNSID NSFS COMMAND\n"
    for space in spaces:
        mounted = f" /run/netns/{space.name}" if space.name else ""
        row = f"{space.inode} net  {space.processes:6d} {space.pid or 0:5d} root unassigned{mounted} {space.command}"
        text += row.rstrip() + "\n"
    return text.encode()


def snapshot(collection: Collection) -> Snapshot:
    """The facts of a collection: the machine as ``host``, each namespace as a host of its own, every hole kept."""
    from tablefull.parsers.reader import Reader

    reader = Reader(Snapshot(live=True))
    # By path, as a bundle is read: what is said twice (os-release, debian_version) then has the same order there.
    for artefact in sorted(
        collection.artefacts, key=lambda artefact: (artefact.path.startswith("netns/"), artefact.path)
    ):
        key, path = place_of(artefact.path)
        if not for_reader(path):
            continue
        lines = artefact.content.decode("utf-8", "replace").splitlines()
        reader.document("/" + artefact.path, lines, host=host_name(collection.host, key), path="/" + path)
        reader.snapshot.bytes += len(artefact.content)
    roles = {host_name(collection.host, space.key): space.role for space in collection.namespaces}
    for host in reader.snapshot.hosts:
        host.role = roles.get(host.name, "host" if host.name == collection.host else host.role)
    reader.snapshot.holes += collection.holes
    return reader.snapshot
