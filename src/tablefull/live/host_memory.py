"""How much memory the kernel of this machine manages.

The trap: it is less than the machine's nominal size, and sizes the kernel chooses by itself go by this one.
"""

from tablefull.live.proc import Proc


def memory_bytes(proc: Proc) -> int | None:
    """The memory that the kernel manages (MemTotal); None where it is not told."""
    text = proc.text("proc/meminfo")
    if not isinstance(text, str):
        return None
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if name == "MemTotal" and words and words[0].isdecimal():
            return int(words[0]) * 1024
    return None
