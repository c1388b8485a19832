"""The diagnosis for a person at three in the morning: what it is, whether it is bad, why here, what to type.

The trap: everything is interesting and only one thing is to be done. The first fix therefore stands in full, with its
risk before its commands; the others are told shortly, with the way to see them whole.
"""

from tablefull.facts.origin import Origin
from tablefull.fixes.diagnosis import Diagnosis, HostView
from tablefull.fixes.plan import Plan
from tablefull.rules.finding import Finding
from tablefull.rules.meanings import CAUSES
from tablefull.views import wording
from tablefull.views.terminal import Page, columns, harmless, shortened

MOST_LINES = 4  # of evidence a cause; the rest are counted
MOST_UNREAD = 5
MOST_FACTS = 6  # where none of the telling ones is known
TELLING = (
    "nf_conntrack_max",
    "nf_conntrack_count",
    "nf_conntrack_buckets",
    "hashsize",
    "listed_entries",
    "fw_rules",
    "nf_conntrack_tcp_timeout_established",
    "nf_conntrack_tcp_timeout_time_wait",
    "net.bridge.bridge-nf-call-iptables",
)
_STYLE = {"none": "good", "info": "worth", "degraded": "bad", "outage": "worst"}
_FULL = {"yes": "worst", "no": "good", "unknown": "worth"}
_STATE = {"fired": "bad", "quiet": "", "blind": "worth", "broken": "worst"}


def render(diagnosis: Diagnosis, width: int = 80, *, rules: bool = False, all_fixes: bool = False) -> Page:
    """The whole answer as a page; ``rules`` adds what became of every rule, ``all_fixes`` every fix in full."""
    page = Page(width)
    _verdict(page, diagnosis)
    _lost(page, diagnosis)
    _why(page, diagnosis)
    _numbers(page, diagnosis)
    _fixes(page, diagnosis, all_fixes)
    _ask(page, diagnosis)
    _hosts(page, diagnosis)
    _unseen(page, diagnosis)
    if rules:
        _rules(page, diagnosis)
    page.blank()
    if page.lines and not page.lines[-1]:
        page.lines.pop()
    return page


def fixes(diagnosis: Diagnosis, width: int = 80) -> Page:
    """What to do, every fix in full, and nothing else."""
    page = Page(width)
    page.text(diagnosis.headline, "strong", indent=0)
    _fixes(page, diagnosis, all_fixes=True)
    return page


def _verdict(page: Page, diagnosis: Diagnosis) -> None:
    full, severity = diagnosis.full, diagnosis.severity
    page.add(
        ("TABLE FULL: ", "title"),
        (wording.table_full(full).upper(), "worth" if full.now == "no" else _FULL[full.state]),
        ("   SEVERITY: ", "title"),
        (severity.upper(), _STYLE[severity]),
        (f" ({wording.SEVERITY[severity]})", ""),
    )
    page.blank()
    page.text(diagnosis.headline, "strong", indent=0)
    known = wording.known(full)
    page.text(f"{known[:1].upper()}{known[1:]}.", indent=0)


def _lost(page: Page, diagnosis: Diagnosis) -> None:
    if diagnosis.loss is None:
        return
    page.title("WHAT WAS LOST")
    page.text(wording.lost(diagnosis.loss))
    page.text(f"{diagnosis.loss.how} ({wording.BASIS[diagnosis.loss.basis]}).", "dim")


def _why(page: Page, diagnosis: Diagnosis) -> None:
    if not diagnosis.causes:
        return
    page.title("WHY")
    for number, cause in enumerate(diagnosis.causes, 1):
        if number > 1:
            page.blank()
        _cause(page, number, cause)


def _cause(page: Page, number: int, cause: Finding) -> None:
    page.add(
        (f"  {number}. ", ""),
        (cause.cause, "strong"),
        (f" on {harmless(cause.host)}: {wording.confidence(cause.confidence)}", ""),
    )
    known = CAUSES.get(cause.cause)
    if known is not None:
        page.text(known.meaning[:1].upper() + known.meaning[1:] + ".", indent=5)
    page.text(f"Because {cause.why} ({wording.BASIS[cause.basis]}).", indent=5)
    _quote(page, cause.evidence)


def _quote(page: Page, evidence: tuple[Origin, ...]) -> None:
    wheres = [place(origin) for origin in evidence[:MOST_LINES]]
    width = max(map(columns, wheres), default=0)
    for where, origin in zip(wheres, evidence, strict=False):
        if width > page.width // 3:
            page.text(where, "dim", indent=5)
            page.text(shortened(origin.text), "evidence", indent=7, lead="| ", lead_style="dim")
        else:
            page.text(shortened(origin.text), "evidence", indent=5, lead=f"{where.ljust(width)} | ", lead_style="dim")
    if len(evidence) > MOST_LINES:
        page.text(f"and {_count(len(evidence) - MOST_LINES, 'more line')}", "dim", indent=5)


def place(origin: Origin) -> str:
    """``xen-dom0.txt:38``; the name alone where there is no line."""
    name = harmless(origin.source)
    return f"{name}:{origin.line}" if origin.line else name


def _numbers(page: Page, diagnosis: Diagnosis) -> None:
    if not diagnosis.arithmetic:
        return
    page.title("THE NUMBERS")
    hosts = dict.fromkeys(one.host for one in diagnosis.arithmetic)
    width = max(columns(wording.reckoned(one)) for one in diagnosis.arithmetic)
    for host in hosts:
        if len(hosts) > 1:
            page.text(host, "strong")
        for one in diagnosis.arithmetic:
            if one.host == host:
                lead = wording.reckoned(one).rjust(width) + "  "
                page.text(f"{one.what}: {one.how}", lead=lead, lead_style="strong", indent=4)


