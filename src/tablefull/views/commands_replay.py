"""``tablefull replay``: what a capture, recorded events or made-up traffic would do to a table, under any settings.

The trap: the answer costs a compiled library that the base does not bring, so everything is imported when the command
is called, and a missing extra is one line that names it. Files are written whole at the end or not at all.
"""

import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

import click

from tablefull.errors import EXIT_BLIND, EXIT_FINDING, EXIT_FINE, UsageError
from tablefull.views.durations import seconds
from tablefull.views.output import emit, emit_pieces, say
from tablefull.views.terminal import wants_colour, width_of

if TYPE_CHECKING:
    from tablefull.live.replay import Replay, Setting
    from tablefull.live.replay_verdicts import Verdicts

NEEDS = "replay needs {}: pip install 'tablefull[twin]'"


def pairs(words: Iterable[str]) -> dict[str, str]:
    """The settings of --sysctl NAME=VALUE."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(f"--sysctl {word!a}: NAME=VALUE is wanted, such as nf_conntrack_udp_timeout=10")
        found[name.strip()] = value.strip()
    return found


def split(text: str) -> list[str]:
    """The parts of one --vs: parted by commas that stand in no quotes, the quotes taken away."""
    parts, part, quote = [], "", ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
            part += "" if not quote else letter
        elif letter in "\"'":
            quote = letter
        elif letter == ",":
            parts.append(part)
            part = ""
        else:
            part += letter
    if quote:
        raise UsageError(f"--vs {text!a}: a quote is not closed")
    return [*parts, part]


def settings(kernel: str, sysctls: Mapping[str, str], notrack: str | None, others: Sequence[str]) -> "list[Setting]":
    """The base setting and one for each --vs, which changes the base where it says so."""
    from tablefull.live.replay import Setting

    found = [Setting("as given" if others else f"Linux {kernel}", kernel, dict(sysctls), notrack)]
    for other in others:
        changed, new_kernel, new_notrack = dict(sysctls), kernel, notrack
        for part in split(other):
            name, equals, value = part.strip().partition("=")
            if not equals or not name or not value:
                raise UsageError(
                    f"--vs {other!a}: NAME=VALUE is wanted, parted by commas; also kernel=, max=, notrack="
                )
            if name == "kernel":
                new_kernel = value
            elif name == "notrack":
                new_notrack = value
            else:
                for known in [each for each in changed if _same(each, name)]:
                    del changed[known]
                changed[name] = value
        found.append(Setting(other, new_kernel, changed, new_notrack))
    return found


def _same(one: str, other: str) -> bool:
    from tablefull.kernel.sysctls import canonical

    full = {"max": "nf_conntrack_max", "buckets": "nf_conntrack_buckets"}
    return full.get(one, canonical(one)) == full.get(other, canonical(other))


@click.command(
    epilog="""\b
