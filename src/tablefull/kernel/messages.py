"""The kernel's own sentences about a full table, their wording by version, and the sentences that only look alike.

The trap: the wording dates the kernel (a full stop, a doubled prefix, a namespace number), and most lines that ride
beside ``callbacks suppressed`` are not about connection tracking at all: neighbour tables, TIME_WAIT buckets and
orphaned sockets share its rate limit and half of its words.
"""

from tablefull.kernel.identity import KernelVersion, Version, at_least

# kind -> what it means, one plain sentence for an administrator.
KINDS: dict[str, str] = {
    "table-full": (
        "A packet needed a new connection tracking entry, the table was at its limit and nothing in it could be "
        "evicted, so this packet was dropped; existing connections went on."
    ),
    "expectation-full": (
        "The table of expected connections (helpers such as FTP, SIP or full-cone NAT) reached "
        "nf_conntrack_expect_max; the entry table itself is not meant."
    ),
    "suppressed": (
        "The kernel hid further rate-limited messages of all kinds in the window before this line; the number is "
        "shared by everything that logs through the same limit."
    ),
    "conntrack-version": "Connection tracking was loaded, with this many hash buckets and this limit at that moment.",
    "vmalloc": "The hash table could not be allocated in one piece and was put in virtual memory; harmless.",
    "helper-off": (
        "Automatic helper assignment is off (the default from Linux 4.7): FTP, SIP and the like need an explicit "
        "CT rule."
    ),
    "ct-invalid": (
        "Connection tracking explains why it called a packet INVALID; printed only with nf_conntrack_log_invalid."
    ),
    "ip-conntrack-max": "The old 2.4 tracker hit its limit of entries: the same condition as a full table.",
    "neighbour-overflow": (
        "The neighbour (ARP or NDP) table passed its hard limit gc_thresh3: too many hosts on one link; not "
        "connection tracking."
    ),
    "time-wait-overflow": (
        "More sockets in TIME_WAIT on this host than tcp_max_tw_buckets; they are closed early. A socket limit of "
        "this host, not connection tracking."
    ),
    "orphans": (
        "More closed but unfinished TCP sockets than tcp_max_orphans (or TCP memory is short); a socket limit, "
        "not connection tracking."
    ),
    "tcp-memory": "TCP used all the memory tcp_mem allows; sockets are starved, not connection tracking.",
    "socket-memory": (
        "Sockets ran out of memory or orphans: an older wording of the TCP memory limit, not connection tracking."
    ),
    "syn-flooding": (
        "The listen queue of one port overflowed, by an attack or a slow application; cookies or drops follow. "
        "Not connection tracking."
    ),
    "dst-cache-overflow": "The routing cache passed its max_size; not connection tracking.",
    "page-allocation": (
        "The kernel could not get memory for an allocation; connection tracking drops packets for this reason "
        "too, without saying that the table is full."
    ),
    "slab-failure": (
        "A slab cache could not grow; when it is nf_conntrack, new entries fail for memory, not for the limit."
    ),
    "oom-kill": "Memory ran out and a process was killed.",
    "martian": (
        "A packet came with an address impossible for its interface; routing or spoofing, not connection tracking."
    ),
    "bridge-filtering": "Bridged frames are (or are no longer) passed to iptables by default: br_netfilter decides.",
    "udp-checksum": "A UDP packet came with a wrong checksum or length; not connection tracking.",
    "tcp-window": "A TCP peer shrank its window; not connection tracking.",
    "file-max": "The system-wide limit of open files was reached; not connection tracking.",
    "entropy": "Random numbers were asked for before the pool was ready; not connection tracking.",
    "nic-reset": "A network card's transmit queue stalled and was reset; not connection tracking.",
    "ipvs-memory": "IPVS could not allocate a connection of its own; its table is not the connection tracking table.",
    "blocked-task": "A task waited too long in the kernel.",
    "lockup": "A processor was stuck in the kernel for too long; a huge hash chain can be one reason among many.",
    "link-flap": "A network link went down or up.",
    "promiscuous": "An interface began or ceased to take all frames: usually a bridge or a capture.",
    "firewall-log": "A LOG rule of the firewall printed a packet.",
}

# (words that must stand in the lower-cased line, kind): the first that matches decides, so the narrow ones come first.
SIGNS: tuple[tuple[str, str], ...] = (
    ("conntrack: expectation table full", "expectation-full"),
    ("conntrack: table full", "table-full"),
    ("conntrack:table full", "table-full"),
    ("conntrack: maximum limit of", "ip-conntrack-max"),
    ("callbacks suppressed", "suppressed"),
    ("messages suppressed", "suppressed"),
    ("conntrack version", "conntrack-version"),
    ("conntrack: falling back to vmalloc", "vmalloc"),
    ("automatic helper assignment", "helper-off"),
    ("nf_ct_proto_", "ct-invalid"),
    ("nf_ct_tcp:", "ct-invalid"),
    ("nf_ct_udp:", "ct-invalid"),
    ("nf_ct_icmp:", "ct-invalid"),
    ("neighbour table overflow", "neighbour-overflow"),
    ("neighbor table overflow", "neighbour-overflow"),
    ("time wait bucket table", "time-wait-overflow"),
    ("too many orphaned sockets", "orphans"),
    ("too many of orphaned sockets", "orphans"),
    ("consider tuning tcp_mem", "tcp-memory"),
    ("out of socket memory", "socket-memory"),
    ("possible syn flooding", "syn-flooding"),
    ("dst cache overflow", "dst-cache-overflow"),
    ("dst_cache_overflow", "dst-cache-overflow"),
    ("page allocation failure", "page-allocation"),
    ("slub: unable to allocate memory", "slab-failure"),
    ("slab: unable to allocate memory", "slab-failure"),
    ("invoked oom-killer", "oom-kill"),
    ("out of memory: kill", "oom-kill"),
    ("martian source", "martian"),
    ("martian destination", "martian"),
    ("filtering via arp/ip/ip6tables", "bridge-filtering"),
    ("bridge firewalling registered", "bridge-filtering"),
    ("bad checksum. from", "udp-checksum"),
    ("udp: short packet", "udp-checksum"),
    ("udp: bad checksum", "udp-checksum"),
    ("unexpectedly shrunk window", "tcp-window"),
    ("file-max limit", "file-max"),
    ("ip_vs_conn_new: no memory", "ipvs-memory"),
    ("netdev watchdog", "nic-reset"),
    ("transmit queue", "nic-reset"),
    ("blocked for more than", "blocked-task"),
    ("soft lockup", "lockup"),
    ("hard lockup", "lockup"),
    ("promiscuous mode", "promiscuous"),
    ("link is not ready", "link-flap"),
    ("uninitialized urandom", "entropy"),
)

