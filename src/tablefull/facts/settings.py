"""A setting and the standing of its value: what is in force is not what a file wants to be in force."""

from typing import Literal

from tablefull.facts.origin import Fact

# in force as shown by the kernel · written in a configuration file · being set by a command in the evidence ·
# said in a sentence
Standing = Literal["shown", "configured", "commanded", "stated"]


class Setting(Fact, frozen=True, kw_only=True):
    """``name`` is canonical (``kernel.sysctls.canonical``); ``spelled`` is as found; ``number`` is None for a
    non-number.
    """

    name: str
    spelled: str
    value: str
    number: int | None
    standing: Standing = "shown"


class Refusal(Fact, frozen=True, kw_only=True):
    """A write or read of a setting that was refused: ``name`` canonical, ``error`` as printed."""

    name: str
    error: str
