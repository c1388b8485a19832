"""``python -m tablefull`` and the ``tablefull`` command.

The trap: Ctrl-C in the first tenth of a second, while modules are still being imported. Nothing is therefore imported
before somebody is there to catch it.

What is imported stays, so looking through it for garbage is a sixth of the start, for nothing: the collector waits for
more than the imports make. And at the end nothing is taken apart piece by piece that the kernel frees at once.
"""

import gc
import os
import sys

GARBAGE_AFTER = 50_000  # objects; CPython's own 700 is reached seventy times before the first line of an answer


def main() -> None:
    """Run and leave; after Ctrl-C silently, with 128 + SIGINT as a shell has it."""
    gc.set_threshold(GARBAGE_AFTER)
    try:
        from tablefull.views import quick

        quick.import_click()
        from tablefull.views.cli import main as run

        run()
    except KeyboardInterrupt:
        _leave(130)
    except SystemExit as end:
        _leave(end.code)


def _leave(code: object) -> None:
    """End as the interpreter does, but for the taking apart: 3 ms of every call."""
    threading = sys.modules.get("threading")
    if not isinstance(code, int) or (threading is not None and threading.active_count() > 1):
        gc.freeze()
        sys.exit(code)  # type: ignore[arg-type]
    import atexit

    atexit._run_exitfuncs()
    os._exit(code)


if __name__ == "__main__":
    main()
