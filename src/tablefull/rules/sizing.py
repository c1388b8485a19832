"""The limit and the buckets against the load: too small, too few, or no memory for them."""

from collections.abc import Iterator

from tablefull.facts.claims import Claim
from tablefull.facts.host import Memory
from tablefull.kernel import sizing
from tablefull.rules.case import Case
from tablefull.rules.clues import Clues
from tablefull.rules.finding import Ask, Finding
from tablefull.rules.fullness import fullness
from tablefull.rules.rule import rule

# Limits that some kernel computes by itself for some memory size, or that router firmware ships: nobody chose them for
# this load.
SHIPPED_LIMITS = frozenset(
    {
        1024,
        2048,
        4096,
        7680,
        8192,
        15360,
        16384,
        24576,
        30720,
        31744,
        31760,
        32768,
        61440,
        65536,
        65535,
        65530,
        131072,
        262144,
    }
)
SMALLEST_CHOSEN = 65536  # below it a limit is a small machine's default or a router's, whoever wrote it down
LARGE_LIMIT = 500_000  # above every default: somebody raised it, so "raise it" has been tried
LONG_CHAIN = 16.0  # mean nodes a bucket from which lookups cost visibly; inserts are refused at 8..31 on 5.15..6.2
_LOAD = "connections|threads|containers|flood|requests|clients|under load|busy|scan|copies"
COMMON_DEFAULTS = (65536, 131072, 262144)  # docs/kernel; 131072 is kube-proxy's floor
NEAR_LIMIT = 0.75  # the share at which node-mixin's alert fires (PEERS.md)

ASK_COUNT = Ask(
    "How many entries are there, and how many may there be?",
    "cat /proc/sys/net/netfilter/nf_conntrack_count /proc/sys/net/netfilter/nf_conntrack_max",
    "a count near the limit is a full table; a count far below it sends the search elsewhere",
)
ASK_COMPOSITION = Ask(
    "What fills it: which state, source and port?",
    "head -n 3000 /proc/net/nf_conntrack | awk '{print $3, $6}' | sort | uniq -c | sort -rn | head -20",
    "long idle ESTABLISHED entries, TIME_WAIT, UNREPLIED or one source each have another cause and another fix",
)


def near_limit(case: Case) -> bool:
    """Whether the count is, or is said to be, close to the limit."""
    occupancy = case.occupancy
    if occupancy is not None:
        return occupancy >= NEAR_LIMIT
    said = case.said(
        "close to the maximum|close to nf_conntrack_max|close to conntrack_max|close to its limit|almost the same|"
        "close to its maximum|almost at the limit|nearly the same|near its limit|near its maximum|almost reached|"
        "nearly full|almost full|close to the limit|near the limit|approaching the limit"
    )
    return said is not None and case.said("conntrack|tracked|connection table|connections") is not None


