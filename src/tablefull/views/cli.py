"""``tablefull``: the command line, its exit codes, and the one line that a failure becomes.

The trap: start-up. Every command's module is imported when that command is called and not before, and what a command
needs only sometimes (colours, HTML, the live host) is imported where it is needed. A test looks at ``sys.modules``.
"""

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, NoReturn, TextIO

import click

from tablefull import __version__
from tablefull.errors import EXIT_BLIND, EXIT_FINE, EXIT_REFUSED, EXIT_USAGE, KernelRefused, TablefullError, UsageError
from tablefull.views import quick

PROGRAM = "tablefull"
COMPLETE_VARIABLE = "_TABLEFULL_COMPLETE"
INTERRUPTED = 130  # 128 + SIGINT, as a shell has it
LONGEST_NAME = 80  # of a name that is no name of ours, in the line that says so

# Command → module and the one line that `tablefull --help` shows without importing it.
COMMANDS = {
    "diagnose": (
        "commands_diagnose",
        "Say what is wrong, why, and what to do: of a paste, a file, a bundle or this host.",
    ),
    "collect": ("commands_collect", "Write what a diagnosis needs to know of this host into a bundle; change nothing."),
    "explain": ("commands_explain", "Explain a cause or a fix; without an id, list them all."),
    "table": ("commands_table", "Say who fills the table: shares by state, source, port, namespace; sampled or whole."),
    "why": (
        "commands_why",
        "Say why tracking is on: which rule, module or service asks for it, what stops without it.",
    ),
    "top": ("commands_top", "Show the table as it lives, on the whole screen: how full, until when, of what, why."),
    "fix": ("commands_fix", "Plan a fix; apply it with an undo that is armed before, until you confirm."),
    "record": ("commands_record", "Follow new, updated and destroyed entries into Parquet files; gaps are declared."),
    "replay": (
        "commands_replay",
        "Run a capture or made-up traffic through connection tracking: what would happen under other settings.",
    ),
    "plan": ("commands_plan", "Say how high the limit may go, whether raising it is right, and what would do instead."),
    "export": ("commands_export", "Expose the table as metrics for Prometheus: over HTTP, as a file, or once."),
    "watch": ("commands_watch", "Remember how full the table is, foretell when it will be full, raise alarms."),
    "lab": ("commands_lab", "Live through a full table: real servers, real clients, this kernel, in namespaces."),
    "check": ("commands_check", "Say how full the table of this host is, as a monitoring plugin."),
    "man": ("commands_shell", "Print the manual page, in roff."),
    "completion": ("commands_shell", "Print the completion script of a shell."),
}
EPILOG = """\b
Examples:
  tablefull diagnose incident.txt           what somebody pasted into a ticket
  dmesg | tablefull diagnose -              standard input
  sudo tablefull diagnose                   this host
  tablefull diagnose web1.tar.gz --format json
  tablefull explain bridge-nf
  sudo tablefull table                      who fills it
  sudo tablefull fix                        what would help, step by step
  tablefull replay web1.pcap --max 65536    what would happen

\b
Exit codes: 0 fine, 1 a finding of severity degraded or worse, 2 wrong usage,
3 could not see enough to tell, 4 refused or failed to act. `check` uses 0 1 2 3
of monitoring plugins instead."""


class Lazy(click.Group):
    """A group whose commands are imported when they are wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None for a name there is not."""
        if cmd_name not in COMMANDS:
            return None
        quick.import_msgspec()
        module = import_module(f"tablefull.views.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest names where there is no such command."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            raise UsageError(f"no command is called {named(name)}{nearest(name, COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does, except that Ctrl-C leaves at once: click would print an empty line first."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, none of them imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean x or y?`` for the nearest of the known names, else where to find them."""
    from difflib import get_close_matches

    close = get_close_matches(name[:LONGEST_NAME].lower(), list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(known)}"


def named(name: str) -> str:
    """A name as a failure quotes it: what does not print spelled out, an absurdly long one cut."""
    return ascii(name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "...")


@click.group(
    cls=Lazy,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "--version", prog_name=PROGRAM)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of a failure.")
def cli() -> None:
    """What `nf_conntrack: table full, dropping packet` means here, why it happens, and the way out.

    Reads what you have (a paste of dmesg, sysctl and iptables output, a log, a bundle, or the host it runs on) and
    answers with causes, evidence, commands and their undo. It changes nothing unless `fix --apply` is asked for.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one call. Every failure is one line on standard error."""
    from tablefull.views.output import stand_in

    stand_in()
    given = list(sys.argv[1:] if arguments is None else arguments)
    # --debug belongs anywhere on the line, also where the failure is about the line itself.
    before_names = given[: given.index("--")] if "--" in given else given
    plugin = next((one for one in before_names if not one.startswith("-")), "") == "check"
    debug = "--debug" in before_names
    given = [one for at, one in enumerate(given) if one != "--debug" or at >= len(before_names)]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(given, prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        return _show(error.format_message(), EXIT_USAGE)
    except Exception as error:  # noqa: BLE001 - a person sees one line, whatever the defect is
        if debug:
            import traceback

            traceback.print_exc()
        line, exit_code = told(error)
        if plugin and not isinstance(error, KernelRefused):
            return _show(f"CONNTRACK UNKNOWN: {line}", EXIT_BLIND)
        # `check` asks the kernel for nothing that it could refuse but to take the answer.
        return _show(f"{PROGRAM}: {line}", EXIT_BLIND if plugin else exit_code, sys.stderr)
    return code if isinstance(code, int) else EXIT_FINE


def told(error: Exception) -> tuple[str, int]:
    """The one line that a person reads about a failure, and the exit code."""
    if isinstance(error, TablefullError):
        return str(error), error.exit_code
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else PROGRAM
        message = error.format_message().strip().rstrip(".")
        return f"{message[:1].lower()}{message[1:]}; see {path} --help", EXIT_USAGE
    if isinstance(error, MemoryError):
        return "there is not enough memory for this; name fewer or smaller files", EXIT_REFUSED
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror, EXIT_REFUSED
    what = f"{type(error).__name__}: {error}"
    return (
        f"a defect of tablefull {__version__}: {what}; run it again with --debug and report what that prints",
        EXIT_REFUSED,
    )


def _show(text: str, code: int, stream: TextIO | None = None) -> int:
    """Print a failure: on one line, unless it is a help page; hand back the code."""
    from tablefull.views.terminal import harmless

    line = text if stream is None and "\n" in text and text.startswith("Usage") else harmless(" ".join(text.split()))
    try:
        print(line, file=stream or sys.stdout, flush=True)
    except OSError as error:
        if stream is None and not isinstance(error, BrokenPipeError):
            from tablefull.views.output import say

            say(f"{PROGRAM}: standard output: cannot be written ({(error.strerror or '').lower()})")
    return code


def main() -> NoReturn:
    """Run and leave; a reader that went away is no failure."""
    code = run()
    from tablefull.views.output import flush

    flush()
    sys.exit(code)
