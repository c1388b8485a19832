"""Attack traffic that makes entries faster than they expire."""

from collections.abc import Iterator

from tablefull.rules.case import Case
from tablefull.rules.clues import Clues
from tablefull.rules.finding import Finding
from tablefull.rules.fullness import fullness, relevance
from tablefull.rules.rule import rule
from tablefull.rules.timeouts import ENOUGH_ROWS, LARGE_SHARE
from tablefull.rules.traffic import ASK_SOURCES, many_peers

FLOOD_SUPPRESSED = (
    10_000  # 2,000 refused packets a second; the busiest of the legitimate reports seen had 6,464 in a window
)


@rule("syn-flood-or-ddos", needs=("text",))
def attack_traffic_fills_the_table(case: Case) -> Iterator[Finding]:
    """Fires where the report names an attack or the listing is half-open entries from very many sources.

    Quiet on "Possible SYN flooding ... Sending cookies" alone: that is a full listen queue, as often a busy server as
    an attack.
    """
    clues = Clues(case, "syn-flood-or-ddos")
    full = fullness(case)
    if full.state == "no" and not case.compositions:
        return
    scanner = many_peers(case)
    for _, table in case.compositions:
        half_open = table.by_state.get("SYN_SENT", 0) + table.by_state.get("SYN_RECV", 0)
        if scanner is None and table.rows >= ENOUGH_ROWS and half_open > LARGE_SHARE * table.rows:
            clues.add(
                0.8,
                f"{half_open} of {table.rows} listed entries are half open, from {len(table.by_source)} sources",
                table.first,
            )
    clues.said(
        0.85,
        "an attack is named",
        "flood of|sends a flood|in a syn flood|under a syn flood|ddos|dos attack|denial of service|dosed|under "
        "attack|being attacked|attacker|syn flood attack|syn-flood|"
        "synflood|udp flood|flooded by|amplification|botnet|reflection attack|slowloris|floods of packets|"
        "flood attack|被攻击|атак|ataque|angriff|synflood",
    )
    clues.said(
        0.6,
        "most of the table comes from addresses nobody knows",
        "comes from two addresses|addresses abroad|unknown addresses|unknown ips|suspicious|random source|spoofed|"
        "from all over the world|malicious|hacker|hostile",
    )
    clues.said(0.35, "half-open entries are named", "syn_recv|syn_sent*thousand|many syn_sent|half-open|syn packets")
    hidden = [line for line in case.log("suppressed") if (line.number or 0) >= FLOOD_SUPPRESSED]
    if hidden and case.log("table-full"):
        clues.add(
            0.5,
            f"{hidden[-1].number} refused packets in one window of 5 s are more new connections than most services "
            "ever see",
            hidden[-1].origin,
            basis="version",
        )
    cookies = case.log("syn-flooding")
    if cookies and full.state == "yes":
        clues.add(0.4, "the listen queue overflowed as well", cookies[0].origin)
    clues.said(0.4, "a denial of service is what the rules are for", "anti-ddos|dos at the moment")
    if clues:
        if full.state != "yes":
            clues.against(0.8 * relevance(case))
        yield clues.finding(
            "rate-limit-or-block-source",
            "synproxy-or-syncookies",
            "shorten-timeouts",
            "raise-max",
            severity="outage" if case.said("went away|unreachable|ssh impossible|down") else "degraded",
            confirm=(ASK_SOURCES,),
        )
