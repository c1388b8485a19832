"""Why connection tracking runs on this machine: the rule sets, modules and settings of each namespace, read and left as
they are, and the reasons that follow.

The trap: the question is asked of hosts where looking does the damage. ``iptables -t nat -L`` creates the table,
``nft`` and ``conntrack`` load what they list; so only what is there already is asked (``live.parts``), tables of
iptables only where /proc names them, and what could not be seen is told family by family: it decides what the answer is
worth.
"""

import os
import time
from collections.abc import Callable, Sequence

from msgspec import Struct, field

from tablefull.errors import KernelRefused, ParseError
from tablefull.facts.host import KernelRelease
from tablefull.facts.modules import Module
from tablefull.facts.origin import Fact, Hole, Origin
from tablefull.facts.ruleset import FwObject, FwRule
from tablefull.facts.settings import Setting
from tablefull.facts.snapshot import HostFacts, Snapshot
from tablefull.kernel.identity import KernelVersion, parse_release
from tablefull.kernel.modules import is_active_when
from tablefull.kernel.tracking_users import BRIDGE, FAMILIES, IPV4, IPV6, TC_ACTION
from tablefull.live import collect, netns, nft_ruleset, parts, programs, returning
from tablefull.live.collection import Artefact, Collection, Namespace, host_name
from tablefull.live.netlink import NETLINK_ROUTE, Netlink
from tablefull.live.proc import Proc, missing
from tablefull.live.programs import Run
from tablefull.rules.holds import Hold, Sight, Verdict, holds, verdicts
from tablefull.rules.returns import Return, enable_hooks, returns
from tablefull.wire import rtnetlink

BUDGET_S = 30.0
NAMESPACE_S = 10.0
COUNT = "proc/sys/net/netfilter/nf_conntrack_count"
LISTING = "commands/nft_list_ruleset"
_NAMES = {IPV4: "proc/net/ip_tables_names", IPV6: "proc/net/ip6_tables_names"}
_TOOLS = {"iptables": IPV4, "ip6tables": IPV6}


class Space(Struct, kw_only=True):
    """One network namespace and its answer. ``path``: by which it is entered, None for this one.

    ``exempt``: rules that keep packets from being tracked. ``count`` None: not told.
    """

    key: str
    path: str | None = None
    inode: int | None = None
    who: str = ""
    verdicts: list[Verdict] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    count: int | None = None
    exempt: int = 0
    holes: list[Hole] = field(default_factory=list)


class Why(Struct, kw_only=True):
    """The whole answer. ``rule``: in one sentence what makes tracking run on this kernel. ``returns`` is None where the
    configuration was not looked at, as in evidence.
    """

    host: str
    kernel: str
    rule: str
    spaces: list[Space] = field(default_factory=list)
    returns: list[Return] | None = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)


