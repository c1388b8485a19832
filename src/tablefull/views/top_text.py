"""What the live view says, as lines of pieces: pure functions of what was seen, the width and the glyphs.

The trap: a screen that shows numbers invites trust in each of them. So a counter that this kernel does not move says
that, a value not seen says why, a share of a sample has its interval beside it, and no state is told by colour alone.
"""

import time
from collections.abc import Sequence

from tablefull.facts.origin import Hole
from tablefull.kernel.identity import KernelVersion
from tablefull.kernel.uapi import meaning
from tablefull.live.kmsg_tail import KernelLine
from tablefull.live.own_addresses import Key
from tablefull.live.pulse import COUNTERS, LOSSES, Frame, Rate
from tablefull.live.table import Made, Reading, interval
from tablefull.rules.arithmetic import quantity
from tablefull.twin.forecast import Forecast
from tablefull.views.terminal import columns, harmless, wrapped
from tablefull.views.top_chart import Glyphs, Line, bar, figure, spark
from tablefull.views.watch_text import foretold, span
from tablefull.views.wording import confidence
from tablefull.watch.gauge import SpaceSeen
from tablefull.watch.judge import Judged

WARNING_SHARE, CRITICAL_SHARE = 0.85, 0.95  # as in `tablefull check`
NOT_COUNTED = "not counted on this kernel"
# A person's words; the kernel's own are in kernel/uapi.py and in the pane of CPUs.
WORDS = {"delete": "destroyed"}
HARMS = frozenset((*LOSSES, "insert_failed", "early_drop"))


def head(host: str, place: str, kernel: str, every_s: float, wall_s: float, paused: bool, stale_s: float) -> Line:
    """The first line."""
    clock = time.strftime("%H:%M:%S", time.localtime(wall_s))
    pieces: list[tuple[str, str]] = [(" tablefull top ", "title"), (f" {clock}  ", ""), (harmless(host)[:20], "strong")]
    if place:
        pieces.append((f"  netns {harmless(place)[:24]}", "strong"))
    if paused:
        pieces.append(("  PAUSED, p goes on", "bad"))
    elif stale_s:
        pieces.append((f"  NO LOOK FOR {stale_s:.0f} s", "bad"))
    pieces.append((f"  every {every_s:g} s  Linux {harmless(kernel)[:24]}", "dim"))
    return tuple(pieces)


def occupancy(frame: Frame | None, width: int, glyphs: Glyphs) -> Line:
    """Count, limit, share and where that stands, a bar, and how fast it moves."""
    if frame is None:
        return ((" looking ...", "dim"),)
    if frame.count is None:
        return ((" the count cannot be seen: ", "bad"), (_holes(frame.holes), ""))
    net = "" if frame.net_per_s is None else f"{frame.net_per_s:+,.1f}/s net"
    if not frame.limit:
        known = "no limit is set (0)" if frame.limit == 0 else "the limit cannot be seen"
        return ((f" {frame.count:,} entries", "strong"), (f"  {known}  {net}", ""))
    share = frame.count / frame.limit
    word, style = standing(frame)
    text = f" {frame.count:,} of {frame.limit:,}  {share:.1%}  "
    tail = f"  {net}"
    room = width - columns(text) - columns(word) - columns(tail) - 5
    drawn = bar(share, min(room, 40), glyphs) if room >= 8 else ""
    # The bar in its own style: a reversed one would show the empty part as the full one.
    return ((text, "strong"), (word, style), ("  ", ""), (drawn, "curve"), (tail, ""))


def standing(frame: Frame) -> tuple[str, str]:
    """How full that is, in a word, with its style."""
    share = frame.share
    if share is None:
        return "UNKNOWN", "worth"
    if share >= 1:
        return "FULL", "worst"
    if share >= CRITICAL_SHARE:
        return "ALMOST FULL", "worst"
    if share >= WARNING_SHARE:
        return "HIGH", "bad"
    return "ok", "good"


def _holes(holes: Sequence[Hole]) -> str:
    if not holes:
        return ""
    first = holes[0]
    return harmless(f"{first.what}: {first.why}" + (f"; {first.remedy}" if first.remedy else ""))


def until(told: Forecast | None) -> Line:
    """Time to full."""
    if told is None:
        return ((" time to full: ", "dim"), ("not yet", "dim"))
    style = ""
    if told.kind == "fills" and told.median_s is not None:
        style = "worst" if told.median_s < 600 else "bad" if told.median_s < 7200 else ""
    return ((" time to full: ", "dim"), (foretold(told), style))


