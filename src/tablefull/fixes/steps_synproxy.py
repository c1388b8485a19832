"""SYNPROXY in front of chosen TCP ports on a running host: no entry before a client has answered.

The trap: the proxy answers in the server's name before it has asked the server, so it must know what the server will
say. mss and wscale are read from this host (its route's MTU, its receive buffers) where the server is here, and asked
of a person where it stands behind this host.
"""

import msgspec

from tablefull.errors import UsageError
from tablefull.facts.ruleset import FwRule
from tablefull.fixes import rule_acts
from tablefull.fixes.act import Command, HostPlan, SetValue, Step
from tablefull.fixes.firewall_plans import PROXY_TABLE, has_synproxy, synproxy_chains, synproxy_rules
from tablefull.fixes.live_host import LiveHost, Options
from tablefull.fixes.rule_acts import CannotRule
from tablefull.fixes.rule_reading import INVALID, UNTRACKED, Packet
from tablefull.fixes.set_acts import CannotSet, refused, set_value
from tablefull.fixes.steps_limits import values_step
from tablefull.fixes.steps_notrack import CLIENT_PORT, forwards, quoted, services
from tablefull.fixes.verdicts import Walker, cut_off, stopped
from tablefull.kernel import identity

FIX = "synproxy-or-syncookies"
IP_AND_TCP_BYTES = 40


def synproxy(host: LiveHost, options: Options) -> HostPlan:
    """SYN cookies, and the proxy where the kernel has it."""
    title = "SYNPROXY: no entry before the handshake is complete"
    if not has_synproxy(host.kernel):
        return _cookies_only(host)
    chosen = services(options)
    ports = [port for name, port in chosen if name == "tcp" and port]
    if not ports or len(ports) != len(chosen):
        return refused(host, FIX, title, "which TCP ports? --port names them: tcp/80, tcp/443")
    forward = options.way == "passed"
    if options.way not in ("", "served", "passed"):
        raise UsageError(f"--way {options.way[:40]!a}: there are served (the server is here) and passed (behind it)")
    mss, wscale, how = _server(host, options, forward)
    if mss is None or wscale is None:
        return refused(host, FIX, title, how)
    if not (48 <= mss <= 65495 and 0 <= wscale <= 14):
        raise UsageError("mss lies between 48 and 65495, wscale between 0 and 14")
    translated = Walker(host.rules, host.chains).nat(("prerouting",), Packet("ip", "tcp", dport=int(ports[0])))
    if translated is not None and not options.i_know:
        why = f"the SYN would pass this translation untracked, and so untranslated: {quoted(translated)} (--i-know)"
        return refused(host, FIX, title, why)
    if host.unseen_rules and not options.i_know:
        why = f"whether a rule drops what the proxy sends cannot be told: {'; '.join(host.unseen_rules[:3])} (--i-know)"
        return refused(host, FIX, title, why)
    shut = _by_state(host, ports) or ("" if forward else _by_loopback(host, ports) or _without_entry(host, ports))
    if shut and not options.i_know:
        return refused(host, FIX, title, shut)
    if rule_acts.spelling_or_none(host) == "nft" and identity.at_least(host.kernel, 5, 3) is False:
        return refused(host, FIX, title, "nft has synproxy from kernel 5.3 on")
    chain = "FORWARD" if forward else "INPUT"
    try:
        acts = rule_acts.put_in(
            host, PROXY_TABLE, "answer SYNs for the server",
            [rule for port in ports for rule in synproxy_rules(host.situation, port, chain, mss, wscale)],
            synproxy_chains(ports, chain, mss, wscale),
        )  # fmt: skip
        first = _values(host, {"net.ipv4.tcp_syncookies": 1, "net.ipv4.tcp_timestamps": 1})
        loose = _values(host, {"nf_conntrack_tcp_loose": 0})
    except (CannotRule, CannotSet) as reason:
        return refused(host, FIX, title, str(reason))
    steps = []
    if first:
        steps.append(
            values_step(
                "SYN cookies and timestamps on", first, before="off, at least one of them", after="on",
                risk="Timestamps cost 12 bytes a segment; cookies are used only when a queue overflows.",
            )
        )  # fmt: skip
    steps.append(
        Step(
            title=f"{title}, on {', '.join(f'tcp/{port}' for port in ports)}",
            before="each SYN makes an entry that lives 60 to 120 s",
            after=f"a SYN is answered by the proxy and makes none (mss {mss}, wscale {wscale}: {how})",
            scope="netns",
            acts=acts,
            risk="Where mss or wscale are not the server's own, clients get a slower or a broken connection. Each new "
            "connection costs one more round trip on this host.",
            undo="the rules are taken out by their name; connections that are open stay",
            verify=(*rule_acts.listings(host, acts), Command(("cat", "/proc/net/stat/synproxy"))),
        )
    )
    if loose:
        steps.append(
            values_step(
                "No pickup in the middle of a stream", loose,
                before="the client's ACK would make an entry by itself, and pass the proxy by",
                after="it is INVALID, and the proxy's",
                risk="No connection survives a flush of the table, a reboot of this host or a failover.",
            )
        )  # fmt: skip
    return HostPlan(
        fix=FIX, host=host.name, netns=host.netns, title=title, steps=tuple(steps),
        told=(*_not_meant(host, options), *rule_acts.leftovers(host, acts)), needs=("CAP_NET_ADMIN",),
    )  # fmt: skip


