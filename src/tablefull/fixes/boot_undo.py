"""What undoes an unconfirmed fix when the host starts again, in the words of each init system: files, no links.

The trap: a link made for a unit cannot be told from one that a person made. So what starts the undoing is always a
plain file of ours: a drop-in of a target (systemd), a job (upstart), a script in the place where a link would stand
(SysV, OpenRC). All of it is gone once the fix is confirmed or undone.

Only a fix that itself lasts over a restart needs it (a service disabled). Settings and rules are gone by then, and the
files of ``--persist`` are written on confirmation only.
"""

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence

from tablefull.fixes.act import OwnFile, Step

_PLAIN = re.compile(r"[A-Za-z0-9_./:+-]+")
NAME = "tablefull-undo-pending"
HEAD = "# Made by tablefull fix, and taken away by it once the fix is confirmed or undone."


def command(environment: Mapping[str, str]) -> str | None:
    """The words that start this program at boot; None where its place cannot be written without quoting."""
    found = shutil.which("tablefull")
    words = [os.path.abspath(found)] if found else [sys.executable, "-m", "tablefull"]  # noqa: PTH100 - a link stays one
    given = [
        f"{name}={':'.join(map(os.path.abspath, environment[name].split(':')))}"
        for name in ("PYTHONPATH", "TABLEFULL_STATE")
        if environment.get(name)
    ]
    if given:
        words = ["/usr/bin/env", *given, *words]
    words += ["fix", "--undo-pending"]
    return " ".join(words) if all(_PLAIN.fullmatch(word.replace("=", "", 1)) for word in words) else None


def step(init: str, environment: Mapping[str, str], runlevels: Sequence[str] = ("/etc/rc2.d",)) -> Step | None:
    """The step that arms it; None where this init system is not known, or the program stands in a strange place.

    ``runlevels``: the folders of SysV's multi-user runlevels that this host has.
    """
    words = command(environment)
    files = None if words is None else _files(init, words, runlevels)
    if not files:
        return None
    return Step(
        title="Have it undone if the host restarts before it is confirmed",
        before="nothing at boot",
        after=f"tablefull fix --undo-pending at boot, by {init}",
        scope="host",
        acts=files,
        risk="None: it ends at once where nothing is to be undone.",
        undo="the files are taken away, on confirmation as well",
        persists=True,
        when="until-confirmed",
    )


def _files(init: str, words: str, runlevels: Sequence[str]) -> tuple[OwnFile, ...] | None:
    if init == "systemd":
        # Before anything reaches the network, after everything is mounted. A service that the undoing starts must not
        # itself wait for this one: those that load rules stand before network-pre.target too (systemd.special(7)).
        unit = (
            f"{HEAD}\n[Unit]\nDescription=Undo a tablefull fix that nobody confirmed\n"
            "Wants=network-pre.target\nBefore=network-pre.target\n"
            "[Service]\nType=oneshot\nTimeoutStartSec=120\n"
            f"ExecStart={words}\n"
        )
        wants = f"{HEAD}\n[Unit]\nWants={NAME}.service\n"
        return (
            OwnFile(f"/etc/systemd/system/{NAME}.service", unit),
            OwnFile(f"/etc/systemd/system/multi-user.target.d/50-{NAME}.conf", wants),
        )
    if init == "upstart":
        # init(5): runlevels 2 to 5 begin once file systems are mounted (event filesystem, rc-sysinit).
        return (OwnFile(f"/etc/init/{NAME}.conf", f"{HEAD}\nstart on runlevel [2345]\ntask\nexec {words}\n"),)
    script = f'#!/bin/sh\n{HEAD}\ncase "$1" in start) exec {words};; esac\n'
    if init in ("sysv", "initscripts"):
        # What rc runs is whatever begins with S and may be executed; a link is only the usual way to have it there.
        return tuple(OwnFile(f"{folder}/S99{NAME}", script, mode=0o755) for folder in runlevels)
    if init == "openrc":
        body = (
            f"#!/sbin/openrc-run\n{HEAD}\ndepend() {{\n\tneed localmount\n\tbefore net\n}}\nstart() {{\n\t{words}\n}}\n"
        )
        return (
            OwnFile(f"/etc/init.d/{NAME}", body, mode=0o755),
            OwnFile(f"/etc/runlevels/default/{NAME}", body, mode=0o755),
        )
    return None