def verdict(judged: Judged | None, wall_s: float, judging: bool, failed: str, width: int) -> Line:
    """What ``diagnose`` says of this host, in one line."""
    if judged is None:
        text = "is looking at this host ..." if judging else f"failed: {harmless(failed)}" if failed else "has not run"
        return ((" diagnose: ", "dim"), (text, "dim"))
    when = time.strftime("%H:%M", time.localtime(wall_s))
    lead = f" diagnose {when}: "
    word, style = judged.severity.upper(), severity_style(judged.severity)
    if judged.severity == "none":
        word, style = ("CANNOT TELL", "bad") if judged.full == "unknown" else ("nothing found", "good")
    room = width - columns(lead) - columns(word) - 3
    text = harmless(judged.headline)
    # How full it is stands above; where the sentence does not fit, what it is about matters more than its beginning.
    if columns(text) > room and judged.causes:
        first, more = judged.causes[0], len(judged.causes) - 1
        text = f"{harmless(first.id)}: {confidence(first.sure)}" + (f", {more} more" if more else "")
    if judged.unseen and judged.severity == "none":
        text = f"{len(judged.unseen)} {'things' if len(judged.unseen) > 1 else 'thing'} not seen. {text}"
    return ((lead, "dim"), (word, style), ("  ", ""), (_cut(text, room), ""))


def severity_style(severity: str) -> str:
    """The style of a severity; its word stands beside it always."""
    return {"none": "good", "info": "worth", "degraded": "bad", "outage": "worst"}.get(severity, "")


def _cut(text: str, room: int) -> str:
    return text if columns(text) <= room else wrapped(text, max(8, room - 3))[0] + "..."


def _untimed(text: str) -> str:
    return text.partition("] ")[2] if text.startswith("[") else text


# -- rates


def rates(frame: Frame | None, told: Forecast | None, width: int, glyphs: Glyphs) -> list[Line]:
    """Each counter: per second, since the view began, and by CPU beside each other.

    What comes and goes is not counted from Linux 4.9 on (KERNEL.md 3.2): there it is what explains the count best.
    """
    room = max(0, width - 37)
    by_cpu = "by CPU" if room >= 6 else "CPUs" if room >= 4 else ""
    lines: list[Line] = [((f"{'':14}{'per s':>10}{'seen here':>11}  {by_cpu}", "dim"),)]
    if frame is None:
        return lines
    for rate in frame.rates:
        name = f"{WORDS.get(rate.name, rate.name):14}"
        about = _estimated(rate.name, frame, told)
        if rate.standing == "dead" and about is not None:
            lines.append(
                (
                    (name, ""),
                    (f"{'~' + glad(about):>9}", ""),
                    ("  estimated, not counted" if width > 50 else "  estimated", "dim"),
                )
            )
        elif rate.standing == "dead":
            lines.append(((name, "dim"), (NOT_COUNTED, "dim")))
        elif rate.standing == "unseen":
            lines.append(((name, ""), ("not seen", "bad")))
        else:
            lines.append((*_counted(name, rate), ("  " + spark(rate.by_cpu, max(1, room), glyphs), "curve")))
    return lines


def _estimated(name: str, frame: Frame, told: Forecast | None) -> float | None:
    """New or destroyed entries a second by the forecast's best pair of rate and lifetime; None for other counters."""
    if told is None or told.rate_per_s is None or name not in ("new", "delete"):
        return None
    net = frame.net_per_s
    # What the count rose by came, whatever explains the minutes before best.
    new = max(told.rate_per_s, net or 0.0)
    return new if name == "new" else None if net is None else new - net


def _counted(name: str, rate: Rate) -> Line:
    if rate.per_s is None:
        return ((name, ""), (f"{glad(None):>10}{'':11}", "dim"))
    moving = rate.per_s > 0
    style = "bad" if moving and rate.name in HARMS else "strong" if moving else ""
    sign = "!" if moving and rate.name in HARMS else " "
    return ((name, style), (f"{glad(rate.per_s):>9}{sign}{rate.since or 0:>11,}", style))


def glad(per_s: float | None) -> str:
    """A rate in few characters; ``...`` before there are two looks."""
    if per_s is None:
        return "..."
    if per_s == 0:
        return "0"
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}"


QUIET_FROM = 8  # CPUs from which on those that never moved are only counted


