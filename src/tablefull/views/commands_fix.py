"""``tablefull fix``: plans by default; applies, confirms and undoes where that is asked for.

The trap: one word more on the line changes the host. So without ``--apply`` nothing here can write, whatever else is
said, and options that belong to another way of calling it are refused instead of being ignored.
"""

import errno
import sys
from pathlib import Path

import click

from tablefull.errors import EXIT_BLIND, EXIT_FINE, EXIT_REFUSED, UsageError
from tablefull.views.durations import seconds

FORMATS = ("text", "json", "markdown", "sh", "ansible")
UNSAID = "\0unsaid"
WAYS = ("served", "passed", "both")
LONGEST_CONFIRM_S = 86400.0


@click.command(
    epilog="""\b
Examples:
  sudo tablefull fix                                   what would help this host; changes nothing
  sudo tablefull fix shorten-timeouts                  one fix, step by step
  sudo tablefull fix raise-max --apply                 do it; undone in 60 s unless you confirm
  sudo tablefull fix --confirm                         keep it
  sudo tablefull fix --undo 3                          take it back, also later
  sudo tablefull fix notrack --port udp/53 --apply --probe 192.0.2.1:53 --confirm-within 5m
  sudo tablefull fix flush-entries --where 'proto=udp and unreplied' --apply
  tablefull fix web1.tar.gz --format sh                for another host, from its bundle

\b
Exit codes: 0 fine, 2 wrong usage, 3 could not see enough to plan, 4 refused, not done, or undone."""
)
@click.argument("what", metavar="[FIX|PATH|-]...", nargs=-1)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("-o", "--output", metavar="FILE", help="Write the plan to FILE.")
@click.option("--apply", "applied", is_flag=True, help="Do it. It is undone by itself unless you confirm.")
@click.option(
    "--confirm-within", default="60s", show_default=True, metavar="TIME", help="How long you have to confirm."
)
@click.option("--confirm", metavar="[ID]", is_flag=False, flag_value=UNSAID, help="Keep what was applied.")
@click.option("--undo", metavar="[ID]", is_flag=False, flag_value=UNSAID, help="Take back, confirmed or not.")
@click.option("--undo-pending", is_flag=True, help="End what nobody is left to end; for use at boot.")
@click.option("--history", "looked_back", is_flag=True, help="Every fix that was applied here.")
@click.option("--status", "asked", is_flag=True, help="What waits to be confirmed.")
@click.option("--persist", is_flag=True, help="Have it last over a restart: files of ours, written on confirmation.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@click.option("--i-know", is_flag=True, help="Also where it takes away what protects or serves something.")
@click.option("--netns", metavar="NAME|PID", help="In another network namespace.")
@click.option("--probe", metavar="HOST:PORT", help="Connect before and after; undone where only the first works.")
@click.option("--verify-for", default="3s", show_default=True, metavar="TIME", help="How long to look afterwards.")
@click.option("--plan", "from_file", metavar="FILE", help="The plan that --format json wrote, instead of a new one.")
@click.option("--state", "place", metavar="DIR", help="Where journals are kept (/var/lib/tablefull/fixes).")
@click.option("--where", metavar="EXPR", help="flush-entries: which, as in tablefull table --where.")
@click.option("--port", "ports", multiple=True, metavar="PROTO/PORT", help="Of this service: udp/53, tcp/443, gre.")
@click.option("--address", "addresses", multiple=True, metavar="ADDRESS", help="notrack: of this server.")
@click.option("--source", "sources", multiple=True, metavar="ADDRESS", help="rate-limit-or-block-source: whom.")
@click.option("--way", type=click.Choice(WAYS), help="notrack: what this host serves, also passes on, also asks.")
@click.option("--max", "limit", type=click.IntRange(1), metavar="N", help="raise-max, raise-expect-max: to this.")
@click.option("--buckets", type=click.IntRange(1), metavar="N", help="raise-hashsize: to this.")
@click.option("--timeout", "timeouts", multiple=True, metavar="NAME=TIME", help="shorten-timeouts: tcp_timeout_…=1h.")
@click.option("--rate", type=click.IntRange(1), metavar="N", help="Packets a second that each source may send.")
@click.option("--burst", type=click.IntRange(1), metavar="N", help="How many at once beyond the rate.")
@click.option("--invalid", type=click.Choice(("drop", "liberal")), help="drop-invalid-or-be-liberal: which.")
@click.option("--mss", type=click.IntRange(1), metavar="N", help="synproxy: what the server announces.")
@click.option("--wscale", type=click.IntRange(0, 14), metavar="N", help="synproxy: what the server announces.")
def fix(what: tuple[str, ...], form: str, output: str | None, **said: object) -> int:
    """Plan a fix, apply it, and have it undone by itself unless you confirm that you still reach the host.

    FIX is an id (see `tablefull explain`), PATH evidence of another host; without either this host is looked at.
    Nothing changes without --apply. An applied fix is kept by --confirm, else undone when --confirm-within is over:
    by a process that outlives the terminal, the connection and this command, and after a restart.
    """
    from tablefull.views import fix_running, fix_words

    fix_words.none_empty(click.get_current_context())
    typed = fix_words.given(click.get_current_context())
    place = said["place"]
    assert place is None or isinstance(place, str)
    ways = {"--confirm": said["confirm"], "--undo": said["undo"], "--undo-pending": said["undo_pending"]}
    ways |= {"--history": said["looked_back"], "--status": said["asked"]}
    chosen = [name for name, value in ways.items() if value]
    if not chosen:
        return _plan(what, form, output, said, typed)
    _alone(chosen, what, said)
    fix_words.only(typed, (*fix_words.WAYS, "place", "yes", *(["form"] if said["looked_back"] else [])), chosen[0])
    store = fix_running.store_of(place)
    if place is not None:
        store.must_be_there()
    way = chosen[0]
    if way in ("--confirm", "--undo"):
        named = what[0] if what else str(ways[way])
        identity = None if named == UNSAID else named
        return fix_running.confirm(store, identity) if way == "--confirm" else fix_running.undo(store, identity)
    if way == "--undo-pending":
        return fix_running.undo_pending(store)
    return fix_running.history(store, form) if way == "--history" else fix_running.status(store)


def _alone(chosen: list[str], what: tuple[str, ...], said: dict[str, object]) -> None:
    if len(chosen) > 1 or said["applied"]:
        raise UsageError(f"{' and '.join([*chosen, *(['--apply'] if said['applied'] else [])])}: one at a time")
    unsaid = said["confirm"] == UNSAID or said["undo"] == UNSAID
    if what and not (unsaid and len(what) == 1):
        raise UsageError(f"{chosen[0]} goes without {what[0][:60]!a}")


def _is_file(word: str) -> bool:
    """Whether it is there, or may be: what may not be looked at is said when it is read."""
    try:
        return Path(word).exists()
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EPERM)


