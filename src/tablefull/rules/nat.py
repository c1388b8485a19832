"""Address translation: races on insert, ports that run out, entries that outlive the endpoint."""

from collections.abc import Iterator

from tablefull.facts.entry import EntryCount
from tablefull.facts.settings import Setting
from tablefull.rules.case import Case
from tablefull.rules.clues import Clues
from tablefull.rules.finding import Ask, Finding
from tablefull.rules.fullness import fullness
from tablefull.rules.rule import rule
from tablefull.rules.sizing import near_limit

ASK_COUNTERS = Ask(
    "Which counter moves while it happens?",
    "cat /proc/net/stat/nf_conntrack; sleep 10; cat /proc/net/stat/nf_conntrack",
    "drop is refused packets, insert_failed alone is an insertion race, early_drop is pressure without loss",
)
_DNS = (
    "dns|resolv|coredns|kube-dns|lookup|nslookup|getaddrinfo|name resolution|5 s|5s|5 sec|five second|5-second"
).split("|")


@rule("insert-race-dns", needs=("text", "counters"))
def parallel_lookups_race_on_insert(case: Case) -> Iterator[Finding]:
    """Fires on slow or lost DNS lookups with room in the table: two packets of one socket race to insert the same
    entry.

    No ratio of insert_failed decides (a few hundred among millions cause visible stalls), so any beside DNS trouble
    counts. Quiet where insert_failed was shown and is 0 on every CPU. Not udp-dns-churn, which fills the table.
    """
    clues = Clues(case, "insert-race-dns")
    full = fullness(case)
    failed = case.counters.get("insert_failed")
    slow = clues.said(
        0.6,
        "lookups stall for about 5 s, which is one resolver timeout",
        "5 s*dns|dns*5 s|dns*5s|5s*dns|5 second*dns|dns*5 second|5-second*dns|dns*5-second|five second*dns|"
        "dns*five second|lookup*5 s|5 s longer|dns*timeout|dns lookups*time|dns*delay|dns*latency|dns*intermittent|"
        "dns resolution*slow|time_namelookup|namelookup|latency of lookups|latency*lookups|high latency*dns|"
        "multiple of 2.5|2.5 s more|aaaa?|slow dns|resolv*timed out|dns queries time out|dns*times out|"
        "i/o timeout*:53|:53: i/o timeout|dns*stall|lookup*slow|dns*10 s|dns*2.5 s|"
        "temporary failure in name resolution|lookups from pods take",
    )
    parallel = clues.said(
        0.6,
        "A and AAAA are asked from one socket at once",
        "a and aaaa|aaaa|single-request|ndots|musl|parallel lookups|parallel queries|same socket|alpine",
    )
    race = clues.said(
        0.5, "the insertion race is named", "race condition|insert_failed|insertion race|conntrack race|racy|clash"
    )
    if failed:
        clues.add(
            0.6 if slow or parallel else 0.35,
            f"insert_failed is {failed} while drop is {case.counters.get('drop', 0)}",
            *case.counter_origins[:2],
        )
    if failed == 0:
        clues.against(0.1)
    if not clues or (not (slow or parallel or (race and case.said(*_DNS))) and not failed):
        return
    if full.state == "yes" or near_limit(case):
        clues.against(0.35)
    if failed is None and not case.said(
        "pod|kubernetes|k8s|docker|container|nat|conntrack|cluster|eks|aks|gke|insert_failed"
    ):
        clues.against(0.4)
    if case.log("neighbour-overflow") or case.log("orphans") or case.log("syn-flooding"):
        clues.against(0.3)
    yield clues.finding("fix-dns-path", "upgrade-kernel", "expand-snat-range", confirm=(ASK_COUNTERS,))