def cpus(frame: Frame | None, told: Forecast | None, kernel: KernelVersion | None, width: int) -> list[Line]:
    """A row a CPU, then what each counter that is counted means on this kernel."""
    if frame is None:
        return []
    counted = [rate for rate in frame.rates if rate.standing == "counted"]
    if not counted:
        return [((f" {_holes(frame.holes) or 'no counters are seen'}", "bad"),)]
    cell = max(8, min(15, (width - 8) // len(counted)))
    lines: list[Line] = [
        (("per s".ljust(8), "dim"), ("".join(f"{_short(rate.name, cell - 1):>{cell}}" for rate in counted), "dim"))
    ]
    quiet = 0
    for cpu in range(frame.cpus):
        values = [rate.by_cpu[cpu] if rate.by_cpu else None for rate in counted]
        if frame.cpus > QUIET_FROM and not any(values):
            quiet += 1
            continue
        text = "".join(f"{glad(value):>{cell}}" for value in values)
        lines.append(((f"CPU {cpu}".ljust(8), ""), (text, "strong" if any(values) else "")))
    if quiet:
        lines.append(((f"{quiet} of {frame.cpus} possible CPUs moved none of them", "dim"),))
    lines.append((("all".ljust(8), "strong"), ("".join(f"{glad(rate.per_s):>{cell}}" for rate in counted), "strong")))
    lines.append(
        (("total".ljust(8), "dim"), ("".join(f"{figure(rate.total or 0):>{cell}}" for rate in counted), "dim"))
    )
    lines.append(())
    if told is not None and told.rate_per_s is not None and told.lifetime_s is not None:
        stay = "do not end meanwhile" if told.lifetime_s > 1e6 else f"stay about {span(told.lifetime_s)}"
        lines += _said(
            "new entries",
            f"what explains the count best: {told.rate_per_s:.3g} a second that {stay} (an estimate)",
            width,
        )
    for name in COUNTERS:
        answer = meaning(name, kernel)
        if answer.value is not None:
            lines += _said(WORDS.get(name, name), answer.value, width)
    lines.append(((f"from {frame.source}; since the namespace began, each CPU wraps at 2**32", "dim"),))
    return lines


def _short(name: str, room: int) -> str:
    return (
        name
        if len(name) <= room
        else name.replace("insert_failed", "ins_fail")
        .replace("clash_resolve", "clash")
        .replace("chain_toolong", "chain")[:room]
    )


def _said(name: str, text: str, width: int) -> list[Line]:
    lead = f"{name}: "
    parts = wrapped(lead + text, max(20, width - 2))
    first = parts[0].removeprefix(lead)
    return [((lead, "strong"), (first, "")), *(((f"  {part}", ""),) for part in parts[1:])]


# -- composition


def composition_title(reading: Reading | None, made: Made | None, shown: Reading | None, age_s: float | None) -> str:
    """By what, out of how many, how old."""
    if reading is None or made is None or shown is None:
        return "made of"
    if reading.sampled and reading.total is not None:
        text = f"by {made.dimension}: {reading.read:,} of {reading.total:,} sampled, 95 % intervals"
    else:
        text = f"by {made.dimension}: {'the one entry' if reading.read == 1 else f'all {reading.read:,} entries'}"
    return text + (f", {age_s:.0f} s old" if age_s is not None and age_s >= 15 else "")


def composition(
    reading: Reading | None,
    made: Made | None,
    shown: Reading | None,
    hole: Hole | None,
    own: frozenset[Key],
    width: int,
    glyphs: Glyphs,
    addressed: bool,
) -> list[Line]:
    """A line a key, the largest first; ``shown`` is what of ``reading`` the filter let through."""
    if reading is None or made is None or shown is None:
        return _no_entries(hole, width)
    population = None
    if reading.sampled and reading.total is not None and reading.read:
        population = reading.total * shown.matched / reading.read
    lines: list[Line] = []
    numbers = 36 if reading.sampled else 20
    label = max(14, min(44, width - numbers - 10))
    room = max(0, width - label - numbers - 2)
    for share in made.shares:
        name = harmless(share.label) + (" (own)" if addressed and share.key in own else "")
        name = name if columns(name) <= label else name[: label - len(glyphs.dots)] + glyphs.dots
        name += " " * (label - columns(name))
        if reading.sampled:
            about = "" if population is None else f"~{figure(share.share * population)}"
            text = f" {share.share:6.1%} {share.low:6.1%}{glyphs.dash}{share.high:<6.1%} {about:>8}  "
        else:
            text = f" {share.share:6.1%} {share.count:>10,}  "
        lines.append(((name, ""), (text, ""), (bar(share.share, room, glyphs).rstrip(glyphs.empty), "curve")))
    if made.distinct > len(made.shares):
        lines.append(((f"and {made.distinct - len(made.shares):,} more", "dim"),))
    return lines or [(("no entry matches" if shown is not reading and reading.read else "the table is empty", "dim"),)]


def _no_entries(hole: Hole | None, width: int) -> list[Line]:
    if hole is None:
        return [(("looking ...", "dim"),)]
    said = f"{hole.what}: {hole.why}" + (f"; {hole.remedy}" if hole.remedy else "")
    return [((part, "bad" if not at else ""),) for at, part in enumerate(wrapped(harmless(said), max(20, width - 1)))]


def matched(reading: Reading, shown: Reading) -> str:
    """How many the filter lets through."""
    if not reading.sampled or reading.total is None:
        return f"{shown.matched:,} of {reading.read:,} match"
    low, high = interval(shown.matched, reading.read, reading.total)
    return (
        f"{shown.matched:,} of {reading.read:,} match: {figure(low * reading.total)} to "
        f"{figure(high * reading.total)} of all"
    )


# -- namespaces, findings, kernel lines


def spaces(
    seen: Sequence[SpaceSeen], limit: int | None, holes: Sequence[Hole], width: int, shown: str = ""
) -> list[Line]:
    """A line a namespace, the fullest first; the limit is every one's, the count its own.

    ``shown``: the key of the one that the screen is about; empty: the own one.
    """
    name_room = max(16, min(30, width - 50))
    lines: list[Line] = []
    for one in seen:
        place, count = one.counted.place, one.counted.count
        here = place.key == shown if shown else place.own
        name = harmless(place.key) + (" (shown)" if here else "")
        name = f"{_cut(name, name_room):{name_room}}"
        share = f"{count / limit:6.1%}" if limit else "     ?"
        lost = "" if one.lost_per_s is None else f"{glad(one.lost_per_s)}/s refused"
        who = " ".join(filter(None, (place.role, harmless(place.container)[:12], harmless(place.command)[:20])))
        losing = bool(one.lost_per_s)
        lines.append(
            (
                (name, "strong" if here else ""),
                (f" {count:>10,} {share} ", "bad" if limit and count / limit >= WARNING_SHARE else ""),
                (f"{lost:>14}  ", "bad" if losing else "dim"),
                (who, "dim"),
            )
        )
    lines += [((f"not seen: {_holes((hole,))}", ""),) for hole in holes]
    return lines or [(("looking ...", "dim"),)]


def findings(judged: Judged | None, failed: str, width: int) -> list[Line]:
    """Causes with why, then the first way out, then what was not seen."""
    if judged is None:
        return [((f"no diagnosis: {harmless(failed)}" if failed else "diagnose is looking at this host ...", "dim"),)]
    lines: list[Line] = [((part, "strong"),) for part in wrapped(harmless(judged.headline), max(20, width - 1))]
    for number, cause in enumerate(judged.causes, 1):
        lines.append(
            (
                (f"{number}. {harmless(cause.id)}", "strong"),
                (f" on {harmless(cause.host)}: {confidence(cause.sure)}", ""),
            )
        )
        lines += [((f"   {part}", ""),) for part in wrapped(harmless(cause.why), max(20, width - 4))]
        if cause.evidence:
            lines.append(((f"   | {_cut(harmless(cause.evidence), max(20, width - 6))}", "evidence"),))
    for fix in judged.fixes[:1]:
        lines.append((("what to do: ", "dim"), (harmless(fix.title), "strong"), (f" ({harmless(fix.id)})", "dim")))
        lines += [((f"   {harmless(command)}", "command"),) for command in fix.commands]
        lines.append((("   risk, undo and the other ways out: tablefull diagnose --all-fixes", "dim"),))
    lines += [((f"not seen: {_cut(harmless(one), max(20, width - 12))}", "dim"),) for one in judged.unseen]
    if failed:
        lines.append(((f"the last diagnosis failed: {harmless(failed)}", "bad"),))
    return lines


def kernel_lines(seen: Sequence[KernelLine], hole: Hole | None, gaps: int, width: int) -> list[Line]:
    """The kernel's own words, the latest last; what came while one looked is marked.

    Of lines that follow each other and differ in their time only, the last stands for all, with how many there were.
    """
    lines: list[Line] = []
    told = list(seen)
    same = 1
    for at, line in enumerate(told):
        after = told[at + 1] if at + 1 < len(told) else None
        if after is not None and after.came == line.came and _untimed(after.text) == _untimed(line.text):
            same += 1
            continue
        style = "bad" if line.says_full else "" if line.tracks else "dim"
        text = harmless(line.text)[:500] + (f"  ({same} such lines)" if same > 1 else "")
        mark = "* " if line.came else "  "
        for number, part in enumerate(wrapped(text, max(20, width - 2))):
            lines.append(((mark if not number else "    ", "strong"), (part, style)))
        same = 1
    if gaps:
        lines.append(((f"the kernel overwrote lines before they were read, {quantity(gaps)} times", "bad"),))
    if hole is not None:
        lines.append(((f"the kernel's log: {_holes((hole,))}", "bad"),))
    return lines or [(("no line of the kernel's log speaks of tracking", "dim"),)]
