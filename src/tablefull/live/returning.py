"""The configuration of this machine that would load or hook connection tracking again, as files and names of units.

The trap: configuration is long, private and not all in force. Only the places that can bring tracking back are read, a
bounded part of each, and a unit counts only where a link enables it, for systemd, SysV, OpenRC and procd alike.
"""

import re

from tablefull.facts.origin import Hole
from tablefull.live.places import CONFIGURATION
from tablefull.live.proc import Proc
from tablefull.rules.returns import RULE_FILES, SCRIPTS, SWITCHES, UNITS

MOST_BYTES = 256 * 1024
MOST_FILES = 200
MOST_PROCESSES = 20_000
_WANTS = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system", "run/systemd/generator")
_LEVELS = ("etc/rc2.d", "etc/rc3.d", "etc/rc5.d", "etc/rc.d", "etc/rc.d/rc3.d", "etc/rc.d/rc5.d")
_RUNLEVELS = ("etc/runlevels/boot", "etc/runlevels/default")
_STARTS = re.compile(r"S\d\d(.+)")
# sysctl, modprobe, modules-load: the places a collection reads as well
_PLACES = tuple(place for places, _ in CONFIGURATION for place in places if "sysconfig" not in place)

Found = tuple[dict[str, list[str]], dict[str, str], set[str], list[Hole]]


def read(proc: Proc) -> Found:
    """Files by path, enabled units with what enables them, names of running processes, and what may not be read."""
    files: dict[str, list[str]] = {}
    holes: list[Hole] = []
    places = dict.fromkeys((*_PLACES, *(place for place, _, _ in RULE_FILES), *SCRIPTS, *SWITCHES, "proc/cmdline"))
    for place in places:
        listed = proc.names(place)
        names = [place] if isinstance(listed, Hole) else [f"{place}/{name}" for name in listed[:MOST_FILES]]
        for name in names:
            content = proc.read(name, MOST_BYTES)
            if isinstance(content, bytes):
                files[name] = content.decode("utf-8", "replace").splitlines()
            elif content.remedy:
                holes.append(content)
    return files, _enabled(proc), _running(proc), holes


def _enabled(proc: Proc) -> dict[str, str]:
    found: dict[str, str] = {}
    for folder in _WANTS:
        for wants in _names(proc, folder):
            if wants.endswith((".wants", ".requires")):
                for name in _names(proc, f"{folder}/{wants}"):
                    unit = name.rpartition(".")[0]
                    if unit in UNITS:
                        found.setdefault(unit, f"{folder}/{wants}/{name}")
    for folder in _LEVELS:
        for name in _names(proc, folder):
            match = _STARTS.fullmatch(name)
            if match and match[1] in UNITS:
                found.setdefault(match[1], f"{folder}/{name}")
    for folder in _RUNLEVELS:
        for name in _names(proc, folder):
            if name in UNITS:
                found.setdefault(name, f"{folder}/{name}")
    return found


def _names(proc: Proc, folder: str) -> list[str]:
    names = proc.names(folder)
    return [] if isinstance(names, Hole) else names


def _running(proc: Proc) -> set[str]:
    found = set()
    for pid in [name for name in _names(proc, "proc") if name.isdecimal()][:MOST_PROCESSES]:
        comm = proc.text(f"proc/{pid}/comm", 64)
        if isinstance(comm, str):
            found.add(comm)
    return found
