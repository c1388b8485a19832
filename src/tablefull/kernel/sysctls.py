"""The names of the knobs: any spelling in, one name out; where a knob lives, whether it exists, who may write it.

The trap: one variable has up to six spellings (two stacks, two separators, an alias, a module parameter), the old ones
vanished in 4.9, and the same file is writable for a whole host from inside a container up to 5.12 and read-only after.
"""

from typing import Literal

from tablefull.kernel import changes
from tablefull.kernel.answer import NO_KERNEL, Answer, by_version, unknown
from tablefull.kernel.identity import KernelVersion, Version, at_least, compare, version_text

Where = Literal["init", "child", "userns"]

# Canonical names that are module parameters and no sysctl.
PARAMETERS = frozenset(("hashsize", "expect_hashsize", "enable_hooks"))

# Module parameters that merely set a sysctl's first value. [seen in /sys/module/nf_conntrack/parameters on 6.18.44]
_PARAMETER_OF = {"acct": "nf_conntrack_acct", "tstamp": "nf_conntrack_timestamp"}

_BARE_PREFIXES = ("nf_conntrack_", "nf_flowtable_", "nf_hooks_lwtunnel")

# name -> (first version, first version without it or None). [standalone and protocol files of all trees]
# A file that only appears with an option of the build (acct, timestamp, flow table) is listed by when it can exist.
NAMES: dict[str, tuple[Version, Version | None]] = {
    "nf_conntrack_max": ((2, 6, 18), None),
    "nf_conntrack_count": ((2, 6, 18), None),
    "nf_conntrack_buckets": ((2, 6, 18), None),
    "nf_conntrack_checksum": ((2, 6, 18), None),
    "nf_conntrack_log_invalid": ((2, 6, 18), None),
    "nf_conntrack_acct": ((2, 6, 30), None),
    "nf_conntrack_events": ((2, 6, 32), None),
    "nf_conntrack_events_retry_timeout": ((2, 6, 32), (3, 18)),
    "nf_conntrack_timestamp": ((3, 2), None),
    "nf_conntrack_helper": ((3, 5), (6, 0)),
    "nf_conntrack_expect_max": ((2, 6, 32), None),
    "nf_conntrack_default_on": ((4, 10), (4, 14)),
    "nf_conntrack_generic_timeout": ((2, 6, 18), None),
    "nf_conntrack_icmp_timeout": ((2, 6, 18), None),
    "nf_conntrack_icmpv6_timeout": ((2, 6, 18), None),
    "nf_conntrack_tcp_timeout_syn_sent": ((2, 6, 18), None),
    "nf_conntrack_tcp_timeout_syn_recv": ((2, 6, 18), None),
    "nf_conntrack_tcp_timeout_established": ((2, 6, 18), None),
    "nf_conntrack_tcp_timeout_fin_wait": ((2, 6, 18), None),
    "nf_conntrack_tcp_timeout_close_wait": ((2, 6, 18), None),
    "nf_conntrack_tcp_timeout_last_ack": ((2, 6, 18), None),
    "nf_conntrack_tcp_timeout_time_wait": ((2, 6, 18), None),
    "nf_conntrack_tcp_timeout_close": ((2, 6, 18), None),
    "nf_conntrack_tcp_timeout_max_retrans": ((2, 6, 18), None),
    "nf_conntrack_tcp_timeout_unacknowledged": ((2, 6, 30), None),
    "nf_conntrack_tcp_loose": ((2, 6, 18), None),
    "nf_conntrack_tcp_be_liberal": ((2, 6, 18), None),
    "nf_conntrack_tcp_max_retrans": ((2, 6, 18), None),
    "nf_conntrack_tcp_ignore_invalid_rst": ((5, 14), None),
    "nf_conntrack_udp_timeout": ((2, 6, 18), None),
    "nf_conntrack_udp_timeout_stream": ((2, 6, 18), None),
    "nf_conntrack_udplite_timeout": ((2, 6, 32), (4, 11)),
    "nf_conntrack_udplite_timeout_stream": ((2, 6, 32), (4, 11)),
    "nf_conntrack_gre_timeout": ((5, 1), None),
    "nf_conntrack_gre_timeout_stream": ((5, 1), None),
    "nf_conntrack_sctp_timeout_closed": ((2, 6, 18), None),
    "nf_conntrack_sctp_timeout_cookie_wait": ((2, 6, 18), None),
    "nf_conntrack_sctp_timeout_cookie_echoed": ((2, 6, 18), None),
    "nf_conntrack_sctp_timeout_established": ((2, 6, 18), None),
    "nf_conntrack_sctp_timeout_shutdown_sent": ((2, 6, 18), None),
    "nf_conntrack_sctp_timeout_shutdown_recd": ((2, 6, 18), None),
    "nf_conntrack_sctp_timeout_shutdown_ack_sent": ((2, 6, 18), None),
    "nf_conntrack_sctp_timeout_heartbeat_sent": ((4, 3), None),
    "nf_conntrack_sctp_timeout_heartbeat_acked": ((4, 3), (6, 1)),
    "nf_conntrack_dccp_timeout_request": ((2, 6, 32), (6, 17)),
    "nf_conntrack_dccp_timeout_respond": ((2, 6, 32), (6, 17)),
    "nf_conntrack_dccp_timeout_partopen": ((2, 6, 32), (6, 17)),
    "nf_conntrack_dccp_timeout_open": ((2, 6, 32), (6, 17)),
    "nf_conntrack_dccp_timeout_closereq": ((2, 6, 32), (6, 17)),
    "nf_conntrack_dccp_timeout_closing": ((2, 6, 32), (6, 17)),
    "nf_conntrack_dccp_timeout_timewait": ((2, 6, 32), (6, 17)),
    "nf_conntrack_dccp_loose": ((2, 6, 32), (6, 17)),
    "nf_flowtable_tcp_timeout": ((5, 14), None),
    "nf_flowtable_udp_timeout": ((5, 14), None),
    "nf_hooks_lwtunnel": ((5, 15), None),
    "hashsize": ((2, 6, 18), None),
    "expect_hashsize": ((2, 6, 32), None),
    "enable_hooks": ((5, 1), None),
}

