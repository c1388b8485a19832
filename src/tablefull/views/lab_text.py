"""A scene as it is told in the terminal, act by act, and what was measured at its end.

The trap: it is told while it happens, so a line must be right at its moment: it counts the requests that ended in the
second before it, and what came of those that still wait is told later.
"""

from collections.abc import Sequence

from tablefull.lab.claims import Claim, milliseconds, percent, told
from tablefull.lab.course import Asked, Counted, Diagnosed, Played, Ran
from tablefull.lab.play import Begun, Logged, News, Note, Seen
from tablefull.lab.room import Room
from tablefull.lab.scene import Scene
from tablefull.views.lab_chart import bar, chart
from tablefull.views.terminal import Page, harmless

BAR = 12
MOST_OUTPUT = 12
HEADING = (
    f"  {'time':>7}  {'taken':<{BAR}}  {'entries':>9}  {'answered in this second':<25}  {'95 % in':>7}  {'refused':>8}"
)


def scenes(known: Sequence[type[Scene]], width: int) -> Page:
    """The list of scenes."""
    page = Page(width)
    page.title("SCENES")
    name = max(len(scene.name) for scene in known)
    for scene in known:
        page.text(scene.summary, lead=f"{scene.name.ljust(name)}  ", lead_style="strong")
    page.blank()
    page.text("Each is made of network namespaces on this kernel, and removed when it ends, however it ends.", indent=0)
    page.text("sudo tablefull lab xen-dom0 --play     walks through it", indent=2)
    page.text("sudo tablefull lab xen-dom0            makes it, says how to enter, waits for Ctrl-C", indent=2)
    page.text("sudo tablefull lab --clean             removes what a killed run could not", indent=2)
    return page


def stage(scene: Scene, room: Room, width: int) -> Page:
    """What was built, and where the room in the table comes from."""
    page = Page(width)
    page.title(scene.title.upper())
    page.text(f"Machines: {', '.join(scene.stage.machines)}; the table of {scene.watched} is watched.")
    page.text(f"{'; '.join(scene.used)}; {scene.requests_per_s:g} requests a second.".lstrip("; "))
    page.text(limit(room))
    return page


def limit(room: Room) -> str:
    """Where the room in the table comes from."""
    if room.how == "lowered":
        return (
            f"nf_conntrack_max of this host is lowered from {room.before:,} to {room.limit:,}, above twice of what any "
            "namespace holds, and put back at the end."
        )
    if room.how == "ballast":
        return (
            f"nf_conntrack_max of this host stays {room.limit:,}. {room.ballast:,} entries are put into the scene's "
            f"own table; live traffic fills the last {room.wanted:,}."
        )
    return (
        f"The table fills and does not get full: {room.why}. --touch-host-limit lets the lab lower nf_conntrack_max "
        "for the time of the scene."
    )


class Teller:
    """Turns what happens into lines."""

    def __init__(self, width: int, blocks: str) -> None:
        self.width, self.blocks = width, blocks
        self._number = 0
        self._headed = False

    def page(self, news: News) -> Page:
        """The lines of one thing."""
        page = Page(self.width)
        if isinstance(news, Begun):
            self._number += 1
            self._headed = False
            page.add(("", ""))
            page.add((f"{self._number}. {news.title.upper()}", "title"))
            page.text(news.text)
            page.commands(news.lines)
        elif isinstance(news, Seen):
            if not self._headed:
                page.add((HEADING[: self.width], "dim"))
                self._headed = True
            page.add(*self._row(news))
        elif isinstance(news, Logged):
            page.text(news.text, "evidence", lead="kernel: ", lead_style="dim")
        elif isinstance(news, Note):
            page.text(news.text)
        elif isinstance(news, Ran):
            self._headed = False
            page.text(news.command, "command", lead="$ ", lead_style="dim")
            for line in news.output.splitlines()[:MOST_OUTPUT]:
                page.add((f"    {harmless(line)}"[: self.width], "evidence"))
        elif isinstance(news, Asked):
            self._headed = False
            who = "; ".join(news.reasons) or "nobody"
            page.text(f"{', '.join(news.active)}; asked for by {who}.", lead="why: ", lead_style="strong")
        elif isinstance(news, Counted):
            shares = ", ".join(f"{state} {percent(share)}" for state, share in news.states)
            page.text(f"{news.entries:,} entries; {shares}.", lead="table: ", lead_style="strong")
        else:
            self._headed = False
            _diagnosed(page, news)
        return page

    def _row(self, news: Seen) -> tuple[tuple[str, str], ...]:
        second = news.second
        share = second.share
        answered = "nobody asked" if share is None else f"{second.answered} of {second.asked}, {percent(share)}"
        style = "" if share is None else "good" if share >= 0.99 else "bad" if share >= 0.9 else "worst"
        wait = "" if second.p95_ms is None else milliseconds(second.p95_ms)
        count = "?" if news.look.count is None else f"{news.look.count:,}"
        refused = "?" if news.look.refused is None else f"{news.look.refused:,}"
        return (
            (f"  {news.look.at_s:>5.1f} s  ", ""),
            (bar(news.look, news.base, news.limit, BAR, self.blocks), "bad"),
            (f"  {count:>9}  ", ""),
            (f"{answered:<25}", style),
            (f"  {wait:>7}  {refused:>8}", ""),
        )


def _diagnosed(page: Page, found: Diagnosed) -> None:
    page.text(found.headline, "strong")
    for number, cause in enumerate(found.causes[:3], 1):
        page.text(f"{cause.why}.", lead=f"{number}. {cause.id} {cause.confidence:.2f}: ", lead_style="strong")
    if found.fixes:
        page.text(f"What to do first: {found.fixes[0]}.")


def ending(played: Played, shown: Sequence[Claim], width: int, blocks: str) -> Page:
    """Chart and figures."""
    page = Page(width)
    lines = chart(played, page.width, blocks)
    if lines:
        page.title("THE SCENE")
        for line, style in lines:
            page.add((line, style))
    page.title("WHAT WAS MEASURED")
    for act in played.acts:
        moment = played.during(act.id)
        if moment is not None and moment.asked and act.id in ("calm", "cause", "full", "after"):
            page.text(told(moment), lead=f"{act.title.lower():<18} ", lead_style="strong")
    page.title("WHAT WAS SHOWN")
    for claim in shown:
        page.text(f"{claim.text}: {claim.figures}", lead="yes  " if claim.holds else "NO   ",
                  lead_style="good" if claim.holds else "worst")  # fmt: skip
    if played.broken_off:
        page.text("The scene was broken off, so not all of it was seen.", "bad")
    return page


def waiting(scene: Scene, width: int) -> Page:
    """How to enter a scene that waits, and what to try."""
    page = Page(width)
    page.title("ENTER")
    for machine in scene.stage.machines.values():
        page.commands([f"sudo ip netns exec {machine.space} bash"])
    page.title("TRY")
    space = scene.machine.space
    page.commands(
        [f"sudo tablefull table --netns {space}", *(f"sudo ip netns exec {space} {one}" for one in scene.tries)]
    )
    page.text(f"What undoes it: tablefull explain {scene.fix}")
    page.blank()
    page.text("Ctrl-C ends the scene and removes it.", indent=0)
    return page
