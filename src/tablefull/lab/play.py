"""The conductor: acts in their order, a look at the table four times a second, every request, every line of the kernel.

The trap: programs are started by the main thread and no other may live meanwhile, so there is one loop and no thread,
and whatever takes longer than a look (a diagnosis, a witness, a fix) runs beside the loop as a child.
"""

import json
import os
import select
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from msgspec import Struct

from tablefull.errors import KernelRefused
from tablefull.facts.origin import Hole
from tablefull.fixes.journal import LOCK_ENVIRONMENT
from tablefull.lab import answers, ballast, room
from tablefull.lab.course import Act, Asked, Counted, Diagnosed, Look, Moment, Played, Ran, Request, ended, refusing
from tablefull.lab.room import Room
from tablefull.lab.scene import Scene, Witness
from tablefull.lab.stage import Child, Stage
from tablefull.live.kmsg_tail import Tail
from tablefull.live.occupancy import look, moved
from tablefull.live.proc import Proc

LOOK_S = 0.25
LEAST_S, MOST_S = 4.0, 90.0
WITNESS_FROM_S = 15.0  # a shorter scene has no time for a witness of two seconds in each act
DIAGNOSIS_S = 30.0
FIX_S = 40.0
# The guard of a fix outlives everything; where the scene is killed between the two it ends with this.
APPLY = ["--apply", "--yes", "--verify-for", "0.2s", "--confirm-within", "15s"]
FULL_SHARE = 0.999
# Parts of the scene's length. The fill is sized so that the rate reaches the limit in its part.
CALM, FILL, FULL, AFTER = 0.15, 0.35, 0.25, 0.2
LOG_LINES = 200
SHOWN_LINES = 3
MORE = 3.0
WITNESS_S = 3.5
SECOND_REQUESTS = 20_000
# In namespaces of its own, so that "this host" is the scene's machine: its name, its processes, its log and no other.
_AS_A_MACHINE = (
    'hostname "$1" && mount -t tmpfs none /run/netns && mount --rbind "$2/dev" /dev && mount --bind "$2/log" /var/log '
    '&& shift 2 && exec "$@"'
)


class Begun(Struct, frozen=True):
    """An act begins. ``lines``: what was typed."""

    act: str
    title: str
    text: str
    lines: tuple[str, ...] = ()


class Seen(Struct, frozen=True):
    """A look, and the requests of the second before."""

    look: Look
    second: Moment
    base: int
    limit: int


class Logged(Struct, frozen=True):
    """A line of the kernel's log about the scene's table."""

    text: str


class Note(Struct, frozen=True):
    """A line about the scene itself."""

    text: str


News = Begun | Seen | Logged | Note | Ran | Asked | Counted | Diagnosed
TITLES = {
    "calm": "All is well",
    "cause": "What goes wrong",
    "full": "The table is full",
    "diagnose": "Diagnose",
    "fix": "Fix",
    "after": "Afterwards",
}


