"""``python -m tablefull`` and the ``tablefull`` command.

The trap: Ctrl-C in the first tenth of a second, while modules are still being imported. Nothing is therefore imported
before somebody is there to catch it.
"""

import sys


def main() -> None:
    """Run and leave; after Ctrl-C silently, with 128 + SIGINT as a shell has it."""
    try:
        from tablefull.views.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
