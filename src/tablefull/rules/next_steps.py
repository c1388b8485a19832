"""What to look at next when the evidence does not decide, with commands that are safe on that kernel.

The trap: the command everybody posts, ``iptables -t nat -L``, loads connection tracking on kernels before 4.14. It is
never asked for; ``/proc/net/ip_tables_names`` answers the same question without touching anything.
"""

from collections.abc import Iterator

from msgspec import structs

from tablefull.rules.application import ASK_EXPECT
from tablefull.rules.case import Case
from tablefull.rules.clouds import ASK_ALLOWANCE
from tablefull.rules.finding import Ask, Finding
from tablefull.rules.fullness import fullness
from tablefull.rules.nat import ASK_COUNTERS
from tablefull.rules.sizing import ASK_COMPOSITION, ASK_COUNT, LARGE_LIMIT
from tablefull.rules.timeouts import ASK_STATES
from tablefull.rules.tracking import ASK_BRIDGE, ASK_MODULES, ASK_TABLES

MAX_STEPS = 5
SURE = 0.9  # a cause this sure needs no confirming question
RIVAL = 0.7  # a second cause this close to the first deserves the question that decides between them
SURE_OF_OTHER = 0.7  # a look-alike that names itself

ASK_LOG = Ask(
    "Does the kernel itself say that the table is full, since when, how often?",
    "dmesg | grep -E 'conntrack|suppressed' | tail -20",
    "the line itself decides between a full entry table, the expectation table and look-alikes",
)
ASK_KERNEL = Ask(
    "Which kernel and distribution is it?",
    "uname -r; cat /etc/os-release /etc/lsb-release /etc/redhat-release 2>/dev/null",
    "defaults, counters and whether listing nat starts tracking differ by version",
)
ASK_TIMEOUT = Ask(
    "How long do idle connections stay?",
    "grep -H . /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established "
    "/proc/sys/net/netfilter/nf_conntrack_*wait*",
    "432000 on established keeps every lost connection for five days; 3600 on close_wait is kube-proxy's",
)
ASK_BUCKETS = Ask(
    "How many buckets does the hash have?",
    "cat /proc/sys/net/netfilter/nf_conntrack_buckets",
    "the limit over the buckets is the mean chain; long chains cost CPU and, from 5.15 on, packets",
)


def next_steps(case: Case, causes: tuple[Finding, ...]) -> tuple[Ask, ...]:
    """At most five questions: first what would confirm the causes in doubt, then what is missing altogether."""
    full = fullness(case)
    best = causes[0] if causes else None
    if best is not None and best.cause == "not-conntrack" and best.confidence >= SURE_OF_OTHER and full.state != "yes":
        return ()
    steps = [*_about_fullness(case), *_confirming(causes), *(_about_a_full_table(case) if full.state == "yes" else ())]
    limit = case.max.number if case.max else None
    asked: tuple[tuple[Ask, bool], ...] = (
        (ASK_COUNTERS, not case.counters and full.state != "yes"),
        (ASK_ALLOWANCE, case.said("ec2|aws|eks") is not None and case.said("allowance") is None),
        (ASK_EXPECT, bool(case.log("expectation-full"))),
        (ASK_KERNEL, case.release is None),
        (ASK_BUCKETS, limit is not None and limit > LARGE_LIMIT and case.number("nf_conntrack_buckets") is None),
        (ASK_MODULES, full.state == "yes" and not case.has("modules") and not case.has("rules")),
    )
    steps += [ask for ask, wanted in asked if wanted]
    told = _told(case)
    kept = [ask for ask in dict.fromkeys(steps) if ask not in told][:MAX_STEPS]
    return tuple(_old_paths(ask) if case.old_stack else ask for ask in kept)


def _old_paths(ask: Ask) -> Ask:
    """The same question in the words of a kernel that has ip_conntrack (up to 2.6.21)."""
    command = ask.command.replace("/proc/net/nf_conntrack", "/proc/net/ip_conntrack")
    command = command.replace("/proc/net/stat/nf_conntrack", "/proc/net/stat/ip_conntrack")
    command = command.replace("/proc/sys/net/netfilter/nf_conntrack", "/proc/sys/net/ipv4/netfilter/ip_conntrack")
    return structs.replace(ask, command=command)


def _told(case: Case) -> set[Ask]:
    """Questions whose answer the evidence already holds."""
    answers = (
        (ASK_COUNT, case.occupancy is not None),
        (ASK_COMPOSITION, case.has("entries")),
        (ASK_COUNTERS, bool(case.counters)),
        (ASK_MODULES, case.has("modules")),
        (ASK_BRIDGE, case.setting("net.bridge.bridge-nf-call-iptables", "shown") is not None),
        (ASK_STATES, case.has("entries")),
    )
    return {ask for ask, told in answers if told}


def _about_fullness(case: Case) -> Iterator[Ask]:
    full = fullness(case)
    if full.state == "unknown" and not case.has("log"):
        yield ASK_LOG
    if case.occupancy is None and full.table == "kernel":
        yield ASK_COUNT


def _confirming(causes: tuple[Finding, ...]) -> Iterator[Ask]:
    if causes and causes[0].confidence < SURE:
        yield from causes[0].confirm
    if len(causes) > 1 and causes[1].confidence > RIVAL * causes[0].confidence:
        yield from causes[1].confirm


def _about_a_full_table(case: Case) -> Iterator[Ask]:
    if not case.has("entries"):
        yield ASK_COMPOSITION
    if not case.has("rules"):
        yield ASK_TABLES
    if case.setting("nf_conntrack_tcp_timeout_established") is None:
        yield ASK_TIMEOUT