MEANINGS: dict[str, str] = {
    "nf_conntrack_max": "how many entries one network namespace may hold; one number for the whole host",
    "nf_conntrack_count": "how many entries this namespace holds now, expired ones not yet collected included;"
    " read-only",
    "nf_conntrack_buckets": "size of the hash table that finds entries; shared by all namespaces from 4.7",
    "hashsize": "the same size as a module parameter; given at load it also sets the limit to eight times itself",
    "nf_conntrack_expect_max": "limit of the expectation table that helpers use, a table of its own",
    "nf_conntrack_acct": "count packets and bytes of each entry; costs 128 bytes an entry",
    "nf_conntrack_events": "whether entries send events: 0 no, 1 always, 2 (from 5.19) only if someone listens",
    "nf_conntrack_timestamp": "remember when each entry began; costs memory",
    "nf_conntrack_helper": "assign FTP, SIP and other helpers by port without a rule",
    "nf_conntrack_checksum": "packets with a wrong checksum become INVALID",
    "nf_conntrack_log_invalid": "log packets called INVALID: 0 none, 255 all, or one protocol number",
    "nf_conntrack_tcp_loose": "accept a connection seen first in the middle; 0 stops only picked-up ACKs",
    "nf_conntrack_tcp_be_liberal": "do not call packets outside the TCP window INVALID",
    "nf_conntrack_tcp_max_retrans": "after this many repeats of a segment the shorter timeout holds",
    "nf_conntrack_tcp_ignore_invalid_rst": "do not call a RST outside the window INVALID",
    "nf_conntrack_default_on": "4.10 to 4.13: loading the module tracks every namespace",
    "nf_hooks_lwtunnel": "run netfilter hooks for lightweight tunnels; cannot be turned off again",
    "net.core.message_cost": "seconds of one window of the kernel's network log limit; 0 logs everything",
    "net.core.message_burst": "lines per window of the kernel's network log limit",
    "net.bridge.bridge-nf-call-iptables": "bridged IPv4 frames pass iptables and, if it is active, connection tracking",
    "net.bridge.bridge-nf-call-ip6tables": "bridged IPv6 frames pass ip6tables and connection tracking",
    "net.bridge.bridge-nf-call-arptables": "bridged ARP frames pass arptables",
    "net.ipv4.ip_forward": "this host forwards packets between its links",
    "net.ipv4.ip_local_port_range": "source ports for the host's own outgoing connections (NAT uses its own range)",
    "net.ipv4.tcp_max_orphans": "how many closed, unfinished TCP sockets no program owns any more may exist",
    "net.ipv4.tcp_max_tw_buckets": "how many sockets of this host may wait in TIME_WAIT",
    "net.ipv4.tcp_mem": "memory of all TCP sockets in pages: low, pressure, limit",
    "net.ipv4.tcp_max_syn_backlog": "half-open connections one listening socket may hold",
    "net.core.somaxconn": "ceiling of a listening socket's queue of finished handshakes",
    "net.ipv4.neigh.default.gc_thresh3": "hard limit of the neighbour (ARP) table",
}


