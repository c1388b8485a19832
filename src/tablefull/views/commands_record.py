"""``tablefull record``: follow new, updated and destroyed entries into files, and say what was missed.

The trap: to listen is not free for the host. From Linux 5.19 on an entry carries what events need only where somebody
listens, so a recorder makes every new entry of the whole host dearer, and sees little of the older ones. That is said
before it starts, on standard error, and the numbers of what was and was not recorded when it ends.
"""

import os
import re
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tablefull.errors import (
    EXIT_BLIND,
    EXIT_FINDING,
    EXIT_FINE,
    EXIT_REFUSED,
    KernelRefused,
    TablefullError,
    UsageError,
)
from tablefull.views.durations import seconds
from tablefull.views.signals import Ending

if TYPE_CHECKING:
    from tablefull.live.record import Recorder, Told
    from tablefull.live.record_files import Folder, Left
    from tablefull.live.record_start import Settings
    from tablefull.live.spaces import Space

NEEDS = "record needs {}: pip install 'tablefull[twin]'"
LEAST_KEEP_BYTES = 1_000_000
MOST_BUFFER_BYTES = (1 << 31) - 1  # sk_setsockopt: an int  [sk_setsockopt, __sock_set_rcvbuf: net/core/sock.c 6.18]
EXTENSION_BYTES = 128  # KERNEL.md 7: the block of extensions, kmalloc-128


def size_of(text: str, option: str) -> int:
    """Bytes of a size such as 500MB, 1GB or 64MiB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"{option} {text[:40]!a}: a size is wanted, such as 500MB or 1GB")
    power = "KMGT".find(match[2].upper()) + 1 if match[2] else 0
    factor: int = (1024 if match[3] else 1000) ** power
    return round(float(match[1]) * factor)


@click.command(
    epilog="""\b
Examples:
  sudo tablefull record -o events --duration 10m
  sudo tablefull record --netns all --keep 5GB
  sudo tablefull record --where 'proto=udp and dport=53' --duration 30s
  tablefull replay events --max 65536

