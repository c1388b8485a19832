"""How high a limit may go, whether raising it is right at all, and what brings the need down instead.

The trap: a number is always found, also where it is the wrong answer. A flood, a leak or one talker fills any limit, so
what the entries at the peak are is judged before the limit is worked out, and said before it.
"""

from collections.abc import Sequence
from math import ceil

from msgspec import Struct

from tablefull.fixes import timeout_choice as choice
from tablefull.fixes.sizing_plans import COSTLIEST_ENTRY_BYTES
from tablefull.kernel import sizing
from tablefull.kernel.identity import KernelVersion
from tablefull.live.plan_values import Change, Idle, Measured, Study
from tablefull.rules.timeouts import ENOUGH_ROWS
from tablefull.rules.traffic import TALKER_SHARE
from tablefull.twin.planning import Headroom, headroom, is_rising

FLOOD_SHARE = 0.5  # half open or unanswered
LASTING_S = 3600  # a timeout from which on idle entries outlive any evidence that is usually there
SILENT_S = 60  # nothing was heard for a minute: idle, and no burst between two requests
PORT_SHARE = 0.1  # of the entries at the peak: a service that is worth exempting
MOST_TIMEOUTS, MOST_PORTS = 3, 2
_HALF_OPEN = ("tcp SYN_SENT", "tcp SYN_RECV", "tcp SYN_SENT2")


class Given(Struct, frozen=True, kw_only=True):
    """What the answer has to fit. ``limit`` 0: there is none; None: not known."""

    kernel: KernelVersion | None
    limit: int | None = None
    buckets: int | None = None
    ram_bytes: int | None = None
    growth: float = 2.0
    quantile: float = 0.999
    acct: bool | None = None


class Wrong(Struct, frozen=True, kw_only=True):
    """A reason why a higher limit is not the answer: a cause of the taxonomy, and what shows it."""

    cause: str
    why: str
    instead: str


class Option(Struct, frozen=True, kw_only=True):
    """One way: what was measured, what limit it needs, what that costs, and which protection is lost."""

    change: Change
    peak: int
    level: int | None
    need: int
    room: Headroom
    buckets: int
    full_bytes: int
    refused: int | None
    evicted: int | None
    lost: str


def entry_bytes(given: Given) -> int:
    """Bytes of one entry; of the costliest usual one where the kernel is not known."""
    return sizing.entry_bytes(given.kernel, extension=given.acct).value or COSTLIEST_ENTRY_BYTES


def full_bytes(given: Given, limit: int, buckets: int) -> int:
    """Memory of a table of that limit when it is full."""
    return limit * entry_bytes(given) + buckets * sizing.bucket_bytes(given.kernel)


def candidates(study: Study) -> list[Change]:
    """What is worth trying, by what the entries near the peak are and how long they were silent."""
    sampled = sum(one.entries for one in study.idle)
    classes = [_class(one) for one in study.idle if one.name in choice.LADDERS]
    chosen = choice.chosen_of(classes, sampled)[:MOST_TIMEOUTS]
    tried = [(one.name, one.after_s) for one in chosen]
    lasting = _silent_lasting(study.idle)
    if lasting and lasting.name not in dict(tried):
        tried.append((lasting.name, choice.LADDERS[lasting.name][-1]))
    found = [shorter([one]) for one in tried]
    if len(tried) > 1:
        found.append(shorter(tried))
    held = study.held
    if held is not None and held.count >= ENOUGH_ROWS:
        for port, count in held.ports[:MOST_PORTS]:
            if count >= PORT_SHARE * held.count and not port.startswith("protocol "):
                found.append(Change(id="notrack", label=f"notrack {port}", port=port))
        source, count = held.sources[0] if held.sources else ("", 0)
        if count >= TALKER_SHARE * held.count:
            found.append(Change(id="rate-limit-or-block-source", label=f"without {source}", source=source))
    return found


def _class(one: Idle) -> choice.Class:
    return choice.Class(name=one.name, timeout_s=one.timeout_s, entries=one.entries, idle_s=list(one.idle_s))


def shorter(settings: Sequence[tuple[str, int]]) -> Change:
    """These timeouts, by their full names, in seconds."""
    label = ", ".join(f"{short(name)}={seconds}" for name, seconds in settings)
    return Change(id="shorten-timeouts", label=label, sysctls={name: str(value) for name, value in settings})


def short(name: str) -> str:
    """A timeout's name without what all of them begin with."""
    return name.removeprefix("nf_conntrack_").replace("_timeout", "", 1)


def _silent_lasting(idle: Sequence[Idle]) -> Idle | None:
    """The long timeout under which a tenth of all entries lies silent."""
    total = sum(one.entries for one in idle)
    for one in sorted(idle, key=lambda each: -each.entries):
        if one.timeout_s > LASTING_S and one.name in choice.LADDERS and one.timeout_s > choice.LADDERS[one.name][-1]:
            silent = sum(seconds >= SILENT_S for seconds in one.idle_s)
            if silent >= PORT_SHARE * total:
                return one
    return None