Examples:
  tablefull replay web1.pcap                       what it did to a table
  tablefull replay web1.pcap --max 65536 --vs max=262144
  tablefull replay web1.pcap --vs nf_conntrack_tcp_timeout_established=3600
  tablefull replay web1.pcap --vs 'notrack="udp port 53"'
  tablefull replay --workload http:rate=116,keepalive=5s --workload dns:rate=300 --max 20000
  tcpdump -i any -w - -U | tablefull replay -      (stop tcpdump to see the answer)
  conntrack -E -o timestamp > events.txt; tablefull replay events.txt --max 65536
  tablefull record -o events --duration 1h; tablefull replay events --max 65536"""
)
@click.argument("capture", required=False, type=click.Path(allow_dash=True))
@click.option(
    "--kernel", default="6.18", metavar="RELEASE", help="The kernel to play: 6.18 (default), 6.1, 5.15, 3.2 ..."
)
@click.option("--sysctl", "sysctls", multiple=True, metavar="K=V", help="A setting of tracking; any number of them.")
@click.option("--max", "maximum", metavar="N", help="nf_conntrack_max; 0 is no limit.")
@click.option("--notrack", metavar="EXPR", help="Packets not to be tracked, in tcpdump's words: 'udp port 53'.")
@click.option("--workload", "workloads", multiple=True, metavar="SPEC", help="Made-up traffic instead of a capture.")
@click.option("--duration", metavar="TIME", help="How long made-up traffic lasts (default 60s).")
@click.option("--seed", type=int, default=0, show_default=True, help="Of made-up traffic and of the table's hash.")
@click.option("--vs", "others", multiple=True, metavar="K=V[,K=V]", help="Compare with these settings; any number.")
@click.option("--interval", metavar="TIME", help="Between samples of the timeline (default: a few hundred in all).")
@click.option("--verdicts", metavar="FILE", help="Each packet's verdict, as CSV: index,state,direction.")
@click.option("--entries", metavar="FILE", help="The table at the end, as conntrack -L -o extended.")
@click.option("--timeline", metavar="FILE", help="Occupancy over time, .csv or .parquet.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def replay(
    capture: str | None,
    kernel: str,
    sysctls: tuple[str, ...],
    maximum: str | None,
    notrack: str | None,
    workloads: tuple[str, ...],
    duration: str | None,
    seed: int,
    others: tuple[str, ...],
    interval: str | None,
    verdicts: str | None,
    entries: str | None,
    timeline: str | None,
    form: str,
) -> int:
    """Run a capture, recorded events or made-up traffic through connection tracking, under the settings you name.

    CAPTURE is a pcap or pcapng (plain, gz, zst, xz, bz2), text of `conntrack -E -o timestamp`, what `tablefull record`
    wrote (DIR or FILE.parquet), or - for standard input. Says how full the table got, what was refused or evicted, who
    held it, and what dmesg would show. Nothing on this host is touched.
    """
    if bool(workloads) == (capture is not None):
        raise UsageError("replay needs a capture or --workload, and not both; see tablefull replay --help")
    if duration is not None and not workloads:
        raise UsageError("--duration belongs to --workload")
    given = pairs(sysctls)
    if maximum is not None:
        given["nf_conntrack_max"] = maximum
    outputs = [name for name in (verdicts, entries, timeline) if name is not None]
    _check_outputs(outputs, capture, form)
    _check_timeline(timeline)
    interval_ns = None if interval is None else round(seconds(interval, "--interval") * 1e9)
    try:
        chosen = settings(kernel, given, notrack, others)
        with ExitStack() as stack:
            found, extra, code = _run(
                stack,
                capture,
                workloads,
                duration,
                seed,
                chosen,
                interval_ns,
                verdicts,
                wants=bool(verdicts or entries),
            )
            _write_entries(found, entries)
    except ModuleNotFoundError as missing:
        if missing.name in ("numpy", "numba", "llvmlite", "polars"):
            raise UsageError(NEEDS.format(missing.name)) from None
        raise
    if timeline is not None:
        _write_timeline(found, timeline)
    _answer(found, extra, form, sys.stderr if "-" in outputs else sys.stdout)
    if code:
        return code
    return EXIT_FINDING if found.outcomes[0].refused else EXIT_FINE


def _check_outputs(outputs: Sequence[str], capture: str | None, form: str) -> None:
    if outputs.count("-") > 1:
        raise UsageError("only one of --verdicts, --entries and --timeline can go to standard output")
    named = [os.path.realpath(name) for name in outputs if name != "-"]
    if len(set(named)) < len(named):
        raise UsageError("--verdicts, --entries and --timeline need files of their own")
    if capture is not None and capture != "-" and os.path.realpath(capture) in named:
        raise UsageError(f"{capture}: is the capture itself; name another file to write")
    if "-" in outputs and form == "json":
        raise UsageError("--format json and - both mean standard output; name a file")
    for name in outputs:
        folder = Path(name).parent
        if name != "-" and not folder.is_dir():
            raise UsageError(f"{name[:200]!a}: there is no directory {str(folder)[:200]!a} to write it into")


def _check_timeline(path: str | None) -> None:
    """Before the packets are read: a long run is not to end with a name that cannot be."""
    if path is None or path == "-":
        return
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise UsageError(f"--timeline {path[:200]!a}: the name ends in neither .csv nor .parquet")
    if suffix == ".parquet" and find_spec("polars") is None:
        raise UsageError(f"{NEEDS.format('polars for Parquet')}; .csv needs nothing")


def _run(
    stack: ExitStack,
    capture: str | None,
    workloads: Sequence[str],
    duration: str | None,
    seed: int,
    chosen: "Sequence[Setting]",
    interval_ns: int | None,
    verdicts: str | None,
    wants: bool,
) -> "tuple[Replay, list[str], int]":
    """The replay, what else is to be said, and an exit code other than 0 where not all could be seen."""
    from tablefull.live import replay as driver
    from tablefull.views import replay_source

    extra: list[str] = []
    held: IO[bytes] | None = None
    if capture is not None:
        from tablefull.live import replay_records

        if replay_records.is_record(capture):
            return _of_record(capture, chosen, interval_ns, wants)
        held = replay_source.held_of(stack, capture)
        told = replay_source.recorded(stack, capture, held, packets_wanted=wants)
        if told is not None:
            from tablefull.live import replay_events

            found = replay_events.rebuild(told.recording, chosen, interval_ns)
            return found, told.notes, EXIT_BLIND if told.blind else 0
    replay_source.compiling()
    kept = _kept(stack) if verdicts is not None else None
    opened, pieces, span_ns = replay_source.pieces_of(stack, capture, held, workloads, duration, seed)
    # A thread that waits for a pipe cannot be told to stop; and whoever fills the pipe works ahead by itself.
    waits = opened is not None and opened.size_bytes is None
    tick = stack.enter_context(replay_source.Bar(opened, span_ns))
    found = driver.replay(
        pieces if waits else driver.read_ahead(pieces),
        chosen,
        seed=seed,
        interval_ns=interval_ns,
        span_ns=span_ns,
        verdicts=kept,
        tick=tick.tick,
    )
    if not found.packets:
        replay_source.told_something(opened)
    code = 0
    if interval_ns is not None and found.interval_ns > interval_ns:
        extra.append(
            f"--interval {interval_ns / 1e9:g}s makes more than {driver.MOST_SAMPLES_NAMED} samples; they are"
            f" {found.interval_ns / 1e9:g} s apart"
        )
    if opened is not None and opened.damage is not None:
        damage = opened.damage
        extra.append(f"{opened.name}: damaged at byte {damage.offset}: {damage.what}; everything before it was used")
        code = EXIT_BLIND
    if opened is not None and opened.timeless:
        extra.append(f"{opened.timeless} packets have no time of their own; they have that of the packet before")
    if not found.packets:
        extra.append("not one packet was there")
        code = EXIT_BLIND
    if kept is not None and verdicts is not None:
        tick.over()
        emit_pieces(kept.lines(), verdicts)
    return found, extra, code


def _of_record(
    path: str, chosen: "Sequence[Setting]", interval_ns: int | None, wants: bool
) -> "tuple[Replay, list[str], int]":
    """The replay of what `tablefull record` wrote."""
    from tablefull.live import replay_events, replay_records
    from tablefull.live.replay import Outcome, Replay

    if wants:
        raise UsageError("a record holds no packets: --verdicts and --entries need a capture")
    read = replay_records.read(path)
    if not len(read.recording.rows):
        return Replay([Outcome(chosen[0], None)]), [*read.notes, f"{path}: the record holds no event"], EXIT_BLIND
    return replay_events.rebuild(read.recording, chosen, interval_ns), read.notes, EXIT_BLIND if read.blind else 0


def _kept(stack: ExitStack) -> "Verdicts":
    from tablefull.live.replay_verdicts import Verdicts

    return stack.enter_context(Verdicts())


def _write_entries(found: "Replay", path: str | None) -> None:
    if path is None:
        return
    if not found.twins:
        raise UsageError("--entries needs packets")

    def lines() -> Iterator[bytes]:
        for line in found.twins[0].lines():
            yield f"{line}\n".encode()

    emit_pieces(lines(), path)


def _write_timeline(found: "Replay", path: str) -> None:
    from tablefull.views.replay_text import timeline

    table = timeline(found)
    writer = _parquet if Path(path).suffix.lower() == ".parquet" else _csv
    emit_pieces((writer(table),), path)


def _csv(table: dict[str, list[Any]]) -> bytes:
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return held.getvalue().encode()


def _parquet(table: dict[str, list[Any]]) -> bytes:
    import polars as pl

    held = io.BytesIO()
    types = dict.fromkeys(table, pl.Int64) | {"setting": pl.String, "time_s": pl.Float64}
    pl.DataFrame(table, schema=types).write_parquet(held)
    return held.getvalue()


def _answer(found: "Replay", extra: Sequence[str], form: str, stream: TextIO) -> None:
    """The answer; on standard error where a table went to standard output, so that it can be piped on."""
    from tablefull.views import replay_text
    from tablefull.views.replay_chart import ASCII, BLOCKS

    if form == "json":
        import msgspec

        emit(msgspec.json.format(msgspec.json.encode(replay_text.as_object(found, extra)), indent=2).decode() + "\n")
        return
    encoding = (getattr(stream, "encoding", "") or "").lower().replace("-", "")
    page = replay_text.render(found, extra, width_of(stream), BLOCKS if encoding.startswith("utf") else ASCII)
    text = page.coloured() if wants_colour(stream) else page.plain()
    if stream is sys.stdout:
        emit(text)
    else:
        say(text.rstrip("\n"))
