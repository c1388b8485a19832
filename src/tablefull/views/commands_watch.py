"""``tablefull watch``: a small history of the table, alarms with hysteresis, and when it will be full.

The trap: it runs for weeks, so it ends only where it is told to. Ctrl-C and SIGTERM end it cleanly with 0, a reader
that went away ends it too, and everything else that may go wrong is a line.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tablefull.errors import EXIT_BLIND, EXIT_FINDING, EXIT_FINE, UsageError
from tablefull.live.proc import Proc
from tablefull.views.durations import UNITS_S, parsed
from tablefull.views.output import refused, say, silence
from tablefull.views.signals import Bell, caught

if TYPE_CHECKING:
    from tablefull.watch.history import History
    from tablefull.watch.hook import Hook
    from tablefull.watch.loop import News, Place, Seen, Told, Watch

_UNITS_S = {**UNITS_S, "min": 60.0}


def seconds(text: str, option: str, least: float, most: float) -> float:
    """A time such as 10s, 5m or 2h; a bare number is in seconds."""
    try:
        value = parsed(text, _UNITS_S)
    except ValueError:
        raise UsageError(f"{option} {text[:60]!a}: a time is wanted, such as 10s, 5m or 2h") from None
    if not least <= value <= most:
        raise UsageError(f"{option} {text[:60]!a}: from {least:g} s to {most:g} s is possible")
    return value


@click.command(
    epilog="""\b
Examples:
  sudo tablefull watch                              a line every ten seconds
  sudo tablefull watch --every 30s -w 70 -c 90 --horizon 2h --quiet
  sudo tablefull watch --exec /usr/local/bin/page-me
  tablefull watch --once                            state and forecast; exit 1 where an alarm is up
  sudo tablefull watch --netns all --format json

