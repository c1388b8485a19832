"""``tablefull check``: how full the table is, as Nagios, Icinga and their kin ask.

The trap: exit code 2 means CRITICAL to a monitor. Whatever goes wrong here, also a mistake in the call, is therefore 3
(UNKNOWN), with its line on standard output, where a monitor reads.
"""

from pathlib import Path

import click
from msgspec import Struct

from tablefull.errors import UsageError
from tablefull.facts.origin import Hole
from tablefull.live.proc import Proc
from tablefull.live.table_size import COUNTS, LIMITS, number
from tablefull.views.output import emit

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


class Answer(Struct, frozen=True):
    """A monitoring plugin's answer: its exit code and its one line."""

    code: int
    line: str


def judge(count: int | Hole, limit: int | Hole, warning: float, critical: float) -> Answer:
    """The answer for a count and a limit; thresholds in per cent of the limit. A limit of 0 is none at all."""
    for value in (count, limit):
        if isinstance(value, Hole):
            remedy = value.remedy or "connection tracking is not loaded here, or this container hides it"
            return Answer(UNKNOWN, f"CONNTRACK UNKNOWN: {value.what}: {value.why}; {remedy}")
    assert isinstance(count, int)
    assert isinstance(limit, int)
    if limit <= 0:
        return Answer(OK, f"CONNTRACK OK: {count} entries, no limit is set|'count'={count};;;0;")
    share = 100 * count / limit
    code = CRITICAL if share >= critical else WARNING if share >= warning else OK
    levels = f"{int(limit * warning / 100)};{int(limit * critical / 100)}"
    return Answer(
        code,
        f"CONNTRACK {STATES[code]}: {count} of {limit} entries ({share:.1f} %)|'count'={count};{levels};0;{limit}",
    )


@click.command(
    epilog="""\b
Examples:
  tablefull check
  tablefull check -w 70 -c 90

\b
Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (also for a mistake in the
call). The line ends in performance data: 'count'=value;warning;critical;0;max."""
)
@click.option("-w", "--warning", type=float, default=85, show_default=True, help="WARNING from this many per cent on.")
@click.option(
    "-c", "--critical", type=float, default=95, show_default=True, help="CRITICAL from this many per cent on."
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=Path("/"),
    show_default=True,
    help="Read /proc below this directory.",
)
def check(warning: float, critical: float, root: Path) -> int:
    """Say how full the entry table of this host is, as a monitoring plugin."""
    if not 0 < warning <= critical <= 100:
        raise UsageError(f"-w {warning:g} -c {critical:g}: per cents with 0 < w <= c <= 100 are wanted")
    proc = Proc(root)
    answer = judge(number(proc, COUNTS), number(proc, LIMITS), warning, critical)
    emit(answer.line + "\n")
    return answer.code