\b
Each file is Parquet; kinds of rows are NEW UPDATE DESTROY (events), resync (an entry of a
dump), synced (the dump is whole), gap (time_ns to until_ns, lost), joined, gone (namespaces)."""
)
@click.option("-o", "--output", default="tablefull-record", show_default=True, metavar="DIR", help="Where files go.")
@click.option(
    "--netns", "names", multiple=True, metavar="NAME|PID|all", help="Of other network namespaces; any number of them."
)
@click.option("--where", metavar="EXPR", help="Only these events, as in `table --where`.")
@click.option("--duration", metavar="TIME", help="Stop after this time (default: at Ctrl-C or SIGTERM).")
@click.option("--keep", default="1GB", show_default=True, metavar="SIZE", help="Of disk; the oldest files go.")
@click.option("--rotate", default="5m", show_default=True, metavar="TIME", help="A new file after this time.")
@click.option("--rotate-size", default="32MB", show_default=True, metavar="SIZE", help="A new file at about this size.")
@click.option(
    "--buffer", default="64MB", show_default=True, metavar="SIZE", help="Of kernel memory, where events wait."
)
@click.option("--most-buffer", default="512MB", show_default=True, metavar="SIZE", help="To which it grows if it must.")
@click.option("--no-dump", is_flag=True, help="Do not begin with the entries that are there already.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def record(
    output: str,
    names: tuple[str, ...],
    where: str | None,
    duration: str | None,
    keep: str,
    rotate: str,
    rotate_size: str,
    buffer: str,
    most_buffer: str,
    no_dump: bool,
    form: str,
) -> int:
    """Follow new, updated and destroyed entries into Parquet files in DIR, of bounded size.

    Events that were lost are noted as gaps with their number, and the table is read again after each. Stops at Ctrl-C,
    SIGTERM or after --duration, with everything written. `tablefull replay DIR` reads the files. Needs CAP_NET_ADMIN.
    Exit code 0: all was recorded; 1: with gaps; 3: nothing could be followed; 4: it broke off.
    """
    until_s = None if duration is None else seconds(duration, "--duration")
    keep_bytes, room, most = size_of(keep, "--keep"), size_of(buffer, "--buffer"), size_of(most_buffer, "--most-buffer")
    if keep_bytes < LEAST_KEEP_BYTES:
        raise UsageError(f"--keep {keep[:40]!a}: less than {LEAST_KEEP_BYTES // 10**6}MB holds no record")
    for bytes_, words, option in ((room, buffer, "--buffer"), (most, most_buffer, "--most-buffer")):
        if bytes_ > MOST_BUFFER_BYTES:
            raise UsageError(f"{option} {words[:40]!a}: a socket takes less than 2GiB")
    rotate_bytes = max(1, min(size_of(rotate_size, "--rotate-size"), keep_bytes // 4))
    rotate_s = seconds(rotate, "--rotate")
    test = None
    if where is not None:
        from tablefull.wire.selection import parse

        test = parse(where)
    for extra in ("numpy", "numba", "polars"):
        if find_spec(extra) is None:
            raise UsageError(NEEDS.format(extra))
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # one core is what a host in trouble can spare
    from tablefull.live.netlink import askable
    from tablefull.live.proc import Proc
    from tablefull.live.record_start import check_allowed, check_counters, check_events, settings_of, spaces_of
    from tablefull.views.output import say
    from tablefull.wire.selection import asks_counters

    proc = Proc()
    askable(proc)
    spaces, holes = spaces_of(proc, names)
    try:
        check_allowed(spaces)
    except KernelRefused as error:
        say(f"tablefull: {error}")
        return EXIT_BLIND
    settings = [(space, settings_of(space.path)) for space in spaces]
    counted = check_counters(settings) if where is not None and asks_counters(where) else []
    for line in [*holes, *check_events(settings), *counted, *_costs(settings), *_clock(settings)]:
        say(f"tablefull: {line}")
    from tablefull.live.record import Recorder, Wanted
    from tablefull.live.record_files import Folder
    from tablefull.live.record_receiver import compile_all

    wanted = Wanted(
        every="all" in names,
        where=test,
        expression=where,
        start_dump=not no_dump,
        rotate_bytes=rotate_bytes,
        rotate_s=rotate_s,
        room_bytes=room,
        most_room_bytes=max(room, most),
    )
    with Folder(Path(output), keep_bytes) as folder:
        for left in folder.left:
            say(f"tablefull: {_left(left)}")
        if sys.stderr.isatty():
            say("tablefull: loading the compiled reader (the first time it takes half a minute)")
        compile_all()
        stop = Stop(until_s)
        with stop:
            recorder = Recorder(folder, wanted, proc, lambda line: say(f"tablefull: {line}"))
            refused = _follow(recorder, spaces, stop)
            if len(refused) < len(spaces):
                say(f"tablefull: recording into {output}" + ("" if until_s else "; Ctrl-C ends it"))
            stop.begin()
            recorder.run(stop.going, Progress(sys.stderr.isatty()).tick)
        return _summary(recorder, folder, output, form, refused, nothing=len(refused) == len(spaces))


def _follow(recorder: "Recorder", spaces: "Sequence[Space]", stop: "Stop") -> list[str]:
    """Follow each; why some could not be."""
    from tablefull.views.output import say

    refused = []
    for space in spaces:
        if not stop.going():
            break
        try:
            recorder.follow(space)
        except (TablefullError, OSError) as error:
            refused.append(f"{space.key}: {error}")
            say(f"tablefull: {refused[-1]}")
    return refused


def _costs(settings: "Sequence[tuple[Space, Settings]]") -> list[str]:
    """What listening does to the host, said before it is done. [KERNEL.md 7, 9.4; ecache 5.19]"""
    lines = []
    auto = [found for _, found in settings if found.events == 2]
    if auto:
        lines.append(
            f"while this listens every new entry takes {EXTENSION_BYTES} bytes more, in every namespace of this host: "
            f"{EXTENSION_BYTES * 1_000_000 / 1e6:.0f} MB for a million (nf_conntrack_events is 2)"
        )
        lines.append(
            "entries that are there already send no events unless somebody listened when they were made: of those "
            "only the dump at the start tells"
        )
    elif any(found.events is None for _, found in settings):
        lines.append(
            f"nf_conntrack_events is not shown: it may cost {EXTENSION_BYTES} bytes on every new entry, host-wide"
        )
    return lines


def _clock(settings: "Sequence[tuple[Space, Settings]]") -> list[str]:
    from tablefull.live.table_look import OWN

    without = ["this namespace" if space.key == OWN else space.key for space, found in settings if found.timestamp != 1]
    if not without:
        return []
    names = ", ".join(without[:3]) + ("" if len(without) <= 3 else f" and {len(without) - 3} more")
    late = "times are those of receipt, a few milliseconds late"
    return [f"{late}: nf_conntrack_timestamp is off in {names} (on, new entries carry the kernel's own)"]


def _left(left: "Left") -> str:
    if left.whole:
        return f"{left.name}: an earlier recording ended before it could name this file; it is whole and was kept"
    since = ""
    if left.since_ns is not None:
        since = time.strftime(" since %Y-%m-%d %H:%M:%S UTC", time.gmtime(left.since_ns // 10**9))
    return f"{left.name}: an earlier recording was cut off; its events{since} are lost"


class Stop(Ending):
    """Whether to go on: until a time is over or a signal came. The handlers are as before at the end."""

    def __init__(self, after_s: float | None) -> None:
        super().__init__()
        self._after_s = after_s
        self._until: float | None = None
        self.signalled = False

    def begin(self) -> None:
        """The time counts from now on: what was asked for is followed, which took a while."""
        self._until = None if self._after_s is None else time.monotonic() + self._after_s

    def told(self) -> None:
        """Not on."""
        self.signalled = True

    def going(self) -> bool:
        """Whether nothing has ended it."""
        return not self.signalled and (self._until is None or time.monotonic() < self._until)


class Progress:
    """Events so far, on one line of a terminal."""

    def __init__(self, shown: bool) -> None:
        self._shown, self._next, self._last = shown, 0.0, (0, 0.0)

    def tick(self, told: "Told") -> None:
        """So many so far."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        total = sum(told.events.values())
        rate = (total - self._last[0]) / max(now - self._last[1], 1e-9) if self._last[1] else 0.0
        self._next, self._last = now + 1.0, (total, now)
        gaps = f", {told.gaps} gaps with {told.lost:,} lost" if told.gaps else ""
        sys.stderr.write(f"\r\x1b[K{total:,} events, {rate:,.0f}/s{gaps} ")
        sys.stderr.flush()


