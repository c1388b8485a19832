"""A process beside the screen that diagnoses this host and writes its bundle, whenever it is told to.

The trap: a diagnosis forks (live/netns.py), which a process with threads must not do, and takes a tenth of a second in
which a screen would stand still. So it happens in a process of its own, which has loaded everything once, asks nothing
of the terminal, and ends by itself when whoever started it is gone: its input ends then.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from tablefull.errors import TablefullError

PATIENCE_S = 45.0  # twice what a collection may take at most, and time to write
END_S = 1.0


class Cause(Struct, frozen=True):
    """A finding. ``sure``: 0 to 1. ``evidence``: its first line."""

    id: str
    sure: float
    host: str
    why: str
    evidence: str = ""


class Fix(Struct, frozen=True):
    """A way out, with the commands as they are to be typed."""

    id: str
    title: str
    host: str
    commands: tuple[str, ...]


class Judged(Struct, frozen=True, kw_only=True):
    """What a diagnosis of this host said, in short. ``full``: yes, no or unknown."""

    headline: str
    full: str
    severity: str
    causes: tuple[Cause, ...] = ()
    fixes: tuple[Fix, ...] = ()
    unseen: tuple[str, ...] = ()
    cpu_s: float = 0.0


class Answer(Struct, frozen=True, kw_only=True):
    """One of them is there."""

    judged: Judged | None = None
    wrote: str | None = None
    wrote_bytes: int = 0
    failed: str | None = None


class Request(Struct, frozen=True, kw_only=True):
    """A path is where a bundle goes; None: a diagnosis is wanted."""

    bundle: str | None = None


def judged() -> Judged:
    """Diagnose this host."""
    from tablefull.fixes.diagnosis import diagnose
    from tablefull.live.collect import collect, snapshot

    spent = _spent_s()
    told = diagnose(snapshot(collect()))
    return Judged(
        headline=told.headline,
        full=told.full.state,
        severity=told.severity,
        causes=tuple(
            Cause(one.cause, one.confidence, one.host, one.why, one.evidence[0].text if one.evidence else "")
            for one in told.causes
        ),
        fixes=tuple(Fix(one.id, one.title, one.host, tuple(one.commands)) for one in told.fixes),
        unseen=tuple(f"{hole.what}: {hole.why}" + (f"; {hole.remedy}" if hole.remedy else "") for hole in told.holes),
        cpu_s=_spent_s() - spent,
    )


def _spent_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def written(path: str) -> Answer:
    """Write the bundle of this host."""
    import time

    from tablefull.live import bundle
    from tablefull.live.collect import collect

    now = int(time.time())
    taken = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    bundle.write(collect(), Path(path), redact=False, taken=taken, taken_s=now)
    return Answer(wrote=path, wrote_bytes=Path(path).stat().st_size)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer each line with a line, until there are none."""
    for line in requests:
        try:
            request = msgspec.json.decode(line, type=Request)
            answer = Answer(judged=judged()) if request.bundle is None else written(request.bundle)
        except TablefullError as error:
            answer = Answer(failed=str(error))
        except Exception as error:  # noqa: BLE001 - it is told, and the next one is answered
            answer = Answer(failed=f"{type(error).__name__}: {error}")
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.flush()


class Judge:
    """The other process, started when it is first asked. One request at a time."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._ended = False

    def diagnose(self) -> Answer:
        """A diagnosis of this host, or why there is none."""
        return self._ask(Request())

    def write_bundle(self, path: str) -> Answer:
        """Write the bundle of this host to a path, or say why not."""
        return self._ask(Request(bundle=path))

    def stop(self) -> None:
        """End the process; whoever waits for its answer gets none."""
        self._ended = True
        child = self._child
        if child is None:
            return
        self._child = None
        if child.stdin is not None:
            child.stdin.close()
        for end in (None, child.terminate, child.kill):
            if end is not None:
                end()
            try:
                child.wait(END_S)
                break
            except subprocess.TimeoutExpired:
                continue
        _let_go(child)

    def _ask(self, request: Request) -> Answer:
        if self._ended:
            return Answer(failed="it was stopped")
        child = self._child
        try:
            if child is None or child.poll() is not None:
                _let_go(child)
                child = self._child = _started()
            assert child.stdin is not None
            child.stdin.write(msgspec.json.encode(request) + b"\n")
            child.stdin.flush()
            line = _line(child)
            return msgspec.json.decode(line, type=Answer)
        except TimeoutError:
            if child is not None:
                child.kill()
                child.wait(END_S)
            self._child = None
            return Answer(failed=f"no answer in {PATIENCE_S:.0f} s")
        except (OSError, ValueError) as error:
            self._child = None
            return Answer(failed=f"it ended: {error}")


def _let_go(child: "subprocess.Popen[bytes] | None") -> None:
    """Close both ends of a process that is not asked any more."""
    for pipe in (child.stdin, child.stdout) if child is not None else ():
        if pipe is not None:
            pipe.close()


def _started() -> "subprocess.Popen[bytes]":
    # Where this program was found, and nowhere else first: -P keeps the directory one stands in out of it.
    found = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))))
    code = (
        "import os, sys\nos.nice(5)\nfrom tablefull.watch.judge import serve\n"
        "serve(sys.stdin.buffer, sys.stdout.buffer)"
    )
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": found},
        start_new_session=True,
        bufsize=0,
    )


def _line(child: "subprocess.Popen[bytes]") -> bytes:
    """The answer's line; TimeoutError where there is none in time, OSError where the process ended."""
    import select
    import time

    assert child.stdout is not None
    until = time.monotonic() + PATIENCE_S
    data = bytearray()
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([child.stdout], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(child.stdout.fileno(), 1 << 16)
        if not part:
            raise OSError("its output ended")
        data += part
    return bytes(data)
