"""From a snapshot to a diagnosis: verdict, loss, causes, fixes, what to ask next, what was not read.

The value a view renders; its JSON form is the contract of DESIGN section 3 (``tablefull/diagnosis/1``, additions only).
"""

from msgspec import Struct

from tablefull import __version__
from tablefull.facts.claims import Claim
from tablefull.facts.host import Distribution, KernelRelease, Uptime
from tablefull.facts.modules import Module
from tablefull.facts.origin import Hole
from tablefull.facts.ruleset import FwRule
from tablefull.facts.settings import Setting
from tablefull.facts.snapshot import HostFacts, Snapshot, Unread
from tablefull.fixes import catalog
from tablefull.fixes.plan import Plan, Situation
from tablefull.fixes.situation import situation
from tablefull.kernel.identity import KernelVersion, parse_release
from tablefull.kernel.sizing import recommended_buckets
from tablefull.rules.arithmetic import Loss, Reckoning, duration, loss, quantity, rate_of_last_burst, reckon
from tablefull.rules.case import Case
from tablefull.rules.engine import FILLERS, RESIDUAL, Outcome, run
from tablefull.rules.finding import SEVERITIES, Ask, Finding, Severity
from tablefull.rules.fullness import RECENT_S, Fullness, fullness
from tablefull.rules.next_steps import next_steps

MAX_CAUSES = 6  # past these the confidences are noise
MAX_FIXES = 6
UNRELATED = "unrelated"  # the look-alike that stands for "not a word about tracking"
RIVAL = 0.5  # a cause with less of the first one's confidence brings no fixes of its own
CLEAR_OF_FIRST = 0.35  # a cause with less than this share of the first one's confidence is not shown beside it


class HostView(Struct, frozen=True):
    """One machine as it was understood. ``facts`` are the settings in force and other plain values by name."""

    name: str
    role: str
    kernel: str | None
    distribution: str | None
    facts: dict[str, int | str]


class Diagnosis(Struct, frozen=True):
    """Everything a person or a program is told. Causes and fixes stand best first."""

    full: Fullness
    severity: Severity
    headline: str
    hosts: tuple[HostView, ...]
    loss: Loss | None
    causes: tuple[Finding, ...]
    fixes: tuple[Plan, ...]
    ask_next: tuple[Ask, ...]
    arithmetic: tuple[Reckoning, ...]
    unread: tuple[Unread, ...]
    holes: tuple[Hole, ...]
    outcomes: tuple[Outcome, ...]
    seen_anything: bool
    live: bool
    tool: str = __version__


def diagnose(snapshot: Snapshot) -> Diagnosis:
    """The diagnosis of one snapshot. Pure: the same snapshot gives the same answer."""
    case = Case(snapshot)
    verdicts = run(case)
    full = fullness(case)
    causes = _best(verdicts.findings)
    plans = _plans(case, causes)
    severity = _severity(full, causes)
    lost = loss(case)
    return Diagnosis(
        full=full,
        severity=severity,
        headline=headline(full, causes, lost, case, live=snapshot.live),
        hosts=tuple(_host_view(host) for host in snapshot.hosts),
        loss=lost,
        causes=causes,
        fixes=plans,
        ask_next=next_steps(case, causes),
        arithmetic=tuple(reckon(case)),
        unread=tuple(snapshot.unread),
        holes=tuple(snapshot.holes),
        outcomes=verdicts.outcomes,
        seen_anything=full.state != "unknown"
        or any(cause.look_alike != UNRELATED for cause in causes)
        or any(not isinstance(fact, Claim | Uptime) for host in snapshot.hosts for fact in host.facts)
        or any(host.composition for host in snapshot.hosts),
        live=snapshot.live,
    )