class Player:
    """One scene, played. ``going`` says whether to go on; it is asked all the time."""

    def __init__(
        self,
        stage: Stage,
        scene: Scene,
        given: Room,
        length_s: float,
        tell: Callable[[News], None],
        going: Callable[[], bool],
    ) -> None:
        self.stage, self.scene, self.room, self.length_s = stage, scene, given, length_s
        self._tell, self._going = tell, going
        self._proc = Proc(Path("/"))
        self._tail = Tail(self._proc)
        self._tail.more()
        self._partial: dict[str, bytes] = {}
        self.acts: list[Act] = []
        self.looks: list[Look] = []
        self.requests: list[Request] = []
        self.beside: list[Request] = []
        self.log: list[str] = []
        self.ran: list[Ran] = []
        self.asked: Asked | None = None
        self.counted: Counted | None = None
        self.diagnosed: Diagnosed | None = None
        self.fixed: tuple[str, ...] = ()
        self._first = None if isinstance(first := look(self._proc, scene.machine.path).counters, Hole) else first
        self._began = time.monotonic()
        self._looked = self._shown = 0.0
        self._inode = scene.machine.inode()
        self._lowered = False

    @property
    def now_s(self) -> float:
        """Since the scene began."""
        return time.monotonic() - self._began

    def play(self) -> Played:
        """All acts, or those until it was told to end."""
        broken = False
        try:
            self._acts()
        except KeyboardInterrupt:
            broken = True
        finally:
            self._tail.close()
        return self.played(broken)

    def hold(self) -> None:
        """Traffic and what goes wrong, until it is told to end or the length is over (0: never)."""
        try:
            self.scene.traffic()
            with _Part(self, "cause"):
                self._cause()
                while True:
                    self.wait(self.length_s or 3600.0)
                    if self.length_s:
                        return
        except KeyboardInterrupt:
            return
        finally:
            self._tail.close()

    def _cause(self) -> None:
        room.lower(self.room, self.stage.note)
        self._lowered = self.room.how == "lowered"
        if self.room.ballast:
            there = self.looks[-1].count if self.looks and self.looks[-1].count else 0
            ballast.put_in(self.scene.machine.path, self.scene.kind, max(0, self.room.ballast - there))
            self._tell(Note(f"{self.room.ballast:,} entries were put in by netlink: the days before."))
        self._begun("cause", tuple(self.scene.begin()))

    def played(self, broken: bool = False) -> Played:
        """What was seen so far."""
        return Played(
            scene=self.scene.name, title=self.scene.title, machine=self.scene.watched, kernel=os.uname().release,
            used=tuple(self.scene.used), acts=tuple(self.acts), looks=tuple(self.looks),
            requests=tuple(self.requests), log=tuple(self.log), limit=self.room.limit, base=self.room.ballast,
            room=self.room.how, why=self.room.why, ran=tuple(self.ran), asked=self.asked, counted=self.counted,
            diagnosed=self.diagnosed, fixed=self.fixed,
            expected=self.scene.expected, broken_off=broken, beside=tuple(self.beside), neighbour=self.scene.beside,
        )  # fmt: skip

    def _acts(self) -> None:
        length = self.length_s
        with _Part(self, "calm"):
            self.scene.traffic()
            witness = self.scene.witness() if length >= WITNESS_FROM_S else None
            if witness is not None:
                self.scene.used.append(f"{Path(witness.words[0]).name} bears witness")
            self._witness(witness, "before")
            self.wait(CALM * length - self.now_s)
        with _Part(self, "cause"):
            self._cause()
            self.wait(1.6 * FILL * length, until=self._is_full)
        if self.room.fills:
            with _Part(self, "full"):
                begin = self.now_s
                self._witness(witness, "while the table is full")
                self.wait(FULL * length - (self.now_s - begin))
                # The collector may have made room, and others may have used up what the kernel says in five seconds:
                # until it was full for half of the time and said so.
                enough = 0.5 * FULL * length
                self.wait(MORE * FULL * length, until=lambda: self._refused_s(begin) >= enough and bool(self.log))
        with _Part(self, "diagnose"):
            self._ask()
            self._diagnose()
            if (tried := self.scene.tried()) is not None:
                self.ran.append(tried)
                self._tell(tried)
        with _Part(self, "fix"):
            self._fix()
        with _Part(self, "after"):
            until = self.now_s + AFTER * length
            self._witness(witness, "after the fix")
            self.wait(until - self.now_s)
        # Who asked in the last moment is waited for as long as everybody else was.
        self.wait(self.scene.timeout_s + 0.3, quiet=True)

    def begun(self, act: str) -> None:
        """Tell that an act begins, unless it tells so itself, with its lines."""
        if act not in ("cause", "fix"):
            self._begun(act, ())

    def _begun(self, act: str, lines: tuple[str, ...]) -> None:
        self._tell(Begun(act, TITLES[act], self.scene.texts[act], lines))

    def _is_full(self) -> bool:
        last = self.looks[-1] if self.looks else None
        return (
            last is not None
            and last.count is not None
            and last.count >= FULL_SHARE * self.room.limit
            and bool(last.refused)
        )

    def _refused_s(self, begin_s: float) -> float:
        return sum(after - before for before, after in refusing(self.looks, begin_s, self.now_s))

    def wait(
        self,
        most_s: float,
        until: Callable[[], bool] = lambda: False,
        quiet: bool = False,
        beside: Sequence[Child] = (),
    ) -> None:
        """Go on looking for so long, or until something is so. KeyboardInterrupt where it is to end."""
        end = time.monotonic() + most_s
        while True:
            self.stage.beat()
            self._read(max(0.0, min(end, self._looked + self._began + LOOK_S) - time.monotonic()), beside)
            if not self._going():
                raise KeyboardInterrupt
            if self.now_s - self._looked >= LOOK_S:
                self._look(quiet)
            if until() or time.monotonic() >= end:
                return

    def _read(self, most_s: float, beside: Sequence[Child] = ()) -> None:
        streams = {
            child.output.fileno(): child
            for child in self.stage.children
            if child.output is not None and child not in beside
        }
        ready, _, _ = select.select(list(streams), [], [], most_s)
        for descriptor in ready:
            child = streams[descriptor]
            data = os.read(descriptor, 1 << 16)
            if not data:
                code = child.process.wait()
                why = self.stage.complaint(child.name) or f"status {code}"
                raise KernelRefused(f"{child.name} ended in the middle of the scene: {why}")
            *lines, rest = (self._partial.get(child.name, b"") + data).split(b"\n")
            self._partial[child.name] = rest
            for line in lines:
                told = json.loads(line)
                into = self.beside if child.group else self.requests
                into += [Request(at - self._began, ms, bool(fine)) for at, ms, fine in told if at >= self._began]

    def _look(self, quiet: bool) -> None:
        held = look(self._proc, self.scene.machine.path)
        self._looked = self.now_s
        if self._lowered and isinstance(held.limit, int) and held.limit != self.room.limit:
            self._lowered = False
            self._tell(
                Note(f"nf_conntrack_max is {held.limit:,}: it was put back early, the host itself came near to it.")
            )
        steps = None if self._first is None else moved(self._first, held.counters)
        self.looks.append(
            Look(
                self._looked,
                held.count if isinstance(held.count, int) else None,
                held.limit if isinstance(held.limit, int) else None,
                None if steps is None else steps.get("drop"),
                None if steps is None else steps.get("early_drop"),
            )
        )
        for line in self._tail.more():
            self.logged(line.text)
        if self._looked - self._shown >= 1.0 and not quiet:
            self._shown = self._looked
            second = ended(self.requests[-SECOND_REQUESTS:], self._looked - 1.0, self._looked)
            self._tell(Seen(self.looks[-1], second, self.room.ballast, self.room.limit))

    def logged(self, text: str) -> None:
        """Keep a line of the kernel's log where it is about this table; show the first ones."""
        own = "table full" in text and (f"netns {self._inode}," in text or "netns" not in text)
        flooded = "SYN flooding" in text and self.scene.flooded
        # "N callbacks suppressed" names no table: it is kept where ours spoke before it.
        if own or flooded or (self.log and "net_ratelimit" in text):
            if len(self.log) < LOG_LINES:
                self.log.append(text)
            if (own and sum("table full" in line for line in self.log) <= SHOWN_LINES) or not own:
                self._tell(Logged(text))

    def _witness(self, witness: Witness | None, when: str) -> None:
        if witness is None:
            return
        child = self.stage.start(witness.machine, f"witness-{len(self.ran)}", *witness.words)
        output = self._finish(child, WITNESS_S)
        told = Ran(witness.shown, output or f"(no answer in {WITNESS_S:g} s: it was ended)\n", when)
        self.ran.append(told)
        self._tell(told)

    def _finish(self, child: Child, most_s: float, quiet: bool = False) -> str:
        """Wait for a child that ends by itself, while looking on; what it printed."""
        parts: list[bytes] = []
        assert child.output is not None
        os.set_blocking(child.output.fileno(), False)

        def over() -> bool:
            assert child.output is not None
            while part := child.output.read(1 << 16):
                parts.append(part)
            return child.process.poll() is not None

        self.wait(most_s, until=over, quiet=quiet, beside=(child,))
        if child.process.poll() is None:
            child.process.kill()
        child.process.wait()
        parts.append(child.output.read() or b"")
        child.output.close()
        self.stage.children.remove(child)
        return b"".join(parts).decode("utf-8", "replace")

    def _ask(self) -> None:
        """``tablefull why`` and ``tablefull table`` of the watched machine."""
        for name in ("why", "table"):
            words = [*tablefull(), name, "--netns", self.scene.machine.space, "--format", "json"]
            output = self._finish(self.stage.start(None, name, *words), DIAGNOSIS_S, quiet=True)
            if name == "why":
                self.asked = answers.asked(output, self.stage.complaint(name))
                self._tell(self.asked)
            else:
                held = look(self._proc, self.scene.machine.path).count
                count = held if isinstance(held, int) else None
                self.counted = answers.counted(output, self.stage.complaint(name), count)
                self._tell(self.counted)

    def _diagnose(self) -> None:
        """``tablefull diagnose`` on the watched machine, as if it stood there alone."""
        folder = self.stage.folder
        (folder / "log").mkdir(exist_ok=True)
        (folder / "dev").mkdir(exist_ok=True)
        stamp = time.strftime("%b %e %H:%M:%S")
        lines = [f"{stamp} {self.scene.watched} kernel: {line}\n" for line in self.log]
        (folder / "log" / "kern.log").write_text("".join(lines))
        for name in ("null", "zero", "urandom"):
            device = Path("/dev", name).stat().st_rdev
            if not (folder / "dev" / name).exists():
                os.mknod(folder / "dev" / name, 0o20666, device)
        words = [
            "unshare", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", _AS_A_MACHINE,
            "sh", self.scene.watched, str(folder), *tablefull(), "diagnose", "--format", "json",
        ]  # fmt: skip
        child = self.stage.start(self.scene.machine, "diagnose", *words)
        output = self._finish(child, DIAGNOSIS_S, quiet=True)
        self.diagnosed = answers.diagnosed(output, self.stage.complaint("diagnose"))
        self._tell(self.diagnosed)

    def _fix(self) -> None:
        """``tablefull fix`` on the watched machine, applied and confirmed."""
        state = ["--state", str(self.stage.folder / "fixes")]
        # The scene's machine is a host of its own: whatever waits to be confirmed on the real one is no matter here.
        alone = ["env", f"{LOCK_ENVIRONMENT}={self.stage.folder / 'fix.lock'}"]
        lines = tuple(f"tablefull fix {shlex.join(words)} --apply" for words in self.scene.repairs())
        self._begun("fix", lines)
        for words in self.scene.repairs():
            aim = ["--netns", self.scene.machine.space, *state]
            for call in (["fix", *words, *aim, *APPLY], ["fix", "--confirm", *state]):
                child = self.stage.start(None, "fix", *alone, *tablefull(), *call)
                said = self._finish(child, FIX_S)
                if child.process.returncode:
                    why = self.stage.complaint("fix") or said.strip().rpartition("\n")[2]
                    raise KernelRefused(f"fix {words[0]} was not done: {why}")
        self.fixed = lines


def tablefull() -> list[str]:
    """The words that run this very program."""
    return [sys.executable, "-m", "tablefull"]


class _Part:
    """An act: told at its beginning, kept at its end, also where it broke off."""

    def __init__(self, player: Player, name: str) -> None:
        self._player, self._name = player, name

    def __enter__(self) -> Self:
        self._begin = self._player.now_s
        self._player.begun(self._name)
        return self

    def __exit__(self, *_: object) -> None:
        self._player.acts.append(Act(self._name, TITLES[self._name], self._begin, self._player.now_s))


def wanted(scene: type[Scene], rate: float | None, length_s: float) -> int:
    """Entries that live traffic makes in the part of the scene in which the table is to fill."""
    return max(150, int((rate or scene.rate) * scene.entries_per_request * FILL * length_s * 0.8))
