"""``tablefull man`` and ``tablefull completion``: what a packager installs, from the same source as ``--help``."""

import os
import time
from pathlib import Path

import click

from tablefull.views.output import emit

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog="""\b
Examples:
  tablefull man | man -l -
  tablefull man > /usr/local/share/man/man1/tablefull.1"""
)
@click.pass_context
def man(ctx: click.Context) -> int:
    """Print the manual page, in roff."""
    from tablefull.views.man import page

    root = ctx.find_root()
    # As packagers want it: the day of the release where they say it, else that of these files.
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(stated) if stated.isdecimal() else Path(__file__).stat().st_mtime
    emit(page(root.command, root, time.strftime("%Y-%m-%d", time.gmtime(seconds))))
    return 0


@click.command(
    epilog="""\b
Examples:
  eval "$(tablefull completion bash)"
  tablefull completion zsh > ~/.zfunc/_tablefull
  tablefull completion fish > ~/.config/fish/completions/tablefull.fish"""
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the script that completes commands, options, files and ids in SHELL."""
    from click.shell_completion import ShellComplete, get_completion_class

    from tablefull.views.cli import COMPLETE_VARIABLE, PROGRAM

    found = get_completion_class(shell)
    assert found is not None
    root = ctx.find_root().command
    # The class's own source() first runs the shell to see its version; the script itself needs none.
    emit(ShellComplete.source(found(root, {}, PROGRAM, COMPLETE_VARIABLE)).strip() + "\n")
    return 0
