"""Packet rules as acts: a table of our own in nftables, own chains in the old iptables, direct rules in firewalld.

The trap: a rule among other people's rules cannot be told from theirs, and a fix that is killed between two rules
leaves half of itself. So rules stand in a table or in chains that carry our name, put in and taken out by one
transaction of the kernel's each (``nft -f``, ``iptables-restore --noflush``), and whether they are there is asked by
that name: also of the iptables of RHEL 6, which has no ``-C`` yet (it came with 1.4.11).
"""

from collections.abc import Iterable

from tablefull.fixes import dialect, packet_rules
from tablefull.fixes.act import Command, Commanded
from tablefull.fixes.live_host import LiveHost
from tablefull.fixes.packet_rules import NftChain, Rule
from tablefull.kernel import identity
from tablefull.live import parts


class CannotRule(Exception):
    """Why no rule can be put in here; ``str()`` is the sentence."""


_SHORT = {"PREROUTING": "pre", "INPUT": "in", "FORWARD": "fwd", "OUTPUT": "out", "POSTROUTING": "post"}
_FAMILY = {"ipv4": ("ip", "iptables"), "ipv6": ("ip6", "ip6tables")}
# The first releases whose iptables-restore waits for the lock when told to (-w, 1.6.2).
_WAITS = {"debian": (10, 0), "ubuntu": (20, 4), "redhat": (8, 0), "alpine": (3, 8), "suse": (15, 1)}


def spelling(host: LiveHost) -> str:
    """nft, legacy, translated (iptables that writes to nftables, without the program nft) or firewalld.

    CannotRule where neither program is installed.
    """
    nft = host.program("nft") and identity.at_least(host.kernel, 3, 14) is not False
    if host.front_end == "firewalld" and not firewalld_by_nft(host):
        return "firewalld"
    translated = host.speaks_nft("iptables")
    # A table of the old iptables may be there empty, because somebody once listed it, on a host that is nft's.
    old = host.legacy_tables and (not translated or any(rule.tool != "nft" for rule in host.rules))
    if old and (host.program("iptables") or host.program("iptables-legacy")):
        return "legacy"
    if nft and (translated or not host.program("iptables") or any(one.tool == "nft" for one in host.chains)):
        return "nft"
    if host.program("iptables"):
        return "translated" if translated else "legacy"
    if nft:
        return "nft"
    raise CannotRule("neither iptables nor nft is installed here")


def spelling_or_none(host: LiveHost) -> str | None:
    """The same, None where no rule can be put in."""
    try:
        return spelling(host)
    except CannotRule:
        return None


def firewalld_by_nft(host: LiveHost) -> bool:
    """Whether firewalld filters with nftables: by the table it keeps there."""
    return any(one.tool == "nft" and one.table == "firewalld" for one in host.chains)


def families(host: LiveHost) -> tuple[str, ...]:
    """The families to write rules for: IPv6 where the kernel has it, it is tracked, and there is a program for it."""
    found = packet_rules.families(host.situation)
    if "ipv6" in found and not host.proc.exists("proc/net/if_inet6"):
        return ("ipv4",)
    return found


def taken(host: LiveHost, name: str) -> bool:
    """Whether rules of this name stand here already."""
    return any(one.table == name or one.chain.startswith(f"{name}_") for one in host.chains)


def put_in(
    host: LiveHost, name: str, what: str, rules: Iterable[Rule], chains: tuple[NftChain, ...], objects: str = ""
) -> tuple[Commanded, ...]:
    """The acts that put these rules in: ``rules`` where iptables is spoken, ``chains`` where nft is.

    ``objects`` are further lines of the nft table, before its chains. CannotRule with the reason.
    """
    if taken(host, name):
        raise CannotRule(f"rules called {name} stand here already: undo that fix first")
    how = spelling(host)
    if how == "nft":
        return (_nft(host, name, what, chains, objects),)
    wanted = tuple(rules)
    if how == "firewalld":
        return tuple(_direct(host, what, wanted))
    return tuple(_restored(host, name, what, wanted, legacy=how == "legacy"))


def nft_text(name: str, chains: tuple[NftChain, ...], objects: str = "") -> str:
    """The table as one transaction. ``create`` fails where a table of that name was made meanwhile."""
    lines = [f"create table inet {name}", f"table inet {name} {{"]
    if objects:
        lines.append(objects)
    for chain in chains:
        lines += [
            f"\tchain {chain.name} {{",
            f"\t\ttype filter hook {chain.hook} priority {chain.priority}; policy accept;",
            *(f"\t\t{counted(rule.strip(chr(39)))}" for rule in chain.rules),
            "\t}",
        ]
    return "\n".join((*lines, "}")) + "\n"


def counted(rule: str) -> str:
    """The rule with a counter before its verdict: that it meets packets is part of the proof that it works."""
    words = rule.split()
    if words[-1] in ("drop", "notrack") and words[-2:-1] != ["counter"]:
        return " ".join((*words[:-1], "counter", words[-1]))
    return rule


def _nft(host: LiveHost, name: str, what: str, chains: tuple[NftChain, ...], objects: str) -> Commanded:
    return Commanded(
        what=f"{what}: nft table inet {name}",
        do=(Command(("nft", "-f", "-"), nft_text(name, chains, objects)),),
        undo=(Command(("nft", "delete", "table", "inet", name)),),
        done=Command(("nft", "list", "table", "inet", name)),
        first=nft_first(host),
    )


