"""What changed in connection tracking, when, and which older kernels got it as a backport.

The trap: "since 5.13" may be true of a patched 5.10 and false of 5.11, so each change lists the stable points and
vendor trees it was *seen* in, and a kernel of the same series below such a point gets no answer instead of a wrong
one.

Boundaries were read between neighbouring source trees (docs/kernel/README.md names them): ``since`` is the first tree
that has the change, and where trees are missing between the two neighbours the earlier candidate stands in ``source``.
"""

from msgspec import Struct

from tablefull.kernel.answer import NO_KERNEL, Answer, by_vendor, by_version, unknown
from tablefull.kernel.identity import KernelVersion, Version, at_least, compare, enterprise, same_line, version_text


class Change(Struct, frozen=True):
    """One difference between kernels.

    ``since``: first mainline version that has it. ``until``: first that has it no longer, or None. ``backports``:
    stable points such as ``(5, 10, 89)`` (seen there; the exact first point release is not established) and vendor
    marks ``el7``.
    """

    what: str
    since: Version
    backports: tuple[Version | str, ...]
    source: str
    until: Version | None = None


CHANGES: dict[str, Change] = {
    # Identity of the stack and its files
    "nf-conntrack-only": Change(
        "ip_conntrack is gone, nf_conntrack is the only tracker", (2, 6, 22), (), "2.6.21 has both; 2.6.22 from memory"
    ),
    "counters-per-netns": Change(
        "count, settings and counters exist per network namespace", (2, 6, 30), (), "core 2.6.30.4"
    ),
    "compat-sysctls": Change(
        "net.ipv4.netfilter.ip_conntrack_* and /proc/net/ip_conntrack exist",
        (2, 6, 18),
        (),
        "tree scan 4.8.15 against 4.9.115",
        (4, 9),
    ),
    "buckets-writable": Change(
        "nf_conntrack_buckets can be written in the initial namespace", (4, 8), (), "standalone 4.7.4, 4.8.15"
    ),
    "one-hash-table": Change("one hash table and one slab cache for all namespaces", (4, 7), (), "core 4.6.2, 4.7.4"),
    "procfs-list-default": Change(
        "/proc/net/nf_conntrack is built by default", (2, 6, 18), (), "Kconfig scan 5.19, 6.0", (6, 0)
    ),
    "timeouts-per-netns": Change("protocol timeouts belong to the namespace", (3, 6), (), "tcp 3.4.113 against 3.6.5"),
    "child-netns-max-readonly": Change(
        "nf_conntrack_max, expect_max and buckets are read-only in every namespace but the first",
        (5, 13),
        ((5, 10, 89),),
        "standalone 5.10.89, 5.11, 5.14; measured 0444 on 6.18.44",
    ),
    "userns-max-shown": Change(
        "a namespace of an unprivileged user sees the tracking sysctls, read-only", (5, 7), (), "standalone 5.4, 5.7.6"
    ),
    "max-zero-refused": Change(
        "nf_conntrack_max 0 (no limit before) is refused",
        (6, 19),
        (),
        "standalone 6.18.2, 6.19; mail 2025-10-30 1d79ac0d2",
    ),
    "max-range-checked": Change(
        "nf_conntrack_max accepts 0..INT_MAX only", (6, 15), (), "mail 2025-03-23; 6.15 inferred from its date"
    ),
    "events-auto": Change(
        "nf_conntrack_events defaults to 2: an entry carries events only if someone listened when it began",
        (5, 19),
        (),
        "ecache 5.17, 5.19",
    ),
    "helper-auto-off": Change(
        "helpers are no longer assigned automatically (nf_conntrack_helper 0)", (4, 7), (), "helper 4.6.2, 4.7.4"
    ),
    "helper-sysctl-gone": Change(
        "nf_conntrack_helper is gone: helpers only by explicit rule", (6, 0), (), "helper 5.19, 6.0.19"
    ),
    "dccp-gone": Change("DCCP is no longer tracked", (6, 17), (), "trees 6.14, 6.17; mail 2025-07-10"),
    "netns-in-log": Change(
        "table-full lines of other namespaces carry their inode number",
        (6, 17),
        (),
        "core 6.17, commit f2be870d5 (mail 2025-07-25); seen on 6.18.44",
    ),
    "load-line": Change(
        "loading prints 'nf_conntrack version 0.5.0 (B buckets, M max)'", (2, 6, 18), (), "core 4.14, 4.16.13", (4, 16)
    ),
    # Sizing and memory
    "max-equals-buckets": Change(
        "default max is one entry per bucket; 262144 above 4 GiB on 64 bit", (5, 15), (), "core 5.14, 5.15.16"
    ),
    "big-host-tier": Change(
        "above 4 GiB the table gets 65536 buckets", (4, 0), ("el7", "el8"), "core 3.19.8, 4.0, RHEL 7.7, RHEL 8.1"
    ),
    "chain-limit": Change(
        "an insert into a too long hash chain is refused and the packet dropped (chain_toolong)",
        (5, 15),
        (),
        "core 5.14, 5.15.16",
    ),
    "chain-limit-50": Change(
        "the refused chain length is 50..79 instead of 8..31", (6, 3), ((6, 1, 20), (5, 15, 135)), "core 6.2.1, 6.3.8"
    ),
    "siphash": Change("buckets are chosen by siphash with a boot-random key", (5, 15), (), "core 5.14, 5.15.16"),
    "small-object": Change(
        "an entry's object is 256 bytes instead of 320", (5, 19), (), "computed; measured on 6.18.44"
    ),
    "aligned-object": Change("the entry cache is aligned to cache lines: 320 bytes an object", (4, 9), (), "computed"),
    "extension-128": Change("the extension block is at least 128 bytes", (4, 12), (), "extend 4.12"),
    # Eviction and expiry
    "gc-worker": Change(
        "expired entries are collected by a worker, the count lags", (4, 9), (), "core 4.8.15, 4.9.115"
    ),
    "gc-120s": Change(
        "the collector sleeps 120 s between passes",
        (5, 15),
        ((5, 10, 62),),
        "core 5.15.16, 5.17; 5.10 from about .62 by mail date",
        (5, 18),
    ),
    "gc-adaptive": Change(
        "the collector sleeps 1..60 s by the mean remaining timeout",
        (5, 18),
        ((5, 15, 135),),
        "core 5.17, 5.19, 5.15.135; mails 2022-02-16, 2022-09-21",
    ),
    "early-drop-bucket": Change("eviction takes every unassured entry of a bucket", (4, 8), (), "core 4.7.4, 4.8.15"),
    "early-drop-walk": Change(
        "eviction really walks eight buckets again", (4, 19), ((4, 14, 177), "el8"), "core 4.16.13, 4.18-rt, 4.19.78"
    ),
    "early-drop-closing": Change(
        "the collector evicts closing TCP flows at 95 % of max after a failed eviction", (4, 12), (), "core 4.10, 4.12"
    ),
    # What starts tracking
    "hooks-by-rule": Change(
        "tracking starts with a rule that needs it, not with loading a module",
        (4, 14),
        (),
        "standalone 4.13.4, 4.14; commits 0c66dc1ea3f0, 481fa3734769; measured on 6.18.44",
    ),
    "default-on-sysctl": Change(
        "nf_conntrack_default_on exists (1: loading still starts tracking)",
        (4, 10),
        (),
        "standalone 4.10, 4.12, 4.13.4",
        (4, 14),
    ),
    "l3-built-in": Change(
        "nf_conntrack_ipv4 and _ipv6 are inside nf_conntrack", (4, 19), (), "Makefiles 4.18, 4.19.78"
    ),
    "enable-hooks-option": Change(
        "module option enable_hooks tracks everything without a rule", (5, 1), (), "standalone 5.0.1 no, 5.2.1 yes"
    ),
    "openvswitch-hooks": Change(
        "loading openvswitch turns tracking on in every namespace, through the count of its zone limits",
        (4, 18),
        (),
        "nf_conncount_init called nf_ct_netns_get; taken out of it by a patch to nf-next of 2024-07-17; measured: "
        "6.1.0-56 yes, 6.12.117 no; 4.18 (the zone limit) from memory",
        (6, 12),
    ),
    "nat-one-module": Change("iptable_nat and xt_MASQUERADE need only nf_nat", (5, 2), (), "trees 5.0.1, 5.2.1"),
    "br-netfilter-module": Change(
        "bridge filtering is a module of its own, br_netfilter", (3, 18), (), "3.16 no, 3.18.20 yes; 3.17 not read"
    ),
    "br-netfilter-per-netns": Change("bridge-nf-call-* are per namespace", (5, 3), (), "br_netfilter 5.2.1, 5.3.1"),
    "bridge-family-tracking": Change(
        "nf_conntrack_bridge tracks in the bridge family for nft rules", (5, 3), (), "trees 5.2.1, 5.3.1"
    ),
    # Counters
    "insert-netlink-only": Change(
        "found, insert, new, searched, delete stopped counting packets", (4, 9), (), "core 4.8.15, 4.9.115"
    ),
    "clash-column": Change(
        "searched became clashres; insert_failed counts losses only; ignore is dead",
        (5, 10),
        (),
        "standalone 5.9.2, 5.10.89",
    ),
    "chain-column": Change("delete_list became chainlength", (5, 15), (), "standalone 5.14, 5.15.16"),
    "clash-resolve-udp": Change(
        "an identical UDP insertion race is settled without loss", (4, 7), (), "core 4.6.2, 4.7.4"
    ),
    "clash-reply-only": Change(
        "the loser of a UDP race is inserted in reply direction only", (5, 7), (), "core 5.4, 5.7.6"
    ),
    "reverse-clash": Change("a race with the exactly reversed entry is merged", (6, 12), (), "core 6.10, 6.12.33"),
    "invalid-not-reuse": Change(
        "invalid no longer counts ordinary TCP port reuse", (5, 17), ((5, 15, 135),), "core 5.15.16, 5.15.135, 5.17"
    ),
    "error-icmp-only": Change(
        "icmp_error counts ICMP only, not TCP and UDP checksums", (4, 20), (), "core 4.19.78, 4.20"
    ),
    "suppressed-exact": Change(
        "the limiter counts contended calls too", (6, 17), (), "ratelimit 6.14, 6.17; 6.15 and 6.16 not read"
    ),
    # Table 8.8: TCP and UDP
    "syn-sent2": Change("simultaneous open has a state of its own", (2, 6, 32), (), "tcp 2.6.30.4, 2.6.32.69"),
    "rst-against-highest-ack": Change("a RST is checked against the highest ACK", (2, 6, 30), (), "tcp 2.6.30.4"),
    "unack-cap": Change(
        "a flow picked up mid-stream gets 300 s until answered", (3, 11), ("el6", "el7"), "tcp 3.10.4, 3.11"
    ),
    "challenge-ack-last-ack": Change(
        "a challenge ACK in LAST_ACK changes nothing", (4, 2), ("el6", "el7"), "tcp 4.0, 4.2.8"
    ),
    "window-zero-timeout": Change("a last window of 0 gives the retransmit timeout", (4, 16), (), "tcp 4.14, 4.16.13"),
    "simultaneous-open-fix": Change("simultaneous open reaches ESTABLISHED", (4, 18), (), "tcp 4.16.13, 4.18-rt"),
    "inexact-rst-keeps-state": Change(
        "an inexact RST leaves the state, with 10 s", (5, 1), ((4, 19, 78),), "tcp 5.0.1, 5.2.1"
    ),
    "udp-stream-2s": Change("a UDP stream needs two seconds, then lasts 120 s", (5, 0), (), "udp 4.20, 5.0.1"),
    "udp-assured-2s": Change(
        "a UDP flow is assured only after two seconds", (5, 16), ((5, 10, 89), (5, 15, 16)), "udp 5.14, 5.17"
    ),
    "ignore-invalid-rst": Change(
        "closing-state RST shortcut, seq-0 RST, ignore_invalid_rst, repeated SYN does not renew",
        (5, 14),
        (),
        "tcp 5.11, 5.14",
    ),
    "reinit-on-syn": Change("a repeated SYN or SYN/ACK re-learns the window", (5, 17), (), "tcp 5.15.16, 5.17"),
    "liberal-kept": Change("a flow's liberal flag survives options", (5, 19), ((5, 15, 135),), "tcp 5.17, 5.19"),
    "overshoot": Change("a small overshoot of the window is accepted", (6, 0), ((5, 15, 135),), "tcp 5.19, 6.0.19"),
    "ignore-old-data": Change(
        "old data and acks are ignored, not INVALID; a bad FIN or RST shortens the timer",
        (6, 1),
        (),
        "tcp 6.0.19, 6.1.20",
    ),
    "rst-after-challenge": Change(
        "a RST after a challenge ACK in SYN_SENT closes", (6, 2), ((6, 1, 20),), "tcp 6.1.20, 6.2.1"
    ),
    "wscale-on-reply": Change("window scaling is decided on the reply side only", (6, 8), (), "tcp 6.6.9, 6.8.1"),
    "rst-other-direction": Change(
        "a RST after an ignored SYN must come from the other side",
        (6, 20),
        ((6, 18, 44), (6, 1, 192), (6, 12, 117)),
        "fix of 2026-05: in 6.18.44 (measured), Debian 6.1.192 and 6.12.117; not in 6.18.2 nor 6.19; 6.20 inferred",
    ),
    "icmp-related-invalid": Change(
        "an ICMP error for no known flow counts as icmp_error only", (5, 10), (), "core 5.9.2, 5.10.89"
    ),
    "sctp-established-210": Change(
        "an SCTP association idles out after 210 s", (6, 1), ((5, 15, 135),), "sctp 6.0.19, 6.1.20"
    ),
    "sctp-shutdown-3": Change("SCTP shutdown states last 3 s", (6, 6), ((5, 15, 135),), "sctp 6.4.6, 6.6.9"),
    "sctp-heartbeat": Change("SCTP heartbeat states exist", (4, 3), ("el6", "el7"), "sctp 4.2.8, 4.3"),
    # ctnetlink
    "dump-filter-tuple": Change("dumps can be filtered by tuple in the kernel", (5, 8), (), "netlink 5.7.6, 5.9.2"),
    "dump-filter-status": Change("dumps can be filtered by status", (5, 15), (), "netlink 5.14, 5.15.16"),
    "stats-max-entries": Change("GET_STATS carries the limit", (4, 18), (), "netlink 4.16.13, 4.18-rt"),
    "dump-filter-ipv6-inverted": Change(
        "kernel-side IPv6 address filters return the entries that do not match",
        (5, 8),
        (),
        "netlink 5.9.2..6.19; measured on 6.18.44; fixed in Debian 6.12.117",
    ),
    "flowtable": Change("flows can be offloaded to a flow table", (4, 16), (), "trees 4.14, 4.16.13"),
}


