"""A fix from its journal: act by act, each recorded before it is done, and undone in the opposite order.

The trap: killed between any two writes, whoever goes on has only the journal and the host. So an act is looked at, then
recorded as begun, then done, then recorded as done; and what is begun is undone as carefully as what is done.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from tablefull.errors import KernelRefused, StalePlan, TablefullError
from tablefull.fixes import perform
from tablefull.fixes.act import Act, Flush, Step, When
from tablefull.fixes.faults import Fault, never
from tablefull.fixes.journal import ActDone, Journal, Store, boot_id
from tablefull.fixes.perform import Where

Tell = Callable[[str], None]


class Work:
    """The one writer of a journal, and of the host: whoever makes one holds the lock of the host.

    ``where``: how this host is entered; ``tell`` takes a line for a person.
    """

    def __init__(self, store: Store, journal: Journal, where: Where, tell: Tell, fault: Fault = never) -> None:
        self.store, self.journal, self.where, self.tell, self.fault = store, journal, where, tell, fault
        self._undoing = False
        self._unwritable = ""

    def apply(self, stop: Callable[[], str] = str) -> None:
        """Do every step that is not held back until confirmation; ``stop`` says before each act why it should not be.

        StalePlan or KernelRefused where one could not be done; what was done is then undone already.
        """
        self._state("applying")
        try:
            self._do(("now", "until-confirmed"), stop)
        except (TablefullError, OSError) as error:
            why = str(error) if isinstance(error, TablefullError) else f"{error.filename}: {error.strerror}"
            self.journal.why = why
            self.undo(why)
            if isinstance(error, OSError):
                raise KernelRefused(why) from None
            raise

    def keep(self) -> None:
        """Confirmed: write what makes it last, take back what would have undone it at boot.

        What cannot be written is noted; the change itself stays, as was decided.
        """
        self._state("keeping")
        try:
            self._do(("confirmed",))
        except (TablefullError, OSError) as error:
            self._note(f"it will not last: {error}")
            self._back(("confirmed",))
        self._back(("until-confirmed",))
        self.journal.ended_at = time.time()
        self._state("confirmed")

    def undo(self, why: str) -> bool:
        """Undo what was done, in the opposite order. False where something was left, with notes about what and why."""
        self.journal.why = self.journal.why or why
        self._unwritable = ""
        self._undoing = True
        self._state("undoing")
        self._back(("now", "confirmed"))
        if not self._lasting_left() or self.journal.boot_id != boot_id():
            self._back(("until-confirmed",))
        for one in reversed(self.journal.acts):
            with suppress(OSError):
                perform.tidy(one, Where(self.where.root, None), self.fault)
        left = any(one.state == "left" for one in self.journal.acts)
        self.journal.ended_at = time.time()
        self._state("partly-undone" if left else "undone")
        return not left

    def _lasting_left(self) -> bool:
        """Whether something that lasts over a restart could not be undone: then the next boot tries once more."""
        steps = self.journal.plan.steps
        return any(one.state == "left" and steps[one.step].persists for one in self.journal.acts)

    def _write(self) -> None:
        """Have the journal on disk. A full or failing disk ends what is being done, and never what is being undone."""
        try:
            self.store.write(self.journal)
        except KernelRefused as error:
            if not self._undoing:
                raise
            if not self._unwritable:
                self._unwritable = str(error)
                self.tell(f"the journal cannot be written ({error}); what was done is undone all the same")

    def verified(self) -> list[str]:
        """What no longer is as it was left, in words."""
        wrong = []
        for one in self.journal.acts:
            act = self._act(one)
            if one.state != "done" or isinstance(act, Flush):
                continue
            try:
                seen = perform.look(act, self._where(self.journal.plan.steps[one.step]), one)
            except KernelRefused as error:
                wrong.append(str(error))
                continue
            if seen.standing != "after":
                wrong.append(f"{perform.named(act)} reads {seen.reads or seen.standing}")
        return wrong

    def _do(self, when: tuple[When, ...], stop: Callable[[], str] = str) -> None:
        for number, step in enumerate(self.journal.plan.steps):
            if step.when not in when:
                continue
            for place, act in enumerate(step.acts):
                if why := stop():
                    raise KernelRefused(why)
                self._one(number, place, step, act)

    def _one(self, number: int, place: int, step: Step, act: Act) -> None:
        where = self._where(step)
        self.fault(f"before act {number}.{place}")
        begun = self.journal.act(number, place)
        if begun is not None and begun.state in ("done", "already"):
            return
        seen = perform.look(act, where, begun)
        if begun is None:
            begun = ActDone(number, place, "doing", made=perform.missing_folders(act, where))
            if seen.standing == "after":
                begun.state, begun.reads = "already", seen.reads
                self.journal.acts.append(begun)
                self._write()
                self.tell(f"{perform.named(act)}: is so already")
                return
            self.journal.acts.append(begun)
        if seen.standing in ("other", "gone"):
            self.journal.acts.remove(begun)
            raise StalePlan(
                f"{perform.named(act)}: {seen.reads}, and was not when the plan was made; "
                "nothing of it was kept, make a new plan"
            )
        self._write()
        self.fault(f"act {number}.{place} recorded")
        if seen.standing != "after":
            begun.reads, begun.note = perform.do(act, where, self.fault)
        self.fault(f"act {number}.{place} done")
        begun.state = "done"
        self._write()
        self.tell(f"{perform.named(act)}: done" + (f" ({begun.note})" if begun.note else ""))

    def _back(self, when: tuple[When, ...]) -> None:
        for one in reversed(self.journal.acts):
            if one.state not in ("doing", "done") or self.journal.plan.steps[one.step].when not in when:
                continue
            act = self._act(one)
            if one.state == "done" and not isinstance(act, Flush):
                # Should this be killed, the next one knows that the undoing itself may be half done.
                was, one.state = one.state, "doing"
                self._write()
                one.state = was
            self.fault(f"before undoing {one.step}.{one.act}")
            note = perform.undo(act, self._where(self.journal.plan.steps[one.step]), one, self.fault)
            self.fault(f"undone {one.step}.{one.act}")
            one.state, one.note = ("left", note) if note else ("undone", one.note)
            if isinstance(act, Flush):
                one.note = "entries that were deleted do not come back; the next packet of each makes a new one"
            self._write()
            self.tell(note or f"{perform.named(act)}: undone")

    def _act(self, one: ActDone) -> Act:
        return self.journal.plan.steps[one.step].acts[one.act]

    def _where(self, step: Step) -> Where:
        return self.where if step.scope == "netns" else Where(self.where.root, None)

    def _state(self, state: str) -> None:
        self.journal.state = state  # type: ignore[assignment]
        self._write()

    def _note(self, line: str) -> None:
        self.journal.notes.append(line)
        self.tell(line)
