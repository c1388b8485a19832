"""What to do where it is not connection tracking: the limit that was reached instead, or nothing.

The trap: these print the same ``callbacks suppressed`` beside them, and raising nf_conntrack_max makes none of them
better.
"""

from msgspec import Struct

from tablefull.fixes import dialect
from tablefull.fixes.plan import Plan, Scope, Situation, compose


class Remedy(Struct, frozen=True):
    """``sets`` are sysctls to write; ``commands`` what else to type; ``names`` the words that call for it."""

    names: tuple[str, ...]
    title: str
    why: str
    risk: str
    verify: tuple[str, ...]
    sets: tuple[tuple[str, int], ...] = ()
    commands: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    scope: Scope = "host"


_HARMLESS = "Nobody loses a connection."

REMEDIES: tuple[Remedy, ...] = (
    Remedy(
        ("neighbour", "neighbor", "arp"),
        "Make the neighbour table larger",
        "the table of neighbours (ARP, ND) has its own limit, 1024 by default; it must hold every host this one "
        "speaks to on its own segments",
        "Nobody loses a connection; a few hundred bytes for each neighbour. On a router that was scanned the flood "
        "goes on: a smaller segment or a route with fewer on-link addresses is the cure.",
        (
            "ip -s neigh show | wc -l",
            "sysctl net.ipv4.neigh.default.gc_thresh3",
            "dmesg | grep -i 'table overflow' | tail -3",
        ),
        (
            ("net.ipv4.neigh.default.gc_thresh3", 8192),
            ("net.ipv4.neigh.default.gc_thresh2", 4096),
            ("net.ipv4.neigh.default.gc_thresh1", 1024),
            ("net.ipv6.neigh.default.gc_thresh3", 8192),
            ("net.ipv6.neigh.default.gc_thresh2", 4096),
            ("net.ipv6.neigh.default.gc_thresh1", 1024),
        ),
    ),
    Remedy(
        ("listen", "syn-flood", "cookie", "backlog", "somaxconn"),
        "Make the listen queue longer",
        "a program's queue of new connections is full; the kernel answers with SYN cookies, which is a repair and "
        "not a loss. The queue is the smaller of somaxconn and the program's own backlog, so both must grow",
        "Nobody loses a connection. The program must be restarted with the larger backlog (nginx 'listen 80 "
        "backlog=4096;', Redis tcp-backlog). If it does not accept fast enough, a longer queue only makes clients "
        "wait longer.",
        ("ss -ltn", "nstat -az TcpExtListenOverflows TcpExtListenDrops"),
        (("net.core.somaxconn", 4096), ("net.ipv4.tcp_max_syn_backlog", 8192), ("net.ipv4.tcp_syncookies", 1)),
        scope="netns",
    ),
    Remedy(
        ("orphan",),
        "Allow more orphaned sockets, if they are wanted",
        "sockets whose program has closed them but whose peer has not answered; above the limit they are reset. A "
        "file that sets tcp_max_orphans or tcp_mem too low is the usual reason: take those lines out first",
        "Each orphan holds up to 64 KiB of memory that cannot be swapped.",
        ("cat /proc/net/sockstat", "grep -rs -e tcp_max_orphans -e tcp_mem /etc/sysctl.conf /etc/sysctl.d"),
        (("net.ipv4.tcp_max_orphans", 65536),),
    ),
    Remedy(
        ("tcp-memory", "tcp_mem", "socket memory"),
        "Give TCP the memory this host can spare",
        "tcp_mem counts pages for all TCP sockets together; a file that sets it too low is the usual reason, the "
        "kernel chooses it by memory otherwise",
        "Too high, TCP can take the memory of programs. Removing a wrong line and rebooting gives the kernel's own "
        "choice.",
        ("cat /proc/net/sockstat", "sysctl net.ipv4.tcp_mem"),
        commands=(
            "grep -rs tcp_mem /etc/sysctl.conf /etc/sysctl.d",
            "# three numbers in pages of 4 KiB (low, pressure, limit); an eighth, a sixth and a quarter of memory:",
            (
                'sysctl -w net.ipv4.tcp_mem="$(awk \'/MemTotal/ {p = $2 / 4; printf "%d %d %d", p / 8, p / 6, '
                "p / 4}' /proc/meminfo)\""
            ),
        ),
        undo=("# note the present value first: sysctl -n net.ipv4.tcp_mem",),
    ),
    Remedy(
        ("time-wait", "tw_bucket", "time wait"),
        "Allow more TIME_WAIT sockets, or make fewer",
        "these are sockets, not entries of the tracking table; above tcp_max_tw_buckets they are closed at once, "
        "which rarely harms. Connections used for many requests make fewer",
        "A few hundred bytes for each. tcp_tw_recycle, advised in old pages, breaks clients behind NAT: never set it.",
        ("ss -s", "nstat -az TcpExtTCPTimeWaitOverflow"),
        (("net.ipv4.tcp_max_tw_buckets", 262144),),
    ),
    Remedy(
        ("route-cache", "dst", "rtcache"),
        "Make the routing cache larger",
        "the cache of routes has its own limit; IPv4 lost the cache in 3.6, IPv6 kept a limit of 4096 entries until "
        "6.3",
        _HARMLESS + " A few hundred bytes for each cached route.",
        ("cat /proc/net/stat/rt_cache", "sysctl net.ipv6.route.max_size"),
        (("net.ipv6.route.max_size", 65536), ("net.ipv4.route.max_size", 1048576)),
    ),
    Remedy(
        ("ipset",),
        "Make the ipset larger",
        "the set reached its own maxelem (65536 by default), which is fixed when it is created: a larger one is "
        "made and swapped in",
        "Rules go on using the set's name. While entries are copied new ones are missing for a moment; the program "
        "that fills the set must create it with the larger maxelem, or a restart brings the old size back.",
        ("ipset list SET -t", "ipset list SET | wc -l"),
        commands=(
            (
                "# put the set's name in place of SET, and its type in place of hash:ip where it differs (ipset "
                "list SET -t)"
            ),
            "ipset create SET-larger hash:ip maxelem 1048576",
            "ipset save SET | grep ^add | sed 's/^add SET /add SET-larger /' | ipset restore -exist",
            "ipset swap SET-larger SET",
        ),
        undo=("ipset swap SET-larger SET", "ipset destroy SET-larger"),
        scope="netns",
    ),
    Remedy(
        ("offload-or-mtu", "mtu", "checksum", "offload"),
        "Turn checksum offload off on the tunnel, and check the MTU",
        "packets are damaged or too large on their way, and tracking only sees what is left: a tunnel device that "
        "leaves the checksum to hardware that does not know it, or an MTU that does not count the tunnel's header "
        "(50 bytes for VXLAN)",
        "More CPU for large transfers; nobody loses a connection.",
        (
            "ethtool -k INTERFACE | grep -e checksum -e segmentation",
            "nstat -az UdpInCsumErrors TcpInCsumErrors",
            "ping -M do -s 1422 ADDRESS -c 3",
        ),
        commands=(
            "# put the tunnel's device in place of INTERFACE (vxlan.calico, flannel.1)",
            "ethtool -K INTERFACE tx-checksum-ip-generic off",
        ),
        undo=("ethtool -K INTERFACE tx-checksum-ip-generic on",),
    ),
    Remedy(
        ("disk", "inode", "inotify"),
        "Find what fills the disk",
        "a file system, its inodes or the inotify watches are full; no packet is involved",
        "Whoever needs the files you delete.",
        ("df -h", "df -i"),
        commands=(
            "df -h",
            "df -i",
            "sysctl fs.inotify.max_user_watches",
            "du -xsh /var/* 2>/dev/null | sort -h | tail",
        ),
    ),
    Remedy(
        ("descriptor", "open files"),
        "Allow the program more open files",
        "the process has used up its file descriptors; sockets are among them",
        "The program is restarted to read the new limit.",
        ("cat /proc/sys/fs/file-nr", "ls /proc/PID/fd | wc -l"),
        commands=(
            "grep 'open files' /proc/PID/limits",
            "# systemd: LimitNOFILE=65536 in the unit; elsewhere: ulimit -n 65536 before the program starts",
        ),
        scope="other",
    ),
    Remedy(
        ("ephemeral",),
        "Give local programs more source ports",
        "one local address to one destination and port has as many connections as ip_local_port_range has ports; "
        "TIME_WAIT holds them for a minute",
        "Services that bind ports in the range must be listed in ip_local_reserved_ports.",
        ("ss -s", "sysctl net.ipv4.ip_local_port_range"),
        (("net.ipv4.tcp_tw_reuse", 1),),
        ("sysctl -w net.ipv4.ip_local_port_range='1024 65535'",),
        ("# note the present value first: sysctl -n net.ipv4.ip_local_port_range",),
        "netns",
    ),
    Remedy(
        ("kernel-warning",),
        "Read which part of the kernel warns, and update it",
        "a trace names the function and module that noticed the fault; tables and limits have no part in it",
        "A newer kernel may change other things too.",
        ("dmesg | grep -A 25 'cut here' | head -60", "uname -r"),
    ),
    Remedy(
        ("ipvs",),
        "Keep idle connections alive through IPVS",
        "IPVS drops what is idle for its own timeout, 900 s for TCP by default, whatever conntrack's is",
        "Longer IPVS timeouts keep more of its own entries; keepalive costs one packet a connection and interval.",
        ("ipvsadm -l --timeout",),
        (("net.ipv4.tcp_keepalive_time", 600),),
        (),
        (),
        "netns",
    ),
    Remedy(
        ("netlink",),
        "Give the listener a larger socket buffer",
        "the program that listens for events read too slowly, and the kernel threw messages away; no packet and no "
        "entry was lost",
        "Memory for the buffer.",
        ("cat /proc/net/netlink", "sysctl net.core.rmem_max"),
        (("net.core.rmem_max", 16777216),),
    ),
    Remedy(
        ("page-alloc", "oom"),
        "Keep more memory free, and find what takes it",
        "an allocation failed for want of memory or of contiguous pages; network cards ask without being able to wait",
        "A larger reserve is memory that programs do not get.",
        ("free -m", "cat /proc/buddyinfo", "slabtop -o | head -15"),
        (("vm.min_free_kbytes", 131072),),
    ),
    Remedy(
        ("worker", "own-conntrack", "application"),
        "Raise the program's own limit",
        "the program keeps a limit or a table of its own, and its message only sounds like the kernel's",
        "The program's memory, and its restart.",
        ("ss -s", "dmesg | grep -i 'table full' | tail -3"),
        commands=(
            (
                "# look in the program's configuration: worker_connections (nginx), MaxRequestWorkers (Apache), "
                "max_connections (databases), its conntrack section"
            ),
        ),
        scope="other",
    ),
    Remedy(
        ("martian",),
        "Find who sends impossible addresses",
        "packets whose source cannot be there are logged; nothing is full. A second interface in one network, or a "
        "wrong mask, is the usual reason",
        _HARMLESS,
        ("ip route", "dmesg | grep -i martian | tail -3"),
        commands=("ip addr", "ip route", "# only to quiet the log: sysctl -w net.ipv4.conf.all.log_martians=0"),
    ),
    Remedy(
        ("cpu-or-network", "ring", "softnet"),
        "Give the card and the CPUs more room",
        "packets are lost in the card's ring or in the CPU's queue, before tracking sees them",
        "Setting rings resets the link for a moment on some cards.",
        ("ethtool -S INTERFACE | grep -i -e drop -e miss", "cat /proc/net/softnet_stat"),
        (("net.core.netdev_max_backlog", 10000),),
        ("ethtool -g INTERFACE", "ethtool -G INTERFACE rx 4096"),
        ("# the ring as ethtool -g showed it before: ethtool -G INTERFACE rx NUMBER",),
    ),
    Remedy(
        ("refused",),
        "See whether the program listens",
        "a full table drops packets in silence; a refused connection is an answer: nothing listens there, or a rule "
        "rejects",
        _HARMLESS,
        ("ss -ltn",),
        commands=("ss -ltnp", "iptables -S | grep -i reject"),
    ),
)


