"""One running host as a fix has to fit it: values, settings' places, rulesets, programs, and who manages the firewall.

The trap: a plan made from text guesses what is missing; a plan that will be carried out may not. So what is here was
read from this host (below ``root``, so that a recorded tree is a host too), what could not be read is None, and the
front end is the one that runs, not the one that this distribution usually has.
"""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from tablefull.errors import TablefullError
from tablefull.facts.host import Distribution, KernelRelease, Memory
from tablefull.facts.modules import Module
from tablefull.facts.origin import Hole
from tablefull.facts.ruleset import FwChain, FwListing, FwRule
from tablefull.facts.settings import Setting
from tablefull.facts.snapshot import HostFacts, Snapshot
from tablefull.fixes.plan import Situation
from tablefull.kernel import sysctls, vendors
from tablefull.kernel.identity import KernelVersion, at_least, parse_release
from tablefull.live import netns as spaces_of
from tablefull.live import parts, reached
from tablefull.live.netlink import in_namespace
from tablefull.live.proc import Proc
from tablefull.live.programs import FOLDERS, Run
from tablefull.wire.ctnetlink import Row

SAMPLE = 5000
MOST_PROCESSES = 20_000


class Options(Struct, frozen=True, kw_only=True):
    """What a person asked for beyond the fix's name; empty and None: the maker decides by what it sees.

    ``ports`` are ``udp/53``-like services (``gre``, ``esp``, ``lo``, ``bridged`` and ``all`` are understood too),
    ``addresses`` the servers they are on, ``sources`` whom to drop or limit. ``way`` of notrack is ``served``
    (this host's own service), ``passed`` (that and what it forwards) or ``both`` (its own requests too). ``timeouts``
    are seconds by canonical name. ``i_know`` allows what protects or serves something, and is told so.
    """

    ports: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    where: str = ""
    limit: int | None = None
    buckets: int | None = None
    timeouts: dict[str, int] | None = None
    rate_per_s: int | None = None
    burst: int | None = None
    way: str = ""
    invalid: str = ""
    mss: int | None = None
    wscale: int | None = None
    cause: str = ""
    i_know: bool = False
    netns: str | None = None


class Sample(Struct, frozen=True):
    """Entries as read: ``whole`` where these are all. ``total`` and ``limit`` are the kernel's own, None: not told."""

    rows: tuple[Row, ...]
    total: int | None
    limit: int | None
    whole: bool
    source: str


