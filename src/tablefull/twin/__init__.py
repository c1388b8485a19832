"""What would happen: connection tracking as a library, equal to the kernel packet for packet."""

from typing import TYPE_CHECKING, Any

from tablefull.errors import UsageError

if TYPE_CHECKING:
    from tablefull.twin.table import Twin, Verdict, Verdicts

__all__ = ["Twin", "Verdict", "Verdicts"]


def __getattr__(name: str) -> Any:
    """Import the table when it is asked for: it needs numpy and numba, which come with the extra ``twin``."""
    if name not in __all__:
        raise AttributeError(name)
    try:
        from tablefull.twin import table
    except ModuleNotFoundError as missing:
        if missing.name in ("numpy", "numba"):
            raise UsageError(f"the twin needs {missing.name}: pip install 'tablefull[twin]'") from None
        raise
    return getattr(table, name)
