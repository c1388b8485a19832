"""The numbers behind a diagnosis, each with its working shown: loss, uptime, limit, memory, Little's law, listing
counters.

The trap: a computed number looks as solid as a read one. Every reckoning therefore names its inputs' lines and its
basis, and nothing is computed from an input that was not seen.
"""

from collections.abc import Iterator

from msgspec import Struct

from tablefull.facts.claims import Claim
from tablefull.facts.host import Slab
from tablefull.facts.kernel_log import LogLine
from tablefull.facts.origin import Basis, Origin
from tablefull.facts.ruleset import FwChain
from tablefull.facts.settings import Setting
from tablefull.facts.snapshot import HostFacts
from tablefull.kernel import ratelimit, sizing
from tablefull.kernel.messages import SHARES_RATE_LIMIT
from tablefull.kernel.timeouts import shipped_s
from tablefull.rules.case import Case
from tablefull.rules.clues import host_of
from tablefull.rules.fullness import RECENT_S, fullness
from tablefull.rules.sizing import SHIPPED_LIMITS

SMALL_DOM0_BYTES = 1 << 30  # Dom0 is usually given 0.5 to 1 GiB, so a table's memory is measured against that
HANDSHAKE_BYTES = (40, 64)  # IPv4 TCP segment without data: 40 bytes, 52 with timestamps, 60 with a SYN's options
RECENT_PACKETS = 5_000_000  # half a day of the busiest service in the reports seen; more says nothing about "recently"
_ENTRY_MAKERS = ("hit", "request", "query", "connection", "message", "packet")  # each can be an entry of its own
_UNITS_S = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (0.0, "s"))
FEW_LINES = 2  # so few lines are what somebody copied, not what a log holds
_TIMEOUTS = ("syn_recv", "fin_wait", "time_wait", "close_wait", "established")


class Reckoning(Struct, frozen=True):
    """One computed number. ``value`` in ``unit``; ``how`` is the working in a sentence."""

    what: str
    value: float
    unit: str
    how: str
    basis: Basis
    host: str
    evidence: tuple[Origin, ...] = ()


class Loss(Struct, frozen=True):
    """Refused packets: certain at least, and estimated over ``window_s``. Rates are None where no time is known."""

    dropped_packets_min: int
    dropped_packets_estimate: int
    window_s: float | None
    rate_per_s: float | None
    how: str
    basis: Basis
    evidence: tuple[Origin, ...] = ()


def quantity(number: float) -> str:
    """A number a person reads at once: three figures, thousands separated."""
    if number >= 1000:
        return f"{number:,.0f}"
    return f"{number:.0f}" if number >= 100 or number == int(number) else f"{number:.3g}"


def duration(seconds: float) -> str:
    """A time in its natural unit: ``3.7 h``."""
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def mebibytes(amount: float) -> str:
    """Bytes in MiB or GiB."""
    return f"{amount / (1 << 30):.1f} GiB" if amount >= 1 << 30 else f"{amount / (1 << 20):.0f} MiB"


def loss(case: Case) -> Loss | None:
    """What the log lines say about refused packets; the ``drop`` counter where only that was seen; None where neither
    was.
    """
    for host in case.hosts:
        lines = [line for line in host.of(LogLine) if not line.quoted]
        estimate = _estimate(case, lines)
        if estimate is not None:
            evidence = tuple(line.origin for line in lines if line.kind in ("table-full", "suppressed"))[:6]
            exact = estimate.dropped_estimate == estimate.dropped_min
            typed = " ".join(one.text for one in host.typed)
            excerpt = exact and (len(evidence) <= FEW_LINES or any(word in typed for word in ("tail", "head", "grep")))
            floor = exact and estimate.undercounts and not estimate.exact
            basis: Basis = "unknown" if floor else "shown" if exact else "version" if case.kernel else "unknown"
            how = estimate.how
            if excerpt:
                seen = "1 line" if estimate.dropped_min == 1 else f"{estimate.dropped_min} lines"
                how = f"{seen} shown, each one packet for certain; an excerpt does not show how many more there were"
                basis = "unknown"
            return Loss(
                estimate.dropped_min,
                estimate.dropped_estimate,
                None if excerpt else estimate.window_s,
                None if excerpt else estimate.rate_per_s,
                how,
                basis,
                evidence,
            )
    drops = case.counters.get("drop")
    if drops and fullness(case).state == "yes":
        return Loss(
            drops,
            drops,
            None,
            None,
            f"the drop counter, summed over the CPUs shown, is {drops}; it counts since boot, and other refusals too",
            "shown",
            case.counter_origins,
        )
    return None


