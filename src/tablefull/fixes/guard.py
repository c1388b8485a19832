"""Who carries out a fix: an undoer in a session of its own, and a keeper beside it that goes on where it was killed.

The trap: the person reaches the host through the network that is changed, so the command that they typed may be gone
between any two lines. It therefore does nothing itself: it writes the journal, starts the two, and listens. The
undoer does the acts, waits for the decision and undoes; killed, its keeper starts another that undoes at once; and
where the keeper is killed, the undoer undoes at once. Both hold the lock of the host until it is over.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal, NoReturn

from tablefull.errors import KernelRefused, TablefullError
from tablefull.fixes import away, verify
from tablefull.fixes.apply import Work
from tablefull.fixes.faults import of
from tablefull.fixes.journal import Decided, Journal, Lock, Store
from tablefull.fixes.perform import Where

POLL_S = 0.1
ATTEMPTS = 30  # after as many deaths of undoers something else is wrong; the journal says that it is not over
ORPHANS_S = 5.0
Task = Literal["apply", "finish"]
Event = dict[str, Any]


def start(store: Store, journal: Journal, lock: Lock, space: int | None, task: Task, root: str = "/") -> int:
    """Start keeper and undoer for a journal that is on disk; a descriptor from which their events are read.

    ``lock`` is the lock of the host, which becomes theirs; ``space`` an open network namespace.
    """
    receive, send = os.pipe()
    keep = [*lock.descriptors, send] + ([] if space is None else [space])
    child = os.fork()
    if not child:
        try:
            os.close(receive)
            if os.fork():
                os._exit(0)
            held = away.leave("tablefull-keep", keep)
            os.set_blocking(send, False)
            _keep(store, journal.id, send, lock, space, task, root, held)
        finally:
            os._exit(1)
    os.close(send)
    os.waitpid(child, 0)
    return receive


def events(receive: int) -> Iterator[Event]:
    """What the two tell, until both are gone or the descriptor is closed."""
    rest = b""
    while part := os.read(receive, 65536):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            with suppress(ValueError):
                yield json.loads(line)


def _tell(send: int, **event: object) -> None:
    # Nobody may be listening any more, or the listener may be stopped: neither holds this up.
    with suppress(OSError):
        os.write(send, json.dumps(event).encode() + b"\n")


def _keep(
    store: Store, identity: str, send: int, lock: Lock, space: int | None, task: Task, root: str, held: str
) -> NoReturn:
    """The keeper: one undoer after another, until the journal is over."""
    fault = of("keeper", os.environ, store.own_place)
    away.adopt()
    told_to_end = _heed_term()
    keeper = os.getpid()
    if held:
        _tell(send, warning=held)
    lock.say(f"fix {identity} is in hand (process {keeper})")
    for attempt in range(ATTEMPTS):
        fault(f"before undoer {attempt}")
        child = os.fork()
        if not child:
            again = str(attempt) if attempt else ""
            _undoer(store, identity, send, lock, space, "finish" if again else task, root, keeper, f"undoer{again}")
        fault(f"undoer {attempt} started")
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == child:
                break
            if told_to_end:
                with suppress(TablefullError):
                    store.decide(identity, "undo", "its keeper was told to end", time.time())
                told_to_end.clear()
            if not ended:
                time.sleep(POLL_S / 2)
        _wait_for_orphans()
        fault(f"undoer {attempt} ended")
        if status == 0:  # it went to its end, also where the journal could not be written any more
            os._exit(0)
        with suppress(TablefullError):
            if store.read(identity).over:
                os._exit(0)
        time.sleep(min(5.0, 0.2 * attempt))
    os._exit(1)


def _heed_term() -> list[int]:
    """A list that is no longer empty once SIGTERM came."""
    came: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    return came


def _wait_for_orphans() -> None:
    """What a killed undoer had started dies with it; whoever goes on waits for that. A daemon is not waited for."""
    until = time.monotonic() + ORPHANS_S
    while time.monotonic() < until and _children():
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(0.02)


def _children() -> bool:
    """Whether a child is left that is not a daemon: one in whose session its leader still lives."""
    with suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123
        return any(os.getsid(int(pid)) == int(pid) for pid in file.read().split())
    return True


def _undoer(
    store: Store,
    identity: str,
    send: int,
    lock: Lock,
    space: int | None,
    task: Task,
    root: str,
    keeper: int,
    role: str,
) -> NoReturn:
    code = 1
    try:
        told_to_end = _heed_term()
        away.call("tablefull-undo")
        store.fault = of(role, os.environ, store.own_place)
        undoer = Undoer(store, identity, send, lock, space, root, keeper, told_to_end)
        undoer.run(task)
        code = 0
    except BaseException as error:  # noqa: BLE001 - nobody stands above it; whoever comes next reads it in the journal
        _tell(send, error=f"{type(error).__name__}: {error}")
        with suppress(BaseException):
            journal = store.read(identity)
            journal.notes.append(f"the undoer broke: {type(error).__name__}: {error}"[:500])
            store.write(journal)
    finally:
        os._exit(code)


class Undoer:
    """Does what the journal says, and waits for the decision about it."""

    def __init__(
        self,
        store: Store,
        identity: str,
        send: int,
        lock: Lock,
        space: int | None,
        root: str,
        keeper: int,
        told_to_end: list[int],
    ) -> None:
        self.store, self.send, self.lock, self.keeper, self.told_to_end = store, send, lock, keeper, told_to_end
        self.journal = store.read(identity)
        self.where = Where(root, None if space is None else f"/proc/self/fd/{space}")
        self.work = Work(store, self.journal, self.where, lambda line: _tell(send, line=line), store.fault)

    def run(self, task: Task) -> None:
        """Apply and wait; or finish what somebody else began: keep it where that was decided, else undo it."""
        if self.journal.over:
            return
        if task == "finish" or self.journal.state != "armed":
            self._finish()
            return
        seen = verify.before(self.where.space, self.journal.probe, min(verify.BEFORE_S, self.journal.verify_for_s))
        self._say("applying")
        try:
            self.work.apply(self._stop)
        except TablefullError as error:
            _tell(self.send, refused=str(error), state=self.journal.state)
            return
        self._deadline()
        self._verify(seen)
        self._wait()
        self._finish()

    def _deadline(self) -> None:
        self.journal.applied_at = time.time()
        self.journal.deadline_at = self.journal.applied_at + self.journal.confirm_within_s
        self.journal.deadline_boot_s = time.clock_gettime(time.CLOCK_BOOTTIME) + self.journal.confirm_within_s
        self.journal.state = "applied"
        with suppress(KernelRefused):
            self.store.write(self.journal)
        until = time.strftime("%H:%M:%S", time.localtime(self.journal.deadline_at))
        self._say(f"waits until {until} to be confirmed")

    def _say(self, what: str) -> None:
        self.lock.say(f"fix {self.journal.id} ({self.journal.plan.fix}) {what} (process {os.getpid()})")

    def _verify(self, seen: verify.Before) -> None:
        journal = self.journal
        steps = tuple(step for step in journal.plan.steps if step.when == "now")
        over_s = min(journal.verify_for_s, journal.confirm_within_s / 2)
        found = verify.after(
            seen, self.where.space, journal.probe, self.work.verified, steps, over_s, lambda: bool(self._stop())
        )
        journal.seen = found.lines
        with suppress(KernelRefused):
            self.store.write(journal)
        if found.wrong:
            self._decide(found.wrong[0])
        decided = self.store.decided(journal.id)
        if found.wrong or decided is None or decided.what == "confirm":
            _tell(self.send, seen=found.lines, wrong=found.wrong, state="applied", deadline_at=journal.deadline_at)

    def _wait(self) -> None:
        self.store.fault("waiting")
        while self.store.decided(self.journal.id) is None:
            why = self._ended()
            if why is not None:
                self._decide(why)
                return
            time.sleep(POLL_S)

    def _decide(self, why: str) -> Decided:
        """Decide to undo, unless something else was decided. A disk that takes nothing takes no confirmation either."""
        try:
            return self.store.decide(self.journal.id, "undo", why, time.time())
        except KernelRefused:
            self.journal.why = why
            return Decided("undo", why, time.time())

    def _stop(self) -> str:
        """Why what is being done should not be gone on with; empty while it should."""
        decided = self.store.decided(self.journal.id)
        return self._ended() or "" if decided is None else decided.why

    def _ended(self) -> str | None:
        """Why the waiting is over without a decision; None while it is not."""
        if self.told_to_end:
            return "the undoer was told to end"
        if os.getppid() != self.keeper:
            return "one of the two processes that undo it was killed"
        deadline_s = self.journal.deadline_boot_s
        if deadline_s is not None and time.clock_gettime(time.CLOCK_BOOTTIME) >= deadline_s:
            return f"it was not confirmed within {self.journal.confirm_within_s:g} s"
        return None

    def _finish(self) -> None:
        identity = self.journal.id
        decided = self.store.decided(identity)
        if decided is None:
            why = self.journal.why or "whoever made the change was killed before it was confirmed"
            decided = self._decide(why)
        if decided.what == "confirm" and self.journal.state in ("applied", "keeping"):
            self._say("is being kept")
            self.work.keep()
        else:
            self._say("is being undone")
            self.work.undo(decided.why)
        _tell(self.send, state=self.journal.state, why=self.journal.why, notes=self.journal.notes)


def finish(store: Store, journal: Journal, lock: Lock, space: int | None, root: str = "/") -> Journal:
    """End what nobody is left to end, in a process that no dying terminal takes along; the journal afterwards."""
    receive = start(store, journal, lock, space, "finish", root)
    lock.close()
    try:
        for _ in events(receive):
            pass
    finally:
        os.close(receive)
    after = store.read(journal.id)
    if not after.over:
        raise KernelRefused(
            f"fix {journal.id}: it could not be ended; it is {after.state}, see {store.call('--history')}"
        )
    return after
