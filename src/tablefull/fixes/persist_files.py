"""A file of ours: how it is marked, and whether one that stands there is ours to replace.

The trap: a person keeps what works and edits it. So a file is ours by its mark only, a link never is, and one without
the mark is left alone and named.
"""

import os
import re

from tablefull import __version__
from tablefull.fixes.act import OwnFile
from tablefull.fixes.live_host import LiveHost

_MARK = re.compile(r"(?:#!.*\n)?# [Mm]ade by tablefull\b")


class NotOurs(Exception):
    """Why a file cannot be written; ``str()`` is the sentence."""


def head(fix: str) -> str:
    """The first line of each: version and fix."""
    return f"# Made by tablefull {__version__} for the fix {fix}; tablefull fix --undo takes it away."


def ours(text: str) -> bool:
    """Whether a text carries our mark, in its first line or after ``#!``."""
    return _MARK.match(text) is not None


def own_file(host: LiveHost, path: str, text: str, mode: int = 0o644) -> OwnFile:
    """The act that writes it. NotOurs where something of somebody else stands there."""
    whole = host.proc.path(path)
    if not os.path.lexists(whole):
        return OwnFile(path, text, mode=mode)
    if os.path.islink(whole) or not os.path.isfile(whole):  # noqa: PTH113, PTH114 - a path below the host's root
        raise NotOurs(f"{path} is there and is no plain file")
    content = host.proc.read(path)
    before = content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else None
    if before is None or not ours(before):
        raise NotOurs(f"{path} is there and does not carry the mark of tablefull: somebody else wrote it")
    return OwnFile(path, text, before=before, mode=mode)
