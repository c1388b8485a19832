"""Chosen traffic taken out of tracking on a running host: both directions, both families, in this host's own words.

The trap: exempted packets are not translated and are not ESTABLISHED. So the rulesets that are in force are asked first
whether a NAT or a state rule lives on these packets, and where one does the fix is refused with that rule.
"""

import msgspec

from tablefull.errors import UsageError
from tablefull.facts.ruleset import FwRule
from tablefull.fixes import dialect, packet_rules, rule_acts, tracking_plans
from tablefull.fixes.act import HostPlan, Predicted, Step
from tablefull.fixes.live_host import LiveHost, Options
from tablefull.fixes.packet_rules import NftChain, Rule
from tablefull.fixes.plan import Situation
from tablefull.fixes.rule_acts import CannotRule
from tablefull.fixes.rule_reading import NAT_TARGETS, NAT_WORDS, NEW, Packet, read
from tablefull.fixes.set_acts import refused
from tablefull.fixes.tracking_plans import NFT_TABLE, RAW
from tablefull.fixes.verdicts import Walker, cut_off
from tablefull.kernel import identity
from tablefull.kernel.modules import requests_tracking
from tablefull.wire import ctnetlink as at
from tablefull.wire.dimensions import NAMES

FIX = "notrack"
WAYS = {"served": "server", "passed": "router", "both": "all"}
_WHOLE = {"all": "everything", "bridged": "bridged frames", "lo": "loopback"}
Service = tuple[str, str]
CLIENT_PORT = 50_000  # such as a client is given, of 32768 to 60999 (ip_local_port_range)


def services(options: Options) -> tuple[Service, ...]:
    """``(protocol, port)`` of what was asked for; UsageError for a word that is no service."""
    found: list[Service] = []
    for text in options.ports:
        low = text.lower().strip()
        one = dialect.services(Situation(ports=(low,)))
        if low in ("all", "bridged"):
            found.append((low, ""))
        elif one:
            found += one
        else:
            raise UsageError(f"{text[:60]!a} is no service: write udp/53, tcp/80, gre, esp, lo, bridged or all")
    return tuple(dict.fromkeys(found))


def servers(options: Options) -> tuple[tuple[str, bool], ...]:
    """The valid addresses and whether each is IPv6; UsageError for a word that is none."""
    found = []
    for text in options.addresses:
        one = dialect.address(text)
        if one is None:
            raise UsageError(f"{text[:60]!a} is no address and no network")
        found.append(one)
    return tuple(dict.fromkeys(found))


def _named(chosen: tuple[Service, ...]) -> str:
    return ", ".join(_WHOLE.get(name, f"{name}/{port}" if port else name) for name, port in chosen)


def notrack(host: LiveHost, options: Options) -> HostPlan:
    """Exempt the chosen services, or say which rule needs their packets."""
    title = "Do not track"
    chosen = services(options)
    if not chosen:
        why = "which traffic? --port names it: udp/53, tcp/80, gre, lo, bridged, all" + _suggested(host)
        return refused(host, FIX, title, why)
    title = f"Do not track {_named(chosen)}, in both directions"
    way = options.way or ("passed" if forwards(host) else "served")
    if way not in WAYS:
        raise UsageError(f"--way {way[:40]!a}: there are {', '.join(WAYS)}")
    meant = servers(options)
    if host.unseen_rules and not options.i_know:
        why = f"whether a rule needs these packets cannot be told: {'; '.join(host.unseen_rules[:3])} (--i-know)"
        return refused(host, FIX, title, why)
    needed = needs(host, chosen, way)
    if needed and not options.i_know:
        return refused(host, FIX, title, needed[0], *needed[1:])
    try:
        acts = rule_acts.put_in(
            host, NFT_TABLE, "exempt from tracking", _rules(host, chosen, way, meant), _chains(host, chosen, way, meant)
        )
    except CannotRule as reason:
        return refused(host, FIX, title, str(reason))
    share, predicted = _predicted(host, chosen)
    step = Step(
        title=title,
        before=_before(host, share),
        after="no packet of it makes an entry; entries that exist stay until they expire (flush-entries)",
        scope="netns",
        acts=acts,
        risk=_risk(host, chosen, way, needed),
        undo="the rules are taken out by their name; the next packets are tracked again",
        verify=rule_acts.listings(host, acts),
        predicted=predicted,
    )
    return HostPlan(
        fix=FIX, host=host.name, netns=host.netns, title=title, steps=(step,), needs=("CAP_NET_ADMIN",),
        told=(*rule_acts.leftovers(host, acts), *needed),
    )  # fmt: skip