class Looker:
    """Looks at namespaces of the running kernel, as often as it is asked. It forks: call it while no thread runs."""

    def __init__(self, proc: Proc, run: Run | None = programs.run, clock: Callable[[], float] = time.monotonic) -> None:
        self.proc, self.run, self.clock = proc, run, clock
        self.have = parts.Parts(proc)
        release = proc.text("proc/sys/kernel/osrelease", 300)
        self.release = release if isinstance(release, str) else ""
        self.kernel: KernelVersion | None = parse_release(self.release)
        self.all_rights = os.geteuid() == 0
        named = proc.text("proc/sys/kernel/hostname", 300)
        self.host = named if isinstance(named, str) and named not in ("", "(none)") else "localhost"

    def why(self, spaces: Sequence[Namespace | None]) -> Why:
        """The answer for some namespaces (None: this one), and what would bring tracking back."""
        files, enabled, running, holes = returning.read(self.proc)
        booted = enable_hooks(files)
        sentence = is_active_when(self.kernel)
        answer = Why(host=self.host, kernel=self.release, rule=sentence.value or sentence.source, holes=holes)
        deadline = self.clock() + BUDGET_S
        for space in spaces:
            answer.spaces.append(self.space(space, booted, deadline))
        answer.returns = returns(files, enabled, running, self.kernel)
        return answer

    def space(self, space: Namespace | None, booted: Origin | None = None, deadline: float | None = None) -> Space:
        """One namespace."""
        until = min(deadline or self.clock() + NAMESPACE_S, self.clock() + NAMESPACE_S)
        looker = collect.Collector(self.proc, self.have, self.run, self.clock, until, self.all_rights)

        def look() -> netns.Answer:
            return self._gather(looker)

        path = None
        if space is None:
            artefacts, holes = look()
        else:
            path = netns.path_of(self.proc, space)
            artefacts, holes = netns.inside(self.proc, space, look, until, self.clock)
        return self._judge(space, path, artefacts, holes, booted)

    def refresh(self) -> None:
        """What the kernel has loaded may have changed."""
        self.have = parts.Parts(self.proc)

    def address(self, space: Namespace | None) -> tuple[str | None, int | None]:
        """By which path a namespace is entered (None: it is this one), and its number."""
        return (None if space is None else netns.path_of(self.proc, space)), self._inode(space)

    def _gather(self, looker: collect.Collector) -> netns.Answer:
        for name in ("proc/modules", "proc/version", COUNT, *_NAMES.values()):
            looker.file(name)
        looker.folder("proc/sys/net/bridge")
        if looker.all_rights and self.have.askable(parts.NFTABLES):
            looker.ask("nft_list_ruleset", ("nft", "-a", "-t", "list", "ruleset"), refused=False)
        looker.legacy_tables()
        return looker.artefacts, looker.holes

    def _judge(
        self,
        space: Namespace | None,
        path: str | None,
        artefacts: list[Artefact],
        holes: list[Hole],
        booted: Origin | None,
    ) -> Space:
        key = space.key if space is not None else "this one"
        found = Space(key=key, path=path, inode=self._inode(space), who=_who(space), holes=list(holes))
        facts, listing = self._facts(key, artefacts)
        found.count = _count(artefacts)
        unseen: dict[str, list[str]] = {family: [] for family in FAMILIES}
        self._unseen(found, artefacts, holes, unseen)
        if any(hole.what.startswith("network namespace") for hole in holes):
            for missed in unseen.values():
                missed.append("the namespace itself")
        elif self.have.askable(parts.NFTABLES):
            rules = nft_ruleset.read(path, listing)
            if isinstance(rules, Hole):
                found.holes.append(rules)
                for missed in unseen.values():
                    missed.append("nftables")
            else:
                facts.facts += rules
        elif self.have.have(parts.NFTABLES) is None:
            why = "whether this kernel has it cannot be told, and asking would load it"
            found.holes.append(Hole("nftables", why, "if a module more does no harm: nft list ruleset"))
            for missed in unseen.values():
                missed.append("nftables")
        found.exempt = sum(1 for one in facts.of(FwRule) if _exempts(one))
        facts.facts += _tc_actions(path)
        if not _bridges(path):
            facts.facts = [one for one in facts.facts if not (isinstance(one, Setting) and "bridge-nf" in one.name)]
        found.holds = holds(facts, self.kernel, booted_with=booted)
        sight = Sight(kernel=self.kernel, tracker=self._tracker(artefacts), count=found.count, unseen=unseen)
        found.verdicts = verdicts(found.holds, sight)
        return found

    def _facts(self, key: str, artefacts: list[Artefact]) -> tuple[HostFacts, str]:
        listing = next((one.content for one in artefacts if one.path == LISTING), b"").decode("utf-8", "replace")
        kept = [one for one in artefacts if one.path != LISTING]
        snapshot: Snapshot = collect.snapshot(Collection(host=self.host, artefacts=kept))
        facts = HostFacts(name=host_name(self.host, key))
        for host in snapshot.hosts:
            facts.facts += [fact for fact in host.facts if not _of_nft(fact)]
        return facts, listing

    def _unseen(self, found: Space, artefacts: list[Artefact], holes: list[Hole], unseen: dict[str, list[str]]) -> None:
        """Which families' legacy tables could not be read."""
        for family, name in _NAMES.items():
            if any(hole.what == f"/{name}" and not missing(hole) for hole in holes):
                unseen[family].append("iptables" if family == IPV4 else "ip6tables")
        for hole in holes:
            tool = hole.what.partition("-")[0].partition(" ")[0]
            if tool in _TOOLS and "-save" in hole.what:
                unseen[_TOOLS[tool]].append(hole.what.replace("-legacy-save -t", ", table"))
        if not any(one.path == "proc/modules" for one in artefacts) and self.have.modular:
            unseen["modules"] = ["/proc/modules"]

    def _tracker(self, artefacts: list[Artefact]) -> bool | None:
        """False where no tracker is loaded at all: then nothing tracks, in any namespace."""
        if any(one.path == COUNT for one in artefacts):
            return True
        if self.have.have("ip_conntrack"):
            return True
        return self.have.have("nf_conntrack")

    def _inode(self, space: Namespace | None) -> int | None:
        if space is not None:
            return space.inode
        return netns.inode_of(self.proc, "proc/self/ns/net")