def _plan(what: tuple[str, ...], form: str, output: str | None, said: dict[str, object], typed: dict[str, str]) -> int:
    from tablefull.fixes.catalog import MAKERS

    paths = [word for word in what if word not in MAKERS and (word == "-" or _is_file(word))]
    ids = [word for word in what if word not in paths]
    if unknown := [word for word in ids if word not in MAKERS]:
        from tablefull.views.cli import named, nearest

        meant = "" if "/" in unknown[0] or "." in unknown[0] else nearest(unknown[0], MAKERS)
        raise UsageError(f"{named(unknown[0])} is no fix and no file{meant}")
    if paths:
        if ids:
            raise UsageError(f"{ids[0]} beside {paths[0][:80]!a}: evidence is planned from whole; leave {ids[0]} away")
        if said["applied"] or said["from_file"] or said["netns"]:
            raise UsageError(f"{paths[0][:80]!a} is evidence: it is planned from as it is, and never applied here")
        from tablefull.views import fix_evidence, fix_words

        fix_words.only(typed, ("form", "output"), f"{paths[0][:80]!a}, which is evidence,")
        return fix_evidence.show(tuple(paths), form, output)
    if said["applied"] and (form != "text" or output):
        raise UsageError("--apply goes without --format and -o")
    from tablefull.views import fix_planning

    asked = fix_planning.Asked(ids=tuple(ids), said=said, words=sys.argv[1:], typed=typed)
    confirm_within_s, verify_for_s = _time(said, "confirm_within"), _time(said, "verify_for")
    if said["applied"]:
        return fix_planning.apply(asked, confirm_within_s, verify_for_s)
    found = fix_planning.plans(asked)
    if not found.plans:
        fix_planning.tell_why_none(found)
        return EXIT_BLIND if found.blind or fix_planning.half_seen(found.unseen) else EXIT_FINE
    fix_planning.show(found, form, output, asked)
    return EXIT_REFUSED if all(plan.refused for plan in found.plans) else EXIT_FINE


def _time(said: dict[str, object], name: str) -> float:
    option = "--" + name.replace("_", "-")
    value = seconds(str(said[name]), option)
    if value > LONGEST_CONFIRM_S:
        raise UsageError(f"{option} {said[name]}: a day at most")
    return value
