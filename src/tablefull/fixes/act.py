"""What a fix does to a host, as values that a journal can hold: each act knows what was there before.

The trap: a fix that is killed between two writes. So an act says how its state is told (before, after, or something
else that somebody else did), and doing or undoing what already is so changes nothing. Nothing here acts: the only code
that does is ``fixes/apply.py``.
"""

from typing import Literal

import msgspec
from msgspec import Struct, field

Scope = Literal["netns", "host"]
When = Literal["now", "confirmed", "until-confirmed"]


class Command(Struct, frozen=True, omit_defaults=True):
    """A program and its words, never a shell's line; ``stdin`` is text that we made, from checked values."""

    argv: tuple[str, ...]
    stdin: str = ""


def entering(netns: str | None) -> list[str]:
    """The words that run a program in a network namespace, by its name, process id or path; none for None."""
    if netns is None:
        return []
    if netns.isdecimal():
        return ["nsenter", f"--net=/proc/{netns}/ns/net", "--"]
    if "/" in netns:
        return ["nsenter", f"--net={netns}", "--"]
    return ["ip", "netns", "exec", netns]


class SetValue(Struct, frozen=True, tag="set", tag_field="act"):
    """One value below /proc/sys or /sys: ``before`` and ``after`` as the file reads, stripped."""

    path: str
    before: str
    after: str


class OwnFile(Struct, frozen=True, tag="file", tag_field="act", omit_defaults=True):
    """A file of ours. ``before`` is the text of an earlier one of ours, None where there was no file.

    A file that a person wrote is never taken: making the act refuses it.
    """

    path: str
    after: str
    before: str | None = None
    mode: int = 0o644


class Commanded(Struct, frozen=True, tag="command", tag_field="act", omit_defaults=True):
    """What only a program can do: rules, services, modules.

    ``done`` ends with 0 where the state is that after the act and with anything else before it. It must only look:
    it loads no module and creates no table. Several commands run in their order; ``undo`` in its own.

    ``first`` are commands that only look and must all end with 0 before ``done`` may be asked; where one does not, the
    state is that before the act. ``iptables -C`` makes the table it asks, so /proc/net/ip_tables_names is asked first.
    ``turned``: the state is that after the act where ``done`` ends with anything but 0 (``systemctl is-active``).
    """

    what: str
    do: tuple[Command, ...]
    undo: tuple[Command, ...]
    done: Command
    first: tuple[Command, ...] = ()
    turned: bool = False


class Flush(Struct, frozen=True, tag="flush", tag_field="act", omit_defaults=True):
    """Entries taken out of the table by ctnetlink: those that ``where`` (``wire/selection.py``) chooses.

    It cannot be undone: a live connection makes its entry again with its next packet, where rules and NAT let it.
    """

    where: str
    expected: int | None = None


Act = SetValue | OwnFile | Commanded | Flush


class Predicted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step will do to the table, by the twin's forecast from the live sample; None is unknown, with ``how``."""

    how: str
    entries_before: int | None = None
    entries_after: int | None = None
    refused_per_s_before: float | None = None
    refused_per_s_after: float | None = None
    memory_bytes: int | None = None
    protection_lost: tuple[str, ...] = ()


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing a person can decide about: its acts are done together, in order, and undone in the opposite order.

    ``when``: with the fix; only once it is confirmed (what makes it last); or with the fix and taken back on
    confirmation (what would undo it at boot).
    """

    title: str
    before: str
    after: str
    scope: Scope
    acts: tuple[Act, ...]
    risk: str
    undo: str
    verify: tuple[Command, ...] = ()
    predicted: Predicted | None = None
    persists: bool = False
    when: When = "now"


class HostPlan(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The steps of one fix on one host, in order, with what is told and not done.

    ``netns`` is the namespace's name as a person gave it, None for the one the program stands in. ``told`` are lines
    for a person (what to write where, on which other machine), ``typed`` commands for one, with what to put in for
    the words in capitals; ``refused`` says why the fix is not offered here, and then there are no steps.
    """

    fix: str
    host: str
    title: str
    steps: tuple[Step, ...] = ()
    netns: str | None = None
    told: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()
    refused: str = ""
    needs: tuple[str, ...] = field(default_factory=tuple)


def write(plan: HostPlan) -> bytes:
    """The plan as JSON, indented, for a journal or another program."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=2)


def read(text: bytes) -> HostPlan:
    """The plan that ``write`` wrote. ``msgspec.ValidationError`` or ``msgspec.DecodeError`` where it is none."""
    return msgspec.json.decode(text, type=HostPlan)
