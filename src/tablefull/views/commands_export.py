"""``tablefull export``: the table as metrics, over HTTP, into a file for node_exporter, or once to standard output.

The trap: what makes this worth having (who fills the table) needs CAP_NET_ADMIN, and what is on the network must not
have it. So the server needs no right at all and says what it does not see; a second call with the right, under a timer,
writes the rest into a file, which node_exporter's textfile collector or ``--include`` of the server picks up.
"""

import time
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, cast

import click

from tablefull.errors import EXIT_BLIND, EXIT_FINE, UsageError
from tablefull.views.durations import seconds
from tablefull.views.output import emit_pieces, say
from tablefull.views.signals import Bell, Ending

if TYPE_CHECKING:
    from tablefull.watch.exposing import Exposed, Exposing, Part, Wanted

NEEDS = "export needs prometheus_client: pip install 'tablefull[export]'"
DEFAULT_LISTEN = "127.0.0.1:9906"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
LEAST_EVERY_S = 1.0


@click.command(
    epilog="""\b
Examples:
  tablefull export                                    http://127.0.0.1:9906/metrics
  tablefull export --once
  tablefull export --textfile /var/lib/prometheus/node-exporter/tablefull.prom --every 30s
  sudo tablefull export --only composition --textfile /run/tablefull/who.prom
  tablefull export --include /run/tablefull/who.prom  the server, with no right at all
  sudo tablefull export --by state --by dport --top 5

\b
What was not seen is an absent series and tablefull_unseen{what,why} 1, never 0.
--textfile leaves out the ten names node_exporter has itself: it refuses a file
that repeats them."""
)
@click.option("--listen", metavar="HOST:PORT", help=f"Serve /metrics there (default {DEFAULT_LISTEN}).")
@click.option("--textfile", metavar="FILE", help="Write them there instead, whole or not at all; - is standard output.")
@click.option("--once", is_flag=True, help="Print them once and end.")
@click.option("--every", metavar="TIME", help="Write --textfile again after this time, until Ctrl-C or SIGTERM.")
@click.option(
    "--only", "only", multiple=True, metavar="PART",
    help="Only these: table, netns, composition, forecast; any number of them.",
)  # fmt: skip
@click.option(
    "--by", "names", multiple=True, metavar="DIMENSION",
    help="Of the composition (default state): proto, dport, source, status ... as `table --by`.",
)  # fmt: skip
@click.option("--top", type=click.IntRange(1, 100), default=10, show_default=True, help="Kinds of each; the rest: one.")
@click.option(
    "--most-netns", type=click.IntRange(1, 1000), default=50, show_default=True, help="Namespaces shown one by one."
)
@click.option("--sample-every", default="60s", show_default=True, metavar="TIME", help="Between samples of the table.")
@click.option("--include", metavar="FILE", help="Add the composition that another call wrote with --textfile.")
@click.option("--node-names/--no-node-names", default=None, help="node_exporter's ten (default: not in a textfile).")
@click.option("--openmetrics", is_flag=True, help="With --once: OpenMetrics rather than Prometheus text.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=Path("/"),
    show_default=True,
    help="Read /proc below this directory.",
)
def export(
    listen: str | None,
    textfile: str | None,
    once: bool,
    every: str | None,
    only: tuple[str, ...],
    names: tuple[str, ...],
    top: int,
    most_netns: int,
    sample_every: str,
    include: str | None,
    node_names: bool | None,
    openmetrics: bool,
    root: Path,
) -> int:
    """Expose the table as metrics: count, limit, losses, namespaces, what it is made of, when it will be full.

    Needs no right; with CAP_NET_ADMIN it also samples what the table is made of. Never lists the whole table. Exit code
    3: not even the count could be seen (--once, --textfile).
    """
    if sum((listen is not None, textfile is not None, once)) > 1:
        raise UsageError("--listen, --textfile and --once exclude each other")
    if every is not None and (textfile is None or textfile == "-"):
        raise UsageError("--every goes with --textfile FILE")
    if openmetrics and not once:
        raise UsageError("--openmetrics goes with --once; over HTTP the client chooses")
    if include is not None and textfile is not None:
        raise UsageError("--include goes with --listen or --once: a textfile is what it reads")
    if include is not None and "composition" in only:
        raise UsageError("--include brings the composition; --only composition would look for it too")
    if include is not None and not only:
        only = ("table", "netns", "forecast")
    wanted = _wanted(only, names, top, most_netns, seconds(sample_every, "--sample-every"))
    every_s = None if every is None else seconds(every, "--every")
    if every_s is not None and every_s < LEAST_EVERY_S:
        raise UsageError(f"--every {every!a}: at least {LEAST_EVERY_S:g} s is wanted")
    if find_spec("prometheus_client") is None:
        raise UsageError(NEEDS)
    from tablefull.live.proc import Proc
    from tablefull.watch.exposing import Exposing

    exposing = Exposing(Proc(root), wanted)
    if node_names is None:
        node_names = textfile is None
    page = Page(exposing, node_names, include, stamped=textfile is not None)
    if once:
        exposing.look()
        emit_pieces([page.text(OPENMETRICS if openmetrics else "")[0]], "-")
        return _code(page)
    with Stop() as stop:
        if textfile is not None:
            return _write(exposing, page, textfile, every_s, stop)
        _serve(exposing, page, listen or DEFAULT_LISTEN, stop)
    return EXIT_FINE


