"""``tablefull top``: the table as it lives, on the whole screen.

The trap: it is opened where something is wrong: without root, without procfs, over a serial line, on a terminal of
another age. Whatever cannot be seen is a line on the screen that says why; only a missing terminal or a missing library
ends it, in one line and before anything was drawn.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tablefull.errors import EXIT_FINE, UsageError
from tablefull.live.proc import Proc
from tablefull.views.commands_watch import seconds
from tablefull.views.signals import caught
from tablefull.wire.dimensions import named

if TYPE_CHECKING:
    from tablefull.views.top_chart import Glyphs
    from tablefull.watch.gauge import Gauge

MISSING = (
    "top needs the library textual: pip install 'tablefull[tui]'; `tablefull watch` and `tablefull table` do without"
)


@click.command(
    epilog="""\b
Examples:
  sudo tablefull top
  sudo tablefull top --netns web --by dport
  sudo tablefull top --where 'udp and not assured'
  sudo tablefull top --every 5s --ascii           over a slow or old line

\b
Keys: ? help, q quit, 1 to 5 panes, d by what, / filter, Enter only these,
p pause, s snapshot (a bundle as `tablefull collect` writes it), + and - how far
back the curve goes, z one pane alone, r look now. Clicks and the wheel work."""
)
@click.option("--every", default="1s", show_default=True, metavar="TIME", help="Between two looks at the counters.")
@click.option("--netns", "space", metavar="NAME|PID", help="Another network namespace.")
@click.option("--by", default="source", show_default=True, metavar="DIM", help="Made of what, as in `tablefull table`.")
@click.option("--where", default="", metavar="EXPR", help="Only these entries; it can be changed with /.")
@click.option("--snapshots", type=click.Path(file_okay=False, exists=True, path_type=Path), metavar="DIR",
              help="Where s writes bundles (default: here, else the directory of temporary files).")  # fmt: skip
@click.option("--history", "file", type=click.Path(path_type=Path), help="Where `tablefull watch` keeps its history.")
@click.option("--ascii", "plain", is_flag=True, help="Draw with plain characters.")
@click.option("--no-diagnose", is_flag=True, help="Leave the findings out; it saves a process.")
@click.option("--root", type=click.Path(path_type=Path), default=Path("/"), hidden=True)
def top(
    every: str,
    space: str | None,
    by: str,
    where: str,
    snapshots: Path | None,
    file: Path | None,
    plain: bool,
    no_diagnose: bool,
    root: Path,
) -> int:
    """Show the table as it lives, on the whole screen: how full, until when, what comes and goes, of what, why.

    It only looks. Entries are sampled, not listed, so a table of millions costs it no more than a small one; each part
    looks at its own pace and takes a bounded share of one core. What cannot be seen says why.
    """
    every_s = seconds(every, "--every", 0.5, 60.0)
    dimension = named(by).name
    if where.strip():
        from tablefull.views.top_filter import understood

        understood(where)
    proc = Proc(root)
    from tablefull.live.table_look import OWN
    from tablefull.watch.loop import Place

    place = Place(OWN, None)
    if space is not None:
        from tablefull.live.spaces import one

        found = one(proc, space)
        place = Place(found.key, found.path)
    _need_terminal()
    if find_spec("textual") is None:
        raise UsageError(MISSING)
    _ask_the_window()
    from tablefull.views.top_app import TopApp
    from tablefull.watch.gauge import Gauge

    app = TopApp(glyphs(plain), dimension=dimension, where=where, folder=snapshots)
    gauge = Gauge(proc, place, app.told, every_s, judging=not no_diagnose)
    _remember(gauge, file)
    app.use(gauge)
    try:
        with caught(app.leave_soon):
            app.run()
    finally:
        gauge.stop()
    if app.failure is not None:
        raise app.failure
    return EXIT_FINE


def _need_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.__stderr__ is not None and sys.__stderr__.isatty()):
        raise UsageError(
            "top needs a terminal for input and output; `tablefull watch` and `tablefull table` do without"
        )
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        raise UsageError(
            "top needs a terminal that can move its cursor, and TERM names none; `tablefull watch` does without"
        )


def _ask_the_window() -> None:
    """COLUMNS and LINES may be exported and then stay what they were: the terminal knows its size, and each new one."""
    if all(os.get_terminal_size(sys.stdout.fileno())):
        for name in ("COLUMNS", "LINES"):
            os.environ.pop(name, None)


def glyphs(plain: bool) -> "Glyphs":
    """Blocks where the terminal has them: its letters are UTF-8, and it is not the kernel's own console."""
    from tablefull.views.top_chart import ASCII, BLOCKS

    encoding = (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "")
    return ASCII if plain or encoding != "utf8" or os.environ.get("TERM") == "linux" else BLOCKS


def _remember(gauge: "Gauge", file: Path | None) -> None:
    """The curve begins with what a watch kept; a file that cannot be read is no reason not to start."""
    import sqlite3

    from tablefull.errors import TablefullError
    from tablefull.watch.history import default_place
    from tablefull.watch.loop import is_root

    path = file or default_place(dict(os.environ), is_root())
    boot = gauge.proc.text("proc/sys/kernel/random/boot_id", 100)
    if not isinstance(boot, str):
        return
    try:
        gauge.remember(path, boot)
    except (TablefullError, OSError, sqlite3.Error) as error:
        gauge.note = f"the history {path} was left out: {error}"
