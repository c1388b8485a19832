"""Where a fix can be killed: a name between any two writes, so that a test can end the process at exactly that place.

The trap: what is tested has to be what runs. So every writer calls the hook in production too, where it does nothing;
it listens to the environment only where the journal's place is not the host's own.
"""

import os
import signal
from collections.abc import Callable, Mapping

Fault = Callable[[str], None]
KILL, LOG = "TABLEFULL_FAULT", "TABLEFULL_FAULT_LOG"


def never(name: str) -> None:
    """Nothing happens at ``name``."""


def of(role: str, environment: Mapping[str, str], own_place: bool) -> Fault:
    """The hook of one process: ``command``, ``undoer`` or ``keeper``.

    ``TABLEFULL_FAULT=undoer:7`` kills the undoer at its seventh place, ``undoer:applied`` at the place of that name;
    ``TABLEFULL_FAULT_LOG`` names a file to which the places are added. ``own_place``: the journal lies where a host
    keeps it, and then neither is heard.
    """
    wanted, _, at = environment.get(KILL, "").partition(":")
    log = environment.get(LOG, "")
    if own_place or (wanted != role and not log):
        return never
    passed = 0

    def fault(name: str) -> None:
        nonlocal passed
        passed += 1
        if log:
            with open(log, "a", encoding="utf-8") as file:  # noqa: PTH123 - beside the writes it stands between
                file.write(f"{role}:{passed} {name}\n")
        if wanted == role and at in (str(passed), name):
            os.kill(os.getpid(), signal.SIGKILL)

    return fault