def rate_of_last_burst(case: Case) -> float | None:
    """Packets refused a second since the kernel was last quiet for a while; None where no time is known.

    A log may hold the incident of yesterday too: over both, the rate would be that of neither.
    """
    found: list[float] = []
    for host in case.hosts:
        lines = [line for line in host.of(LogLine) if not line.quoted]
        begin, before = 0, None
        for number, line in enumerate(lines):
            at = None if line.stamp is None else line.stamp.uptime_s
            if at is not None:
                if before is not None and abs(at - before) > RECENT_S:
                    begin = number
                before = at
        estimate = _estimate(case, lines[begin:])
        if estimate is not None and estimate.rate_per_s:
            found.append(estimate.rate_per_s)
    return max(found, default=None)


def _estimate(case: Case, lines: list[LogLine]) -> ratelimit.Estimate | None:
    events: list[ratelimit.Event] = []
    algorithm = None
    clock: float | None = None
    for line in lines:
        if line.stamp is not None:
            clock = line.stamp.uptime_s if line.stamp.uptime_s is not None else line.stamp.epoch_s
        when = clock if line.stamp is not None else None
        if line.kind == "table-full":
            events.append((when, "printed", line.repeated))
        elif line.kind == "suppressed" and line.number is not None:
            events += [(when, "suppressed", line.number)] * line.repeated
            algorithm = algorithm or ratelimit.algorithm_of(line.origin.text)
        elif line.kind in SHARES_RATE_LIMIT:
            events.append((when, "other", line.repeated))
    cost = case.number("net.core.message_cost", "shown")
    burst = case.number("net.core.message_burst", "shown")
    return ratelimit.estimate(
        events,
        case.kernel,
        algorithm=algorithm,
        interval_s=float(cost) if cost is not None else ratelimit.INTERVAL_S,
        burst=burst if burst is not None else ratelimit.BURST,
    )


def reckon(case: Case) -> list[Reckoning]:
    """Every number that the evidence allows, in the order a person would ask for them."""
    return [
        *_uptime(case),
        *_limit(case),
        *_occupancy(case),
        *_chains(case),
        *_memory(case),
        *_littles_law(case),
        *_listing_counters(case),
        *_composition(case),
    ]


def _uptime(case: Case) -> Iterator[Reckoning]:
    for host in case.hosts:
        stamped = [
            (line.stamp.uptime_s, line.origin)
            for line in host.of(LogLine)
            if line.stamp and line.stamp.uptime_s is not None
        ]
        if stamped:
            uptime_s, origin = stamped[-1]
            how = f"the stamp {uptime_s:.0f} s is {duration(uptime_s)} after boot"
            size, unit = next(one for one in _UNITS_S if uptime_s >= one[0])
            yield Reckoning("uptime", uptime_s / (size or 1.0), unit, how, "shown", host.name, (origin,))


def _occupancy(case: Case) -> Iterator[Reckoning]:
    """Each host's count over its own limit."""
    for host, count, limit in case.readings:
        lines = [one for one in host.of(Setting) if one.name in ("nf_conntrack_count", "nf_conntrack_max")]
        how = f"{quantity(count)} of {quantity(limit)} entries are in use"
        evidence = tuple(one.origin for one in lines[:2])
        yield Reckoning("occupancy", 100 * count / limit, "%", how, "shown", host.name, evidence)


def _limit(case: Case) -> Iterator[Reckoning]:
    limit = case.max
    if limit is not None and limit.number == 0:
        how = "0 means no limit at all, up to 6.18; from 6.19 on it is refused"
        yield Reckoning("limit", 0, "entries", how, "version", host_of(case, limit.origin), (limit.origin,))
    if limit is None or not limit.number:
        return
    number, host = limit.number, host_of(case, limit.origin)
    default = sizing.default_max(case.memory_bytes, case.kernel) if case.memory_bytes else None
    if default is not None and default.value:
        relation = (
            "is this kernel's own default"
            if default.value == number
            else f"was set by somebody: this kernel would choose {quantity(default.value)}"
        )
        yield Reckoning(
            "limit against default",
            number / default.value,
            "times",
            f"{quantity(number)} {relation} for {mebibytes(case.memory_bytes or 0)} of memory",
            default.basis,
            host,
            (limit.origin,),
        )
    else:
        own = sizing.max_is_default(number, None, case.kernel)
        if number in SHIPPED_LIMITS:
            how = f"{quantity(number)} is a value that a kernel, kube-proxy or a firmware sets by itself"
            yield Reckoning("limit", number, "entries", how, own.basis, host, (limit.origin,))
        elif own.value is False:
            parts = _as_sum(number)
            yield Reckoning(
                "limit",
                number,
                "entries",
                f"{quantity(number)} is no kernel's default for any memory size: somebody set it"
                + (f" ({parts})" if parts else ""),
                own.basis,
                host,
                (limit.origin,),
            )
        elif own.value:
            yield Reckoning(
                "limit",
                number,
                "entries",
                f"{quantity(number)} is a value the kernel computes by itself; nobody need have chosen it",
                own.basis,
                host,
                (limit.origin,),
            )


