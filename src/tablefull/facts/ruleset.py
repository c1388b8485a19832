"""Firewall rules as listings show them. A firewall's rule is an ``FwRule``: "rule" alone means ours.

The trap: a rule in a file or in a command somebody typed is not a rule in force, so every fact here has a ``standing``.
"""

from tablefull.facts.origin import Fact
from tablefull.facts.settings import Standing


class FwListing(Fact, frozen=True, kw_only=True):
    """That a table was listed: ``command`` as typed where it was shown, ``tool`` iptables|ip6tables|nft|ebtables.

    ``table`` is None where neither the command nor the chains tell which one it was. ``standing`` is ``configured`` for
    a file. ``dormant``: of nft, its chains hang on no hook until it is woken.
    """

    tool: str
    family: str  # ip | ip6 | inet | bridge | arp | netdev | unknown
    table: str | None
    command: str | None = None
    with_counters: bool = False
    dormant: bool = False
    standing: Standing = "shown"


class FwChain(Fact, frozen=True, kw_only=True):
    """A chain and, for a base chain, its policy and the counters of packets that met the policy.

    ``hook`` and ``kind`` (filter, nat, route) are printed by nft alone. ``policy`` is None for a chain made by a user.
    Counters are None where none were printed, and rounded where they were printed with a suffix (``1390K``).
    """

    tool: str
    family: str
    table: str | None
    chain: str
    policy: str | None = None
    packets: int | None = None
    bytes: int | None = None
    hook: str | None = None
    kind: str | None = None
    standing: Standing = "shown"


class FwRule(Fact, frozen=True, kw_only=True):
    """One rule. ``text`` is the rule alone, ``target`` its verdict or jump, counters where printed.

    ``standing`` is ``commanded`` for a whole command line (``iptables -A …``): somebody typed it or proposes it.
    """

    tool: str
    family: str
    table: str | None
    chain: str
    text: str
    target: str | None = None
    packets: int | None = None
    bytes: int | None = None
    standing: Standing = "shown"


class FwObject(Fact, frozen=True, kw_only=True):
    """A named object of nftables: ``kind`` is ct helper, ct timeout, ct expectation, flowtable or set; of ``tool`` tc
    all actions of a kind.

    ``text`` holds the statements that a set runs for each element; a rule that uses the object is a rule of its own.
    """

    tool: str
    family: str
    table: str | None
    kind: str
    name: str
    text: str = ""
    standing: Standing = "shown"


class FwElsewhere(Fact, frozen=True, kw_only=True):
    """The tool warned that rules stand where this listing does not show them: ``tool`` would list them."""

    tool: str


class IpSet(Fact, frozen=True, kw_only=True):
    """An ipset: its type, number of entries and ``maxelem`` where shown."""

    name: str
    kind: str | None = None
    entries: int | None = None
    maxelem: int | None = None


class IpSetRefusal(Fact, frozen=True, kw_only=True):
    """An error of the ipset program; ``name`` of the set where the line before names it."""

    error: str
    name: str | None = None


class Bridge(Fact, frozen=True, kw_only=True):
    """A bridge and the interfaces enslaved to it; ``interfaces`` is None where the listing does not show them."""

    name: str
    interfaces: tuple[str, ...] | None = None


class NoBridgePorts(Fact, frozen=True, kw_only=True):
    """That ``bridge link`` was run and printed nothing: no interface here is a port of a bridge."""


class NetNamespace(Fact, frozen=True, kw_only=True):
    """A network namespace by the name ``ip netns`` or ``lsns`` shows; ``inode`` where shown.

    A namespace without a name is called as the kernel calls it: ``net:[4026532177]``.
    """

    name: str
    inode: int | None = None
