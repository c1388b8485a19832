"""Applying, confirming, undoing and looking back, as a person asks for it.

The trap: the command is not the one who acts. It starts those who do (fixes/guard.py), says what they say, and may be
gone at any moment; so what it prints last always comes from the journal, and Ctrl-C is a decision like any other.
"""

import os
import signal
import sys
import time
from pathlib import Path

from tablefull import __version__
from tablefull.errors import EXIT_FINE, EXIT_REFUSED, KernelRefused, UsageError
from tablefull.fixes import faults, guard, rights
from tablefull.fixes.act import HostPlan
from tablefull.fixes.journal import Journal, Lock, Space, Store, boot_id
from tablefull.live.proc import Proc
from tablefull.views import fix_text, fix_words
from tablefull.views.output import emit, say
from tablefull.views.terminal import Page, wants_colour, width_of

OVER_S = 180.0  # how long --confirm and --undo wait for the one who acts
POLL_S = 0.1


def store_of(place: str | None) -> Store:
    """Where the journals are: as said, else the environment, else the host's own place."""
    from tablefull.fixes.journal import ENVIRONMENT, LOCK_ENVIRONMENT

    store = Store(place or os.environ.get(ENVIRONMENT) or None, host_lock=os.environ.get(LOCK_ENVIRONMENT) or None)
    store.fault = faults.of("command", os.environ, store.own_place)
    return store


def show(page: Page) -> None:
    """A page, on standard output."""
    emit(page.coloured() if wants_colour(sys.stdout) else page.plain())


def _width() -> int:
    return width_of(sys.stdout)


def apply(
    plan: HostPlan,
    store: Store,
    *,
    confirm_within_s: float,
    verify_for_s: float,
    probe: str | None,
) -> int:
    """Write the journal, have the fix done, say what was seen. The exit code."""
    if lacks := rights.lacking(rights.needed(plan)):
        raise KernelRefused(rights.told(lacks, fix_words.as_root()))
    try:
        lock = _begun(plan, store)
        space, descriptor = enter(plan.netns)
        journal = _journal(plan, store, space, confirm_within_s, verify_for_s, probe)
        store.write(journal)
    except KernelRefused as error:
        raise KernelRefused(f"nothing was changed: {error}") from None
    receive = guard.start(store, journal, lock, descriptor, "apply")
    lock.close()
    store.fault("undoer started")
    return _listen(store, journal.id, receive)


def _begun(plan: HostPlan, store: Store) -> Lock:
    store.make()
    lock = store.lock(f"tablefull fix {plan.fix} (process {os.getpid()}) begins")
    for unended in (one for one in store.all() if not one.over):
        if unended.state == "armed" and not unended.acts:
            unended.state, unended.why = "undone", "it was ended before it began"
            store.write(unended)
            continue
        raise KernelRefused(
            f"fix {unended.id} ({unended.plan.fix}) was begun and never ended, and nobody is left to end it: "
            f"{store.call('--undo-pending')}"
        )
    return lock


def _journal(
    plan: HostPlan, store: Store, space: Space | None, confirm_within_s: float, verify_for_s: float, probe: str | None
) -> Journal:
    return Journal(
        id=store.new_id(),
        plan=plan,
        made_at=time.time(),
        boot_id=boot_id(),
        confirm_within_s=confirm_within_s,
        verify_for_s=verify_for_s,
        tool=__version__,
        who=who(),
        space=space,
        probe=probe,
    )


def _listen(store: Store, identity: str, receive: int) -> int:
    def stop(*_: object) -> None:
        say("tablefull: taking it back")
        store.decide(identity, "undo", "Ctrl-C", time.time())

    before = signal.signal(signal.SIGINT, stop)
    try:
        for event in guard.events(receive):
            if "line" in event:
                say(f"tablefull: {event['line']}")
            if "warning" in event:
                say(f"tablefull: {event['warning']}")
            if "error" in event:
                say(f"tablefull: a defect of the undoer: {event['error']}")
            if event.get("state") == "applied":
                journal = store.read(identity)
                show(fix_text.applied(journal, event["wrong"], store.call("--confirm", identity), _width()))
                if not event["wrong"]:
                    return EXIT_FINE
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(receive)
    return _end(store.read(identity), wanted="confirmed")