def _before(host: LiveHost, share: str) -> str:
    if host.sample is not None and host.sample.total == 0:
        return "not one entry is there now, so it may be that nothing is tracked here (tablefull why tells)"
    return f"its packets are tracked{share}"


def forwards(host: LiveHost) -> bool:
    """Whether this namespace routes, or its bridges are seen by the IP rules."""
    paths = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
    return any(host.value(path) == "1" for path in paths) or host.situation.bridged


def _suggested(host: LiveHost) -> str:
    """The service that most entries belong to, where one stands out."""
    sample = host.sample
    if sample is None or len(sample.rows) < 20:
        return ""
    counted: dict[tuple[int, int], int] = {}
    for row in sample.rows:
        pair = (row[at.R_PROTO], row[at.R_DPORT])
        counted[pair] = counted.get(pair, 0) + 1
    (protocol, port), count = max(counted.items(), key=lambda item: item[1])
    name = NAMES.get(protocol, str(protocol))
    return f"; {count} of {len(sample.rows)} entries read are {name}/{port}" if 4 * count > len(sample.rows) else ""


def _packets(service: Service, family: str) -> tuple[Packet, Packet]:
    """A request and its answer."""
    name, port = service
    if name in _WHOLE:
        return Packet(family), Packet(family)
    protocol = "icmpv6" if (name, family) == ("icmp", "ip6") else name
    if not port:
        return Packet(family, protocol), Packet(family, protocol)
    number = int(port)
    first = True if protocol == "tcp" else None
    return Packet(family, protocol, CLIENT_PORT, number, syn=first), Packet(family, protocol, number, CLIENT_PORT)


# Where requests and answers of each way pass: hook → (request, answer). Whose first packet may be translated: hooks.
_PASSES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "served": (("prerouting", "input"), ("output", "postrouting")),
    "passed": (
        ("prerouting", "input", "forward", "postrouting"), ("prerouting", "output", "forward", "postrouting")
    ),
    "both": (
        ("prerouting", "input", "forward", "output", "postrouting"),
        ("prerouting", "output", "forward", "input", "postrouting"),
    ),
    "bridged": (("prerouting", "forward", "postrouting"), ("prerouting", "forward", "postrouting")),
}  # fmt: skip
_TRANSLATED = {
    "served": ("prerouting",),
    "passed": ("prerouting", "postrouting"),
    "both": ("prerouting", "postrouting", "output", "input"),
    "bridged": ("prerouting", "postrouting"),
}


def needs(host: LiveHost, chosen: tuple[Service, ...], way: str) -> tuple[str, ...]:
    """Every NAT or state rule that needs these packets, in words; empty where none does."""
    walker = Walker(host.rules, host.chains)
    by_connection = [rule for rule in host.rules if _by_connection(host, rule)]
    found: list[str] = []
    for service in chosen:
        name = service[0]
        passes = "both" if name in ("all", "lo") else "bridged" if name == "bridged" else way
        for family in ("ip", "ip6"):
            request, answer = _packets(service, family)
            translating = walker.nat(_TRANSLATED[passes], request) if name != "lo" else None
            if translating is not None:
                found.append(f"{_named((service,))} may be translated by {quoted(translating)}")
            for rule in by_connection:
                met = any(read(rule, packet, NEW).match is not False for packet in (request, answer))
                if rule.family in (family, "inet") and met:
                    found.append(f"{_named((service,))} may be counted or marked by connection: {quoted(rule)}")
            requests, answers = _PASSES[passes]
            for hook in requests:
                by_state = cut_off(walker, hook, request, begins=True)
                if by_state is not None:
                    found.append(f"requests to {_named((service,))} need their state: {quoted(by_state)}")
            for hook in answers:
                by_state = cut_off(walker, hook, answer, begins=False)
                if by_state is not None:
                    found.append(f"answers of {_named((service,))} need their state: {quoted(by_state)}")
    return tuple(dict.fromkeys(found))


# What a rule asks of an entry that is judged apart: its state (by walking the rules), its translation.
_JUDGED_APART = frozenset(("state", "conntrack", "ct state", "ct status", *NAT_TARGETS, *NAT_WORDS))


def _by_connection(host: LiveHost, rule: FwRule) -> bool:
    """Whether a rule asks an entry for something an untracked packet cannot have: a mark, a number, a helper."""
    asked = requests_tracking(rule.text, rule.tool, host.kernel).by
    return bool(set(asked) - _JUDGED_APART)


def quoted(rule: FwRule) -> str:
    """A rule for a person: where it stands and what it says; text from evidence, never a word of a command."""
    return f"{rule.tool} {rule.family} {rule.table or '?'} {rule.chain}: {rule.text[:200]!a}"