def has(change_id: str, kernel: KernelVersion | None) -> Answer[bool]:
    """Whether this kernel has the change; KeyError for an id that :data:`CHANGES` lacks.

    A Red Hat kernel below ``since`` counts as having it only where its tree was seen to; a stable kernel of a series
    with a backport but below the point where it was seen is unknown, as is one whose release string hides the point.
    """
    change = CHANGES[change_id]
    if kernel is None:
        return unknown(NO_KERNEL)
    if change.until is not None:
        gone = compare(kernel, change.until)
        if gone is None:
            return unknown(f"{kernel.release} hides its patch level; {change.source}")
        if gone >= 0:
            return by_version(False, f"gone in {version_text(change.until)}; {change.source}")
    since = compare(kernel, change.since)
    if since is not None and since >= 0:
        return by_version(True, f"since {version_text(change.since)}; {change.source}")
    generation = enterprise(kernel)
    if generation is not None and f"el{generation}" in change.backports:
        return by_vendor(True, f"backported to RHEL {generation}; {change.source}")
    for point in change.backports:
        if not isinstance(point, str) and generation is None and same_line(kernel, point):
            if at_least(kernel, *point):
                return by_version(True, f"in the stable series by {version_text(point)}; {change.source}")
            return unknown(
                f"in the stable series by {version_text(point)}, first point release not known; {change.source}"
            )
    if since is None:
        return unknown(f"{kernel.release} hides its patch level; {change.source}")
    if generation is not None:
        return by_version(
            False, f"since {version_text(change.since)}, no RHEL {generation} backport seen; {change.source}"
        )
    return by_version(False, f"since {version_text(change.since)}; {change.source}")
