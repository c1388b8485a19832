"""What every fix of the taxonomy is, when it is right and when it is not.

The trap: nearly every thread ends in "raise the limit", and in a third of them that was the wrong answer. So each
meaning says in which case the fix does nothing, or harm. The facts are from the kernel's own sources as ``docs/kernel``
cites them.
"""

from msgspec import Struct


class Meaning(Struct, frozen=True):
    """``sentence`` is the whole fix in one; the other four are the page that ``tablefull explain`` shows."""

    sentence: str
    does: str
    right: str
    wrong: str
    costs: str
    source: str = "docs/kernel"


MEANINGS: dict[str, Meaning] = {
    "raise-max": Meaning(
        "Allow more entries in the table, with the buckets and the memory that go with them.",
        "Sets nf_conntrack_max, the one number every network namespace of the host is compared with, and gives the "
        "hash table as many buckets as that many entries need. It takes effect at once and drops nobody.",
        "The connections are real, wanted, need tracking, and there are simply more of them than the limit: the "
        "entries are assured, spread over many peers, and their number follows the load.",
        "Something fills the table without end: a leak, a flood, entries that live five days after their "
        "connection, or tracking that no rule needs. A higher limit then only moves the hour of the outage.",
        "256 to 448 bytes of kernel memory an entry that is really used, by kernel version, and 8 bytes a bucket at "
        "once.",
        "Linux Documentation/networking/nf_conntrack-sysctl.rst; nf_conntrack_core.c of 2.6.18 to 6.18",
    ),
    "raise-hashsize": Meaning(
        "Give the hash table more buckets, so that finding an entry means walking a short chain.",
        "Resizes the table in place. Buckets and the limit are independent once the module is loaded: changing one "
        "never changes the other.",
        "Somebody raised the limit and left the buckets: chains of dozens of entries, softirq time in the lookup, "
        "and from Linux 5.15 on inserts refused because a chain is too long, though the table is not full.",
        "The mean chain is already short. More buckets do not admit one more entry than the limit does.",
        "8 bytes a bucket on 64-bit; every entry is rehashed once while the table is locked for a moment.",
        "Linux nf_conntrack_core.c, nf_conntrack_standalone.c",
    ),
    "raise-expect-max": Meaning(
        "Allow more expectations, the announced connections that helpers such as FTP or SIP wait for.",
        "Sets nf_conntrack_expect_max. Expectations live in a table of their own, four for each 256 buckets of the "
        "entry table by default.",
        "The log says 'expectation table full': many FTP, SIP or full-cone NAT sessions at once.",
        "The log says 'table full': that is the entry table, and this setting does not touch it.",
        "A few hundred bytes for each waiting expectation.",
        "Linux nf_conntrack_expect.c",
    ),
    "shorten-timeouts": Meaning(
        "Let idle entries go sooner.",
        "Lowers how long an entry without packets stays: five days for an established TCP connection by default. "
        "Entries that exist keep their deadline until their next packet; only then does the new value apply.",
        "Most entries are idle: connections whose end was never seen, TIME_WAIT of short requests, DNS questions "
        "long answered.",
        "The entries are busy: each packet starts the time anew, and the count stays. Below the keepalive time of "
        "the programs (7200 s by default) it cuts connections that are idle but wanted.",
        "A connection idle for longer than the new value loses its entry: through NAT it is dead, behind a stateful "
        "firewall it needs tcp_loose to be picked up again.",
        "Linux nf_conntrack_proto_tcp.c, nf_conntrack_proto_udp.c; measured on 6.18",
    ),
    "notrack": Meaning(
        "Exempt traffic that needs neither NAT nor state from tracking.",
        "A rule in the raw table, before tracking, marks packets as untracked: no entry is made. Requests and "
        "answers must both be exempted, in PREROUTING for what arrives and in OUTPUT for what this host sends.",
        "DNS servers, tunnels (VXLAN, GRE), crawlers, health checks, traffic that is merely bridged: much traffic, "
        "no rule that asks for its state.",
        "The traffic is translated (untracked packets skip NAT), or a stateful rule must accept it: untracked "
        "packets are neither NEW nor ESTABLISHED. Exempting one direction only makes it worse: the other direction "
        "fills the table with reversed entries.",
        "Plain accept rules for both directions replace the stateful ones for this traffic.",
        "iptables-extensions(8) CT; which rules request tracking, measured on 6.18",
    ),
    "unload-modules": Meaning(
        "Take connection tracking out of the kernel, where nothing needs it.",
        "Removes the rules that hold the modules, then the modules, users before what they use. Before Linux 4.14 "
        "loading was enough to track every packet, so unloading is what stops it; from 4.14 on removing the last "
        "rule that needs it stops it.",
        "A leftover: somebody listed the nat table once, no rule anywhere uses state or NAT, the host merely "
        "bridges or serves.",
        "NAT is in use, or a rule relies on state: both stop working at once. Where tracking is compiled in it "
        "cannot be unloaded.",
        "Every entry is lost; it can wait for packets that still hold one. The next rule that needs tracking loads "
        "it again: a blacklist does not stop a module that another one depends on.",
        "Linux nf_conntrack_core.c (cleanup), the Makefiles of each era",
    ),
    "disable-firewall": Meaning(
        "Turn the host's firewall off, where something else protects it.",
        "Stops the service that loads the rules and keeps it from starting at boot. With the last rule that needs "
        "state, tracking ends (from 4.14), or can be unloaded (before).",
        "The firewall does nothing of use: no rules beyond accept, or a filter in front of the host does the same.",
        "The host is reachable by strangers, or it is the router: without its rules NAT, port forwards and filters "
        "are gone.",
        "The host stands open. It says nothing about why the table was full.",
    ),
    "disable-bridge-nf": Meaning(
        "Stop bridged frames from passing through iptables, and so through tracking.",
        "Sets bridge-nf-call-iptables, -ip6tables and -arptables to 0. Their default is 1 whenever the bridge code "
        "for it is loaded: bridge itself up to 3.16, br_netfilter from 3.18.",
        "A virtualisation host (Xen, KVM) or a bridge that filters nothing itself: guests' traffic then no longer "
        "counts here.",
        "Kubernetes, Docker and libvirt NAT: services and hairpin connections between containers of one bridge need "
        "it. A firewall on this host that is meant to filter its guests ends too.",
        "None in memory; entries that exist stay until they expire. The setting appears with the module, so it must "
        "be set after it.",
        "Linux br_netfilter_hooks.c",
    ),
    "rate-limit-or-block-source": Meaning(
        "Drop or slow the few addresses that fill the table, before they are tracked.",
        "A rule in the raw table drops packets before an entry is made. A drop in the filter table also leaves "
        "nothing behind, but costs the whole path; connlimit needs tracking itself.",
        "One address, or a class of them, owns a large share of the entries: a scanner, a torrent client, a flood "
        "from real addresses.",
        "The addresses are forged (a SYN flood), the address is a proxy or NAT of many people, or the load is "
        "simply broad.",
        "Those behind the address lose their connections.",
        "iptables-extensions(8) hashlimit, connlimit; Linux nf_conntrack_core.c",
    ),
    "synproxy-or-syncookies": Meaning(
        "Answer connection attempts without keeping anything until the client proves it exists.",
        "SYN cookies spare the listen queue; they do not spare the tracking table. SYNPROXY does: the first SYN is "
        "left untracked, answered with a cookie, and only a completed handshake makes an entry.",
        "The table is full of SYN_RECV or SYN_SENT entries from many, often forged, addresses.",
        "The half-open entries are connections that this host opens itself, or a path that loses one direction.",
        "Options that SYNPROXY was not told are lost to clients; loose pickup must be off, so connections do not "
        "survive a flush.",
        "iptables-extensions(8) SYNPROXY; in mainline from 3.12",
    ),
    "fix-dns-path": Meaning(
        "Take DNS off the path where two parallel questions collide, or where each one costs an entry.",
        "Two questions from one socket (A and AAAA) race to insert the same entry: one packet is dropped and the "
        "resolver waits 5 s. A cache on the node, DNS over TCP, or questions asked one after the other avoid it.",
        "insert_failed grows, names take 5 s now and then; or udp/53 makes up most of the entries.",
        "insert_failed stands still and names are slow all the time: look at the resolver.",
        "A cache is one more program; TCP costs a round trip; one question after the other doubles the time of a "
        "lookup.",
        "resolv.conf(5); Linux nf_conntrack_core.c (clash resolution)",
    ),
    "expand-snat-range": Meaning(
        "Give source NAT more ports or addresses to choose from, and choose them at random.",
        "Each (translated address, destination, destination port) has about 64000 ports. More addresses multiply "
        "them; --random-fully keeps two CPUs from picking the same one at the same moment.",
        "Many clients behind one address talk to one destination, connect() fails or insert_failed grows on a NAT "
        "host.",
        "No NAT is involved, or the table itself is full.",
        "Peers that know the old address must learn the new ones.",
        "iptables-extensions(8) MASQUERADE (kernel 3.14, iptables 1.6.2)",
    ),
    "persist-config": Meaning(
        "Make the setting survive a reboot, a reload and the programs that overwrite it.",
        "The settings exist only once the module is loaded. A file applied earlier is ignored without a word, so "
        "either the module is loaded before, or the file is applied again when the module appears.",
        "It was set and is back: after a boot, a firewall restart that reloads the modules, or by kube-proxy.",
        "The value is in force and the table is full all the same.",
        "None.",
        "sysctl.d(5), modules-load.d(5), udev(7)",
    ),
    "upgrade-kernel": Meaning(
        "Run a kernel in which this defect is mended.",
        "Installs the distribution's newer kernel and boots it.",
        "The symptom is a known defect of the running version: counters that wrap, entries that never leave, "
        "eviction that looks at one bucket, a race on insert.",
        "The table is full for an ordinary reason: a new kernel has the same limit. Hosts with less than 1 GB get a "
        "quarter of it from 5.15.",
        "A reboot.",
        "Linux nf_conntrack_core.c of 4.2 to 5.15",
    ),
    "upgrade-component": Meaning(
        "Run a version of the program around the kernel in which this defect is mended.",
        "Updates kube-proxy, the CNI plugin, the firewall front end or the out-of-tree module that leaves entries "
        "behind or holds them.",
        "The program deletes too little, sets the wrong value, or holds references: entries point to endpoints that "
        "are gone.",
        "The kernel does what it was told.",
        "A restart of that program, often with a moment without its rules.",
    ),
    "flush-entries": Meaning(
        "Delete the entries that are wrong, and only those.",
        "conntrack -D removes the matching entries; the next packet makes a new one by today's rules.",
        "UDP keeps going to an address that is gone, a NAT rule was changed, or idle leftovers should not wait for "
        "their deadline.",
        "As a cure for a full table: it fills again. The whole table should not be flushed on a NAT host.",
        "The deleted connections: UDP recovers by itself, TCP through NAT breaks.",
        "conntrack(8)",
    ),
    "keepalive-or-pooling": Meaning(
        "Use one connection for many requests.",
        "HTTP keep-alive and connection pools turn thousands of short connections, each kept for two minutes after "
        "its end, into a few.",
        "Most entries are TIME_WAIT and come from a client or proxy that is yours.",
        "The clients are not yours and come once each.",
        "Idle connections to hold, and servers that must allow them.",
    ),
    "configure-kube-proxy": Meaning(
        "Tell kube-proxy which limit and timeouts to write, or to leave them alone.",
        "At its start kube-proxy sets nf_conntrack_max (per core, with a minimum), established to a day and "
        "close_wait to an hour, whatever was there. maxPerCore 0 leaves the host's limit.",
        "The host's value does not stick on a node, kube-proxy may not write it in a container (kind, LXC), or "
        "CLOSE_WAIT piles up.",
        "The node does not run kube-proxy.",
        "kube-proxy restarts; its rules stay meanwhile.",
        "kubernetes.io: kube-proxy-config.v1alpha1",
    ),
    "scale-out": Meaning(
        "Spread the load over more hosts, or a larger instance.",
        "Each host, and each cloud instance, has a limit of its own.",
        "The limit belongs to the platform and cannot be set, or memory for more entries is not there.",
        "The number of entries does not follow the load: it would fill each of the hosts as well.",
        "Money, and a balancer in front, which tracks too.",
    ),
    "move-off-nat": Meaning(
        "Take the busy traffic off the translating host.",
        "Public addresses, IPv6 or a private endpoint let traffic pass without an entry on the gateway.",
        "Most entries of a gateway belong to one service that could be reached without translation.",
        "Translation is what hides or joins the networks.",
        "Addresses and filters on the hosts that were hidden before.",
    ),
    "fix-application": Meaning(
        "Mend the program that opens connections without end.",
        "Finds the program behind the socket or the entries and stops the loop, the leak, or the missing close.",
        "One program, port or pair of addresses owns most entries, and their number grows while the work does not.",
        "The connections are wanted.",
        "A restart of that program.",
    ),
    "drop-invalid-or-be-liberal": Meaning(
        "Decide what happens to packets that tracking calls INVALID.",
        "INVALID packets skip NAT: they reach the peer with an address it does not know, and it answers with a "
        "reset. Dropping them keeps the connection; being liberal lets out-of-window segments pass as part of it.",
        "Long transfers through NAT are reset at random, and the invalid counter grows with them.",
        "invalid is a handful: port reuse alone counted there before 5.17.",
        "Dropping costs a retransmission. Liberal mode also accepts a forged out-of-window reset, which cuts the "
        "entry to 10 s.",
        "Linux nf_conntrack_proto_tcp.c; measured on 6.18",
    ),
    "disable-tcp-loose": Meaning(
        "Do not make an entry for a TCP stream whose beginning was not seen.",
        "With tcp_loose=0 a lone ACK is INVALID instead of a new ESTABLISHED entry. SYN/ACK, FIN and RST are never "
        "picked up anyway.",
        "Late packets of finished connections, or one-sided traffic, leave five-day entries.",
        "Connections must survive a restart of the firewall, a failover or a flush: none is picked up then.",
        "Connections without an entry stall until they are opened anew.",
        "Linux nf_conntrack_proto_tcp.c; measured on 6.18",
    ),
    "attach-helper-explicitly": Meaning(
        "Attach the helper (FTP, SIP, TFTP …) by a rule to the traffic that needs it.",
        "From 4.7 helpers no longer attach themselves by port, and from 6.0 there is no switch to make them. A "
        "raw-table rule does it.",
        "Active FTP, SIP or TFTP through NAT stopped working after an update.",
        "The protocol is encrypted (FTPS, SIP over TLS): no helper can read it.",
        "A helper opens ports on the word of the peer: attach it to known servers only.",
        "Linux nf_conntrack_helper.c of 4.7 and 6.0",
    ),
    "open-security-group-untracked": Meaning(
        "Write the cloud's security group so that the platform does not track this traffic.",
        "A group that allows all in one direction and everything back, for all addresses, is not tracked and does "
        "not count against the instance's allowance; the filter moves into the instance.",
        "conntrack_allowance_exceeded grows (AWS ENA), while the kernel's own table has room.",
        "The counter stands still. Some paths (through a NAT gateway, a load balancer) are tracked regardless.",
        "The instance must filter for itself.",
        "AWS EC2 user guide: security group connection tracking",
    ),
    "none": Meaning(
        "Nothing to change in connection tracking: this is something else, or it is well.",
        "Names the limit that was reached instead, and the commands for that one.",
        "The messages come from the neighbour table, a listen queue, orphans, TCP memory, an ipset or the application.",
        "The log says 'conntrack: table full'.",
        "Whatever that other limit costs.",
        "the messages of Linux by their files",
    ),
}
