"""``python -m tablefull`` and the ``tablefull`` command.

The trap: Ctrl-C in the first tenth of a second, while modules are still being imported. Nothing is therefore imported
before somebody is there to catch it.

What is imported stays, so looking through it for garbage is a sixth of the start, and as much of the end, for nothing:
the collector waits for more than the imports make, and at the end is told that all of it is to be left.
"""

import gc
import sys

GARBAGE_AFTER = 50_000  # objects; CPython's own 700 is reached seventy times before the first line of an answer


def main() -> None:
    """Run and leave; after Ctrl-C silently, with 128 + SIGINT as a shell has it."""
    gc.set_threshold(GARBAGE_AFTER)
    try:
        from tablefull.views.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
