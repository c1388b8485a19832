"""Times as a person writes them: 500ms, 10s, 5m, 2h, 1d; a bare number is in seconds.

The trap: ``ms`` ends in the unit ``s``, so the longest unit that fits is the one that is meant.
"""

from collections.abc import Mapping

from tablefull.errors import UsageError

UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parsed(text: str, units_s: Mapping[str, float] = UNITS_S) -> float:
    """The seconds. ValueError where it is no time."""
    unit = max((unit for unit in units_s if text.endswith(unit)), key=len, default="")
    return float(text.removesuffix(unit)) * units_s.get(unit, 1.0)


def seconds(text: str, option: str) -> float:
    """The seconds of an option's value; UsageError where it is no time, or nothing, or beyond thirty years."""
    try:
        value = parsed(text)
    except ValueError:
        raise UsageError(f"{option} {text!a}: a time is wanted, such as 500ms, 10s or 2h") from None
    if not 0 < value < 1e9:
        raise UsageError(f"{option} {text!a}: more than nothing and less than 1e9 s is wanted")
    return value
