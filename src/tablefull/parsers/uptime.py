"""``/proc/uptime``: when the rest was collected, by the clock that stamps the kernel's log.

The trap: two bare numbers are not an uptime wherever they stand, so they are read only where the path says so.
"""

import re
from collections.abc import Sequence

from tablefull.facts.host import Uptime
from tablefull.parsers.block import Context, Line, Read

PATH = "proc/uptime"
# Seconds since boot and idle seconds of all CPUs, two digits each behind the point [fs/proc/uptime.c].
_ROW = re.compile(r"\s*([0-9]{1,12}\.[0-9]{2})\s+[0-9]{1,15}\.[0-9]{2}\s*")


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """One :class:`Uptime` from the file's one line."""
    if PATH not in (context.path or "") and PATH not in (context.command or ""):
        return None
    found = _ROW.fullmatch(lines[at].text[:100])
    return Read(1, [Uptime(origin=context.origin(lines[at]), uptime_s=float(found[1]))]) if found else None
