"""What looks like a full connection-tracking table and is something else, by its own name.

The trap: ``net_ratelimit: N callbacks suppressed`` stands as often beside these as beside the real thing, because every
rate-limited message of the kernel shares one counter.
"""

from collections.abc import Iterator

from msgspec import Struct

from tablefull.facts.counters import NetCounter
from tablefull.rules.case import Case
from tablefull.rules.clues import Clues
from tablefull.rules.finding import Finding, Severity
from tablefull.rules.fullness import fullness
from tablefull.rules.rule import rule


class LookAlike(Struct, frozen=True):
    """``log`` are kinds of kernel messages and ``phrases`` words that name it; ``what`` says what it is."""

    id: str
    what: str
    log: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    weight: float = 0.85
    severity: Severity = "degraded"


LOOK_ALIKES: tuple[LookAlike, ...] = (
    LookAlike(
        "neighbour-table",
        "the neighbour (ARP) table is full: more hosts on the segment than net.ipv4.neigh.default.gc_thresh3 allows",
        ("neighbour-overflow",),
        (
            "neighbor table overflow|neighbour table overflow|arp table*full|arp cache*full|arp_cache*overflow",
            "no buffer space available*neigh",
        ),
    ),
    LookAlike(
        "time-wait-buckets",
        "the sockets' TIME_WAIT table (net.ipv4.tcp_max_tw_buckets) is full: sockets, not tracked entries",
        ("time-wait-overflow",),
        ("time wait bucket table overflow|tcp_max_tw_buckets",),
    ),
    LookAlike(
        "orphans",
        "too many sockets whose program has gone (net.ipv4.tcp_max_orphans) or too little socket memory",
        ("orphans",),
        ("too many orphaned|tcp_max_orphans|out of socket memory",),
    ),
    LookAlike(
        "tcp-memory",
        "TCP's own memory limit (net.ipv4.tcp_mem) is reached",
        ("tcp-memory",),
        ("tcp: out of memory|tuning tcp_mem|out of socket memory",),
    ),
    LookAlike(
        "listen-queue",
        "a listening program's accept queue overflowed; the kernel answers with SYN cookies",
        ("syn-flooding",),
        (
            "possible syn flooding|listen queue|accept queue|somaxconn|listen backlog|tcp_max_syn_backlog",
            "times the listen queue of a socket overflowed|listenoverflows|listen overflow",
        ),
        severity="info",
    ),
    LookAlike(
        "route-cache",
        "the routing cache is full, which kernels before 3.6 kept and IPv6 still has",
        ("dst-cache-overflow",),
        ("dst cache overflow|route cache is full|ip_dst_cache|rtcache|route/max_size|route.max_size",),
    ),
    LookAlike(
        "martian",
        "packets with impossible source addresses are logged; nothing is full",
        ("martian",),
        ("martian source|martian destination",),
        severity="info",
    ),
    LookAlike(
        "udp-checksum", "datagrams with bad checksums are logged", ("udp-checksum",), ("bad checksum",), 0.75, "info"
    ),
    LookAlike(
        "page-allocation",
        "the machine could not allocate memory",
        ("page-allocation", "oom-kill"),
        ("page allocation failure|out of memory: kill|oom-killer|oom killer",),
        0.5,
    ),
    LookAlike(
        "ipset",
        "an ipset has reached its own maxelem",
        (),
        ("hash is full, cannot add more elements|set is full, cannot|ipset*is full|maxelem",),
    ),
    LookAlike(
        "disk-full",
        "a disk is full",
        (),
        ("no space left on device|disk is full|disk full|filesystem full|inode*exhaust|max_user_watches|inotify",),
    ),
    LookAlike(
        "worker-connections",
        "the program's own connection limit is reached",
        (),
        (
            "worker_connections are not enough|worker_connections|maxclients|max_connections|too many connections",
            "max clients reached|serverlimit|maxrequestworkers|connection pool*exhaust|too many clients",
            "too_many_connections|too many connections",
        ),
    ),
    LookAlike(
        "file-descriptors",
        "a process has no file descriptors left",
        (),
        ("too many open files|emfile|file-max limit|nofile|socket: too many open files",),
        0.7,
    ),
    LookAlike(
        "ipvs-timeout",
        "IPVS has a table and timeouts of its own: it forgets an idle connection long before conntrack does",
        (),
        ("ipvsadm*timeout|timeout (tcp tcpfin udp)|ipvs*idle|ipvs*900",),
        0.8,
    ),
    LookAlike(
        "ephemeral-ports",
        "a local program has used up its ephemeral ports; no translation is involved",
        (),
        (
            "cannot assign requested address|eaddrnotavail|address not available|ephemeral port|local port numbers",
            "out of local port|runs out of ports*backend|pool of ports|ports runs dry",
            "failed to bind*address already in use",
            "local port range|port range*exhaust|tcp_tw_reuse|tcp_tw_recycle",
        ),
        0.75,
    ),
    LookAlike(
        "offload-or-mtu",
        "the packets are damaged or too large on their way (checksum offload, MTU), which tracking does not do",
        (),
        (
            "bad udp cksum|cksum*incorrect|bad checksum*vxlan|tx-checksum|tx checksum|checksum offload",
            "delayed by 63 second|63 second|mtu*mismatch|path mtu|fragmentation needed|tx off|tso off|gro off",
        ),
        0.75,
    ),
    LookAlike(
        "netlink-buffer",
        "a listener could not keep up with netlink messages: its socket buffer overflowed, not the table",
        (),
        ("enobufs|no buffer space available|netlink*overrun|netlink*buffer",),
        0.7,
    ),
    LookAlike(
        "offloaded-entry",
        "an entry in a flow table is listed without timeout and state, which is how it should look",
        (),
        ("[offload]|[hw_offload]|flow offload",),
        0.75,
        "none",
    ),
    LookAlike(
        "count-lag",
        "the kernel still counts expired entries until its collector or a listing removes them",
        (),
        ("the count falls at once|count falls|number of lines never agrees|count drops when|count*back after",),
        0.7,
        "none",
    ),
    LookAlike(
        "refused",
        "the port refuses connections: nothing listens or a firewall rejects",
        (),
        ("connection refused|econnrefused",),
        0.35,
    ),
    LookAlike(
        "own-conntrack",
        "a program keeps a connection table of its own",
        (),
        (
            "nebula|userspace conntrack|gvisor|tailscale*userspace|pfsense|opnsense|freebsd|pf states|vpnkit",
            "docker for mac|docker desktop|rocket*limit|ipvs connection table",
        ),
        0.6,
    ),
    LookAlike(
        "kernel-warning",
        "the kernel prints a warning or an oops with its trace: a defect of the part it names",
        (),
        ("cut here ]|warning: cpu:|kernel bug at|bug: unable to handle|general protection fault|rcu_sched detected",),
        0.75,
    ),
    LookAlike(
        "cpu-or-network",
        "the network card or a CPU is overrun, before tracking sees the packet",
        (),
        ("rx_missed_errors|rx_dropped|ring buffer|softnet*dropped|nic*drops|time squeeze",),
        0.5,
    ),
)

