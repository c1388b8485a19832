"""What a ruleset does with packets once they are no longer tracked, compared with what it does with them now.

The trap: an untracked packet is neither NEW nor ESTABLISHED, and not INVALID either. A service whose port is opened by
``state NEW``, or whose answers pass by ``ESTABLISHED`` alone, is cut off by the rule that exempts it, and nothing in
the rule shows it; nor does a rule for the SYN alone show that the segments after it live by their state. What a match
says about an address or an interface is not known: it may match, and may not.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from tablefull.facts.ruleset import FwChain, FwRule
from tablefull.fixes.rule_reading import ESTABLISHED, NEW, UNTRACKED, Packet, read

MOST_DEPTH, MOST_RULES = 16, 20_000


class Met(Struct, frozen=True):
    """A verdict that may be reached: ``sure`` where nothing is unknown about it. ``rule`` None: the chain's policy."""

    verdict: str
    rule: FwRule | None
    chain: str
    sure: bool


class Walker:
    """The rules of one namespace, by table and chain."""

    def __init__(self, rules: Sequence[FwRule], chains: Sequence[FwChain]) -> None:
        self.chains = chains
        self.by_chain: dict[tuple[str, str, str | None, str], list[FwRule]] = {}
        for rule in rules:
            self.by_chain.setdefault((rule.tool, rule.family, rule.table, rule.chain), []).append(rule)

    def base(self, hook: str, family: str) -> list[FwChain]:
        """Filtering base chains of a hook (``input``) for a family."""
        return [one for one in self.chains if hook_of(one) == hook and one.family in (family, "inet") and not _nat(one)]

    def walk(self, chain: FwChain, packet: Packet, state: str) -> list[Met]:
        """The verdicts that a packet may meet in a base chain, in order; the last one is sure."""
        met, ended = self._run(chain, chain.chain, packet, state, True, 0, [MOST_RULES])
        if not ended:
            verdict = "drop" if (chain.policy or "").lower() == "drop" else "accept"
            met.append(Met(verdict, None, chain.chain, True))
        return met

    def _run(
        self, base: FwChain, name: str, packet: Packet, state: str, sure: bool, depth: int, left: list[int]
    ) -> tuple[list[Met], bool]:
        met: list[Met] = []
        for rule in self.by_chain.get((base.tool, base.family, base.table, name), ()):
            left[0] -= 1
            if left[0] < 0 or depth > MOST_DEPTH:
                return met, False
            said = read(rule, packet, state)
            if said.match is False or not said.verdict:
                continue
            certain = sure and said.match is True
            if said.verdict in ("accept", "drop"):
                met.append(Met(said.verdict, rule, name, certain))
                if said.match is True:
                    return met, True
            elif said.verdict == "return":
                if said.match is True:
                    return met, False
            elif said.to and (base.tool, base.family, base.table, said.to) in self.by_chain:
                more, ended = self._run(base, said.to, packet, state, certain, depth + 1, left)
                met += more
                if said.match is True and (ended or said.verdict == "goto"):
                    return met, ended
        return met, False

    def nat(self, hooks: Sequence[str], packet: Packet) -> FwRule | None:
        """The first NAT rule that may want this packet, at one of these hooks (``prerouting``)."""
        for (tool, family, table, name), rules in self.by_chain.items():
            if family not in (packet.family, "inet"):
                continue
            of_nat = [one for one in self.chains if (one.tool, one.family, one.table) == (tool, family, table)]
            if tool != "nft" and table != "nat":
                continue
            if not self._reached(of_nat, name, hooks, (tool, family, table)):
                continue
            for rule in rules:
                said = read(rule, packet, NEW)
                if said.verdict == "nat" and said.match is not False:
                    return rule
        return None

    def _reached(
        self, bases: Sequence[FwChain], name: str, hooks: Sequence[str], table: tuple[str, str, str | None]
    ) -> bool:
        """Whether a chain hangs below a base chain at one of these hooks, directly or by jumps."""
        todo = [one.chain for one in bases if hook_of(one) in hooks]
        seen: set[str] = set()
        while todo:
            current = todo.pop()
            if current == name:
                return True
            if current in seen:
                continue
            seen.add(current)
            for rule in self.by_chain.get((*table, current), ()):
                said = read(rule, Packet("ip" if table[1] == "inet" else table[1]), NEW)
                if said.to:
                    todo.append(said.to)
        return False


_HOOKS: Mapping[str, str] = {
    "PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward", "OUTPUT": "output",
    "POSTROUTING": "postrouting",
}  # fmt: skip


def hook_of(chain: FwChain) -> str | None:
    """Where a base chain hooks in; None for a chain that only jumps reach."""
    if chain.tool == "nft":
        return chain.hook
    return _HOOKS.get(chain.chain) if chain.policy is not None else None


def _nat(chain: FwChain) -> bool:
    return chain.kind == "nat" if chain.tool == "nft" else chain.table == "nat"


def cut_off(walker: Walker, hook: str, packet: Packet, *, begins: bool, state: str = UNTRACKED) -> FwRule | None:
    """The rule by which this packet, untracked (or in ``state``), may be dropped where it is not now: the one whose
    state lets it through, else the one that drops it. None where there is none.

    ``begins``: it may be the first of a connection. What lets that one in, lets in all that look like it; where it is
    told from those that follow (``syn``), what lets in it alone is found too.
    """
    for chain in walker.base(hook, packet.family):
        bare = walker.walk(chain, packet, state)
        found = _lost(bare, walker.walk(chain, packet, NEW if begins else ESTABLISHED), packet, begins)
        if found is None and begins and packet.syn:
            found = _lost(walker.walk(chain, structs.replace(packet, syn=False), state), bare, packet, begins)
        if found is not None:
            return found
    return None


def _lost(bare: Sequence[Met], now: Sequence[Met], packet: Packet, begins: bool) -> FwRule | None:
    """The rule that makes what is met ``bare`` worse than what is met ``now``."""
    # A drop that only the bare packet meets; else the end of the chain, where an accept is lost on the way.
    drops = {id(met.rule) for met in now if met.verdict == "drop"}
    new = [number for number, met in enumerate(bare) if met.verdict == "drop" and id(met.rule) not in drops]
    accepts = {id(met.rule) for met in bare if met.verdict == "accept"}
    lost = [met.rule for met in now if met.verdict == "accept" and met.rule and id(met.rule) not in accepts]
    if not new and not (lost and bare[-1].verdict == "drop"):
        return None
    until = new[0] if new else len(bare)
    before = [met.rule for met in bare[:until] if met.verdict == "accept" and met.rule is not None]
    if not begins and any(_meant(rule, packet) for rule in before):
        return None
    return lost[0] if lost else bare[until].rule


def stopped(walker: Walker, hook: str, usual: Packet, this: Packet) -> FwChain | FwRule | None:
    """What drops ``this`` first packet of a connection for sure, where ``usual`` may pass; None where nothing does."""
    for chain in walker.base(hook, usual.family):
        met = walker.walk(chain, this, NEW)
        if any(one.verdict == "accept" for one in met):
            continue
        if any(one.verdict == "accept" for one in walker.walk(chain, usual, NEW)):
            return met[-1].rule or chain
    return None


def _meant(rule: FwRule, packet: Packet) -> bool:
    """Whether a rule is about this very port, so that it does not match another one."""
    if packet.sport is None and packet.dport is None:
        return False
    other = Packet(
        packet.family,
        packet.protocol,
        None if packet.sport is None else packet.sport ^ 1,
        None if packet.dport is None else packet.dport ^ 1,
    )
    return read(rule, other, UNTRACKED).match is False