def nothing(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """The remedy for the look-alike; where none fits, how to make sure that tracking is well."""
    wanted = (situation.look_alike or "").lower()
    remedy = next((one for one in REMEDIES if any(name in wanted for name in one.names)), None) if wanted else None
    # An entry listed without timeout and a count that lags are how it should look.
    if remedy is None or wanted in ("offloaded-entry", "udp-checksum", "count-lag"):
        return compose(
            "none",
            situation,
            answers,
            title="Change nothing in connection tracking",
            commands=(dialect.count_command(situation), dialect.drops_command(situation)),
            verify=(f"cat {dialect.statistics_file(situation)}",),
            risk="None: nothing is changed. Raising nf_conntrack_max would not help, for the table refused nothing "
            "in this evidence.",
            scope="other",
            why="nothing here shows a full table; count well below max, and the drop column (hexadecimal) standing "
            "still, confirm it",
        )
    path = "/etc/sysctl.d/90-tablefull-network-limits.conf"
    values = dict(remedy.sets)
    raised = {name: value for name, value in values.items() if (dialect.present(situation, name) or 0) < value}
    return compose(
        "none",
        situation,
        answers,
        title=f"In connection tracking nothing; {remedy.title[0].lower()}{remedy.title[1:]}",
        commands=(*(f"sysctl -w {name}={value}" for name, value in raised.items()), *remedy.commands) or remedy.verify,
        undo=(*(dialect.restore(situation, name) for name in raised), *remedy.undo),
        persist=dialect.persist_sysctls(situation, raised, path) if raised else (),
        verify=remedy.verify,
        risk=remedy.risk,
        scope=remedy.scope,
        why=remedy.why,
    )