def canonical(name: str) -> str:
    """The one name of a setting, whatever its spelling; never raises, an unknown text comes back stripped.

    Connection tracking settings come back bare (``nf_conntrack_max``, ``hashsize``), every other sysctl with its full
    dotted name (``net.core.message_burst``). Accepted: dots or slashes, a path below any ``proc/sys``, the
    ``ip_conntrack`` names, the ``net.nf_conntrack_max`` alias, module parameters by path or as
    ``nf_conntrack.hashsize``, a leading ``-`` and a trailing ``= value`` as in sysctl.d. In a slashed name a dot is
    part of one component and becomes a slash, as sysctl does.
    """
    text = name.strip().lstrip("-").partition("=")[0].strip().strip("\"'")
    _, mark, tail = text.rpartition("module/")
    if mark and "/parameters/" in tail:
        module, _, parameter = tail.partition("/parameters/")
        if module in ("nf_conntrack", "ip_conntrack"):
            return _PARAMETER_OF.get(parameter, parameter)
        return f"{module}.{parameter}"
    _, mark, tail = text.rpartition("proc/sys/")
    if mark:
        text = tail
    text = text.strip("/")
    slash, dot = text.find("/"), text.find(".")
    if slash >= 0 and (dot < 0 or slash < dot):
        text = text.translate({0x2F: ".", 0x2E: "/"})
    for module in ("nf_conntrack.", "ip_conntrack."):
        parameter = text.removeprefix(module)
        if parameter in PARAMETERS or parameter in _PARAMETER_OF:
            return _PARAMETER_OF.get(parameter, parameter)
    bare = text
    for prefix in ("net.ipv4.netfilter.", "net.netfilter.", "net.ipv4.", "net.ipv6.", "net."):
        if bare.startswith(prefix):
            bare = bare[len(prefix) :]
            break
    if bare.startswith("ip_conntrack_"):
        return "nf" + bare[2:]
    return bare if bare.startswith(_BARE_PREFIXES) else text


def _old_stack(kernel: KernelVersion | None) -> bool:
    """Up to 2.6.21 distributions, Red Hat 5 among them, ran ip_conntrack. [ip_conntrack_standalone 2.6.18, EL5]"""
    return kernel is not None and (compare(kernel, (2, 6, 22)) or 0) < 0


def dotted(name: str, kernel: KernelVersion | None = None) -> Answer[str]:
    """The key to write in ``sysctl -w`` or sysctl.d on this kernel, for a canonical name.

    ``net.ipv4.netfilter.ip_conntrack_*`` up to 2.6.21, ``net.netfilter.*`` after (also for an unknown kernel). A module
    parameter has no key: unknown, its place is :func:`proc_path`. Other names are their own key.
    """
    if name in PARAMETERS:
        return unknown(f"{name} is a module parameter; write {_parameter_path(name, kernel)} or a modprobe.d option")
    if not name.startswith(_BARE_PREFIXES):
        return by_version(name, "the name is the key")
    if _old_stack(kernel) and name.startswith("nf_conntrack_"):
        return by_version(f"net.ipv4.netfilter.ip{name[2:]}", "ip_conntrack_standalone 2.6.18")
    return by_version(f"net.netfilter.{name}", "nf_conntrack_standalone of every tree")


def _parameter_path(name: str, kernel: KernelVersion | None) -> str:
    module = "ip_conntrack" if _old_stack(kernel) else "nf_conntrack"
    return f"/sys/module/{module}/parameters/{name}"


def proc_path(name: str, kernel: KernelVersion | None = None) -> str:
    """The file of a canonical name on this kernel: below ``/proc/sys``, or ``/sys/module`` for a module parameter."""
    if name in PARAMETERS:
        return _parameter_path(name, kernel)
    key = dotted(name, kernel).value or name
    return "/proc/sys/" + key.translate({0x2F: ".", 0x2E: "/"})


