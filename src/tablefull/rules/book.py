"""The rule files. Importing them enters their rules into the book."""

from importlib import import_module

FILES = (
    "application", "bridging", "clouds", "containers", "floods", "lookalikes", "nat", "sizing", "timeouts", "tracking",
    "traffic",
)  # fmt: skip


def load() -> None:
    """Import every rule file once."""
    for name in FILES:
        import_module(f"tablefull.rules.{name}")