@rule("snat-port-exhaustion", needs=("text", "counters"))
def no_free_source_port(case: Case) -> Iterator[Finding]:
    """Fires where translated connections find no source port, or two pick the same one at the same moment.

    Not "Cannot assign requested address" of a local program, which is its own ephemeral ports and no translation.
    """
    clues = Clues(case, "snat-port-exhaustion")
    full = fullness(case)
    snat = clues.said(
        0.55,
        "source translation is named",
        "masquerade|masqueraded|snat|source nat|nat gateway|cloud nat|--random-fully|random-fully|nat masquerade",
    )
    ports = clues.said(
        0.7,
        "source ports run out or clash",
        "errorportallocation|ports of the outbound rule|ports stay allocated|ports*stay allocated|nat states to|to "
        "one destination|to that single destination|same host and port|port allocation error|no free port|port "
        "exhaustion|snat port|snat ports|out of ports|ran "
        "out of ports|source port exhaustion|"
        "ports exhausted|no mapping for nat|pick the same source port|picks the same source port|"
        "same source port at the same|same port at the same|65535 connections|64512 ports|64k connections|"
        "64k ports|65k connections to|nat port allocation|source port collision|port collision|ports*exhausted|"
        "cannot allocate*port|snat*exhaust|unique ports|nat_allocation_failed|port allocation*fail|min-ports",
    )
    clues.said(
        0.5,
        "new connections lose their first packet and wait for a retransmission",
        "1 second longer|one second longer|at least one second|1s delay|takes 1 s|3 s*retransmi|syn retransmi|"
        "syn*retransmit|connection timeouts|1 request in|almost every second one request|second longer|"
        "63 second*snat",
    )
    for host, count, limit in case.readings:
        if 60_000 <= count <= 65_536 and limit > 2 * count and full.state != "yes":
            seen = next(host.of(EntryCount), None) or next(
                one for one in host.of(Setting) if one.name == "nf_conntrack_count"
            )
            ports = seen.origin
            why = f"the count stops at {count}, which is what one address has ports for, far below the limit of {limit}"
            clues.add(0.7, why, seen.origin)
    failed = case.counters.get("insert_failed", 0)
    if failed and (snat or ports):
        clues.add(0.5, f"insert_failed is {failed}", *case.counter_origins[:1])
    if full.state != "yes":
        clues.together(
            0.45,
            "through translation single connections fail and a retry works",
            "nat instance|nat gateway|masquerade|snat|outbound rule|nat states|translated",
            "connects time out|connections time out|syn is repeated|retry works|retransmi|new connections are dropped|"
            "outgoing connections*fail|no tenant's outgoing",
        )
    clues.together(
        0.45,
        "connections that leave through one address fail or are slow",
        "outgoing|outbound|egress|leaves through|leave through|goes out through",
        "slow or fail|fail|time out|timeout|slow",
        "load balancer address|one public|single public|one address|same address|nat gateway|gateway's address|public "
        "ip",
    )
    clues.together(
        0.5,
        "many instances call one outside service, and calls fail only when there are many",
        "instances|replicas|scaled|pods|functions|workers|concurrent",
        "time out|timeout|timed out|socketexception|connection attempts fail|intermittent",
        "outbound|external|egress|identity server|third-party|one server|api over https|same host|azure|app "
        "service|nat gateway|"
        "to our server",
    )
    clues.said(
        0.35,
        "many connections go to one destination",
        "same destination|single destination|one destination|to the same ip|same remote|single backend|same endpoint",
    )
    if clues and (snat or ports or clues.weight >= 0.5):
        if full.state == "yes" and not ports:
            clues.against(0.4)
        if case.said("vxlan*cksum|bad udp cksum|checksum"):
            clues.against(0.4)
        yield clues.finding(
            "expand-snat-range", "upgrade-kernel", "keepalive-or-pooling", "scale-out", confirm=(ASK_COUNTERS,)
        )


