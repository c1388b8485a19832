"""How long an entry lives after its last packet, per state, as the kernel ships it.

The trap: ``nf_conntrack_tcp_timeout_established`` is five days in every version, while two neighbours of it moved: UDP
streams fell from 180 to 120 s in 5.0 and SCTP associations from five days to 210 s in 6.1. And a timeout written now
does not touch the entries that exist: each takes it with its next packet.
"""

from tablefull.kernel import changes
from tablefull.kernel.answer import NO_KERNEL, Answer, by_version, unknown
from tablefull.kernel.identity import KernelVersion, version_text

DAY_S = 86400
FIVE_DAYS_S = 5 * DAY_S

# [tcp, udp, icmp, generic, sctp, gre, dccp of all trees read; measured on 6.18.44 in a fresh namespace]
_SOURCE = "protocol trackers of all trees 2.6.18..6.19"

# Current default of every timeout sysctl by its bare name, in seconds. Older values are in _CHANGED.
DEFAULTS: dict[str, int] = {
    "nf_conntrack_generic_timeout": 600,
    "nf_conntrack_icmp_timeout": 30,
    "nf_conntrack_icmpv6_timeout": 30,
    "nf_conntrack_tcp_timeout_syn_sent": 120,
    "nf_conntrack_tcp_timeout_syn_sent2": 120,
    "nf_conntrack_tcp_timeout_syn_recv": 60,
    "nf_conntrack_tcp_timeout_established": FIVE_DAYS_S,
    "nf_conntrack_tcp_timeout_fin_wait": 120,
    "nf_conntrack_tcp_timeout_close_wait": 60,
    "nf_conntrack_tcp_timeout_last_ack": 30,
    "nf_conntrack_tcp_timeout_time_wait": 120,
    "nf_conntrack_tcp_timeout_close": 10,
    "nf_conntrack_tcp_timeout_max_retrans": 300,
    "nf_conntrack_tcp_timeout_unacknowledged": 300,
    "nf_conntrack_udp_timeout": 30,
    "nf_conntrack_udp_timeout_stream": 120,
    "nf_conntrack_udplite_timeout": 30,
    "nf_conntrack_udplite_timeout_stream": 180,
    "nf_conntrack_gre_timeout": 30,
    "nf_conntrack_gre_timeout_stream": 180,
    "nf_conntrack_sctp_timeout_closed": 10,
    "nf_conntrack_sctp_timeout_cookie_wait": 3,
    "nf_conntrack_sctp_timeout_cookie_echoed": 3,
    "nf_conntrack_sctp_timeout_established": 210,
    "nf_conntrack_sctp_timeout_shutdown_sent": 3,
    "nf_conntrack_sctp_timeout_shutdown_recd": 3,
    "nf_conntrack_sctp_timeout_shutdown_ack_sent": 3,
    "nf_conntrack_sctp_timeout_heartbeat_sent": 30,
    "nf_conntrack_sctp_timeout_heartbeat_acked": 210,
    "nf_conntrack_dccp_timeout_request": 240,
    "nf_conntrack_dccp_timeout_respond": 480,
    "nf_conntrack_dccp_timeout_partopen": 480,
    "nf_conntrack_dccp_timeout_open": 43200,
    "nf_conntrack_dccp_timeout_closereq": 64,
    "nf_conntrack_dccp_timeout_closing": 64,
    "nf_conntrack_dccp_timeout_timewait": 240,
    "nf_flowtable_tcp_timeout": 30,
    "nf_flowtable_udp_timeout": 30,
    "nf_conntrack_events_retry_timeout": 15,
}

# Timeouts whose default moved: value before, and the change that moved it.
_CHANGED: dict[str, tuple[int, str]] = {
    "nf_conntrack_udp_timeout_stream": (180, "udp-stream-2s"),
    "nf_conntrack_sctp_timeout_established": (FIVE_DAYS_S, "sctp-established-210"),
    # 0.3 s in the source, shown by the sysctl in whole seconds as 0. [sctp 6.4.6]
    "nf_conntrack_sctp_timeout_shutdown_sent": (0, "sctp-shutdown-3"),
    "nf_conntrack_sctp_timeout_shutdown_recd": (0, "sctp-shutdown-3"),
}

# Further knobs of the trackers that are no timeouts. [tcp, standalone all trees; measured on 6.18.44]
SWITCH_DEFAULTS: dict[str, int] = {
    "nf_conntrack_tcp_loose": 1,
    "nf_conntrack_tcp_be_liberal": 0,
    "nf_conntrack_tcp_ignore_invalid_rst": 0,
    "nf_conntrack_tcp_max_retrans": 3,
    "nf_conntrack_checksum": 1,
    "nf_conntrack_log_invalid": 0,
    "nf_conntrack_timestamp": 0,
    "nf_conntrack_acct": 0,
}

