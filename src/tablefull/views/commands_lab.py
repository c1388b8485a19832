"""``tablefull lab``: live through a full table, on the kernel of this host and in namespaces of its own.

The trap: it makes things, so whatever ends it (Ctrl-C, a closed terminal, a defect, ``kill -9``) has to leave the host
as it was; that is the stage's and the guardian's duty (lab/stage.py, lab/guardian.py), and here nothing is made before
every word of the call was understood.
"""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tablefull.errors import EXIT_FINE, EXIT_REFUSED, KernelRefused, UsageError
from tablefull.views.durations import seconds
from tablefull.views.output import emit, say
from tablefull.views.signals import caught
from tablefull.views.terminal import Page, wants_colour, width_of

if TYPE_CHECKING:
    from tablefull.lab.play import News
    from tablefull.lab.scene import Scene

LEAST_RATE, MOST_RATE = 10.0, 2000.0
DURATION = "30s"
BROKEN_OFF = 130


@click.command(
    epilog="""\b
Examples:
  tablefull lab                                  the scenes there are
  sudo tablefull lab xen-dom0 --play             walk through the incident, half a minute
  sudo tablefull lab xen-dom0 --play --report xen.html
  sudo tablefull lab xen-dom0                    make it, say how to enter, wait for Ctrl-C
  sudo tablefull lab --clean                     remove what a killed run left

\b
nf_conntrack_max is the host's: it is not touched unless --touch-host-limit says
so. Without it the scene's own table is filled up with entries put in by netlink.

\b
Exit codes: 0 everything was shown, 2 wrong usage, 4 refused, or something was
not shown."""
)
@click.argument("name", metavar="[SCENE]", required=False)
@click.option("--play", "playing", is_flag=True, help="Walk through the scene, measure it, and end.")
@click.option("--duration", metavar="TIME", help=f"How long it lasts (--play: {DURATION}; else until Ctrl-C).")
@click.option("--rate", type=float, metavar="N", help="Requests a second.")
@click.option("--touch-host-limit", "consent", is_flag=True, help="Lower nf_conntrack_max for the time of the scene.")
@click.option("--report", metavar="FILE", type=click.Path(dir_okay=False), help="Write what was seen as an HTML page.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--clean", "cleaning", is_flag=True, help="Remove what a run that was killed has left behind.")
def lab(
    name: str | None,
    playing: bool,
    duration: str | None,
    rate: float | None,
    consent: bool,
    report: str | None,
    form: str,
    cleaning: bool,
) -> int:
    """Live through a full table: real servers, real clients and this very kernel, in network namespaces.

    The scene is removed when it ends, however it ends. The host's own network is never touched.
    """
    if cleaning:
        if name is not None or playing or report is not None:
            raise UsageError("--clean stands alone")
        return _clean(form)
    from tablefull.lab.scenes import SCENES

    if name is None:
        if playing or report is not None:
            raise UsageError(f"which scene? there are {', '.join(SCENES)}")
        return _list(form)
    if name not in SCENES:
        from tablefull.views.cli import named, nearest

        raise UsageError(f"no scene is called {named(name)}{nearest(name, SCENES)}")
    from tablefull.lab.play import LEAST_S, MOST_S

    if rate is not None and not LEAST_RATE <= rate <= MOST_RATE:
        raise UsageError(f"--rate {rate:g}: from {LEAST_RATE:g} to {MOST_RATE:g} a second are possible")
    length_s = seconds(duration or DURATION, "--duration")
    if playing and not LEAST_S <= length_s <= MOST_S:
        raise UsageError(f"--duration {duration}: a scene is played in {LEAST_S:g} s to {MOST_S:g} s")
    if not playing and (report is not None or form == "json"):
        raise UsageError("--report and --format json tell of a scene that was played: add --play")
    if report is not None and (why := _unwritable(Path(report).absolute())):
        from tablefull.views.cli import named

        raise UsageError(f"{named(report)}: cannot be written ({why})")
    _possible(SCENES[name])
    if playing:
        return _play(SCENES[name], length_s, rate, consent, report, form)
    return _hold(SCENES[name], length_s if duration is not None else None, rate, consent)


def _possible(scene: "type[Scene]") -> None:
    from tablefull.lab.stage import missing_right

    if missing := missing_right():
        raise KernelRefused(f"lab makes network namespaces and needs {missing}; run it as root: sudo tablefull lab")
    if why := scene.missing():
        raise KernelRefused(why)