def judged(study: Study) -> list[Wrong]:
    """Why a higher limit would not be the answer, most telling first; empty where nothing speaks against it."""
    held, found = study.held, list[Wrong]()
    if held is None or held.count < ENOUGH_ROWS:
        return found
    source, by_source = held.sources[0] if held.sources else ("", 0)
    target, by_target = held.destinations[0] if held.destinations else ("", 0)
    half_open = sum(count for state, count in held.states if state in _HALF_OPEN)
    unanswered = max(half_open, held.unreplied)
    talker = by_source >= TALKER_SHARE * held.count
    if talker and by_target < TALKER_SHARE * held.count:
        found.append(
            Wrong(
                cause="scan-or-p2p",
                why=f"{source} alone holds {by_source} of {held.count} entries at the peak"
                f" ({by_source / held.count:.0%}), and no destination holds half of them",
                instead="find out what it does and limit it there; where it is this host itself (a proxy, a resolver),"
                " this is its own load",
            )
        )
    elif unanswered >= FLOOD_SHARE * held.count:
        what = "half open" if half_open >= held.unreplied else "unanswered"
        found.append(
            Wrong(
                cause="syn-flood-or-ddos",
                why=f"{unanswered} of {held.count} entries at the peak are {what} ({unanswered / held.count:.0%})"
                + (f", {by_source} of them from {source}" if talker else ", from many sources"),
                instead="drop it before it is tracked (synproxy, a rate limit in the raw table); where answers take"
                " another way than through here, that is why, and a higher limit only stores more of them",
            )
        )
    elif talker:
        found.append(
            Wrong(
                cause="app-connection-loop",
                why=f"{source} alone holds {by_source} of {held.count} entries at the peak"
                f" ({by_source / held.count:.0%}), {by_target} of all go to {target}",
                instead="ask what it opens so many connections for; where it is a proxy or this host itself, this is"
                " its own load",
            )
        )
    lasting = _silent_lasting(study.idle)
    if lasting is not None and rising(study.base):
        silent = sum(seconds >= SILENT_S for seconds in lasting.idle_s)
        found.append(
            Wrong(
                cause="long-established-timeout",
                why=f"the table was still rising when the evidence ended, and {silent} of"
                f" {sum(one.entries for one in study.idle)} entries lay silent for a minute or more under"
                f" {short(lasting.name)} = {lasting.timeout_s} s: a leak, or peers that went away",
                instead="shorten that timeout and find who does not close; a higher limit fills later",
            )
        )
    return found


def rising(one: Measured) -> bool:
    """Whether it had not levelled off when the evidence ended."""
    return is_rising(one.middle, one.end, one.peak)


def option(one: Measured, given: Given, spread: float | None, limit: int | None, leak: bool) -> Option:
    """What one run needs and costs. A table that was still rising needs what its rate and lifetimes come to; a leak
    comes to nothing that could be planned for, so its level is told and not added.
    """
    level = ceil(one.little.product) if one.little is not None else None
    grows = rising(one) and level is not None and level > one.peak
    need = max(one.peak, level) if grows and level is not None and not leak else one.peak
    room = headroom(need, given.growth, given.quantile, spread)
    buckets = sizing.recommended_buckets(room.limit, given.kernel).value or room.limit
    refused = one.refused
    if refused is None and limit is not None and (not limit or one.peak <= limit):
        refused = 0
    return Option(
        change=one.change,
        peak=one.peak,
        level=level if rising(one) else None,
        need=need,
        room=room,
        buckets=buckets,
        full_bytes=full_bytes(given, room.limit, buckets),
        refused=refused,
        evicted=one.evicted,
        lost=lost(one.change),
    )


def lost(change: Change) -> str:
    """Which protection goes with it."""
    if change.source is not None:
        return f"{change.source} is refused or slowed"
    if change.exempts is not None:
        return "no NAT and no stateful rule for it: both directions need an accept of their own"
    told = [_lost_by(name, int(value)) for name, value in change.sysctls.items() if value.isdigit()]
    return "; ".join(dict.fromkeys(one for one in told if one)) or "none"


def _lost_by(name: str, seconds: int) -> str:
    what = short(name)
    if what == "tcp_established":
        keep = "with keepalive (7875 s) safe" if seconds > 7875 else "also with keepalive"
        return f"TCP idle for more than {seconds} s loses NAT and ESTABLISHED ({keep})"
    if what in ("tcp_time_wait", "tcp_fin_wait", "tcp_last_ack", "tcp_close"):
        return "none that matters: late segments of closed connections are INVALID"
    if what in ("tcp_syn_sent", "tcp_syn_recv", "tcp_syn_sent2"):
        return f"an opening answered after {seconds} s fails"
    if what == "tcp_close_wait":
        return f"a half-closed connection silent for {seconds} s is cut"
    if what.startswith("udp"):
        return f"a UDP peer silent for more than {seconds} s is a stranger"
    return f"what is silent for more than {seconds} s is a stranger"
