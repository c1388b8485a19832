"""``tablefull explain``: every cause and every fix, in words."""

import sys

import click
from click.shell_completion import CompletionItem

from tablefull.errors import UsageError
from tablefull.views.cli import named, nearest
from tablefull.views.output import emit


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from tablefull.fixes.meanings import MEANINGS
    from tablefull.rules.meanings import CAUSES

    ids = {one: known.meaning for one, known in CAUSES.items()} | {
        one: known.sentence for one, known in MEANINGS.items()
    }
    return [CompletionItem(one, help=ids[one]) for one in ids if one.startswith(incomplete)]


@click.command(
    epilog="""\b
Examples:
  tablefull explain
  tablefull explain unneeded-tracking
  tablefull explain notrack"""
)
@click.argument("name", metavar="[ID]", required=False, shell_complete=_complete)
def explain(name: str | None) -> int:
    """Explain the cause or the fix called ID; without one, list them all."""
    from tablefull.fixes.meanings import MEANINGS
    from tablefull.rules.meanings import CAUSES
    from tablefull.views import meanings, terminal

    width = terminal.width_of(sys.stdout)
    if name is None:
        page = meanings.everything(width)
    elif name in CAUSES or name in MEANINGS:
        page = meanings.one(name, width)
    else:
        raise UsageError(f"no cause or fix is called {named(name)}{_near(name, [*CAUSES, *MEANINGS])}")
    emit(page.coloured() if terminal.wants_colour(sys.stdout) else page.plain())
    return 0


def _near(name: str, known: list[str]) -> str:
    # `none` is the cause of a report without one, and no word that somebody mistypes.
    found = nearest(name, [one for one in known if one != "none"])
    # Fifty ids in an error line help nobody.
    return found if found.startswith("; did") else "; `tablefull explain` lists them all"