def nft_first(host: LiveHost) -> tuple[Command, ...]:
    """What must hold before nft may be asked: listing loads nf_tables where it is a module that is not loaded."""
    if parts.NFTABLES not in host.modules and host.have.have(parts.NFTABLES) is True:
        return ()
    return (Command(("test", "-d", "/sys/module/nf_tables")),)


def waits(host: LiveHost) -> tuple[str, ...]:
    """``-w 5`` where this iptables-restore knows it."""
    since = _WAITS.get(dialect.family(host.situation))
    number = dialect.release(host.situation)
    return ("-w", "5") if since is not None and number is not None and number >= since else ()


def _program(host: LiveHost, kin: str, suffix: str, legacy: bool) -> str:
    plain = f"{_FAMILY[kin][1]}{suffix}"
    special = f"{_FAMILY[kin][1]}-legacy{suffix}"
    return special if legacy and host.program(special) and host.speaks_nft(plain) else plain


def _restored(host: LiveHost, name: str, what: str, rules: tuple[Rule, ...], *, legacy: bool) -> Iterable[Commanded]:
    for kin in families(host):
        family, _ = _FAMILY[kin]
        mine = [rule for rule in rules if kin in rule.families]
        for table in dict.fromkeys(rule.table for rule in mine):
            of_table = [rule for rule in mine if rule.table == table]
            hooks = tuple(dict.fromkeys(rule.chain for rule in of_table))
            if not host.program(_program(host, kin, "-restore", legacy)):
                raise CannotRule(f"{_program(host, kin, '-restore', legacy)} is not installed here")
            restore = (_program(host, kin, "-restore", legacy), *waits(host), "--noflush")
            own = {hook: f"{name}_{_SHORT[hook]}" for hook in hooks}
            put = [f"*{table}", *(f":{chain} - [0:0]" for chain in own.values())]
            put += [f"-A {own[rule.chain]} {rule.spec}" for rule in of_table]
            put += [f"-I {hook} 1 -j {chain}" for hook, chain in own.items()]
            take = [f"*{table}", *(f"-D {hook} -j {chain}" for hook, chain in own.items())]
            take += [f"-{verb} {chain}" for chain in own.values() for verb in "FX"]
            listing = (_program(host, kin, "", legacy), "-t", table, "-n", "-L", own[hooks[0]])
            yield Commanded(
                what=f"{what}: {_FAMILY[kin][1]} table {table}",
                do=(Command(restore, "\n".join((*put, "COMMIT")) + "\n"),),
                undo=(Command(restore, "\n".join((*take, "COMMIT")) + "\n"),),
                done=Command(listing),
                first=(Command(("grep", "-qx", table, f"/proc/net/{family}_tables_names")),)
                if legacy
                else nft_first(host),
            )


def _direct(host: LiveHost, what: str, rules: tuple[Rule, ...]) -> Iterable[Commanded]:
    """Rules that firewalld keeps in its own chains over its reloads, one by one: it has no transaction for them."""
    for kin in families(host):
        for rule in rules:
            if kin not in rule.families:
                continue
            words = (kin, rule.table, rule.chain, str(rule.place - 1), *rule.spec.split())
            yield Commanded(
                what=f"{what}: firewalld direct rule {' '.join(words)}",
                do=(Command(("firewall-cmd", "--direct", "--add-rule", *words)),),
                undo=(Command(("firewall-cmd", "--direct", "--remove-rule", *words)),),
                done=Command(("firewall-cmd", "--direct", "--query-rule", *words)),
            )


def listings(host: LiveHost, acts: tuple[Commanded, ...]) -> tuple[Command, ...]:
    """The commands that show the rules with their counters, once they are in."""
    found = []
    for act in acts:
        argv = act.done.argv
        if argv[0] == "firewall-cmd":
            found.append(Command(("firewall-cmd", "--direct", "--get-all-rules")))
        else:
            found.append(Command((*argv, "-v") if "tables" in argv[0] else argv))
    return tuple(dict.fromkeys(found))


def leftovers(host: LiveHost, acts: tuple[Commanded, ...]) -> tuple[str, ...]:
    """What stays after an undo: a table of the old iptables that our rules were the first to ask for."""
    made = []
    for act in acts:
        for command in act.first:
            if command.argv[0] == "grep":
                table, family = command.argv[2], command.argv[3].rpartition("/")[2].partition("_")[0]
                if f"{family} {table}" not in host.legacy_tables:
                    made.append(f"{family} {table}")
        if act.done.argv[0] in ("iptables", "ip6tables") and not any(one.argv[0] == "grep" for one in act.first):
            family, table = "ip6" if act.done.argv[0] == "ip6tables" else "ip", act.done.argv[2]
            if not any((one.tool, one.family, one.table) == ("nft", family, table) for one in host.chains):
                made.append(f"{family} {table}")
    if not made:
        return ()
    return (
        (
            f"the tables {', '.join(made)} come into being with these rules; after an undo they stay, empty, until the "
            "next boot (or rmmod): an empty one changes nothing"
        ),
    )