@rule("stale-nat-entries", needs=("text",))
def an_entry_outlives_its_endpoint(case: Case) -> Iterator[Finding]:
    """Fires where traffic keeps following an old entry after the endpoint, route or address moved.

    Not long-established-timeout: a busy UDP stream keeps its entry alive for ever, however short the timeout.
    """
    clues = Clues(case, "stale-nat-entries")
    clues.said(
        0.75,
        "packets keep following an old entry",
        "old conntrack entry|entry is still there|line is still there|entries are still there|still in "
        "conntrack|remains in conntrack|entries remain|not cleaned up|not removed from conntrack|entry is not "
        "deleted|entries are not deleted|left behind|stale conntrack|stale entr|stale udp|stale nat|stale "
        "connection|old sessions|old pod|"
        "old ip|old address|old entries|old nat|keep matching|old gateway|dead gateway|previous pod|old endpoint|"
        "entry*stuck|stuck in syn_sent|stuck entry|still points to|still pointing|still sent to|still go to|"
        "still being sent to the old|old connection*conntrack|old container|old backend|wrong ip|"
        "leaving by the dead|previous ip|old wan",
    )
    clues.said(
        0.5,
        "it begins when an endpoint is recreated or a path changes",
        "is recreated|are recreated|recreated|after the restart|restarting the pod|pod restart|container restart|"
        "after restarting|gets a new ip|new ip|reconnect*same source port|same source port|failover|"
        "default route changes|route changes|swaps the default route|ip changes|wan ip|after redeploy|redeployed|"
        "rolling update|is replaced|switches*uplink|dynamic ip|reconnects|never registers again",
    )
    clues.said(
        0.6,
        "deleting the entries heals it",
        "conntrack -d|if i delete it|when i delete it|delete it and|state created before|deleting those "
        "entries|deleting the entries|deleting the entry|delete the entry|remove the "
        "entry|removing the entry|clearing the entry|conntrack --delete|flushing "
        "conntrack|flush*conntrack|delet*conntrack entr|"
        "clearing*conntrack|conntrack -f",
    )
    datagrams = clues.said(
        0.3, "UDP is concerned", "udp|sip|asterisk|voip|wireguard|openvpn|syslog|statsd|dns*same source port"
    )
    again = case.said(
        "deleted|successor|is deployed|deploy a|link down|link has been down|ppp link|been "
        "down|wan*down|modem|dhcp|kill|new backend|zero endpoints|cable|is "
        "back|came back|comes back|goes down|outage|moved|restart|start "
        "it|stop/start|started again|start*again|recreat|redeploy|reboot|replaced|killed|drained|"
        "failover|reconnect|new pod|new ip|moves to|switch|upgrade|update|rescheduled|changes"
    )
    lost = case.said(
        "nothing reaches|no traffic reaches|reaches nothing|never succeeds|is lost, and|registration is lost|keeps "
        "failing|never recovers|does not heal|never "
        "heals|sending into "
        "nothing|never gets a packet|still lost|are lost|stays like that|stays the same|remains like|keeps going "
        "to|keep going to|nothing comes "
        "in|no longer reach|no longer receive|never reach|does not reach|don't reach|not reach|"
        "not arrive|do not arrive|stops receiving|stop receiving|goes nowhere|disappears|never receives|"
        "not received|not receive|cannot resolve|no traffic|blackhole|black hole|lost until|stops working|"
        "don't get|does not get|not get any|no packets|stop working|cannot reach|can't reach|unreachable"
    )
    heals = clues.said(
        0.5,
        "it heals by silence or a new source port",
        "works again|heal by itself|recover by themselves|recovers by itself|quiet for|of silence|"
        "changes its local port|different source port|new source port|another source port|changing the source port|"
        "wait*seconds*works|after*timeout*works|minutes later it works|until the entry expires|"
        "until*timeout expires|until conntrack",
    )
    if again is not None and lost is not None and (datagrams is not None or heals is not None):
        clues.add(
            0.6,
            "after a change of the endpoint traffic no longer arrives, while other senders' does",
            again,
            lost,
            basis="unknown",
        )
    if clues and clues.weight >= 0.5 and (len(clues.found) >= 2):
        if fullness(case).state == "yes":
            clues.against(0.3)
        component = case.said("kubernetes|docker|k8s|pod|kube-proxy|cni")
        fixes = (
            ("flush-entries", "upgrade-component", "upgrade-kernel")
            if component
            else ("flush-entries", "upgrade-kernel", "shorten-timeouts")
        )
        yield clues.finding(*fixes)
