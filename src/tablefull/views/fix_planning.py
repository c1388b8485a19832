"""From the words of a call to the plans for this host, and from one plan to its application.

The trap: what is shown must be what is done. So one function makes the plans for both, with the same words, and a plan
that was handed over as JSON is carried out as it stands, each value checked against the host.
"""

import shlex
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tablefull import __version__
from tablefull.errors import EXIT_REFUSED, KernelRefused, UsageError
from tablefull.fixes.act import HostPlan, Step
from tablefull.views import fix_words
from tablefull.views.durations import seconds
from tablefull.views.output import emit, say

SCHEMA = "tablefull/fix-plan/1"
_MADE_WITH = (*fix_words.MEANT, "persist", "i_know")  # what a plan from a file was made with, or was not
_TAKES_VALUE = {"--format", "-o", "--output"}


class Asked(Struct, frozen=True):
    """The words of one call: ids, options by name, and the line as typed, to be repeated with --apply.

    ``typed``: the options that were said at all, as they are written.
    """

    ids: tuple[str, ...]
    said: dict[str, object]
    words: list[str]
    typed: dict[str, str] = {}


class Found(Struct, frozen=True):
    """The plans for this host, none where it shows nothing to fix; and, where they come of a diagnosis, what it says.

    ``blind``: there is none because not enough was seen. ``unseen``: what no diagnosis of this host could read.
    """

    plans: list[HostPlan]
    headline: str = ""
    blind: bool = False
    unseen: tuple[str, ...] = ()


def plans(asked: Asked) -> Found:
    """The plans that the words of this call mean."""
    if asked.said["from_file"]:
        fix_words.only(asked.typed, [name for name in asked.typed if name not in _MADE_WITH], "--plan")
        return Found(_from_file(str(asked.said["from_file"]), asked))
    from tablefull.fixes import predict, steps
    from tablefull.fixes.live_host import LiveHost

    if asked.ids:
        fix_words.of_these(asked.typed, asked.ids)
    netns = asked.said["netns"]
    assert netns is None or isinstance(netns, str)
    if netns is not None:
        _may_enter(netns)
    host = LiveHost(netns=netns)
    watched = predict.Watched(host)
    ids, headline, blind = asked.ids, "", False
    unseen: tuple[str, ...] = ()
    if not ids:
        ids, headline, blind = _wanted(host)
        unseen = tuple(dict.fromkeys(hole.what for hole in host.snapshot.holes))
        if ids:
            fix_words.of_these(asked.typed, ids)
    options = _options(asked.said)
    found = [steps.plan(one, host, options) for one in ids]
    if not asked.ids:
        found.sort(key=lambda plan: bool(plan.refused))  # what can be done here comes first
    if any(plan.steps for plan in found):
        table = watched.table()
        found = [predict.with_effects(plan, host, table) for plan in found]
    return Found([_complete(plan, host, asked) for plan in found], headline, blind, unseen)


def _may_enter(netns: str) -> None:
    """What a namespace holds is unseen, not absent, where it may not be entered."""
    from tablefull.fixes import rights

    entering = (rights.Need("CAP_SYS_ADMIN", f"entering the network namespace {netns}"),)
    if lacks := rights.lacking(entering):
        raise KernelRefused(rights.told(lacks, fix_words.as_root()))


def _complete(plan: HostPlan, host: Any, asked: Asked) -> HostPlan:
    from tablefull.fixes import boot_undo

    own = plan.steps
    held: tuple[Step, ...] = ()
    told = plan.told
    if asked.said["persist"] and own:
        held, more = _persisted(plan, host)
        told += more
    boot: tuple[Step, ...] = ()
    if any(step.persists for step in own):
        import os

        from tablefull.fixes.journal import ENVIRONMENT
        from tablefull.fixes.persist_rules import init_here
        from tablefull.views.fix_running import store_of

        store = store_of(asked.said["place"])  # type: ignore[arg-type]
        environment = os.environ if store.own_place else os.environ | {ENVIRONMENT: str(store.path)}

        folders = [f"/etc/rc{level}.d" for level in range(2, 6) if host.proc.exists(f"etc/rc{level}.d")]
        armed = boot_undo.step(init_here(host), environment, folders)
        if armed is None:
            by_hand = (
                f"should this host restart before you confirm, undo it by hand then: {store.call('--undo-pending')}"
            )
            told += (by_hand,)
        else:
            boot = (armed,)
    return msgspec.structs.replace(plan, steps=(*boot, *own, *held), told=told)


