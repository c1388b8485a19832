"""Entries that stay too long, and traffic whose one direction was not seen."""

import re
from collections.abc import Iterator

from tablefull.facts.claims import Claim
from tablefull.facts.counters import SocketStates
from tablefull.facts.entry import Entry
from tablefull.facts.origin import Origin
from tablefull.facts.ruleset import FwRule
from tablefull.kernel.timeouts import FIVE_DAYS_S, shipped_s
from tablefull.rules.case import Case
from tablefull.rules.clues import Clues
from tablefull.rules.finding import Ask, Finding
from tablefull.rules.fullness import fullness
from tablefull.rules.rule import rule

DAY_S = 86400
_DAYS_LEFT = re.compile(r"(?<![\w.:])(?:3[0-9]|4[0-3])\d{4}(?![\w.:])")  # 300000 to 439999 s: of five days, most left
FAST_PER_S = 200  # at 120 s of TIME_WAIT this alone holds 24,000 entries
LARGE_SHARE = 0.4  # of a listing: one kind of entry holds the table
FEW_ENTRIES = 10_000  # below it the difference is noise
SOCKETS_APART = 4  # a proxy has two sockets an entry or the other way round; four times as many entries are leftovers
ENOUGH_ROWS = 20  # below it a listing is a set of examples, not a composition

ASK_STATES = Ask(
    "Which states are the entries in, and how much time do they have left?",
    'head -n 5000 /proc/net/nf_conntrack | awk \'$3=="tcp"{print $6, int($5/3600)"h"}\' | sort | uniq -c | sort -rn | '
    "head",
    "many hours left on ESTABLISHED means idle entries under a long timeout; seconds on TIME_WAIT means churn",
)
ASK_SOCKETS = Ask(
    "Does this host still hold sockets for those entries?",
    "ss -tan state established | wc -l",
    "far fewer sockets than ESTABLISHED entries means ends that were missed or hosts that vanished",
)


def long_unreplied(case: Case) -> list[Entry]:
    """Entries ESTABLISHED without a reply and with hours left: picked up mid-stream."""
    return [
        e
        for _, table in case.compositions
        for e in table.kept
        if e.unreplied and e.state == "ESTABLISHED" and (e.remaining_s or 0) > 600
    ]


def fewer_sockets(case: Case) -> tuple[str, tuple[Origin, ...]] | None:
    """That a host which ends its connections itself holds far fewer sockets than entries; None on one that forwards,
    whose entries have their sockets elsewhere.
    """
    translates = any(one.target in ("MASQUERADE", "SNAT", "DNAT") for one in case.of(FwRule))
    if translates or case.said("masquerade|snat|nat |gateway|router|forward|bridge|kube-proxy|docker|dom0|hypervisor"):
        return None
    open_ones = [
        (sum(n for state, n in one.by_state.items() if state != "LISTEN"), one) for one in case.of(SocketStates)
    ]
    if not open_ones or not case.counts:
        return None
    (sockets, shown), (entries, origin) = (
        max(open_ones, key=lambda one: one[0]),
        max(case.counts, key=lambda one: one[0]),
    )
    if entries < FEW_ENTRIES or entries < SOCKETS_APART * sockets:
        return None
    return f"the kernel counts {entries} entries and this host holds {sockets} sockets", (shown.origin, origin)


def _said_days_left(case: Case) -> tuple[str, Origin] | None:
    """A number of seconds that is most of five days, in a sentence about ESTABLISHED entries."""
    for host in case.hosts:
        for origin in host.prose:
            lowered = origin.text.lower()
            number = _DAYS_LEFT.search(lowered)
            if number is not None and ("established" in lowered or case.said("established")):
                return number[0], origin
    return None


