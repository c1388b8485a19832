"""``python -m tablefull``: the same program as the ``tablefull`` command."""

from tablefull.views.cli import main

if __name__ == "__main__":
    main()