def _fixes(page: Page, diagnosis: Diagnosis, all_fixes: bool) -> None:
    if not diagnosis.fixes:
        return
    page.title("WHAT TO DO")
    whole = len(diagnosis.fixes) if all_fixes else 1
    for number, fix in enumerate(diagnosis.fixes[:whole], 1):
        if number > 1:
            page.blank()
        _fix(page, fix, number)
    others = diagnosis.fixes[whole:]
    if others:
        page.blank()
        page.text("Otherwise, or besides:", indent=2)
        for number, fix in enumerate(others, 2):
            page.add((f"  {number}. ", ""), (fix.id, "strong"), (f" on {harmless(fix.host)}", ""))
            page.text(fix.title + ".", indent=5)
            steps = sum(1 for command in fix.commands if not command.lstrip().startswith("#"))
            page.text(
                f"{_count(steps, 'command')}; concerns {wording.SCOPE[fix.scope]}. Risk: {_first_sentence(fix.risk)}",
                "dim",
                indent=5,
            )
        page.text("--all-fixes prints the commands of these too.", "dim", indent=2)


def _first_sentence(text: str) -> str:
    end = text.find(". ")
    return text if end < 0 else text[: end + 1]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _fix(page: Page, fix: Plan, number: int) -> None:
    page.add(
        (f"  {number}. ", ""), (fix.id, "strong"), (f" on {harmless(fix.host)}: ", ""), (harmless(fix.title), "strong")
    )
    if fix.why:
        page.text(f"Why: {fix.why}.".replace("..", "."), indent=5)
    page.text(fix.risk, indent=5, lead="Risk: ", lead_style="bad")
    page.text(f"Concerns {wording.SCOPE[fix.scope]}; {wording.BASIS[fix.basis]}.", indent=5)
    for heading, commands in (
        ("Type", fix.commands),
        ("See that it worked", fix.verify),
        ("Make it last", fix.persist),
        ("Take it back", fix.undo),
    ):
        if commands:
            page.blank()
            page.text(heading + ":", indent=5)
            page.commands(commands)


def _ask(page: Page, diagnosis: Diagnosis) -> None:
    if not diagnosis.ask_next:
        return
    page.title("WHAT TO LOOK AT NEXT")
    for number, ask in enumerate(diagnosis.ask_next, 1):
        loads = " (it loads a kernel module)" if ask.loads_modules else ""
        page.text(f"{ask.question}{loads} {ask.why[:1].upper()}{ask.why[1:]}.", lead=f"{number}. ")
        page.commands((ask.command,))


def _hosts(page: Page, diagnosis: Diagnosis) -> None:
    known = [(host, _told(host)) for host in diagnosis.hosts]
    if not any(told for _, told in known):
        return
    page.title("HOSTS")
    for host, told in known:
        role = f" ({host.role})" if host.role not in ("unknown", host.name.lower()) else ""
        lead = f"{harmless(host.name)}{role}: "
        page.text(told or "no kernel and no settings shown", lead=lead if columns(lead) < page.width // 3 else "- ")


def _told(host: HostView) -> str:
    system = [host.kernel and f"Linux {host.kernel}", host.distribution]
    shown = [name for name in TELLING if name in host.facts] or list(host.facts)[:MOST_FACTS]
    facts = [f"{name} {host.facts[name]}" for name in shown]
    more = len(host.facts) - len(shown)
    return ", ".join([part for part in system if part] + facts + ([f"{more} more settings"] if more > 0 else []))


def _unseen(page: Page, diagnosis: Diagnosis) -> None:
    blind = [one for one in diagnosis.outcomes if one.state == "blind"]
    broken = [one for one in diagnosis.outcomes if one.state == "broken"]
    if not (diagnosis.holes or diagnosis.unread or blind or broken):
        return
    page.title("WHAT WAS NOT SEEN")
    for hole in diagnosis.holes:
        remedy = f"; {hole.remedy}" if hole.remedy else ""
        page.text(f"{hole.what}: {hole.why}{remedy}", lead="- ")
    for unread in diagnosis.unread[:MOST_UNREAD]:
        text = f": {shortened(unread.origin.text)}" if unread.origin.text else ""
        page.text(f"{place(unread.origin)}: {unread.why}{text}", lead="- ")
    if len(diagnosis.unread) > MOST_UNREAD:
        page.text(
            f"and {len(diagnosis.unread) - MOST_UNREAD} more lines that were not understood (see --format json)",
            lead="- ",
        )
    if blind:
        causes = ", ".join(dict.fromkeys(one.cause for one in blind))
        page.text(f"could not be looked for, nothing in the evidence speaks of it: {causes}", lead="- ")
    for one in broken:
        page.text(f"the rule {one.rule} failed, which is a defect of tablefull; --explain-rules shows it", lead="- ")


def _rules(page: Page, diagnosis: Diagnosis) -> None:
    page.title("RULES")
    page.text(wording.rules_summary(diagnosis.outcomes) + ".")
    width = max((columns(one.rule) for one in diagnosis.outcomes), default=0)
    for state in wording.STATES:
        for one in diagnosis.outcomes:
            if one.state != state:
                continue
            detail = f" ({one.detail.strip().splitlines()[-1]})" if one.detail.strip() else ""
            page.text(f"{one.rule.ljust(width)}  {one.cause}{detail}", lead=state.ljust(8), lead_style=_STATE[state])
