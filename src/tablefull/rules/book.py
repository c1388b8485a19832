"""The rule files, in the order of the taxonomy. Importing them enters their rules into the book."""


def load() -> None:
    """Import every rule file once."""
    from tablefull.rules import (  # noqa: F401
        application,
        bridging,
        clouds,
        containers,
        floods,
        lookalikes,
        nat,
        sizing,
        timeouts,
        tracking,
        traffic,
    )
