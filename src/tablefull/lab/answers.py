"""What the project's own commands answer about a scene's machine, as values: diagnose, why, table.

The trap: they are asked as a person asks them, as programs, and their JSON is a contract; an answer that is none ends
the scene with the program's own complaint, never with a guess.
"""

import json
from typing import Any

from tablefull.errors import KernelRefused
from tablefull.lab.course import Asked, Cause, Counted, Diagnosed

MOST_STATES = 4


def diagnosed(text: str, complaint: str) -> Diagnosed:
    """Of ``tablefull diagnose --format json``."""
    found = _object("diagnose", text, complaint)
    return Diagnosed(
        found["verdict"]["table_full"],
        found["verdict"]["headline"],
        tuple(Cause(one["id"], one["confidence"], one["why"]) for one in found["causes"]),
        tuple(one["id"] for one in found["fixes"]),
    )


def asked(text: str, complaint: str) -> Asked:
    """Of ``tablefull why --format json``, of one namespace: whether packets are tracked, and who asks for it."""
    space = _object("why", text, complaint)["namespaces"][0]
    return Asked(
        tuple(f"{family} {one['state']}" for family, one in space["active"].items()),
        tuple(
            f"{one['what']} ({', '.join(one['where']) or ', '.join(one['by'])})"
            for one in space["reasons"]
            if one["asks"]
        ),
    )


def counted(text: str, complaint: str, count: int | None) -> Counted:
    """Of ``tablefull table --format json``; ``count``: what the kernel's own counter read at that moment."""
    found = _object("table", text, complaint)
    states = found["by"]["state"]["top"][:MOST_STATES]
    return Counted(found["entries"], count, found["sampled"], tuple((one["key"], one["share"]) for one in states))


def _object(program: str, text: str, complaint: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        raise KernelRefused(f"{program} gave no answer: {complaint or text[:200] or 'it said nothing'}") from None
    if not isinstance(found, dict):
        raise KernelRefused(f"{program} answered something else: {text[:200]}")
    return found