def _as_sum(number: int) -> str:
    """``1048576 + 500000`` for a limit that is a power of two and a round decimal on top; empty for any other."""
    for exponent in range(25, 13, -1):
        rest = number - (1 << exponent)
        if rest > 0 and rest % 10_000 == 0:
            return f"{1 << exponent} + {rest}"
    return ""


def _chains(case: Case) -> Iterator[Reckoning]:
    limit = case.max
    buckets = case.setting("nf_conntrack_buckets", "shown", "stated") or case.setting("hashsize", "shown", "stated")
    if limit is not None and limit.number and buckets is not None and buckets.number:
        mean = sizing.chain_mean(limit.number, buckets.number)
        yield Reckoning(
            "mean chain when full",
            mean,
            "nodes",
            f"2 x {quantity(limit.number)} nodes over {quantity(buckets.number)} buckets",
            "shown",
            host_of(case, limit.origin),
            (limit.origin, buckets.origin),
        )


def _memory(case: Case) -> Iterator[Reckoning]:
    limit = case.max
    for host in case.hosts:
        caches = (one for one in host.of(Slab) if one.name in ("nf_conntrack", "ip_conntrack") and one.object_bytes)
        slab = next(caches, None)
        if slab is not None and slab.object_bytes:
            how = (
                f"{quantity(slab.active)} of {quantity(slab.total)} objects of {slab.object_bytes} bytes are in use: "
                f"{mebibytes(slab.total * slab.object_bytes)}"
            )
            yield Reckoning("entries in the slab", slab.active, "entries", how, "shown", host.name, (slab.origin,))
    if limit is None or not limit.number:
        return
    buckets = (
        case.number("nf_conntrack_buckets", "shown")
        or sizing.recommended_buckets(limit.number, case.kernel).value
        or limit.number // 4
    )
    whole = sizing.table_bytes(limit.number, buckets, case.kernel)
    if whole.value:
        against = ""
        if case.memory_bytes:
            against = f", {whole.value / case.memory_bytes:.0%} of the machine's memory"
        elif any(host.role == "dom0" for host in case.hosts) or case.said("dom0|xen"):
            against = (
                f", against a Dom0 that usually has {mebibytes(SMALL_DOM0_BYTES / 2)} to {mebibytes(SMALL_DOM0_BYTES)}"
            )
        yield Reckoning(
            "memory when full",
            whole.value / (1 << 20),
            "MiB",
            f"{quantity(limit.number)} entries of {whole.value // limit.number} bytes (buckets included) take "
            f"{mebibytes(whole.value)}{against}",
            whole.basis,
            host_of(case, limit.origin),
            (limit.origin,),
        )


def _littles_law(case: Case) -> Iterator[Reckoning]:
    """entries = rate x lifetime, solved for the lifetime, and compared with the timeouts that could explain it."""
    limit = case.max
    if limit is None or not limit.number:
        return
    for claim in case.of(Claim):
        if claim.per_s is None or claim.quantity not in _ENTRY_MAKERS or claim.per_s <= 0:
            continue
        needed_s = limit.number / claim.per_s
        explains: list[str] = []
        cannot: list[str] = []
        for state in _TIMEOUTS:
            name = f"nf_conntrack_tcp_timeout_{state}"
            seconds = (
                case.number(name, "shown", "stated")
                or shipped_s(name, case.kernel).value
                or shipped_s(name, None).value
            )
            if seconds:
                (explains if seconds >= needed_s else cannot).append(f"{state.upper()} {duration(seconds)}")
        verdict = (f"; {', '.join(cannot)} cannot fill it" if cannot else "") + (
            f"; {', '.join(explains)} can" if explains else "; no TCP timeout explains that"
        )
        yield Reckoning(
            "lifetime needed",
            needed_s,
            "s",
            f"{quantity(claim.value)} {claim.quantity}s stated are {quantity(claim.per_s)} a second; with one entry "
            f"each, {quantity(limit.number)} entries need {duration(needed_s)} a piece{verdict}"
            + ("; otherwise the entries come from a second source" if needed_s > 600 else ""),
            "unknown",
            host_of(case, claim.origin),
            (claim.origin, limit.origin),
        )
        steady = claim.per_s * 120
        yield Reckoning(
            "entries from that load in TIME_WAIT",
            steady,
            "entries",
            f"{quantity(claim.per_s)} a second x 120 s of TIME_WAIT hold {quantity(steady)} entries, "
            f"{steady / limit.number:.1%} of the limit",
            "unknown",
            host_of(case, claim.origin),
            (claim.origin, limit.origin),
        )
        break


