"""A program at fault: reconnect loops and leaks, helpers, and the expectation table they fill."""

from collections.abc import Iterator

from tablefull.rules.case import Case
from tablefull.rules.clues import Clues
from tablefull.rules.finding import Ask, Finding
from tablefull.rules.fullness import fullness, relevance
from tablefull.rules.rule import rule
from tablefull.rules.traffic import talker

ASK_EXPECT = Ask(
    "How many expectations are there, and how many may there be?",
    "wc -l < /proc/net/nf_conntrack_expect; cat /proc/sys/net/netfilter/nf_conntrack_expect_max",
    "only expectations count against that limit; entries have their own",
)


FEW_DESTINATIONS = 0.1  # of the listed rows: a program that calls the same few, no scan


@rule("app-connection-loop", needs=("text",))
def a_program_reconnects_or_leaks(case: Case) -> Iterator[Finding]:
    """Fires where switching one program on fills the table, or a program loops, retries without pause or leaks
    connections.

    Not scan-or-p2p: here the peers are few and the connections many. Not time-wait-churn, which is a healthy program's
    load.
    """
    clues = Clues(case, "app-connection-loop")
    full = fullness(case)
    clues.said(
        0.7,
        "a program opens connections in a loop",
        "tight loop|nobody closed|nobody closes|never closed|not closed by|left open|without closing|loop "
        "storm|connects to itself|connection to itself|crash loop|crashloop|too many "
        "connections|opens too many|keeps opening|opening connections|opens thousands|opens hundreds|thousands of "
        "connections to one|every few milliseconds|hot loop|busy loop|polling|retries|infinite loop|endless "
        "loop|reconnect loop|reconnects in a|constantly reconnect|"
        "keeps reconnecting|reconnect*every|retry loop|retries*without|retry storm|connection leak|"
        "leaks connections|leaking connections|leaking sockets|socket leak|connections are never closed|"
        "opens a new connection*never|never closes|does not close|doesn't close|not closing connections|"
        "connection storm|spawns connections|hammering|opening thousands of connections|dns loop|forwarding loop|"
        "loops back|runaway|reconnect attempts|reconnecting*second|thousands of connections to the same",
    )
    clues.said(
        0.6,
        "the count runs away in seconds",
        "runs away|in a few seconds|filled in seconds|within seconds|explodes|shoots up|skyrocket|suddenly jumps|"
        "suddenly rises|jumps to|surges|spikes|until the preset limit|connection count goes|number of connections goes|"
        "暴涨|突增|飙升|"
        "突然占满|grows in a straight line|grows linearly|grows steadily|keeps growing for days|"
        "thousands of established connections to",
    )
    clues.said(
        0.75,
        "it begins when one program is switched on and ends when it is stopped",
        "is switched on|was switched on|is turned on|after switching on|after enabling|after starting|when i "
        "start|once i start|only while*runs|"
        "goes away when i stop|stop*service*normal|restart*recovers|重启*恢复|after turning on|as soon as*starts|"
        "stopping it brings|disabling it*goes away|since installing|after an hour*starting|start one more|"
        "start one or two more|started*fills|starting*fills|when*is running*fills|as long as*is running|"
        "hour after starting|开启*后|没退出的",
    )
    found = talker(case)
    if found is not None:
        table = next(one for _, one in case.compositions if one.first == found[2])
        if len(table.by_destination) <= FEW_DESTINATIONS * table.rows:
            why = f"{found[0]} holds {found[1]:.0%} of the listed entries, to {len(table.by_destination)} addresses"
            clues.add(0.65, why, found[2])
    clues.said(
        0.5,
        "CLOSE_WAIT sockets pile up in a program",
        "many close_wait sockets|close_wait sockets|lots of close_wait|sockets in close_wait|too many open files",
    )
    if clues:
        if full.state == "no" and not case.said("leak|loop"):
            return
        clues.against(relevance(case) if full.state == "yes" or case.said("conntrack") else 0.4)
        if case.said("bittorrent|torrent|emule|ipfs|masscan|crawler"):
            clues.against(0.5)
        if case.said("pf_ring|fullcone"):
            clues.against(0.4)
        yield clues.finding("fix-application", "keepalive-or-pooling", "raise-max", "rate-limit-or-block-source")


