"""``lab --clean``: what runs that were killed together with their guardian left behind.

The trap: a run that still plays must not lose its stage, so whoever made a scene is told by number and time of birth,
and where it or its guardian lives nothing is touched.
"""

import re
import time

from msgspec import Struct

from tablefull.errors import KernelRefused
from tablefull.lab import guardian
from tablefull.lab.stage import missing_right

WAIT_S = 15.0
_NAME = re.compile(rf"{guardian.PREFIX}([0-9a-f]{{6}})-[a-z0-9-]+")


class Found(Struct, frozen=True):
    """Scenes by kind and number, and what is left of them."""

    removed: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def clean() -> Found:
    """Remove every scene whose player and guardian are gone. KernelRefused where the right is missing."""
    if missing := missing_right():
        raise KernelRefused(
            f"lab --clean removes network namespaces and needs {missing}; run it as root: sudo tablefull lab --clean"
        )
    removed, running, left = [], [], []
    for scene in _scenes():
        folder = guardian.STATES / scene
        state = guardian.read(folder)
        name = f"{state.get('scene', 'a scene')} {scene}"
        if guardian.alive(state, "player"):
            running.append(name)
            continue
        end = time.monotonic() + WAIT_S
        while guardian.alive(state, "guardian") and time.monotonic() < end:
            time.sleep(0.1)
        if guardian.alive(state, "guardian"):
            running.append(f"{name} (its guardian is removing it)")
            continue
        if not _there(scene):
            removed.append(name)
            continue
        refused = guardian.remove(folder)
        left += [f"{name}: {one}" for one in refused]
        if not refused:
            removed.append(name)
    return Found(tuple(removed), tuple(running), tuple(left))


def _there(scene: str) -> bool:
    return (guardian.STATES / scene).exists() or bool(guardian.spaces(scene))


def _scenes() -> list[str]:
    """Numbers of scenes, by their folders and by the names of namespaces."""
    found = set()
    for names, pattern in ((guardian.STATES, re.compile(r"\.?([0-9a-f]{6})")), (guardian.NAMES, _NAME)):
        try:
            listed = [path.name for path in names.iterdir()]
        except OSError:
            continue
        found |= {match[1] for name in listed if (match := pattern.fullmatch(name))}
    return sorted(found)
