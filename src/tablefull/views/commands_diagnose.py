"""``tablefull diagnose``: evidence in, answer out, in the format that is asked for."""

import io
import sys
from typing import BinaryIO

import click

from tablefull.errors import EXIT_BLIND, EXIT_FINDING, EXIT_FINE, UsageError
from tablefull.fixes.diagnosis import Diagnosis
from tablefull.fixes.diagnosis import diagnose as judge
from tablefull.rules.finding import SEVERITIES
from tablefull.views import wording
from tablefull.views.output import emit, say
from tablefull.views.reading import Reading, read

FORMATS = ("text", "json", "markdown", "html")
WHAT_TO_PASTE = (
    "paste the kernel's log (dmesg), sysctl -a, iptables-save, /proc/net/nf_conntrack, or run `tablefull collect`"
)
EPILOG = """\b
Examples:
  tablefull diagnose incident.txt
  tablefull diagnose dom0.txt guest.txt --format markdown
  journalctl -k | tablefull diagnose -
  tablefull diagnose sosreport-web1.tar.xz --format html -o web1.html
  tablefull diagnose                      (this host; more is seen as root)

\b
Exit codes: 0 fine, 1 a finding of severity degraded or worse, 2 wrong usage,
3 could not see enough to tell, 4 refused or failed to act."""


@click.command(epilog=EPILOG)
@click.argument("paths", metavar="[PATH|-]...", nargs=-1, type=click.Path(allow_dash=True, readable=False))
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="What to print (text if not said).")
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, readable=False), help="Write the answer to FILE."
)
@click.option("--explain-rules", "rules", is_flag=True, help="Say of every rule whether it fired, and if not, why not.")
@click.option("--all-fixes", is_flag=True, help="Text and Markdown: the commands of every fix, not of the first alone.")
def diagnose(paths: tuple[str, ...], form: str, output: str | None, rules: bool, all_fixes: bool) -> int:
    """Say what is wrong, why, how sure that is, and what to do about it.

    PATH is a file of any kind of evidence (plain or compressed), a directory, an archive, a sosreport or a bundle of
    `tablefull collect`; several are read as one incident. `-` is standard input. Without a PATH this host is looked at;
    nothing on it is changed and no kernel module is loaded.
    """
    if output == "":
        raise UsageError("-o '': an empty name; name a file, or - for standard output")
    reading = _read(paths, keep=form == "html")
    diagnosis = judge(reading.snapshot)
    code = _code(diagnosis)
    where = " and ".join(paths) if paths else "what could be read of this host"
    if code == EXIT_BLIND and not wording.evidence_seen(diagnosis):
        say(f"tablefull: nothing in {where} looks like evidence about connection tracking; {WHAT_TO_PASTE}")
        if form == "text" and not rules:
            return code
    elif code == EXIT_BLIND:
        say(f"tablefull: {where}: not enough in it to tell; see what to look at next")
    emit(
        _rendered(diagnosis, reading, form, rules=rules, all_fixes=all_fixes, to_file=output is not None),
        output,
        utf8=form != "text",
    )
    return code


def _read(paths: tuple[str, ...], *, keep: bool) -> Reading:
    return read_evidence(paths, keep=keep) if paths else _this_host()


def read_evidence(paths: tuple[str, ...], *, keep: bool = False) -> Reading:
    """What these files, and standard input for ``-``, hold."""
    if paths.count("-") > 1:
        raise UsageError("- is named twice; standard input can be read only once")
    return read(paths, _standard_input() if "-" in paths else None, keep=keep)


def _standard_input() -> BinaryIO | None:
    if sys.stdin is None:
        return None
    if not sys.stdin.isatty():
        return sys.stdin.buffer
    say("tablefull: waiting for evidence on standard input; paste it here and end with Ctrl-D on a line of its own")
    # A terminal's end is not for ever: who reads on after it waits for a second Ctrl-D.
    return io.BytesIO(sys.stdin.buffer.read())


def _this_host() -> Reading:
    from tablefull.live.collect import collect, snapshot

    return Reading(snapshot(collect()))


def _rendered(diagnosis: Diagnosis, reading: Reading, form: str, *, rules: bool, all_fixes: bool, to_file: bool) -> str:
    if form == "json":
        from tablefull.views import json_

        return json_.render(diagnosis, rules=rules)
    if form == "markdown":
        from tablefull.views import markdown

        return markdown.render(diagnosis, rules=rules, all_fixes=all_fixes)
    if form == "html":
        from tablefull.views import html

        return html.render(diagnosis, reading.snapshot, reading.texts, rules=rules)
    from tablefull.views import terminal, text

    page = text.render(diagnosis, 80 if to_file else terminal.width_of(sys.stdout), rules=rules, all_fixes=all_fixes)
    return page.coloured() if not to_file and terminal.wants_colour(sys.stdout) else page.plain()


def _code(diagnosis: Diagnosis) -> int:
    if SEVERITIES.index(diagnosis.severity) >= SEVERITIES.index("degraded"):
        return EXIT_FINDING
    return EXIT_FINE if wording.answer_known(diagnosis) else EXIT_BLIND