def _best(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    kept: dict[str, Finding] = {}
    for one in findings:
        kept.setdefault(one.cause, one)
    ranked = sorted(kept.values(), key=lambda one: -one.confidence)[:MAX_CAUSES]
    return tuple(
        one
        for number, one in enumerate(ranked)
        if number < 3 or one.confidence >= CLEAR_OF_FIRST * ranked[0].confidence
    )


def _plans(case: Case, causes: tuple[Finding, ...]) -> tuple[Plan, ...]:
    """The first cause's fixes in its order, then what the next ones add, each once with every cause it answers."""
    wanted: dict[str, list[Finding]] = {}
    for cause in causes[:3]:
        if cause.confidence < RIVAL * causes[0].confidence:
            continue
        for fix in cause.fixes:
            wanted.setdefault(fix, []).append(cause)
    if not wanted:
        return ()
    if len(wanted) > 1 and causes[0].fixes[:1] != ("none",):
        wanted.pop("none", None)
    first = next(iter(wanted))
    plans = []
    for fix, answered in wanted.items():
        fitted: Situation = situation(case, answered[0])
        if fix != first and _beside_the_point(fix, fitted):
            continue
        plans.append(catalog.make(fix, fitted, tuple(cause.cause for cause in answered)))
        if len(plans) == MAX_FIXES:
            break
    return tuple(plans)


def _beside_the_point(fix: str, fitted: Situation) -> bool:
    """A further fix that this host has no use for: kube-proxy where there is none, buckets that are enough or
    unknown.
    """
    if fix == "configure-kube-proxy":
        return fitted.orchestrator != "kubernetes"
    if fix == "notrack" and fitted.orchestrator == "kubernetes":
        # a service address is translated, and translation needs the entry
        return fitted.cause not in ("unneeded-tracking", "half-open-or-asymmetric", "scan-or-p2p")
    if fix == "raise-hashsize":
        if fitted.buckets is None or fitted.max is None:
            return True
        return fitted.buckets >= (recommended_buckets(fitted.max, fitted.kernel).value or fitted.max)
    return False


def _severity(full: Fullness, causes: tuple[Finding, ...]) -> Severity:
    worst: Severity = "none"
    over = full.state == "yes" and full.now == "no"
    for cause in causes[:3]:
        if cause is causes[0] or cause.confidence >= 0.5:
            fills = cause.cause in FILLERS or cause.cause == RESIDUAL
            worst = max(worst, "info" if over and fills else cause.severity, key=SEVERITIES.index)
    if full.state == "yes" and not over:
        worst = max(worst, "degraded", key=SEVERITIES.index)
    return worst


_TABLES = {
    "kernel": "the connection-tracking table",
    "container": "a container's share of the connection-tracking table",
    "cilium": "Cilium's eBPF connection-tracking map",
}


def headline(full: Fullness, causes: tuple[Finding, ...], lost: Loss | None, case: Case, *, live: bool) -> str:
    """One sentence: is it full, is it bad, why most likely."""
    if full.state == "yes" and full.now != "yes" and full.ago_s is not None and full.ago_s > RECENT_S:
        was = f"{_TABLES[full.table]} was full until {duration(full.ago_s)} ago and new connections were refused"
        first = (
            f"Not now: {was}; {_held(case)}" if full.now == "no" else f"Yes: {was}; whether it still is was not seen"
        )
    elif full.state == "yes":
        first = f"Yes: {_TABLES[full.table]} is full and new connections are refused"
        rate = rate_of_last_burst(case) if lost is not None and lost.rate_per_s else None
        if rate is not None and rate >= 1:
            first += f", about {rate:.0f} packets a second"
    elif full.state == "no":
        first = f"No entry table is full {_where(case, live)}"
    else:
        first = "This evidence does not show whether an entry table is full"
    if not causes:
        return first + ("; no cause stands out." if full.state != "no" else ".")
    from tablefull.rules.meanings import CAUSES

    best = causes[0]
    if best.look_alike == UNRELATED:
        return "Nothing in this evidence speaks of connection tracking."
    if best.look_alike is not None and full.state != "yes":
        return f"{first}. What is shown is something else: {best.why.split('; ')[0]}."
    sure = "Most likely cause" if best.confidence >= 0.5 else "A possible cause"
    return f"{first}. {sure}: {CAUSES[best.cause].meaning}."


def _held(case: Case) -> str:
    """How full it was when it was looked at, after the kernel's last line."""
    if not case.readings:
        return f"it holds {case.occupancy or 0:.0%} of its limit"
    _, count, limit = max(case.readings, key=lambda one: one[1] / one[2])
    return f"it holds {quantity(count)} of {quantity(limit)} entries"


def _where(case: Case, live: bool) -> str:
    """Of what this is said: one namespace of a running host, all of them, or what somebody handed over."""
    if not live:
        return "in this evidence"
    names = [host.name for host in case.hosts]
    _, inside, key = names[0].partition(".netns.") if len(names) == 1 else ("", "", "")
    return f"in the network namespace {key}" if inside else "on this host"


def _host_view(host: HostFacts) -> HostView:
    facts: dict[str, int | str] = {}
    for one in host.of(Setting):
        if one.standing in ("shown", "stated"):
            facts.setdefault(one.name, one.number if one.number is not None else one.value)
    kernel = _kernel(host)
    named = next(iter(sorted(host.of(Distribution), key=lambda one: one.version is None)), None)
    if host.composition is not None:
        facts["listed_entries"] = host.composition.rows
    rules = sum(1 for _ in host.of(FwRule))
    if rules:
        facts["fw_rules"] = rules
    modules = sum(1 for _ in host.of(Module))
    if modules:
        facts["modules_listed"] = modules
    return HostView(
        host.name,
        host.role,
        kernel.release if kernel else None,
        f"{named.id} {named.version or ''}".strip() if named else None,
        facts,
    )


def _kernel(host: HostFacts) -> KernelVersion | None:
    release = next(host.of(KernelRelease), None)
    return parse_release(release.release) if release else None