@rule("long-established-timeout", needs=("text",))
def idle_entries_live_for_days(case: Case) -> Iterator[Finding]:
    """Fires where ESTABLISHED entries outlive their connections: five days by default, or words and listings that show
    it.

    Not half-open-or-asymmetric, which asks why the end was not seen; both hold together often.
    """
    clues = Clues(case, "long-established-timeout")
    full = fullness(case)
    timeout = case.setting("nf_conntrack_tcp_timeout_established")
    if timeout is not None and timeout.number is not None:
        if timeout.number >= 5 * DAY_S - 1:
            said = timeout.standing == "stated"
            clues.add(
                (0.55 if said else 0.35) if full.state == "yes" else 0.2 if case.told else 0.0,
                f"ESTABLISHED entries live {timeout.number // DAY_S} days without a packet",
                timeout.origin,
            )
        elif timeout.number >= DAY_S:
            clues.add(
                0.3 if full.state == "yes" else 0.0,
                f"ESTABLISHED entries live {timeout.number // 3600} h without a packet",
                timeout.origin,
            )
        elif timeout.number <= 7200:
            clues.against(0.5)
    for _, table in case.compositions:
        established = table.by_state.get("ESTABLISHED", 0)
        idle = [one for one in table.kept if 3600 < (one.remaining_s or 0) < FIVE_DAYS_S - 3600]
        if len(table.kept) >= ENOUGH_ROWS and len(idle) > LARGE_SHARE * len(table.kept):
            why = f"{len(idle)} of the first {len(table.kept)} entries saw no packet for an hour and have hours left"
            clues.add(0.7, why, idle[0].origin)
        elif (
            table.kept
            and table.rows < ENOUGH_ROWS
            and established
            and table.remaining_over_3600_s == established
            and full.state != "no"
        ):
            days = max((e.remaining_s or 0) for e in table.kept) / DAY_S
            if days > 0.5:
                clues.add(0.5, f"the entry shown still has {days:.1f} days to live", table.kept[0].origin)
    apart = fewer_sockets(case)
    if apart is not None and (timeout is None or (timeout.number or 0) >= DAY_S):
        clues.add(0.6, apart[0], *apart[1])
    days_left = _said_days_left(case)
    if days_left is not None:
        clues.add(0.5, f"{days_left[0]} s left on ESTABLISHED entries are days", days_left[1], basis="unknown")
    clues.said(
        0.6,
        "the five-day timeout is named",
        "5 days|five days|5-day|five-day|5 day timeout|established*5d|timeout*days",
    )
    clues.said(
        0.45,
        "entries outlive their connections",
        "long deleted|no such connections|lists them all as established|established*stay|stale established|"
        "idle connections|idle established|established entries*never|entries*for days|hold*established*entries|"
        "dead connections*established|still in it|long-lived connections|never expire|keep*established state|"
        "netstat*far fewer|established*not in netstat",
    )
    clues.said(
        0.45,
        "out-of-window packets are accepted as valid, so ends are missed and entries stay ESTABLISHED",
        "be_liberal*full|be_liberal*conntrack table",
    )
    if case.said("established*timeout|tcp_timeout_established") and full.state == "yes" and timeout is None:
        clues.said(0.35, "the established timeout is under discussion", "established*timeout|tcp_timeout_established")
    if clues:
        if full.state == "no" and case.occupancy is None and not case.compositions:
            clues.against(0.4)
        yield clues.finding("shorten-timeouts", "raise-max", "fix-application", confirm=(ASK_STATES, ASK_SOCKETS))


@rule("time-wait-churn", needs=("text",))
def short_connections_at_a_high_rate(case: Case) -> Iterator[Finding]:
    """Fires where short TCP connections, each leaving a TIME_WAIT entry for two minutes, fill the table.

    Not the socket side's "time wait bucket table overflow", which is a look-alike; not app-connection-loop, where one
    program misbehaves.
    """
    clues = Clues(case, "time-wait-churn")
    full = fullness(case)
    for _, table in case.compositions:
        waiting = table.by_state.get("TIME_WAIT", 0)
        if table.rows >= ENOUGH_ROWS and waiting > LARGE_SHARE * table.rows:
            clues.add(0.8, f"{waiting} of {table.rows} listed entries are TIME_WAIT", table.first)
        elif table.kept and table.rows < ENOUGH_ROWS and waiting > table.rows * 0.6:
            clues.add(0.4, "the entries shown are TIME_WAIT", table.kept[0].origin)
    rate = next((c for c in case.of(Claim) if c.quantity == "connection" and (c.per_s or 0) >= FAST_PER_S), None)
    if rate is not None and full.state == "yes":
        clues.add(0.5, f"{rate.per_s:.0f} new connections a second are stated", rate.origin, basis="unknown")
    if full.state == "yes" or case.occupancy is not None or case.said("conntrack"):
        clues.said(0.65, "most entries are said to be TIME_WAIT", "time_wait|time-wait|timewait|time wait in")
        clues.said(
            0.55,
            "every request opens a connection",
            "one request per connection|connection: close|http/1.0|no connection pool|without a connection pool|"
            "new connection each time|new tcp connection for|opens a connection per|connects and disconnects|"
            "connection churn|high churn|connection rate|keepalive disabled|keep-alive disabled|keepalives off|"
            "reconnects for every|many short|lots of short|short-lasting|very short|quickly closed|"
            "one tcp connection per request|connection per request|new connection for every|new connection per|"
            "short-lived|short lived|short connections|short tcp connections|lives about|as fast as they can|"
            "connection for each request|thousands of short|opens and closes|ttl of seconds|open and close|"
            "without keepalive|no keepalive|no keep-alive|keepalive*off|fetches one*disconnects|disconnects|"
            "connections per second|conn/s|connections a second|new connections/s",
        )
        clues.said(
            0.45,
            "it happens under a load generator",
            "siege|apachebench|ab -n|ab -c|wrk |jmeter|gatling|locust|h2load|k6 |vegeta|hey -|load test|load-test|"
            "stress test|benchmark|performance test|pressure test|stresstest|tsung|httperf|压测|压力测试",
        )
        clues.said(
            0.3,
            "a proxy or load balancer opens and closes connections for every client",
            "haproxy|mod_proxy|reverse proxy|front-end proxy|squid|varnish",
        )
        clues.said(
            0.25,
            "web traffic",
            "web server|http server|php|memcache|redis|mysql|api server|requests per second|rps|qps",
        )
    counter = next((c for c in case.of_net("TW", "TCPTimeWaitOverflow", "TCPTimeWaited")), None)
    if counter is not None and full.state == "yes" and counter.value > 1000:
        clues.add(0.6, f"{counter.name} is {counter.value}: sockets end in TIME_WAIT at a high rate", counter.origin)
    if case.said("close_wait|close-wait"):
        clues.against(0.7)
    if clues:
        if full.state != "yes" and case.occupancy is None and not case.compositions:
            clues.against(0.6)  # sockets in TIME_WAIT are no entries, and most such reports are about sockets
        if case.log("time-wait-overflow") and full.state != "yes":
            clues.against(0.2)
        keepalive_first = case.said("nginx|squid|keepalive|keep-alive|per request|memcache|php")
        fixes = (
            ("shorten-timeouts", "keepalive-or-pooling", "raise-max", "notrack")
            if keepalive_first
            else ("shorten-timeouts", "raise-max", "notrack", "keepalive-or-pooling")
        )
        yield clues.finding(*fixes, confirm=(ASK_STATES,))


