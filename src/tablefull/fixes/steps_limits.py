"""Sources dropped, or limited each, before their packets cost an entry; and what is INVALID.

The trap: a rule that is meant for strangers also meets the one who types it. So a source that has an open session with
this host is never dropped without ``--i-know``, and a limit is told with whom it would meet: proxies, NAT gateways.
"""

from tablefull.errors import UsageError
from tablefull.fixes import block_rules, dialect, packet_rules, rule_acts
from tablefull.fixes.act import Command, HostPlan, SetValue, Step
from tablefull.fixes.firewall_plans import BLOCK_TABLE, INVALID_TABLE
from tablefull.fixes.live_host import LiveHost, Options
from tablefull.fixes.packet_rules import NftChain, Rule
from tablefull.fixes.rule_acts import CannotRule
from tablefull.fixes.set_acts import CannotSet, refused, set_value
from tablefull.fixes.steps_notrack import forwards, services
from tablefull.kernel import identity

MOST_RATE_PER_S = 10_000  # hashlimit counts in 1/10000 s before its third revision [xt_hashlimit.h]


def sources_of(options: Options) -> tuple[tuple[str, bool], ...]:
    """Valid addresses or networks, and whether each is IPv6; UsageError for anything else, and for everybody."""
    found = []
    for text in options.sources:
        one = dialect.address(text)
        if one is None:
            raise UsageError(f"{text[:60]!a} is no address and no network")
        if one[0].endswith("/0"):
            raise UsageError(f"{one[0]} is everybody")
        found.append(one)
    return tuple(dict.fromkeys(found))


def rate_limit(host: LiveHost, options: Options) -> HostPlan:
    """Drop the named sources; where none is named, limit what each may open."""
    import ipaddress

    import msgspec

    fix, title = "rate-limit-or-block-source", "Limit each source"
    sources = sources_of(options)
    rate, burst = options.rate_per_s or block_rules.NEW_PER_S, options.burst or block_rules.BURST
    if not 0 < rate <= MOST_RATE_PER_S or not 0 < burst <= MOST_RATE_PER_S:
        raise UsageError(f"a rate and a burst lie between 1 and {MOST_RATE_PER_S}")
    named = ", ".join(text for text, _ in sources)
    for text, _ in sources:
        network = ipaddress.ip_network(text)
        session = next((peer for peer in host.sessions if ipaddress.ip_address(peer) in network), None)
        if session is not None and not options.i_know:
            why = f"{session} has an open session with this host's port 22: dropping {text} would cut it (--i-know)"
            return refused(host, fix, f"Drop {named}", why)
    here = msgspec.structs.replace(
        host.situation,
        ports=tuple(f"{name}/{port}" for name, port in services(options) if port),
        cause=options.cause,
    )
    kinds = " and ".join(dict.fromkeys(name.upper() for name, _ in block_rules.limited(here)))
    if not sources:
        title = f"Allow each address {rate} new {kinds} connections a second, {burst} at once"
    else:
        title = f"Drop {named} before it is tracked"
    try:
        acts = rule_acts.put_in(
            host,
            BLOCK_TABLE,
            "drop sources" if sources else "limit sources",
            block_rules.iptables(here, sources, rate, burst),
            block_rules.nft(here, sources, rate, burst),
        )
    except CannotRule as reason:
        return refused(host, fix, title, str(reason))
    told = list(rule_acts.leftovers(host, acts))
    if not sources:
        told += _bounds(host, kinds)
    step = Step(
        title=title,
        before="every packet of any source may make an entry",
        after="what is dropped comes before tracking and costs no entry"
        if sources or kinds == "TCP"
        else "dropped SYNs cost no entry; the first packets of UDP are dropped before their entry is kept",
        scope="netns",
        acts=acts,
        risk=(
            f"{named} is cut off from this host and from all behind it"
            if sources
            else f"Addresses with more than {rate} new connections a second lose the rest"
        )
        + ": make sure that no proxy, NAT gateway or monitor stands behind it, nor your own session. Forged addresses "
        "are not stopped so. Entries that exist stay until they expire or are flushed.",
        undo="the rules are taken out by their name",
        verify=rule_acts.listings(host, acts),
    )
    return HostPlan(
        fix=fix, host=host.name, netns=host.netns, title=title, steps=(step,), told=tuple(told),
        needs=("CAP_NET_ADMIN",),
    )  # fmt: skip