def _local_only(host: LiveHost, way: str) -> bool:
    return way == "served" and forwards(host)


def _rules(
    host: LiveHost, chosen: tuple[Service, ...], way: str, meant: tuple[tuple[str, bool], ...]
) -> tuple[Rule, ...]:
    """For the old iptables. addrtype knows IPv6 from 2.6.39 on."""
    target = packet_rules.no_tracking(host.situation)
    old = identity.at_least(host.kernel, 2, 6, 39) is False
    found = []
    for name, port in chosen:
        for chain, match in tracking_plans.matches(name, port, WAYS[way]):
            kin: tuple[str, ...] = tracking_plans.kin(host.situation, name)
            if "addrtype" in match and old:
                kin = ("ipv4",)
            if _local_only(host, way) and chain == "PREROUTING" and port and not meant:
                match += "-m addrtype --dst-type LOCAL "
                kin = ("ipv4",) if old else kin
            text = match.replace("-p icmp ", "-p ipv6-icmp ") if kin == ("ipv6",) else match
            if not meant:
                found.append(Rule("raw", chain, f"{text}{target}", kin))
                continue
            side = "-s" if "--sport" in match else "-d"
            found += [
                Rule("raw", chain, f"{side} {address} {text}{target}", ("ipv6",) if six else ("ipv4",))
                for address, six in meant
                if ("ipv6" if six else "ipv4") in kin
            ]
    return tuple(found)


def _chains(
    host: LiveHost, chosen: tuple[Service, ...], way: str, meant: tuple[tuple[str, bool], ...]
) -> tuple[NftChain, ...]:
    """For nft. Bridged frames are told by the bridge they came in by only in the bridge family: refused there."""
    chains = []
    for chain in ("prerouting", "output"):
        rules: list[str] = []
        for name, port in chosen:
            if name == "bridged":
                if rule_acts.spelling(host) == "nft":
                    raise CannotRule(
                        "nft's inet rules cannot tell bridged frames: keep them out of tracking whole instead "
                        "(disable-bridge-nf)"
                    )
                continue
            for rule in tracking_plans.nft_matches(name, port, chain, WAYS[way]):
                served = _local_only(host, way) and chain == "prerouting" and " dport " in f" {rule}"
                if meant:
                    side = "saddr" if " sport " in f" {rule}" else "daddr"
                    rules += [f"{'ip6' if six else 'ip'} {side} {address} {rule}" for address, six in meant]
                else:
                    rules.append(f"fib daddr type local {rule}" if served else rule)
        chains.append(NftChain(chain, chain, RAW, tuple(rules)))
    return tuple(chains)


def _predicted(host: LiveHost, chosen: tuple[Service, ...]) -> tuple[str, Predicted | None]:
    """The share of the sample that these services are, and the entries that are left without them."""
    sample = host.sample
    if sample is None or not sample.rows:
        return "", None
    numbers = {name: number for number, name in NAMES.items()}

    def is_one(row: at.Row) -> bool:
        for name, port in chosen:
            if name == "all":
                return True
            if name in _WHOLE or row[at.R_PROTO] != numbers.get(name):
                continue
            if not port or int(port) in (row[at.R_SPORT], row[at.R_DPORT]):
                return True
        return False

    matched = sum(map(is_one, sample.rows))
    if any(name in ("bridged", "lo") for name, _ in chosen):
        return "", None
    told = f": {matched} of {len(sample.rows)} entries read"
    if sample.total is None:
        return told, None
    gone = round(sample.total * matched / len(sample.rows))
    how = f"{matched} of {len(sample.rows)} entries read are of this traffic, once they have expired"
    return told, Predicted(how=how, entries_before=sample.total, entries_after=max(0, sample.total - gone))


def _risk(host: LiveHost, chosen: tuple[Service, ...], way: str, needed: tuple[str, ...]) -> str:
    here = msgspec.structs.replace(
        host.situation, ports=tuple(f"{name}/{port}" if port else name for name, port in chosen)
    )
    parts = ["Untracked packets are not translated and match no state: no rule in force here needs them."]
    if needed:
        parts = [f"WITHOUT these packets stop working: {'; '.join(needed)}."]
    if way == "served":
        parts.append(
            "This host's own requests to such a port stay tracked, so that a filter still knows their answers."
        )
    if dialect.kubernetes(here):
        parts.append("Kubernetes services are NAT: never exempt traffic to a service address.")
    if ("all", "") in chosen:
        parts.append("With everything exempted a stateful rule or NAT that somebody adds later does not work.")
    return " ".join(parts)