def _persisted(plan: HostPlan, host: Any) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    from tablefull.fixes.persist import persistence

    found = persistence(plan, host)
    steps = (msgspec.structs.replace(one, when="confirmed", persists=True) for one in found.steps)
    return tuple(steps), found.told


def _wanted(host: Any) -> tuple[tuple[str, ...], str, bool]:
    """The fixes that a diagnosis of this host asks for, what it says, and whether it saw too little to tell."""
    from tablefull.fixes import own_incident
    from tablefull.fixes.diagnosis import diagnose
    from tablefull.views import wording

    seen = host.snapshot
    if host.netns is not None:
        first = host.is_first_namespace()
        seen = own_incident.of_namespace(seen, host.machine, host.facts, host.inode, first=first, kernel=host.kernel)
    found = diagnose(seen)
    ids = tuple(one.id for one in found.fixes if one.id != "none")
    headline = found.headline
    if host.netns is not None and "raise-max" in ids and host.is_first_namespace() is False:
        headline += " Its limit is the whole host's, and raised there: sudo tablefull fix raise-max."
    return ids, headline, not ids and not wording.answer_known(found)


def tell_why_none(found: Found) -> None:
    """Say why there is no plan."""
    if found.blind:
        say(f"tablefull: not enough was seen to plan anything ({found.headline}); name a fix, or run it as root")
    else:
        say(f"tablefull: nothing to fix here: {found.headline}{_not_seen(found.unseen)}")


def half_seen(unseen: tuple[str, ...]) -> bool:
    """Whether somebody who is not root asked, and would see more as root."""
    import os

    return bool(unseen) and os.geteuid() != 0


def _not_seen(unseen: tuple[str, ...]) -> str:
    """What another user may see is not all: without root the kernel's log and the rules are missing."""
    if not half_seen(unseen):
        return ""
    lived_by = ("the kernel's log", "conntrack -S", "nft list ruleset")  # these first
    named = sorted(unseen, key=lambda what: lived_by.index(what) if what in lived_by else len(lived_by))
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return f" Not seen: {', '.join(named[:3])}{more}; run it as root to be sure"


def _options(said: dict[str, Any]) -> Any:
    from tablefull.fixes.live_host import Options

    return Options(
        ports=tuple(said["ports"]),
        addresses=tuple(said["addresses"]),
        sources=tuple(said["sources"]),
        where=said["where"] or "",
        limit=said["limit"],
        buckets=said["buckets"],
        timeouts=_timeouts(said["timeouts"]),
        rate_per_s=said["rate"],
        burst=said["burst"],
        way=said["way"] or "",
        invalid=said["invalid"] or "",
        mss=said["mss"],
        wscale=said["wscale"],
        i_know=bool(said["i_know"]),
        netns=said["netns"],
    )


def _timeouts(words: tuple[str, ...]) -> dict[str, int] | None:
    found = {}
    for word in words:
        name, equal, value = word.partition("=")
        name = name.removeprefix("net.netfilter.").removeprefix("nf_conntrack_")
        if not equal or not name.replace("_", "").isalnum():
            raise UsageError(f"--timeout {word[:80]!a}: NAME=TIME is wanted, such as tcp_timeout_established=1h")
        found[f"nf_conntrack_{name}"] = max(1, round(seconds(value, "--timeout")))
    return found or None


