"""Legitimate or unwanted traffic that is many entries by its nature: DNS and other UDP, peers, scanners."""

from collections.abc import Iterator

from tablefull.facts.origin import Origin
from tablefull.rules.case import Case
from tablefull.rules.clues import Clues
from tablefull.rules.finding import Ask, Finding
from tablefull.rules.fullness import fullness, relevance
from tablefull.rules.rule import rule
from tablefull.rules.timeouts import ENOUGH_ROWS

TALKER_SHARE = 0.5  # one source with half the listed entries is a talker, not a sample's accident

ASK_PORTS = Ask(
    "Which protocol and port fill the table?",
    "head -n 5000 /proc/net/nf_conntrack | grep -o '^ipv[46] *[0-9]* *[a-z]*\\|dport=[0-9]*' | sort | uniq -c | sort "
    "-rn | head",
    "udp with dport=53 is DNS; one high port with many addresses is a peer-to-peer program or a tunnel",
)
ASK_SOURCES = Ask(
    "Which source address has the most entries?",
    "head -n 5000 /proc/net/nf_conntrack | grep -o 'src=[^ ]*' | sort | uniq -c | sort -rn | head",
    "one address far above the rest is a talker to stop; none means the load itself",
)


def talker(case: Case) -> tuple[str, float, Origin] | None:
    """The source address with most listed entries, its share and a line, where it holds at least half of a real
    listing.
    """
    for _, table in case.compositions:
        if table.rows < ENOUGH_ROWS:
            continue
        address, count = table.by_source.most_common(1)[0] if table.by_source else ("", 0)
        if count >= TALKER_SHARE * table.rows:
            return address, count / table.rows, table.first
    return None


def many_peers(case: Case) -> tuple[str, float, Origin, int] | None:
    """The talker where most of its listed entries go to different addresses, with how many: a scan or peer-to-peer."""
    found = talker(case)
    if found is None:
        return None
    table = next(table for _, table in case.compositions if table.first == found[2])
    peers = len(table.by_destination)
    return (*found, peers) if peers > 0.5 * table.rows else None


@rule("udp-dns-churn", needs=("text",))
def datagrams_fill_the_table(case: Case) -> Iterator[Finding]:
    """Fires where UDP, DNS above all, makes an entry a query: 30 s each, 120 or 180 s once it looks like a stream.

    Not insert-race-dns, which loses single lookups while the table has room.
    """
    clues = Clues(case, "udp-dns-churn")
    full = fullness(case)
    for _, table in case.compositions:
        datagrams = table.by_l4proto.get("udp", 0)
        if table.by_dport and table.rows >= ENOUGH_ROWS and datagrams > 0.5 * table.rows:
            port, count = table.by_dport.most_common(1)[0]
            clues.add(0.75, f"{datagrams} of {table.rows} listed entries are UDP, {count} of them {port}", table.first)
    examples = [one for _, table in case.compositions if table.rows < ENOUGH_ROWS for one in table.kept]
    if examples and full.state == "yes" and all(one.l4proto == "udp" for one in examples):
        clues.add(0.6, "the entries shown are UDP", examples[0].origin)
    if full.state != "no":
        clues.said(
            0.7,
            "a DNS server's queries are tracked",
            "dns server|name server|nameserver|powerdns|unbound|bind9|bind 9|named[|recursive dns|resolver|only dns|"
            "dnsdist|knot dns|knot resolver|authoritative|port 53|dport 53|dport=53|concurrent dns queries|"
            "dns queries|dns traffic|dnsmasq|coredns|pihole|pi-hole",
        )
        clues.said(
            0.55,
            "UDP traffic is named",
            "udp tracker|udp*tracker|udp 514|syslog farm|syslog never|syslog server|syslog stream|syslog traffic|"
            "rsyslog|over udp|udp packets|udp traffic|udp connections|udp flows|udp entries|statsd|syslog*udp|"
            "udp*syslog|quic|netflow|sflow|ntp server|over udp|dht|voip|rtp|game server*udp|"
            "each packet*new entry|udp source port|vxlan*udp source port|radius",
        )
        clues.said(0.3, "each inner flow is a new UDP entry", "vxlan*entry|geneve*entry")
    if clues:
        if full.state != "yes":
            clues.against(0.55 * relevance(case))
        # Cluster DNS is reached through a translated service address, which needs its entry: not tracking would break
        # it.
        services = case.said("kubernetes|k8s|coredns|kube-dns|eks|gke|aks") and not case.said("vxlan|hostnetwork")
        fixes = (
            ("raise-max", "fix-dns-path", "configure-kube-proxy", "shorten-timeouts")
            if services
            else ("notrack", "shorten-timeouts", "raise-max")
        )
        if (
            case.said("load balancer|published|docker run*-p |masquerade|container|docker")
            and not services
            and not case.said("dns|port 53|dport 53|dport=53|name server|nameserver|resolver")
        ):
            fixes = ("shorten-timeouts", "raise-max", "notrack")
        yield clues.finding(*fixes, confirm=(ASK_PORTS,))