def _who(space: Namespace | None) -> str:
    if space is None:
        return ""
    count = (
        "no process" if not space.processes else "1 process" if space.processes == 1 else f"{space.processes} processes"
    )
    kind = "" if space.role == "namespace" else f"{space.role}, "
    return f"{kind}{count}" + (f", {space.command}" if space.command else "")


def _bridges(path: str | None) -> bool:
    """Whether the namespace has a bridge; True also where it cannot be told."""
    try:
        with Netlink(NETLINK_ROUTE, path) as link:
            return any(rtnetlink.kind_of(data, message) == "bridge" for data, message in link.answers(rtnetlink.links))
    except (KernelRefused, ParseError, OSError):
        return True


def _tc_actions(path: str | None) -> list[Fact]:
    """tc's actions ct of the namespace, as one object; asking loads nothing."""
    try:
        with Netlink(NETLINK_ROUTE, path) as link:
            answers = link.answers(lambda sequence: rtnetlink.actions(sequence, "ct"))
            count = sum(rtnetlink.action_count(data, message) for data, message in answers)
    except (KernelRefused, ParseError, OSError):
        return []  # act_ct is not loaded, or there is no tc
    if not count:
        return []
    text = f"tc actions list action ct: {count} of them"
    found = FwObject(
        origin=Origin("tc actions list action ct", 0, text), tool="tc", family="inet", table=None, kind=TC_ACTION,
        name=f"{count} of them",
    )  # fmt: skip
    return [found]


def _count(artefacts: list[Artefact]) -> int | None:
    text = next((one.content for one in artefacts if one.path == COUNT), b"").strip()
    return int(text) if text.isdigit() else None


def _of_nft(fact: Fact) -> bool:
    return getattr(fact, "tool", None) == "nft"


def _exempts(rule: FwRule) -> bool:
    words = rule.text.split()
    return "notrack" in words or "--notrack" in words or "NOTRACK" in words


def of_snapshot(snapshot: Snapshot) -> Why:
    """The answer for evidence instead of a running kernel: a paste, a bundle; each host of it as a namespace."""
    first = next((fact.release for host in snapshot.hosts for fact in host.of(KernelRelease)), "")
    kernel = parse_release(first)
    sentence = is_active_when(kernel)
    answer = Why(host=snapshot.hosts[0].name if snapshot.hosts else "-", kernel=first, rule=sentence.value or "")
    answer.rule = sentence.value or sentence.source
    answer.returns = None
    answer.holes = list(snapshot.holes)
    for host in snapshot.hosts:
        own = next((fact.release for fact in host.of(KernelRelease)), first)
        answer.spaces.append(_of_host(host, parse_release(own)))
    return answer


def _of_host(host: HostFacts, kernel: KernelVersion | None) -> Space:
    from tablefull.facts.entry import EntryCount
    from tablefull.facts.kernel_log import LogLine
    from tablefull.facts.ruleset import FwChain, FwListing

    listed = {one.tool for one in host.of(FwListing) if one.standing == "shown"}
    listed |= {one.tool for one in host.of(FwChain) if one.standing == "shown"}
    modules = any(True for _ in host.of(Module))
    unseen: dict[str, Sequence[str]] = {
        IPV4: [] if {"iptables", "nft"} & listed else ["iptables and nft rules"],
        IPV6: [] if {"ip6tables", "nft"} & listed else ["ip6tables and nft rules"],
        BRIDGE: [] if "nft" in listed else ["nft rules"],
    }
    if not modules:
        unseen["modules"] = ["/proc/modules"]
    counts = [one.count for one in host.of(EntryCount)]
    found = Space(key=host.name, count=max(counts, default=None))
    found.exempt = sum(1 for one in host.of(FwRule) if one.standing == "shown" and _exempts(one))
    found.holds = holds(host, kernel)
    full = any(one.kind == "table-full" and not one.quoted for one in host.of(LogLine))
    found.verdicts = verdicts(found.holds, Sight(kernel=kernel, count=found.count, full=full, unseen=unseen))
    return found
