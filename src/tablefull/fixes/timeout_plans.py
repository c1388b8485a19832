"""Plans about how long entries stay: shorter timeouts, and deleting those that should be gone.

The trap: a new timeout does not touch an entry that exists. Only its next packet applies it, and the entries one wants
to be rid of are those without packets.
"""

from tablefull.fixes import dialect
from tablefull.fixes.plan import Plan, Situation, compose
from tablefull.kernel import identity

TCP = "nf_conntrack_tcp_timeout_"
UDP = "nf_conntrack_udp_timeout"
UDP_STREAM = "nf_conntrack_udp_timeout_stream"
KEEPALIVE_S = 7200  # net.ipv4.tcp_keepalive_time; nine probes of 75 s follow, so 7875 s in all
DAY_S = 86400
THREE_HOURS_S = 10800  # above 7875 s: a connection with keepalive on never reaches it

_BY_CAUSE: dict[str, dict[str, int]] = {
    "long-established-timeout": {TCP + "established": THREE_HOURS_S},
    "half-open-or-asymmetric": {
        TCP + "established": THREE_HOURS_S,
        TCP + "close_wait": 60,
        TCP + "syn_sent": 30,
        TCP + "syn_recv": 30,
    },
    "time-wait-churn": {TCP + "time_wait": 30, TCP + "fin_wait": 30, TCP + "close_wait": 60},
    "udp-dns-churn": {UDP: 10, UDP_STREAM: 60},
    "scan-or-p2p": {TCP + "established": THREE_HOURS_S, TCP + "syn_sent": 30, UDP: 15, UDP_STREAM: 60},
    "syn-flood-or-ddos": {TCP + "syn_recv": 20, TCP + "syn_sent": 30},
    "stale-nat-entries": {UDP: 30, UDP_STREAM: 60},
    "config-overwritten": {TCP + "close_wait": 60, TCP + "established": DAY_S},
}
_OTHERWISE = {TCP + "established": DAY_S, TCP + "close_wait": 60, TCP + "time_wait": 30}
# The kernel's own values (docs/kernel), assumed where none was seen.
_DEFAULT_S = {
    TCP + "syn_sent": 120,
    TCP + "syn_recv": 60,
    TCP + "established": 432000,
    TCP + "fin_wait": 120,
    TCP + "close_wait": 60,
    TCP + "time_wait": 120,
    UDP: 30,
}
KUBE_PROXY_S = {TCP + "established": DAY_S, TCP + "close_wait": 3600}  # what it writes at its start


def _assumed(situation: Situation, name: str) -> tuple[int, str]:
    """The value to expect where none was seen, and whose it is."""
    if dialect.kubernetes(situation) and name in KUBE_PROXY_S:
        return KUBE_PROXY_S[name], "assumed: what kube-proxy writes"
    if name == UDP_STREAM:
        return (180 if identity.at_least(situation.kernel, 5, 0) is False else 120), "assumed: the default"
    return _DEFAULT_S[name], "assumed: the default"


def wanted(situation: Situation, cause: str) -> dict[str, int]:
    """Those this cause lives on that are longer than what would be set: typing the present value changes nothing."""
    by_cause = _BY_CAUSE.get(cause, _OTHERWISE)
    chosen = {}
    for name, seconds in by_cause.items():
        seen = dialect.present(situation, name)
        if (_assumed(situation, name)[0] if seen is None else seen) > seconds:
            chosen[name] = seconds
    return chosen


def _told(situation: Situation, name: str, seconds: int) -> str:
    seen = dialect.present(situation, name)
    value, whose = _assumed(situation, name)
    before = f"{value} s ({whose})" if seen is None else f"{seen} s"
    return f"{name.removeprefix('nf_conntrack_')}: {before} → {seconds} s"


