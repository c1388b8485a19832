"""``tablefull why``: is connection tracking active, where, because of what, and what would bring it back.

The trap: the question is asked before something is turned off, so a wrong "no" cuts off a host. Exit code 0 means
answered; 3 means that something could not be seen, and the page says which file or right was missing.
"""

import sys
from typing import TYPE_CHECKING

import click

from tablefull.errors import EXIT_BLIND, EXIT_FINDING, EXIT_FINE, UsageError
from tablefull.facts.origin import Hole
from tablefull.live.proc import Proc

if TYPE_CHECKING:
    from tablefull.live.collection import Namespace
    from tablefull.live.prove import Proof
    from tablefull.live.why import Looker, Space, Why
    from tablefull.rules.holds import Hold

FORMS = ("text", "json")
EVERY_S = 10.0


@click.command(
    epilog="""\b
Examples:
  sudo tablefull why
  sudo tablefull why --netns all
  sudo tablefull why --netns web --prove
  sudo tablefull why --watch
  tablefull why web1.tar.gz

\b
--prove makes a pair of virtual links for a fraction of a second: one end in the namespace asked
about, without an address and without a route, the other in a namespace that belongs to this
process alone. One UDP packet to a documentation address goes out for each family and is thrown
away at the other end; its entry, where there is one, is looked up and deleted. The pair is gone
with the process, however that ends.

\b
--watch hears nftables' own notifications in the namespaces watched, and iptables-legacy by the
tracepoint sys_enter_setsockopt; it looks at all of it every ten seconds besides, and says what
this kernel does not let it hear. With --format json each event is one object on a line.

\b
Exit codes: 0 answered (active or not), 3 not enough could be seen to tell;
of --watch: 0 nothing was turned on, 1 tracking was turned on meanwhile,
3 it could not be told."""
)
@click.argument("evidence", nargs=-1, metavar="[PATH]...")
@click.option("--netns", "space", metavar="NAME|PID|all", help="Another network namespace; all: every one.")
@click.option("--prove", is_flag=True, help="Send one packet over a throw-away pair of links and look for its entry.")
@click.option("--watch", "watched", is_flag=True, help="Report which command turns tracking on or off, as it happens.")
@click.option("--for", "seconds", type=click.FloatRange(0.1, 1e7), metavar="SECONDS", help="End --watch after this.")
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True)
def why(
    evidence: tuple[str, ...], space: str | None, prove: bool, watched: bool, seconds: float | None, form: str
) -> int:
    """Say why connection tracking is on: every rule, module and setting that asks for it, and what stops without it.

    Of this host, of a namespace of it, or of evidence (a paste, a file, a bundle). Loads nothing, creates nothing.
    """
    if evidence and (space or prove or watched):
        raise UsageError("--netns, --prove and --watch look at this host, not at evidence")
    if seconds is not None and not watched:
        raise UsageError("--for goes with --watch")
    if watched and prove:
        raise UsageError("--prove and --watch exclude each other")
    if evidence:
        return _show(_of_evidence(evidence), form, {})
    from tablefull.live.why import Looker

    looker = Looker(Proc())
    if watched:
        return _watch(looker, space, seconds, form)
    chosen, holes = _chosen(looker, space)
    answer = looker.why(chosen)
    answer.holes += holes
    proofs: dict[str, list[Proof]] = {}
    if prove:
        from tablefull.live.prove import prove as proved
        from tablefull.rules.holds import decided

        for one in answer.spaces:
            told = proved(looker.proc, one.path, zoned=_zoned(one.holds), exempt=_exempt(one))
            by_family = {proof.family: proof.tracked for proof in told}
            one.verdicts = [decided(verdict, by_family.get(verdict.family), one.holds) for verdict in one.verdicts]
            proofs[one.key] = told
    return _show(answer, form, proofs)


def _zoned(holds: "list[Hold]") -> bool:
    return any({"ct zone", "CT"} & set(one.by) for one in holds)


def _exempt(space: "Space") -> set[str]:
    """The families in which a notrack rule may be why a packet is not tracked that would be."""
    return {one.family for one in space.verdicts if one.state != "no"} if space.exempt else set()


def _chosen(looker: "Looker", name: str | None) -> "tuple[list[Namespace | None], list[Hole]]":
    """The namespaces asked about; None stands for this one."""
    if name is None:
        return [None], []
    from tablefull.live import netns

    proc = looker.proc
    if name.isdecimal():
        inode = netns.inode_of(proc, f"proc/{name}/ns/net")
        if inode is None:
            raise UsageError(f"--netns {name}: no process has this number, or it may not be asked")
        return [netns.described(proc, inode, None, [int(name)], False)], []
    others, holes = netns.found(proc, lambda: True)
    if name == "all":
        return [None, *others], holes
    for one in others:
        if name in (one.key, one.name):
            return [one], []
    known = ", ".join(sorted(one.key for one in others)[:8]) or "none beside this one"
    raise UsageError(f"--netns {name[:60]!a}: no such namespace; there are {known}")


def _of_evidence(names: tuple[str, ...]) -> "Why":
    from tablefull.live.why import of_snapshot
    from tablefull.views.reading import read

    return of_snapshot(read(names, getattr(sys.stdin, "buffer", None)).snapshot)


def _show(answer: "Why", form: str, proofs: "dict[str, list[Proof]]") -> int:
    from tablefull.views import why_text
    from tablefull.views.output import emit
    from tablefull.views.terminal import wants_colour, width_of

    if form == "json":
        emit(why_text.as_json(answer, proofs))
    else:
        page = why_text.render(answer, width_of(sys.stdout), proofs)
        emit(page.coloured() if wants_colour(sys.stdout) else page.plain())
    return EXIT_FINE if _told(answer) else EXIT_BLIND


def _told(answer: "Why") -> bool:
    """Whether every family of every namespace has its answer."""
    return bool(answer.spaces) and all(
        space.verdicts and all(one.state != "unknown" for one in space.verdicts) for space in answer.spaces
    )


def _watch(looker: "Looker", name: str | None, seconds: float | None, form: str) -> int:
    """Until a signal or the end of ``seconds``; 1 where tracking was turned on meanwhile."""
    import time

    from tablefull.live.rule_news import RuleWatch
    from tablefull.views import why_watch
    from tablefull.views.output import emit, say
    from tablefull.views.signals import Unread, caught
    from tablefull.views.terminal import Page, wants_colour, width_of
    from tablefull.watch.tracking import TrackingWatch

    width, coloured = width_of(sys.stdout), wants_colour(sys.stdout)
    stop = Unread(sys.stdout)
    with caught(stop.set), RuleWatch(looker.proc) as heard:
        chosen, holes = _chosen(looker, name)
        heard.holes += holes
        find = (lambda: _chosen(looker, "all")[0]) if name == "all" else None
        tell = why_watch.teller(form, width, coloured, emit)
        held = TrackingWatch(looker, chosen, heard, tell, time.monotonic, find)
        page = Page(width)
        why_watch.begin(page, held.spaces(), heard, EVERY_S)
        if form == "json":
            say(page.plain().rstrip("\n"))
        else:
            emit(page.coloured() if coloured else page.plain())
        held.run(EVERY_S, stop, None if seconds is None else time.monotonic() + seconds)
        return EXIT_FINDING if held.turned_on else EXIT_BLIND if held.blind() else EXIT_FINE