def _bounds(host: LiveHost, kinds: str) -> list[str]:
    """What a limit does when there are more addresses than it can hold, and whether it starts tracking."""
    told = []
    if rule_acts.spelling(host) == "nft":
        if identity.at_least(host.kernel, 4, 9) is False:
            return ["this kernel's nft has no limit by address: the limit is one for all of them"]
        # nft gives a meter room for 65535; an address that finds none breaks off the rule [nft(8); nft_dynset.c]
        told.append("it holds 65535 addresses; from more, as forged ones are, those that came late are not limited")
    else:
        # dsthash_alloc_init fails at htable-max, and the packet is dropped then [xt_hashlimit.c, hotdrop]
        told.append("where more addresses come than it can hold, as forged ones do, those that came late are dropped")
    if "UDP" in kinds and host.setting("nf_conntrack_count") is None:
        told.append("tracking does not run here yet: the rule that tells a first packet of UDP starts it")
    return told


def drop_invalid_or_be_liberal(host: LiveHost, options: Options) -> HostPlan:
    """Drop INVALID where this host forwards or translates, be liberal where it only filters for itself."""
    fix = "drop-invalid-or-be-liberal"
    if options.invalid not in ("", "drop", "liberal"):
        raise UsageError(f"{options.invalid[:40]!a}: there are drop and liberal")
    way = options.invalid or ("drop" if forwards(host) or host.situation.nat_in_use else "liberal")
    if way == "liberal":
        return _liberal(host, fix)
    title = "Drop forwarded packets that tracking calls INVALID"
    rule = Rule("filter", "FORWARD", f"{packet_rules.by_state(host.situation, 'INVALID')} -j DROP")
    chain = NftChain("forward", "forward", -5, ("ct state invalid counter drop",))
    try:
        acts = rule_acts.put_in(host, INVALID_TABLE, "drop what is INVALID", (rule,), (chain,))
    except CannotRule as reason:
        return refused(host, fix, title, str(reason))
    told = rule_acts.leftovers(host, acts)
    if host.setting("nf_conntrack_count") is None:
        told += ("tracking does not run here yet: a rule that asks for a state starts it",)
    step = Step(
        title=title,
        before="INVALID packets are forwarded without translation: they leave with their inner address",
        after="they are dropped; the sender sends again",
        scope="netns",
        acts=acts,
        risk="Traffic of which this host sees one direction only (asymmetric routing) stops. A connection that was "
        "well loses nothing: what was dropped is sent again.",
        undo="the rules are taken out by their name",
        verify=rule_acts.listings(host, acts),
    )
    return HostPlan(
        fix=fix, host=host.name, netns=host.netns, title=title, steps=(step,), told=told, needs=("CAP_NET_ADMIN",)
    )


def _liberal(host: LiveHost, fix: str) -> HostPlan:
    title = "Let out-of-window segments pass as part of their connection"
    try:
        act = set_value(host, "nf_conntrack_tcp_be_liberal", 1)
    except CannotSet as reason:
        return refused(host, fix, title, str(reason))
    if act is None:
        return refused(host, fix, title, "it is so already")
    step = Step(
        title=title,
        before="a segment outside the window is INVALID",
        after="only a RST outside the window is",
        scope="netns" if identity.at_least(host.kernel, 3, 6) is not False else "host",
        acts=(act,),
        risk="An out-of-window reset that anybody forges cuts the entry of an established connection to 10 s, and more "
        "entries stay for days because nothing is judged invalid.",
        undo=f"{act.before} again",
        verify=(Command(("cat", act.path)),),
    )
    return HostPlan(fix=fix, host=host.name, netns=host.netns, title=title, steps=(step,), needs=("CAP_NET_ADMIN",))


def values_step(title: str, acts: tuple[SetValue, ...], *, before: str, after: str, risk: str) -> Step:
    """Settings of this namespace that belong together."""
    return Step(
        title=title,
        before=before,
        after=after,
        scope="netns",
        acts=acts,
        risk=risk,
        undo=", ".join(f"{act.path.rpartition('/')[2]} {act.before} again" for act in acts),
        verify=tuple(Command(("cat", act.path)) for act in acts),
    )
