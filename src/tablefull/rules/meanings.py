"""What each cause means, for a person who has just met it: one sentence, then how to recognise it and what it is
not.
"""

from msgspec import Struct


class Meaning(Struct, frozen=True):
    """``meaning`` completes "Most likely cause: …"; the rest are sentences of their own."""

    meaning: str
    explanation: str
    recognise: str
    not_this: str
    source: str


CAUSES: dict[str, Meaning] = {
    "table-undersized": Meaning(
        "the limit is too low for legitimate load",
        "Every connection takes one entry until it has been quiet for its timeout. The limit nf_conntrack_max is "
        "computed from memory at boot or shipped by a vendor, not chosen for this load; when real traffic holds more "
        "entries than that, each packet that needs a new one is dropped.",
        "nf_conntrack_count stands at nf_conntrack_max; entries are spread over many sources, ports and states; the "
        "limit is a default.",
        "A limit that was raised far above the default and is full again has another cause: look at what fills it.",
        "docs/kernel",
    ),
    "hash-undersized": Meaning(
        "there are too few buckets for the limit, so chains are long",
        "Raising nf_conntrack_max does not raise the number of hash buckets. Lookups then walk long chains, which "
        "costs CPU for every packet, and kernels from 5.15 on refuse an insert into a chain that is too long.",
        "nf_conntrack_max divided by nf_conntrack_buckets is far above 4 (above 1 from 5.15 on); chain_toolong or CPU "
        "in __nf_conntrack_find_get.",
        "It does not by itself make the table full.",
        "docs/kernel",
    ),
    "unneeded-tracking": Meaning(
        "connection tracking is active though nothing there needs it",
        "Tracking starts because a rule asks for it, or, on kernels before 4.14, because a module was loaded, for "
        "which listing the nat table is enough. A host that only bridges, or a server whose rules never look at "
        "connection state, pays for entries nobody uses.",
        "No rule matches state, no NAT is configured, yet nf_conntrack_count is above 0.",
        "A stateful rule or NAT in any namespace is a need; removing tracking there breaks it.",
        "docs/kernel",
    ),
    "bridge-nf": Meaning(
        "bridged frames pass through iptables and connection tracking",
        "With net.bridge.bridge-nf-call-iptables = 1, the default whenever br_netfilter is present, IP packets that "
        "only cross a bridge go through the host's IP firewall. A Dom0 or hypervisor then tracks every guest's "
        "connections, and its FORWARD policy can drop them.",
        "The host bridges guests; FORWARD counts far more packets than INPUT; the sysctl reads 1.",
        "Docker, Kubernetes and libvirt may rely on it for traffic between containers on one bridge.",
        "docs/kernel",
    ),
    "long-established-timeout": Meaning(
        "idle ESTABLISHED entries are kept for days",
        "An ESTABLISHED TCP entry lives five days without a packet by default. Connections whose end was never seen "
        "leave such entries behind, and they are assured, so the kernel does not evict them.",
        "Many ESTABLISHED entries with hours or days left, and far fewer sockets than entries.",
        "TIME_WAIT entries leave after two minutes; they are churn, not this.",
        "docs/kernel",
    ),
    "time-wait-churn": Meaning(
        "short connections come at a high rate and each leaves a TIME_WAIT entry for two minutes",
        "A closed TCP connection keeps its entry for nf_conntrack_tcp_timeout_time_wait, 120 s by default. A thousand "
        "short connections a second hold 120,000 entries.",
        "Most entries are TIME_WAIT; a proxy, benchmark or client without keep-alive.",
        "'time wait bucket table overflow' is about sockets, another table with another limit.",
        "docs/kernel",
    ),
    "udp-dns-churn": Meaning(
        "UDP, DNS above all, makes a new entry for nearly every query",
        "Each query from a new source port is an entry for 30 s, and for 120 s (180 s before 5.0) once it looks like "
        "a stream. A busy resolver or tunnel fills the table without a single long connection.",
        "Most entries are udp, most of them with dport=53 or one service port.",
        "Slow lookups with room in the table are the insertion race.",
        "docs/kernel",
    ),
    "syn-flood-or-ddos": Meaning(
        "attack traffic makes entries faster than they expire",
        "Half-open connections from very many addresses, or datagrams with random ports, each take an entry. "
        "Unassured entries can be evicted, but not as fast as a flood makes them.",
        "Most entries are SYN_SENT or SYN_RECV, or UNREPLIED, from very many sources; the rate jumped.",
        "'Possible SYN flooding' in the log is a full listen queue and often just a busy server.",
        "docs/kernel",
    ),
    "scan-or-p2p": Meaning(
        "one host talks to a huge number of peers: a scanner, a torrent client, a crawler",
        "A peer-to-peer program or a port scan opens an entry for each address it tries, most of which never answer.",
        "One source holds a large share of the entries, with a different destination in nearly each.",
        "Many outside sources towards one inside address are a flood or a popular service.",
        "field reports; docs/kernel",
    ),
    "half-open-or-asymmetric": Meaning(
        "one direction of the connections is not seen here, or their end was missed",
        "If replies take another way, if FINs are lost, or if late packets of closed connections arrive, tracking "
        "keeps entries that no socket matches: UNREPLIED, CLOSE_WAIT, or ESTABLISHED without a reply.",
        "Many UNREPLIED or CLOSE_WAIT entries and no such sockets.",
        "SYN_SENT from very many sources at once is a flood.",
        "docs/kernel",
    ),
    "app-connection-loop": Meaning(
        "a program opens connections in a tight loop or leaks them",
        "A client that retries without pause, or never closes what it opens, fills the table by itself; stopping it "
        "empties the table.",
        "It begins with one program and ends with it; one pair of addresses and one port dominate.",
        "Many peers and few connections to each are peer-to-peer or a scan.",
        "field reports",
    ),
    "insert-race-dns": Meaning(
        "parallel lookups from one socket race to insert their entries, and one of them is lost",
        "Two packets of one socket that arrive at the same moment on two CPUs both make an entry; one insert fails "
        "and its packet is dropped. The resolver waits 5 s and asks again.",
        "Lookups that take 5 s now and then, insert_failed above 0, drop and early_drop at 0.",
        "No ratio of insert_failed to insert decides: a few hundred are enough to be felt.",
        "docs/kernel",
    ),
    "snat-port-exhaustion": Meaning(
        "source translation finds no free port, or two connections pick the same one",
        "Each translated connection to one destination needs its own source port. When the range is used up, or two "
        "CPUs choose the same port at once, the first packet is dropped and the connection starts a second later.",
        "Connections stall by 1 s or 3 s at the start; insert_failed grows with masqueraded traffic.",
        "'Cannot assign requested address' is a local program without ports of its own.",
        "docs/kernel",
    ),
    "expectation-table-full": Meaning(
        "the expectation table is full, which is not the entry table",
        "Helpers for FTP, SIP and the like announce the connections they expect; those announcements have a limit of "
        "their own, nf_conntrack_expect_max.",
        "The kernel's line says 'expectation table full'.",
        "Raising nf_conntrack_max changes nothing here.",
        "docs/kernel",
    ),
    "kernel-leak-or-bug": Meaning(
        "entries are never freed, or the count is wrong: a bug of the kernel or of a module",
        "A module that holds references, or a kernel whose counter wrapped, makes the table look or be full without "
        "traffic.",
        "nf_conntrack_count only grows and the listing shows far fewer entries; or the table is full seconds after "
        "boot.",
        "The count lags expired entries by up to two minutes on kernels from 4.9 on; that heals itself.",
        "docs/kernel",
    ),
    "per-netns-or-container-limit": Meaning(
        "the limit belongs to a container or namespace, or may not be written there",
        "The count is per network namespace but nf_conntrack_max is one number for the machine, writable from 5.13 on "
        "only outside containers; hashsize is refused in every namespace but the first.",
        "'operation not supported', 'permission denied' or 'read-only file system' on a conntrack setting inside a "
        "container.",
        "A key that does not exist yet at boot is an order of module loading.",
        "docs/kernel",
    ),
    "config-overwritten": Meaning(
        "the setting did not stick: written too early, or written again by something else",
        "net.netfilter keys exist only once the module is loaded, so a sysctl file read before that changes nothing; "
        "kube-proxy, docker and firewalld write some of them later.",
        "A value in a file that is not the value in force; 'No such file or directory' from sysctl at boot; "
        "close_wait at 3600.",
        "A write refused inside a container is a matter of namespaces.",
        "docs/kernel; systemd/systemd#1113",
    ),
    "cloud-allowance": Meaning(
        "the cloud instance's own connection allowance refuses packets, outside the kernel",
        "Some clouds track connections for security groups on the host below the instance and limit them by instance "
        "size. No sysctl changes that.",
        "conntrack_allowance_exceeded above 0 in ethtool -S; nf_conntrack_count far below its limit.",
        "The kernel prints nothing when this happens.",
        "aws/aws-eks-best-practices#312",
    ),
    "ebpf-ct-map-full": Meaning(
        "an eBPF program's connection map, such as Cilium's, is full",
        "Cilium keeps its own connection table in eBPF maps with their own size. When an insert fails the packet is "
        "dropped with 'CT: Map insertion failed'.",
        "cilium drop reasons or alerts, cilium_bpf_map_pressure near 1.",
        "nf_conntrack_max has no influence on it.",
        "cilium/cilium#24177",
    ),
    "helper-related": Meaning(
        "an application helper (FTP, SIP, …) is missing or in the way",
        "Protocols that open further connections need a helper that reads them. Kernels from 4.7 on no longer attach "
        "helpers by themselves and 6.0 removed the switch.",
        "The kernel's line about automatic helper assignment, 'No such helper', or 'nf_ct_sip: dropping packet'.",
        "It has nothing to do with how many entries there are.",
        "docs/kernel",
    ),
    "stale-nat-entries": Meaning(
        "old entries outlive their endpoint and keep sending traffic there",
        "A translated flow keeps the addresses chosen at its first packet. If the endpoint moves while packets keep "
        "coming, every packet renews the entry and none reaches the new endpoint.",
        "Traffic recovers when the entry is deleted; slow senders recover by themselves, busy ones never.",
        "The table need not be anywhere near full.",
        "docs/kernel",
    ),
    "invalid-out-of-window": Meaning(
        "packets are called INVALID, and are dropped or pass untranslated and are answered with RST",
        "Tracking checks sequence numbers against the window it has seen. A packet outside is not attached to its "
        "entry: rules may drop it, and NAT does not translate it.",
        "'Connection reset by peer' under load with large transfers; ctstate INVALID rules counting.",
        "The entry exists; the table is not full.",
        "docs/kernel",
    ),
    "memory-pressure": Meaning(
        "memory for the table could not be had as asked",
        "The hash is one large allocation and each entry a small one. 'falling back to vmalloc' is harmless; failed "
        "entry allocations drop packets and move the drop counter without the table-full line.",
        "Page allocation failures, 'falling back to vmalloc', drop rising while count is below the limit.",
        "A limit that is reached is not a lack of memory.",
        "docs/kernel",
    ),
    "not-conntrack": Meaning(
        "this is something else that looks alike",
        "Neighbour tables, listen queues, orphaned sockets, TIME_WAIT buckets, routing caches and ipsets have limits "
        "of their own and print similar lines, and 'callbacks suppressed' is shared by all of them.",
        "The line names the other table.",
        "A conntrack line beside it makes both true.",
        "docs/kernel",
    ),
}
