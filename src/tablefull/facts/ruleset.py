"""Firewall rules as listings show them. A firewall's rule is an ``FwRule``: "rule" alone means ours."""

from tablefull.facts.origin import Fact


class FwListing(Fact, frozen=True, kw_only=True):
    """That a table was listed: ``command`` as typed where it was shown, ``tool`` iptables|ip6tables|nft|ebtables|ipset."""

    tool: str
    family: str  # ip | ip6 | inet | bridge | arp | netdev | unknown
    table: str | None
    command: str | None = None
    with_counters: bool = False


class FwChain(Fact, frozen=True, kw_only=True):
    """A chain and, for a base chain, its policy and the counters of packets that met the policy."""

    tool: str
    family: str
    table: str | None
    chain: str
    policy: str | None = None
    packets: int | None = None
    bytes: int | None = None
    hook: str | None = None


class FwRule(Fact, frozen=True, kw_only=True):
    """One rule. ``text`` is the rule alone, ``target`` its verdict or jump, counters where printed."""

    tool: str
    family: str
    table: str | None
    chain: str
    text: str
    target: str | None = None
    packets: int | None = None
    bytes: int | None = None


class IpSet(Fact, frozen=True, kw_only=True):
    """An ipset: its type, number of entries and ``maxelem`` where shown."""

    name: str
    kind: str | None = None
    entries: int | None = None
    maxelem: int | None = None


class Bridge(Fact, frozen=True, kw_only=True):
    """A bridge and the interfaces enslaved to it."""

    name: str
    interfaces: tuple[str, ...]


class NetNamespace(Fact, frozen=True, kw_only=True):
    """A network namespace by the name ``ip netns`` or ``lsns`` shows; ``inode`` where shown."""

    name: str
    inode: int | None = None
