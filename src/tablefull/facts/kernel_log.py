"""Lines of the kernel's log that matter here, with their two clocks.

The trap: ``callbacks suppressed`` counts belong to the window before the line and to every rate-limited message of the
kernel, so they are kept as events in order and never added up here.
"""

from msgspec import Struct

from tablefull.facts.origin import Fact


class Stamp(Struct, frozen=True):
    """``uptime_s`` from ``[11458852.811070]``; ``wall`` as printed and ``epoch_s`` where the text gives a whole date.

    ``epoch_s`` without a year in the text (RFC 3164) is counted in an arbitrary year: differences hold, dates do not.
    """

    uptime_s: float | None = None
    wall: str | None = None
    epoch_s: float | None = None


class LogLine(Fact, frozen=True, kw_only=True):
    """One message. ``kind`` is an id of ``kernel.messages.KINDS``; ``number`` is N of ``N callbacks suppressed`` and
    its like.

    ``repeated`` counts identical lines that a bulk reading folded into this one, this one included. ``quoted`` marks a
    message cited inside a sentence: it was seen, but how often and when is not shown.
    """

    kind: str
    stamp: Stamp | None = None
    number: int | None = None
    netns: int | None = None
    host_name: str | None = None
    repeated: int = 1
    quoted: bool = False