\b
Alarms: full (share of the limit), drops (packets refused), evictions (entries
pushed out), fills (full within the horizon, says the forecast), blind (the
table cannot be seen). --exec gets them as TABLEFULL_ALARM, _EVENT, _LEVEL,
_WHY, _COUNT, _MAX, _SPACE, _TIME, _SINCE, _FULL_IN_S and as one JSON object on
its standard input."""
)
@click.option("--every", default="10s", show_default=True, metavar="TIME", help="Between two looks.")
@click.option("-w", "--warning", type=float, default=85, show_default=True, help="Per cent of the limit that warn.")
@click.option("-c", "--critical", type=float, default=95, show_default=True, help="And that are critical.")
@click.option("--horizon", default="1h", show_default=True, metavar="TIME", help="Alarm where it is full before that.")
@click.option("--netns", "space", metavar="NAME|PID|all", help="Another network namespace, or each of them.")
@click.option("--history", "file", type=click.Path(path_type=Path), help="The file of the history.")
@click.option("--exec", "command", metavar="PROGRAM", help="Run this when an alarm changes; no shell, at most 10 s.")
@click.option("--once", is_flag=True, help="Say the state and the forecast, from the history, and end.")
@click.option("--quiet", is_flag=True, help="Only alarms and notes, not every look.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--root", type=click.Path(path_type=Path), default=Path("/"), hidden=True)
def watch(
    every: str,
    warning: float,
    critical: float,
    horizon: str,
    space: str | None,
    file: Path | None,
    command: str | None,
    once: bool,
    quiet: bool,
    form: str,
    root: Path,
) -> int:
    """Watch how full the table is, remember it, say when it will be full, and raise alarms.

    The history is a small SQLite file: every look for two hours, then one a minute for two days, then one in ten
    minutes for two weeks. It changes nothing else on this host.
    """
    from tablefull.watch.alarms import Settings
    from tablefull.watch.history import History, default_place
    from tablefull.watch.loop import LEAST_EVERY_S, MOST_EVERY_S, Watch, is_root

    if not 0 < warning <= critical <= 100:
        raise UsageError(f"-w {warning:g} -c {critical:g}: per cents with 0 < w <= c <= 100 are wanted")
    every_s = seconds(every, "--every", LEAST_EVERY_S, MOST_EVERY_S)
    settings = Settings(
        warning=warning, critical=critical, horizon_s=seconds(horizon, "--horizon", 60.0, 86400.0),
        back=min(Settings().back, warning / 2), agree=1 if once else Settings().agree, blind=1 if once else 3,
    )  # fmt: skip
    if once and command is not None:
        raise UsageError("--exec belongs to a watch that goes on; --once ends before anything could change")
    path = file or default_place(dict(os.environ), is_root())
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where the folder may not be entered
        raise UsageError(f"--history {str(path)[:200]!a}: is a directory")
    proc = Proc(root)
    places, every_place = _places(proc, space)
    teller = _Teller(form, quiet, several=len(places) > 1 or every_place, command=command)
    # Before the file is opened: a watch that is ended while it starts leaves as cleanly.
    with nullcontext() if once else caught(teller.leave):
        history = History(path, teller.say_note, write=not once, ours=file is None)
        try:
            find = (lambda: _places(proc, "all")[0]) if every_place else None
            held = Watch(proc, places, history, settings, teller.tell, find=find)
            if once:
                return _once(held, history, places, form, None if teller.noted else str(path))
            teller.name(held.boot)
            return _forever(held, teller, every_s)
        finally:
            history.close()
            teller.close()


def _places(proc: Proc, space: str | None) -> "tuple[list[Place], bool]":
    from tablefull.live.table_look import OWN
    from tablefull.watch.loop import Place, all_places

    if space is None:
        return [Place(OWN, None)], False
    if space == "all":
        return all_places(proc, OWN), True
    from tablefull.live.spaces import place

    return [Place(*place(proc, space))], False


class _Teller:
    """What the watch says, to standard output and to the hook. ``gone``: nobody reads any more."""

    def __init__(self, form: str, quiet: bool, several: bool, command: str | None) -> None:
        from threading import Lock

        self._form, self._quiet, self._several = form, quiet, several
        self.stop, self._hurry = Bell(), Bell()
        self.failure: OSError | None = None
        self._lock = Lock()
        self._boot = ""
        self._hook: Hook | None = None
        self.noted = False  # whether anything was said about the watch itself
        if command is not None:
            from tablefull.watch import hook

            self._hook = hook.Hook(hook.program(command), self.say_note)

    def leave(self) -> None:
        """A signal: the first ends the watch, the next one what it still waits for."""
        (self._hurry if self.stop.is_set() else self.stop).set()

    def name(self, boot: str) -> None:
        """The boot, for the hook."""
        self._boot = boot

    def say_note(self, text: str) -> None:
        """A line about the watch itself."""
        import time

        from tablefull.watch.loop import Note

        self.noted = True
        self.tell(Note(time.time(), text))

    def tell(self, news: "News") -> None:
        """One line on standard output; alarms go to the hook too."""
        from tablefull.views import watch_text
        from tablefull.watch.loop import Seen, Told

        if isinstance(news, Told) and self._hook is not None:
            self._hook.run(*_for_hook(news, self._boot))
        if self._quiet and isinstance(news, Seen):
            return
        line = watch_text.as_json(news) if self._form == "json" else watch_text.as_line(news, self._several)
        try:
            with self._lock:
                sys.stdout.write(line)
                sys.stdout.flush()
        except BrokenPipeError:
            silence()
            self.stop.set()
        except OSError as error:
            self.failure = error
            self.stop.set()

    def close(self) -> None:
        """Wait for the hook, no longer than one run of it may last, or until the next signal."""
        if self._hook is not None:
            self._hook.close(self._hurry.is_set)
            self._hook = None


def _for_hook(news: "Told", boot: str) -> tuple[dict[str, str], bytes]:
    from tablefull.views import watch_text

    change, seen = news.change, news.seen
    told = seen.forecast
    full_in = told.median_s if told is not None else None
    facts: dict[str, Any] = {
        "ALARM": change.name, "EVENT": change.event, "LEVEL": change.level, "WHY": change.why, "SPACE": seen.space,
        "COUNT": seen.count, "MAX": seen.limit, "TIME": f"{seen.wall_s:.3f}", "SINCE": f"{change.since_s:.3f}",
        "FULL_IN_S": None if full_in is None else f"{full_in:.0f}", "BOOT_ID": boot,
    }  # fmt: skip
    # Unknown is absent, never zero and never an empty word.
    return {name: str(value) for name, value in facts.items() if value is not None}, watch_text.as_json(news).encode()


def _forever(held: "Watch", teller: _Teller, every_s: float) -> int:
    held.run(every_s, teller.stop)
    if teller.failure is not None:
        raise refused(teller.failure)
    return EXIT_FINE


def _once(held: "Watch", history: "History", places: "Sequence[Place]", form: str, path: str | None) -> int:
    """``path`` None: something was said of the history when it was opened, so nothing more is."""
    from tablefull.views import watch_text
    from tablefull.views.output import emit

    looks: list[Seen] = [held.look(place.key, keep=False) for place in places]
    if form == "json":
        emit("".join(watch_text.as_json(seen) for seen in looks))
    else:
        rows = [history.rows(place.key) for place in places]
        emit("".join(watch_text.state(seen, len(looks) > 1, path, own) for seen, own in zip(looks, rows, strict=True)))
    for seen in looks:
        if seen.count is None:
            say(f"tablefull: {seen.why}")
    if any(seen.alarms for seen in looks):
        return EXIT_FINDING
    return EXIT_BLIND if any(seen.count is None or seen.limit is None for seen in looks) else EXIT_FINE
