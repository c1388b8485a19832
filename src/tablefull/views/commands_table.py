"""``tablefull table``: who fills the table, from a fair sample or from all of it.

The trap: a person asks this of a host that is dropping traffic, and a listing of the whole table is what it needs
least. So a sample is the default where the table is large, its answer is there before the person looks, and it says
how sure it is.
"""

import sys
from typing import TYPE_CHECKING, Self

import click

from tablefull.errors import EXIT_BLIND, EXIT_FINDING, EXIT_FINE, UsageError
from tablefull.live.proc import Proc
from tablefull.wire.dimensions import BY_NAMESPACE, named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tablefull.live.table import Test

DEFAULT_BY = "state,source,dport"
FORMS = ("text", "json", "csv", "parquet", "conntrack")
FULL_SHARE = 0.95  # of the limit from which on it is a finding: `tablefull check -c`


@click.command(
    epilog="""\b
Examples:
  sudo tablefull table
  sudo tablefull table --by source,status --top 20
  sudo tablefull table --where 'proto=tcp and state=ESTABLISHED and dport=443' --by source+dport
  sudo tablefull table --netns all
  sudo tablefull table --full --format conntrack > table.txt
  sudo tablefull table --full --format parquet -o table.parquet

\b
--where knows: proto state src dst host sport dport port family zone mark status remaining
packets bytes, with = != < <= > >= and `in` for networks; assured unreplied nat snat dnat
offload ipv4 ipv6; and, or, not, parentheses."""
)
@click.option(
    "--by",
    default=DEFAULT_BY,
    show_default=True,
    metavar="DIM[,DIM]",
    help="Told apart by: state source destination sport dport proto family status nat zone mark helper netns "
    "reply-source reply-destination; several joined by + are one.",
)
@click.option("--where", metavar="EXPR", help="Only these entries: 'proto=tcp and not assured'.")
@click.option("--top", type=click.IntRange(1, 1000), default=8, show_default=True, help="Rows a dimension.")
@click.option("--netns", "space", metavar="NAME|PID|all", help="Of another network namespace; all: beside each other.")
@click.option("--sample", "sampled", is_flag=True, help="Only the first few thousand (the default above 100,000).")
@click.option("--full", "whole", is_flag=True, help="Every entry.")
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True)
@click.option("-o", "--output", metavar="FILE", help="Where csv, parquet or conntrack goes (default: standard output).")
def table(
    by: str, where: str | None, top: int, space: str | None, sampled: bool, whole: bool, form: str, output: str | None
) -> int:
    """Say who and what fills the table of this host: shares by state, source, port and more.

    Above 100,000 entries a few thousand are read: the kernel's hash is keyed, so the first ones are a fair sample, and
    each share comes with its 95 % interval. Needs CAP_NET_ADMIN; without it, what /proc shows is used.
    """
    if sampled and whole:
        raise UsageError("--sample and --full exclude each other")
    if output is not None and form in ("text", "json"):
        raise UsageError("-o goes with --format csv, parquet or conntrack; text and json go to standard output")
    words = [word.strip() for word in by.split(",") if word.strip()]
    every_space = BY_NAMESPACE in words or space == "all"
    space = None if space == "all" else space
    dimensions = [named(word) for word in words if word != BY_NAMESPACE]
    if not words:
        raise UsageError("--by: nothing is named; write such as: --by state,source+dport")
    test = None
    if where is not None:
        from tablefull.wire.selection import asks_counters, parse

        test = parse(where)
        if asks_counters(where):
            _check_counters(space)
    mode = True if whole else False if sampled else None
    if form in ("csv", "parquet", "conntrack"):
        return _written(space, test, form, output, mode)
    from tablefull.live.table_look import look
    from tablefull.views import table_text
    from tablefull.views.output import emit
    from tablefull.views.terminal import wants_colour, width_of

    with Progress(whole and sys.stderr.isatty()) as tick:
        seen = look(Proc(), space, dimensions, test, mode, every_space, tick.tick)
    if form == "json":
        emit(table_text.as_json(seen, top))
    else:
        page = table_text.render(seen, top, width_of(sys.stdout), where)
        emit(page.coloured() if wants_colour(sys.stdout) else page.plain())
    reading = seen.reading
    if reading is None:
        return EXIT_BLIND
    return _judged([(reading.total, reading.limit), *((each.count, each.limit) for each in seen.spaces if not space)])


def _judged(counts: "Sequence[tuple[int | None, int | None]]") -> int:
    """The exit code of counts and limits: one that is nearly full is a finding, one that is not seen is not fine."""
    if any(limit and count is not None and count >= FULL_SHARE * limit for count, limit in counts):
        return EXIT_FINDING
    return EXIT_BLIND if any(count is None for count, _ in counts) else EXIT_FINE


def _check_counters(space: str | None) -> None:
    """Unreadable where the namespace counts no packets and bytes: none of its entries could be said to match."""
    from tablefull.live.record_start import check_counters, settings_of
    from tablefull.live.spaces import Space, place
    from tablefull.live.table_look import OWN

    key, path = (OWN, None) if space is None else place(Proc(), space)
    check_counters([(Space(key, path, 0, None, None), settings_of(path))])


def _written(space: str | None, where: "Test | None", form: str, output: str | None, whole: bool | None) -> int:
    """Rows instead of shares."""
    from tablefull.live.spaces import place
    from tablefull.live.table import SAMPLE
    from tablefull.views import table_rows

    path = None if space is None else place(Proc(), space)[1]
    if whole is None:
        whole = True
    with Progress(sys.stderr.isatty()) as tick:
        told = table_rows.write(path, where, form, output, None if whole else SAMPLE, tick.tick)
    from tablefull.views.output import say

    for line in told.notes:
        say(f"tablefull: {line}")
    if told.failed:
        return EXIT_BLIND
    if not whole and told.read < told.total:
        say(f"tablefull: a sample, {told.read} of {told.total} entries; --full writes all")
    return EXIT_FINE


class Progress:
    """How many entries were read, on one line of a terminal, gone at the end."""

    def __init__(self, shown: bool) -> None:
        self._shown, self._next = shown, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._next:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def tick(self, read: int) -> None:
        """So many so far."""
        if self._shown and read >= self._next:
            self._next = read + 50_000
            sys.stderr.write(f"\r{read:,} entries read")
            sys.stderr.flush()