def exists(name: str, kernel: KernelVersion | None) -> Answer[bool]:
    """Whether this kernel can have the setting; unknown without a version or for a name that :data:`NAMES` lacks.

    SYN_SENT2's timeout has no file of its own in any version, only the old ip_ name up to 4.8.
    """
    if name == "nf_conntrack_tcp_timeout_syn_sent2":
        return by_version(False, "tcp all trees: no nf_ name; the ip_ one went with 4.9")
    if name not in NAMES:
        return unknown(f"{name} is not in the table of settings")
    if kernel is None:
        return unknown(NO_KERNEL)
    since, gone = NAMES[name]
    if name.endswith(("heartbeat_sent", "heartbeat_acked")) and not at_least(kernel, 4, 3):
        return changes.has("sctp-heartbeat", kernel)
    first, last = compare(kernel, since), None if gone is None else compare(kernel, gone)
    there = first is not None and first >= 0 and (last is None or last < 0)
    span = f"from {version_text(since)}" + ("" if gone is None else f", gone in {version_text(gone)}")
    return by_version(there, f"tree scan: {span}")


def is_count_readonly(name: str) -> bool:
    """Whether this is the count, which a widely copied how-to tries to set and no kernel lets anyone write."""
    return name == "nf_conntrack_count"


# Host-wide variables behind files that a namespace also shows. [core 2.6.30.4..6.19: max; expect, standalone: the rest]
GLOBAL_NAMES = frozenset(("nf_conntrack_max", "nf_conntrack_buckets", "nf_conntrack_expect_max")) | PARAMETERS


def writable(name: str, kernel: KernelVersion | None, where: Where = "init") -> Answer[bool]:
    """Whether root there may write the setting: ``init`` the host's first namespace, ``child`` a network namespace of
    the same users (``ip netns exec``, a rootful container), ``userns`` one of an unprivileged user (rootless).

    Up to 5.12 a child writes nf_conntrack_max *of the whole host*; the source says so. A container runtime may also
    mount /proc/sys read-only, which is not the kernel's doing and not answered here. [standalone 3.10.4, 5.4, 5.7.6,
    5.9.2, 5.10.89, 5.11, 5.14; on 6.18.44 measured: max, buckets, expect_max 0444 in child and userns, timeouts 0644
    in both and writable, hashsize refused in both]
    """
    if is_count_readonly(name):
        return by_version(False, "read-only in every kernel")
    if name == "enable_hooks":
        return by_version(False, "standalone 5.2.1: permission 0000, only at load")
    if name == "expect_hashsize":
        return by_version(False, "0400 on 6.18.44: only at load")
    if name == "nf_conntrack_buckets":
        if where == "init":
            return changes.has("buckets-writable", kernel)
        return by_version(False, "0444 outside the initial namespace since 4.8, for everyone before")
    if name == "hashsize":
        if where == "init":
            return by_version(True, "core all trees")
        return by_version(
            False, "refused with EOPNOTSUPP outside the initial namespace; core 6.18.2, measured on 6.18.44"
        )
    if where == "init":
        return by_version(True, "0644 in the initial namespace; standalone all trees")
    if kernel is None:
        return unknown(NO_KERNEL)
    return _global_writable(kernel, where) if name in GLOBAL_NAMES else _own_writable(name, kernel, where)


def _global_writable(kernel: KernelVersion, where: Where) -> Answer[bool]:
    """nf_conntrack_max and expect_max from inside a namespace."""
    if where == "userns":
        return by_version(False, "hidden to 5.6, read-only from 5.7; standalone 5.4, 5.7.6")
    read_only = changes.has("child-netns-max-readonly", kernel)
    if read_only.value is None:
        return unknown(read_only.source)
    changes_host = "" if read_only.value else "; a write there changes the limit of the whole host"
    return Answer(not read_only.value, read_only.basis, read_only.source + changes_host)


def _own_writable(name: str, kernel: KernelVersion, where: Where) -> Answer[bool]:
    """A setting that belongs to the namespace, from inside it."""
    if where == "userns":
        if at_least(kernel, 6, 18):
            return by_version(True, "measured on 6.18.44")
        return unknown("not read for kernels before 6.18")
    if "timeout" in name and not at_least(kernel, 3, 6):
        return by_version(True, "timeouts are one set for the whole host to 3.5: a write there changes the host")
    return by_version(True, "the namespace's own; standalone, tcp 3.6.5")


def is_per_netns(name: str, kernel: KernelVersion | None) -> Answer[bool]:
    """Whether each namespace has its own value. max, buckets and expect_max never; timeouts from 3.6. [tcp 3.4.113,
    3.6.5]
    """
    if name in GLOBAL_NAMES:
        return by_version(False, "one variable for the host in every tree to 6.19")
    if "timeout" in name or name.startswith("nf_conntrack_tcp_"):
        return changes.has("timeouts-per-netns", kernel)
    if name.startswith(_BARE_PREFIXES):
        return changes.has("counters-per-netns", kernel)
    return unknown(f"{name} is not a connection tracking setting")