def _listing_counters(case: Case) -> Iterator[Reckoning]:
    rate = next((claim.per_s for claim in case.of(Claim) if claim.per_s and claim.quantity in _ENTRY_MAKERS), None)
    for host in case.hosts:
        yield from _packets_per_entry(host, rate)


def _packets_per_entry(host: HostFacts, rate_per_s: float | None) -> Iterator[Reckoning]:
    """nat sees the first packet of an entry only, so its policy counters count entries and the filter's count
    packets.
    """
    chains: dict[tuple[str | None, str], FwChain] = {}
    for chain in host.of(FwChain):
        if chain.packets is not None and chain.tool.startswith("iptables"):
            chains.setdefault((chain.table or "filter", chain.chain), chain)
    pre, post = chains.get(("nat", "PREROUTING")), chains.get(("nat", "POSTROUTING"))
    forward, inward, outward = (chains.get(("filter", name)) for name in ("FORWARD", "INPUT", "OUTPUT"))
    if pre is None or not pre.packets:
        return
    if pre.bytes:
        mean = pre.bytes / pre.packets
        kind = (
            "the size of a TCP handshake segment without data"
            if HANDSHAKE_BYTES[0] <= mean <= HANDSHAKE_BYTES[1]
            else "more than a bare handshake segment"
        )
        yield Reckoning(
            "mean first packet",
            mean,
            "bytes",
            f"{quantity(pre.bytes)} bytes over {quantity(pre.packets)} first packets in nat PREROUTING: {kind}",
            "shown",
            host.name,
            (pre.origin,),
        )
    through = (
        forward
        if forward is not None and forward.packets and forward.packets > (inward.packets or 0 if inward else 0)
        else inward
    )
    if through is not None and through.packets:
        yield Reckoning(
            "packets an entry",
            through.packets / pre.packets,
            "packets",
            f"filter {through.chain} saw {quantity(through.packets)} packets while nat PREROUTING saw "
            f"{quantity(pre.packets)} first packets",
            "shown",
            host.name,
            (through.origin, pre.origin),
        )
    if forward is not None and inward is not None and outward is not None:
        passing, own = forward.packets or 0, (inward.packets or 0) + (outward.packets or 0)
        does = (
            "passes packets for others (it forwards or bridges)"
            if passing > own
            else "talks itself and forwards nothing"
            if passing == 0
            else "both talks itself and forwards"
        )
        yield Reckoning(
            "forwarded share",
            100 * passing / max(passing + own, 1),
            "%",
            f"FORWARD {quantity(passing)} packets against {quantity(own)} of its own: this host {does}",
            "shown",
            host.name,
            (forward.origin, inward.origin),
        )
    if post is not None and post.packets and pre.packets < RECENT_PACKETS:
        since = (
            f": at the stated {quantity(rate_per_s)} a second, {duration(pre.packets / rate_per_s)} ago"
            if rate_per_s
            else ""
        )
        yield Reckoning(
            "first packets since the table exists",
            pre.packets,
            "packets",
            f"nat has counted only {quantity(pre.packets)} first packets, so the table was registered, or its counters "
            f"set to zero, recently{since}",
            "shown",
            host.name,
            (pre.origin, post.origin),
        )


def _composition(case: Case) -> Iterator[Reckoning]:
    for host, table in case.compositions:
        rows = table.rows
        if rows < 5:
            continue
        for what, tally in (
            ("state", table.by_state),
            ("protocol", table.by_l4proto),
            ("source", table.by_source),
            ("port", table.by_dport),
        ):
            if not tally:
                continue
            name, count = tally.most_common(1)[0]
            yield Reckoning(
                f"largest {what}",
                100 * count / rows,
                "%",
                f"{name}: {quantity(count)} of {quantity(rows)} listed entries",
                "shown",
                host.name,
                (table.first,),
            )
        yield Reckoning(
            "unreplied",
            100 * table.unreplied / rows,
            "%",
            f"{quantity(table.unreplied)} of {quantity(rows)} listed entries never saw a reply",
            "shown",
            host.name,
            (table.first,),
        )
        if table.remaining_over_3600_s:
            yield Reckoning(
                "more than an hour left",
                100 * table.remaining_over_3600_s / rows,
                "%",
                f"{quantity(table.remaining_over_3600_s)} of {quantity(rows)} listed entries",
                "shown",
                host.name,
                (table.first,),
            )