@rule("table-undersized", needs=("text",))
def limit_too_low_for_the_load(case: Case) -> Iterator[Finding]:
    """Fires where the table is full or nearly so and the limit is one that nobody chose for this load.

    Not hash-undersized: that is chains, not entries. Quiet where the limit was raised far above every default and a
    stronger cause explains what fills it.
    """
    full = fullness(case)
    clues = Clues(case, "table-undersized")
    limit = case.max
    occupancy = case.occupancy
    near = near_limit(case)
    if full.state == "no" and not near:
        return
    if full.state == "unknown" and not near:
        _weigh_signs(case, clues)
        if not clues:
            return
    if full.state == "yes" and full.table == "cilium":
        return  # another table with a limit of its own
    lines = case.log("table-full")
    if lines and all(line.netns is not None for line in lines) and (case.occupancy or 0.0) < NEAR_LIMIT:
        clues.against(0.5)  # it is another namespace that is full, and what was counted is not its table
    if full.state == "yes":
        clues.add(0.45, full.how, *full.evidence[:2], basis=full.basis)
    if near and occupancy is not None and full.state != "yes" and limit is not None:
        clues.add(0.5, f"the count has reached {occupancy:.0%} of the limit", limit.origin)
    elif near and full.state != "yes":
        clues.add(0.55, "the report says the count comes close to the limit", basis="unknown")
    _weigh_limit(case, clues)
    clues.said(
        0.45,
        "the limit is said to be the default",
        "default*conntrack|conntrack*default|limit is the default|default value*max|default limit|something like 32000",
    )
    clues.said(
        0.3,
        "the load is said to be legitimate and high",
        "queries look legitimate|high load|heavy load|busy|high traffic|heavy traffic|lots of connections|"
        "many connections|load test|stress test|load testing|benchmark|more traffic than usual|"
        "thousands of connections|under load|large number of connections|high number of connections|many users|"
        "many clients|heavily loaded|a lot of traffic|activity has filled|data access|scale",
    )
    if not clues:
        return
    if case.said(
        "no stateful|no nat and no|no iptables rules|nobody configured nat|nothing in iptables|no firewall rules"
    ):
        clues.against(0.6)
    fixes = ["raise-max", "raise-hashsize", "persist-config"]
    if case.said("kube-proxy|kubernetes|k8s|kubelet"):
        fixes = ["raise-max", "configure-kube-proxy", "raise-hashsize"]
    severity = (
        "outage"
        if case.said("all connectivity|unreachable|nobody gets|stops answering|even ssh|outage|lost all")
        else "degraded"
    )
    if full.state != "yes":
        severity = "info"
    yield clues.finding(*fixes, severity=severity, confirm=(ASK_COUNT, ASK_COMPOSITION))  # type: ignore[arg-type]


def _weigh_signs(case: Case, clues: Clues) -> None:
    """What points to a limit that is reached where neither the kernel's line nor the count was seen."""
    origin = case.said(
        "conntrack_max*too low|conntrack_max*too small|limit*too low*conntrack|conntrack*limit*low|"
        "conntrack table*too small|conntrack table size*small|low default*conntrack|default*so low"
    )
    if origin is not None:
        clues.add(0.4, "the report holds the limit for too low", origin, basis="unknown")
    refused = case.counters.get("drop", 0) - case.counters.get("insert_failed", 0)
    if refused > 0:
        why = f"drop counts {refused} packets that no insertion failure explains: a full table, or no memory"
        clues.add(0.4, why, *case.counter_origins[:2])
    default = _stops_at_a_default(case)
    if default is not None:
        why = f"{default.value:.0f} connections, where it stops, is a limit that kernels choose by themselves"
        clues.add(0.5, why, default.origin, basis="version")
    eperm = case.said("operation not permitted|eperm")
    if eperm is not None and case.said("ping|sendmsg|sendto|send:") and case.said(_LOAD):
        clues.add(
            0.35, "local packets fail with EPERM, which is what a full table does to them", eperm, basis="version"
        )


def _stops_at_a_default(case: Case) -> Claim | None:
    """A stated number of connections at which things stop, within 2.5 % of a limit that the kernel chooses by
    itself.
    """
    if not case.said(
        "stops at|stop at|stuck at|not more than|cannot get beyond|can't get beyond|never more than|maximum of|plateau|"
        "levels off|at most|limit of about|tops out|beyond that|further connect|no more than"
    ):
        return None
    for claim in case.of(Claim):
        if claim.quantity in ("connection", "entry") and any(abs(claim.value - n) <= n / 40 for n in COMMON_DEFAULTS):
            return claim
    return None


def _weigh_limit(case: Case, clues: Clues) -> None:
    """What the limit itself says: shipped, computed by kube-proxy, or raised by somebody already."""
    limit = case.max
    number = limit.number if limit else None
    if limit is not None and number is not None and (number in SHIPPED_LIMITS or number < SMALLEST_CHOSEN):
        clues.add(
            0.4,
            f"{number} is a limit that is computed or shipped, not chosen for this load",
            limit.origin,
            basis="version",
        )
    elif (
        number is not None
        and limit is not None
        and number % 32768 == 0
        and case.said("kube-proxy|kubernetes|k8s|conntrack.go")
    ):
        clues.add(
            0.3,
            f"{number} is kube-proxy's 32768 for each core, not a measure of the load",
            limit.origin,
            basis="version",
        )
    elif number is not None and limit is not None and number >= LARGE_LIMIT:
        clues.against(0.7)


