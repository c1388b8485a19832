"""What an iptables command line says of its output: the tool, the family, the table, the standing.

The trap: a line may hold several commands (``iptables -L -t nat; iptables -L``) while the block shows one of them, so
the chains that are shown have the last word over the command.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

from tablefull.facts.settings import Standing

_TOOL = re.compile(r"(?:^|[\s/;&|('\"`])((ip6?|eb|arp)tables)(?:-legacy|-nft)?(?:-save|-restore)?(?=$|[\s;&|)'\"`])")
_TABLE = re.compile(r"(?:^|\s)(?:-t\s*|--table[\s=]|-[A-Za-z]*t\s+)([a-z]+)\b")
# The same list of tables for both families (iptables(8)); broute is ebtables' own.
TABLES = frozenset(("filter", "nat", "mangle", "raw", "security", "broute"))
_FAMILY = {"iptables": "ip", "ip6tables": "ip6", "ebtables": "bridge", "arptables": "arp"}
# The built-in chains of each table: iptables(8), "TABLES". Only an old kernel's nat table has no INPUT.
_BUILT_IN = frozenset(("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"))
_NAT_TARGETS = frozenset(("MASQUERADE", "SNAT", "DNAT", "REDIRECT", "NETMAP"))
_RAW_TARGETS = frozenset(("NOTRACK", "CT"))
_MANGLE_TARGETS = frozenset(("MARK", "TPROXY", "DSCP", "TOS", "TTL", "CLASSIFY", "CHECKSUM", "IPMARK"))


class Command(NamedTuple):
    """``tables`` in order, one for each iptables command on the line (None where one names no table)."""

    tool: str | None
    tables: tuple[str | None, ...]
    standing: Standing


def family_of(tool: str) -> str:
    """The family a tool works on; ``unknown`` for a tool that works on several."""
    return _FAMILY.get(tool, "unknown")


def read_command(command: str | None, path: str | None = None) -> Command:
    """What ``command`` or ``path`` says. A file below ``/etc`` is configured, not in force."""
    found = [(match[1], match.end()) for match in _TOOL.finditer(command or "")]
    tables: list[str | None] = []
    for index, (_, end) in enumerate(found):
        until = found[index + 1][1] if index + 1 < len(found) else len(command or "")
        named = _TABLE.search((command or "")[end:until].split("|", 1)[0])
        tables.append(named[1] if named and named[1] in TABLES else None)
    where = f"{command or ''} {path or ''}"
    configured = "etc/" in where or "rules.v4" in where or "rules.v6" in where
    tool = found[0][0] if found else None
    if tool is None and configured:
        tool = "ip6tables" if "ip6tables" in where or "rules.v6" in where else None
    return Command(tool, tuple(tables), "configured" if configured else "shown")


def table_of_chains(chains: Collection[str]) -> str | None:
    """The table whose built-in chains these are; None where several tables fit (a cut listing, a single chain)."""
    seen = _BUILT_IN.intersection(chains)
    if {"POSTROUTING", "FORWARD"} <= seen:
        return "mangle"
    if "PREROUTING" in seen and "FORWARD" in seen:
        return "mangle"
    if "POSTROUTING" in seen and seen & {"PREROUTING", "OUTPUT", "INPUT"}:
        return "nat"
    if seen == {"PREROUTING", "OUTPUT"}:
        return "raw"
    if "FORWARD" in seen and not seen & {"PREROUTING", "POSTROUTING"}:
        return "filter"
    return None


def table_of_rule(chain: str, target: str | None) -> str | None:
    """The table a rule must stand in by its target, else by its chain; None where several fit."""
    if target in _NAT_TARGETS:
        return "nat"
    if target in _RAW_TARGETS:
        return "raw"
    if target in _MANGLE_TARGETS:
        return "mangle"
    return "filter" if chain in {"INPUT", "FORWARD", "OUTPUT"} else None


def choose_table(command: Command, chains: Collection[str]) -> str | None:
    """The table of a block: the command's where the chains allow it, else what the chains tell."""
    shown = table_of_chains(chains)
    named = {table or "filter" for table in command.tables}
    seen = _BUILT_IN.intersection(chains)
    if len(named) == 1:
        (table,) = named
        impossible = table == "filter" and bool(seen & {"PREROUTING", "POSTROUTING"})
        return shown if impossible else table
    if shown is None and "OUTPUT" in seen and len(seen) == 1:
        return None
    if shown is None and seen and seen <= {"INPUT", "OUTPUT"}:
        return "filter"
    return shown