class LiveHost:
    """The host below ``root``; ``netns`` is a namespace by name, process id or path. UsageError: there is none such.

    ``snapshot`` and ``run`` replace what is collected and how programs that only look are run. Collecting forks, so it
    is first asked for while no other thread runs.
    """

    def __init__(
        self,
        root: str | Path = "/",
        *,
        netns: str | None = None,
        run: Run | None = None,
        snapshot: Snapshot | None = None,
        sample: Sample | None = None,
    ) -> None:
        self.proc = Proc(root)
        self.here = Path(root) == Path("/")
        self.netns = netns
        self.space: str | None = None
        self.inode: int | None = None
        self._run = run
        self._given = snapshot
        self._key: str | None = netns
        self._sample = sample
        if netns is not None and self.here:
            from tablefull.live.spaces import one

            found = one(self.proc, netns)
            self.space, self.inode, self._key = found.path, found.inode, found.key

    @cached_property
    def have(self) -> parts.Parts:
        """Which parts of the kernel are there, so that asking loads nothing."""
        return parts.Parts(self.proc)

    @cached_property
    def snapshot(self) -> Snapshot:
        """Everything collected: the host, and each namespace as a host of its own."""
        if self._given is not None:
            return self._given
        from tablefull.live.collect import collect, snapshot

        collection = collect(Path(self.proc.root), run=self._run)
        if self.inode is not None:
            spaces = {space.inode: space.key for space in collection.namespaces}
            self._key = spaces.get(self.inode, self._key)
        return snapshot(collection)

    @cached_property
    def name(self) -> str:
        """The host's own name as the kernel has it; evidence, never a word of a command."""
        named = self.proc.text("proc/sys/kernel/hostname", 300)
        return named if isinstance(named, str) and named not in ("", "(none)") else "localhost"

    @cached_property
    def machine(self) -> HostFacts:
        """The facts of the namespace that the program stands in, and of the machine."""
        hosts = self.snapshot.hosts
        return next(
            (host for host in hosts if host.name == self.name), hosts[0] if hosts else HostFacts(name=self.name)
        )

    @cached_property
    def facts(self) -> HostFacts:
        """The facts of the namespace meant: rules, settings, counters."""
        if self.netns is None or (self.inode is not None and self.inode == self._own_inode()):
            return self.machine
        hosts = self.snapshot.hosts  # first, for it tells under which key the namespace was collected
        wanted = f"{self.name}.netns.{self._key}"
        return next((host for host in hosts if host.name == wanted), HostFacts(name=wanted))

    @cached_property
    def kernel(self) -> KernelVersion | None:
        """The running kernel."""
        text = self.proc.text("proc/sys/kernel/osrelease", 300)
        if isinstance(text, str) and text:
            return parse_release(text)
        told = next(self.machine.of(KernelRelease), None)
        return parse_release(told.release) if told else None

    @cached_property
    def distribution(self) -> tuple[str, str]:
        """Lower-case id and version, empty where not told."""
        text = self.proc.text("etc/os-release", 65536)
        if isinstance(text, Hole):
            text = self.proc.text("usr/lib/os-release", 65536)
        if isinstance(text, str):
            pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
            if "ID" in pairs:
                return pairs["ID"].strip("\"' ").lower(), pairs.get("VERSION_ID", "").strip("\"' ")
        told = next(self.machine.of(Distribution), None)
        return (told.id, told.version or "") if told else ("", "")

    @cached_property
    def memory(self) -> tuple[int | None, int | None]:
        """Whole and available bytes. Before 3.14 the kernel does not say what is available: free and cached then."""
        text = self.proc.text("proc/meminfo", 65536)
        found: dict[str, int] = {}
        for line in text.splitlines() if isinstance(text, str) else ():
            words = line.split()
            if len(words) >= 2 and words[1].isdecimal():
                found[words[0].rstrip(":")] = int(words[1]) * 1024
        available = found.get("MemAvailable")
        if available is None and "MemFree" in found:
            available = found["MemFree"] + found.get("Buffers", 0) + found.get("Cached", 0)
        if found.get("MemTotal") is None:
            told = next(self.machine.of(Memory), None)
            return (told.total_bytes, told.available_bytes) if told else (None, None)
        return found["MemTotal"], available

    def value(self, path: str) -> str | None:
        """What a file of ``/proc/sys`` or ``/sys`` holds in the namespace meant, stripped; None where unreadable."""
        try:
            text = in_namespace(self.space, lambda: self.proc.text(path, 4096))
        except OSError:
            return None
        return text if isinstance(text, str) else None

    def number(self, path: str) -> int | None:
        """The same as a whole number."""
        text = self.value(path)
        return int(text) if text is not None and text.isascii() and text.lstrip("-").isdecimal() else None

    def writable(self, path: str) -> bool:
        """Whether the file may be written from the namespace meant: a container's ``/proc/sys`` often is read-only."""

        def ask() -> bool:
            whole = self.proc.path(path)
            try:
                mode = os.stat(whole).st_mode  # noqa: PTH116 - beside os.access
            except OSError:
                return False
            return bool(mode & 0o222) and (not self.here or os.geteuid() != 0 or os.access(whole, os.W_OK))

        try:
            return in_namespace(self.space, ask)
        except OSError:
            return False

    def path_of(self, name: str) -> str | None:
        """The file of a canonical setting on this host (``nf_conntrack_max``), by what is there; None for none."""
        for path in places(name):
            if self.value(path) is not None:
                return path
        return None

    def setting(self, name: str) -> int | None:
        """The value in force of a canonical setting."""
        path = self.path_of(name)
        return None if path is None else self.number(path)

    @cached_property
    def old_stack(self) -> bool:
        """Whether this is ip_conntrack, the tracker up to 2.6.21."""
        return at_least(self.kernel, 2, 6, 22) is False

    def program(self, name: str) -> bool:
        """Whether a program of that name is installed in one of the fixed folders."""
        return any(self.proc.exists(f"{folder}/{name}") for folder in FOLDERS)

    def speaks_nft(self, name: str) -> bool:
        """True where a program of iptables writes to nftables: behind its links stands ``xtables-nft-multi``."""
        for folder in FOLDERS:
            path = self.proc.path(f"{folder}/{name}")
            if os.path.lexists(path):
                seen = path
                for _ in range(8):
                    if not os.path.islink(seen):  # noqa: PTH114 - below another root links are followed by hand
                        break
                    to = os.readlink(seen)  # noqa: PTH115
                    seen = self.proc.path(to) if to.startswith("/") else os.path.join(os.path.dirname(seen), to)  # noqa: PTH118, PTH120
                return "nft" in os.path.basename(seen)  # noqa: PTH119
        return False

    @cached_property
    def legacy_tables(self) -> frozenset[str]:
        """Tables of the old iptables that are there: ``ip raw``, ``ip6 filter``."""
        found: set[str] = set()
        for family in ("ip", "ip6"):
            text = self._net(f"{family}_tables_names")
            found |= {f"{family} {word}" for word in text.split() if word.isascii() and word.isalpha()}
        return frozenset(found)

    def _net(self, name: str) -> str:
        # /proc/net is the namespace of the process's first thread, thread-self/net that of the one which entered.
        # Kernels before 3.17 have no thread-self.
        folder = "proc/thread-self/net" if self.space is not None else "proc/net"
        text = in_namespace(self.space, lambda: self.proc.text(f"{folder}/{name}", 65536))
        return text if isinstance(text, str) else ""

    @cached_property
    def rules(self) -> tuple[FwRule, ...]:
        """The rules in force in the namespace meant."""
        return tuple(rule for rule in self.facts.of(FwRule) if rule.standing == "shown")

    @cached_property
    def chains(self) -> tuple[FwChain, ...]:
        """The chains in force there, with their policies and hooks."""
        return tuple(chain for chain in self.facts.of(FwChain) if chain.standing == "shown")

    @cached_property
    def unseen_rules(self) -> tuple[str, ...]:
        """Why rules that may be there were not seen; empty where all were listed."""
        words: tuple[str, ...] = ("tables", "nft")
        if at_least(self.kernel, 3, 13) is False:
            words = ("tables",)  # nf_tables came with 3.13
        holes = [hole for hole in self.snapshot.holes if any(word in hole.what for word in words)]
        # A subsystem that is not loaded holds no rules.
        why = [f"{hole.what}: {hole.why}" for hole in holes if "is not loaded" not in hole.why]
        listed = {(one.family, one.table) for one in self.facts.of(FwListing) if one.standing == "shown"}
        listed |= {(one.family, one.table) for one in self.chains}
        why += [
            f"the {name} table is there and was not listed"
            for name in sorted(self.legacy_tables)
            if tuple(name.split()) not in listed
        ]
        return tuple(why)

    @cached_property
    def sessions(self) -> frozenset[str]:
        """Addresses that have an open connection to port 22 here: whoever types this may be one of them."""
        return self.peers(reached.SSH)

    def peers(self, port: int) -> frozenset[str]:
        """Addresses that have an open connection to this TCP port here."""
        return frozenset(one for name in ("tcp", "tcp6") for one in reached.sessions(self._net(name), port))

    @cached_property
    def route_mtu(self) -> int | None:
        """The MTU of the interface of the default route, else of the one interface there is beside loopback."""
        names = reached.interfaces(self._net("route"), self._net("dev"))
        if self.here:
            found = in_namespace(self.space, lambda: [reached.mtu(name) for name in names])
        else:
            plain = [name for name in names if "/" not in name and ".." not in name]
            found = [self.number(f"/sys/class/net/{name}/mtu") for name in plain]
        known = [mtu for mtu in found if mtu is not None]
        return min(known) if known else None

    @cached_property
    def running(self) -> frozenset[str]:
        """Names of the programs that run, as the kernel cuts them (fifteen characters)."""
        names = self.proc.names("proc")
        pids = [] if isinstance(names, Hole) else [name for name in names if name.isdecimal()]
        found = (self.proc.text(f"proc/{pid}/comm", 64) for pid in pids[:MOST_PROCESSES])
        return frozenset(name for name in found if isinstance(name, str))

    @cached_property
    def init(self) -> str:
        """systemd, upstart, openrc, procd, sysv, or unknown, by what is there."""
        if self.proc.exists("run/systemd/system"):
            return "systemd"
        first = self.proc.text("proc/1/comm", 64)
        if first in ("systemd", "procd"):
            return str(first)
        if self.proc.exists("run/openrc") or self.proc.exists("sbin/openrc"):
            return "openrc"
        if self.proc.exists("etc/init/rc-sysinit.conf") or self.proc.exists("sbin/initctl"):
            return "upstart"
        if self.proc.exists("etc/init.d") or self.proc.exists("etc/rc.d/init.d"):
            return "sysv"
        return vendors.init_of(*self.distribution) or "unknown"

    @cached_property
    def front_end(self) -> str:
        """What manages the firewall here, by what runs and what its rules are called."""
        if "firewalld" in self.running:
            return "firewalld"
        if self.proc.exists("etc/config/firewall"):
            return "uci"
        names = {rule.chain for rule in self.rules} | {chain.chain for chain in self.chains}
        if any(name.startswith("ufw") for name in names):
            return "ufw"
        if "kube-proxy" in self.running or any(name.startswith("KUBE-") for name in names):
            return "kube-proxy"
        if "dockerd" in self.running or any(name.startswith("DOCKER") for name in names):
            return "docker"
        ufw = self.proc.text("etc/ufw/ufw.conf", 65536)
        if isinstance(ufw, str) and "ENABLED=yes" in ufw:
            return "ufw"
        if self.proc.exists("etc/sysconfig/iptables"):
            return "iptables-services"
        if self.proc.exists("etc/iptables/rules.v4") or self.proc.exists("etc/iptables/rules"):
            return "iptables-persistent"
        if any(rule.tool == "nft" for rule in self.rules) and not self.speaks_nft("iptables"):
            return "nftables"
        if self.proc.exists("etc/nftables.conf") and any(one.tool == "nft" for one in self.chains):
            return "nftables"
        return "iptables" if self.rules else "none"

    @cached_property
    def orchestrator(self) -> str | None:
        """kubernetes or docker where one of them runs here."""
        if self.running & {"kube-proxy", "kubelet", "k3s-server", "k3s-agent"} or self.front_end == "kube-proxy":
            return "kubernetes"
        return "docker" if self.running & {"dockerd"} or self.front_end == "docker" else None

    @cached_property
    def builtin(self) -> bool | None:
        """Whether tracking is compiled into the kernel; None where it cannot be told."""
        name = "ip_conntrack" if self.old_stack else "nf_conntrack"
        if name in self.modules:
            return False
        there = self.proc.exists(f"sys/module/{name}") or self.path_of("nf_conntrack_max") is not None
        return True if there else None

    @cached_property
    def modules(self) -> frozenset[str]:
        """Loaded modules, by name."""
        text = self.proc.text("proc/modules")
        if isinstance(text, str):
            return frozenset(line.split(" ", 1)[0] for line in text.splitlines() if line)
        return frozenset(module.name for module in self.machine.of(Module))

    @cached_property
    def sample(self) -> Sample | None:
        """Entries of the namespace meant, a fair sample where there are many; None where none may be read."""
        if self._sample is not None:
            return self._sample
        from tablefull.live import table

        if self.here:
            try:
                if self.have.askable(parts.CONNTRACK):
                    seen = table.sample(self.space, (), SAMPLE)
                else:
                    seen = table.from_file(self.space, (), SAMPLE)
            except (TablefullError, OSError, ValueError):
                return None
            return Sample(tuple(seen.rows), seen.total, seen.limit, not seen.sampled, seen.source)
        return self._recorded_sample()

    def _recorded_sample(self) -> Sample | None:
        from tablefull.facts.origin import Origin
        from tablefull.live.table_proc import row
        from tablefull.parsers.conntrack_entries import decode

        for path in ("proc/net/nf_conntrack", "proc/net/ip_conntrack"):
            lines = self.proc.first_lines(path, SAMPLE, lambda: True)
            if isinstance(lines, Hole):
                continue
            found = (
                decode(line, Origin(f"/{path}", 0, ""))
                for line in lines.content.decode("utf-8", "replace").splitlines()
            )
            rows = tuple(row(entry) for entry in found if entry is not None)
            total = self.setting("nf_conntrack_count")
            return Sample(
                rows,
                len(rows) if total is None else total,
                self.setting("nf_conntrack_max"),
                not lines.more,
                f"/{path}",
            )
        return None

    @cached_property
    def situation(self) -> Situation:
        """The same in the words that the decisions of the text plans are made by."""
        names = {
            fact.name: fact.number
            for fact in self.facts.of(Setting)
            if fact.number is not None and fact.standing == "shown"
        }
        named, version = self.distribution
        nat = ("MASQUERADE", "SNAT", "DNAT", "REDIRECT", "masquerade", "snat", "dnat", "redirect")
        total, _ = self.memory
        return Situation(
            host=self.facts.name,
            role=self.facts.role,
            kernel=self.kernel,
            distribution=named or None,
            version=version or None,
            front_end=self.front_end,
            init=self.init,
            max=self.setting("nf_conntrack_max"),
            buckets=self.setting("nf_conntrack_buckets") or self.setting("hashsize"),
            count=self.setting("nf_conntrack_count"),
            expect_max=self.setting("nf_conntrack_expect_max"),
            ram_bytes=total,
            settings=names,
            modules=self.modules,
            nat_in_use=any(word in rule.text.split() for rule in self.rules for word in nat),
            bridged=self.value("/proc/sys/net/bridge/bridge-nf-call-iptables") == "1",
            orchestrator=self.orchestrator,
            ip_conntrack=self.old_stack,
            builtin=self.builtin,
        )

    def namespaces(self) -> tuple[Sequence[HostFacts], tuple[Hole, ...]]:
        """The facts of every other namespace that could be entered, and what could not be seen of them."""
        others = [host for host in self.snapshot.hosts if host is not self.machine]
        holes = tuple(hole for hole in self.snapshot.holes if "namespace" in hole.what)
        return others, holes

    def _own_inode(self) -> int | None:
        return spaces_of.inode_of(self.proc, "proc/self/ns/net")

    def is_first_namespace(self) -> bool | None:
        """Whether the namespace meant is the one of process 1, which has the host's own limits; None: cannot tell."""
        if not self.here:
            return self.netns is None
        first, own = spaces_of.inode_of(self.proc, "proc/1/ns/net"), self._own_inode()
        meant = own if self.inode is None else self.inode
        if first is None:  # another process's namespace may not be looked at everywhere, not even by root
            here = spaces_of.is_first_here(self.proc, shows=at_least(self.kernel, 4, 8))
            first = own if here else None
            if here is False and meant == own:
                return False
        return None if first is None or meant is None else meant == first


def places(name: str) -> tuple[str, ...]:
    """Where a canonical setting may stand, in the order in which one is chosen.

    ``net.netfilter`` from 2.6.22; ``ip_conntrack`` names below ``net.ipv4.netfilter`` up to 4.8, and below ``net.ipv4``
    for the limit alone [nf_conntrack_standalone.c, nf_conntrack_l3proto_ipv4_compat.c].
    """
    if name == "hashsize":
        return tuple(f"/sys/module/{module}/parameters/hashsize" for module in ("nf_conntrack", "ip_conntrack"))
    if not name.startswith("nf_conntrack_"):
        return ("/proc/sys/" + sysctls.canonical(name).translate({0x2F: ".", 0x2E: "/"}),)
    bare = name.removeprefix("nf_")
    found = [f"/proc/sys/net/netfilter/{name}", f"/proc/sys/net/ipv4/netfilter/ip_{bare}"]
    if name == "nf_conntrack_max":
        found += ["/proc/sys/net/nf_conntrack_max", "/proc/sys/net/ipv4/ip_conntrack_max"]
    return tuple(found)
