"""``tablefull plan``: how high the limit may go, whether raising it is right at all, and what would do instead.

The trap: the evidence is run several times, first as it is and then under what its entries suggest, and a pipe can be
read once. So from a pipe only what was named is tried beside it, and that is said.
"""

import sys
from typing import TYPE_CHECKING

import click

from tablefull.errors import EXIT_BLIND, EXIT_FINDING, EXIT_FINE, UsageError
from tablefull.views.output import emit
from tablefull.views.terminal import wants_colour, width_of

if TYPE_CHECKING:
    from tablefull.fixes.capacity_answer import Capacity

NEEDS = "a plan from this needs {}: pip install 'tablefull[twin]'"
LEAST_GROWTH, MOST_GROWTH = 1.0, 100.0
_LIBRARIES = ("numpy", "numba", "llvmlite", "polars")


@click.command(
    epilog="""\b
Examples:
  sudo tablefull record -o events --duration 1h    make evidence of this host
  tablefull plan events                            what `tablefull record -o events` wrote
  tablefull plan web1.pcap --max 65536 --ram 4GB
  tablefull plan --workload http:rate=116,keepalive=5s --duration 10m --growth 3
  tablefull plan events.txt --notrack 'udp port 53' --vs nf_conntrack_udp_timeout=10

\b
Exit codes: 0 the limit holds, or none was named; 1 it does not, or raising it is wrong;
2 wrong usage; 3 there was not enough to plan from."""
)
@click.argument("evidence", required=False, type=click.Path(allow_dash=True))
@click.option("--workload", "workloads", multiple=True, metavar="SPEC", help="Made-up traffic, as in `replay`.")
@click.option("--duration", metavar="TIME", help="How long made-up traffic lasts (default 60s).")
@click.option("--growth", type=float, default=2.0, show_default=True, metavar="N", help="How often today's traffic.")
@click.option(
    "--quantile", type=float, default=0.999, show_default=True, metavar="Q", help="Chance that a peak stays below."
)
@click.option("--max", "maximum", metavar="N", help="The limit in force.")
@click.option("--buckets", type=click.IntRange(1), metavar="N", help="The buckets in force.")
@click.option("--ram", metavar="SIZE", help="The memory of the host: 4GB, 16GiB (default: of this machine).")
@click.option("--kernel", metavar="RELEASE", help="Of the host (default: 6.18).")
@click.option("--sysctl", "sysctls", multiple=True, metavar="K=V", help="A setting in force; any number of them.")
@click.option("--notrack", "exempt", multiple=True, metavar="EXPR", help="Also try: this traffic is not tracked.")
@click.option("--vs", "others", multiple=True, metavar="K=V[,K=V]", help="Also try: these settings.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of made-up traffic and of the table's hash.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def plan(
    evidence: str | None,
    workloads: tuple[str, ...],
    duration: str | None,
    growth: float,
    quantile: float,
    maximum: str | None,
    buckets: int | None,
    ram: str | None,
    kernel: str | None,
    sysctls: tuple[str, ...],
    exempt: tuple[str, ...],
    others: tuple[str, ...],
    seed: int,
    form: str,
) -> int:
    """Say how high the limit should be, whether raising it is right, and what brings the need down instead.

    EVIDENCE is what `tablefull record` wrote (DIR or FILE.parquet), a capture, text of `conntrack -E -o timestamp`, or
    - for standard input. Nothing on this host is looked at or changed.
    """
    if workloads and evidence is not None:
        raise UsageError("plan takes evidence or --workload, not both")
    if duration is not None and not workloads:
        raise UsageError("--duration belongs to --workload")
    if not LEAST_GROWTH <= growth <= MOST_GROWTH:
        raise UsageError(f"--growth {growth:g}: {LEAST_GROWTH:g} to {MOST_GROWTH:g} times today's traffic is possible")
    if not 0.5 <= quantile < 1:
        raise UsageError(f"--quantile {quantile:g}: from 0.5 to below 1 is possible, such as 0.999")
    from tablefull.views import plan_running

    asked = plan_running.Asked(
        evidence=evidence, workloads=workloads, duration=duration, growth=growth, quantile=quantile,
        limit=_limit(maximum), buckets=buckets, ram=ram, kernel=kernel, sysctls=sysctls, exempt=exempt, others=others,
        seed=seed,
    )  # fmt: skip
    try:
        found = plan_running.planned(asked)
    except ModuleNotFoundError as missing:
        if missing.name in _LIBRARIES:
            raise UsageError(NEEDS.format(missing.name)) from None
        raise
    _show(found, form)
    if found.standing == "blind" or found.study.blind:
        return EXIT_BLIND
    return EXIT_FINDING if _short(found) else EXIT_FINE


def _limit(maximum: str | None) -> int | None:
    if maximum is None:
        return None
    try:
        value = int(maximum, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= 0x7FFFFFFF:
        raise UsageError(f"--max {maximum[:40]!a}: a whole number from 0 (no limit) to 2147483647 is wanted")
    return value


def _short(found: "Capacity") -> bool:
    """Whether something is to be done: the limit refuses, or raising it would be wrong."""
    limit = found.given.limit
    return found.standing in ("wrong", "instead") or bool(limit and found.options[0].need > limit)


def _show(found: "Capacity", form: str) -> None:
    from tablefull.views import plan_text

    if form == "json":
        import msgspec

        emit(msgspec.json.format(msgspec.json.encode(plan_text.as_object(found)), indent=2).decode() + "\n")
        return
    page = plan_text.render(found, width_of(sys.stdout))
    emit(page.coloured() if wants_colour(sys.stdout) else page.plain())