def _from_file(path: str, asked: Asked) -> list[HostPlan]:
    if asked.ids:
        raise UsageError(f"--plan holds the plan: {asked.ids[0]} is not needed beside it")
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"--plan {path[:80]!a}: {(error.strerror or '').lower()}") from None
    try:
        whole = msgspec.json.decode(content)
        found = whole.get("plans") if isinstance(whole, dict) and "plans" in whole else [whole]
        plans = msgspec.convert(found, type=list[HostPlan])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"--plan {path[:80]!a}: no plan of tablefull fix --format json ({error})") from None
    netns = asked.said["netns"]
    return [msgspec.structs.replace(one, netns=netns) if netns else one for one in plans]


def show(found: Found, form: str, output: str | None, asked: Asked) -> None:
    """The plans in the form that was asked for."""
    from tablefull.views import fix_script, fix_text
    from tablefull.views.terminal import wants_colour, width_of

    if form == "json":
        whole = {"schema": SCHEMA, "tool": __version__, "plans": found.plans}
        emit(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n", output, utf8=True)
    elif form == "text":
        width = 80 if output else width_of(sys.stdout)
        page = fix_text.plans(found.plans, width, _again(asked), found.headline)
        emit(page.coloured() if output is None and wants_colour(sys.stdout) else page.plain(), output)
    else:
        makers = {"sh": fix_script.shell, "ansible": fix_script.ansible, "markdown": fix_script.markdown}
        emit(makers[form](found.plans), output, utf8=True)


def _again(asked: Asked) -> str:
    """The same line with ``{}`` for the fix's id, and --apply."""
    words = [word for word in asked.words if word not in (*asked.ids, "--debug")][1:]
    kept = []
    skip = False
    for word in words:
        if skip or word in _TAKES_VALUE:
            skip = not skip
            continue
        if not word.startswith(("--format=", "--output=")):
            kept.append(word)
    line = shlex.join(kept).replace("{", "{{").replace("}", "}}")
    fixed = "" if asked.said["from_file"] else " {}"
    return " ".join(f"sudo tablefull fix{fixed} {line} --apply".split(" ")).replace("  ", " ")


def apply(asked: Asked, confirm_within_s: float, verify_for_s: float) -> int:
    """Carry out the one plan that the words mean. The exit code."""
    from tablefull.fixes.verify import probe_target
    from tablefull.views import fix_running, fix_text

    probe = asked.said["probe"]
    assert probe is None or isinstance(probe, str)
    if probe is not None:
        probe_target(probe)
    if len(asked.ids) != 1 and not asked.said["from_file"]:
        raise UsageError("--apply: one fix at a time, named by its id; without --apply it is said which would help")
    found = plans(asked).plans
    if len(found) != 1:
        raise UsageError(f"--plan: it holds {len(found)} plans; one at a time is applied")
    (one,) = found
    if one.refused:
        raise KernelRefused(f"{one.fix} is not offered here: {one.refused}")
    if not one.steps:
        fix_running.show(fix_text.plans([one], 80, ""))
        say(f"tablefull: {one.fix} is told, not done: nothing was changed")
        return EXIT_REFUSED
    if sys.stdin is not None and sys.stdin.isatty() and not asked.said["yes"] and not _agreed(one, confirm_within_s):
        say("tablefull: nothing was changed")
        return EXIT_REFUSED
    return fix_running.apply(
        one,
        fix_running.store_of(asked.said["place"]),  # type: ignore[arg-type]
        confirm_within_s=confirm_within_s,
        verify_for_s=verify_for_s,
        probe=probe,
    )


def _agreed(one: HostPlan, confirm_within_s: float) -> bool:
    from tablefull.views import fix_running, fix_text

    fix_running.show(fix_text.plans([one], 80, ""))
    sys.stderr.write(f"Do this now? It is undone after {confirm_within_s:g} s unless you confirm. [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
