"""A plan from beginning to end: the evidence is opened, run as it is, run under what its entries suggest, and judged.

The trap: what is in force on the host that the evidence is of is rarely said by it. What was named counts first, then
what a record says of itself, then this machine's; whose it is, is said.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import IO, TYPE_CHECKING

from msgspec import Struct

from tablefull.errors import UsageError
from tablefull.fixes import capacity, capacity_answer
from tablefull.kernel.identity import parse_release
from tablefull.live.plan_values import NOTHING, Change, Measured, Study
from tablefull.live.proc import Proc
from tablefull.twin.eras import PLAYED_AS, doubts

if TYPE_CHECKING:
    from tablefull.live.captures import Capture
    from tablefull.live.plan_runs import Events, Packets
    from tablefull.live.replay import Piece

PLAYED = "6.18"
# From a pipe, which is read once: what helps most tables, tried beside it.
USUAL = (
    ("nf_conntrack_tcp_timeout_time_wait", 30),
    ("nf_conntrack_tcp_timeout_established", 10800),
    ("nf_conntrack_udp_timeout", 10),
)


class Asked(Struct, kw_only=True, frozen=True):
    """The words of the call."""

    evidence: str | None
    workloads: tuple[str, ...] = ()
    duration: str | None = None
    growth: float = 2.0
    quantile: float = 0.999
    limit: int | None = None
    buckets: int | None = None
    ram: str | None = None
    kernel: str | None = None
    sysctls: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    seed: int = 0


class _Opened(Struct):
    """The evidence, what it is called, and what is to be said of it."""

    runs: "Packets | Events | None"
    source: str
    kind: str
    notes: list[str] = []
    blind: bool = False
    kernel: str | None = None


def planned(asked: Asked) -> capacity_answer.Capacity:
    """The answer. UsageError for what cannot be asked."""
    named = _named(asked)
    ram_bytes, ram_note = _memory(asked)
    if asked.evidence is None and not asked.workloads:
        raise UsageError("plan needs evidence or --workload; `tablefull record -o events` makes some of this host")
    with ExitStack() as stack:
        opened = _open(stack, asked)
        study = _studied(opened, asked, named)
    release = asked.kernel or opened.kernel or PLAYED
    study.notes += opened.notes
    with suppress(UsageError):  # the kernel of a record is whatever was written there
        study.notes += doubts(release)
    study.blind = study.blind or opened.blind
    if ram_note:
        study.notes.append(ram_note)
    given = capacity.Given(
        kernel=parse_release(_played(release)), limit=asked.limit, buckets=asked.buckets, ram_bytes=ram_bytes,
        growth=asked.growth, quantile=asked.quantile,
    )  # fmt: skip
    return capacity_answer.answer(study, given)


def _played(release: str) -> str:
    return PLAYED_AS.get(release, release)


def _memory(asked: Asked) -> tuple[int | None, str]:
    if asked.ram is not None:
        from tablefull.views.commands_record import size_of

        if not (ram_bytes := size_of(asked.ram, "--ram")):
            raise UsageError(f"--ram {asked.ram[:40]!a}: no host has none; leave it out where it is not known")
        return ram_bytes, ""
    from tablefull.live.host_memory import memory_bytes

    found = memory_bytes(Proc())
    if found is None:
        return None, ""
    return found, "The memory is this machine's; --ram names another." if asked.evidence or asked.workloads else ""


def _named(asked: Asked) -> list[Change]:
    """What the call wants tried."""
    from tablefull.views.commands_replay import settings

    found = [Change(id="notrack", label=f"notrack {text}", expression=text) for text in asked.exempt]
    if asked.others:
        for one in settings(PLAYED, {}, None, asked.others)[1:]:
            if "max" in {name.rsplit("_", 1)[-1] for name in one.sysctls} or one.kernel != PLAYED:
                raise UsageError(
                    f"--vs {one.label[:60]!a}: timeouts and notrack can be tried; --max is what is in force"
                )
            found.append(Change(id="shorten-timeouts", label=one.label, sysctls=one.sysctls, expression=one.notrack))
    return found


def _open(stack: ExitStack, asked: Asked) -> _Opened:
    from tablefull.live.plan_runs import Events, Packets
    from tablefull.views import replay_source
    from tablefull.views.commands_replay import pairs

    sysctls = pairs(asked.sysctls)
    kernel = asked.kernel or PLAYED
    path = asked.evidence
    if path is None:
        opener = _Opener(stack, asked, None)
        runs = Packets(opener, kernel, sysctls, asked.seed)
        replay_source.compiling()
        return _Opened(runs, " ".join(asked.workloads), "workload")
    from tablefull.live import replay_records

    if replay_records.is_record(path):
        read = replay_records.read(path)
        return _Opened(Events(read.recording, kernel, sysctls), path, "events", read.notes, read.blind)
    held = replay_source.held_of(stack, path)
    told = replay_source.recorded(stack, path, held)
    if told is not None:
        return _Opened(Events(told.recording, kernel, sysctls), path, "events", told.notes, told.blind)
    replay_source.compiling()
    opener = _Opener(stack, asked, held)
    return _Opened(Packets(opener, kernel, sysctls, asked.seed, again=held is None), path, "packets")


class _Opener:
    """Opens the packets anew at each call."""

    def __init__(self, stack: ExitStack, asked: Asked, held: IO[bytes] | None) -> None:
        self.stack, self.asked, self.held = stack, asked, held
        self.opened: Capture | None = None

    def __call__(self) -> "tuple[Iterable[Piece], int | None]":
        from tablefull.live.replay import read_ahead
        from tablefull.views import replay_source

        asked = self.asked
        self.opened, pieces, span_ns = replay_source.pieces_of(
            self.stack,
            asked.evidence,
            self.held,
            asked.workloads,
            asked.duration,
            asked.seed,
        )
        waits = self.opened is not None and self.opened.size_bytes is None
        return pieces if waits else read_ahead(pieces), span_ns


def _studied(opened: _Opened, asked: Asked, named: Sequence[Change]) -> Study:
    from tablefull.live import plan_runs

    runs = opened.runs
    assert runs is not None
    if not runs.again:
        tried = [NOTHING, *named, *(capacity.shorter([one]) for one in USUAL)]
        measured: list[Measured] = runs.run(tried, asked.limit)
        study = plan_runs.of_run(runs, measured, opened.source, opened.kind)
        study.notes.append("A pipe is read once: only what was named and the usual timeouts were tried; give a file.")
    else:
        study = plan_runs.study(runs, opened.source, opened.kind, asked.limit)
        tried = [*named, *_without(capacity.candidates(study), named)] if study.base.peak else []
        if tried:
            study.options = runs.run(tried, asked.limit)
    _damage(runs, study)
    return study


def _without(changes: Iterable[Change], named: Sequence[Change]) -> list[Change]:
    known = {(one.exempts, tuple(sorted(one.sysctls.items()))) for one in named}
    return [one for one in changes if (one.exempts, tuple(sorted(one.sysctls.items()))) not in known]


def _damage(runs: "Packets | Events", study: Study) -> None:
    from tablefull.views import replay_source

    opener = getattr(runs, "opened", None)
    opened = opener.opened if isinstance(opener, _Opener) else None
    if opened is not None and opened.damage is not None:
        if not study.base.peak:
            replay_source.told_something(opened)
        damage = opened.damage
        study.notes.append(f"{opened.name}: damaged at byte {damage.offset}: {damage.what}; what is before was used")
        study.blind = True
