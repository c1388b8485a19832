"""Whether an entry table refused new entries in this evidence: yes, no, or unknown, and from what that follows.

The trap: many reports talk about a full table that was not full (a plugin's documentation, a fear, another table), and
several other limits print lines in the same style. Only an entry table counts: the kernel's, a container's share of
it, or an eBPF map.
"""

from typing import Literal

from msgspec import Struct

from tablefull.facts.counters import NetCounter
from tablefull.facts.host import Uptime
from tablefull.facts.kernel_log import LogLine
from tablefull.facts.origin import Basis, Origin
from tablefull.rules.case import Case

State = Literal["yes", "no", "unknown"]

# A count this close to the limit was refused entries a moment ago or will be in the next one: the count oscillates
# just under
# the limit while early drop and expiry free a few places.
AT_LIMIT = 0.985
CLEARLY_BELOW = 0.9
RECENT_S = (
    60.0  # the kernel prints in every 5 s in which it refuses (KERNEL.md section 3): twelve of those without a line
)
SMALL_LIMIT = 32768  # a router's limit that one peer-to-peer program or scanner reaches alone

_PRINTED = ("table-full", "ip-conntrack-max")
_STATED = (
    "conntrack_count*conntrack_max*practically the same|conntrack_count*conntrack_max*the same|"
    "count equals*conntrack_max|count is equal to*max|count and max*the same|count and max, are almost the same|"
    "conntrack_count*conntrack_max*equal|conntrack_count*equals*conntrack_max|count*has reached*conntrack_max|count "
    "goes up until it meets|count climbs until|count rises until|"
    ""
    "reach the number of connections that|number of tracked connections*reached|"
    "overflow the conntrack|overflows the conntrack|overflowing the conntrack|"
    "out of space in the conntrack|out of space in*conntrack table|conntrack table*full|conntrack "
    "tables*full|conntrack table*fills|conntrack table*filled|"
    "conntrack table*exhaust|conntrack table*overflow|conntrack*is full|conntrack was full|conntrack became full|"
    "conntrack full|conntrack exhaust|conntrack overflow|tracking table*full|tracking table*exhaust|"
    "tracking table*overflow|tracking table*fills|connection table is full|connection table*full|"
    "state table is full|nat table is full|table is full|table gets full|table full|table becomes full|"
    "table became full|filled the conntrack|filled*conntrack table|fills*conntrack table|fill*the conntrack table|"
    "reached*nf_conntrack_max|reaches*nf_conntrack_max|until it reaches*conntrack_max|hits*conntrack_max|"
    "hit*conntrack limit|hitting*conntrack limit|conntrack limit*reached|conntrack limit*hit|conntrack_max*reached|"
    "reached*conntrack limit|reaches*conntrack limit|limit of*conntrack*reached|conntrack*maxed out|"
    "exceed*conntrack_max|exceed*conntrack limit|exceeded*conntrack|ran out of conntrack|run out of conntrack|"
    "out of conntrack|conntrack entries*exhaust|tracked connections*reached the limit|"
    "ip_conntrack limit is reached|conntrack table reached|conntrack*saturated|conntrack*100%|"
    "connection tracking*exhaust|conntrack usage*100|connection table fills|connection table*overflow|"
    "conntrack*overflows|tables are*full|conntrack table is full|conntrack*runs full|conntrack*starts to drop|"
    "entries, then the kernel*drop|conntrack*dropped connections|conntrack*drops connections|"
    "conntrack*dropping packets|conntrack*dropping connections|conntrack*starts dropping|fills up*conntrack|"
    "conntrack*fills up|conntrack*filled|conntrack*filling up|limit*is filled|conntrack*used up|uses up*conntrack|"
    "eats up*conntrack|eating*conntrack table|consum*all*conntrack|conntrack entries*reach*limit|"
    "conntrack count*reach|count*runs away|max*is reached|maximum*is reached*conntrack|conntrack*at its limit|"
    "conntrack*at 100|conntrack table of*full|tabla de conntrack*llena|conntrack-tabelle*voll|"
    "table conntrack*pleine|переполн"
).split("|")  # fmt: skip
_HYPOTHETICAL = (
    " if | could| may | might| would| can | risk| avoid| prevent| close to| fear| before | whether| unlikely|"
    " in case| near| until | almost| wonder| instead of| look for| looking for| not | not yet|n't | should | will "
).split("|")  # fmt: skip
# Inside the phrase itself ("the table is not full") only what turns it round counts: "will", "until" and the like occur
# in true reports there.
_TURNED_ROUND = " not |n't | never | may | might | could | can | would | if | no longer | nowhere near".split("|")
_NOT_SEEN = (
    "not seen|not see |not see:|not see it|n't see|not find|n't find|not show|n't show|not appear|never see|never saw|"
    "no trace|if you see|if you get|if you find|would see|should see|might see|look for|looking for|watch for"
).split("|")  # fmt: skip
_OTHER_TABLES = (
    "expect|neigh|arp|ipset|set is full|hash is full|disk|backlog|queue|mac table|fdb|routing table|route|inode|"
    "partition|filesystem|accept|listen|quota|allowance|security group"
).split("|")  # fmt: skip
_EBPF = (
    "map insertion failed|cilium agent conntrack table full|cilium agent nat table full|conntrack map*full|"
    "ct map*full|cilium*ct*full|cilium*connection tracking map*full|cilium*map becomes full|fill the ct table|ct "
    "table*fills|cilium*conntrack table*full|lru*conntrack map*full|lru based conntrack map*full|map "
    "pressure*100%|map pressure*at 1.0|bpf*ct*full|cilium_ct*full|bpf "
    "conntrack*full|ct table*full|"
    "update ct*argument list too long|conntrack map*pressure*1"
).split("|")  # fmt: skip


