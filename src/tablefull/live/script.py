"""``tablefull collect --script``: the collector as one POSIX shell script, for a machine without Python; and what it
says of itself in its output.

The trap: it is pasted into shells of every age, so it is shipped as the file it is, checked there under dash, busybox
and bash, and never put together here. What it could not ask it notes on a line that looks like a typed comment, which
no parser takes for evidence or for a person's words.
"""

import re

from tablefull.facts.origin import Hole

NOTE = "# not run: "
_NOTE = re.compile(r"(?:root|user)@[^\s:]{1,255}:~[#$] # not run: (?P<what>[^:]{1,200}): (?P<why>.{1,200})")
_ROOT = "it needs root"


def text() -> str:
    """The script, ready to be written to a terminal or a file."""
    from importlib.resources import files

    return files("tablefull.live").joinpath("collect.sh").read_text(encoding="utf-8")


def without_notes(lines: list[str]) -> tuple[list[str], list[Hole]]:
    """The lines with every note of the script left empty, so that the numbers of the others stay; and the notes."""
    holes: list[Hole] = []
    for at, line in enumerate(lines):
        match = _NOTE.fullmatch(line) if NOTE in line else None
        if match is not None:
            if not holes:
                lines = list(lines)
            lines[at] = ""
            remedy = "run the script as root" if match["why"] == _ROOT else ""
            holes.append(Hole(match["what"], match["why"], remedy))
    return lines, holes
