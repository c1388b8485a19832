"""What to look at next when the evidence does not decide, with commands that are safe on that kernel.

The trap: the command everybody posts, ``iptables -t nat -L``, loads connection tracking on kernels before 4.14. It is never
asked for; ``/proc/net/ip_tables_names`` answers the same question without touching anything.
"""

from tablefull.facts.modules import Module
from tablefull.facts.ruleset import FwChain, FwListing, FwRule
from tablefull.rules.application import ASK_EXPECT
from tablefull.rules.case import Case
from tablefull.rules.clouds import ASK_ALLOWANCE
from tablefull.rules.finding import Ask, Finding
from tablefull.rules.fullness import fullness
from tablefull.rules.nat import ASK_COUNTERS
from tablefull.rules.sizing import ASK_COMPOSITION, ASK_COUNT
from tablefull.rules.tracking import ASK_MODULES, ASK_TABLES

MAX_STEPS = 5

ASK_LOG = Ask("Does the kernel itself say that the table is full, since when, how often?", "dmesg | grep -E 'conntrack|suppressed' | tail -20",
              "the line itself decides between a full entry table, the expectation table and look-alikes")
ASK_KERNEL = Ask("Which kernel and distribution is it?", "uname -r; cat /etc/os-release /etc/lsb-release /etc/redhat-release 2>/dev/null",
                 "defaults, counters and whether listing nat starts tracking differ by version")
ASK_TIMEOUT = Ask("How long do idle connections stay?", "grep -H . /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established /proc/sys/net/netfilter/nf_conntrack_*wait*",
                  "432000 on established keeps every lost connection for five days; 3600 on close_wait is kube-proxy's")
ASK_BUCKETS = Ask("How many buckets does the hash have?", "cat /proc/sys/net/netfilter/nf_conntrack_buckets", "the limit over the buckets is the mean chain; long chains cost CPU and, from 5.15 on, packets")


def next_steps(case: Case, causes: tuple[Finding, ...]) -> tuple[Ask, ...]:
    """At most five questions: first what would confirm the causes in doubt, then what is missing altogether."""
    full = fullness(case)
    steps: list[Ask] = []
    only_else = bool(causes) and causes[0].cause == "not-conntrack" and causes[0].confidence >= 0.7 and full.state != "yes"
    if not only_else:
        if full.state == "unknown" and not case.has("log"):
            steps.append(ASK_LOG)
        if case.occupancy is None and full.table == "kernel":
            steps.append(ASK_COUNT)
        if causes and causes[0].confidence < 0.9:
            steps += causes[0].confirm
        if len(causes) > 1 and causes[1].confidence > 0.7 * causes[0].confidence:
            steps += causes[1].confirm
        if full.state == "yes":
            if not case.has("entries"):
                steps.append(ASK_COMPOSITION)
            if not any(case.of(kind) and next(case.of(kind), None) for kind in (FwRule, FwChain, FwListing)):
                steps.append(ASK_TABLES)
            if case.setting("nf_conntrack_tcp_timeout_established") is None:
                steps.append(ASK_TIMEOUT)
        if not case.counters and full.state != "yes":
            steps.append(ASK_COUNTERS)
        if case.said("ec2", "aws", "eks") and not case.said("allowance"):
            steps.append(ASK_ALLOWANCE)
        if case.log("expectation-full"):
            steps.append(ASK_EXPECT)
        if case.release is None:
            steps.append(ASK_KERNEL)
        if case.max is not None and case.max.number and case.max.number > 500_000 and case.number("nf_conntrack_buckets") is None:
            steps.append(ASK_BUCKETS)
        if full.state == "yes" and next(case.of(Module), None) is None and not case.has("rules"):
            steps.append(ASK_MODULES)
    return tuple(dict.fromkeys(steps))[:MAX_STEPS]