# What each timeout is about, for a person.
STATES: dict[str, str] = {
    "nf_conntrack_generic_timeout": "a protocol without a tracker of its own (ESP, IPIP, unknown); one entry per"
    " address pair",
    "nf_conntrack_icmp_timeout": "an ICMP query such as ping, renewed by each packet",
    "nf_conntrack_icmpv6_timeout": "an ICMPv6 query such as ping, renewed by each packet",
    "nf_conntrack_tcp_timeout_syn_sent": "a SYN was seen and nothing answered it",
    "nf_conntrack_tcp_timeout_syn_sent2": "SYNs were seen from both sides (simultaneous open)",
    "nf_conntrack_tcp_timeout_syn_recv": "SYN and SYN/ACK were seen, the last ACK of the handshake is missing",
    "nf_conntrack_tcp_timeout_established": "an open connection, counted from its last packet",
    "nf_conntrack_tcp_timeout_fin_wait": "one side sent FIN, its ACK is missing",
    "nf_conntrack_tcp_timeout_close_wait": "one side closed, the other still holds the connection open",
    "nf_conntrack_tcp_timeout_last_ack": "both sides sent FIN, the last ACK is missing",
    "nf_conntrack_tcp_timeout_time_wait": "a connection that ended properly",
    "nf_conntrack_tcp_timeout_close": "a connection ended by RST",
    "nf_conntrack_tcp_timeout_max_retrans": "an open connection repeats the same segment or its peer's window is zero",
    "nf_conntrack_tcp_timeout_unacknowledged": "an open connection with data that was never acknowledged, or picked"
    " up mid-stream",
    "nf_conntrack_udp_timeout": "a UDP packet or a short exchange such as one DNS query",
    "nf_conntrack_udp_timeout_stream": "UDP in both directions for longer than two seconds (before 5.0: from the"
    " third packet)",
    "nf_conntrack_gre_timeout": "GRE in one direction",
    "nf_conntrack_gre_timeout_stream": "GRE in both directions",
    "nf_conntrack_sctp_timeout_established": "an open SCTP association",
    "nf_flowtable_tcp_timeout": "a TCP flow that the flow table forwards without the rules",
    "nf_flowtable_udp_timeout": "a UDP flow that the flow table forwards without the rules",
}

# TCP state as listings spell it -> the timeout that holds in it.
TIMEOUT_OF_TCP_STATE: dict[str, str] = {
    "SYN_SENT": "nf_conntrack_tcp_timeout_syn_sent",
    "SYN_SENT2": "nf_conntrack_tcp_timeout_syn_sent2",
    "SYN_RECV": "nf_conntrack_tcp_timeout_syn_recv",
    "ESTABLISHED": "nf_conntrack_tcp_timeout_established",
    "FIN_WAIT": "nf_conntrack_tcp_timeout_fin_wait",
    "CLOSE_WAIT": "nf_conntrack_tcp_timeout_close_wait",
    "LAST_ACK": "nf_conntrack_tcp_timeout_last_ack",
    "TIME_WAIT": "nf_conntrack_tcp_timeout_time_wait",
    "CLOSE": "nf_conntrack_tcp_timeout_close",
}

# Values that other software is known to set, so that a report can name the writer. [kube-proxy's documented defaults]
KNOWN_WRITERS: dict[tuple[str, int], str] = {
    ("nf_conntrack_tcp_timeout_close_wait", 3600): "kube-proxy (conntrack.tcpCloseWaitTimeout, 1 h)",
    ("nf_conntrack_tcp_timeout_established", 86400): "kube-proxy (conntrack.tcpEstablishedTimeout, 24 h)",
    ("nf_conntrack_tcp_timeout_established", 7440): "OpenWrt (its sysctl.d ships 7440 s)",
}

# What OpenWrt's own sysctl.d sets at boot. [general knowledge of its package tree, not read for this file]
_OPENWRT: dict[str, int] = {"nf_conntrack_tcp_timeout_established": 7440, "nf_conntrack_udp_timeout": 60}


def default_s(name: str, kernel: KernelVersion | None) -> Answer[int]:
    """The compiled-in default of one timeout, in seconds, by canonical sysctl name.

    Unknown for a name that is no timeout, and, without a kernel version, for a timeout whose default moved. A
    distribution's sysctl.d may set another value at boot (OpenWrt does); a new namespace takes the compiled-in one all
    the same. Before 6.6 the two SCTP shutdown states last 0.3 s, which is 0 in the sysctl's whole seconds.
    """
    current = DEFAULTS.get(name)
    if current is None:
        return unknown(f"{name} is not a timeout this project knows")
    changed = _CHANGED.get(name)
    if changed is None:
        return by_version(current, f"{_SOURCE}: unchanged since it exists")
    before, change_id = changed
    if kernel is None:
        return unknown(f"{NO_KERNEL}, and this default moved in {version_text(changes.CHANGES[change_id].since)}")
    moved = changes.has(change_id, kernel)
    if moved.value is None:
        return unknown(moved.source)
    return Answer(current if moved.value else before, moved.basis, moved.source)


def shipped_s(name: str, kernel: KernelVersion | None) -> Answer[int]:
    """The value a stock system of this vendor runs with: the distribution's own sysctl.d where one is known, else the
    default.

    OpenWrt's ``/etc/sysctl.d/11-nf-conntrack.conf`` sets tcp established to 7440 s and udp to 60 s.
    """
    if kernel is not None and kernel.vendor == "openwrt":
        own = _OPENWRT.get(name)
        if own is not None:
            return Answer(own, "vendor", "OpenWrt's 11-nf-conntrack.conf")
    return default_s(name, kernel)


def is_timeout(name: str) -> bool:
    """Whether this canonical name is a timeout in seconds."""
    return name in DEFAULTS