@rule("expectation-table-full", needs=("log", "text"))
def expectations_are_used_up(case: Case) -> Iterator[Finding]:
    """Fires on the expectation table's own line. The entry table is another one with another limit."""
    clues = Clues(case, "expectation-table-full")
    lines = case.log("expectation-full")
    if lines:
        clues.add(
            0.95,
            "the expectation table is full: helpers announce more connections than it holds; the entry table is "
            "another one",
            *(one.origin for one in lines[:3]),
        )
    else:
        clues.said(
            0.6,
            "the expectation table is named",
            "expectation table*full|expect_max|too many expectations|expectations*limit",
        )
    if clues:
        yield clues.finding("raise-expect-max", "attach-helper-explicitly", "unload-modules", confirm=(ASK_EXPECT,))


@rule("helper-related", needs=("text",))
def a_helper_is_missing_or_in_the_way(case: Case) -> Iterator[Finding]:
    """Fires where automatic helper assignment is off, a helper is not found, or a helper drops what it cannot read."""
    clues = Clues(case, "helper-related")
    off = case.log("helper-off")
    if off:
        clues.add(
            0.95,
            "the kernel no longer attaches helpers by itself (off by default from 4.7, gone in 6.0)",
            off[0].origin,
            basis="version",
        )
    drops = clues.said(
        0.85,
        "a helper drops packets it cannot follow",
        "nf_ct_sip: dropping|nf_ct_ftp: dropping|nf_ct_pptp: dropping|nf_ct_h323: dropping|nf_ct_irc: dropping|"
        "nf_ct_*: dropping packet|helper dropping packet|helper*dropping",
    )
    clues.said(
        0.8,
        "a helper is asked for that does not exist",
        "no such helper|nf_conntrack_helper*not|nf_conntrack_helper is|conntrack_helper|helper assignment|"
        "ct helper|nf_conntrack_ftp|nf_conntrack_sip|nf_conntrack_pptp|nf_conntrack_tftp|nf_nat_sip|nf_nat_ftp|"
        "nf_conntrack_h323|nf_conntrack_amanda|nf_conntrack_irc|ip_conntrack_ftp|sip alg|alg ",
    )
    if fullness(case).state != "yes":
        clues.together(
            0.55,
            "a protocol whose helper opens further ports fails through a firewall or translation",
            "ftp|tftp|port 69|pptp|h.323|h323|rtsp|irc dcc|sip phone|sip alg",
            "cannot|hang|fails|not work|timeout|times out|no audio|one-way|connection refused|no longer|stalls|does "
            "not",
            "router|firewall|nat|masquerad|iptables|kube-proxy|external ip|shorewall|firehol|firewalld|gateway",
        )
    clues.said(
        0.65,
        "a protocol whose helper opens further ports fails",
        "entering passive mode*hang|pasv*hang|passive mode*fail|ftp*hang|ftp*stall|sip*one-way|sip*no audio|pptp*fail",
    )
    clues.said(
        0.45,
        "a protocol that needs a helper fails",
        "entering passive mode*hang|pasv*hang|passive mode*fail|ftp*not work|ftp*stall|ftp*fails|ftp*timeout|sip*not "
        "work|"
        "sip*fail|sip*register|pptp*fail|pptp*not|tftp*timeout|h323*|rtsp*fail|irc dcc*|"
        "active ftp|passive ftp|ftp*hangs|ftp*data connection|sip*one-way audio|no audio|pptp*|tftp|"
        "ftp*directory listing",
    )
    if clues and (off or drops or clues.weight >= 0.5):
        if fullness(case).state == "yes":
            clues.against(0.3)
        if case.log("expectation-full"):
            clues.against(0.4)
        yield clues.finding(
            *(
                ("unload-modules", "attach-helper-explicitly")
                if drops or (not off and case.said("sip alg| alg |3cx|pbx|freeswitch|asterisk"))
                else ("attach-helper-explicitly", "unload-modules")
            ),
            severity="info" if off else "degraded",
        )
