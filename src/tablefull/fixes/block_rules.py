"""The rules that drop named sources, or limit what each address may open.

The trap: UDP has no SYN. A rate of its packets in the raw table strangles one long call as soon as a thousand peers, so
UDP is limited after the lookup, by its first packets alone; one that is dropped there is not kept as an entry.
"""

from tablefull.fixes import dialect, packet_rules
from tablefull.fixes.packet_rules import NftChain, Rule
from tablefull.fixes.plan import Situation
from tablefull.kernel import identity

RAW = -300  # before tracking, which hooks in at -200 (netfilter_ipv4.h 6.18)
MANGLE = -150  # after it, and before an entry is kept
# New connections a second from one address: a browser opens a few dozen at once, a scanner hundreds without pause.
NEW_PER_S = 50
BURST = 200


def limited(situation: Situation) -> tuple[tuple[str, str], ...]:
    """Protocol and port (empty: all) to limit; peer-to-peer traffic is no port's and mostly UDP."""
    if situation.cause == "scan-or-p2p":
        return (("tcp", ""), ("udp", ""))
    named = tuple((name, port) for name, port in dialect.services(situation) if name in ("tcp", "udp") and port)
    return named[:1] or (("tcp", ""), ("udp", ""))


def iptables(
    situation: Situation, sources: tuple[tuple[str, bool], ...], rate_per_s: int = NEW_PER_S, burst: int = BURST
) -> tuple[Rule, ...]:
    """Drops of the sources; a limit for each address where none is named."""
    if sources:
        return tuple(
            Rule("raw", "PREROUTING", f"-s {text} -j DROP", ("ipv6",) if six else ("ipv4",)) for text, six in sources
        )
    rules: list[Rule] = []
    for protocol, port in limited(situation):
        table = "raw" if protocol == "tcp" else "mangle"
        match = f"-p {protocol}" + (f" --dport {port}" if port else "")
        match += " --syn" if protocol == "tcp" else f" {packet_rules.by_state(situation, 'NEW')}"
        named = f"--hashlimit-burst {burst} --hashlimit-mode srcip --hashlimit-name new{protocol}"
        if identity.at_least(situation.kernel, 2, 6, 25) is False:
            # Before hashlimit's second revision a rule can only accept below the rate, so a drop follows it.
            within = f"{match} -m hashlimit --hashlimit {rate_per_s}/sec {named} -j ACCEPT"
            rules += [
                Rule(table, "PREROUTING", within, ("ipv4",)),
                Rule(table, "PREROUTING", f"{match} -j DROP", ("ipv4",), 2),
            ]
        else:
            above = f"{match} -m hashlimit --hashlimit-above {rate_per_s}/sec {named} -j DROP"
            rules.append(Rule(table, "PREROUTING", above))
    return tuple(rules)


def nft(
    situation: Situation, sources: tuple[tuple[str, bool], ...], rate_per_s: int = NEW_PER_S, burst: int = BURST
) -> tuple[NftChain, ...]:
    """The same in chains of a table of our own."""
    if sources:
        drops = tuple(f"{'ip6' if six else 'ip'} saddr {text} drop" for text, six in sources)
        return (NftChain("prerouting", "prerouting", RAW, drops),)
    chains = []
    limit = f"limit rate over {rate_per_s}/second burst {burst} packets"
    for protocol, port in limited(situation):
        match = f"{protocol} dport {port} " if port else ""
        first = "tcp flags & (syn|ack) == syn" if protocol == "tcp" else "meta l4proto udp ct state new"
        # Meters by address came with nft's sets that rules fill (kernel 4.3 and nft 0.8); a plain limit is one for
        # all sources.
        if identity.at_least(situation.kernel, 4, 9) is False:
            rules: tuple[str, ...] = (f"'{match}{first} {limit} drop'",)
        else:
            rules = tuple(
                f"'{match}{first} meter new{protocol}_{kin} {{ {kin} saddr {limit} }} drop'" for kin in ("ip", "ip6")
            )
        name, priority = ("prerouting", RAW) if protocol == "tcp" else ("first_udp", MANGLE)
        chains.append(NftChain(name, "prerouting", priority, rules))
    return tuple(chains)