def _list(form: str) -> int:
    from tablefull.lab.scenes import SCENES
    from tablefull.views import lab_text

    if form == "json":
        from msgspec import json

        rows = [
            {"name": one.name, "title": one.title, "summary": one.summary, "fix": one.fix} for one in SCENES.values()
        ]
        emit(json.encode(rows).decode() + "\n")
    else:
        _show(lab_text.scenes(list(SCENES.values()), width_of(sys.stdout)))
    return EXIT_FINE


def _clean(form: str) -> int:
    from tablefull.lab.leftovers import clean

    found = clean()
    if form == "json":
        from msgspec import json

        emit(json.encode(found).decode() + "\n")
    else:
        lines = [f"removed: {one}" for one in found.removed]
        lines += [f"runs, so it was left: {one}" for one in found.running]
        emit("".join(f"{line}\n" for line in lines) or "nothing was left behind\n")
    for one in found.left:
        say(f"tablefull: could not be removed: {one}")
    return EXIT_REFUSED if found.left else EXIT_FINE


def _show(page: Page) -> None:
    emit(page.coloured() if wants_colour(sys.stdout) else page.plain())


class _Ending:
    """Set by a signal; whoever waits looks at it."""

    def __init__(self) -> None:
        self.come = False

    def set(self) -> None:
        self.come = True

    def going(self) -> bool:
        return not self.come

    def wait(self, most_s: float) -> bool:
        time.sleep(most_s)
        return not self.come


def _play(
    kind: "type[Scene]", length_s: float, rate: float | None, consent: bool, report: str | None, form: str
) -> int:
    from tablefull.lab.claims import claims
    from tablefull.lab.play import Player, wanted
    from tablefull.lab.room import locked, look
    from tablefull.lab.stage import Stage
    from tablefull.views import lab_text
    from tablefull.views.lab_chart import blocks_for

    width, blocks = width_of(sys.stdout), blocks_for(sys.stdout.encoding)
    teller = lab_text.Teller(width, blocks)

    def tell(news: "News") -> None:
        if form == "text":
            _show(teller.page(news))

    ending = _Ending()
    with caught(ending.set), locked(consent, ending.wait, say) as lock:
        room = look(wanted(kind, rate, length_s), consent)
        with Stage(kind.name, lock) as stage:
            scene = kind(stage, rate)
            scene.build()
            if form == "text":
                _show(lab_text.stage(scene, room, width))
            played = Player(stage, scene, room, length_s, tell, ending.going).play()
    shown = claims(played)
    if form == "json":
        from tablefull.views import lab_json

        emit(lab_json.render(played, shown))
    else:
        _show(lab_text.ending(played, shown, width, blocks))
    if report is not None:
        from tablefull.views import lab_html

        emit(lab_html.render(played, shown), report, utf8=True)
    if played.broken_off:
        return BROKEN_OFF
    return EXIT_FINE if all(one.holds for one in shown) else EXIT_REFUSED


def _hold(kind: "type[Scene]", length_s: float | None, rate: float | None, consent: bool) -> int:
    from tablefull.lab.play import Player, wanted
    from tablefull.lab.room import locked, look
    from tablefull.lab.stage import Stage
    from tablefull.views import lab_text as text
    from tablefull.views.lab_chart import blocks_for

    width = width_of(sys.stdout)
    teller = text.Teller(width, blocks_for(sys.stdout.encoding))
    ending = _Ending()
    with caught(ending.set), locked(consent, ending.wait, say) as lock:
        room = look(wanted(kind, rate, 30.0), consent)
        with Stage(kind.name, lock) as stage:
            scene = kind(stage, rate)
            scene.build()
            _show(text.stage(scene, room, width))
            _show(text.waiting(scene, width))
            Player(stage, scene, room, length_s or 0.0, lambda news: _show(teller.page(news)), ending.going).hold()
    emit(f"\nThe scene {kind.name} is over and removed; this host is as it was before.\n")
    return EXIT_FINE


def _unwritable(path: Path) -> str:
    """Why a report would be lost at the end of its scene; empty where it can be written."""
    try:
        if not path.parent.is_dir():
            return "no such directory"
        if path.is_dir():
            return "is a directory"
    except OSError as error:
        return (error.strerror or "").lower()
    return "" if os.access(path if path.exists() else path.parent, os.W_OK) else "it may not be written there"
