"""What a replay or a plan is made from: who opens a capture, a pipe or a text of events, and shows how far it is.

The trap: a pipe can be opened once and read once. So what is in it is told from what lies ready, nothing is taken from
it that the reader will want, and the same stream goes to whoever reads it.
"""

import io
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self, cast

from tablefull.errors import TablefullError, Unreadable, UsageError
from tablefull.views.durations import seconds
from tablefull.views.output import say

if TYPE_CHECKING:
    from tablefull.facts.snapshot import Unread
    from tablefull.live.captures import Capture
    from tablefull.live.replay import Piece
    from tablefull.live.replay_events import Recording

EVENT_MARKS = (b"[NEW]", b"[UPDATE]", b"[DESTROY]")


def held_of(stack: ExitStack, capture: str) -> IO[bytes] | None:
    """What can be opened only once: standard input, or a pipe by its name (``<(ssh host tcpdump -w -)``)."""
    if capture == "-":
        return getattr(sys.stdin, "buffer", None)
    try:
        if not stat.S_ISFIFO(Path(capture).stat().st_mode):
            return None
        return stack.enter_context(Path(capture).open("rb"))
    except (OSError, ValueError):
        return None  # whoever opens it as a capture says what is wrong


def events_of(stack: ExitStack, capture: str, held: IO[bytes] | None, broken: "list[Unread]") -> IO[bytes] | None:
    """The stream, where it is a text of recorded events; None where it is anything else, and then nothing is taken
    from ``held``. ``broken`` learns while the stream is read that it breaks off.
    """
    from tablefull.live.streams import content

    if held is not None:
        try:
            told = content(io.BytesIO(cast("io.BufferedReader", held).peek(1)), capture, [])
        except TablefullError:
            return None
    elif capture == "-":
        return None
    else:
        try:
            raw = stack.enter_context(Path(capture).open("rb"))  # noqa: SIM115 - the stack closes it
        except (OSError, ValueError):
            return None
        told = content(raw, capture, broken)
    if told.kind != "text" or not any(mark in told.head for mark in EVENT_MARKS):
        return None
    return cast("IO[bytes]", content(held, capture, broken).stream if held is not None else told.stream)


class Recorded(NamedTuple):
    """A text of recorded events, read. ``notes``: what is to be said of it; ``blind``: not all of it could be read."""

    recording: "Recording"
    notes: list[str]
    blind: bool


def recorded(stack: ExitStack, path: str, held: IO[bytes] | None, packets_wanted: bool = False) -> Recorded | None:
    """The events where ``path`` is a text of them, else None. UsageError where they are no answer: packets are."""
    from tablefull.live import replay_events

    broken: list[Unread] = []
    events = events_of(stack, path, held, broken)
    if events is None:
        return None
    if packets_wanted:
        raise UsageError("recorded events hold no packets: --verdicts and --entries need a capture")
    recording = replay_events.read(replay_events.lines_of(events), path)
    dated(path, recording, broken)
    notes = [f"{path}: {note.why}" for note in broken]
    if recording.undated:
        notes.append(f"{recording.undated} events have no time and were left out; record with -o timestamp")
    return Recorded(recording, notes, bool(broken))


def pieces_of(
    stack: ExitStack,
    capture: str | None,
    held: IO[bytes] | None,
    workloads: Sequence[str],
    duration: str | None,
    seed: int,
) -> "tuple[Capture | None, Iterator[Piece], int | None]":
    """The capture where it is one, its packets or the made-up ones, and how many ns they last where that is known."""
    from tablefull.live import replay as driver

    if capture is None:
        from tablefull.twin.workload import Workload
        from tablefull.twin.workload_spec import parse

        span_s = None if duration is None else seconds(duration, "--duration")
        traffic = Workload([parse(spec) for spec in workloads], seed=seed, duration_s=span_s)
        return None, driver.of_workload(traffic), traffic.end_ns
    from tablefull.live.captures import open_capture

    opened = stack.enter_context(open_capture(capture, cast("BinaryIO | None", held)))
    return opened, driver.of_capture(opened), None


def compiling() -> None:
    """Say once why nothing happens for half a minute."""
    from tablefull.twin import loops

    if sys.stderr.isatty() and not any((Path(loops.__file__).parent / "__pycache__").glob("loops.run-*.nbi")):
        say("tablefull: compiling the loops; this takes half a minute, once")


class Bar:
    """A bar on standard error, where that is a terminal."""

    def __init__(self, opened: "Capture | None", span_ns: int | None) -> None:
        self._opened, self._span_ns = opened, span_ns
        self._bar: Any = None
        self._task: Any = None
        self._first_ns: int | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=Console(file=sys.stderr),
                transient=True,
            )
            self._bar.start()
            total = self._opened.size_bytes if self._opened is not None else self._span_ns
            self._task = self._bar.add_task("packets", total=total)
        return self

    def __exit__(self, *_: object) -> None:
        self.over()

    def over(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def tick(self, packets: int, reached_ns: int) -> None:
        """So many packets so far, up to this time."""
        if self._bar is None:
            return
        if self._first_ns is None:
            self._first_ns = reached_ns
        done = self._opened.read_bytes if self._opened is not None else reached_ns
        self._bar.update(self._task, completed=done or 0, description=f"{packets:,} packets")


def dated(name: str, recording: "Recording", broken: "Sequence[Unread]") -> None:
    """Unreadable where events have no times or there are none: nothing came of it would read as an idle host."""
    if not recording.events:
        why = "".join(f"{note.why}; " for note in broken)
        why += f"no event with a time in {recording.lines} lines"
        raise Unreadable(name, why, "conntrack -E -o timestamp records them")


def told_something(opened: "Capture | None") -> None:
    """Unreadable where a capture was damaged before its first packet."""
    if opened is not None and opened.damage is not None:
        why = f"damaged at byte {opened.damage.offset}: {opened.damage.what}; not one packet comes before it"
        raise Unreadable(opened.name, why, "copy it again, or capture anew")