@rule("hash-undersized", needs=("settings", "counters", "text"))
def chains_are_long(case: Case) -> Iterator[Finding]:
    """Fires on limit over buckets, on chain_toolong, and on words about hashsize and CPU in lookups.

    Not table-undersized: here packets are lost, or CPU burnt, while entries are still free.
    """
    clues = Clues(case, "hash-undersized")
    limit, buckets = (
        case.max,
        case.setting("nf_conntrack_buckets", "shown", "stated") or case.setting("hashsize", "shown", "stated"),
    )
    if limit is not None and buckets is not None and limit.number and buckets.number:
        mean = sizing.chain_mean(limit.number, buckets.number)
        if mean >= LONG_CHAIN:
            clues.add(
                0.75 if mean >= 100 else 0.55,
                f"{limit.number} entries over {buckets.number} buckets are {mean:.0f} nodes in the mean chain when "
                "full",
                limit.origin,
                buckets.origin,
            )
    long_chains = case.counters.get("chain_toolong", 0)
    if long_chains:
        clues.add(
            0.8,
            f"chain_toolong is {long_chains}: inserts were refused because their chain was too long",
            *case.counter_origins[:1],
        )
    clues.said(
        0.5,
        "the report speaks of long hash chains",
        "hash chain|long chains|chaintoolong|chain too long|entries per bucket|per bucket|hash collisions|"
        "hash table*too small|hashsize*too small",
    )
    clues.said(
        0.35,
        "CPU is spent in conntrack lookups",
        "__nf_conntrack_find|nf_conntrack_tuple_taken|nf_conntrack_find_get|____nf_conntrack_find|softirq*conntrack",
    )
    if clues:
        yield clues.finding("raise-hashsize", "raise-max", "persist-config")


@rule("memory-pressure", needs=("log", "text"))
def no_memory_for_entries(case: Case) -> Iterator[Finding]:
    """Fires where the hash or entries could not be allocated as asked.

    Not table-undersized: the limit is not the obstacle. ``falling back to vmalloc`` alone is harmless, and is said to
    be.
    """
    clues = Clues(case, "memory-pressure")
    vmalloc = case.log("vmalloc")
    if vmalloc:
        clues.add(
            0.8,
            "the hash table could not be had in one piece and was taken from vmalloc, which works and is only slower "
            "to set up",
            vmalloc[0].origin,
        )
    allocation = case.log("page-allocation")
    if allocation:
        clues.add(0.55, "the kernel failed to allocate pages", allocation[0].origin)
        if any("conntrack" in line.origin.text for line in allocation) or case.said(
            "nf_conntrack_alloc|init_conntrack"
        ):
            clues.add(0.5, "the failed allocation was for a connection-tracking entry", allocation[0].origin)
    clues.said(
        0.6,
        "memory for the table could not be had",
        "can't alloc conntrack|cannot alloc conntrack|can't alloc*conntrack|conntrack: cannot alloc|nf_conntrack_alloc|"
        "cannot allocate memory*conntrack|unable to allocate*conntrack|nf_conntrack*cannot allocate|"
        "conntrack*cannot allocate memory|can't allocate*conntrack|nf_conntrack: unable to|"
        "slub: unable to allocate*conntrack|kmem_cache*nf_conntrack*out of memory|hashsize*cannot allocate memory",
    )
    if not clues:
        return
    if vmalloc and not allocation and fullness(case).state == "yes":
        clues.against(0.3)  # harmless beside a table that refuses entries
    kubernetes = case.said("kube-proxy|kubernetes|k8s")
    memory = next(case.of(Memory), None)
    if memory is not None and memory.total_bytes and memory.total_bytes < 128 << 20:
        clues.add(0.3, "the machine has very little memory", memory.origin)
    fixes = ("configure-kube-proxy", "none") if kubernetes else ("none", "shorten-timeouts")
    yield clues.finding(*fixes, severity="info" if vmalloc else "degraded")