def confirm(store: Store, identity: str | None) -> int:
    """Keep a fix. The exit code."""
    journal = _pending(store, identity, "confirm")
    if journal.over:
        raise KernelRefused(_over(journal))
    if journal.state in ("armed", "applying"):
        raise KernelRefused(f"fix {journal.id} is not applied yet: confirm it once you have seen that it works")
    if journal.boot_id != boot_id():
        raise KernelRefused(
            f"fix {journal.id} was applied before this host restarted, and what it changed is gone: "
            f"{store.call('--undo-pending')} tidies up, then apply it again"
        )
    if lost := _lost(journal):
        store.decide(journal.id, "undo", lost, time.time())
        _ended(store, journal.id)
        raise KernelRefused(f"{lost}: fix {journal.id} has nothing left to keep")
    decided = store.decide(journal.id, "confirm", who(), time.time())
    after = _ended(store, journal.id)
    if decided.what != "confirm":
        raise KernelRefused(f"too late, fix {journal.id} is undone: {decided.why}")
    return _end(after, wanted="confirmed")


def undo(store: Store, identity: str | None) -> int:
    """Undo a fix, confirmed or not. The exit code."""
    journal = _pending(store, identity, "undo")
    if journal.state == "undone":
        say(f"tablefull: {_over(journal)}")
        return EXIT_FINE
    if not journal.over:
        decided = store.decide(journal.id, "undo", f"asked for by {who()}", time.time())
        after = _ended(store, journal.id)
        if decided.what != "confirm":
            return _end(after, wanted="undone")
        journal = after
    _root_needed(journal)
    lock = store.lock(f"fix {journal.id} ({journal.plan.fix}) is being undone (process {os.getpid()})")
    journal = store.read(journal.id)
    _reopen(store, journal, f"asked for by {who()}")
    return _end(_finish(store, journal, lock), wanted="undone")


def undo_pending(store: Store) -> int:
    """Undo (or, where that was decided, keep) whatever nobody is left to end: at boot, or after a disaster."""
    code = EXIT_FINE
    pending = [one for one in store.all() if not one.over or _once_more(one)]
    if not pending:
        say("tablefull: nothing is pending")
        return code
    _root_needed(pending[0])
    for journal in reversed(pending):
        if store.held():
            say(f"tablefull: fix {journal.id} is in hand: its undoer lives")
            continue
        lock = store.lock(f"fix {journal.id} ({journal.plan.fix}) is being ended (process {os.getpid()})")
        journal = store.read(journal.id)
        if _once_more(journal):
            _reopen(store, journal, journal.why)
        code = max(code, _end(_finish(store, journal, lock), wanted=""))
    return code


def _once_more(journal: Journal) -> bool:
    """Whether something that lasts over a restart could not be undone before this one: a shutdown lets no service
    start.
    """
    return journal.state == "partly-undone" and journal.boot_id != boot_id() and journal.armed_for_boot


def _reopen(store: Store, journal: Journal, why: str) -> None:
    journal.state, journal.why, journal.notes = "undoing", why, []
    for one in journal.acts:
        if one.state == "left":
            one.state, one.note = "done", ""
    store.write(journal)