def _not_meant(host: LiveHost, options: Options) -> tuple[str, ...]:
    """What a person may have meant instead, on a host that also passes packets on."""
    if options.way or not forwards(host):
        return ()
    return ("only connections to this host itself are proxied; those that it passes on, with --way passed",)


def _by_state(host: LiveHost, ports: list[str]) -> str:
    """Why the handshake would not come about: the SYN is untracked, the proxy's SYN/ACK and the client's ACK INVALID.

    The SYN/ACK takes the entry of the SYN [synproxy_send_client_synack], and that one has none; a lone ACK makes none
    where tcp_loose is 0.
    """
    walker = Walker(host.rules, host.chains)
    for port in ports:
        for family in ("ip", "ip6"):
            first = Packet(family, "tcp", CLIENT_PORT, int(port))
            answer = Packet(family, "tcp", int(port), CLIENT_PORT)
            later = msgspec.structs.replace(first, syn=False)
            for what, hook, packet, state in (
                ("the client's SYN, untracked then,", "prerouting", first, UNTRACKED),
                ("the client's ACK, INVALID then,", "prerouting", later, INVALID),
                ("the proxy's SYN/ACK, which is INVALID,", "output", answer, INVALID),
                ("the proxy's SYN/ACK, which is INVALID,", "postrouting", answer, INVALID),
            ):
                rule = cut_off(walker, hook, packet, begins=packet is first, state=state)
                if rule is not None:
                    return f"nobody could open tcp/{port}: {what} would not pass: {quoted(rule)} (--i-know)"
    return ""


def _without_entry(host: LiveHost, ports: list[str]) -> str:
    """Which open connection the proxy would cut: one that has no entry, as where nothing is tracked yet."""
    for port in ports:
        peers = host.peers(int(port))
        if not peers or (host.sample is not None and host.sample.total):
            continue
        named = ", ".join(sorted(peers)[:3])
        return (
            f"nothing is tracked here now, so the connections to tcp/{port} that are open ({named}) have no entry: the "
            "proxy would cut them, and whoever types this may be one of them (--i-know)"
        )
    return ""


def _by_loopback(host: LiveHost, ports: list[str]) -> str:
    """Why the proxy would not reach the server: its own SYN, from the client's address, goes out and comes in by lo."""
    walker = Walker(host.rules, host.chains)
    for port in ports:
        for family in ("ip", "ip6"):
            usual = Packet(family, "tcp", CLIENT_PORT, int(port))
            for hook, this in (
                ("output", msgspec.structs.replace(usual, oif="lo")),
                ("input", msgspec.structs.replace(usual, iif="lo")),
            ):
                found = stopped(walker, hook, usual, this)
                if found is not None:
                    what = quoted(found) if isinstance(found, FwRule) else f"the policy of {found.table} {found.chain}"
                    return (
                        f"the proxy passes tcp/{port} on to the server over lo, from the client's address, and there "
                        f"it is dropped: {what}; accept it by lo first (--i-know)"
                    )
    return ""


def _values(host: LiveHost, wanted: dict[str, int]) -> tuple[SetValue, ...]:
    acts = (set_value(host, name, number) for name, number in wanted.items())
    return tuple(act for act in acts if act is not None)


def _cookies_only(host: LiveHost) -> HostPlan:
    title = "SYN cookies (this kernel has no SYNPROXY)"
    try:
        acts = _values(host, {"net.ipv4.tcp_syncookies": 1})
    except CannotSet as reason:
        return refused(host, FIX, title, str(reason))
    if not acts:
        return refused(host, FIX, title, "they are on already, and this kernel has no SYNPROXY (3.12)")
    step = values_step(
        title, acts, before="off", after="on",
        risk="They spare the server's listen queue, not this table: each SYN still makes an entry.",
    )  # fmt: skip
    return HostPlan(fix=FIX, host=host.name, netns=host.netns, title=title, steps=(step,), needs=("CAP_NET_ADMIN",))


def _server(host: LiveHost, options: Options, forward: bool) -> tuple[int | None, int | None, str]:
    """mss and wscale of the server's SYN/ACK, and how they are known."""
    if options.mss is not None and options.wscale is not None:
        return options.mss, options.wscale, "as given"
    if forward:
        return None, None, (
            "the server stands behind this host: give its own mss and wscale (--mss, --wscale; look at one of its "
            "SYN/ACKs with tcpdump)"
        )  # fmt: skip
    mtu = host.route_mtu
    space = _receive_space(host)
    mss = options.mss if options.mss is not None else None if mtu is None else mtu - IP_AND_TCP_BYTES
    wscale = options.wscale if options.wscale is not None else None if space is None else _wscale(space)
    if mss is None or wscale is None:
        return None, None, "the route's MTU or tcp_rmem could not be read: give --mss and --wscale"
    return mss, wscale, f"by an MTU of {mtu} and a receive buffer of up to {space} bytes"


def _receive_space(host: LiveHost) -> int | None:
    """The largest of tcp_rmem and rmem_max, by which a server scales its window [tcp_select_initial_window]."""
    rmem = (host.value("/proc/sys/net/ipv4/tcp_rmem") or "").split()
    if len(rmem) != 3 or not rmem[2].isdecimal():
        return None
    # rmem_max is shown in the first namespace only before 6.x; what is hidden there was never smaller than its default.
    return max(int(rmem[2]), host.number("/proc/sys/net/core/rmem_max") or 0)


def _wscale(space: int) -> int:
    return min(14, max(0, space.bit_length() - 1 - 15))
