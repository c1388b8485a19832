"""The manual page, made from the commands themselves.

The trap: in roff a line that begins with a dot or an apostrophe is a request, and a hyphen or a backslash means
something. Every text goes through ``roff``.
"""

import click

from tablefull import __version__

SECTION = 1


def roff(text: str) -> str:
    """Text that roff prints as it stands."""
    text = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq").replace("^", "\\(ha")
    )
    text = text.replace("~", "\\(ti").replace("…", "...")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in text.split("\n"))


def page(command: click.Command, context: click.Context, day: str) -> str:
    """The page of the whole program as of ``day`` (2026-01-31): the group, then each of its commands."""
    name = context.info_name or "tablefull"
    lines = [
        f'.TH {name.upper()} {SECTION} "{day}" "{name} {__version__}" "User Commands"',
        ".SH NAME",
        f"{name} \\- {roff(_first_sentence(command))}",
        ".SH SYNOPSIS",
        f".B {name}",
        "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        *_prose(command.help or ""),
        ".SH OPTIONS",
        *_options(command, context),
    ]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for sub_name in command.list_commands(context):
            sub = command.get_command(context, sub_name)
            if sub is None or sub.hidden:
                continue
            below = click.Context(sub, info_name=sub_name, parent=context)
            pieces = " ".join(sub.collect_usage_pieces(below))
            lines += [f".SS {name} {sub_name} {roff(pieces)}", *_prose(sub.help or ""), *_options(sub, below)]
            lines += _epilog(sub, ".PP")
    lines += _epilog(command, ".PP")
    return "\n".join(lines) + "\n"


def _first_sentence(command: click.Command) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split()).rstrip(".")


def _prose(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        lines += [".PP", roff(" ".join(paragraph.split()))]
    return lines[1:]


def _options(command: click.Command, context: click.Context) -> list[str]:
    lines: list[str] = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            lines += [".TP", f"\\fB{roff(record[0])}\\fR", roff(" ".join(record[1].split()))]
    return lines


def _epilog(command: click.Command, gap: str) -> list[str]:
    """Examples and exit codes: a paragraph that click is told to leave unfilled stays so."""
    lines: list[str] = []
    for paragraph in (command.epilog or "").strip().split("\n\n"):
        kept = paragraph.removeprefix("\b\n")
        if not kept:
            continue
        heading, _, rest = kept.partition("\n")
        if heading == "Examples:":
            lines += [gap, "Examples:", gap, ".nf", roff(rest), ".fi"]
        else:
            lines += [gap, roff(" ".join(kept.split()))]
    return lines