def history(store: Store, form: str) -> int:
    """Every fix that was made here."""
    if form not in ("text", "json"):
        raise UsageError(f"--history is shown as text or json, not as {form}")
    journals = store.all()
    if form == "json":
        import msgspec

        whole = {"schema": "tablefull/fix-history/1", "tool": __version__, "fixes": journals}
        emit(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n", utf8=True)
    else:
        show(fix_text.history(journals, _width()))
    return EXIT_FINE


def status(store: Store) -> int:
    """What is pending, and who holds the host."""
    pending = [one for one in store.all() if not one.over]
    for journal in pending:
        show(fix_text.ended(journal, _width()))
        if not store.held():
            say(f"tablefull: nobody is left to undo it: {store.call('--undo-pending')}")
    if not pending:
        emit("Nothing waits to be confirmed.\n")
    return EXIT_FINE


def _pending(store: Store, identity: str | None, what: str) -> Journal:
    if identity is not None:
        return store.read(identity)
    pending = [one for one in store.all() if not one.over]
    if len(pending) == 1:
        return pending[0]
    if pending:
        raise UsageError(f"--{what}: there are several, name one: {', '.join(one.id for one in pending)}")
    last = store.all()[-1:]
    told = f"; {_over(last[0])}" if last else ""
    raise UsageError(f"nothing waits to be confirmed{told}; name what to {what}, see {store.call('--history')}")


def _over(journal: Journal) -> str:
    why = f": {journal.why}" if journal.why and journal.state != "confirmed" else ""
    return f"fix {journal.id} ({journal.plan.fix}) is {fix_text.STATE[journal.state]}{why}"


def _ended(store: Store, identity: str) -> Journal:
    """The journal once it is over, ended by us where nobody else is left to do it."""
    until = time.monotonic() + OVER_S
    while time.monotonic() < until:
        journal = store.read(identity)
        if journal.over:
            return journal
        if not store.held():
            journal = store.read(identity)
            if journal.over:
                return journal
            _root_needed(journal)
            lock = store.lock(f"fix {identity} is being ended (process {os.getpid()})")
            return _finish(store, store.read(identity), lock)
        time.sleep(POLL_S)
    raise KernelRefused(f"fix {identity} was not ended within {OVER_S:g} s; see {store.call('--status')}")


def _finish(store: Store, journal: Journal, lock: Lock) -> Journal:
    """Have it ended in a process of its own."""
    if journal.over:
        lock.close()
        return journal
    descriptor = None
    if journal.space is not None:
        descriptor = again(journal.space)
        if descriptor is None:
            journal.notes.append(_gone(journal.space))
            gone = {number for number, step in enumerate(journal.plan.steps) if step.scope == "netns"}
            for one in journal.acts:
                if one.step in gone and one.state in ("doing", "done"):
                    one.state = "undone"
            store.write(journal)
    return guard.finish(store, journal, lock, descriptor)


def _lost(journal: Journal) -> str:
    """That the namespace of a fix is gone, in words; empty where it is there, or the fix is the whole host's."""
    space = journal.space
    if space is None:
        return ""
    descriptor = again(space)
    if descriptor is None:
        return _gone(space)
    os.close(descriptor)
    return ""


def _gone(space: Space) -> str:
    return f"the network namespace {space.name} is gone, and its settings with it"


def _end(journal: Journal, *, wanted: str) -> int:
    show(fix_text.ended(journal, _width()))
    if journal.state == "partly-undone" or (wanted and journal.state != wanted):
        return EXIT_REFUSED
    return EXIT_REFUSED if journal.state == "confirmed" and journal.notes else EXIT_FINE


def _root_needed(journal: Journal) -> None:
    if lacks := rights.lacking(rights.needed(journal.plan)):
        raise KernelRefused(rights.told(lacks, fix_words.as_root()))


def enter(netns: str | None) -> tuple[Space | None, int | None]:
    """A network namespace by name, process id or path: how it is entered again, and an open descriptor of it."""
    if netns is None:
        return None, None
    if "/" in netns:
        path = netns
    else:
        from tablefull.live.spaces import one

        path = one(Proc(), netns).path or ""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"--netns {netns[:60]!a}: {path}: {(error.strerror or '').lower()}") from None
    return Space(netns, path, os.fstat(descriptor).st_ino), descriptor


def again(space: Space) -> int | None:
    """The same namespace once more, by its path or by any process in it; None where it is gone."""
    from tablefull.live import netns

    paths = [space.path]
    found, _ = netns.found(Proc(), lambda: True)
    paths += [netns.path_of(Proc(), one) for one in found if one.inode == space.inode]
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        if os.fstat(descriptor).st_ino == space.inode:
            return descriptor
        os.close(descriptor)
    return None


def who() -> str:
    """Who asks, for the history: the account behind sudo, and the terminal."""
    import pwd

    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        account = str(os.getuid())
    name = os.environ.get("SUDO_USER") or account
    try:
        terminal = f" on {Path(os.ttyname(0)).relative_to('/dev')}"
    except (OSError, ValueError):
        terminal = ""
    return "".join(one for one in f"{name}{terminal}" if one.isprintable())[:80]