def _summary(recorder: "Recorder", folder: "Folder", output: str, form: str, refused: list[str], nothing: bool) -> int:
    """What is in the record and what is not; the exit code."""
    from tablefull.views.output import emit, say

    told, kept = recorder.told, folder.kept
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if recorder.failed is not None:
        say(f"tablefull: {recorder.failed}; recording stopped" + _unwritten(recorder))
    if form == "json":
        import msgspec

        answer = {
            **msgspec.to_builtins(told),
            "files": msgspec.to_builtins(kept),
            "folder": output,
            "failed": recorder.failed,
            "unwritten_rows": recorder.unwritten,
            "refused": refused,
        }
        emit(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n")
    else:
        emit("".join(f"{line}\n" for line in lines_of(told, recorder, folder, output)))
    if recorder.failed is not None:
        return EXIT_REFUSED
    if nothing:
        return EXIT_BLIND
    return EXIT_FINDING if told.gaps or refused or told.resyncs_failed else EXIT_FINE


def _unwritten(recorder: "Recorder") -> str:
    return f"; {recorder.unwritten:,} rows are not written" if recorder.unwritten else ""


def lines_of(told: "Told", recorder: "Recorder", folder: "Folder", output: str) -> list[str]:
    """The summary as lines."""
    from tablefull.views.terminal import harmless

    span_s = (told.until_ns - told.began_ns) / 1e9
    events, kept = sum(told.events.values()), folder.kept
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in told.events.items())
    taken = "received" if recorder.unwritten else "recorded"
    lines = [f"{taken}   {events:,} events in {span_s:.1f} s: {kinds}"]
    if recorder.unwritten:
        lines.append(f"lost       the last {recorder.unwritten:,} rows, events among them: they could not be written")
    if told.unmatched:
        lines.append(f"left out   {told.unmatched:,} events and entries that --where does not mean")
    if told.gaps:
        unknown = f", {told.gaps_of_unknown_size} of unknown size" if told.gaps_of_unknown_size else ""
        lines.append(f"lost       {told.lost:,} events in {told.gaps} gaps of {told.gap_s:.2f} s together{unknown}")
    elif not recorder.unwritten:
        lines.append("lost       nothing: no gap")
    failed = f", {told.resyncs_failed} more not whole" if told.resyncs_failed else ""
    lines.append(f"dumps      {told.resyncs}, {told.resync_rows:,} entries{failed}")
    kernel = sum(count for name, count in told.clocks.items() if name != "received")
    lines.append(f"times      {kernel:,} of the kernel, {told.clocks['received']:,} of receipt")
    lines.append(f"cost       {told.cpu_s:.2f} s of CPU, {told.received_bytes:,} bytes received")
    lines.append(f"written    {kept.files} file{'s' * (kept.files != 1)}, {kept.bytes:,} bytes in {harmless(output)}")
    if kept.removed_files:
        gone = f"{kept.removed_files} older files with {kept.removed_rows:,} rows"
        lines.append(f"removed    {gone}, to keep {folder.keep_bytes:,} bytes")
    return lines
