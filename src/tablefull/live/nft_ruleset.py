"""The nftables rule set of a network namespace as facts, straight from the kernel, with nft's own words where it lists.

The trap: a dump of a rule set that changes meanwhile mixes two of them. The kernel marks it (NLM_F_DUMP_INTR) and
numbers each rule set; the dump is taken again until its number is the same before and after. And asking a kernel that
has no nf_tables would load it, so whoever calls this has asked ``live.parts`` first.
"""

import re
from collections.abc import Iterator

from tablefull.errors import KernelRefused, ParseError
from tablefull.facts.origin import Fact, Hole, Origin
from tablefull.facts.ruleset import FwChain, FwListing, FwObject, FwRule
from tablefull.live.netlink import Netlink
from tablefull.wire import nftables

TRIES = 5
SOURCE = "nft list ruleset"
HOOKS = {
    **dict.fromkeys(
        ("ip", "ip6", "inet", "bridge"), ("prerouting", "input", "forward", "output", "postrouting", "ingress")
    ),
    "netdev": ("ingress", "egress"),
    "arp": ("input", "output", "forward"),
}
_TABLE = re.compile(r"table (\S+) (.+) \{")
_HANDLE = re.compile(r"\s*(\S.*?) # handle (\d+)$")


def read(path: str | None, listing: str = "") -> list[Fact] | Hole:
    """Tables, chains, rules and objects of the namespace behind ``path`` (None: this one).

    ``listing`` is what ``nft -a list ruleset`` printed there: a rule's evidence is its line of it, where there is one.
    """
    try:
        with Netlink(namespace=path) as link:
            for _ in range(TRIES):
                link.interrupted = False
                before = _generation(link)
                facts = list(_facts(link, spoken(listing)))
                if not link.interrupted and _generation(link) == before:
                    return facts
    except (KernelRefused, ParseError, OSError) as error:
        what, _, why = str(error).partition(": ")
        return Hole(SOURCE, why or what, "run it as root" if "CAP_NET_ADMIN" in why else "")
    return Hole(SOURCE, f"the rule set changed {TRIES} times while it was read", "try again")


def _generation(link: Netlink) -> int:
    for data, message in link.answers(nftables.generation_request):
        return nftables.generation(data, message).number
    return 0


def _facts(link: Netlink, lines: dict[tuple[str, str, int], str]) -> Iterator[Fact]:
    for kind in (nftables.GET_TABLE, nftables.GET_CHAIN, nftables.GET_RULE, nftables.GET_SET, nftables.GET_OBJECT):
        for data, message in link.answers(lambda sequence, kind=kind: nftables.dump(kind, sequence)):  # type: ignore[misc]
            if kind == nftables.GET_RULE:
                rule = nftables.rule(data, message)
                line = lines.get((rule.family, rule.table, rule.handle), rule.text)
                yield FwRule(
                    origin=Origin(SOURCE, 0, line),
                    tool="nft",
                    family=rule.family,
                    table=rule.table,
                    chain=rule.chain,
                    text=rule.text,
                )
                continue
            thing = nftables.named(data, message)
            words = (thing.family, thing.table, thing.kind, thing.name)
            origin = Origin(SOURCE, 0, " ".join(word for word in words if word))
            if kind == nftables.GET_TABLE:
                asleep = thing.kind == "dormant"
                yield FwListing(origin=origin, tool="nft", family=thing.family, table=thing.table, dormant=asleep)
            elif kind == nftables.GET_CHAIN:
                yield FwChain(
                    origin=origin,
                    tool="nft",
                    family=thing.family,
                    table=thing.table,
                    chain=thing.name,
                    hook=_hook(thing),
                    kind=thing.kind or None,
                )
            elif kind == nftables.GET_OBJECT or thing.text:
                yield FwObject(
                    origin=origin,
                    tool="nft",
                    family=thing.family,
                    table=thing.table,
                    kind=thing.kind or ("set" if kind == nftables.GET_SET else "object"),
                    name=thing.name,
                    text=thing.text,
                )


def _hook(chain: nftables.Named) -> str | None:
    known = HOOKS.get(chain.family, ())
    return known[chain.hook] if chain.hook is not None and chain.hook < len(known) else None


def spoken(listing: str) -> dict[tuple[str, str, int], str]:
    """Family, table and handle → the rule's line of ``nft -a list ruleset``."""
    lines: dict[tuple[str, str, int], str] = {}
    family = table = ""
    for line in listing.splitlines():
        if head := _TABLE.match(line):
            family, table = head[1], head[2]
        elif line.startswith("\t\t") and (match := _HANDLE.match(line)):
            lines[family, table, int(match[2])] = match[1]
    return lines
