"""Which options of ``tablefull fix`` go together; what does not is refused: whoever typed it meant something."""

import shlex
import sys
from collections.abc import Collection, Mapping

import click
from click.core import ParameterSource

from tablefull.errors import UsageError

# Options that say how one fix is to be done, by the name of the parameter.
MEANT: dict[str, tuple[str, ...]] = {
    "where": ("flush-entries",),
    "ports": ("notrack", "rate-limit-or-block-source", "synproxy-or-syncookies"),
    "addresses": ("notrack",),
    "sources": ("rate-limit-or-block-source",),
    "way": ("notrack", "synproxy-or-syncookies"),
    "limit": ("raise-max", "raise-expect-max"),
    "buckets": ("raise-hashsize", "raise-max"),
    "timeouts": ("shorten-timeouts",),
    "rate": ("rate-limit-or-block-source",),
    "burst": ("rate-limit-or-block-source",),
    "invalid": ("drop-invalid-or-be-liberal",),
    "mss": ("synproxy-or-syncookies",),
    "wscale": ("synproxy-or-syncookies",),
}
WAYS = ("confirm", "undo", "undo_pending", "looked_back", "asked")


def given(context: click.Context) -> dict[str, str]:
    """The options that were typed: name of the parameter → as it is written."""
    return {
        one.name: max(one.opts, key=len)
        for one in context.command.params
        if isinstance(one, click.Option) and context.get_parameter_source(one.name) is ParameterSource.COMMANDLINE
    }


def as_root() -> str:
    """The line that was typed, with root's rights."""
    return shlex.join(["sudo", "tablefull", *sys.argv[1:]])


def none_empty(context: click.Context) -> None:
    """UsageError where a word of the call is empty, as that of an unset variable is: it would not be what was meant.

    ``--confirm "$id"`` must not become a plan, nor ``--state ""`` the host's own journals.
    """
    for one in context.command.params:
        value = context.params.get(one.name or "")
        if value == "" or (isinstance(value, tuple) and "" in value):
            what = max(one.opts, key=len) if isinstance(one, click.Option) else "a fix or a file"
            raise UsageError(f"{what}: an empty word; leave it away, or say what is meant")


def only(typed: Mapping[str, str], allowed: Collection[str], beside: str) -> None:
    """UsageError where an option was typed that is of no use ``beside`` what else was said."""
    if over := [option for name, option in typed.items() if name not in allowed]:
        raise UsageError(f"{beside} goes without {', '.join(over)}")


def of_these(typed: Mapping[str, str], fixes: Collection[str]) -> None:
    """UsageError where an option was typed that none of ``fixes`` takes."""
    for name, option in typed.items():
        takers = MEANT.get(name)
        if takers is not None and not set(takers) & set(fixes):
            planned = ", ".join(fixes)
            raise UsageError(
                f"{option} is for {' and '.join(takers)}, not for {planned}: leave it away, or name the fix"
            )