@rule("scan-or-p2p", needs=("text",))
def one_host_with_very_many_peers(case: Case) -> Iterator[Finding]:
    """Fires on a peer-to-peer program, a crawler or a scanner, by name or as one source with most of the entries.

    Not syn-flood-or-ddos, where the many are outside and aim at us; not app-connection-loop, where the peers are few.
    """
    clues = Clues(case, "scan-or-p2p")
    full = fullness(case)
    found = many_peers(case)
    if found is not None:
        address, share, origin, peers = found
        clues.add(0.75, f"{address} holds {share:.0%} of the listed entries, to {peers} different addresses", origin)
    clues.said(
        0.75,
        "a peer-to-peer program is named",
        "bittorrent|torrent|rtorrent|emule|amule|edonkey|kademlia|p2p|peer-to-peer|peer to peer|ipfs|dht|gnutella|"
        " bt.| bt |bt下载|utorrent|transmission-daemon|transmission client|qbittorrent|deluge|aria2|xunlei|迅雷|"
        " thunder |syncthing|bitcoin|ethereum|geth|libp2p|bee node|storj|filecoin|chia |monero|solana|"
        "tor relay|tor exit|tor node|onion|i2p|freenet|retroshare|zeronet|soulseek|acestream|pplive|pcdn|nodes network|"
        "thousands of peers|hundreds of peers|many peers|number of peers",
    )
    clues.said(
        0.75,
        "a scanner or crawler is named",
        "masscan|nmap|zmap|rustscan|nessus|openvas|crawler|crawling|crawl|port "
        "scan|portscan|port-scan|scanning|scanner|"
        "network scan|subnet scan|hping3|spider|scraper|scraping|brute force|bruteforce|ssh scan|massdns|subfinder|"
        "nuclei|speed test|speedtest|proxy checker|proxies checker|ip checker|pinging all|sweep|discovery scan|dirb|"
        "gobuster|ffuf|httpx|扫描|爬虫|сканир",
    )
    clues.said(
        0.6,
        "one tenant or program opened most of the connections",
        "abuse|the one workspace|one workspace|one pod that|one container that|opened all those|"
        "opens all those|one of the tenants|a single pod|a single container|a single client|a single host|"
        "a single ip|one specific ip|from one ip|from a single|one address has|from one address|one source address|to "
        "random addresses|random destination|one of the clients|one of our clients|"
        "one customer|one of my users|one pc|one computer|one laptop|infected|malware|virus|worm|trojan|compromised",
    )
    clues.said(
        0.4,
        "one inside host has most entries",
        "top source|entries per inside address|one host at|one host with|one client*thousand|"
        "one ip*connections|stopping the containers brings|somebody on the lan|one machine on|behind the router",
    )
    clues.said(0.45, "most entries have no answer yet", "without unreplied")
    if clues:
        clues.against(relevance(case) if full.state != "no" or case.occupancy else 0.4)
        if case.said("allowance|security groups|security group") and full.state != "yes":
            clues.against(0.6)
        if case.said("udp tracker|torrent*tracker|tracker*udp|udp*tracker"):
            clues.against(0.45)
        crawler = case.said("dht crawler|crawler") and case.said("notrack|udp|dht")
        masscan = case.said("masscan|zmap|nmap|nessus|scan")
        if crawler:
            fixes: tuple[str, ...] = ("notrack", "rate-limit-or-block-source", "raise-max")
        elif masscan:
            fixes = ("rate-limit-or-block-source", "shorten-timeouts", "raise-max", "notrack")
        else:
            fixes = ("rate-limit-or-block-source", "shorten-timeouts", "raise-max")
        yield clues.finding(*fixes, severity="info" if full.state == "no" else "degraded", confirm=(ASK_SOURCES,))