UNRELATED = 0.3  # the absence of every word about tracking is a reason, and a weak one


@rule("not-conntrack", needs=("text",))
def it_is_something_else(case: Case) -> Iterator[Finding]:
    """Fires for every look-alike that names itself, and where the counters shown clear connection tracking.

    Weak where the entry table is full as well: then both are true and the table comes first.
    """
    full = fullness(case)
    about_conntrack = bool(
        case.log("table-full")
        or case.log("expectation-full")
        or case.log("helper-off")
        or case.log("vmalloc")
        or case.log("ip-conntrack-max")
        or (case.log("page-allocation") and case.said("nf_conntrack_alloc|init_conntrack"))
    )
    best: Clues | None = None
    which: LookAlike | None = None
    for one in LOOK_ALIKES:
        clues = Clues(case, "not-conntrack")
        printed = [line for kind in one.log for line in case.log(kind)]
        if printed:
            clues.add(max(one.weight, 0.85), one.what, *(line.origin for line in printed[:3]))
        else:
            clues.said(one.weight, one.what, *one.phrases)
        if clues and (best is None or clues.weight > best.weight):
            best, which = clues, one
    counters = case.counters
    if counters and which is None and case.told:
        overflow = next((c for c in case.of(NetCounter) if "allowance" in c.name and c.value), None)
        if (
            counters.get("drop", 1) == 0
            and counters.get("early_drop", 0) == 0
            and not counters.get("insert_failed", 1)
            and overflow is None
        ):
            best = Clues(case, "not-conntrack")
            best.add(
                0.8,
                "drop, early_drop and insert_failed are 0 on every CPU shown: connection tracking lost nothing",
                *case.counter_origins[:2],
            )
            which = LookAlike("cleared", "connection tracking is cleared by its own counters")
    if best is None or which is None:
        tracked = case.counters or case.max or case.compositions or case.has("rules")
        if (
            full.state == "yes"
            or tracked
            or case.said("conntrack|nf_ct|masquerade|snat|nat |iptables|operation not permitted")
        ):
            return
        best = Clues(case, "not-conntrack")
        best.add(UNRELATED, "nothing in this evidence speaks of connection tracking", basis="unknown")
        which = LookAlike("unrelated", "nothing here speaks of connection tracking", severity="none")
    if full.state == "yes" or about_conntrack:
        best.against(0.3)
    elif full.state == "unknown" and case.said(
        "conntrack -d|stale|insert_failed|allowance|helper|cannot stat|hashsize"
    ):
        best.against(0.6)
    yield best.finding("none", severity=which.severity, look_alike=which.id)