def _wanted(only: tuple[str, ...], names: tuple[str, ...], top: int, most: int, sample_s: float) -> "Wanted":
    from tablefull.watch.exposing import PARTS, Wanted
    from tablefull.wire.dimensions import named

    for word in only:
        if word not in PARTS:
            raise UsageError(f"--only {word[:40]!a}: there are {', '.join(PARTS)}")
    dimensions = {dimension.name: dimension for dimension in map(named, names or ("state",))}
    return Wanted(
        parts=frozenset(cast("tuple[Part, ...]", only)) or frozenset(PARTS),
        dimensions=tuple(dimensions.values()),
        top=top,
        most_netns=most,
        composition_s=max(1.0, sample_s),
    )


class Page:
    """What a scrape answers. Two at the same moment are answered one after the other."""

    def __init__(self, exposing: "Exposing", node_names: bool, include: str | None, stamped: bool) -> None:
        self._exposing, self._node_names, self._stamped = exposing, node_names, stamped
        self._included = None
        if include is not None:
            from tablefull.views.exporter_include import Included

            self._included = Included(include)
        self._lock = Lock()
        self._scrape_s: float | None = None
        self._scrapes = 0
        self.seen = False

    def text(self, accept: str) -> tuple[bytes, str]:
        """The metrics in the format that is accepted, and its type."""
        from tablefull.views import exporter

        with self._lock:
            began = time.perf_counter()
            exposed = self._exposing.exposed()
            self.seen = _seen(exposed)
            found: list[Any] = []
            if self._included is not None:
                found, holes = self._included.families(time.time())
                exposed.holes += holes
            if self._stamped:
                found.append(exporter.stamp(time.time()))
            own = exporter.cost(self._scrape_s, self._scrapes)
            found = [*exporter.families(exposed, own, self._node_names), *found]
            answer = exporter.text_of(found, accept)
            self._scrape_s = time.perf_counter() - began
            self._scrapes += 1
        return answer


def _seen(exposed: "Exposed") -> bool:
    """Whether anything of what was asked for was seen."""
    table, counts = exposed.table, exposed.counts
    return bool((table and table.count is not None) or exposed.composition or (counts and counts.shown))


def _code(page: Page) -> int:
    return EXIT_FINE if page.seen else EXIT_BLIND


def _write(exposing: "Exposing", page: Page, textfile: str, every_s: float | None, stop: "Stop") -> int:
    """Once, or again and again; a failure of a later turn is told and does not end it."""
    exposing.look()
    emit_pieces([page.text("")[0]], textfile)
    while every_s is not None and not stop.wait(every_s):
        exposing.look()
        try:
            emit_pieces([page.text("")[0]], textfile)
        except Exception as error:  # noqa: BLE001 - a full disk is not full for ever
            say(f"tablefull: {error}")
    return _code(page)


def _serve(exposing: "Exposing", page: Page, listen: str, stop: "Stop") -> None:
    from tablefull.views.exporter_http import POLL_S, Server, place

    host, port = place(listen)
    with Server(host, port, page.text, say) as server:
        exposing.look()
        exposing.start()
        bound = f"[{host}]" if ":" in host else host
        say(f"tablefull: http://{bound}:{server.server_port}/metrics; Ctrl-C ends it")
        thread = Thread(target=server.serve_forever, args=(POLL_S,), name="server", daemon=True)
        thread.start()
        try:
            stop.wait(None)
        finally:
            server.shutdown()
            exposing.stop()


class Stop(Ending):
    """Ends at Ctrl-C, SIGTERM and SIGHUP, the second time at once; the handlers are as before at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._event = Bell()

    def told(self) -> None:
        """Soon; the second time at once."""
        if self._event.is_set():
            raise KeyboardInterrupt
        self._event.set()

    def wait(self, for_s: float | None) -> bool:
        """Whether it is to end, at the latest after this time."""
        return self._event.wait(for_s)