class Fullness(Struct, frozen=True):
    """``table`` is kernel, container or cilium; ``printed`` where the kernel's own line was seen.

    ``now`` is whether it was still full when the evidence was collected, where that has a time of its own: ``ago_s``
    is how long before that the kernel printed its last line; None where one of the two has no stamp.
    """

    state: State
    how: str
    basis: Basis
    evidence: tuple[Origin, ...] = ()
    table: str = "kernel"
    printed: bool = False
    now: State = "unknown"
    ago_s: float | None = None


def fullness(case: Case) -> Fullness:
    """The verdict, computed once a case."""
    known = case.memo.get("fullness")
    if not isinstance(known, Fullness):
        known = _fullness(case)
        case.memo["fullness"] = known
    return known


def ebpf_refusals(case: Case) -> list[NetCounter]:
    """Cilium's numbers that say a connection map refused entries: its drop reason above 0, its pressure at 100 %."""
    return [
        one
        for one in case.of(NetCounter)
        if one.group == "cilium"
        and (
            (one.name.lower().endswith("map insertion failed") and one.value > 0)
            or (one.name.startswith("map pressure % cilium_ct") and one.value >= 100)
        )
    ]


def _fullness(case: Case) -> Fullness:
    cited = [line for kind in _PRINTED for line in case.log(kind)]
    lines = [line for line in cited if not _only_spoken_of(case, line)]
    if lines:
        printed = [line for line in lines if not line.quoted]
        vps = next(
            (
                line.origin
                for line in lines
                if " vps " in line.origin.text.lower() or "CT" in line.origin.text.split("table full")[0]
            ),
            None,
        )
        text = (
            "the kernel printed that it refused new entries" if printed else "the kernel's line is cited in the report"
        )
        ago_s = _ago_s(case) if printed else None
        return Fullness(
            "yes",
            text,
            "shown",
            tuple(line.origin for line in (printed or lines)[:4]),
            "container" if vps else "kernel",
            bool(printed),
            _now(case, ago_s),
            ago_s,
        )
    ebpf = next((one.origin for one in ebpf_refusals(case)), None) or case.said(*_EBPF)
    if ebpf is not None:
        return Fullness(
            "yes", "Cilium reports that its eBPF connection-tracking map refused an entry", "shown", (ebpf,), "cilium"
        )
    occupancy = case.occupancy
    if occupancy is not None and occupancy >= AT_LIMIT and case.max is not None:
        top = max(case.counts + case.listed, key=lambda reading: reading[0])
        return Fullness("yes", f"the count stood at {top[0]} of {case.max.number}", "shown", (top[1], case.max.origin))
    stated = None if cited else _stated(case)
    if stated is not None and (occupancy is None or occupancy >= CLEARLY_BELOW):
        return Fullness("yes", "the report says that the table was full", "unknown", (stated,))
    small = case.max
    if (
        small is not None
        and small.number is not None
        and 0 < small.number <= SMALL_LIMIT
        and (occupancy is None or occupancy >= CLEARLY_BELOW)
    ):
        hang = case.said(
            "hang|stops answering|line stops|freeze|no new|locks up|lock up|drops|stops passing|"
            "new connections fail|cannot open new|can't open new|stops working"
        )
        many = case.said(
            "opens many|many connections|emule|kademlia|torrent|p2p|thousands of connections|ipfs|peers|masscan|"
            "scan|dht|crawler|bitcoin"
        )
        if hang and many:
            return Fullness(
                "yes",
                f"a limit of {small.number} entries, very many connections, and new ones fail while it lasts",
                "unknown",
                (small.origin, hang, many),
            )
    if case.log("expectation-full"):
        return Fullness(
            "no",
            "the expectation table is full, which is another table",
            "shown",
            (case.log("expectation-full")[0].origin,),
        )
    if occupancy is not None and occupancy < CLEARLY_BELOW and case.max is not None:
        return Fullness("no", f"the highest count seen is {occupancy:.0%} of the limit", "shown", (case.max.origin,))
    drops = case.counters
    if drops and drops.get("drop") == 0 and drops.get("early_drop", 0) == 0:
        return Fullness("no", "drop and early_drop are 0 on every CPU shown", "shown", case.counter_origins)
    return Fullness("unknown", "neither the kernel's line nor count and limit together were seen", "unknown")