# Kinds that mean "an entry table refused a new entry", and those that speak about connection tracking without meaning
# that.
TABLE_FULL_KINDS = frozenset(("table-full", "ip-conntrack-max"))
TRACKING_KINDS = frozenset(
    ("table-full", "ip-conntrack-max", "expectation-full", "conntrack-version", "vmalloc", "helper-off", "ct-invalid")
)

# Kinds that go through the kernel's one network rate limit, so that their suppressed lines are in the same number.
# [trees: net_ratelimit() callers]; neighbour, TIME_WAIT, orphans and the rest are printed with net_*_ratelimited.
SHARES_RATE_LIMIT = frozenset(
    (
        *("table-full", "expectation-full", "ct-invalid", "neighbour-overflow", "time-wait-overflow", "orphans"),
        *("tcp-memory", "socket-memory", "dst-cache-overflow", "martian", "udp-checksum", "tcp-window", "syn-flooding"),
    )
)


def classify(line: str) -> str | None:
    """The kind of a kernel log line by its words (an id of :data:`KINDS`), or None for a line that says nothing here.

    ``neighbour: arp_cache: neighbor table overflow!``, ``Neighbour table overflow.`` and the ipv6 form of the latter
    are one kind; ``TCP: time wait bucket table overflow`` shares two of their words and is another.
    """
    low = line.lower()
    for words, kind in SIGNS:
        if words in low:
            return kind
    return "firewall-log" if " src=" in low and " dst=" in low and "in=" in low else None


# (words, since, until inclusive), the narrow ones first. [core 2.6.18..6.19]
_ERAS: tuple[tuple[str, Version, Version | None], ...] = (
    ("nf_conntrack: nf_conntrack: table full in netns", (6, 17), None),
    ("nf_conntrack: nf_conntrack: table full, dropping packet", (4, 7), None),
    ("ip_conntrack: table full, dropping packet", (2, 4), (2, 6, 21)),
    ("nf_conntrack: table full, dropping packet.", (2, 6, 18), (3, 4)),
    ("nf_conntrack: table full, dropping packet", (3, 5), (4, 6)),
)


def wording_eras(text: str) -> tuple[Version, Version | None] | None:
    """Which mainline kernels print exactly this table-full wording: (since, until), until inclusive, None = still does.

    None when the text is not one of the five wordings (a forum's paraphrase, another message). Red Hat 7 prints the
    3.5 wording and Red Hat 6 the older one, which is also what their numbers say. The stop decides between 3.4 and
    3.5, so a line that was retyped or cut before its end dates nothing; ``ip_conntrack`` in 2.4 is from general
    knowledge. [core 2.6.18..6.19, ip_conntrack_core 2.6.18, 2.6.21; netns form: commit f2be870d5, mail of 2025-07-25]
    """
    low = " ".join(text.lower().split())
    for words, since, until in _ERAS:
        if words in low:
            return since, until
    return None


def nf_or_ip(text: str) -> str | None:
    """``ip`` for the stack of 2.4 and early 2.6, ``nf`` for the one since, None when the text names neither."""
    low = text.lower()
    if "nf_conntrack" in low:
        return "nf"
    return "ip" if "ip_conntrack" in low else None


def netns_inode(text: str) -> int | None:
    """The namespace number in ``table full in netns N`` (6.17 on): the inode ``lsns -t net`` shows; None without one.

    The initial namespace prints no number. [core 6.17, 6.18.2; seen on 6.18.44 with N=4026532246]
    """
    _, mark, rest = text.partition("table full in netns ")
    digits = rest.split(",", 1)[0].strip()
    return int(digits) if mark and digits.isascii() and digits.isdigit() else None


def table_full_line(kernel: KernelVersion, netns: int | None = None) -> str:
    """The line this kernel prints for a packet refused by a full table; ``netns``: of a namespace not the first.

    [core 2.6.32..6.19; KERNEL.md 1.1]
    """
    if at_least(kernel, 6, 17) and netns is not None:
        return f"nf_conntrack: nf_conntrack: table full in netns {netns}, dropping packet"
    if at_least(kernel, 4, 7):
        return "nf_conntrack: nf_conntrack: table full, dropping packet"
    return f"nf_conntrack: table full, dropping packet{'' if at_least(kernel, 3, 5) else '.'}"


def suppressed_line(kernel: KernelVersion, suppressed: int) -> str:
    """The line that says how many network messages were hidden in the window before. [ratelimit 2.6.32.69, 2.6.34]"""
    return f"{'net_ratelimit' if at_least(kernel, 2, 6, 34) else '__ratelimit'}: {suppressed} callbacks suppressed"