def one_way_notrack(case: Case) -> Origin | None:
    """A rule that exempts a port's requests where none exempts the answers: those then make entries of their own."""
    exempt = [one for one in case.of(FwRule) if "notrack" in one.text.lower()]
    asking = [one for one in exempt if "--dport" in one.text or "dpt:" in one.text or "dport" in one.text]
    answering = [one for one in exempt if "--sport" in one.text or "spt:" in one.text or "sport" in one.text]
    return asking[0].origin if asking and not answering else None


@rule("half-open-or-asymmetric", needs=("text",))
def one_direction_is_not_seen(case: Case) -> Iterator[Finding]:
    """Fires on UNREPLIED shares, on CLOSE_WAIT or ESTABLISHED entries without sockets, on asymmetric paths and late
    packets.

    Not syn-flood-or-ddos: there UNREPLIED entries are SYN_SENT from many sources at once.
    """
    clues = Clues(case, "half-open-or-asymmetric")
    full = fullness(case)
    one_way = one_way_notrack(case)
    if one_way is not None:
        why = "only one direction is exempted from tracking: the other one makes entries that never see a reply"
        clues.add(0.65, why, one_way)
    late = long_unreplied(case)
    if late:
        clues.add(
            0.85,
            f"entries ESTABLISHED yet UNREPLIED with {(late[0].remaining_s or 0) / DAY_S:.1f} days left: late packets "
            "of closed connections were picked up mid-stream",
            *(e.origin for e in late[:3]),
        )
    for _, table in case.compositions:
        if table.rows >= ENOUGH_ROWS and table.unreplied > LARGE_SHARE * table.rows:
            clues.add(0.6, f"{table.unreplied} of {table.rows} listed entries never saw a reply", table.first)
            invalid = case.counters.get("invalid", 0)
            if invalid >= table.unreplied and table.by_state.get("SYN_SENT", 0) > LARGE_SHARE * table.rows:
                # A flood's first packets are valid; a connection goes on, and what follows an unseen SYN/ACK is not.
                why = f"{invalid} packets were INVALID: connections went on whose answers were not seen here"
                clues.add(0.6, why, *case.counter_origins[:1])
        waiting = (
            table.by_state.get("CLOSE_WAIT", 0) + table.by_state.get("FIN_WAIT", 0) + table.by_state.get("LAST_ACK", 0)
        )
        if table.rows >= ENOUGH_ROWS and waiting > LARGE_SHARE * table.rows:
            clues.add(0.6, f"{waiting} of {table.rows} listed entries wait for the second half of a close", table.first)
    if full.state == "yes" or case.said("conntrack") is not None:
        clues.said(
            0.5,
            "UNREPLIED entries are reported",
            "without unreplied|unreplied entries|number of unreplied|unreplied*entries|most*unreplied|"
            "mostly unreplied|% unreplied|all unreplied",
        )
        clues.said(
            0.55,
            "CLOSE_WAIT entries without matching sockets",
            "close_wait records|number of close_wait|close_wait*netstat|close_wait entries|entries in close_wait|"
            "conntrack*close_wait|table and netstat disagree",
        )
        clues.said(
            0.7,
            "the two directions take different paths",
            "asymmetric|take another way|takes another way|other path|different path|different route|split "
            "route|another route|direct routing mode|lvs-dr|direct server return|dsr mode|returns through|"
            "return traffic*different|one-way|one direction|only sees one|sees only one|straight to the client|"
            "does not see the reply|bypasses the|only one side|return path|state*incomplete",
        )
        clues.said(
            0.4,
            "ends are missed",
            "not all sockets are closed properly|missed fin|never sees the fin|no fin|without closing|"
            "connections are not closed|half-open|half open|half-closed|netstat shows no|netstat*shows no such",
        )
        clues.said(0.45, "out-of-window packets were let through", "be_liberal*afterwards|be_liberal*full|tcp_loose")
    if clues:
        unreplied_only = (
            case.occupancy is not None and case.occupancy < 0.9 and full.state == "no" and case.said("unreplied")
        )
        if unreplied_only:
            fixes: tuple[str, ...] = ("rate-limit-or-block-source", "shorten-timeouts", "none")
        elif case.said("direct routing|lvs|dsr|asymmetric|conntrackd") and full.state != "yes":
            fixes = ("notrack", "drop-invalid-or-be-liberal", "shorten-timeouts")
        else:
            fixes = ("shorten-timeouts", "notrack", "disable-tcp-loose")
        yield clues.finding(
            *fixes, severity="info" if unreplied_only else "degraded", confirm=(ASK_SOCKETS, ASK_STATES)
        )