def shorten_timeouts(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Lower the timeouts that this cause lives on; those already short are left alone."""
    lower = wanted(situation, situation.cause)
    established = lower.get(TCP + "established")
    told = "; ".join(_told(situation, name, value) for name, value in lower.items())
    commands = tuple(dialect.write(situation, name, value) for name, value in lower.items())
    if not commands:
        commands = (
            "# the timeouts that matter here are short already: look at who makes the entries",
            dialect.talkers(situation),
        )
    path = "/etc/sysctl.d/90-tablefull-conntrack-timeouts.conf"
    persist = (
        (*dialect.persist_sysctls(situation, lower, path), *dialect.persist_order(situation, path)) if lower else ()
    )
    if lower and dialect.kubernetes(situation):
        persist += (
            (
                "# kube-proxy writes established and close_wait again at its start: set "
                "conntrack.tcpEstablishedTimeout and conntrack.tcpCloseWaitTimeout in its configuration "
                "(configure-kube-proxy)"
            ),
        )
    if not persist:
        persist = ("# nothing was changed, so there is nothing to keep",)
    risk = (
        "Entries that exist keep their old deadline; the next packet of each applies the new one, and idle ones "
        "wait it out or are deleted (flush-entries)."
    )
    if established is not None:
        risk += (
            f" A TCP connection idle for more than {established} s loses its entry: through NAT it is dead, behind a "
            f"stateful firewall it may stall. Programs with keepalive on (first probe after {KEEPALIVE_S} s) are "
            "safe above that number; databases and SSH sessions without it are not."
        )
    if UDP in lower or UDP_STREAM in lower:
        risk += (
            " UDP peers that speak less often than that (SIP registrations, VPN and games without keepalive) lose "
            "their way back through NAT."
        )
    if TCP + "time_wait" in lower:
        risk += " A late segment of a closed connection may then be INVALID, which harms nobody."
    risk += " A file alone is ignored when it is read before the module is loaded."
    per_netns = identity.at_least(situation.kernel, 3, 6) is not False
    return compose(
        "shorten-timeouts",
        situation,
        answers,
        title="Let idle entries go sooner",
        commands=commands,
        undo=tuple(dialect.restore(situation, name) for name in lower),
        persist=persist,
        verify=(
            f"sysctl {' '.join(dialect.key(situation, name) for name in lower or _OTHERWISE)}",
            dialect.count_command(situation),
        ),
        risk=risk
        + (" Each network namespace has its own values, and a new one starts with the defaults." if per_netns else ""),
        scope="netns" if per_netns else "host",
        why=told or "every timeout that this cause lives on is already at or below what would be set",
    )


def flush_entries(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Delete the entries of the named services or addresses, never the whole table."""
    filters: list[tuple[str, str]] = []
    for protocol, port in dialect.services(situation):
        if protocol == "lo":
            continue
        filters.append(("", f"-p {protocol} --orig-port-dst {port}" if port else f"-p {protocol}"))
    if not filters:
        for text, six in dialect.addresses(situation):
            filters += [("-f ipv6 " if six else "", f"{side} {text}") for side in ("-s", "-d")]
    commands: tuple[str, ...] = tuple(f"conntrack -D {kin}{what}" for kin, what in filters)
    if not commands and situation.cause == "long-established-timeout":
        commands = ("conntrack -D -p tcp --state ESTABLISHED --orig-dst ADDRESS",)
    elif not commands:
        commands = (
            (
                "# put the service's port in place of PORT, or name the address that is gone: conntrack -D -p udp "
                "--orig-dst ADDRESS"
            ),
            "conntrack -D -p udp --orig-port-dst PORT",
        )
    shown = tuple(f"conntrack -L {kin}{what}" for kin, what in filters) or ("conntrack -L -p udp --orig-port-dst PORT",)
    if dialect.family(situation) == "openwrt":
        commands = ("opkg update && opkg install conntrack", *commands)
    return compose(
        "flush-entries",
        situation,
        answers,
        title="Delete the entries that are wrong, and only those",
        commands=commands,
        undo=("# deleted entries do not come back: the next packet of each makes a new one by today's rules",),
        persist=(
            (
                "# it lasts until the same thing leaves such entries again: mend that (upgrade-component, "
                "shorten-timeouts)"
            ),
        ),
        verify=(*shown, dialect.count_command(situation)),
        risk="The connections of the deleted entries: UDP goes on with its next packet, TCP through NAT breaks, TCP "
        "behind a stateful firewall is picked up again only while tcp_loose is 1. 'conntrack -D' answers 'failed' "
        "in old versions when nothing matched. The command loads nf_conntrack_netlink, which before 4.14 can load "
        "tracking where there was none. Never 'conntrack -F' on a host that translates.",
        scope="netns",
        why="each packet of a flow renews its entry, so a sender that never pauses keeps a wrong one for ever; "
        "deleting it lets the next packet choose anew",
    )