def _ago_s(case: Case) -> float | None:
    """How long before the collection the kernel last printed its line, by the one clock of both; None: not told."""
    found: list[float] = []
    for host in case.hosts:
        stamps = [one.stamp for one in host.of(LogLine) if one.kind in _PRINTED and not one.quoted]
        if not stamps:
            continue
        clock = next((one.uptime_s for one in host.of(Uptime)), None)
        printed = [stamp.uptime_s for stamp in stamps if stamp is not None and stamp.uptime_s is not None]
        if clock is None or len(printed) < len(stamps):
            return None
        found.append(max(0.0, clock - max(printed)))
    return min(found, default=None)


def _now(case: Case, ago_s: float | None) -> State:
    """Whether it is full at the moment of collecting: by the count, else by how long the kernel has been quiet."""
    if ago_s is None:
        return "unknown"
    if ago_s <= RECENT_S or (case.occupancy is not None and case.occupancy >= AT_LIMIT):
        return "yes"
    return "unknown" if case.occupancy is None else "no"


def _only_spoken_of(case: Case, line: LogLine) -> bool:
    """Whether a cited line is one that somebody does not see, or would, or saw before the table had room again."""
    if not line.quoted:
        return False
    if case.occupancy is not None and case.occupancy < CLEARLY_BELOW:
        return True
    text = line.origin.text.lower().replace("\u2019", "'")
    return any(words in text for words in _NOT_SEEN)


def _stated(case: Case) -> Origin | None:
    """The sentence that says an entry table was full, passing over fears, conditions and other tables."""
    text = case.text.replace("\n", " ")
    for phrase in _STATED:
        first, *rest = phrase.split("*")
        at = text.find(first)
        tries = 0
        while at >= 0 and tries < 40:
            tries += 1
            end = at + len(first)
            for part in rest:
                found = text.find(part, end, end + 60)
                end = found + len(part) if found >= 0 else -1
                if end < 0:
                    break
            inside = text[at:end] if end > 0 else ""
            if end > 0 and ". " not in inside and ": " not in inside and (at == 0 or not text[at - 1].isalnum()):
                before = text[max(0, at - 45) : at]
                before = before.replace(" can see", " see").replace("conntrack: ", "conntrack ")
                before = " " + before[max(before.rfind(stop) for stop in (". ", "; ", ": ", "? ")) + 1 :]
                window = before[-30:] + inside + text[end : end + 6]
                question = "?" in text[end : end + 3] or " not " in text[end : end + 10]
                if (
                    not any(word in before for word in _HYPOTHETICAL)
                    and not any(word in inside for word in _TURNED_ROUND)
                    and not any(word in window for word in _OTHER_TABLES)
                    and not question
                ):
                    return case.said(first + ("*" + "*".join(rest) if rest else ""), denied=True)
            at = text.find(first, at + 1)
    return None


# What a full table looks like from outside: the sender's EPERM (a drop verdict in LOCAL_OUT), and new connections that
# fail while those that exist go on.
_SYMPTOMS = (
    "sendto: operation not permitted|sendmsg: operation not permitted|send: operation not permitted|"
    "connect: operation not permitted|eperm|existing connections*continue|existing connections*keep working|"
    "existing connections*fine|existing connections go on|established connections*fine|open connections go on|"
    "already open*goes on|no new connection|new connections*fail|new connections*time out|new connections*refused|"
    "new connections*dropped|cannot open new|cannot establish new|can't open new|no new ones|new connections stall|"
    "attempt to connect*without an answer|drops new connections|new sessions fail"
)
_ABOUT = "conntrack|nf_ct|connection tracking|tracked connection|state table|nat table|netfilter|masquerade|snat|dnat"


def relevance(case: Case) -> float:
    """How far a cause that can fill the table is to the point here: 1 where it is full, less the less is said of it."""
    full = fullness(case)
    if full.state == "yes":
        return 1.0
    if case.occupancy is not None:
        return 0.9
    if case.said(_ABOUT):
        return 0.85
    if case.said(_SYMPTOMS):
        return 0.8
    return 0.85 if case.said("nat|iptables|router") else 0.5