@rule("invalid-out-of-window", needs=("text", "counters"))
def packets_called_invalid(case: Case) -> Iterator[Finding]:
    """Fires where packets are marked INVALID and then dropped, or reach the peer without their NAT and are reset.

    Not a full table: the entry exists. A few hundred ``invalid`` among millions of packets are normal and stay quiet.
    """
    clues = Clues(case, "invalid-out-of-window")
    clues.said(
        0.7,
        "packets are marked INVALID",
        "marks it invalid|marked invalid|marked as invalid|ctstate invalid|ct state invalid|state invalid|"
        "conntrack*invalid|invalid packets|considered invalid|blocked invalid|invalid*dropped",
    )
    clues.said(
        0.5,
        "sequence numbers leave the window",
        "outside the window|out of window|out-of-window|outside of window|seq is over the upper bound|"
        "ack is under the lower bound|ack is over the upper|seq is under",
    )
    clues.said(
        0.4,
        "connections are reset",
        "connection reset by peer|answers rst|sends rst|sends a rst|tcp reset|spurious reset|connection reset|"
        "unexpected rst|with a reset|with rst|with an rst|are reset|get reset|reset by peer|econnreset",
    )
    if case.said("packet|paket|paquet|пакет|rst|reset"):
        clues.said(0.45, "INVALID is named", "invalid")
    if case.log("ct-invalid"):
        clues.add(0.7, "the kernel logs why packets are invalid", case.log("ct-invalid")[0].origin)
    clues.said(
        0.65,
        "packets leave with an address that should have been translated",
        "instead of the virtual ip|instead of the service ip|instead of the vip|wrong source ip|"
        "wrong source address|own address instead|not translated|untranslated|without nat|not natted|un-natted|"
        "not snat|pod ip leaks|pod ip as source|real ip instead|source ip of the pod|unnatted|"
        "leave without being masqueraded|leaks packets",
    )
    marked = case.said("invalid|out of window|outside the window|out-of-window|be_liberal|rst|reset") or case.log(
        "ct-invalid"
    )
    if clues and marked:
        if fullness(case).state == "yes":
            clues.against(0.5)
        if case.said("direct routing|asymmetric|lvs|direct server return|unreplied"):
            clues.against(0.6)
        if (
            case.counters
            and case.counters.get("invalid", 0) < 5000
            and not case.said("marks it invalid|marked invalid|marked as invalid")
        ):
            clues.against(0.4)
        yield clues.finding("drop-invalid-or-be-liberal", "upgrade-component", "notrack")


def shipped_close_wait(case: Case) -> tuple[int, int] | None:
    """The close_wait timeout seen and the kernel's own where they differ; None where unseen or equal."""
    seen = case.number("nf_conntrack_tcp_timeout_close_wait")
    own = shipped_s("nf_conntrack_tcp_timeout_close_wait", case.kernel).value or 60
    return (seen, own) if seen is not None and seen > own else None
